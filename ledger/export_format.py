"""What an export holds, whatever its form: events line by line, each sealed onto the one before it.

An export has every event with what the store assigned to it, and ends with the number of events and
the digest of the state they fold to. Each line carries a check: the first 16 hex digits of the
SHA-256 of the line before's check and of the line itself without its check. So no byte can be
changed, no line removed, repeated or moved without the first wrong line being named.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from ledger.accounts import FOLD
from ledger.codec import decode_events, line_from_recorded
from ledger.errors import ExportDamaged, InvalidInput, SchemaTooNew
from ledger.event import Event, Recorded

__all__ = [
    "FORMAT",
    "HINT",
    "Collector",
    "Ending",
    "ExportedCommit",
    "ExportedLine",
    "chained",
    "damaged_line",
    "line_fields",
]

FORMAT: Final = 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
HINT: Final = "nothing of it was taken; export it anew, or use another copy"
"""What to do about an export that is not what was written."""


class ExportedLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One event of an export; its data is still JSON."""

    seq: int
    revision: int
    symbol: str | None
    type: str
    schema: int
    recorded_at: datetime
    occurred_at: str
    data: msgspec.Raw
    commit: str
    writer: str
    fingerprint: str
    cause: str | None = None


class Ending(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What an export ends with.

    Attributes:
        portfolio: Whose events they are.
        event_count: How many there are.
        digest: Of the state after the last of them, as the fold of that version has it.
        fold: The version of that fold; another one may have another digest for the same events.
    """

    portfolio: str
    event_count: int
    digest: str
    fold: int = FOLD
    format: int = FORMAT


class ExportedCommit(NamedTuple):
    """A commit as an export has it; ``fingerprint`` is that of what its writer gave."""

    id: str
    writer: str
    fingerprint: str
    recorded_us: int
    first_seq: int
    events: list[Event]

    @property
    def last_seq(self) -> int:
        """The sequence number of its last event."""
        return self.first_seq + len(self.events) - 1


def chained(before: str, body: bytes) -> str:
    """Return the check of a line whose predecessor has the check ``before``."""
    return hashlib.sha256(before.encode() + body).hexdigest()[:16]


def damaged_line(shown: str, line: int, problem: str, *, seq: int | None = None) -> ExportDamaged:
    """Build the error for a line of an export."""
    return ExportDamaged(f"{shown}, line {line}: {problem}", seq=seq, hint=HINT)


def line_fields(recorded: Recorded, fingerprint: str) -> dict[str, Any]:
    """Return the fields of an event's line, in their order."""
    return line_from_recorded(recorded) | {"fingerprint": fingerprint}


class Collector:
    """Puts the lines of an export together into commits, and checks that they follow each other.

    Args:
        shown: The file, for errors.
    """

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._revisions: dict[str, int] = {}
        self._time = _EPOCH
        self.commits: list[ExportedCommit] = []
        self.seq = 0

    def take(self, line: ExportedLine, number: int) -> None:
        """Take the event that stands in line ``number``.

        Raises:
            ExportDamaged: It is not the one that belongs there.
            SchemaTooNew: A newer build wrote it.
        """
        self._check_numbers(line, number)
        event = self._event(line, number)
        last = self.commits[-1] if self.commits else None
        recorded_us = (line.recorded_at - _EPOCH) // _US
        if last is not None and last.id == line.commit:
            same = (last.writer, last.fingerprint, last.recorded_us)
            if same != (line.writer, line.fingerprint, recorded_us):
                raise self._damaged(number, line, f"it differs from the rest of commit {last.id}")
            last.events.append(event)
        else:
            self.commits.append(
                ExportedCommit(
                    line.commit, line.writer, line.fingerprint, recorded_us, line.seq, [event]
                )
            )
        self.seq = line.seq

    def close(self, ending: Ending, number: int) -> None:
        """Check what the export says of itself at its end, which stands in line ``number``.

        Raises:
            ExportDamaged: It has another number of events.
            SchemaTooNew: A newer build wrote it.
        """
        if ending.format > FORMAT:
            raise SchemaTooNew(
                f"{self._shown} is an export of format {ending.format}; this build reads {FORMAT}",
                hint="install a newer portfolio-ledger",
            )
        if ending.event_count != self.seq:
            problem = f"it ends with {ending.event_count:,} events; there are {self.seq:,}"
            raise damaged_line(self._shown, number, problem)

    def _damaged(self, number: int, line: ExportedLine, problem: str) -> ExportDamaged:
        return damaged_line(self._shown, number, f"#{line.seq}: {problem}", seq=line.seq)

    def _check_numbers(self, line: ExportedLine, number: int) -> None:
        if line.seq != self.seq + 1:
            raise self._damaged(number, line, f"event #{self.seq + 1} belongs there")
        name = line.symbol or ""
        expected = self._revisions.get(name, 0) + 1
        if line.revision != expected:
            raise self._damaged(number, line, f"revision {line.revision} where {expected} belongs")
        if line.recorded_at.tzinfo is None or line.recorded_at < self._time:
            raise self._damaged(number, line, "it was recorded before the event that precedes it")
        self._revisions[name] = line.revision
        self._time = line.recorded_at

    def _event(self, line: ExportedLine, number: int) -> Event:
        encode = msgspec.json.encode
        kind = line.type if line.schema == 1 else f"{line.type}/{line.schema}"
        around = {"type": kind, "occurred_at": line.occurred_at}
        around |= {"symbol": line.symbol} if line.symbol else {}
        around |= {"cause": line.cause} if line.cause is not None else {}
        raw = bytes(line.data)
        if raw[:1] != b"{":
            raise self._damaged(number, line, "its data is no object")
        rest = b"}" if raw == b"{}" else b"," + raw[1:]
        try:
            (event,) = decode_events(b"[" + encode(around)[:-1] + rest + b"]")
        except InvalidInput as error:
            raise self._damaged(number, line, error.message) from None
        except SchemaTooNew as error:
            raise SchemaTooNew(
                f"{self._shown}, line {number}: {error.message}", hint=error.hint
            ) from None
        return event
