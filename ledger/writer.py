"""Appending under a name: the async writer, whose commits are sent together, and the sync one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from ledger.commit import Commit, Draft, Expected
from ledger.errors import LedgerError
from ledger.event import Event
from ledger.store import Steps
from ledger.writing import WriterCore

__all__ = ["SyncWriter", "Writer"]

_TOGETHER: Final = 128

Drive: TypeAlias = Callable[[Steps[None]], None]
AsyncDrive: TypeAlias = Callable[[Steps[None]], Awaitable[None]]


class Writer:
    """Appends commits under a name; a newer run of that name locks this one out.

    Commits of many coroutines are sent together and share a sync to disk.
    """

    def __init__(self, drive: AsyncDrive, name: str, core: WriterCore) -> None:
        self._drive = drive
        self._core = core
        self._waiting: list[tuple[Draft, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None
        self.name = name

    @property
    def epoch(self) -> int | None:
        """The number of this run; ``None`` for a writer without a name."""
        return self._core.epoch

    async def append(
        self,
        events: Event | Sequence[Event],
        *,
        expected: Expected = None,
        commit_id: str | None = None,
    ) -> Commit:
        """Append one commit: all of its events or none. It is durable when this returns.

        Args:
            events: One event, or up to 1,000 of any symbols, in their order.
            expected: The sequence number that must be the portfolio's last, or a mapping from
                symbols to the revisions their streams must have.
            commit_id: An id of your own. The same id and events again return the first outcome.

        Raises:
            RuleViolation: The state cannot take an event; names the event, the rule, the value.
            RevisionConflict: ``expected`` is not what is there; carries the events that are.
            Fenced: A newer run of this writer has taken over.
            CommitMismatch: ``commit_id`` is recorded with other events.
            StoreError: The store is away or refuses. Whether the commit was recorded is not known
                then: append it again with the same ``commit_id``.
        """
        batch = [events] if isinstance(events, Event) else list(events)
        draft = self._core.draft(batch, expected=expected, commit_id=commit_id)
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((draft, done))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_waiting())
        await done
        return draft.result()

    async def _send_waiting(self) -> None:
        """Send what waits, together, until nothing does."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
                await self._send(batch)
        finally:
            # Should this end in a way nobody foresaw, the next append begins anew.
            self._sending = None
            left, self._waiting = self._waiting, []
            for _, done in left:
                _settle(done)

    async def _send(self, batch: list[tuple[Draft, asyncio.Future[None]]]) -> None:
        drafts = [draft for draft, _ in batch]
        try:
            await self._drive(self._core.append(drafts))
        except LedgerError as error:
            _fail(drafts, error)
        finally:
            for _, done in batch:
                _settle(done)

    async def aclose(self) -> None:
        """Wait until everything that was appended has its outcome."""
        while self._sending is not None:
            await asyncio.wait([self._sending])


def _settle(done: asyncio.Future[None]) -> None:
    """Wake who waits for an outcome, unless it was cancelled meanwhile."""
    if not done.done():
        done.set_result(None)


def _fail(drafts: Sequence[Draft], error: LedgerError) -> None:
    """Give the error to every draft whose outcome it leaves unknown."""
    for draft in drafts:
        if draft.outcome is None:
            draft.outcome = error


class SyncWriter:
    """The form of :class:`Writer` for programs without a loop; may be shared by threads."""

    def __init__(self, drive: Drive, name: str, core: WriterCore) -> None:
        self._drive = drive
        self._core = core
        self._turn = threading.Lock()
        self.name = name

    @property
    def epoch(self) -> int | None:
        """The number of this run; ``None`` for a writer without a name."""
        return self._core.epoch

    def append(
        self,
        events: Event | Sequence[Event],
        *,
        expected: Expected = None,
        commit_id: str | None = None,
    ) -> Commit:
        """Append one commit; see :meth:`Writer.append`."""
        batch = [events] if isinstance(events, Event) else list(events)
        with self._turn:
            draft = self._core.draft(batch, expected=expected, commit_id=commit_id)
            self._drive(self._core.append([draft]))
        return draft.result()

    def append_many(self, commits: Sequence[Sequence[Event]]) -> list[Commit]:
        """Append several commits, sent together; each is all or nothing by itself.

        Raises:
            LedgerError: The first of them that was refused; those before and after it may have
                been recorded.
        """
        with self._turn:
            drafts = [self._core.draft(events) for events in commits]
            for first in range(0, len(drafts), _TOGETHER):
                self._drive(self._core.append(drafts[first : first + _TOGETHER]))
        return [draft.result() for draft in drafts]
