"""Money is exact, over restarts too.

Every amount is a decimal number. Sums and products are exact whatever their length, and what the
few divisions round off stays in the books until it is used up.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal

import pytest

from ledger import (
    CashDeposited,
    Event,
    Ledger,
    PortfolioState,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    SessionStarted,
    state_from_accounts,
)
from ledger.snapshot import accounts_from_bytes, bytes_from_accounts


def opened(quantity: object, price: object, side: str = "buy", position: str = "p1") -> Event:
    return PositionOpened(
        symbol="AAPL", position_id=position, side=side, quantity=quantity, entry_price=price
    )


def reduced(quantity: object, price: object) -> Event:
    return PositionReduced(symbol="AAPL", position_id="p1", quantity=quantity, exit_price=price)


@pytest.fixture
def store() -> str:
    return f"memory:{uuid.uuid4().hex}"


Append = Callable[..., PortfolioState]


@pytest.fixture
def append(store: str) -> Append:
    """Append events as one commit, and return the state as a new process would read it."""
    with Ledger.sync.connect(store) as ledger:
        ledger.append(
            SessionStarted(session="s1", mode="paper", base_currency="USD", clock="recorded")
        )

    def append(*events: Event) -> PortfolioState:
        with Ledger.sync.connect(store) as ledger, ledger.writer("test") as writer:
            writer.append(events)
        with Ledger.sync.connect(store) as again:
            return again.state()

    return append


def test_ten_losses_of_a_tenth_are_one(append: Append) -> None:
    """In floating point they would be 0.9999999999999999."""
    state = append(opened(10, "100.10"), *[reduced(1, "100.00") for _ in range(10)])
    assert state.realized_pnl == Decimal("-1.00")
    assert not state.positions


def test_an_average_is_not_rounded_into_the_books(append: Append) -> None:
    """1,000 sales of 1 at 10.00 against an average of 10.0025 lose 2.50, to the last digit."""
    state = append(
        opened(250, "10.01"),
        PositionIncreased(symbol="AAPL", position_id="p1", quantity=750, entry_price="10.00"),
    )
    assert state.positions["p1"].entry_price == Decimal("10.0025")
    state = append(*[reduced(1, "10.00") for _ in range(1000)])
    assert state.realized_pnl == Decimal("-2.50")
    assert state.balances["USD"].tied_up == 0


def test_an_average_that_never_ends_loses_nothing(append: Append) -> None:
    """3 shares for 10 in all cost 3.33… each; sold one by one at 4 they earn exactly 2."""
    state = append(
        opened(1, 4),
        PositionIncreased(symbol="AAPL", position_id="p1", quantity=2, entry_price=3),
        *[reduced(1, 4) for _ in range(3)],
    )
    assert state.realized_pnl == 2


def test_realized_profit_survives_a_restart(append: Append, store: str) -> None:
    """+100 at 10, -100 at 12, +50 at 11 show 200 realized, whoever reads them and from where."""
    first = append(
        CashDeposited(currency="USD", amount=5000),
        opened(100, 10),
        PositionClosed(symbol="AAPL", position_id="p1", exit_price=12),
        opened(50, 11, position="p2"),
    )
    assert first.realized_pnl == 200
    assert first.total_balance == 5200
    assert first.available_balance == 5200 - 550
    # From a snapshot's bytes.
    with Ledger.sync.connect(store) as ledger:
        loaded = accounts_from_bytes(bytes_from_accounts(ledger.snapshot()))
    assert loaded is not None
    assert state_from_accounts(loaded).realized_pnl == 200
    assert loaded.digest() == first.digest
    # From the store, by the snapshot that was just saved, and from nothing.
    with Ledger.sync.connect(store) as ledger:
        assert ledger.state() == first
        assert ledger.accounts(use_snapshots=False).digest() == first.digest


def test_funding_survives_a_reload(append: Append) -> None:
    state = append(opened(1, 100), PositionAdjusted(symbol="AAPL", position_id="p1", funding=-5))
    assert state.funding == -5
    assert state.positions["p1"].funding == -5
    # Funding stands beside realized PnL, not in it.
    assert (state.realized_pnl, state.net_pnl, state.total_balance) == (0, -5, -5)


def test_a_split_applies_once(append: Append, store: str) -> None:
    """Seven new shares for one: seven times the quantity at a seventh of the price, once."""
    state = append(opened(10, 700), PositionAdjusted(symbol="AAPL", position_id="p1", split="7/1"))
    for _ in range(2):  # reading is not applying
        assert state.positions["p1"].quantity == 70
        assert state.positions["p1"].entry_price == 100
        assert state.positions["p1"].pnl == 0
        assert state.balances["USD"].tied_up == 7000
        with Ledger.sync.connect(store) as ledger:
            ledger.snapshot()
            state = ledger.state()
    state = append(PriceMarked(symbol="AAPL", price=101))
    assert state.unrealized_pnl == 70


def test_tiny_and_huge_amounts_stand_side_by_side(append: Append) -> None:
    """28 digits, where decimal arithmetic rounds by default, are no limit."""
    state = append(
        CashDeposited(currency="USD", amount="123456789012345678901234567890.000000000000000001"),
        CashDeposited(currency="USD", amount="0.000000000000000001"),
    )
    assert str(state.total_balance) == "123456789012345678901234567890.000000000000000002"
