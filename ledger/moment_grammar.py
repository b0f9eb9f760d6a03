"""The one grammar in which a user says *when*: its words, and reading them.

=====================================  ============================================================
``#1204``                              a sequence number; ``#0`` is the empty portfolio
``2026-11-20T14:32:05.123Z``           an instant; offsets such as ``+09:00``, a space for the T,
                                       seconds optional, up to 9 fraction digits (cut to 6)
``2026-11-20T14:32``                   the same without an offset: read in the display zone
``2026-11-20``                         a day in the display zone: to its end for a state,
                                       from its start on either side of a range
``14:32:05``, ``14:32``                the last time the session's clock showed it; if it never
                                       did, that time on the session's last day
``-15m``, ``+1h30m``                   back from the end, on from the start; units w d h m s ms,
                                       largest first; in a live session the end is now
``start``, ``end``, ``now``            the first event, the last event, this instant
``1795185125123``                      milliseconds since 1970, 12 digits or more
``50%``, ``12.5%``                     so many of the session's events, at least the first
=====================================  ============================================================

A range is ``A..B``, ``A..``, ``..B`` or ``..`` and half-open: B is the first moment left out, but
``end`` and ``100%`` stand behind the last event there, so that ``start..end`` is everything.

What a moment comes to in a session is told by :mod:`ledger.moments`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

from ledger.amounts import amount, plain
from ledger.errors import InvalidMoment
from ledger.instants import (
    DATE_AND_TIME,
    MAX_LENGTH,
    TIME_OF_DAY,
    built,
    date_and_time,
    format_instant,
    refusal,
    time_of_day,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

__all__ = [
    "GRAMMAR",
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
    "parse_moment",
    "parse_range",
]

GRAMMAR: Final = (
    "write 2026-11-20, 2026-11-20T14:32:05.123Z, 14:32:05, -15m, +1h30m, start, end, now, "
    "#1204, 50% or milliseconds since 1970"
)
"""The grammar in one line, for hints."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class SequenceNumber:
    """The event of that sequence number; 0 is before the first one."""

    seq: int

    def __post_init__(self) -> None:
        if self.seq < 0:
            raise InvalidMoment(f"#{self.seq} is below #0, the empty portfolio", hint=GRAMMAR)

    def __str__(self) -> str:
        return f"#{self.seq}"


@dataclass(frozen=True, slots=True)
class Instant:
    """A point in time, aware."""

    at: datetime

    def __str__(self) -> str:
        return format_instant(self.at, UTC)


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A day and a time of it, naive: which instant it is depends on the display zone."""

    at: datetime

    def __str__(self) -> str:
        return self.at.isoformat()


@dataclass(frozen=True, slots=True)
class Day:
    """A whole day of the display zone."""

    day: date

    def __str__(self) -> str:
        return self.day.isoformat()


@dataclass(frozen=True, slots=True)
class DayTime:
    """A time of the session's day, in the display zone."""

    time: time

    def __str__(self) -> str:
        return self.time.isoformat()


@dataclass(frozen=True, slots=True)
class Offset:
    """So long after the start of the session or before its end; whole milliseconds, not negative.

    Raises:
        InvalidMoment: ``by`` is negative or has a fraction of a millisecond.
    """

    by: timedelta
    from_start: bool

    def __post_init__(self) -> None:
        if self.by < timedelta(0) or self.by % _MILLISECOND:
            raise InvalidMoment(f"{self.by} is not a whole count of milliseconds", hint=GRAMMAR)

    def __str__(self) -> str:
        minutes, seconds = divmod(self.by.seconds, 60)
        hours, minutes = divmod(minutes, 60)
        counts = (self.by.days, hours, minutes, seconds, self.by.microseconds // 1000)
        units = zip(counts, ("d", "h", "m", "s", "ms"), strict=True)
        written = "".join(f"{count}{unit}" for count, unit in units if count)
        return ("+" if self.from_start else "-") + (written or "0s")


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of the session's events, 0 to 100.

    Raises:
        InvalidMoment: ``value`` is outside 0 to 100.
    """

    value: Decimal

    def __post_init__(self) -> None:
        if not 0 <= self.value <= 100:
            raise InvalidMoment(f"{plain(self.value)}% is outside 0% to 100%", hint=GRAMMAR)

    def __str__(self) -> str:
        return f"{plain(self.value)}%"


class Landmark(Enum):
    """A moment that has a name."""

    START = "start"
    END = "end"
    NOW = "now"

    def __str__(self) -> str:
        return self.value


Moment: TypeAlias = (
    SequenceNumber | Instant | LocalTime | Day | DayTime | Offset | Percent | Landmark
)
"""What :func:`parse_moment` reads; ``str`` of it is its canonical text and parses to itself."""


@dataclass(frozen=True, slots=True)
class MomentRange:
    """From ``since`` on, up to but without ``until``; None is an open side."""

    since: Moment | None
    until: Moment | None

    def __str__(self) -> str:
        return f"{self.since or ''}..{self.until or ''}"


def parse_moment(text: str) -> Moment:
    """Read one moment; spaces around it do not matter.

    Raises:
        InvalidMoment: The text is not of the grammar, or names a day or time that does not exist.
    """
    stripped = text.strip()
    if len(stripped) <= MAX_LENGTH:
        for form, build in _FORMS:
            if match := form.fullmatch(stripped):
                return built(build, match, "a moment", hint=GRAMMAR)
    raise refusal(text, "a moment", hint=GRAMMAR)


def parse_range(text: str) -> MomentRange:
    """Read ``A..B``, ``A..``, ``..B`` or ``..``.

    Raises:
        InvalidMoment: A side is not a moment, or there is no ``..``: a single moment could mean
            what came before it or what comes after, so the hint spells out both.
    """
    since, dots, until = (part.strip() for part in text.partition(".."))
    if not dots:
        moment = parse_moment(text)
        raise InvalidMoment(
            f"{text!r} is a moment, not a range",
            hint=f"write {moment}.. for what comes from there on, ..{moment} for what was before",
        )
    return MomentRange(
        parse_moment(since) if since else None, parse_moment(until) if until else None
    )


def _date_and_time(match: re.Match[str]) -> Instant | LocalTime:
    at = date_and_time(match)
    return Instant(at) if at.tzinfo else LocalTime(at)


def _milliseconds(match: re.Match[str]) -> Instant:
    if len(match[0]) < 12:
        raise ValueError(
            "milliseconds since 1970 have 12 digits or more; "
            f"write #{match[0]} for a sequence number, {match[0]}000 for seconds since 1970"
        )
    return Instant(_EPOCH + int(match[0]) * _MILLISECOND)


def _offset(match: re.Match[str]) -> Offset:
    sign, *counts = match.groups(default="0")
    weeks, days, hours, minutes, seconds, milliseconds = map(int, counts)
    by = timedelta(
        weeks=weeks,
        days=days,
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        milliseconds=milliseconds,
    )
    return Offset(by, from_start=sign == "+")


_FORMS: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Moment]], ...]] = (
    (DATE_AND_TIME, _date_and_time),
    (re.compile(r"\d{4}-\d\d-\d\d", re.ASCII), lambda match: Day(date.fromisoformat(match[0]))),
    (TIME_OF_DAY, lambda match: DayTime(time_of_day(match))),
    (re.compile("start|end|now"), lambda match: Landmark(match[0])),
    (re.compile(r"#(\d+)", re.ASCII), lambda match: SequenceNumber(int(match[1]))),
    (re.compile(r"(\d+(?:\.\d{1,9})?)%", re.ASCII), lambda match: Percent(amount(match[1]))),
    (re.compile(r"\d+", re.ASCII), _milliseconds),
    (
        re.compile(
            r"([+-])(?=\d)(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?"
            r"(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?",
            re.ASCII,
        ),
        _offset,
    ),
)
