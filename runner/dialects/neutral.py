"""The dialect of our own: plain JSON, described field by field in the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from runner.dialects.base import (
    EPOCH,
    BadMessage,
    SequencedBook,
    decode,
    level,
    moment_from_milliseconds,
)
from runner.market import Book

__all__ = ["NeutralDialect"]

_MICROSECOND = timedelta(microseconds=1)


class _NeutralBook(msgspec.Struct, tag_field="type", tag="book"):
    symbol: str
    bid: Decimal
    ask: Decimal
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None
    time: datetime | int | None = None
    sequence: int | None = None


class _NeutralSubscribed(msgspec.Struct, tag_field="type", tag="subscribed"):
    pass


class _NeutralHeartbeat(msgspec.Struct, tag_field="type", tag="heartbeat"):
    pass


class _NeutralError(msgspec.Struct, tag_field="type", tag="error"):
    message: str


_NEUTRAL = msgspec.json.Decoder(
    _NeutralBook | _NeutralSubscribed | _NeutralHeartbeat | _NeutralError
)


class NeutralDialect:
    """The dialect of our own, for venues and gateways that can be taught one.

    Args:
        venue: The name that the books carry.
    """

    name = "neutral"

    def __init__(self, venue: str = "neutral") -> None:
        self._venue = venue

    def subscribe_messages(self, symbols: Sequence[str]) -> list[str]:
        """Return one ``subscribe`` message that names every symbol."""
        return [msgspec.json.encode({"op": "subscribe", "symbols": list(symbols)}).decode()]

    def books(self, message: str | bytes, received_at: datetime) -> list[SequencedBook]:
        """Return the book of a ``book`` message; nothing for the other types."""
        match decode(_NEUTRAL, message, self.name):
            case _NeutralBook() as told:
                try:
                    return [self._book(told, received_at)]
                except (ValueError, OverflowError) as error:
                    raise BadMessage(self.name, message, f"is no book: {error}") from error
            case _NeutralError(message=reason):
                raise BadMessage(self.name, message, f"is a refusal: {reason}")
            case _:
                return []

    def _book(self, told: _NeutralBook, received_at: datetime) -> SequencedBook:
        occurred_at = (
            moment_from_milliseconds(told.time) if isinstance(told.time, int) else told.time
        )
        if occurred_at is not None and occurred_at.tzinfo is None:
            raise ValueError("its time has no offset from UTC")
        bid, bid_size = level(told.bid, told.bid_size, "bid")
        ask, ask_size = level(told.ask, told.ask_size, "ask")
        book = Book(
            venue=self._venue,
            symbol=told.symbol,
            bid=bid,
            ask=ask,
            bid_size=bid_size,
            ask_size=ask_size,
            last=None if told.last is None else level(told.last, None, "last")[0],
            occurred_at=(occurred_at or received_at).astimezone(UTC),
        )
        if told.sequence is None and occurred_at is not None:
            return SequencedBook(book, (book.occurred_at - EPOCH) // _MICROSECOND)
        return SequencedBook(book, told.sequence)
