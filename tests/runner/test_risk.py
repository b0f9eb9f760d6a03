"""The guard refuses by the limits in the ledger, and releases what is closed."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger import (
    CashDeposited,
    InstrumentRegistered,
    MissingRate,
    OrderCancelled,
    OrderPlaced,
    PositionClosed,
    PositionOpened,
    RateMarked,
    Recorded,
    RiskLimitSet,
    SessionHalted,
    SessionStarted,
    fold,
)
from runner.engine import Leg, Purpose, Trade
from runner.risk import earned_by_symbol, refusal_of

NOW = datetime(2026, 11, 20, tzinfo=UTC)
START = SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred")
CASH = CashDeposited(currency="USD", amount=10_000)


def accounts_after(*events):
    return fold(
        Recorded(seq=seq, revision=seq, recorded_at=NOW, event=event, commit="c")
        for seq, event in enumerate([START, CASH, *events], start=1)
    )


def buy(quantity=10, price=100, symbol="AAPL", position_id="new", trade_id="t-new"):
    leg = Leg(
        symbol=symbol,
        side="buy",
        quantity=Decimal(quantity),
        price=Decimal(price),
        position_id=position_id,
    )
    return Trade(purpose=Purpose.OPEN, legs=(leg,), trade_id=trade_id)


def sell(quantity=10, position_id="p", purpose=Purpose.CLOSE):
    leg = Leg(symbol="AAPL", side="sell", quantity=Decimal(quantity), position_id=position_id)
    return Trade(purpose=purpose, legs=(leg,), trade_id="t")


def opened(symbol="AAPL", position_id="p", quantity=10, price=100):
    return PositionOpened(
        symbol=symbol,
        position_id=position_id,
        side="buy",
        quantity=quantity,
        entry_price=price,
        trade_id=f"t-{position_id}",
    )


def closed(price=100, symbol="AAPL"):
    return PositionClosed(symbol=symbol, position_id="p", exit_price=price)


def working(order_id="o", side="buy", position_id="other"):
    return OrderPlaced(
        symbol="AAPL",
        order_id=order_id,
        side=side,
        quantity=10,
        price=100,
        position_id=position_id,
        trade_id=f"t-{order_id}",
    )


def limit(name, value, symbol=""):
    return RiskLimitSet(symbol=symbol, limit=name, value=value)


def refused(trade, *events, before=None):
    refusal = refusal_of(trade, accounts_after(*events), before or {})
    return refusal and (refusal.limit, refusal.value)


@pytest.mark.parametrize("symbol", ["", "AAPL"])
@pytest.mark.parametrize(
    ("name", "before", "over"),
    [
        ("max_notional_per_trade", [], 1000),
        ("max_notional_per_symbol", [opened()], 2000),
        ("max_notional_per_symbol", [working()], 2000),
        ("max_open_positions", [opened()], 2),
        ("max_open_positions", [working()], 2),
        ("max_concurrent_trades", [opened(), working()], 3),
    ],
)
def test_a_limit_holds_exactly(symbol, name, before, over):
    """At the limit a trade passes; one above it is refused, with the value it would come to."""
    assert refused(buy(), *before, limit(name, over, symbol)) is None
    assert refused(buy(), *before, limit(name, over - 1, symbol)) == (name, over)


def test_the_total_counts_every_symbol():
    events = [opened("MSFT"), working(), limit("max_total_notional", 2999)]
    assert refused(buy(), *events) == ("max_total_notional", 3000)


def test_limits_of_one_symbol_leave_the_others_alone():
    assert refused(buy(symbol="MSFT"), limit("max_notional_per_trade", 1, "AAPL")) is None


def test_a_portfolio_limit_per_symbol_counts_that_symbol_alone():
    events = [opened("MSFT"), limit("max_notional_per_symbol", 1500)]
    assert refused(buy(), *events) is None


@pytest.mark.parametrize("end", [[closed()], []])
def test_closing_releases_what_a_position_took(end):
    events = [opened(), *end, limit("max_open_positions", 1), limit("max_total_notional", 1500)]
    assert (refused(buy(), *events) is None) is bool(end)


def test_a_cancelled_order_releases_what_it_reserved():
    events = [working(), limit("max_total_notional", 1500)]
    assert refused(buy(), *events) == ("max_total_notional", 2000)
    assert refused(buy(), *events, OrderCancelled(symbol="AAPL", order_id="o")) is None


def test_money_that_is_not_there_cannot_be_spent():
    assert refused(buy(quantity=100)) is None
    assert refused(buy(quantity=101)) == ("available_balance", 10_100)
    assert refused(buy(quantity=91), working()) == ("available_balance", 9_100)


def test_the_days_loss_is_what_was_lost_since_the_day_began():
    lost = [opened(), closed(70), limit("max_daily_loss", 300)]
    assert refused(buy(), *lost) == ("max_daily_loss", 300)
    yesterday = earned_by_symbol(accounts_after(opened(), closed(70)))
    assert yesterday["AAPL"] == {"USD": Decimal(-300)}
    assert refused(buy(), *lost, before=yesterday) is None


def test_fees_belong_to_the_days_loss_and_other_symbols_only_to_the_portfolios():
    fee = PositionOpened(
        symbol="MSFT", position_id="m", side="buy", quantity=1, entry_price=1, fee=50
    )
    assert refused(buy(), fee, limit("max_daily_loss", 50)) == ("max_daily_loss", 50)
    assert refused(buy(), fee, limit("max_daily_loss", 50, "AAPL")) is None


def test_a_halted_session_opens_nothing_and_closes_everything():
    halt = [opened(), SessionHalted(session="s"), limit("max_open_positions", 0)]
    assert refused(buy(), *halt) == ("session", 0)
    assert refused(sell(), *halt) is None
    assert refused(sell(5, purpose=Purpose.REDUCE), *halt) is None


def test_no_more_is_closed_than_is_open_and_not_being_closed():
    assert refused(sell(11), opened()) == ("open_quantity", 11)
    assert refused(sell(1), opened(), working("e", "sell", "p")) == ("open_quantity", 1)
    assert refused(sell(1)) == ("open_quantity", 1)


def test_a_limit_nobody_knows_stops_every_opening():
    assert refused(buy(), limit("max_notionl", 10)) == ("max_notionl", 10)
    assert refused(sell(), opened(), limit("max_notionl", 10)) is None


def test_limits_of_the_portfolio_are_in_its_base_currency():
    krw = InstrumentRegistered(symbol="KRW-BTC", quote_currency="KRW")
    won = CashDeposited(currency="KRW", amount=10_000_000)
    rate = RateMarked(from_currency="KRW", to_currency="USD", rate="0.001")
    trade = buy(quantity=1, price=2_000_000, symbol="KRW-BTC")
    events = [krw, won, limit("max_total_notional", 1999)]
    with pytest.raises(MissingRate):
        refused(trade, *events)
    assert refused(trade, *events, rate) == ("max_total_notional", 2000)
    assert refused(trade, krw, won, rate, limit("max_notional_per_trade", 2000)) is None


def test_the_reason_names_limit_and_value():
    accounts = accounts_after(limit("max_open_positions", 0, "AAPL"))
    refusal = refusal_of(buy(), accounts, {})
    assert refusal.reason == "max_open_positions of AAPL is 0; it would be 1"
