"""Checking commits one by one: the feed against the streams, and both against the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

from ledger.entry import (
    Entry,
    FeedEntry,
    Run,
    entry_from_reply,
    feed_entry_from_reply,
    runs_from_entry,
)
from ledger.errors import LedgerDamaged, LedgerError, SchemaTooNew
from ledger.heads import Head
from ledger.problem import Problems
from ledger.reading import MAX_COMMIT_EVENTS

__all__ = ["CommitAudit"]


class _Found(NamedTuple):
    """An entry of a symbol's stream, or why it is none."""

    symbol: str
    last_seq: int
    entry: Entry | None
    runs: list[Run]
    kind: str
    trouble: str

    @property
    def first_seq(self) -> int:
        return self.runs[0].first_seq if self.runs else self.last_seq


class _Listed(NamedTuple):
    """An entry of the feed; ``feed`` is ``None`` where it is not what was written."""

    first_seq: int
    last_seq: int
    feed: FeedEntry | None


_by_last_seq: Final = attrgetter("last_seq")
_by_first_seq: Final = attrgetter("first_seq")


def _where(symbol: str) -> str:
    return f"the stream of {symbol}" if symbol else "the portfolio's own stream"


def _span(first: int, last: int) -> str:
    return f"event #{first}" if first == last else f"events #{first} to #{last}"


class CommitAudit:
    """Compares what the feed lists with what the streams hold, in windows of sequence numbers.

    Args:
        problems: Where to put what is wrong.
        last: How far the store says that the log goes.

    Attributes:
        revisions: How far each stream has come.
        unnoted: The first event of a stream beyond the revision that the store has noted.
        ends: The last sequence number of each commit of the last window.
        last: The last commit of the feed.
        commit_count, event_count: How many were compared.
    """

    def __init__(self, problems: Problems, last: Head) -> None:
        self._problems = problems
        self._head_seq = last.seq
        self._noted = last.revisions
        self._held: list[_Found] = []
        self._next = 1
        self._time = 0
        self._has_gap = False
        self._certain: set[str] = set()
        self.revisions: dict[str, int] = {}
        self.unnoted: dict[str, int] = {}
        self.ends: dict[str, int] = {}
        self.last: FeedEntry | None = None
        self.commit_count = self.event_count = 0

    def take(
        self,
        feed: Sequence[Any],
        streams: Iterable[tuple[str, Sequence[Any]]],
        end: int,
    ) -> list[Run]:
        """Check the window up to ``end`` and return the runs that were found in it, in order."""
        found = self._held
        found += [_found(symbol, reply) for symbol, replies in streams for reply in replies]
        found.sort(key=_by_last_seq)
        self.ends = {}
        taken: list[Run] = []
        index = 0
        for reply in feed:
            listed = self._listed(reply)
            index = self._skip(found, index, listed.first_seq)
            self._check_number(listed)
            start = index
            while index < len(found) and found[index].last_seq <= listed.last_seq:
                index += 1
            taken += self._commit(listed, found[start:index])
        # A commit that the next window's feed lists may have its first entries here.
        index = self._skip(found, index, end - MAX_COMMIT_EVENTS)
        self._held = found[index:]
        return taken

    def close(self) -> None:
        """Say what is missing at the end, and what nothing lists."""
        self._skip(self._held, 0, self._head_seq + 1)
        if self._next <= self._head_seq:
            span = _span(self._next, self._head_seq)
            self._problems.found("missing", f"the feed lacks {span}", seq=self._next)

    def is_certain(self, symbol: str) -> bool:
        """Whether the revision of a stream is known: nothing was missing before it."""
        return symbol in self._certain or not self._has_gap

    def _lose_track(self) -> None:
        """Something is missing: take the revisions that come next as they are."""
        self._has_gap = True
        self._certain.clear()

    def _listed(self, reply: Sequence[Any]) -> _Listed:
        """Read an entry of the feed; of a broken one only its numbers."""
        last, _, count = reply[0].partition(b"-")
        try:
            feed = feed_entry_from_reply(reply)
        except LedgerDamaged as error:
            first = max(int(last) - int(count) + 1, self._next)
            first = min(first, int(last))
            self._problems.found("feed", error.message, seq=first)
            return _Listed(first, int(last), None)
        return _Listed(feed.first_seq, feed.last_seq, feed)

    def _skip(self, found: Sequence[_Found], index: int, border: int) -> int:
        """Name the entries before ``border`` that no commit of the feed lists."""
        while index < len(found) and found[index].last_seq < border:
            item = found[index]
            message = f"{_where(item.symbol)} has an entry that the feed does not list"
            self._problems.found(
                item.kind or "unlisted",
                f"{message}: {item.trouble}" if item.trouble else message,
                seq=max(item.first_seq, 1),
                symbol=item.symbol,
            )
            index += 1
        return index

    def _check_number(self, listed: _Listed) -> None:
        """Commits follow one another without a gap, and none overlaps another."""
        if listed.first_seq > self._next:
            span = _span(self._next, listed.first_seq - 1)
            self._problems.found("missing", f"the feed lacks {span}", seq=self._next)
            self._lose_track()
        elif listed.first_seq < self._next:
            message = f"the feed lists {_span(listed.first_seq, listed.last_seq)} twice"
            self._problems.found("duplicate", message, seq=listed.first_seq)
        self._next = max(self._next, listed.last_seq + 1)

    def _commit(self, listed: _Listed, found: Sequence[_Found]) -> list[Run]:
        """Compare a commit with its entries; return its runs in order."""
        runs = [run for item in found for run in item.runs]
        runs.sort(key=_by_first_seq)
        missing = list(self._gaps(listed, runs))
        for run in runs:
            beyond = run.first_revision + len(run.events) - 1 - self._noted.get(run.symbol, 0)
            if beyond > 0:
                first = run.first_seq + max(len(run.events) - beyond, 0)
                self.unnoted.setdefault(run.symbol, first)
        feed = listed.feed
        if feed is None:
            self._lose_track()
        else:
            self.commit_count += 1
            self.event_count += feed.event_count
            self.ends[feed.commit] = feed.last_seq
            self.last = feed
            self._check_time(feed)
            self._check_revisions(feed)
            self._check_touched(feed, found, missing)
        for item in found:
            if item.trouble:
                seq = missing[0] if missing and missing[0] <= item.last_seq else item.last_seq
                self._problems.found(item.kind, item.trouble, seq=seq, symbol=item.symbol)
        return runs

    def _gaps(self, listed: _Listed, runs: Sequence[Run]) -> Iterator[int]:
        """Yield the numbers that no run holds, and name those that two hold."""
        expected = listed.first_seq
        for run in runs:
            if run.first_seq < expected:
                message = f"{_where(run.symbol)} has #{run.first_seq}, which is another's number"
                self._problems.found(
                    "duplicate", message, seq=max(run.first_seq, 1), symbol=run.symbol
                )
            yield from range(expected, min(run.first_seq, listed.last_seq + 1))
            expected = max(expected, run.first_seq + len(run.events))
        yield from range(expected, listed.last_seq + 1)

    def _check_time(self, feed: FeedEntry) -> None:
        if feed.recorded_us < self._time:
            message = "the commit was recorded before the one that precedes it"
            self._problems.found("time", message, seq=feed.first_seq)
        self._time = feed.recorded_us

    def _check_revisions(self, feed: FeedEntry) -> None:
        """The revision of every stream grows by the events that a commit adds to it."""
        for symbol, (count, revision) in feed.touched.items():
            known = self.revisions.get(symbol, 0)
            if revision - count != known and self.is_certain(symbol):
                message = f"the feed has revision {revision - count + 1} where {known + 1} belongs"
                self._problems.found(
                    "revision",
                    f"{_where(symbol)}: {message}",
                    seq=feed.first_seq,
                    symbol=symbol,
                )
            self.revisions[symbol] = revision
            self._certain.add(symbol)

    def _check_touched(
        self, feed: FeedEntry, found: Sequence[_Found], missing: Sequence[int]
    ) -> None:
        """A commit has in each stream it touched the one entry that the feed lists."""
        there = {item.symbol for item in found}
        for symbol in feed.touched:
            if symbol not in there:
                count = feed.touched[symbol][0]
                self._problems.found(
                    "missing",
                    f"{_where(symbol)} lacks {count} event{'s' * (count > 1)} of the commit that "
                    f"ends at #{feed.last_seq}",
                    seq=missing[0] if missing else feed.first_seq,
                    symbol=symbol,
                )
        seen: set[str] = set()
        for item in found:
            if item.entry is not None:
                problem = _difference(feed, item.entry, is_second=item.symbol in seen)
                seen.add(item.symbol)
                if problem:
                    message = f"{_where(item.symbol)}: {problem}"
                    seq = max(item.first_seq, 1)
                    self._problems.found("feed", message, seq=seq, symbol=item.symbol)


def _difference(feed: FeedEntry, entry: Entry, *, is_second: bool) -> str:
    """What sets an entry apart from what the feed lists of it; empty where nothing does."""
    listed = feed.touched.get(entry.symbol)
    if listed is None or is_second:
        return "an entry stands there that the feed does not list"
    for name, found, expected in (
        ("number of events", entry.event_count, listed[0]),
        ("revision", entry.last_revision, listed[1]),
        ("recorded time", entry.recorded_us, feed.recorded_us),
        ("commit", entry.commit, feed.commit),
        ("writer", entry.writer, feed.writer),
    ):
        if found != expected:
            return f"the entry's {name} is {found}; the feed lists {expected}"
    return ""


def _found(symbol: str, reply: Sequence[Any]) -> _Found:
    """Read an entry, and its events; of a broken one only its number."""
    last_seq = int(reply[0].partition(b"-")[0])
    try:
        entry = entry_from_reply(symbol, reply)
    except LedgerDamaged as error:
        return _Found(symbol, last_seq, None, [], "seal", error.message)
    try:
        return _Found(symbol, last_seq, entry, runs_from_entry(entry), "", "")
    except SchemaTooNew as error:
        return _Found(symbol, last_seq, entry, [], "schema", f"{_where(symbol)}: {error.message}")
    except (LedgerError, ValueError) as error:
        trouble = f"{_where(symbol)}: an entry cannot be read: {error}"
        return _Found(symbol, last_seq, entry, [], "undecodable", trouble)
