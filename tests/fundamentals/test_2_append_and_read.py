"""Writing events by hand, and reading the portfolio they make.

No strategy and no exchange is needed: a writer states what happened. ``memory:`` is a store that
lives as long as the process; every other store is used in the same way.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger import (
    CashDeposited,
    Ledger,
    OrderFilled,
    OrderPlaced,
    OrderStatus,
    PositionOpened,
    RuleViolation,
    SessionStarted,
)

# A session states the base currency. Until one does, nobody knows what a price of 187.40 is.
MORNING = SessionStarted(session="morning", mode="paper", base_currency="USD", clock="recorded")


@pytest.fixture
def store() -> str:
    return f"memory:{uuid.uuid4().hex}"


def test_a_portfolio_from_two_events(store: str) -> None:
    """``PositionOpened`` and ``OrderPlaced``, by hand, per symbol."""
    with Ledger.sync.connect(store, portfolio="growth") as ledger:
        ledger.append([MORNING, CashDeposited(currency="USD", amount=10_000)])
        commit = ledger.append(
            [
                PositionOpened(
                    symbol="AAPL", position_id="p1", side="buy", quantity=10, entry_price="187.40"
                ),
                OrderPlaced(symbol="MSFT", order_id="o1", side="buy", quantity=5, price="400"),
            ]
        )
        # Two events over two symbols went in together, as numbers 3 and 4 of the portfolio and
        # number 1 of each symbol.
        assert (commit.first_seq, commit.seq) == (3, 4)
        assert commit.revisions == {"AAPL": 1, "MSFT": 1}

        state = ledger.state()
        assert state.get_symbol_positions("AAPL")["p1"].entry_price == Decimal("187.40")
        assert state.orders["o1"].status is OrderStatus.PENDING
        # The position ties up 1,874 and the order reserves 2,000 of what is there.
        assert state.total_balance == 10_000
        assert state.available_balance == 10_000 - 1_874 - 2_000


async def test_the_same_without_blocking(store: str) -> None:
    """The async face does the same with ``await``."""
    async with Ledger.connect(store, portfolio="growth") as ledger:
        async with ledger.writer("by-hand") as writer:
            await writer.append(MORNING)
            await writer.append(
                OrderPlaced(symbol="AAPL", order_id="o1", side="buy", quantity=10, price=100)
            )
            await writer.append(
                [
                    OrderFilled(
                        symbol="AAPL", order_id="o1", trade_id="t1", quantity=10, price="99.90"
                    ),
                    PositionOpened(
                        symbol="AAPL",
                        position_id="p1",
                        side="buy",
                        quantity=10,
                        entry_price="99.90",
                        order_id="o1",
                    ),
                ]
            )
        state = await ledger.state()
        assert state.orders["o1"].status is OrderStatus.FILLED
        assert state.positions["p1"].quantity == 10
        assert [event.type async for event in ledger.tail("AAPL")] == [
            "OrderPlaced",
            "OrderFilled",
            "PositionOpened",
        ]


def test_both_faces_see_the_same(store: str) -> None:
    with Ledger.sync.connect(store) as ledger:
        ledger.append(MORNING)
        written = ledger.state()
    with Ledger.sync.connect(store) as again:
        assert again.state() == written


def test_any_earlier_state_can_be_read(store: str) -> None:
    """``state(n)`` is the portfolio after its first ``n`` events."""
    with Ledger.sync.connect(store) as ledger:
        ledger.append(MORNING)
        ledger.append(CashDeposited(currency="USD", amount=100))
        ledger.append(CashDeposited(currency="USD", amount=50))
        balances = [ledger.state(seq).total_balance for seq in range(4)]
        assert balances == [0, 0, 100, 150]


def test_what_cannot_have_happened_is_refused(store: str) -> None:
    """The error names the event, the rule and the value, and nothing is recorded."""
    with Ledger.sync.connect(store) as ledger:
        ledger.append(MORNING)
        before = ledger.state()
        with pytest.raises(RuleViolation, match="OrderFilled in AAPL: order o9 is not known"):
            ledger.append(
                [
                    CashDeposited(currency="USD", amount=100),
                    OrderFilled(symbol="AAPL", order_id="o9", trade_id="t", quantity=1, price=1),
                ]
            )
        assert ledger.state() == before


def test_a_currency_nobody_has_stated_is_refused(store: str) -> None:
    with Ledger.sync.connect(store) as ledger:
        with pytest.raises(RuleViolation) as caught:
            ledger.append(
                PositionOpened(
                    symbol="AAPL", position_id="p1", side="buy", quantity=1, entry_price=1
                )
            )
        assert caught.value.rule == "currency-unstated"
        assert "InstrumentRegistered" in caught.value.hint
        assert ledger.head().seq == 0


def test_when_it_happened_is_told_by_the_writer(store: str) -> None:
    """``occurred_at`` is the writer's clock, ``recorded_at`` the store's."""
    then = datetime(2013, 5, 1, 14, 30, tzinfo=UTC)
    with Ledger.sync.connect(store, clock=lambda: then) as ledger:
        commit = ledger.append(MORNING)
        (recorded,) = ledger.tail()
        assert recorded.occurred_at == then
        assert recorded.recorded_at == commit.recorded_at > then
