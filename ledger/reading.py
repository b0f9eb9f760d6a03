"""Reading the log in total order, page by page, and noticing at once when something is missing.

Sequence numbers have no gaps, so a window of them holds exactly that many events over all streams:
``XRANGE`` of every stream over the same window is a page whose size is known beforehand, and an
event that should be in it and is not has been removed. A reader of some symbols only checks their
revisions in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.entry import (
    Entry,
    Run,
    entry_from_reply,
    runs_from_entry,
)
from ledger.errors import LedgerDamaged
from ledger.keys import Keys
from ledger.store import Command, Reply

__all__ = ["MAX_COMMIT_EVENTS", "PageReader", "wrong_revision"]

MAX_COMMIT_EVENTS: Final = 1_000
"""How many events one commit may have; a page must be able to hold one whole."""

_PAGE: Final = 2_000
_WIDEST: Final = 65_536


class PageReader:
    """Reads the runs of some streams between two sequence numbers, page by page.

    Call :meth:`request`, exchange its commands, and hand the replies to :meth:`accept`, until
    :attr:`is_done`. Memory is bounded by a page whatever the length of the log.

    Attributes:
        revisions: How far each stream has been read.
        until: The last sequence number it reads.
    """

    def __init__(
        self,
        keys: Keys,
        streams: Sequence[str],
        *,
        after: int,
        until: int,
        is_whole: bool,
        revisions: dict[str, int] | None = None,
        final: dict[str, int] | None = None,
    ) -> None:
        """Read events with ``after < seq <= until`` of ``streams`` (``""`` is the portfolio's own).

        Args:
            keys: The portfolio's keys.
            streams: The symbols to read.
            after, until: Sequence numbers; ``until`` must not be above the head.
            is_whole: Whether ``streams`` are all there are, so that every number must appear.
            revisions: Where known, the revision of each stream at ``after``.
            final: Where known, the revision of each stream at ``until``.
        """
        self._keys = keys
        self._streams = list(streams)
        self.until = until
        self._is_whole = is_whole
        self.revisions = dict(revisions or {})
        self._final = dict(final or {})
        self._after = self._asked = after
        self._next = after + 1
        self._width = _PAGE
        self._held: list[Run] = []
        self._windows: list[int] = []

    @property
    def is_done(self) -> bool:
        """Whether everything was requested and accepted."""
        return self._asked >= self.until and not self._windows

    def request(self) -> list[Command]:
        """Return the commands for the next page."""
        first = self._asked + 1
        last = min(self._asked + self._width, self.until)
        # The last page reaches on, for the entries of a commit that `until` cuts in two.
        reach = last if last < self.until else last + MAX_COMMIT_EVENTS
        self._asked = last
        self._windows.append(last)
        return [("XRANGE", self._keys.stream(name), first, reach) for name in self._streams]

    def accept(self, replies: Sequence[Reply]) -> list[Run]:
        """Check a page and return its runs in total order.

        Raises:
            LedgerDamaged: An entry was changed, removed or put in; names the first wrong event.
        """
        last = self._windows.pop(0)
        runs, self._held = self._held, []
        for name, entries in zip(self._streams, replies, strict=True):
            for reply in entries:
                entry = entry_from_reply(name, reply)
                if entry.first_seq <= self.until:
                    runs += self._new_runs(entry)
        runs.sort(key=_first_seq)
        self._adapt(sum(len(run.events) for run in runs))
        return self._in_order(runs, last)

    def _new_runs(self, entry: Entry) -> list[Run]:
        """Decode an entry, leave out what stands before the first number asked for, and check."""
        runs = runs_from_entry(entry)
        if entry.first_seq <= self._after:
            runs = [cut for run in runs if (cut := self._cut_front(run)) is not None]
        for run in runs:
            known = self.revisions.get(run.symbol)
            if known is not None and run.first_revision != known + 1:
                raise wrong_revision(run.symbol, known + 1, run.first_revision, run.first_seq)
            self.revisions[run.symbol] = run.first_revision + len(run.events) - 1
        return runs

    def _adapt(self, event_count: int) -> None:
        """Widen the window where the streams are sparse in it."""
        if not self._is_whole:
            wider = event_count * 2 < _PAGE
            self._width = min(self._width * 4, _WIDEST) if wider else max(self._width // 2, _PAGE)

    def _in_order(self, runs: list[Run], last: int) -> list[Run]:
        """Return the runs that no later page can precede, cut at ``until``; hold the others."""
        ready = self._gapless(runs, last) if self._is_whole else self._settled(runs, last)
        return [cut for run in ready if (cut := self._cut(run)) is not None]

    def _settled(self, runs: list[Run], last: int) -> list[Run]:
        """Hold what a commit that reaches into the next page may still precede."""
        border = self._border(last)
        self._held = [run for run in runs if run.first_seq > border]
        if self._asked >= self.until and not self._windows:
            self._check_end()
        return [run for run in runs if run.first_seq <= border]

    def _gapless(self, runs: list[Run], last: int) -> list[Run]:
        """Take the runs without a gap between them; what comes after a gap is held."""
        taken = 0
        for run in runs:
            if run.first_seq < self._next:
                raise _twice(run.first_seq)
            if run.first_seq > self._next:
                break
            self._next += len(run.events)
            taken += 1
        if self._next <= self._border(last):
            problem = f"the log is damaged: event #{self._next} is missing"
            raise LedgerDamaged(problem, seq=self._next)
        self._held = runs[taken:]
        return runs[:taken]

    def _border(self, last: int) -> int:
        """The last number that must have come once the window up to ``last`` was read."""
        return last if last >= self.until else last - MAX_COMMIT_EVENTS

    def _check_end(self) -> None:
        """A stream that was read to the head must have come to its recorded revision."""
        for name, revision in self._final.items():
            found = self.revisions.get(name, revision)
            if found < revision and name in self._streams:
                raise wrong_revision(name, found + 1, revision + 1, None)

    def _cut_front(self, run: Run) -> Run | None:
        """Cut what a run holds at or before ``after``."""
        surplus = self._after + 1 - run.first_seq
        if surplus <= 0:
            return run
        return (
            run._replace(
                first_seq=run.first_seq + surplus,
                first_revision=run.first_revision + surplus,
                events=run.events[surplus:],
            )
            if surplus < len(run.events)
            else None
        )

    def _cut(self, run: Run) -> Run | None:
        """Cut a run at ``until``."""
        surplus = run.first_seq + len(run.events) - 1 - self.until
        if surplus <= 0:
            return run
        kept = run.events[: max(len(run.events) - surplus, 0)]
        return run._replace(events=kept) if kept else None


def _first_seq(run: Run) -> int:
    return run.first_seq


def wrong_revision(name: str, expected: int, found: int, seq: int | None) -> LedgerDamaged:
    """Build the error for an entry whose first revision is not the next one."""
    stream = f"the stream of {name}" if name else "the portfolio's own stream"
    problem = f"has revision {found} where {expected} should be"
    if found > expected:
        problem = f"lacks revision {expected}" + (
            f" to {found - 1}" if found > expected + 1 else ""
        )
    return LedgerDamaged(
        f"the log is damaged{f' at #{seq}' if seq else ''}: {stream} {problem}", seq=seq
    )


def _twice(seq: int) -> LedgerDamaged:
    return LedgerDamaged(f"the log is damaged at #{seq}: there are two of it", seq=seq)
