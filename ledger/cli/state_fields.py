"""A state as JSON and as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from ledger.errors import LedgerDamaged, MissingRate
from ledger.holdings import Balance, Order, Position, SymbolFigures
from ledger.state import PortfolioState

__all__ = ["figure", "state_fields", "state_rows", "unknown_figures"]

TOTALS: Final = (
    "total_balance",
    "available_balance",
    "equity",
    "realized_pnl",
    "unrealized_pnl",
    "fees",
    "funding",
    "net_pnl",
    "total_position_value",
    "utilization_rate",
)
_OF_BALANCE: Final = ("cash", "available", "equity", "net_pnl")
_OF_POSITION: Final = ("pnl", "pnl_pct", "value")
_OF_ORDER: Final = ("fill_rate",)


def figure(state: PortfolioState, name: str) -> Decimal | None:
    """Return a total of the state; ``None`` where it cannot be told."""
    try:
        value: Decimal = getattr(state, name)
    except (MissingRate, LedgerDamaged):
        return None
    return value


def unknown_figures(state: PortfolioState) -> dict[str, str]:
    """Return why totals cannot be told, by their names."""
    reasons = {}
    for name in TOTALS:
        try:
            getattr(state, name)
        except (MissingRate, LedgerDamaged) as error:
            reasons[name] = f"{error.message}; {error.hint}"
    return reasons


def state_fields(state: PortfolioState, symbol: str | None = None) -> dict[str, Any]:
    """Return a state as the mapping whose JSON it is.

    A total that cannot be told is ``None`` and its reason stands under ``unknown``.

    Args:
        state: What to write.
        symbol: Only this symbol's positions, orders and figures.
    """

    def of_symbols(items: Mapping[str, Any], write: Callable[[Any], Any]) -> dict[str, Any]:
        return {name: write(item) for name, item in items.items() if symbol in (None, name)}

    return {
        "seq": state.seq,
        "recorded_at": state.recorded_at,
        "occurred_at": state.occurred_at,
        "digest": state.digest,
        "session": state.session,
        "is_halted": state.is_halted,
        "base_currency": state.base_currency,
        "balances": {name: _balance(item) for name, item in state.balances.items()},
        **{name: figure(state, name) for name in TOTALS},
        "unknown": unknown_figures(state),
        "rates": state.rates,
        "limits": state.limits,
        "symbols": of_symbols(state.symbols, _figures),
        "per_symbol_positions": of_symbols(state.per_symbol_positions, _positions),
        "per_symbol_orders": of_symbols(state.per_symbol_orders, _orders),
        "quarantined": state.quarantined,
    }


def state_rows(fields: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a state as rows of a dotted path and a value."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from state_rows(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _fields(item: msgspec.Struct, computed: tuple[str, ...]) -> dict[str, Any]:
    stored = msgspec.structs.asdict(item)
    return stored | {name: getattr(item, name) for name in computed}


def _balance(balance: Balance) -> dict[str, Any]:
    return _fields(balance, _OF_BALANCE)


def _figures(figures: SymbolFigures) -> dict[str, Any]:
    return msgspec.structs.asdict(figures)


def _positions(positions: Mapping[str, Position]) -> dict[str, Any]:
    return {key: _fields(position, _OF_POSITION) for key, position in positions.items()}


def _orders(orders: Mapping[str, Order]) -> dict[str, Any]:
    return {key: _fields(order, _OF_ORDER) for key, order in orders.items()}
