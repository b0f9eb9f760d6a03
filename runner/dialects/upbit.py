"""Upbit: order books of many markets over one subscription."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from runner.dialects.base import (
    NOTHING,
    BadMessage,
    SequencedBook,
    decode,
    level,
    moment_from_milliseconds,
    need_upper_case,
)
from runner.market import Book

__all__ = ["UpbitDialect"]


class _UpbitUnit(msgspec.Struct):
    ask_price: Decimal
    bid_price: Decimal
    ask_size: Decimal
    bid_size: Decimal


class _UpbitMessage(msgspec.Struct):
    type: str | None = None
    code: str | None = None
    timestamp: int | None = None
    orderbook_units: list[_UpbitUnit] | None = None
    status: str | None = None
    error: dict[str, Any] | None = None


_UPBIT = msgspec.json.Decoder(_UpbitMessage)


class UpbitDialect:
    """Upbit order books: the best of the units, with the venue's time, which also orders them.

    Args:
        venue: The name that the books carry.
        ticket: Names the subscriber to the venue.
    """

    name = "upbit"

    def __init__(self, venue: str = "upbit", ticket: str = "portfolio-ledger") -> None:
        self._venue = venue
        self._ticket = ticket

    def subscribe_messages(self, symbols: Sequence[str]) -> list[str]:
        """Return the one request; Upbit replaces a subscription, it does not add to it."""
        need_upper_case(symbols, "KRW-BTC")
        request = [
            {"ticket": self._ticket},
            {"type": "orderbook", "codes": list(symbols)},
            {"format": "DEFAULT"},
        ]
        return [msgspec.json.encode(request).decode()]

    def books(self, message: str | bytes, received_at: datetime) -> list[SequencedBook]:
        """Return the book of an ``orderbook`` message; nothing for a status."""
        told = decode(_UPBIT, message, self.name)
        if told.error is not None:
            raise BadMessage(self.name, message, f"is a refusal: {told.error}")
        if told.status is not None:
            return []
        try:
            return [self._book(told)]
        except (ValueError, OverflowError) as error:
            raise BadMessage(self.name, message, f"is no book: {error}") from error

    def _book(self, told: _UpbitMessage) -> SequencedBook:
        units = told.orderbook_units
        if told.type != "orderbook" or not told.code or told.timestamp is None or units is None:
            raise ValueError("type, code, timestamp or units are missing")
        bid = level(units[0].bid_price, units[0].bid_size, "bid") if units else NOTHING
        ask = level(units[0].ask_price, units[0].ask_size, "ask") if units else NOTHING
        book = Book(
            venue=self._venue,
            symbol=told.code,
            bid=bid[0],
            ask=ask[0],
            bid_size=bid[1],
            ask_size=ask[1],
            occurred_at=moment_from_milliseconds(told.timestamp),
        )
        return SequencedBook(book, told.timestamp)
