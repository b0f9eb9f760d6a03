"""Instants as text: RFC 3339 in, ISO 8601 out, and the refusals of what is neither."""

from __future__ import annotations

import contextlib
import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Final, TypeVar

from ledger.errors import InvalidMoment

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DATE_AND_TIME",
    "MAX_LENGTH",
    "TIME_OF_DAY",
    "built",
    "date_and_time",
    "format_instant",
    "in_utc",
    "moment_from_us",
    "parse_instant",
    "refusal",
    "time_of_day",
]

T = TypeVar("T")

MAX_LENGTH: Final = 64
"""Characters a moment may have; no spelling needs half of them."""

_TIME: Final = r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,9}))?)?"
# Offsets have seconds where a zone still kept local mean time, until about 1900.
_OFFSET: Final = r"[Zz]|[+-]\d\d:\d\d(?::\d\d)?"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

TIME_OF_DAY: Final = re.compile(_TIME, re.ASCII)
"""``14:32``, ``14:32:05``, ``14:32:05.123``; read by :func:`time_of_day`."""

DATE_AND_TIME: Final = re.compile(
    rf"(?P<year>\d{{4}})-(?P<month>\d\d)-(?P<day>\d\d)[Tt ]{_TIME}(?P<offset>{_OFFSET})?", re.ASCII
)
"""``2026-11-20T14:32``, with an offset or without; read by :func:`date_and_time`."""


def parse_instant(text: str) -> datetime:
    """Read an RFC 3339 instant as an aware datetime in UTC, cut to microseconds.

    A space may stand for the T, and the seconds may be left out.

    Raises:
        InvalidMoment: It is something else, does not exist, or has no offset from UTC.
    """
    stripped = text.strip()
    match = DATE_AND_TIME.fullmatch(stripped) if len(stripped) <= MAX_LENGTH else None
    example = "2026-11-20T14:32:05.123Z or 2026-11-20T23:32:05+09:00"
    if match is None:
        raise refusal(text, "an instant", hint=f"write an instant such as {example}")
    if match["offset"] is None:
        raise refusal(
            text, "an instant: it has no offset from UTC", hint=f"add the offset, as in {example}"
        )
    return built(date_and_time, match, "an instant", hint=f"write an instant such as {example}")


def format_instant(instant: datetime, tz: tzinfo) -> str:
    """Write an instant as ISO 8601 in ``tz``, with ``Z`` where the offset from UTC is 0.

    Whole seconds have no fraction, whole milliseconds 3 digits, all else 6. An instant whose wall
    time in ``tz`` leaves the years 1 to 9999 is written in UTC. :func:`parse_instant` reads it.

    Raises:
        InvalidMoment: ``instant`` is naive.
    """
    local = in_utc(instant)
    with contextlib.suppress(OverflowError):
        local = local.astimezone(tz)
    precision = "microseconds" if local.microsecond % 1000 else "milliseconds"
    text = local.isoformat(timespec=precision if local.microsecond else "seconds")
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def in_utc(instant: datetime) -> datetime:
    """Return the same instant in UTC.

    Raises:
        InvalidMoment: ``instant`` is naive; it would be read in the zone of the machine.
        OverflowError: In UTC it leaves the years 1 to 9999.
    """
    if instant.utcoffset() is None:
        raise InvalidMoment(f"{instant} has no time zone", hint="pass an aware datetime")
    return instant.astimezone(UTC)


def date_and_time(match: re.Match[str]) -> datetime:
    """Build what :data:`DATE_AND_TIME` matched: in UTC where it has an offset, else naive.

    Raises:
        ValueError: There is no such day, time or offset.
        OverflowError: In UTC it leaves the years 1 to 9999.
    """
    day = date(int(match["year"]), int(match["month"]), int(match["day"]))
    wall = datetime.combine(day, time_of_day(match))
    offset = match["offset"]
    return wall if offset is None else in_utc(wall.replace(tzinfo=_zone(offset)))


def time_of_day(match: re.Match[str]) -> time:
    """Build what :data:`TIME_OF_DAY` matched, cut to microseconds.

    Raises:
        ValueError: There is no such time.
    """
    microsecond = int((match["fraction"] or "")[:6].ljust(6, "0"))
    return time(int(match["hour"]), int(match["minute"]), int(match["second"] or 0), microsecond)


def _zone(offset: str) -> tzinfo:
    if offset in "Zz":
        return UTC
    hours, minutes, seconds = (int(offset[at : at + 2] or 0) for at in (1, 4, 7))
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"an offset from UTC is less than 24:00, not {offset}")
    ahead = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return timezone(-ahead if offset[0] == "-" else ahead)


def built(build: Callable[[re.Match[str]], T], match: re.Match[str], what: str, *, hint: str) -> T:
    """Build a value from what matched.

    Raises:
        InvalidMoment: There is no such value; the message says by which rule.
    """
    try:
        return build(match)
    except OverflowError:
        rule = "it leaves the years 1 to 9999"
    except ValueError as error:
        rule = str(error)
    raise refusal(match.string, f"{what}: {rule}", hint=hint)


def refusal(text: str, what: str, *, hint: str) -> InvalidMoment:
    """Return the error that ``text`` is not ``what``; a long text is shown by its beginning."""
    shown = text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]}…"
    return InvalidMoment(f"{shown!r} is not {what}", hint=hint)


def moment_from_us(microseconds: int) -> datetime:
    """Return the moment this many microseconds after 1970 began, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)
