"""Counting positions and fills a second time, from the events alone."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ledger.accounts import OrderEntry, SymbolAccount
from ledger.amounts import ZERO, plain, share
from ledger.event import Event
from ledger.events import (
    EventReversed,
    OrderFilled,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    split_ratio,
)
from ledger.postings import changes_by_key
from ledger.problem import Problems

__all__ = ["PositionAudit"]

_SLACK = 256


class _Count:
    """What one symbol's events say: quantities by position, fills and moves by order."""

    def __init__(self) -> None:
        self.quantities: dict[str, Decimal] = {}
        self.opened_count = self.closed_count = 0
        self.filled: dict[str, Decimal] = {}
        self.moved: dict[str, Decimal] = {}


class PositionAudit:
    """Follows the events of all symbols; call inside ``exact()``, after each event was folded.

    Args:
        problems: Where to put what is wrong.
    """

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._counts: dict[str, _Count] = {}

    def take(self, event: Event, account: SymbolAccount, seq: int) -> None:
        """Count an event that its account could take."""
        count = self._counts.get(event.symbol)
        if count is None:
            count = self._counts[event.symbol] = _Count()
        if isinstance(event, OrderFilled):
            _add(count.filled, event.order_id, event.quantity)
        elif isinstance(event, EventReversed):
            _take_back(count, event.undo or {})
        elif isinstance(event, PositionAdjusted):
            if event.split is not None:
                new, old = map(Decimal, split_ratio(event.split))
                count.quantities[event.position_id] = share(
                    count.quantities[event.position_id], new, old
                )
        elif isinstance(
            event, PositionOpened | PositionIncreased | PositionReduced | PositionClosed
        ):
            self._check_fills(event.order_id, _moved(count, event), count, account, seq)

    def _check_fills(
        self, order_id: str | None, moved: Decimal, count: _Count, account: SymbolAccount, seq: int
    ) -> None:
        """Where an order's fills are recorded, positions have moved by no more."""
        if order_id is None or order_id not in account.orders:
            return
        _add(count.moved, order_id, moved)
        filled = count.filled.get(order_id, ZERO)
        if filled and count.moved[order_id] > filled:
            self._problems.found(
                "fills",
                f"positions moved by {plain(count.moved[order_id])} for order {order_id}, of which "
                f"{plain(filled)} is filled",
                seq=seq,
                symbol=account.symbol,
            )
        if len(count.filled) + len(count.moved) > 4 * len(account.orders) + _SLACK:
            known = account.orders
            count.filled = {key: value for key, value in count.filled.items() if key in known}
            count.moved = {key: value for key, value in count.moved.items() if key in known}

    def check(self, account: SymbolAccount, orders: Mapping[str, OrderEntry], seq: int) -> None:
        """Compare what was counted with what the fold holds, of these orders of the account."""
        count = self._counts.get(account.symbol) or _Count()
        held = {key: entry.quantity for key, entry in account.positions.items()}
        for key in sorted({*held, *count.quantities}):
            if held.get(key) == count.quantities.get(key):
                continue
            message = (
                f"position {key} has {_shown(held.get(key))} open; its events say "
                f"{_shown(count.quantities.get(key))}"
            )
            self._problems.found("position", message, seq=seq, symbol=account.symbol)
        counted = count.opened_count, count.closed_count, len(count.quantities)
        folded = account.opened_count, account.closed_count, len(account.positions)
        if counted != folded or folded[0] - folded[1] != folded[2]:
            message = "opened, closed, open: {}, {}, {}; the events say {}, {}, {}"
            self._problems.found(
                "position", message.format(*folded, *counted), seq=seq, symbol=account.symbol
            )
        for key, order in orders.items():
            if order.filled != count.filled.get(key, ZERO):
                message = f"order {key} has {plain(order.filled)} filled; its fills add up to "
                message += plain(count.filled.get(key, ZERO))
                self._problems.found("fills", message, seq=seq, symbol=account.symbol)


def _shown(quantity: Decimal | None) -> str:
    return "nothing" if quantity is None else plain(quantity)


def _add(totals: dict[str, Decimal], key: str, value: Decimal) -> None:
    totals[key] = totals.get(key, ZERO) + value


def _moved(
    count: _Count, event: PositionOpened | PositionIncreased | PositionReduced | PositionClosed
) -> Decimal:
    """Count a position event and return by how much it moved the position."""
    key = event.position_id
    if isinstance(event, PositionClosed):
        count.closed_count += 1
        return count.quantities.pop(key, ZERO)
    if isinstance(event, PositionReduced):
        left = count.quantities[key] - event.quantity
        count.quantities[key] = left
        if not left:
            del count.quantities[key]
            count.closed_count += 1
    else:
        _add(count.quantities, key, event.quantity)
        count.opened_count += isinstance(event, PositionOpened)
    return event.quantity


def _take_back(count: _Count, undo: Mapping[str, Any]) -> None:
    """Count back what a reversed event had contributed."""
    count.opened_count -= undo.get("opened_count", 0)
    count.closed_count -= undo.get("closed_count", 0)
    for key, change in changes_by_key(undo.get("positions")):
        _restore(count.quantities, key, change, "quantity")
    for key, change in changes_by_key(undo.get("orders")):
        _restore(count.filled, key, change, "filled")
        _restore(count.moved, key, change, "moved")


def _restore(totals: dict[str, Decimal], key: str, change: Any, field: str) -> None:
    """Set one total to what it was before the change, where the change names it."""
    if isinstance(change, list):
        before = (change[0] or {}).get(field)
    elif field in change:
        before = change[field][0]
    else:
        return
    if before is None:
        totals.pop(key, None)
    else:
        totals[key] = Decimal(before)
