"""Which cost leaves a position, and that none of it is ever lost."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import (
    Accounts,
    CostBasisChosen,
    Event,
    InstrumentRegistered,
    PortfolioState,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    SessionStarted,
    add,
    multiply,
    state_from_accounts,
    subtract,
)
from ledger.evolve import check

METHODS = ("average", "fifo", "lifo")


def opened(quantity: object, price: object, side: str = "buy", position: str = "p") -> Event:
    return PositionOpened(
        symbol="A", position_id=position, side=side, quantity=quantity, entry_price=price
    )


def increased(quantity: object, price: object) -> Event:
    return PositionIncreased(symbol="A", position_id="p", quantity=quantity, entry_price=price)


def reduced(quantity: object, price: object) -> Event:
    return PositionReduced(symbol="A", position_id="p", quantity=quantity, exit_price=price)


def closed(price: object) -> Event:
    return PositionClosed(symbol="A", position_id="p", exit_price=price)


def split(ratio: str, position: str = "p") -> Event:
    return PositionAdjusted(symbol="A", position_id=position, split=ratio)


def accounts_after(method: str, *events: Event) -> Accounts:
    accounts = Accounts()
    started = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
    for seq, event in enumerate([started, CostBasisChosen(method=method), *events], start=1):
        check(accounts, event, seq)
    return accounts


def after(method: str, *events: Event) -> PortfolioState:
    return state_from_accounts(accounts_after(method, *events))


# 1 at 10, 2 at 20, 1 at 60: an average of 27.5.
BOUGHT = [opened(1, 10), increased(2, 20), increased(1, 60)]


@pytest.mark.parametrize(
    ("method", "realized", "tied_up"),
    [
        ("average", Decimal(30) - Decimal("27.5"), Decimal("82.5")),
        ("fifo", Decimal(30 - 10), Decimal(100)),
        ("lifo", Decimal(30 - 60), Decimal(50)),
    ],
)
def test_one_of_four_is_sold(method: str, realized: Decimal, tied_up: Decimal) -> None:
    state = after(method, *BOUGHT, reduced(1, 30))
    assert state.realized_pnl == state.positions["p"].realized_pnl == realized
    assert state.balances["USD"].tied_up == state.positions["p"].entry_cost == tied_up
    assert state.positions["p"].quantity == 3


@pytest.mark.parametrize(
    ("method", "realized"), [("average", "3.75"), ("fifo", "25"), ("lifo", "-20")]
)
def test_a_lot_may_be_taken_in_part(method: str, realized: str) -> None:
    """1.5 sold at 30: FIFO takes 1 at 10 and half a share at 20, LIFO 1 at 60 and 0.5 at 20."""
    state = after(method, *BOUGHT, reduced("1.5", 30))
    expected = {"fifo": 45 - 10 - 10, "lifo": 45 - 60 - 10}.get(method)
    assert state.realized_pnl == (Decimal(realized) if expected is None else expected)


def test_lots_are_left_in_order() -> None:
    lots = accounts_after("fifo", *BOUGHT, reduced("1.5", 30)).symbols["A"].positions["p"].lots
    assert [(lot.quantity, lot.cost) for lot in lots or []] == [(Decimal("1.5"), 30), (1, 60)]
    lots = accounts_after("lifo", *BOUGHT, reduced("1.5", 30)).symbols["A"].positions["p"].lots
    assert [(lot.quantity, lot.cost) for lot in lots or []] == [(1, 10), (Decimal("1.5"), 30)]


@pytest.mark.parametrize("method", METHODS)
def test_a_short_position_earns_when_the_price_falls(method: str) -> None:
    state = after(method, opened(2, 100, "sell"), reduced(1, 90), closed(110))
    assert state.realized_pnl == 10 - 10
    state = after(method, opened(2, 100, "sell"), PriceMarked(symbol="A", price=90))
    assert state.unrealized_pnl == 20


@pytest.mark.parametrize("method", METHODS)
def test_a_flip_closes_one_side_and_opens_the_other(method: str) -> None:
    state = after(method, opened(10, 100), closed(105), opened(5, 105, "sell", "p2"))
    assert state.realized_pnl == 50
    assert list(state.positions) == ["p2"]
    assert state.balances["USD"].tied_up == 525
    figures = state.symbols["A"]
    assert (figures.opened_count, figures.closed_count) == (2, 1)


def test_positions_keep_the_method_they_were_opened_under() -> None:
    state = after("fifo", *BOUGHT, CostBasisChosen(method="lifo"), reduced(1, 30))
    assert state.realized_pnl == 20


@pytest.mark.parametrize(("method", "realized"), [("average", 0), ("fifo", 50), ("lifo", -50)])
def test_a_split_divides_lot_by_lot(method: str, realized: int) -> None:
    """1 at 100 and 1 at 200, split 2 for 1: 2 at 50 and 2 at 100; one is sold at 75, twice."""
    bought = [opened(1, 100), increased(1, 200), split("2/1")]
    state = after(method, *bought)
    assert state.positions["p"].quantity == 4
    assert state.balances["USD"].tied_up == 300
    assert state.unrealized_pnl == 0
    sold = after(method, *bought, reduced(1, 75), reduced(1, 75))
    assert sold.realized_pnl == realized


def test_a_split_of_a_long_quantity_is_exact() -> None:
    quantity = "1.000000000000000000000000000000000000001"
    state = after("average", opened(quantity, 1), split("7/1"))
    assert str(state.positions["p"].quantity) == "7.000000000000000000000000000000000000007"


@pytest.mark.parametrize("method", METHODS)
def test_without_a_mark_nothing_is_gained(method: str) -> None:
    """Selling some of the lots says nothing about what the others are worth."""
    state = after(method, *BOUGHT, reduced(1, 30))
    assert state.unrealized_pnl == 0
    assert state.positions["p"].unrealized_pnl == 0


@pytest.mark.parametrize("method", METHODS)
def test_at_a_mark_the_gain_is_against_the_cost(method: str) -> None:
    state = after(method, *BOUGHT, PriceMarked(symbol="A", price=30), reduced(1, 30))
    realized = {"average": Decimal("2.5"), "fifo": Decimal(20), "lifo": Decimal(-30)}[method]
    assert state.unrealized_pnl == 4 * 30 - 110 - realized
    assert add(state.unrealized_pnl, state.realized_pnl) == 10


@pytest.mark.parametrize("method", METHODS)
def test_a_multiplier_counts_everywhere(method: str) -> None:
    future = InstrumentRegistered(symbol="A", quote_currency="USD", multiplier=50)
    state = after(
        method, future, opened(2, 100), reduced(1, 110), PriceMarked(symbol="A", price=90)
    )
    assert state.realized_pnl == 500
    assert state.unrealized_pnl == -500
    position = state.positions["p"]
    assert (position.entry_price, position.entry_cost, position.value) == (100, 5000, 4500)
    assert position.pnl == -500


def test_nothing_is_lost_by_rounding_at_market_prices() -> None:
    """3 for 10 in all, sold by thirds at 10/3 rounded: the rest is in the last one's result."""
    state = after("average", opened(2, 3), increased(1, 4), *[reduced(1, 0)] * 3)
    assert state.realized_pnl == -10
    assert not state.positions


AMOUNTS = st.integers(1, 10**9).map(lambda number: Decimal(number).scaleb(-6))
TRADES = st.lists(st.tuples(AMOUNTS, AMOUNTS, st.booleans()), min_size=1, max_size=12)


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=20, deadline=None)
@given(trades=TRADES, ratio=st.sampled_from(["7/1", "1/4", "3/2"]), last=AMOUNTS)
def test_realized_is_proceeds_less_cost_to_the_last_digit(
    method: str,
    side: str,
    trades: list[tuple[Decimal, Decimal, bool]],
    ratio: str,
    last: Decimal,
) -> None:
    """Whatever was rounded on the way, once all is closed nothing of it is missing."""
    events: list[Event] = [opened(*trades[0][:2], side)]
    cost, proceeds, left = multiply(*trades[0][:2]), Decimal(0), trades[0][0]
    for quantity, price, is_entry in trades[1:]:
        if is_entry:
            events.append(increased(quantity, price))
            cost, left = add(cost, multiply(quantity, price)), add(left, quantity)
        elif quantity < left:
            events.append(reduced(quantity, price))
            proceeds = add(proceeds, multiply(quantity, price))
            left = subtract(left, quantity)
    events.append(split(ratio))
    new, old = map(Decimal, ratio.split("/"))
    left = multiply(multiply(left, new), Decimal(1) / old)
    events.append(closed(last))
    proceeds = add(proceeds, multiply(left, last))
    earned = subtract(proceeds, cost) if side == "buy" else subtract(cost, proceeds)
    state = after(method, *events)
    assert state.realized_pnl == earned
    assert state.balances["USD"].tied_up == 0
    assert not state.positions


def test_a_split_ends_the_mark_of_the_old_share() -> None:
    """What is opened at the new price is not valued at the old one, and no gain is lost."""
    state = after(
        "average",
        opened(1, 100),
        PriceMarked(symbol="A", price=140),
        split("7/1"),
        opened(1, 20, position="new"),
    )
    assert state.symbols["A"].mark is None
    assert state.positions["new"].unrealized_pnl == 0
    assert state.positions["p"].current_price == 20
    assert state.positions["p"].unrealized_pnl == 40
