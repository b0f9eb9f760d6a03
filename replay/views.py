"""What users see of positions, orders and symbols, made anew only where events have touched it."""

from __future__ import annotations

from typing import Final

from ledger import (
    Accounts,
    Event,
    EventReversed,
    InstrumentRegistered,
    Order,
    Position,
    SymbolFigures,
    order_from_entry,
    position_from_entry,
    symbol_figures,
)
from replay.order_events import ORDER_EVENTS

__all__ = ["RunningViews"]

_MOST_TOUCHED: Final = 256
_OF_ALL_ORDERS: Final = frozenset({EventReversed, InstrumentRegistered})


class RunningViews:
    """Views of ``accounts``, brought up to date when they are looked at.

    Args:
        accounts: Somebody else evolves them and says so to :meth:`touch`.

    Attributes:
        is_looked_at: Whether any view was made; until then none can be stale.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.is_looked_at = False
        self._touched: list[Event] = []
        self._stale_figures: set[str] = set()
        self._stale_positions: set[str] = set()
        self._stale_orders: dict[str, set[str] | None] = {}
        self._figures: dict[str, SymbolFigures] = {}
        self._positions: dict[str, dict[str, Position]] = {}
        self._orders: dict[str, dict[str, Order]] = {}

    def touch(self, event: Event) -> None:
        """Note an event of a symbol; only needed from the first look on."""
        self._touched.append(event)
        if len(self._touched) >= _MOST_TOUCHED:
            self._note_touched()

    def figures(self) -> dict[str, SymbolFigures]:
        """Return the figures of each symbol."""
        self._look()
        for symbol in sorted(self._stale_figures):
            own = self._accounts.symbols[symbol]
            if own.revision:
                self._figures[symbol] = symbol_figures(own)
        self._stale_figures.clear()
        return self._figures

    def positions(self) -> dict[str, dict[str, Position]]:
        """Return the open positions, by symbol and id."""
        self._look()
        for symbol in sorted(self._stale_positions):
            own = self._accounts.symbols[symbol]
            if own.revision:
                entries = own.positions.items()
                views = {key: position_from_entry(own, entry) for key, entry in entries}
                self._positions[symbol] = views
        self._stale_positions.clear()
        return self._positions

    def orders(self) -> dict[str, dict[str, Order]]:
        """Return the known orders, by symbol and id."""
        self._look()
        for symbol in sorted(self._stale_orders):
            self._renew_orders(symbol, self._stale_orders[symbol])
        self._stale_orders.clear()
        return self._orders

    def _renew_orders(self, symbol: str, order_ids: set[str] | None) -> None:
        """Make the views of some orders anew, or of all, and drop those that are known no more."""
        own = self._accounts.symbols[symbol]
        if not own.revision:
            return
        views = self._orders.get(symbol)
        if order_ids is None or views is None:
            entries = own.orders.items()
            self._orders[symbol] = {key: order_from_entry(own, key, e) for key, e in entries}
            return
        # Those that came since the last look in the order in which they came.
        for key in own.orders if len(order_ids) > 1 else order_ids:
            entry = own.orders.get(key) if key in order_ids else None
            if entry is not None:
                views[key] = order_from_entry(own, key, entry)
        for key in views.keys() - own.orders.keys():
            del views[key]

    def _look(self) -> None:
        """Note which views are to be made, or made anew."""
        if not self.is_looked_at:
            self.is_looked_at = True
            self._stale_figures = set(self._accounts.symbols)
            self._stale_positions = set(self._accounts.symbols)
            self._stale_orders = dict.fromkeys(self._accounts.symbols)
        elif self._touched:
            self._note_touched()

    def _note_touched(self) -> None:
        for event in self._touched:
            symbol = event.symbol
            self._stale_figures.add(symbol)
            if event.__class__ in ORDER_EVENTS:
                stale = self._stale_orders.setdefault(symbol, set())
                if stale is not None:
                    stale.add(event.order_id)  # type: ignore[attr-defined]
                continue
            self._stale_positions.add(symbol)
            if event.__class__ in _OF_ALL_ORDERS:
                self._stale_orders[symbol] = None
        self._touched.clear()
