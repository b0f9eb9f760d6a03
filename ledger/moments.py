"""Moments: when a user means, in text, and what it comes to in a session.

This is the face of the grammar: :func:`parse_moment` and :func:`parse_range` read it (it is told
in :mod:`ledger.moment_grammar`), :func:`locate` and :func:`locate_range` resolve what was read in
a :class:`Span`. Nothing here reads a clock.

A state is asked as of a moment, inclusive; a range is half-open. A day stands for its end in the
first and for its start in the second. Where clocks are changed, a wall time that comes twice is
the first of the two, and one that is skipped is read with the offset before the change.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from ledger.errors import InvalidMoment
from ledger.instants import format_instant, in_utc, parse_instant
from ledger.moment_grammar import (
    GRAMMAR,
    Day,
    DayTime,
    Instant,
    Landmark,
    LocalTime,
    Moment,
    MomentRange,
    Offset,
    Percent,
    SequenceNumber,
    parse_moment,
    parse_range,
)

__all__ = [
    "Day",
    "DayTime",
    "Instant",
    "Landmark",
    "LocalTime",
    "Moment",
    "MomentRange",
    "Offset",
    "Percent",
    "SequenceNumber",
    "Span",
    "format_instant",
    "locate",
    "locate_range",
    "parse_instant",
    "parse_moment",
    "parse_range",
]

_DAY: Final = timedelta(days=1)

_InEvents: TypeAlias = Percent | Literal[Landmark.START, Landmark.END]
_InTime: TypeAlias = Instant | LocalTime | Day | DayTime | Offset | Literal[Landmark.NOW]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What moments are resolved in: a session, or the whole ledger.

    Attributes:
        first_seq, last_seq: Its first and last event. Without events they are N + 1 and N, where
            N is the event before (1 and 0 for an empty ledger), and both instants are ``now``.
        first_at, last_at: When these were, by the clock that is meant; aware.
        now: This instant; aware.
        tz: The display zone, in which days and day times are read.
        is_live: The session is open and its clock is that of the wall, so that its end is ``now``.
            False for a closed session, and for a run over old prices asked by occurred time.

    Raises:
        InvalidMoment: One of the instants is naive.
    """

    first_seq: int
    last_seq: int
    first_at: datetime
    last_at: datetime
    now: datetime
    tz: tzinfo = UTC
    is_live: bool = False

    def __post_init__(self) -> None:
        for instant in (self.first_at, self.last_at, self.now):
            in_utc(instant)

    @property
    def end_at(self) -> datetime:
        """The instant from which ``-15m`` counts back."""
        return max(self.now, self.last_at) if self.is_live else self.last_at


def locate(moment: Moment, span: Span) -> int | datetime:
    """Resolve the moment as of which a state is asked: inclusive.

    Returns:
        A sequence number, or an instant in UTC that stands for the last event at or before it. An
        instant may lie outside the span: before it, nothing of the span has happened yet.

    Raises:
        InvalidMoment: A sequence number beyond the last event, or an instant no calendar holds.
    """
    match moment:
        case SequenceNumber(seq):
            if seq > span.last_seq:
                raise InvalidMoment(
                    f"{moment} is beyond the last event, #{span.last_seq}",
                    hint=f"write a number from #0 to #{span.last_seq}, or end",
                )
            return seq
        case Percent() | Landmark.START | Landmark.END:
            # The last event that a range up to there holds, but never less than the first.
            return min(max(_cut(moment, span) - 1, span.first_seq), span.last_seq)
        case Day(day):
            # fold=1: the day ends when its last minute has passed for the second time.
            return _instant(LocalTime(datetime.combine(day, time.max).replace(fold=1)), span)
        case _:
            return _instant(moment, span)


def locate_range(
    moments: MomentRange, span: Span
) -> tuple[int | datetime | None, int | datetime | None]:
    """Resolve a range to the first sequence number or instant in it, and the first after it.

    None is an open side. Sequence numbers may lie beyond the last event: the range is then empty.
    Of two day times the second follows the first: ``23:00..01:00`` goes over midnight.

    Raises:
        InvalidMoment: The range runs backwards, or reaches an instant no calendar holds.
    """
    since, until = moments.since, moments.until
    first = None if since is None else _edge(since, span)
    after = None if until is None else _edge(until, span)
    if isinstance(since, DayTime) and isinstance(until, DayTime):
        after = _next_shown(until, since, span)
    if _is_backwards(first, after):
        raise InvalidMoment(
            f"the range {moments} runs backwards here", hint=f"write {until}..{since}"
        )
    return first, after


def _edge(moment: Moment, span: Span) -> int | datetime:
    """Where a moment cuts the events of a range in two: the first event behind the cut."""
    match moment:
        case SequenceNumber(seq):
            return seq
        case Percent() | Landmark.START | Landmark.END:
            return _cut(moment, span)
        case _:
            return _instant(moment, span)


def _cut(moment: _InEvents, span: Span) -> int:
    match moment:
        case Percent(value):
            event_count = span.last_seq + 1 - span.first_seq
            return span.first_seq + int(event_count * Fraction(value) / 100)
        case Landmark.START:
            return span.first_seq
        case _:
            return span.last_seq + 1


def _instant(moment: _InTime, span: Span) -> datetime:
    """The instant in UTC of a moment that goes by the clock; of a day, its start."""
    try:
        match moment:
            case Instant(at):
                return in_utc(at)
            case LocalTime(at):
                return in_utc(at.replace(tzinfo=span.tz))
            case Day(day):
                return in_utc(datetime.combine(day, time(), span.tz))
            case DayTime(time_of_day):
                return _last_shown(time_of_day, span)
            case Offset(by, from_start):
                return in_utc(span.first_at) + by if from_start else in_utc(span.end_at) - by
            case _:
                return in_utc(span.now)
    except OverflowError:
        raise _outside(moment) from None


def _last_shown(time_of_day: time, span: Span) -> datetime:
    last_day = span.end_at.astimezone(span.tz).date()
    on_last_day = in_utc(datetime.combine(last_day, time_of_day, span.tz))
    if on_last_day > span.end_at:
        day_before = in_utc(datetime.combine(last_day - _DAY, time_of_day, span.tz))
        if day_before >= span.first_at:
            return day_before
    return on_last_day


def _next_shown(moment: DayTime, since: DayTime, span: Span) -> datetime:
    try:
        day = _instant(since, span).astimezone(span.tz).date()
        days = _DAY if moment.time < since.time else _DAY * 0
        return in_utc(datetime.combine(day + days, moment.time, span.tz))
    except OverflowError:
        raise _outside(moment) from None


def _is_backwards(first: int | datetime | None, after: int | datetime | None) -> bool:
    # Where one side is a number and the other an instant, only the store could tell.
    if isinstance(first, int) and isinstance(after, int):
        return first > after
    return isinstance(first, datetime) and isinstance(after, datetime) and first > after


def _outside(moment: Moment) -> InvalidMoment:
    return InvalidMoment(f"{moment} lies outside the years 1 to 9999", hint=GRAMMAR)
