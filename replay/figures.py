"""Figures and their paths: the one list of what a state tells, and how each figure is named.

A path is what users write (``equity``, ``balances.USD.cash``, ``positions.AAPL.realized_pnl``). The
paths of one position or order are those of a state as JSON:
``per_symbol_positions.AAPL.p-1.quantity``, for which ``positions.p-1.quantity`` is a short form.
A figure that a state does not have, or that is nothing (the price of an order at market), has no
value: it is left out of :func:`figures`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

from ledger import LedgerDamaged, MissingRate, PortfolioState, add, subtract

__all__ = [
    "BALANCE_FIGURES",
    "ORDER_FIGURES",
    "PLAIN",
    "POSITION_FIGURES",
    "SYMBOL_FIGURES",
    "SYMBOL_MAPS",
    "TOTALS",
    "Figure",
    "figures",
    "net_quantity",
    "symbol_paths",
]

Figure: TypeAlias = Decimal | int | str | bool | datetime
"""What a figure may be; amounts are exact decimals, counts are integers."""

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
"""Figures over the whole portfolio, in its base currency (the last one is a ratio)."""

PLAIN: Final = ("base_currency", "session", "is_halted")

BALANCE_FIGURES: Final = (
    "cash",
    "available",
    "equity",
    "net_pnl",
    "deposited",
    "withdrawn",
    "realized_pnl",
    "unrealized_pnl",
    "fees",
    "funding",
    "tied_up",
    "reserved",
    "market_value",
)

SYMBOL_FIGURES: Final = (
    "currency",
    "mark",
    "quantity",
    "value",
    "realized_pnl",
    "unrealized_pnl",
    "funding",
    "tied_up",
    "reserved",
    "opened_count",
    "closed_count",
    "refused_count",
)
"""``positions.SYMBOL.…``; ``quantity`` is net: what was sold short counts against it."""

SYMBOL_MAPS: Final = ("fees", "limits")
"""``positions.SYMBOL.fees.USD``, ``positions.SYMBOL.limits.NAME``."""

POSITION_FIGURES: Final = (
    "side",
    "quantity",
    "entry_price",
    "current_price",
    "entry_cost",
    "value",
    "unrealized_pnl",
    "realized_pnl",
    "funding",
    "pnl",
    "pnl_pct",
    "multiplier",
    "symbol_context",
    "timestamp",
)

ORDER_FIGURES: Final = (
    "side",
    "status",
    "quantity",
    "price",
    "filled_quantity",
    "fill_rate",
    "average_price",
    "reserved",
    "exchange",
    "position_id",
    "timestamp",
)


def figures(state: PortfolioState) -> dict[str, Figure]:
    """Return every figure of ``state`` by its path, in the order a reader expects.

    The moment itself (sequence number, times, digest) is not among them. A total that cannot be
    told, because a rate is missing or a stream is in quarantine, is left out.
    """
    found: dict[str, Figure] = {}
    for name in PLAIN:
        _put(found, name, getattr(state, name))
    for name in TOTALS:
        try:
            found[name] = getattr(state, name)
        except (MissingRate, LedgerDamaged):
            continue  # no figure; asking for this one alone raises
    for name, amounts in (("rates", state.rates), ("limits", state.limits)):
        _put_map(found, name, amounts)
    _put_map(found, "quarantined", state.quarantined)
    for currency, balance in state.balances.items():
        _put_fields(found, f"balances.{currency}", balance, BALANCE_FIGURES)
    symbols = {*state.symbols, *state.per_symbol_positions, *state.per_symbol_orders}
    for symbol in sorted(symbols):
        found.update(symbol_paths(state, symbol))
    return found


def symbol_paths(state: PortfolioState, symbol: str) -> dict[str, Figure]:
    """Return the figures of one symbol, its positions and its orders by their paths."""
    found: dict[str, Figure] = {}
    own = state.symbols.get(symbol)
    if own is not None:
        prefix = f"positions.{symbol}"
        _put(found, f"{prefix}.quantity", net_quantity(state, symbol))
        _put(found, f"{prefix}.value", state.get_total_symbol_position_value(symbol))
        stored = (name for name in SYMBOL_FIGURES if name not in ("quantity", "value"))
        _put_fields(found, prefix, own, stored)
        for name in SYMBOL_MAPS:
            _put_map(found, f"{prefix}.{name}", getattr(own, name))
    for key, position in state.get_symbol_positions(symbol).items():
        _put_fields(found, f"per_symbol_positions.{symbol}.{key}", position, POSITION_FIGURES)
    for key, order in state.get_symbol_orders(symbol).items():
        _put_fields(found, f"per_symbol_orders.{symbol}.{key}", order, ORDER_FIGURES)
    return found


def net_quantity(state: PortfolioState, symbol: str) -> Decimal:
    """Return what is held of a symbol: bought positions less sold ones."""
    total = Decimal(0)
    for position in state.get_symbol_positions(symbol).values():
        total = (add if position.side == "buy" else subtract)(total, position.quantity)
    return total


def _put(found: dict[str, Figure], path: str, value: Figure | None) -> None:
    if value is not None:
        found[path] = value


def _put_fields(found: dict[str, Figure], prefix: str, item: Any, names: Iterable[str]) -> None:
    for name in names:
        _put(found, f"{prefix}.{name}", getattr(item, name))


def _put_map(found: dict[str, Figure], prefix: str, items: Mapping[str, Figure]) -> None:
    for key, value in items.items():
        found[f"{prefix}.{key}"] = value
