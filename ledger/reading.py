"""Reading the log page by page, for the fold and for readers, and noticing what is missing at once.

Sequence numbers have no gaps, so a window of them holds exactly that many events over all streams:
``XRANGE`` of every stream over the same window is a page whose size is known beforehand, and an
event that should be in it and is not has been removed. A reader of some symbols only checks their
revisions in the same way.

The fold takes chunks: whole entries, each folded where it stands. An account depends on its own
stream and, through the base currency and the cost basis, on the portfolio's. So the events of one
commit need not be brought into the total order to be folded, as long as a commit's entries come
after those of the commits before it (a choice of the cost basis stands alone in its commit). That
saves taking entries apart and sorting their events. Readers get the events one by one, in order.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from ledger.entry import Entry, as_recorded, entry_from_reply, events_from_entry
from ledger.errors import LedgerDamaged
from ledger.event import Event, Recorded
from ledger.keys import Keys
from ledger.store import Command, Reply

__all__ = ["MAX_COMMIT_EVENTS", "Chunk", "PageReader", "wrong_revision"]

MAX_COMMIT_EVENTS: Final = 1_000
"""How many events one commit may have; a page must be able to hold one whole."""

_PAGE: Final = 2_000
_WIDEST: Final = 65_536


class Chunk(NamedTuple):
    """The events of one entry that were asked for, with the sequence number of each, ascending."""

    first_seq: int
    first_revision: int
    seqs: Sequence[int]
    events: list[Event]
    entry: Entry


class PageReader:
    """Reads the events of some streams between two sequence numbers, page by page.

    Call :meth:`request`, exchange its commands, and hand the replies to :meth:`events` or, for the
    fold alone, to :meth:`chunks`, until :attr:`is_done`. Memory is bounded by a page whatever the
    length of the log.

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
        self._windows: list[int] = []
        self._loose: list[int] = []  # numbers after a gap, which the next page must fill
        self._held: list[Recorded] = []  # events that one of the next page may precede
        self._wrong: LedgerDamaged | None = None

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

    def events(self, replies: Sequence[Reply]) -> list[Recorded]:
        """Check a page and return its events in the total order.

        Raises:
            LedgerDamaged: An entry was changed, removed or put in; names the first wrong event.
        """
        last = self._windows[0]
        found, self._held = self._held, []
        for chunk in self.chunks(replies):
            found += as_recorded(chunk.entry, chunk.events, chunk.seqs, chunk.first_revision)
        found.sort(key=_seq)
        border = self._next - 1 if self._is_whole else self._border(last)
        if found and found[-1].seq > border:
            cut = bisect_right(found, border, key=_seq)
            self._held = found[cut:]
            del found[cut:]
        return found

    def chunks(self, replies: Sequence[Reply]) -> list[Chunk]:
        """Check a page and return its chunks, those of earlier commits first.

        Raises:
            LedgerDamaged: An entry was changed, removed or put in; names the first wrong event.
        """
        last = self._windows.pop(0)
        chunks: list[Chunk] = []
        for name, entries in zip(self._streams, replies, strict=True):
            known = self.revisions.get(name)
            for reply in entries:
                entry = entry_from_reply(name, reply)
                if entry.seqs[0] <= self.until:
                    chunk, known = self._chunk(entry, known)
                    chunks.append(chunk)
            if known is not None:
                self.revisions[name] = known
        chunks.sort(key=_first_seq)
        self._adapt(sum(len(chunk.events) for chunk in chunks))
        if self._is_whole:
            self._check_numbers(chunks, last)
        # Told after a gap in the numbers, which names the event that is missing itself.
        if self._wrong is not None:
            raise self._wrong
        if self.is_done:
            self._check_end()
        return chunks

    def _chunk(self, entry: Entry, known: int | None) -> tuple[Chunk, int]:
        """Decode an entry, cut it at both ends of what is read, and check its revision."""
        events = events_from_entry(entry)
        seqs, first_revision = entry.seqs, entry.first_revision
        first_seq = seqs[0]
        if first_seq <= self._after or seqs[-1] > self.until:
            low, high = bisect_right(seqs, self._after), bisect_right(seqs, self.until)
            seqs, events, first_revision = seqs[low:high], events[low:high], first_revision + low
        if known is not None and events and first_revision != known + 1 and self._wrong is None:
            self._wrong = wrong_revision(entry.symbol, known + 1, first_revision, first_seq)
        chunk = Chunk(first_seq, first_revision, seqs, events, entry)
        return chunk, first_revision + len(events) - 1

    def _adapt(self, event_count: int) -> None:
        """Widen the window where the streams are sparse in it."""
        if not self._is_whole:
            wider = event_count * 2 < _PAGE
            self._width = min(self._width * 4, _WIDEST) if wider else max(self._width // 2, _PAGE)

    def _check_numbers(self, chunks: list[Chunk], last: int) -> None:
        """Every number comes exactly once; what follows a gap waits for the next page."""
        numbers = self._loose
        for chunk in chunks:
            numbers.extend(chunk.seqs)
        numbers.sort()
        count = len(numbers)
        if len(set(numbers)) != count or (numbers and numbers[0] < self._next):
            raise _twice(numbers, self._next)
        # The numbers ascend, so there is no gap before an index whose number is as far along.
        index = bisect_right(range(count), 0, key=lambda at: numbers[at] - at - self._next)
        self._next += index
        self._loose = numbers[index:]
        if self._next <= self._border(last):
            problem = f"the log is damaged: event #{self._next} is missing"
            raise LedgerDamaged(problem, seq=self._next)

    def _border(self, last: int) -> int:
        """The last number that must have come once the window up to ``last`` was read."""
        return last if last >= self.until else last - MAX_COMMIT_EVENTS

    def _check_end(self) -> None:
        """A stream that was read to the head must have come to its recorded revision."""
        for name, revision in self._final.items():
            found = self.revisions.get(name, revision)
            if found < revision and name in self._streams:
                raise wrong_revision(name, found + 1, revision + 1, None)


_first_seq = itemgetter(0)
_seq = attrgetter("seq")


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


def _twice(numbers: list[int], expected: int) -> LedgerDamaged:
    """Name the first number that is there twice, on this page or already before it."""
    before = expected - 1
    for number in numbers:
        if number <= before:
            break
        before = number
    return LedgerDamaged(f"the log is damaged at #{number}: there are two of it", seq=number)
