"""A portfolio built by hand: for tests, for what-if questions, and to learn the words.

A :class:`PortfolioState` is normally what the ledger folds from its events. Nothing stops you from
building one yourself, though, and asking it the same questions.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from ledger import InvalidInput, Order, OrderSide, OrderStatus, PortfolioState, Position


def bitcoin(quantity: str = "0.5", price: str = "60000000") -> Position:
    return Position("KRW-BTC", quantity, price, price, OrderSide.BUY, symbol_context="KRW-BTC")


def apple(side: str = "buy", current: str = "110") -> Position:
    return Position("AAPL", quantity=10, entry_price=100, current_price=current, side=side)


def test_portfolio_state_symbol_aware_fields() -> None:
    """Positions and orders are kept per symbol; the flat maps are views of the same items."""
    order = Order("o1", "paper", "AAPL", OrderSide.BUY, 10, 100, OrderStatus.PENDING)
    state = PortfolioState(
        total_balance=1_000_000,
        available_balance=400_000,
        symbol="AAPL",
        per_symbol_positions={"AAPL": {"p1": apple()}},
        per_symbol_orders={"AAPL": {"o1": order}},
    )
    assert state.symbol == "AAPL"
    assert state.positions == {"p1": apple()}
    assert state.orders == {"o1": order}
    # There is one truth: what is changed through one view shows in the other.
    state.positions["p2"] = bitcoin()
    assert state.per_symbol_positions["KRW-BTC"] == {"p2": bitcoin()}
    del state.per_symbol_positions["AAPL"]["p1"]
    assert list(state.positions) == ["p2"]


def test_add_symbol_position() -> None:
    state = PortfolioState(total_balance=1_000_000, available_balance=1_000_000)
    state.add_symbol_position("KRW-BTC", "p1", bitcoin())
    assert state.per_symbol_positions == {"KRW-BTC": {"p1": bitcoin()}}
    assert state.positions["p1"] == bitcoin()
    with pytest.raises(InvalidInput, match="p2 is of AAPL, not of KRW-BTC"):
        state.add_symbol_position("KRW-BTC", "p2", apple())
    assert list(state.positions) == ["p1"]


def test_add_symbol_order() -> None:
    order = Order("o1", "paper", "AAPL", "sell", 4, None, OrderStatus.ACCEPTED, filled_quantity=1)
    state = PortfolioState()
    state.add_symbol_order("AAPL", "o1", order)
    assert state.get_symbol_orders("AAPL") == state.orders == {"o1": order}
    assert order.fill_rate == Decimal("0.25")
    with pytest.raises(InvalidInput, match="o1 is of AAPL, not of MSFT"):
        state.add_symbol_order("MSFT", "o1", order)


def test_get_symbol_positions() -> None:
    state = PortfolioState(positions={"p1": apple(), "p2": bitcoin()})
    assert state.get_symbol_positions("AAPL") == {"p1": apple()}
    # A symbol never seen has no positions, and changing that empty map changes nothing.
    state.get_symbol_positions("MSFT")["p3"] = apple()
    assert state.get_symbol_positions("MSFT") == {}
    assert len(state.positions) == 2


def test_get_total_symbol_position_value() -> None:
    state = PortfolioState(total_balance=4400, positions={"p1": apple(), "p2": apple("sell", "90")})
    assert state.get_total_symbol_position_value("AAPL") == 10 * 110 + 10 * 90
    assert state.get_total_symbol_position_value("MSFT") == 0
    state.add_symbol_position("KRW-BTC", "p3", bitcoin("1", "200"))
    assert state.total_position_value == 2200
    assert state.utilization_rate == Decimal("0.5")


def test_portfolio_state_backward_compatible() -> None:
    """Callers from before there were symbols pass flat maps, by position, and read flat maps."""
    state = PortfolioState(1000, 500, {"p1": apple()}, {})
    assert (state.total_balance, state.available_balance) == (1000, 500)
    assert state.symbol is None
    assert state.positions["p1"].pnl == 100
    assert state.per_symbol_positions == {"AAPL": {"p1": apple()}}
    assert PortfolioState().positions == {}
    assert PortfolioState().utilization_rate == 0


def test_profit_follows_the_side() -> None:
    assert apple("buy", "110").pnl == 100
    assert apple("sell", "110").pnl == -100
    assert apple("sell", "110").pnl_pct == Decimal("-0.1")
    assert Position("AAPL", 10, 0, 5, "buy").pnl_pct == 0


def test_amounts_may_be_passed_as_they_come() -> None:
    """Text, integers, decimals and floats; a float is read by its shortest repr: 0.1 is 0.1."""
    for written in ("0.1", 0.1, Decimal("0.1")):
        position = Position("AAPL", written, 1, 1, "buy")
        assert position.quantity == Decimal("0.1")
    with pytest.raises(InvalidInput, match="quantity: nan is not a finite number"):
        Position("AAPL", float("nan"), 1, 1, "buy")


def test_the_same_id_cannot_stand_under_two_symbols() -> None:
    """The flat view could show only one of them, and every total would be wrong."""
    with pytest.raises(InvalidInput, match="p1 stands under AAPL and KRW-BTC"):
        PortfolioState(per_symbol_positions={"AAPL": {"p1": apple()}, "KRW-BTC": {"p1": bitcoin()}})
