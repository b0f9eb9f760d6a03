"""The order state machine, each cell of the table, by what a fold makes of an order."""

from __future__ import annotations

import itertools
import random
from contextlib import suppress
from decimal import Decimal

import pytest
from histories import histories
from hypothesis import HealthCheck, given, settings
from msgspec import structs

from ledger import (
    Accounts,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    OrderSide,
    OrderStatus,
    PositionOpened,
    PriceMarked,
    Recorded,
    RuleViolation,
    SessionStarted,
    fold,
    state_from_accounts,
)
from ledger.accounts import SETTLED_KEPT
from ledger.amounts import exact
from ledger.evolve import check

# As the documentation of ledger.orders has it, with what a fill of a part makes of the order.
TABLE = """
                  Accepted          Filled            Amended           Cancelled  Rejected  Expired
pending           accepted          partially_filled  pending           cancelled  rejected  expired
accepted          --                partially_filled  accepted          cancelled  rejected  expired
partially_filled  partially_filled  partially_filled  partially_filled  cancelled  --        expired
filled            filled            --                --                --         --        --
cancelled         cancelled         cancelled         --                --         --        --
rejected          --                --                --                --         --        --
expired           expired           expired           --                --         --        --
"""
HEADER, *ROWS = [line.split() for line in TABLE.strip().splitlines()]
CELLS = [
    (row[0], f"Order{column}", cell)
    for row in ROWS
    for column, cell in zip(HEADER, row[1:], strict=True)
]
EVENTS: dict[str, Event] = {
    "OrderAccepted": OrderAccepted(symbol="A", order_id="o", venue_order_id="v"),
    "OrderFilled": OrderFilled(symbol="A", order_id="o", trade_id="t9", quantity=1, price=10),
    "OrderAmended": OrderAmended(symbol="A", order_id="o", price=9),
    "OrderCancelled": OrderCancelled(symbol="A", order_id="o", reason="why"),
    "OrderRejected": OrderRejected(symbol="A", order_id="o", reason="why"),
    "OrderExpired": OrderExpired(symbol="A", order_id="o", reason="why"),
}
PLACED = OrderPlaced(symbol="A", order_id="o", side="buy", quantity=10, price=10)


def fill(quantity: object, trade: str = "t1", fee: object = None) -> OrderFilled:
    return OrderFilled(
        symbol="A", order_id="o", trade_id=trade, quantity=quantity, price=10, fee=fee
    )


WAY_TO: dict[str, list[Event]] = {
    "pending": [],
    "accepted": [EVENTS["OrderAccepted"]],
    "partially_filled": [fill(4)],
    "filled": [fill(10)],
    "cancelled": [fill(4), EVENTS["OrderCancelled"]],
    "rejected": [EVENTS["OrderRejected"]],
    "expired": [fill(4), EVENTS["OrderExpired"]],
}


def after(*events: Event) -> Accounts:
    accounts = Accounts()
    started = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
    for seq, event in enumerate([started, PLACED, *events], start=1):
        check(accounts, event, seq)
    return accounts


def status(accounts: Accounts) -> OrderStatus:
    return accounts.symbols["A"].orders["o"].status


def test_the_table_names_every_status_and_every_event() -> None:
    assert [row[0] for row in ROWS] == [str(status) for status in OrderStatus]
    assert [f"Order{column}" for column in HEADER] == list(EVENTS)
    assert len(CELLS) == 7 * 6


@pytest.mark.parametrize(("before", "event", "expected"), CELLS)
def test_each_cell_of_the_table(before: str, event: str, expected: str) -> None:
    accounts = after(*WAY_TO[before])
    assert status(accounts) == before
    if expected == "--":
        with pytest.raises(RuleViolation, match=f"{event} in A: order o is {before}") as caught:
            check(accounts, EVENTS[event], 99)
        assert caught.value.rule == "order-state"
        assert status(accounts) == before
    else:
        check(accounts, EVENTS[event], 99)
        assert status(accounts) == expected


@pytest.mark.parametrize(
    "before", ["pending", "accepted", "partially_filled", "cancelled", "expired"]
)
def test_a_fill_of_what_remains_fills_the_order_whatever_it_was(before: str) -> None:
    """A cancellation may have lost the race: then the order was wholly filled after all."""
    accounts = after(*WAY_TO[before])
    order = accounts.symbols["A"].orders["o"]
    check(accounts, fill(order.quantity - order.filled, "last"), 99)
    assert status(accounts) is OrderStatus.FILLED


def test_a_late_fill_counts_but_reserves_nothing() -> None:
    accounts = after(fill(4), EVENTS["OrderCancelled"], fill(1, "late"))
    order = state_from_accounts(accounts).orders["o"]
    assert (order.status, order.filled_quantity, order.reserved) == ("cancelled", 5, 0)
    assert order.average_price == 10


def test_a_late_acceptance_changes_nothing_but_the_venues_id() -> None:
    accounts = after(fill(10))
    check(accounts, EVENTS["OrderAccepted"], 99)
    order = accounts.symbols["A"].orders["o"]
    assert (order.status, order.venue_order_id) == ("filled", "v")
    check(accounts, OrderAccepted(symbol="A", order_id="o"), 100)
    assert order.venue_order_id == "v"


@pytest.mark.parametrize(
    "events", [*itertools.permutations([fill(3, "a"), fill(3, "b"), fill(4, "c")])]
)
def test_the_order_of_fills_does_not_matter(events: tuple[Event, ...]) -> None:
    order = state_from_accounts(after(*events)).orders["o"]
    assert (order.status, order.filled_quantity, order.fill_rate) == ("filled", 10, 1)


def test_an_amendment_down_to_what_is_filled_fills_the_order() -> None:
    accounts = after(fill(4), OrderAmended(symbol="A", order_id="o", quantity=4))
    assert status(accounts) is OrderStatus.FILLED
    assert state_from_accounts(accounts).orders["o"].reserved == 0


def test_what_remains_of_a_working_order_is_reserved_at_its_price() -> None:
    accounts = after(fill(4))
    assert state_from_accounts(accounts).orders["o"].reserved == 60
    check(accounts, OrderAmended(symbol="A", order_id="o", quantity=12, price="9.5"), 9)
    assert state_from_accounts(accounts).balances["USD"].reserved == 76
    check(accounts, EVENTS["OrderCancelled"], 10)
    assert state_from_accounts(accounts).balances["USD"].reserved == 0


def test_an_order_at_market_reserves_at_the_mark() -> None:
    at_market = OrderPlaced(symbol="A", order_id="m", side="sell", quantity=2)
    accounts = after(PriceMarked(symbol="A", price=7), at_market)
    order = state_from_accounts(accounts).orders["m"]
    assert (order.price, order.reserved) == (None, 14)


def test_an_order_that_reduces_its_position_reserves_nothing() -> None:
    opened = PositionOpened(symbol="A", position_id="p", side="buy", quantity=1, entry_price=5)
    exit_order = OrderPlaced(
        symbol="A", order_id="x", side="sell", quantity=1, price=6, position_id="p"
    )
    add_order = OrderPlaced(
        symbol="A", order_id="y", side="buy", quantity=1, price=6, position_id="p"
    )
    orders = state_from_accounts(after(opened, exit_order, add_order)).orders
    assert (orders["x"].reserved, orders["y"].reserved) == (0, 6)


def test_fees_of_fills_stand_in_their_currency() -> None:
    with_fee = OrderFilled(
        symbol="A", order_id="o", trade_id="b", quantity=1, price=1, fee=3, fee_currency="BNB"
    )
    state = state_from_accounts(after(fill(1, "a", "0.10"), with_fee))
    assert {name: balance.fees for name, balance in state.balances.items() if balance.fees} == {
        "BNB": 3,
        "USD": Decimal("0.1"),
    }


def test_orders_that_are_done_are_forgotten_the_oldest_first() -> None:
    """The state does not grow with the number of orders there ever were; working ones stay."""
    events: list[Event] = []
    for number in range(SETTLED_KEPT + 5):
        name = f"n{number}"
        events += [
            OrderPlaced(symbol="A", order_id=name, side="buy", quantity=1, price=1),
            OrderCancelled(symbol="A", order_id=name),
        ]
    accounts = after(*events)
    orders = state_from_accounts(accounts).orders
    assert list(orders) == ["o", *(f"n{number}" for number in range(5, SETTLED_KEPT + 5))]
    with pytest.raises(RuleViolation, match="order n4 is not known"):
        check(accounts, OrderAccepted(symbol="A", order_id="n4"), 999)


def _check_what_is_done(accounts: Accounts) -> None:
    for account in accounts.symbols.values():
        working = {key for key, order in account.orders.items() if order.status.is_working}
        assert account.done.keys() == account.orders.keys() - working
        with exact():
            assert account.reserved == sum(
                account.money(order.quantity - order.filled, order.reserve_price)
                for key, order in account.orders.items()
                if key in working
            )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_an_order_is_done_exactly_when_it_is_not_working(history: list[Recorded]) -> None:
    """What working orders reserve is found without a look at the many that are done."""
    accounts = Accounts()
    for found in history:
        _check_what_is_done(fold([found], accounts))


@pytest.mark.parametrize("seed", range(3))
def test_so_it_is_when_many_orders_are_done_and_forgotten(seed: int) -> None:
    chance, accounts, events = random.Random(seed), after(), list(EVENTS.values())
    for seq in range(3, 700):
        name = f"n{seq // 4 - chance.randrange(3)}"
        event = structs.replace(chance.choice(events), order_id=name)
        if isinstance(event, OrderFilled):
            quantity = Decimal(chance.choice([1, 5, 10]))
            event = structs.replace(event, trade_id=f"t{seq}", quantity=quantity)
        with suppress(RuleViolation):
            check(accounts, structs.replace(PLACED, order_id=name), seq)
        with suppress(RuleViolation):
            check(accounts, event, seq)
        _check_what_is_done(accounts)
    assert len(accounts.symbols["A"].done) == SETTLED_KEPT


def test_sides_have_an_opposite() -> None:
    assert OrderSide.BUY.opposite is OrderSide.SELL
    assert OrderSide.SELL.opposite is OrderSide.BUY
