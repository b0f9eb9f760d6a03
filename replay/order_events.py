"""The events of an order's life, which move that one order and none of the positions."""

from __future__ import annotations

from typing import Final

from ledger import (
    Event,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
)

__all__ = ["ORDER_EVENTS"]

ORDER_EVENTS: Final[frozenset[type[Event]]] = frozenset(
    {
        OrderPlaced,
        OrderAccepted,
        OrderFilled,
        OrderAmended,
        OrderCancelled,
        OrderRejected,
        OrderExpired,
    }
)
