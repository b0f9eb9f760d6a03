"""The entries of the streams: what is written, how it is sealed, and how damage is told.

A symbol's stream has one entry per commit that touched the symbol, with the id
``<seq>-<revision>`` of its last event and the fields

====  =====================================================================================
``c``  the commit's id
``w``  its writer
``t``  when the store recorded it, in microseconds since 1970
``n``  how many events it holds
``h``  the seal
``d``  only where the events' sequence numbers have gaps (events of other symbols stand between
       them in the same commit): how far each is before the last, separated by commas
``e``  the events as a JSON array
====  =====================================================================================

The seal is a checksum. The writer takes the CRC-32 of everything it knows: symbol, commit, writer,
distances, events. The store adds what it alone assigns, ``crc + 3 seq + 5 revision + 7 time``
modulo the largest prime below 2**32, in arithmetic that every server's Lua does exactly. A change
of any one of these parts by less than 2**32 always shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from zlib import crc32

from ledger.codec import decode_events
from ledger.errors import LedgerDamaged
from ledger.event import Event, Recorded
from ledger.instants import moment_from_us

__all__ = [
    "Entry",
    "FeedEntry",
    "Run",
    "as_recorded",
    "entry_checksum",
    "entry_from_reply",
    "events_from_entry",
    "feed_checksum",
    "feed_entry_from_reply",
    "recorded_from_entry",
    "runs_from_entry",
]

_PRIME: Final = 4294967291


class Run(NamedTuple):
    """Events of one symbol with consecutive sequence numbers, from one commit.

    Runs sort by ``first_seq``, which is the total order.
    """

    first_seq: int
    first_revision: int
    symbol: str
    events: list[Event]
    recorded_us: int
    commit: str
    writer: str


class Entry(NamedTuple):
    """An entry of a symbol's stream whose seal was found right; its events are still bytes.

    ``seqs`` are the sequence numbers of its events, ascending, as many as ``event_count``.
    """

    symbol: str
    last_seq: int
    last_revision: int
    event_count: int
    recorded_us: int
    commit: str
    writer: str
    seqs: Sequence[int]
    payload: bytes

    @property
    def first_seq(self) -> int:
        """The sequence number of the first event."""
        return self.seqs[0]

    @property
    def first_revision(self) -> int:
        """The revision of the first event."""
        return self.last_revision - self.event_count + 1


class FeedEntry(NamedTuple):
    """An entry of the feed: one commit, and how far each symbol came with it."""

    last_seq: int
    event_count: int
    recorded_us: int
    occurred_ms: int
    commit: str
    writer: str
    fingerprint: str
    touched: dict[str, tuple[int, int]]

    @property
    def first_seq(self) -> int:
        """The sequence number of the commit's first event."""
        return self.last_seq - self.event_count + 1


def entry_checksum(symbol: str, commit: str, writer: str, distances: str, payload: bytes) -> int:
    """Return the part of an entry's seal that its writer computes."""
    return crc32(payload, crc32(f"{symbol}\n{commit}\n{writer}\n{distances}\n".encode()))


def feed_checksum(
    commit: str, writer: str, fingerprint: str, counts: Sequence[tuple[str, int]]
) -> int:
    """Return the part of a feed entry's seal that its writer computes."""
    lines = "\n".join(f"{symbol} {count}" for symbol, count in counts)
    return crc32(f"{commit}\n{writer}\n{fingerprint}\n{lines}".encode())


def _damaged(where: str, seq: int | None, problem: str) -> LedgerDamaged:
    number = f" at #{seq}" if seq is not None else ""
    return LedgerDamaged(f"the log is damaged{number}: an entry of {where} {problem}", seq=seq)


def _stream_name(symbol: str) -> str:
    return f"the stream of {symbol}" if symbol else "the portfolio's own stream"


def entry_from_reply(symbol: str, reply: Sequence[Any]) -> Entry:
    """Read and check one entry as ``XRANGE`` returns it.

    Raises:
        LedgerDamaged: Its fields or its seal are not what was written.
    """
    entry_id, fields = reply
    last, _, revision = entry_id.partition(b"-")
    last_seq, last_revision = int(last), int(revision)
    try:
        if len(fields) == 12:
            c, commit, w, writer, t, time, n, count, h, seal, e, payload = fields
            distances, is_as_written = b"", (c, w, t, n, h, e) == _DENSE
        else:
            c, commit, w, writer, t, time, n, count, h, seal, d, distances, e, payload = fields
            is_as_written = (c, w, t, n, h, d, e) == _SPARSE
        known, recorded_us, event_count = symbol.encode(), int(time), int(count)
        crc = crc32(payload, crc32(b"%b\n%b\n%b\n%b\n" % (known, commit, writer, distances)))
        intact = (crc + 3 * last_seq + 5 * last_revision + 7 * recorded_us) % _PRIME == int(seal)
        if intact and is_as_written and 0 <= recorded_us <= _LATEST_US:
            seqs = _seqs(last_seq, event_count, distances)
            return Entry(
                symbol,
                last_seq,
                last_revision,
                event_count,
                recorded_us,
                commit.decode(),
                writer.decode(),
                seqs,
                payload,
            )
    except ValueError:
        pass  # said below, as for any other entry that is not what was written
    raise _damaged(_stream_name(symbol), last_seq, "is not what was written")


_LATEST_US: Final = 253_402_300_799_999_999  # the last microsecond of the year 9999
_EARLIEST_MS: Final = -62_135_596_800_000  # the first millisecond of the year 1
_DENSE: Final = tuple(b"c w t n h e".split())
_SPARSE: Final = tuple(b"c w t n h d e".split())


def _seqs(last_seq: int, count: int, distances: bytes) -> Sequence[int]:
    """Return the sequence numbers of an entry's events.

    Raises:
        ValueError: They are not as many as it has events, or do not ascend to its own.
    """
    if not distances:
        if not 0 < count <= last_seq:
            raise ValueError
        return range(last_seq - count + 1, last_seq + 1)
    seqs = [last_seq - int(distance) for distance in distances.split(b",")]
    if len(seqs) != count or seqs[0] < 1 or seqs[-1] != last_seq or seqs != sorted(set(seqs)):
        raise ValueError
    return seqs


def events_from_entry(entry: Entry) -> list[Event]:
    """Decode the events of an entry.

    Raises:
        LedgerDamaged: The entry does not hold as many events of its symbol as it says.
        InvalidEvent, SchemaTooNew: An event cannot be decoded.
    """
    events = decode_events(entry.payload)
    symbol = entry.symbol
    if len(events) == entry.event_count:
        for event in events:
            if event.symbol != symbol:
                break
        else:
            return events
    problem = f"does not hold {entry.event_count} events of its own"
    raise _damaged(_stream_name(symbol), entry.last_seq, problem)


def recorded_from_entry(entry: Entry) -> list[Recorded]:
    """Return the events of an entry as they were recorded.

    Raises:
        LedgerDamaged, InvalidEvent, SchemaTooNew: As :func:`events_from_entry`.
    """
    return as_recorded(entry, events_from_entry(entry), entry.seqs, entry.first_revision)


def as_recorded(
    entry: Entry, events: Sequence[Event], seqs: Sequence[int], revision: int
) -> list[Recorded]:
    """Return ``events``, a stretch of an entry, as recorded with ``seqs``, from a revision on."""
    recorded_at = moment_from_us(entry.recorded_us)
    commit, writer = entry.commit, entry.writer
    numbers = range(revision, revision + len(events))
    return [
        Recorded(
            seq=seq,
            revision=number,
            recorded_at=recorded_at,
            event=event,
            commit=commit,
            writer=writer,
        )
        for number, seq, event in zip(numbers, seqs, events, strict=True)
    ]


def runs_from_entry(entry: Entry) -> list[Run]:
    """Decode the events of an entry into runs of consecutive sequence numbers.

    Raises:
        LedgerDamaged: The entry does not hold as many events as it says.
        InvalidEvent, SchemaTooNew: An event cannot be decoded.
    """
    events = events_from_entry(entry)
    rest = (entry.recorded_us, entry.commit, entry.writer)
    if isinstance(entry.seqs, range):
        return [Run(entry.first_seq, entry.first_revision, entry.symbol, events, *rest)]
    runs = []
    first = 0
    seqs = entry.seqs
    for index in range(1, len(seqs) + 1):
        if index == len(seqs) or seqs[index] != seqs[index - 1] + 1:
            part = events[first:index]
            runs.append(Run(seqs[first], entry.first_revision + first, entry.symbol, part, *rest))
            first = index
    return runs


def feed_entry_from_reply(reply: Sequence[Any]) -> FeedEntry:
    """Read and check one entry of the feed.

    Raises:
        LedgerDamaged: Its fields or its seal are not what was written.
    """
    entry_id, fields = reply
    last, _, events = entry_id.partition(b"-")
    last_seq, count = int(last), int(events)
    try:
        _, commit, _, writer, _, time, _, occurred, _, fingerprint, _, seal, _, lines = (
            field.decode() for field in fields
        )
        touched = {}
        for line in lines.split("\n"):
            symbol, events, revision = line.rsplit(" ", 2)
            touched[symbol] = int(events), int(revision)
        counts = [(symbol, events) for symbol, (events, _) in touched.items()]
        expected = feed_checksum(commit, writer, fingerprint, counts) + int(occurred)
        expected += sum(rev * i for i, (_, rev) in enumerate(touched.values(), start=1))
        expected += 3 * last_seq + 5 * count + 7 * int(time)
        intact = expected % _PRIME == int(seal) and sum(n for n, _ in touched.values()) == count
        intact = intact and 0 <= int(time) <= _LATEST_US
        intact = intact and _EARLIEST_MS <= int(occurred) <= _LATEST_US // 1000
    except ValueError:
        intact = False
    if not intact or b",".join(fields[::2]) != b"c,w,t,o,f,h,s":
        raise _damaged("the feed", last_seq, "is not what was written")
    return FeedEntry(
        last_seq, count, int(time), int(occurred), commit, writer, fingerprint, touched
    )
