"""The watched figures of one symbol: what each of its events can reach, and what that is now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final

from ledger import (
    Event,
    OrderAccepted,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    RiskLimitSet,
    SymbolAccount,
    TradeRefused,
    exact,
    order_from_entry,
)
from replay.figures import (
    ORDER_FIGURES,
    POSITION_FIGURES,
    SYMBOL_FIGURES,
    SYMBOL_MAPS,
    net_quantity,
)
from replay.order_events import ORDER_EVENTS
from replay.valued import ValuedState
from replay.watched import Choice, Moved, WatchedFields, WatchedItems

__all__ = ["WatchedSymbol"]

_BY_ORDER: Final = ("currency", "reserved", "fees")
_BY_PRICE: Final = ("mark", "value", "unrealized_pnl")
_BY_POSITION: Final = (
    *("currency", "mark", "quantity", "value", "realized_pnl", "unrealized_pnl"),
    *("fees", "funding", "tied_up", "opened_count", "closed_count"),
)
_OF_SYMBOL: Final = (*SYMBOL_FIGURES, *SYMBOL_MAPS)

# What an event of a symbol can change of it, apart from its items; all, where it is not listed.
_REACH: Final[dict[type[Event], tuple[str, ...]]] = {
    **dict.fromkeys(ORDER_EVENTS, _BY_ORDER),
    OrderAccepted: (),
    PriceMarked: _BY_PRICE,
    PositionOpened: _BY_POSITION,
    PositionIncreased: _BY_POSITION,
    PositionReduced: _BY_POSITION,
    PositionClosed: _BY_POSITION,
    PositionAdjusted: _BY_POSITION,
    RiskLimitSet: ("limits",),
    TradeRefused: ("refused_count",),
}
_FIGURES_ONLY: Final = (RiskLimitSet, TradeRefused)


# An account names its amounts as the figures are named, but for those of its positions together.
_READERS: Final[dict[str, Callable[[SymbolAccount], Any]]] = {
    name: attrgetter(name) for name in _OF_SYMBOL if name not in ("quantity", "value")
} | {"quantity": lambda account: net_quantity(account.positions)}


class WatchedSymbol:
    """The watched figures of one symbol, its positions and its orders.

    Args:
        symbol: The symbol.
        choice: The figures that are watched.
        before: The state as it is; ``None`` where the first values count as moved.
    """

    def __init__(self, symbol: str, choice: Choice, before: ValuedState | None) -> None:
        self._symbol = symbol
        own = choice.fields("symbol", _OF_SYMBOL, symbol)
        self._fields = own
        self._reach = {kind: tuple(f for f in names if f in own) for kind, names in _REACH.items()}
        self._before = account = None if before is None else before.accounts.symbols.get(symbol)
        known = {} if before is None or account is None else _known_of(before, account, own)
        self._figures = WatchedFields(f"positions.{symbol}.", SYMBOL_MAPS, known)
        positions, orders = "per_symbol_positions", "per_symbol_orders"
        self._positions = WatchedItems(
            f"{positions}.{symbol}.",
            choice.fields(positions, POSITION_FIGURES, symbol),
            choice.keys(positions, symbol),
            {} if before is None or account is None else before.get_symbol_positions(symbol),
        )
        self._orders = WatchedItems(
            f"{orders}.{symbol}.",
            choice.fields(orders, ORDER_FIGURES, symbol),
            choice.keys(orders, symbol),
            {},
        )
        # There are many, and few of them are touched: what they were is looked at when they are.
        self._unseen = {} if account is None else dict(account.orders)

    def see(self, live: ValuedState, event: Event, moved: Moved) -> None:
        """Note what an event of this symbol has changed; inside ``exact()``."""
        kind = event.__class__
        account = live.accounts.symbols[self._symbol]
        if kind in ORDER_EVENTS:
            if self._orders.fields:
                self._see_orders(account, (event.order_id,), moved)  # type: ignore[attr-defined]
        elif kind not in _FIGURES_ONLY:
            if self._positions.fields:
                self._positions.see_all(live.get_symbol_positions(self._symbol), moved)
            if kind not in _REACH and self._orders.fields:
                self._see_orders(account, account.orders, moved)
        fields = self._reach.get(kind, self._fields)
        for name in fields if self._figures.known else self._fields:
            if name == "value":
                value = live.get_total_symbol_position_value(self._symbol)
            else:
                value = _READERS[name](account)
            self._figures.see(name, value, moved)

    def _see_orders(self, account: SymbolAccount, ids: Iterable[str], moved: Moved) -> None:
        watched, entries = self._orders, account.orders
        for order_id in ids:
            self._see_order(account, order_id, moved)
        # Of the orders that are done, the account keeps the latest few: another one may be gone.
        if watched.is_all and len(watched.known) + len(self._unseen) == len(entries):
            return
        for known in (watched.known, self._unseen):
            if not known.keys() <= entries.keys():
                for order_id in known.keys() - entries.keys():
                    self._see_order(account, order_id, moved)

    def _see_order(self, account: SymbolAccount, order_id: str, moved: Moved) -> None:
        watched = self._orders
        if not watched.has(order_id):
            return
        before = self._unseen.pop(order_id, None)
        if before is not None and self._before is not None:
            watched.known[order_id] = order_from_entry(self._before, order_id, before)
        entry = account.orders.get(order_id)
        order = None if entry is None else order_from_entry(account, order_id, entry)
        watched.see(order_id, order, moved)


def _known_of(state: ValuedState, account: SymbolAccount, names: Iterable[str]) -> dict[str, Any]:
    with exact():
        return {
            name: state.get_total_symbol_position_value(account.symbol)
            if name == "value"
            else _READERS[name](account)
            for name in names
        }
