"""Sessions, and which event stands at a moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

import msgspec

from ledger.entry import FeedEntry, entry_from_reply, recorded_from_entry
from ledger.errors import LedgerDamaged, NotFound
from ledger.event import Recorded
from ledger.events import SessionEnded, SessionHalted, SessionStarted
from ledger.folding import events_of_commit, read_events
from ledger.heads import commit_at, head
from ledger.instants import moment_from_us
from ledger.keys import Keys
from ledger.moments import Moment, Span, locate
from ledger.store import Steps

__all__ = ["Session", "event_at", "find_session", "seq_at", "sessions", "span_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of trading.

    Attributes:
        state: ``open``, ``halted`` or ``ended``.
        clock: Which time questions about it mean by default, ``recorded`` or ``occurred``.
        first_seq, last_seq: Of its first and last event; an open one reaches to the head.
        recorded_from, recorded_to, occurred_from: The times of those events.
        occurred_to: The latest occurrence in it, in whole milliseconds.
    """

    session: str
    state: str
    mode: str
    base_currency: str
    clock: str
    first_seq: int
    last_seq: int
    recorded_from: datetime
    recorded_to: datetime
    occurred_from: datetime
    occurred_to: datetime

    @property
    def event_count(self) -> int:
        """How many events it spans."""
        return self.last_seq - self.first_seq + 1


def sessions(keys: Keys) -> Steps[list[Session]]:
    """Return every session in the order they started."""
    last = yield from head(keys)
    events = yield from read_events(keys, after=0, until=last.seq, symbols=[""])
    found: list[Session] = []
    started: Recorded | None = None
    halted = False
    for recorded in events:
        if isinstance(recorded.event, SessionStarted):
            started, halted = recorded, False
        elif isinstance(recorded.event, SessionHalted):
            halted = True
        elif isinstance(recorded.event, SessionEnded) and started is not None:
            found.append((yield from _session(keys, started, "ended", recorded.seq)))
            started = None
    if started is not None:
        state = "halted" if halted else "open"
        found.append((yield from _session(keys, started, state, last.seq)))
    return found


def _session(keys: Keys, started: Recorded, state: str, last_seq: int) -> Steps[Session]:
    event = started.event
    if not isinstance(event, SessionStarted):
        raise TypeError(f"{event.type} starts no session")
    last = yield from commit_at(keys, last_seq)
    return Session(
        session=event.session,
        state=state,
        mode=event.mode,
        base_currency=event.base_currency,
        clock=event.clock,
        first_seq=started.seq,
        last_seq=last_seq,
        recorded_from=started.recorded_at,
        recorded_to=moment_from_us(last.recorded_us),
        occurred_from=started.occurred_at,
        occurred_to=moment_from_us(last.occurred_ms * 1000),
    )


def find_session(found: list[Session], name: str | None) -> Session | None:
    """Return the session of that name, or the last one; ``None`` where there are none.

    Raises:
        NotFound: There is no session of that name.
    """
    if name is None:
        return found[-1] if found else None
    for session in found:
        if session.session == name:
            return session
    known = ", ".join(session.session for session in found) or "none"
    raise NotFound(f"there is no session {name!r}", hint=f"known sessions: {known}")


def span_of(
    session: Session | None, *, clock: str | None, now: datetime, tz: tzinfo, last_seq: int = 0
) -> tuple[Span, str]:
    """Return what moments of a session are resolved in, and which clock is meant.

    Without a session the span is the whole log up to ``last_seq``, by the recorded time.
    """
    if session is None:
        span = Span(first_seq=1, last_seq=last_seq, first_at=now, last_at=now, now=now, tz=tz)
        return span, clock or "recorded"
    meant = clock or session.clock
    is_recorded = meant == "recorded"
    return (
        Span(
            first_seq=session.first_seq,
            last_seq=session.last_seq,
            first_at=session.recorded_from if is_recorded else session.occurred_from,
            last_at=session.recorded_to if is_recorded else session.occurred_to,
            now=now,
            tz=tz,
            is_live=is_recorded and session.state != "ended",
        ),
        meant,
    )


def seq_at(keys: Keys, moment: Moment, span: Span, clock: str) -> Steps[int]:
    """Return the last event at or before a moment of a span; the fold is as of that event.

    By the occurred clock the order is that of the log: an event counts as soon as everything
    before it in the span had occurred as well.
    """
    located = locate(moment, span)
    if isinstance(located, int):
        return located
    return (yield from _seq_at_instant(keys, located, span, clock))


def _seq_at_instant(keys: Keys, instant: datetime, span: Span, clock: str) -> Steps[int]:
    """Search the feed, whose two times never decrease within a session, then within a commit."""
    limit = (instant - _EPOCH) // _US
    low, high = span.first_seq - 1, span.last_seq
    after: FeedEntry | None = None
    while low < high:
        middle = (low + high + 1) // 2
        entry = yield from commit_at(keys, middle)
        # An occurrence is kept in whole milliseconds: one in the same millisecond is looked into.
        time = entry.recorded_us if clock == "recorded" else entry.occurred_ms * 1000 + 999
        if time <= limit:
            low = entry.last_seq
        else:
            high, after = max(entry.first_seq - 1, low), entry
    if clock == "recorded" or after is None:
        return min(low, span.last_seq)
    return (yield from _within_commit(keys, after, low, instant))


def _within_commit(keys: Keys, entry: FeedEntry, low: int, instant: datetime) -> Steps[int]:
    for recorded in (yield from events_of_commit(keys, entry)):
        if recorded.seq <= low:
            continue
        if recorded.occurred_at > instant:
            break
        low = recorded.seq
    return low


def event_at(keys: Keys, seq: int) -> Steps[Recorded | None]:
    """Return the event with this sequence number; ``None`` for 0, the moment before any.

    Raises:
        NotFound: There is no such event.
        LedgerDamaged: It is missing.
    """
    if seq == 0:
        return None
    last = yield from head(keys)
    names = ["", *last.symbols]
    # Every stream is asked, and not the feed which one it is: a state needs no feed.
    replies = yield [("XRANGE", keys.stream(n), seq, "+", "COUNT", 1) for n in names]
    for name, found in zip(names, replies, strict=True):
        entry = entry_from_reply(name, found[0]) if found else None
        if entry is not None and seq in entry.seqs:
            return recorded_from_entry(entry)[entry.seqs.index(seq)]
    if 0 < seq <= last.seq:
        raise LedgerDamaged(f"the log is damaged: event #{seq} is missing", seq=seq)
    raise NotFound(f"there is no event #{seq}; the last one is #{last.seq}")
