"""Reading at the head: one round trip from an append to its events, complete and in order.

A round asks three things at once: wait until something was written; read the streams; how far is
the portfolio. The second is one command and so sees every stream at one instant: what it returns is
all there is, and merging it gives the total order. A reader of more streams than it is wise to ask
at once waits on the feed alone, and then asks the streams that the feed names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from ledger.entry import (
    FeedEntry,
    entry_from_reply,
    feed_entry_from_reply,
    recorded_from_entry,
)
from ledger.errors import LedgerDamaged
from ledger.event import Recorded
from ledger.keys import Keys
from ledger.store import Command, Reply, Steps

__all__ = ["BLOCK_MS", "LAST", "MOST_STREAMS", "LiveReader", "entries_by_key", "lost_events"]

BLOCK_MS: Final = 1_000
"""How long a round waits at most; then the head is looked at, whether anything came or not."""

LAST: Final = 18446744073709551615
"""The largest second part of an entry's id: ``<seq>-<LAST>`` is behind all that ends at seq."""

MOST_STREAMS: Final = 100
"""Up to so many streams are asked directly; one ``XREAD`` of 1,000 takes the server 600 us."""

_ENTRIES: Final = 64
_COMMITS: Final = 256


def entries_by_key(reply: Reply) -> dict[str, list[Any]]:
    """Return what ``XREAD`` replied: entries by key, only of streams that had any."""
    return {key.decode(): entries for key, entries in reply or ()}


def lost_events(position: int, head_seq: int) -> LedgerDamaged:
    """Return the error for a store whose head is before what was read of it."""
    return LedgerDamaged(
        f"the store has lost events: #{position} was read, its last one is #{head_seq}",
        seq=head_seq + 1,
        hint="the server came back without its last writes; pledger doctor says why",
    )


class LiveReader:
    """Reads on from a position that was the head.

    Args:
        keys: The portfolio's keys.
        symbols: Only these; ``None`` for all, new ones and the portfolio's own among them.
        position: Everything up to this sequence number was read.
        revisions: How far every stream had come there; a stream that is missing did not exist.

    Attributes:
        position: The sequence number up to which everything was read.
        head_seq: The last sequence number that was seen at the store.
        revisions: How far each stream was read.
    """

    def __init__(
        self,
        keys: Keys,
        symbols: Sequence[str] | None,
        *,
        position: int,
        revisions: Mapping[str, int],
    ) -> None:
        self._keys = keys
        self._is_whole = symbols is None
        self.revisions = dict(revisions)
        # In a fixed order, for the replies; the portfolio's own stream is there from the start.
        streams = ["", *revisions] if symbols is None else symbols
        self._streams = list(dict.fromkeys(streams))
        self._has_more = False
        self.position = self.head_seq = position

    def round(self) -> Steps[list[Recorded]]:
        """Return the next events in total order; none where nothing came for a second.

        Raises:
            LedgerDamaged: An event is missing, is there twice, or was lost by the store.
        """
        is_many = len(self._streams) > MOST_STREAMS
        events, until = yield from (self._by_feed() if is_many else self._directly())
        events.sort(key=_seq)
        for recorded in events:
            self._check(recorded)
        if until > self.position:
            if self._is_whole:
                raise _missing(self.position + 1)
            self.position = until
        return events

    def _directly(self) -> Steps[tuple[list[Recorded], int]]:
        """Read every stream by one command; tell also up to where nothing can be missing."""
        # What was at the head before the streams are asked must be among what they return.
        seen = self.head_seq
        own = [self._keys.stream(name) for name in self._streams]
        watched = [self._keys.feed] if self._is_whole else own
        read = [*watched, *own] if self._is_whole else own
        commands = [self._read(read, _ENTRIES), self._head()]
        if not self._has_more:
            commands.insert(0, self._read(watched, 1, block=True))
        replies = yield commands
        self._see(replies[-1])
        found = entries_by_key(replies[-2])
        border = self._border(found)
        feed = [feed_entry_from_reply(entry) for entry in found.pop(self._keys.feed, [])]
        if self._is_whole and self._joined(feed):
            self._has_more = True  # all over again, with the streams that began just now
            return [], 0
        return self._events(found, border), 0 if self._has_more else seen

    def _by_feed(self) -> Steps[tuple[list[Recorded], int]]:
        """Read the feed, and then the streams that it names; tell also up to where."""
        feed = self._keys.feed
        wait = self._read([feed], _COMMITS, block=not self._has_more)
        replies = yield [wait, self._head()]
        self._see(replies[1])
        entries = entries_by_key(replies[0]).get(feed, [])
        self._has_more = len(entries) >= _COMMITS
        if not entries:
            return [], 0
        commits = [feed_entry_from_reply(entry) for entry in entries]
        self._check_feed(commits)
        if self._is_whole:
            self._joined(commits)
        touched = dict.fromkeys(name for commit in commits for name in commit.touched)
        names = [name for name in self._streams if name in touched]
        first, last = self.position + 1, commits[-1].last_seq
        found = {}
        if names:
            replies = yield [("XRANGE", self._keys.stream(name), first, last) for name in names]
            found = dict(zip(map(self._keys.stream, names), replies, strict=True))
        return self._events(found, last), last

    def _joined(self, commits: Iterable[FeedEntry]) -> bool:
        """Add the streams that began with these commits; tell whether there are any."""
        touched = dict.fromkeys(name for commit in commits for name in commit.touched)
        fresh = [name for name in touched if name not in self._streams]
        self._streams += fresh
        return bool(fresh)

    def _read(self, streams: Sequence[str], count: int, *, block: bool = False) -> Command:
        since = f"{self.position}-{LAST}"
        wait = ("BLOCK", BLOCK_MS) if block else ()
        return ("XREAD", "COUNT", count, *wait, "STREAMS", *streams, *[since] * len(streams))

    def _head(self) -> Command:
        return ("HGET", self._keys.meta, "seq")

    def _see(self, reply: Reply) -> None:
        """Notice where the store has less than was read: it was set back, and would go unseen."""
        self.head_seq = int(reply or 0)
        if self.head_seq < self.position:
            raise lost_events(self.position, self.head_seq)

    def _border(self, found: Mapping[str, Sequence[Any]]) -> int:
        """Return up to where every stream was read: some may have more than was asked for."""
        ends = [
            int(entries[-1][0].partition(b"-")[0])
            for entries in found.values()
            if len(entries) >= _ENTRIES
        ]
        self._has_more = bool(ends)
        return min(ends, default=LAST)

    def _events(self, found: Mapping[str, Sequence[Any]], border: int) -> list[Recorded]:
        return [
            recorded
            for name in self._streams
            for reply in found.get(self._keys.stream(name), ())
            for recorded in recorded_from_entry(entry_from_reply(name, reply))
            if self.position < recorded.seq <= border
        ]

    def _check(self, recorded: Recorded) -> None:
        """Check that an event follows what was read of its stream, and of the portfolio."""
        seq, symbol = recorded.seq, recorded.symbol
        if self._is_whole and seq > self.position + 1:
            raise _missing(self.position + 1)
        if seq <= self.position:
            raise LedgerDamaged(f"the log is damaged at #{seq}: there are two of it", seq=seq)
        known = self.revisions.get(symbol, 0)
        if recorded.revision != known + 1:
            stream = f"the stream of {symbol}" if symbol else "the portfolio's own stream"
            raise LedgerDamaged(
                f"the log is damaged at #{seq}: {stream} has revision "
                f"{recorded.revision} where {known + 1} should be",
                seq=seq,
            )
        self.revisions[symbol] = recorded.revision
        self.position = seq

    def _check_feed(self, commits: Iterable[FeedEntry]) -> None:
        after = self.position
        for commit in commits:
            if commit.first_seq != after + 1:
                raise _missing(after + 1)
            after = commit.last_seq


_seq = attrgetter("seq")


def _missing(seq: int) -> LedgerDamaged:
    return LedgerDamaged(f"the log is damaged: event #{seq} is missing", seq=seq)
