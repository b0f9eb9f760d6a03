"""Orders, each with its life: what happened to it, when, and what it became by that."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from ledger import (
    Event,
    EventReversed,
    Order,
    OrderStatus,
    Recorded,
    SymbolAccount,
    evolve,
    order_from_entry,
)
from replay.frames import Rows
from replay.history import History, When
from replay.order_events import ORDER_EVENTS
from replay.timeline import check_symbol

__all__ = ["OrderLife", "OrderStep", "orders"]


class OrderStep(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an order's life, and how the order stood after it."""

    seq: int
    at: datetime
    type: str
    status: OrderStatus
    filled_quantity: Decimal
    reason: str | None = None


class OrderLife(msgspec.Struct, kw_only=True):
    """An order as it stands at the end of a stretch, and the steps that brought it there."""

    order: Order
    steps: list[OrderStep]

    @property
    def placed_seq(self) -> int:
        """The event that placed it."""
        return self.steps[0].seq

    def row(self) -> dict[str, Any]:
        """Return it as the columns of a table."""
        order, first, last = self.order, self.steps[0], self.steps[-1]
        return {
            "order_id": order.order_id,
            "symbol": order.symbol,
            "side": order.side,
            "quantity": order.quantity,
            "price": order.price,
            "status": order.status,
            "filled_quantity": order.filled_quantity,
            "average_price": order.average_price,
            "exchange": order.exchange,
            "position_id": order.position_id,
            "placed_seq": first.seq,
            "placed_at": first.at,
            "last_seq": last.seq,
            "last_at": last.at,
            "reason": last.reason,
            "steps": " → ".join(
                f"{step.type.removeprefix('Order')} #{step.seq}" for step in self.steps
            ),
        }


def orders(
    history: History,
    symbol: str | None = None,
    *,
    status: str | None = None,
    since: When | None = None,
    until: When | None = None,
) -> Rows[OrderLife]:
    """Return the orders to which something happened in a stretch, in the order they were placed.

    Args:
        history: The history.
        symbol: Only of this symbol.
        status: Only those that have it at the end of the stretch, such as ``filled``.
        since, until: The stretch; by default the session.
    """
    if symbol:
        check_symbol(history, symbol)
    first, last = history.span(since, until)
    accounts = history.accounts(0)
    lives: dict[str, OrderLife] = {}
    for recorded in history.events(*(("", symbol) if symbol else ()), last=last):
        evolve(accounts, recorded)
        account = accounts.symbols.get(recorded.symbol)
        if account is None or account.quarantine is not None:
            continue
        for order_id in _concerned(recorded.event):
            _take(lives, recorded, history.time_of(recorded), account, order_id)
    return Rows(
        life
        for life in lives.values()
        if life.steps[-1].seq >= first and status in (None, life.order.status)
    )


def _concerned(event: Event) -> Iterable[str]:
    """The orders that an event happened to."""
    if isinstance(event, EventReversed):
        # What it takes back are changes by id, or the whole map before and after.
        taken = (event.undo or {}).get("orders") or {}
        maps = taken if isinstance(taken, list) else [taken]
        return {order_id for orders in maps for order_id in orders or ()}
    if event.__class__ in ORDER_EVENTS:
        return (event.order_id,)  # type: ignore[attr-defined]
    return ()


def _take(
    lives: dict[str, OrderLife],
    recorded: Recorded,
    at: datetime,
    account: SymbolAccount,
    order_id: str,
) -> None:
    entry = account.orders.get(order_id)
    if entry is None:
        lives.pop(order_id, None)  # its placing was taken back
        return
    order = order_from_entry(account, order_id, entry)
    life = lives.setdefault(order_id, OrderLife(order=order, steps=[]))
    life.order = order
    life.steps.append(_step(recorded, at, order))


def _step(recorded: Recorded, at: datetime, order: Order) -> OrderStep:
    return OrderStep(
        seq=recorded.seq,
        at=at,
        type=recorded.type,
        status=order.status,
        filled_quantity=order.filled_quantity,
        reason=getattr(recorded.event, "reason", None),
    )
