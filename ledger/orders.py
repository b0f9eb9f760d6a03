"""The order state machine: one table that says what may happen to an order, and what it becomes.

=================  ========  ======  =======  =========  ========  =======
status             Accepted  Filled  Amended  Cancelled  Rejected  Expired
=================  ========  ======  =======  =========  ========  =======
pending            accepted  fill    pending  cancelled  rejected  expired
accepted           --        fill    same     cancelled  rejected  expired
partially_filled   same (a)  fill    same     cancelled  --        expired
filled             same (a)  --      --       --         --        --
cancelled          same (a)  late(b) --       --         --        --
rejected           --        --      --       --         --        --
expired            same (a)  late(b) --       --         --        --
=================  ========  ======  =======  =========  ========  =======

*fill*: ``filled`` once nothing remains, else ``partially_filled``.

(a) Fills and cancellations travel faster than acknowledgements on some venues; one that arrives
    late says nothing new and changes nothing but the venue's order id.
(b) A cancellation races the fills that the venue had already matched. Such a late fill is real: it
    is recorded, and the order stays what it was unless nothing of it remains.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["OrderSide", "OrderStatus", "next_status"]


class OrderSide(StrEnum):
    """Which way an order trades, or a position stands."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> OrderSide:
        """The other side."""
        return OrderSide.SELL if self is OrderSide.BUY else OrderSide.BUY


class OrderStatus(StrEnum):
    """Where an order is in its life."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"

    # Kept on the members: asking a table for them costs a call for every event.
    is_working: bool
    """Whether the order reserves money and may still be amended, cancelled or filled."""
    after: dict[str, OrderStatus]
    """What each event type that may happen to the order makes of it; the table below."""


_S = OrderStatus

# (status, event type) -> status. A pair that is not here is refused. For a fill this is the
# status while something remains; an order that is wholly filled is FILLED whatever it was.
_TABLE: Final[dict[tuple[OrderStatus, str], OrderStatus]] = {
    (_S.PENDING, "OrderAccepted"): _S.ACCEPTED,
    (_S.PENDING, "OrderFilled"): _S.PARTIALLY_FILLED,
    (_S.PENDING, "OrderAmended"): _S.PENDING,
    (_S.PENDING, "OrderCancelled"): _S.CANCELLED,
    (_S.PENDING, "OrderRejected"): _S.REJECTED,
    (_S.PENDING, "OrderExpired"): _S.EXPIRED,
    (_S.ACCEPTED, "OrderFilled"): _S.PARTIALLY_FILLED,
    (_S.ACCEPTED, "OrderAmended"): _S.ACCEPTED,
    (_S.ACCEPTED, "OrderCancelled"): _S.CANCELLED,
    (_S.ACCEPTED, "OrderRejected"): _S.REJECTED,
    (_S.ACCEPTED, "OrderExpired"): _S.EXPIRED,
    (_S.PARTIALLY_FILLED, "OrderAccepted"): _S.PARTIALLY_FILLED,  # (a)
    (_S.PARTIALLY_FILLED, "OrderFilled"): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, "OrderAmended"): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, "OrderCancelled"): _S.CANCELLED,
    (_S.PARTIALLY_FILLED, "OrderExpired"): _S.EXPIRED,
    (_S.FILLED, "OrderAccepted"): _S.FILLED,  # (a)
    (_S.CANCELLED, "OrderAccepted"): _S.CANCELLED,  # (a)
    (_S.CANCELLED, "OrderFilled"): _S.CANCELLED,  # (b)
    (_S.EXPIRED, "OrderAccepted"): _S.EXPIRED,  # (a)
    (_S.EXPIRED, "OrderFilled"): _S.EXPIRED,  # (b)
}


for _status in OrderStatus:
    _status.is_working = _status in (_S.PENDING, _S.ACCEPTED, _S.PARTIALLY_FILLED)
    _status.after = {event: next_ for (before, event), next_ in _TABLE.items() if before is _status}


def next_status(status: OrderStatus, event_type: str) -> OrderStatus | None:
    """Return what an order becomes, or ``None`` where the table refuses the event."""
    return status.after.get(event_type)
