"""Time as the runner sees it: the wall clock, or the instant a playback has come to."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from ledger import Clock, utc_now

if TYPE_CHECKING:
    from runner.recorded import RecordedProvider

__all__ = ["Clock", "day_start", "replay_clock", "utc_now"]


def replay_clock(provider: RecordedProvider, not_before: datetime | None = None) -> Clock:
    """Return a clock that shows the instant the playback has come to.

    It begins with the first instant, and never shows a time before ``not_before``.
    """

    def now() -> datetime:
        instant = provider.now or provider.instants[0]
        return instant if not_before is None else max(instant, not_before)

    return now


def day_start(moment: datetime, zone: tzinfo) -> datetime:
    """Return when the day of ``moment`` began in ``zone``, in UTC."""
    local = moment.astimezone(zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return midnight.astimezone(UTC)
