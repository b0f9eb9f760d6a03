"""Tails as programs use them: iterators over events, with a checkpoint and a look at the lag."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from ledger.checkpoints import Checkpoint
from ledger.event import Recorded
from ledger.keys import Keys
from ledger.lag import Lag, lag
from ledger.store import Steps, arun, run
from ledger.tail import TailCore

if TYPE_CHECKING:
    from ledger.following import Following, SyncFollowing

__all__ = ["SyncTail", "Tail"]

_SAVE_SECONDS: Final = 1.0


class _Place:
    """Where a tail stands in the page it hands out, and what of it is to be saved.

    Args:
        keys: The portfolio's keys.
        core: Reads the pages.
        start: Finds the sequence number to begin after, where it is not the core's own.
        checkpoint: Where to begin if it was saved before, and what to save.
    """

    def __init__(
        self,
        keys: Keys,
        core: TailCore,
        start: Steps[int] | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._keys = keys
        self._core = core
        self._start = start
        self._checkpoint = checkpoint
        self._is_begun = start is None and checkpoint is None
        self._rest: Iterator[Recorded] = iter(())
        # The last event handed out of this page and the one before it, where the page began.
        self._last: Recorded | None = None
        self._prior: Recorded | None = None
        self._base = self._saved = core.position
        self._saved_at = time.monotonic()

    def _begin(self, saved: int) -> Steps[None]:
        """Set the position to what was saved, or else to where the tail is to start."""
        if saved:
            self._core.position = saved
        elif self._start is not None:
            self._core.position = yield from self._start
        self._base = self._core.position
        self._saved = saved
        self._is_begun = True

    def _load(self) -> int:
        return 0 if self._checkpoint is None else self._checkpoint.load()

    @property
    def position(self) -> int:
        """Everything up to this sequence number was handed out; resume with ``after=position``."""
        return self._base if self._last is None else self._last.seq

    @property
    def _before(self) -> int:
        """The position before the last event was handed out."""
        return self._base if self._prior is None else self._prior.seq

    def _end_page(self) -> None:
        """Come to where the page ends, behind events that are not wanted too."""
        self._base = self._core.position
        self._last = self._prior = None

    def _page_from(self, first: Recorded) -> list[Recorded]:
        """Hand out the rest of the page with its first event."""
        page = [first, *self._rest]
        self._prior, self._last = None, page[-1]
        return page

    def _is_save_due(self) -> bool:
        is_due = time.monotonic() - self._saved_at >= _SAVE_SECONDS
        return self._checkpoint is not None and is_due and self._saved != self.position

    def _save(self, seq: int) -> None:
        if self._checkpoint is not None and seq != self._saved:
            self._checkpoint.save(seq)
            self._saved = seq
        self._saved_at = time.monotonic()

    def _lag(self) -> Steps[Lag]:
        symbols = self._core.symbols
        return lag(self._keys, dict.fromkeys(symbols, self.position) if symbols else self.position)


class Tail(_Place):
    """Events in the total order, one by one; an async iterator and an async context manager.

    It pulls: an event is read when it is asked for, so a slow caller piles nothing up, neither here
    nor in the store. It reconnects by itself and goes on where it was; where that does not work
    within the ledger's patience it raises, and it raises when the store has lost what was read.

    With a checkpoint it starts where that stands. Asking for the next event says that those before
    it are handled: they are saved about once a second, and when the ``async with`` block ends (up
    to the last event if it ends well, up to the one before it if an error ends it). After a crash
    what was handled and not yet saved, about two seconds' worth, is handed out again.
    """

    def __init__(
        self,
        ledger: Following,
        core: TailCore,
        start: Steps[int] | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        super().__init__(ledger.keys, core, start, checkpoint)
        self._ledger = ledger
        self._connection = ledger.borrow() if core.is_following else ledger._connection

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Recorded:
        if not self._is_begun:
            saved = await asyncio.to_thread(self._load)
            await arun(self._begin(saved), self._connection)
        while (recorded := next(self._rest, None)) is None:
            self._end_page()
            if self._is_save_due():
                await self.save()
            page = await arun(self._core.page(), self._connection)
            if page is None:
                await self._end(self.position)
                raise StopAsyncIteration
            self._rest = iter(page)
            if not page:
                self._end_page()
        self._prior, self._last = self._last, recorded
        return recorded

    async def pages(self) -> AsyncIterator[list[Recorded]]:
        """Yield the events by the page, for those who take many: each is read in one round trip.

        Asking for the next page says that all events of those before it are handled.
        """
        async for first in self:
            yield self._page_from(first)

    async def save(self) -> None:
        """Save the checkpoint now: everything that was handed out is handled."""
        await asyncio.to_thread(self._save, self.position)

    async def health(self) -> Lag:
        """Return how far the real head is from what was handed out; may be called at any time.

        Raises:
            StoreUnavailable: The store was away for longer than the ledger's patience.
        """
        return await arun(self._lag(), self._ledger._connection)

    async def aclose(self) -> None:
        """Release the connection, without saving; idempotent."""
        await self._ledger.give_back(self._connection)

    async def _end(self, seq: int) -> None:
        try:
            await asyncio.to_thread(self._save, seq)
        finally:
            await self.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end(self.position if error is None else self._before)


class SyncTail(_Place):
    """The form of :class:`Tail` for programs without a loop."""

    def __init__(
        self,
        ledger: SyncFollowing,
        core: TailCore,
        start: Steps[int] | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        super().__init__(ledger.keys, core, start, checkpoint)
        self._ledger = ledger
        self._connection = ledger.borrow() if core.is_following else ledger._connection

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Recorded:
        if not self._is_begun:
            run(self._begin(self._load()), self._connection)
        while (recorded := next(self._rest, None)) is None:
            self._end_page()
            if self._is_save_due():
                self.save()
            page = run(self._core.page(), self._connection)
            if page is None:
                self._end(self.position)
                raise StopIteration
            self._rest = iter(page)
            if not page:
                self._end_page()
        self._prior, self._last = self._last, recorded
        return recorded

    def pages(self) -> Iterator[list[Recorded]]:
        """Yield the events by the page, for those who take many; see :meth:`Tail.pages`."""
        for first in self:
            yield self._page_from(first)

    def save(self) -> None:
        """Save the checkpoint now: everything that was handed out is handled."""
        self._save(self.position)

    def health(self) -> Lag:
        """Return how far the real head is from what was handed out; see :meth:`Tail.health`."""
        return run(self._lag(), self._ledger._connection)

    def close(self) -> None:
        """Release the connection, without saving; idempotent."""
        self._ledger.give_back(self._connection)

    def _end(self, seq: int) -> None:
        try:
            self._save(seq)
        finally:
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end(self.position if error is None else self._before)
