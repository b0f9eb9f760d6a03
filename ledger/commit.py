"""One commit on its way: from the events a writer gives to the script's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from ledger.accounts import PortfolioAccount, SymbolAccount
from ledger.codec import encode_events, fingerprint
from ledger.contents import checked, claims
from ledger.entry import entry_checksum, feed_checksum, feed_entry_from_reply
from ledger.errors import (
    AppendRefused,
    CommitMismatch,
    Fenced,
    InvalidInput,
    LedgerDamaged,
    LedgerError,
)
from ledger.event import Event
from ledger.events import (
    CostBasisChosen,
    EventReversed,
    SessionEnded,
    SessionHalted,
    SessionStarted,
)
from ledger.instants import moment_from_us
from ledger.keys import Keys
from ledger.store import APPEND, Command, Reply

__all__ = ["Commit", "Draft", "Expected", "at_time"]

Expected = int | Mapping[str, int] | None
"""What an append demands: the portfolio's last sequence number, or revisions by symbol."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CONTROL: Final = (SessionStarted, SessionEnded, SessionHalted, CostBasisChosen, EventReversed)


def _ms_from_moment(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What the store assigned to a commit.

    Attributes:
        id: The commit's id.
        seq: The sequence number of its last event.
        first_seq: The sequence number of its first event.
        recorded_at: When the store took it, in UTC.
        revisions: How far the stream of each symbol came with it; ``""`` is the portfolio's own.
        is_repeat: Whether it had been recorded before, and this is the first outcome again.
    """

    id: str
    seq: int
    first_seq: int
    recorded_at: datetime
    revisions: dict[str, int]
    is_repeat: bool = False


def at_time(events: Sequence[Event], now: datetime) -> list[Event]:
    """Return the events with ``occurred_at`` filled in where it was left out."""
    return [
        event if event.occurred_at is not None else msgspec.structs.replace(event, occurred_at=now)
        for event in events
    ]


class Draft:
    """A commit that is being appended.

    Attributes:
        events: With ``occurred_at`` filled in.
        streams: The streams it touches, in the order of their first event.
        claims: The ids that nobody in the portfolio may have used before, each with its kind.
        field: The name under which its bucket knows the commit.
        forks, tried_seq: The accounts it was tried on, and the number its first event had there.
        outcome: What became of it: a :class:`Commit` or the error; ``None`` while under way.
    """

    def __init__(
        self,
        events: Sequence[Event],
        *,
        commit_id: str,
        bucket: str,
        field: str,
        expected: Expected,
        now: datetime,
        is_chosen: bool,
    ) -> None:
        given = checked(events)
        self.id = commit_id
        self.bucket = bucket
        self.field = field
        self.expected = expected
        self.is_chosen = is_chosen
        self.take(at_time(given, now))
        if isinstance(expected, Mapping):
            self._check_touched(expected)
        # What was given counts as the content: the same lines sent again later are the same commit.
        self.fingerprint = fingerprint(given)
        self.outcome: Commit | LedgerError | None = None
        self.forks: list[PortfolioAccount | SymbolAccount] = []
        self.tried_seq = 0

    def take(self, events: list[Event]) -> None:
        """Make ``events`` those of the draft."""
        self.events = events
        self._offsets: dict[str, list[int]] = {}
        for offset, event in enumerate(events, start=1):
            self._offsets.setdefault(event.symbol, []).append(offset)
        self.streams = list(self._offsets)
        self.claims = claims(events)

    def _check_touched(self, expected: Mapping[str, int]) -> None:
        # The stream of a reversal is known only when it is appended.
        others = sorted(set(expected) - set(self._offsets))
        if others and not isinstance(self.events[0], EventReversed):
            raise InvalidInput(
                f"expected: {others[0]!r} is no symbol of the commit",
                hint="demand revisions of its own symbols, or the portfolio's sequence number",
            )

    def events_of(self, name: str) -> list[Event]:
        """The events of one stream, in order."""
        return [self.events[offset - 1] for offset in self._offsets[name]]

    def result(self) -> Commit:
        """Return the commit, or raise what became of it."""
        if isinstance(self.outcome, Commit):
            return self.outcome
        if self.outcome is None:
            raise AppendRefused(f"commit {self.id}: no outcome is known; send it again")
        raise self.outcome

    def command(
        self,
        keys: Keys,
        *,
        writer: str,
        epoch: int | None,
        revisions: Mapping[str, int],
        before: Mapping[str, str],
        control: int | None,
    ) -> Command:
        """Build the call of the append script.

        It was tried on ``revisions``, and in the streams that ``before`` names on the commit with
        that id, which is sent just before this one.
        """
        streams = self.streams
        parts: list[str | bytes | int] = []
        for name in streams:
            parts += self._stream_arguments(name, writer, revisions)
            parts.append(before.get(name, ""))
        counts = [(name, len(offsets)) for name, offsets in self._offsets.items()]
        crc = feed_checksum(self.id, writer, self.fingerprint, counts)
        return (
            APPEND,
            5 + len(streams) + len(self.claims),
            *(keys.meta, keys.revisions, keys.writers, keys.feed, self.bucket),
            *map(keys.stream, streams),
            *map(keys.bucket, self.claims),
            *(self.id, self.field, self.fingerprint, writer),
            "" if epoch is None else epoch,
            self.expected if isinstance(self.expected, int) else "",
            "" if control is None else control,
            *self._clock_arguments(),
            *(crc, len(streams), len(self.claims)),
            *parts,
            *self.claims,
        )

    def _clock_arguments(self) -> tuple[int, int, str]:
        """The offset of the last control event, the latest occurrence, whether a session starts."""
        control = 0
        for offset in self._offsets.get("", ()):
            if isinstance(self.events[offset - 1], _CONTROL):
                control = offset
        latest = max(event.occurred_at or _EPOCH for event in self.events)
        starts = "" in self._offsets and any(isinstance(e, SessionStarted) for e in self.events)
        return control, _ms_from_moment(latest), "1" if starts else ""

    def _stream_arguments(
        self, name: str, writer: str, revisions: Mapping[str, int]
    ) -> list[str | bytes | int]:
        payload = encode_events(self.events_of(name))
        offsets = self._offsets[name]
        last = offsets[-1]
        is_dense = last - offsets[0] + 1 == len(offsets)
        distances = "" if is_dense else ",".join(str(last - offset) for offset in offsets)
        crc = entry_checksum(name, self.id, writer, distances, payload)
        return [name, revisions.get(name, ""), len(offsets), last, distances, crc, payload]

    def settle(self, reply: Reply) -> str:
        """Take the script's answer: returns its word, and sets the outcome where it is final.

        ``stale`` and ``conflict`` are left to the writer: it must look at what is there.
        """
        word: str = reply[0].decode()
        if word == "ok":
            self._settle_new(reply)
        elif word == "again":
            self._settle_repeat(reply[1])
        elif word == "fenced":
            self.outcome = Fenced(
                f"run {reply[1].decode()} of this writer has taken over",
                hint="stop this run, or start it anew to take over in turn",
            )
        elif word == "recorded":
            self.outcome = LedgerDamaged(
                f"commit {self.id} is recorded as #{reply[1].decode()}, but the feed lacks it",
                seq=int(reply[1]),
            )
        elif word == "wrongtype":
            key, found, wanted = (part.decode() for part in reply[1:])
            self.outcome = LedgerDamaged(f"key {key} holds a {found} where a {wanted} belongs")
        elif word == "ahead":
            name = reply[1].decode()
            stream = f"the stream of {name}" if name else "the portfolio's own stream"
            self.outcome = LedgerDamaged(
                f"the log is damaged: {stream} holds more than the {reply[2].decode()} events "
                "that were recorded",
                seq=int(reply[2]) + 1,
            )
        return word

    def _settle_new(self, reply: Sequence[Any]) -> None:
        last, count = map(int, reply[1].split(b"-"))
        touched = [line.rsplit(b" ", 2) for line in reply[3].split(b"\n")]
        self.outcome = Commit(
            id=self.id,
            seq=last,
            first_seq=last - count + 1,
            recorded_at=moment_from_us(int(reply[2])),
            revisions={name.decode(): int(revision) for name, _, revision in touched},
        )

    def _settle_repeat(self, reply: Sequence[Any]) -> None:
        """Answer with what the feed says of a commit of this id."""
        try:
            entry = feed_entry_from_reply(reply)
        except LedgerDamaged as error:
            self.outcome = error
            return
        if entry.fingerprint != self.fingerprint or entry.commit != self.id:
            self.outcome = CommitMismatch(
                f"commit {self.id} is recorded as #{entry.last_seq} with other content",
                hint="give every commit an id of its own",
            )
            return
        self.outcome = Commit(
            id=self.id,
            seq=entry.last_seq,
            first_seq=entry.first_seq,
            recorded_at=moment_from_us(entry.recorded_us),
            revisions={name: revision for name, (_, revision) in entry.touched.items()},
            is_repeat=True,
        )
