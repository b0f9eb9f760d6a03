"""Ranges of moments as sequence numbers, and reading a stretch of the log from its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from ledger.cli.call import Call
from ledger.clock import utc_now
from ledger.event import Recorded
from ledger.heads import head
from ledger.keys import Keys
from ledger.moments import Instant, Moment, MomentRange, Span, locate_range
from ledger.store import Steps
from ledger.sync_face import SyncLedger
from ledger.timeline import find_session, seq_at, sessions, span_of

__all__ = ["Selection", "Stretch", "backwards", "stretch_of"]

_WINDOW: Final = 2_000
_US: Final = timedelta(microseconds=1)


class Stretch(NamedTuple):
    """The events with ``after < seq <= until``."""

    after: int
    until: int

    @property
    def event_count(self) -> int:
        """How many events it holds."""
        return max(self.until - self.after, 0)


class Selection(NamedTuple):
    """Which events of a stretch are meant; empty fields leave nothing out."""

    types: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    symbols: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing is left out."""
        return not (self.types or self.excluded or self.symbols)

    def has(self, recorded: Recorded) -> bool:
        """Whether an event of the right symbol is of a type that is meant."""
        name = recorded.type
        return (not self.types or name in self.types) and name not in self.excluded


def stretch_of(
    call: Call,
    ledger: SyncLedger,
    moments: MomentRange,
    *,
    session: str | None = None,
    clock: str | None = None,
) -> Stretch:
    """Resolve a half-open range; an open side is that of ``session``, or of the whole log.

    Raises:
        InvalidMoment: The range cannot be resolved.
        NotFound: There is no such session.
    """
    steps = _stretch(ledger.keys, moments, session, clock, utc_now(), call)
    return ledger.drive(steps)


def _stretch(
    keys: Keys,
    moments: MomentRange,
    session: str | None,
    clock: str | None,
    now: datetime,
    call: Call,
) -> Steps[Stretch]:
    last = yield from head(keys)
    found = find_session((yield from sessions(keys)), session)
    span, meant = span_of(found, clock=clock, now=now, tz=call.screen.zone, last_seq=last.seq)
    first, behind = locate_range(moments, span)
    low, high = (span.first_seq - 1, span.last_seq) if session else (0, last.seq)
    after = low if first is None else (yield from _before(keys, first, span, meant))
    until = high if behind is None else (yield from _before(keys, behind, span, meant))
    after, until = min(max(after, low), high), min(until, high)
    return Stretch(after, max(after, until))


def _before(keys: Keys, edge: int | datetime, span: Span, clock: str) -> Steps[int]:
    """The last event before an edge."""
    if isinstance(edge, int):
        return max(edge - 1, 0)
    moment: Moment = Instant(edge - _US)
    return (yield from seq_at(keys, moment, span, clock))


def backwards(
    ledger: SyncLedger, stretch: Stretch, selection: Selection
) -> Iterator[Sequence[Recorded]]:
    """Read a stretch window by window from its end; the events of each are newest first."""
    until = stretch.until
    width = _WINDOW
    while until > stretch.after:
        after = max(until - width, stretch.after)
        page = ledger.tail(*selection.symbols, after=after, until=until)
        found = [recorded for recorded in page if selection.has(recorded)]
        yield found[::-1]
        until = after
        width = min(width * 2, 16 * _WINDOW)
