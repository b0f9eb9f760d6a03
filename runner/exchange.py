"""What an exchange looks like to a runner: requests go in, reports come out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

__all__ = ["Exchange", "ExchangeUnavailable", "OrderRequest", "Report", "ReportKind"]


class ReportKind(StrEnum):
    """What a report says of an order."""

    ACCEPTED = "accepted"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the exchange gets it; ``client_order_id`` is the ledger's ``order_id``."""

    client_order_id: str
    symbol: str
    side: str  # "buy" or "sell"
    quantity: Decimal
    price: Decimal | None = None  # the limit; none: at market


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange says happened to an order, once, in the order it happened.

    Attributes:
        report_id: Grows by one with each report of this exchange; where to continue from.
        trade_id: Of a fill: unique at the exchange.
        quantity, price, fee, fee_currency: Of a fill.
        reason: Of a rejection, cancellation or expiry.
    """

    report_id: int
    client_order_id: str
    symbol: str
    kind: ReportKind
    occurred_at: datetime
    venue_order_id: str | None = None
    trade_id: str | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    fee: Decimal | None = None
    fee_currency: str | None = None
    reason: str | None = None


class ExchangeUnavailable(ConnectionError):
    """The exchange did not answer: whether the request arrived is not known."""


class Exchange(Protocol):
    """A venue that takes orders. Every call may raise :class:`ExchangeUnavailable`."""

    @property
    def name(self) -> str:
        """The venue's name, as an order's ``venue`` says it."""

    async def place(self, request: OrderRequest) -> Sequence[Report]:
        """Place an order and return what is known of it at once.

        Placing the same ``client_order_id`` again places nothing and returns the order's reports.
        """

    async def cancel(self, client_order_id: str) -> Sequence[Report]:
        """Ask for a cancellation; the reports say whether it or a fill came first."""

    async def query(self, client_order_id: str) -> Sequence[Report] | None:
        """Return every report of one order so far, or ``None`` if it never arrived."""

    async def reports(self, after: int = 0) -> Sequence[Report]:
        """Return the reports of all orders with a ``report_id`` above ``after``."""
