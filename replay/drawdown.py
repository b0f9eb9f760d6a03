"""How far a profit is below its highest, followed event by event and bucket by bucket.

Drawdown is how far the profit (net PnL and unrealized PnL together) is below the highest it has
been since the stretch began; money put in or taken out is neither profit nor drawdown.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeAlias

from ledger import MissingRate, Recorded, exact, subtract
from replay.history import History
from replay.live import LiveState
from replay.money import RESERVES
from replay.periods import period_from_text, period_start

__all__ = ["Drawdown", "Key", "by_period", "follow", "known_profit"]

_ZERO: Final = Decimal(0)

Key: TypeAlias = Callable[[Recorded], Hashable]
"""Which bucket an event falls into."""


class Drawdown:
    """Follows a profit, and how far it is below its highest."""

    def __init__(self, profit: Decimal) -> None:
        self._high = profit
        self.current = self.deepest = _ZERO

    def follow(self, profit: Decimal) -> None:
        """Go on to the profit after an event."""
        if profit >= self._high:
            self._high, self.current = profit, _ZERO
            return
        self.current = current = subtract(self._high, profit)
        self.deepest = max(self.deepest, current)

    def begin_period(self) -> None:
        """Forget how deep it was before, but not the highest profit."""
        self.deepest = self.current


def by_period(history: History, every: str) -> Key:
    """Put events into periods such as ``1m``, by the clock and the zone of the history."""
    period = period_from_text(every)
    latest: list[datetime] = []

    def key(recorded: Recorded) -> datetime:
        # Within a session occurrences may be a little out of order: no period begins twice.
        start = period_start(history.time_of(recorded), period, history.tz)
        if not latest or start > latest[0]:
            latest[:] = [start]
        return latest[0]

    return key


def known_profit(live: LiveState, otherwise: Decimal) -> Decimal:
    """The profit; where a rate is still missing, what it was before."""
    try:
        return live.profit
    except MissingRate:
        return otherwise


def follow(
    history: History,
    live: LiveState,
    drawdown: Drawdown,
    key: Key,
    span: tuple[int, int],
    end_bucket: Callable[[Hashable, Recorded], None],
) -> None:
    """Follow the fold; call ``end_bucket`` with each bucket's key and last event, while ``live``
    stands there."""
    first, last = span
    bucket: Hashable = None
    before: Recorded | None = None
    profit = known_profit(live, _ZERO)
    with exact():  # entered once, and not for every event
        for recorded in history.events(first=first, last=last):
            now = key(recorded)
            if now != bucket:
                if before is not None:
                    end_bucket(bucket, before)
                bucket = now
            before = recorded
            live.evolve_exactly(recorded)
            if live.moved > RESERVES:
                profit = known_profit(live, profit)
                drawdown.follow(profit)
        if before is not None:
            end_bucket(bucket, before)
