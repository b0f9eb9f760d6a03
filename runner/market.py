"""What a market looks like to a runner: books, snapshots, and who provides them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Protocol, runtime_checkable

import msgspec

__all__ = ["Book", "MarketDataProvider", "PerishableProvider", "Snapshot"]


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The best bid and ask of one symbol at one venue, in the symbol's quote currency.

    Attributes:
        bid_size, ask_size: Quantity on offer at the best price; ``None`` where it is not known.
        last: The price of the last trade, where the source has one.
        occurred_at: When the venue says the book stood so.
    """

    venue: str
    symbol: str
    bid: Decimal
    ask: Decimal
    occurred_at: datetime
    bid_size: Decimal | None = None
    ask_size: Decimal | None = None
    last: Decimal | None = None

    @property
    def is_crossed(self) -> bool:
        """Whether the bid is not below the ask: such a book is no market."""
        return self.bid >= self.ask

    @property
    def is_empty(self) -> bool:
        """Whether one side has no price or nothing on offer."""
        return self.bid <= 0 or self.ask <= 0 or self.bid_size == 0 or self.ask_size == 0


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The market of one symbol at one moment: one book, or one per venue of a pair.

    Attributes:
        symbol: What the provider was asked for.
        books: In the order of the configured venues; never empty.
        split: The ratio of a split that takes effect with this snapshot, such as ``"7/1"``.
    """

    symbol: str
    occurred_at: datetime
    books: tuple[Book, ...]
    split: str | None = None

    @property
    def book(self) -> Book:
        """The first, and for a single venue the only, book."""
        return self.books[0]


class MarketDataProvider(Protocol):
    """Where snapshots come from. The sync and async forms answer alike."""

    def get_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return the latest snapshot, or ``None`` where there is none for this symbol."""

    async def aget_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return the latest snapshot, or ``None`` where there is none for this symbol."""

    def start(self) -> None:
        """Begin to provide; idempotent."""

    async def astart(self) -> None:
        """Begin to provide; idempotent."""

    def stop(self) -> None:
        """Stop and release everything; idempotent."""

    async def astop(self) -> None:
        """Stop and release everything; idempotent."""


@runtime_checkable
class PerishableProvider(Protocol):
    """A provider whose books go stale, also while a runner decides on them."""

    def is_fresh(self, book: Book) -> bool:
        """Whether a book that was handed out may still be traded on."""
