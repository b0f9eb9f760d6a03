"""The latest book of each symbol, guarded against age, reordering and mixed-up symbols."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import NamedTuple

from runner.dialects import SequencedBook
from runner.market import Book

__all__ = ["LatestBooks"]


class _Received(NamedTuple):
    book: Book
    received_at: datetime


class LatestBooks:
    """The latest book of each symbol until it is stale; safe to use from any thread.

    Args:
        symbols: Whose books are kept; others are counted and dropped.
        stale_after: The age, counted from its receipt, up to which a book is handed out.

    Attributes:
        accepted_count: Books taken in.
        stale_count: Books that became stale, by age or by :meth:`forget`, before a newer one came.
        reordered_count: Books dropped because a newer one of their symbol had come before them.
        unknown_symbol_count: Books dropped because of their symbol.
    """

    def __init__(self, symbols: frozenset[str], stale_after: timedelta) -> None:
        self._symbols = symbols
        self._stale_after = stale_after
        self._lock = threading.Lock()
        self._received: dict[str, _Received] = {}
        self._sequences: dict[str, int] = {}
        self.accepted_count = 0
        self.stale_count = 0
        self.reordered_count = 0
        self.unknown_symbol_count = 0

    def put(self, sequenced: SequencedBook, now: datetime) -> None:
        """Take in a book received ``now``, unless it is older than the one before it."""
        book, sequence = sequenced.book, sequenced.sequence
        with self._lock:
            if book.symbol not in self._symbols:
                self.unknown_symbol_count += 1
                return
            if sequence is not None:
                if sequence < self._sequences.get(book.symbol, sequence):
                    self.reordered_count += 1
                    return
                self._sequences[book.symbol] = sequence
            self._received[book.symbol] = _Received(book, now)
            self.accepted_count += 1

    def get(self, symbol: str, now: datetime) -> Book | None:
        """Return the latest book of ``symbol``, or ``None`` where there is none or it is stale."""
        with self._lock:
            received = self._received.get(symbol)
            if received is None:
                return None
            # A clock that was set back makes ages negative: such a book's age is not known.
            if abs(now - received.received_at) <= self._stale_after:
                return received.book
            del self._received[symbol]
            self.stale_count += 1
            return None

    def is_fresh(self, book: Book, now: datetime) -> bool:
        """Whether a book handed out earlier may still be traded on.

        One that a newer book has replaced is as old as that one and what lies between the two.
        """
        with self._lock:
            received = self._received.get(book.symbol)
            if received is None:
                return False
            age = abs(now - received.received_at) + (received.book.occurred_at - book.occurred_at)
            return age <= self._stale_after

    def forget(self) -> None:
        """Make every book stale: the connection has gone, and with it its numbering."""
        with self._lock:
            self.stale_count += len(self._received)
            self._received.clear()
            self._sequences.clear()
