"""Reading a page for the fold alone: whole entries, each folded where it stands.

An account depends on its own stream and, through the base currency and the cost basis, on the
portfolio's. So the events of one commit need not be brought into the total order to be folded, as
long as a commit's entries come after those of the commits before it (a choice of the cost basis
stands alone in its commit). That saves taking entries apart and sorting their events, which costs
more than folding them. That nothing is missing is checked on the numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from ledger.codec import decode_events
from ledger.entry import Entry, damaged_entry, entry_from_reply
from ledger.errors import LedgerDamaged
from ledger.event import Event
from ledger.reading import PageReader, wrong_revision
from ledger.store import Reply

__all__ = ["Chunk", "ChunkReader"]


class Chunk(NamedTuple):
    """The events of one entry, with the sequence number of each, ascending."""

    first_seq: int
    symbol: str
    seqs: Sequence[int]
    events: list[Event]


class ChunkReader(PageReader):
    """A :class:`~ledger.reading.PageReader` whose pages are chunks."""

    _loose: list[int] = []  # noqa: RUF012  # replaced, never changed: numbers after a gap
    _wrong: LedgerDamaged | None = None

    def accept_chunks(self, replies: Sequence[Reply]) -> list[Chunk]:
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
                if entry.first_seq <= self.until:
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
        events = decode_events(entry.payload)
        if len(events) != entry.event_count:
            raise damaged_entry(entry, f"does not hold {entry.event_count} events")
        seqs, first_revision = entry.seqs, entry.first_revision
        if seqs[0] <= self._after or seqs[-1] > self.until:
            low, high = bisect_right(seqs, self._after), bisect_right(seqs, self.until)
            seqs, events, first_revision = seqs[low:high], events[low:high], first_revision + low
        if known is not None and events and first_revision != known + 1 and self._wrong is None:
            seq = entry.first_seq
            self._wrong = wrong_revision(entry.symbol, known + 1, first_revision, seq)
        if any(event.symbol != entry.symbol for event in events):
            raise damaged_entry(entry, "holds an event of another symbol")
        return Chunk(entry.first_seq, entry.symbol, seqs, events), first_revision + len(events) - 1

    def _check_numbers(self, chunks: list[Chunk], last: int) -> None:
        """Every number comes exactly once; what follows a gap waits for the next page."""
        numbers = list(self._loose)
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


def _twice(numbers: list[int], expected: int) -> LedgerDamaged:
    """Name the first number that is there twice, on this page or already before it."""
    before = expected - 1
    for number in numbers:
        if number <= before:
            break
        before = number
    return LedgerDamaged(f"the log is damaged at #{number}: there are two of it", seq=number)


def _first_seq(chunk: Chunk) -> int:
    return chunk.first_seq
