"""Figures and their paths: the one list of what a state tells, and how each figure is named.

A path is what users write (``equity``, ``balances.USD.cash``, ``positions.AAPL.realized_pnl``). The
paths of one position or order are those of a state as JSON:
``per_symbol_positions.AAPL.p-1.quantity``, for which ``positions.p-1.quantity`` is a short form.
A figure that a state does not have, or that is nothing (the price of an order at market), has no
value: it is left out of :func:`figures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol, TypeAlias

from ledger import (
    Balance,
    LedgerDamaged,
    MissingRate,
    Order,
    PortfolioState,
    Position,
    SymbolFigures,
    add,
    subtract,
)
from ledger.amounts import trimmed

__all__ = [
    "BALANCE_FIGURES",
    "ORDER_FIGURES",
    "PLAIN",
    "PORTFOLIO_MAPS",
    "POSITION_FIGURES",
    "SYMBOL_FIGURES",
    "SYMBOL_MAPS",
    "TOTALS",
    "Figure",
    "Held",
    "Item",
    "figures",
    "figures_of",
    "items",
    "net_quantity",
]

Figure: TypeAlias = Decimal | int | str | bool | datetime
"""What a figure may be; amounts are exact decimals, counts are integers."""

Item: TypeAlias = Balance | Position | Order | Mapping[str, Figure]
"""What has figures: a balance, a position, an order, or figures by their names."""

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

PORTFOLIO_MAPS: Final = ("rates", "limits", "quarantined")
"""``rates.EUR/USD``, ``limits.NAME``, ``quarantined.SYMBOL``."""

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

_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    Balance: BALANCE_FIGURES,
    Position: POSITION_FIGURES,
    Order: ORDER_FIGURES,
}


class Held(Protocol):
    """What :func:`net_quantity` asks of a position."""

    @property
    def side(self) -> str:
        """``buy`` or ``sell``."""

    @property
    def quantity(self) -> Decimal:
        """How much, above zero."""


def figures(state: PortfolioState) -> dict[str, Figure]:
    """Return every figure of ``state`` by its path, in the order a reader expects.

    The moment itself (sequence number, times, digest) is not among them. A total that cannot be
    told, because a rate is missing or a stream is in quarantine, is left out.
    """
    return {
        prefix + name: value
        for prefix, item in items(state).items()
        for name, value in figures_of(item).items()
    }


def items(
    state: PortfolioState, orders: Mapping[str, Mapping[str, Order]] | None = None
) -> dict[str, Item]:
    """Return what ``state`` consists of, by what the paths of its figures begin with.

    Two items that are equal have the same figures: comparing them is much quicker than comparing
    each of their figures.

    Args:
        state: The state.
        orders: The orders by symbol and id, where not all of the state's are meant.
    """
    if orders is None:
        orders = state.per_symbol_orders
    found: dict[str, Item] = {"": _of_portfolio(state)}
    for name in PORTFOLIO_MAPS:
        found[f"{name}."] = getattr(state, name)
    for currency, balance in state.balances.items():
        found[f"balances.{currency}."] = balance
    for symbol in sorted({*state.symbols, *state.per_symbol_positions, *orders}):
        own = state.symbols.get(symbol)
        if own is not None:
            found[f"positions.{symbol}."] = _of_symbol(state, symbol, own)
        for key, position in state.get_symbol_positions(symbol).items():
            found[f"per_symbol_positions.{symbol}.{key}."] = position
        for key, order in orders.get(symbol, {}).items():
            found[f"per_symbol_orders.{symbol}.{key}."] = order
    return found


def figures_of(item: Item) -> Mapping[str, Figure]:
    """Return the figures of one item by what their paths end with."""
    fields = _FIELDS.get(type(item))
    if fields is None:
        return item  # type: ignore[return-value]
    return {name: value for name in fields if (value := getattr(item, name)) is not None}


def _of_portfolio(state: PortfolioState) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    for name in PLAIN:
        _put(found, name, getattr(state, name))
    for name in TOTALS:
        try:
            found[name] = getattr(state, name)
        except (MissingRate, LedgerDamaged):
            continue  # no figure; asking for this one alone raises
    return found


def _of_symbol(state: PortfolioState, symbol: str, own: SymbolFigures) -> dict[str, Figure]:
    found: dict[str, Figure] = {"quantity": net_quantity(state.get_symbol_positions(symbol))}
    found["value"] = state.get_total_symbol_position_value(symbol)
    for name in SYMBOL_FIGURES:
        if name not in found:
            _put(found, name, getattr(own, name))
    for name in SYMBOL_MAPS:
        found |= {f"{name}.{key}": value for key, value in getattr(own, name).items()}
    return found


def net_quantity(positions: Mapping[str, Held]) -> Decimal:
    """Return what positions of one symbol hold together: bought ones less sold ones."""
    total = Decimal(0)
    for position in positions.values():
        total = (add if position.side == "buy" else subtract)(total, position.quantity)
    return trimmed(total)


def _put(found: dict[str, Figure], path: str, value: Figure | None) -> None:
    if value is not None:
        found[path] = value
