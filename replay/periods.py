"""Stretches of time that figures are gathered in: minutes, hours, days, in a time zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from ledger import InvalidInput

__all__ = ["NAMED", "period_from_text", "period_start"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_WRITTEN: Final = re.compile(r"([1-9]\d{0,6})([smhd])", re.ASCII).fullmatch
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - compared with local times of one zone

NAMED: Final = {"minute": "1m", "hour": "1h", "day": "1d"}
"""Periods that have a name."""


def period_from_text(text: str) -> timedelta:
    """Read a period such as ``15s``, ``1m``, ``4h``, ``1d``, or ``hour`` and ``day``.

    Raises:
        InvalidInput: It is none.
    """
    found = _WRITTEN(NAMED.get(text, text))
    if found is None:
        raise InvalidInput(f"{text!r} is not a period", hint="write 15s, 1m, 4h or 1d")
    count, unit = found.groups()
    return timedelta(seconds=int(count) * _UNITS[unit])


def period_start(at: datetime, period: timedelta, tz: tzinfo) -> datetime:
    """Return when the period that ``at`` falls into began, by the clocks of ``tz``, in UTC."""
    local = at.astimezone(tz).replace(tzinfo=None)
    start = _EPOCH + (local - _EPOCH) // period * period
    return start.replace(tzinfo=tz, fold=at.astimezone(tz).fold).astimezone(UTC)
