"""Equity over time, with the drawdown; amounts in the base currency, at the rates recorded by then.

The ratio of a drawdown (see :mod:`replay.drawdown`) is to the equity there would be at the high.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from ledger import InvalidInput, Recorded, add, quotient
from ledger.amounts import trimmed
from replay.drawdown import Drawdown, by_period, follow, known_profit
from replay.frames import Rows
from replay.history import History, When
from replay.live import LiveState

__all__ = ["EquityPoint", "equity"]

_ZERO: Final = Decimal(0)


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The portfolio at the end of one period.

    Attributes:
        at: When the period began; for one point per so many events, the time of its last event.
        seq: The last event in it.
        equity, total_balance, unrealized_pnl, net_pnl: After that event.
        drawdown: The deepest within the period, as a positive amount.
        current_drawdown: At its end.
        drawdown_pct: ``current_drawdown`` as a ratio.
    """

    at: datetime
    seq: int
    equity: Decimal
    total_balance: Decimal
    unrealized_pnl: Decimal
    net_pnl: Decimal
    drawdown: Decimal
    current_drawdown: Decimal
    drawdown_pct: Decimal


def equity(
    history: History,
    every: str | None = None,
    *,
    points: int = 1_000,
    since: When | None = None,
    until: When | None = None,
) -> Rows[EquityPoint]:
    """Return the equity over a stretch.

    Args:
        history: The history.
        every: A point for each period such as ``1m`` that has events; otherwise ``points`` of
            them, as many events apart from each other.
        points: How many points at most where ``every`` is not given.
        since, until: The stretch; by default the session.

    Raises:
        MissingRate: A currency without a recorded rate is held at one of the points.
    """
    first, last = history.span(since, until)
    if points < 1:
        raise InvalidInput(f"points: {points} is not a count of points", hint="write 1 or more")
    stride = max(-(-(last - first + 1) // points), 1)
    # Counted from the end, so that the last point is the last event.
    key = by_period(history, every) if every else lambda found: (last - found.seq) // stride
    live = history.live(first - 1)
    drawdown = Drawdown(known_profit(live, _ZERO))
    found: Rows[EquityPoint] = Rows()

    def end_bucket(bucket: Hashable, recorded: Recorded) -> None:
        at = bucket if isinstance(bucket, datetime) else history.time_of(recorded)
        found.append(_point(live, at, drawdown))
        drawdown.begin_period()

    follow(history, live, drawdown, key, (first, last), end_bucket)
    return found


def _point(live: LiveState, at: datetime, drawdown: Drawdown) -> EquityPoint:
    value = live.equity
    high = add(value, drawdown.current)
    return EquityPoint(
        at=at,
        seq=live.seq,
        equity=value,
        total_balance=live.total_balance,
        unrealized_pnl=live.unrealized_pnl,
        net_pnl=live.net_pnl,
        drawdown=trimmed(drawdown.deepest),
        current_drawdown=trimmed(drawdown.current),
        drawdown_pct=trimmed(quotient(drawdown.current, high)) if high > 0 else _ZERO,
    )
