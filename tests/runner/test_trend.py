"""The trend strategy decides from closes and from what the ledger holds, and from nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ledger import (
    Accounts,
    OrderAccepted,
    OrderFilled,
    OrderPlaced,
    PositionOpened,
    Recorded,
    SessionStarted,
    fold,
)
from ledger.errors import InvalidInput
from runner.engine import Cancel, Purpose
from runner.market import Book, Snapshot
from runner.trend import TrendConfig, TrendEngine

START = datetime(2020, 1, 1, tzinfo=UTC)
CONFIG = TrendConfig(
    window=2,
    budget=Decimal(1000),
    add_percent=Decimal(5),
    take_percent=Decimal(10),
    stop_percent=Decimal(8),
)


def snapshot(day, close, split=None, ask=None):
    at = START + timedelta(days=day)
    price = Decimal(close)
    book = Book(
        venue="paper",
        symbol="AAA",
        bid=price - Decimal("0.01"),
        ask=price + Decimal("0.01") if ask is None else Decimal(ask),
        last=price,
        occurred_at=at,
    )
    return Snapshot(symbol="AAA", occurred_at=at, books=(book,), split=split)


def engine_after(*closes, splits=()):
    engine = TrendEngine(CONFIG)
    for day, close in enumerate(closes):
        engine.observe(snapshot(day, close, dict(splits).get(day)))
    return engine


def holding(*more, quantity=90, price=11):
    """The accounts after a purchase at 11, and what else happened."""
    bought = [
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        *order("o1", "buy", quantity, price),
        PositionOpened(
            symbol="AAA",
            position_id="p",
            side="buy",
            quantity=quantity,
            entry_price=price,
            order_id="o1",
            trade_id="t",
        ),
    ]
    return fold(
        Recorded(seq=seq, revision=seq, recorded_at=START, event=event, commit="c")
        for seq, event in enumerate([*bought, *more], start=1)
    )


def order(order_id, side, quantity, price, *, fills=True):
    placed = OrderPlaced(
        symbol="AAA",
        occurred_at=START,
        order_id=order_id,
        side=side,
        quantity=quantity,
        price=price,
        position_id="p",
        trade_id="t",
    )
    if not fills:
        return [placed, OrderAccepted(symbol="AAA", order_id=order_id)]
    filled = OrderFilled(
        symbol="AAA", order_id=order_id, trade_id="x", quantity=quantity, price=price
    )
    return [placed, filled]


def decided(engine, accounts, day, close, **given):
    return list(engine.process_snapshot(snapshot(day, close, **given), accounts))


def test_it_buys_whole_shares_for_its_budget_when_the_close_crosses_above_the_average():
    [trade] = decided(engine_after("10", "10", "9"), Accounts(), 3, "11")
    [leg] = trade.legs
    assert trade.purpose is Purpose.OPEN
    # 20 basis points above the ask of 11.01, in whole cents: 1000 buys 90 at 11.03.
    assert (leg.side, leg.quantity, leg.price) == ("buy", 90, Decimal("11.03"))


@pytest.mark.parametrize(
    ("before", "close"),
    [(("10", "10", "11"), "12"), (("10", "10", "9"), "8"), (("9",), "11"), ((), "11")],
    ids=["it was above already", "it is below", "the window is not full", "the first close"],
)
def test_it_buys_at_no_other_time(before, close):
    assert decided(engine_after(*before), Accounts(), 4, close) == []


def test_a_crossed_book_decides_nothing():
    assert decided(engine_after("10", "10", "9"), Accounts(), 3, "11", ask="5") == []


def test_it_adds_half_as_much_once():
    engine = engine_after("10", "9", "11", "11.2")
    [trade] = decided(engine, holding(), 4, "11.6")
    assert (trade.purpose, trade.trade_id) == (Purpose.INCREASE, "t")
    assert (trade.legs[0].quantity, trade.legs[0].position_id) == (42, "p")
    added = holding(*order("o2", "buy", 5, 11))
    assert decided(engine_after("10", "9", "11", "11.2"), added, 4, "11.6") == []


def test_it_sells_half_once_at_market():
    [trade] = decided(engine_after("9", "11", "11.9"), holding(), 3, "12.5")
    assert trade.purpose is Purpose.REDUCE
    assert (trade.legs[0].quantity, trade.legs[0].price) == (45, None)
    sold = holding(*order("o2", "sell", 45, 12))
    assert decided(engine_after("9", "11", "11.9"), sold, 3, "12.5") == []


@pytest.mark.parametrize(
    ("before", "close", "why"),
    [
        (("11", "12", "13"), "12", "not above the average"),
        (("9", "9", "9"), "10.12", "8 % below the entry"),
    ],
)
def test_it_sells_everything_below_the_average_and_below_the_stop(before, close, why):
    [trade] = decided(engine_after(*before), holding(), 3, close)
    assert trade.purpose is Purpose.CLOSE
    assert trade.legs[0].quantity == 90
    assert why in trade.reason


def test_while_an_order_works_it_does_nothing_but_withdraw_an_old_entry():
    working = holding(*order("o2", "buy", 5, 11, fills=False))
    assert decided(engine_after("9", "9"), working, 5, "8") == [Cancel(symbol="AAA", order_id="o2")]
    assert decided(TrendEngine(CONFIG), working, 0, "8") == []


def test_a_split_divides_the_closes_before_it():
    """Without that the fall of the price by half would look like a fall of the value."""
    engine = engine_after("10", "10", "9")
    [trade] = decided(engine, Accounts(), 3, "5.5", split="2/1")
    assert trade.purpose is Purpose.OPEN


def test_a_snapshot_that_comes_again_counts_once():
    engine = engine_after("10", "10", "9")
    first = decided(engine, Accounts(), 3, "11")
    assert decided(engine, Accounts(), 3, "11") == first


def test_an_engine_that_was_shown_the_past_decides_as_one_that_was_there():
    closes = [str(10 + (day * 7) % 5) for day in range(40)]
    there = TrendEngine(CONFIG)
    for day, close in enumerate(closes):
        shown = engine_after(*closes[:day])
        assert decided(there, Accounts(), day, close) == decided(shown, Accounts(), day, close)


@pytest.mark.parametrize("wrong", [{"window": 1}, {"budget": Decimal(0)}])
def test_a_strategy_that_cannot_work_is_refused(wrong):
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        TrendConfig(**wrong)
