"""What the runner's figures are, and how those of one symbol add up.

These are telemetry, not money: floats are welcome and nothing here is ever booked.
"""

from __future__ import annotations

import math
from collections import deque
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict

import msgspec

from ledger.errors import InvalidAmount

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "RECENT_UPDATES",
    "Count",
    "Duration",
    "DurationFigures",
    "Figures",
    "Health",
    "HealthLimits",
    "LoopUpdate",
    "Metrics",
    "Number",
    "Tally",
    "loop_update",
    "require_figure",
]

Number: TypeAlias = float | Decimal
"""What a caller may pass as a figure; it is kept as a float."""

RECENT_UPDATES: Final = 60
"""How many of the last updates ``trades_opened_recent`` and the health of a symbol look at."""


class Count(StrEnum):
    """What is counted, one by one."""

    EVENTS_APPENDED = "events_appended"
    REFUSALS = "refusals"  # trades the risk guard refused
    FAILURES = "failures"  # passes that raised
    RECONNECTS = "reconnects"  # to the store or an exchange; market data reports its own


class Duration(StrEnum):
    """What is timed."""

    APPEND = "append"  # from asking the store until it answered
    LAG = "lag"  # from when a snapshot occurred until it was taken up


class DurationFigures(TypedDict):
    """One duration, in seconds, since the start or the last reset."""

    count: int
    seconds_total: float
    seconds_max: float
    seconds_last: float


class Figures(TypedDict):
    """The figures of one symbol, or of all.

    Average, maximum and minimum are exact over the updates in the buffer (the last
    ``buffer_capacity``), ``trades_opened_recent`` is the sum over the last 60 of them; the other
    counts and totals go back to the start or the last reset. Before the first update every number
    is 0 and ``data_source`` is ``None``.
    """

    loop_count: int
    loop_time_ms: float
    loop_time_avg_ms: float
    loop_time_max_ms: float
    loop_time_min_ms: float
    loop_seconds_total: float
    trades_opened_total: int
    trades_opened_recent: int
    spread_bps: float
    spread_avg_bps: float
    data_source: str | None
    ws_connected: bool
    ws_reconnect_count: int  # as the last update gave it
    uptime_seconds: float
    buffer_size: int  # updates in the buffer
    buffer_capacity: int
    buffer_usage: float  # buffer_size / buffer_capacity
    counts: dict[str, int]  # by Count
    durations: dict[str, DurationFigures]  # by Duration


class Metrics(Figures):
    """The figures over all symbols, and those of each symbol that was named."""

    per_symbol: dict[str, Figures]


class Health(TypedDict):
    """How the runner is, and each reason why it is not ``ok``."""

    status: Literal["ok", "degraded", "stalled"]
    reasons: list[str]


class LoopUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What one pass reports of itself."""

    loop_time_ms: float
    trades_opened: int
    spread_bps: float
    data_source: str
    ws_connected: bool
    ws_reconnects: int
    symbol: str | None


def loop_update(
    loop_time_ms: Number,
    trades_opened: int,
    spread_bps: Number,
    data_source: str,
    ws_connected: bool,
    ws_reconnects: int,
    symbol: str | None,
) -> LoopUpdate:
    """Read what one pass reports.

    Raises:
        InvalidAmount: A figure is not finite, or negative where only a spread may be.
    """
    return LoopUpdate(
        loop_time_ms=require_figure("loop_time_ms", loop_time_ms, minimum=0),
        trades_opened=int(require_figure("trades_opened", trades_opened, minimum=0)),
        spread_bps=require_figure("spread_bps", spread_bps),
        data_source=data_source,
        ws_connected=ws_connected,
        ws_reconnects=int(require_figure("ws_reconnects", ws_reconnects, minimum=0)),
        symbol=symbol,
    )


def require_figure(field: str, value: Number, minimum: float = -math.inf) -> float:
    """Return ``value`` as a float.

    Raises:
        InvalidAmount: It is not finite, or below ``minimum``: one such value would spoil every
            average and total after it.
    """
    figure = float(value)
    if not math.isfinite(figure):
        raise InvalidAmount(field, value, "is not a finite number")
    if figure < minimum:
        raise InvalidAmount(field, value, f"is below {minimum}")
    return figure


class Tally:
    """The running figures of one symbol, or of all. Not safe for threads by itself."""

    def __init__(self, buffer_capacity: int) -> None:
        self._capacity = buffer_capacity
        self._updates: deque[LoopUpdate] = deque(maxlen=buffer_capacity)
        self._loop_seconds = 0.0
        self._trades_opened = 0
        self._counts = dict.fromkeys(Count, 0)
        self._durations = {name: _untimed() for name in Duration}
        self.loop_count = 0
        self.updated_at: float | None = None
        self.failed_at: float | None = None
        self.uses_ws = False

    def update(self, update: LoopUpdate, now: float) -> None:
        """Take in one pass, at ``now`` seconds of a monotonic clock."""
        self._updates.append(update)
        self._loop_seconds += update.loop_time_ms / 1000
        self._trades_opened += update.trades_opened
        self.loop_count += 1
        self.updated_at = now
        self.uses_ws = self.uses_ws or update.ws_connected or update.ws_reconnects > 0

    def count(self, name: Count, amount: int, now: float) -> None:
        """Add ``amount`` to a count, at ``now`` seconds of a monotonic clock."""
        self._counts[name] += amount
        if name is Count.FAILURES:
            self.failed_at = now

    def observe(self, name: Duration, seconds: float) -> None:
        """Take in one duration."""
        timed = self._durations[name]
        timed["count"] += 1
        timed["seconds_total"] += seconds
        timed["seconds_max"] = max(seconds, timed["seconds_max"])
        timed["seconds_last"] = seconds

    @property
    def recent_loop_ms(self) -> float:
        """The average loop time over the last 60 updates."""
        return _mean([update.loop_time_ms for update in self._recent()])

    @property
    def lag_seconds(self) -> float:
        """The last lag observed."""
        return self._durations[Duration.LAG]["seconds_last"]

    @property
    def has_lost_ws(self) -> bool:
        """Whether there was a WebSocket connection and the last update had none."""
        return self.uses_ws and not self._updates[-1].ws_connected

    def figures(self, uptime_seconds: float) -> Figures:
        """Return the figures; they are the caller's own."""
        last = self._updates[-1] if self._updates else None
        times = [update.loop_time_ms for update in self._updates] or [0.0]
        return Figures(
            loop_count=self.loop_count,
            loop_time_ms=times[-1],
            loop_time_avg_ms=_mean(times),
            loop_time_max_ms=max(times),
            loop_time_min_ms=min(times),
            loop_seconds_total=self._loop_seconds,
            trades_opened_total=self._trades_opened,
            trades_opened_recent=sum(update.trades_opened for update in self._recent()),
            spread_bps=last.spread_bps if last else 0.0,
            spread_avg_bps=_mean([update.spread_bps for update in self._updates]),
            data_source=last.data_source if last else None,
            ws_connected=last.ws_connected if last else False,
            ws_reconnect_count=last.ws_reconnects if last else 0,
            uptime_seconds=uptime_seconds,
            buffer_size=len(self._updates),
            buffer_capacity=self._capacity,
            buffer_usage=len(self._updates) / self._capacity,
            counts={name.value: number for name, number in self._counts.items()},
            durations={name.value: timed.copy() for name, timed in self._durations.items()},
        )

    def _recent(self) -> Sequence[LoopUpdate]:
        return list(self._updates)[-RECENT_UPDATES:]


class HealthLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner may do and still be called well.

    Attributes:
        stalled_after_seconds: How long the runner or a symbol may go without an update.
        slow_loop_ms: What a symbol's loop may take, on average over its last 60 updates.
        max_lag_seconds: What the last ``Duration.LAG`` of a symbol may be.
        failure_window_seconds: How long a failure counts against the health of its symbol.
    """

    stalled_after_seconds: float = 60.0
    slow_loop_ms: float = 1000.0
    max_lag_seconds: float = 10.0
    failure_window_seconds: float = 60.0

    def complaints(self, tally: Tally, now: float) -> Iterator[str]:
        """Say what is wrong with one symbol at ``now``, each with its value and its limit."""
        silent = 0.0 if tally.updated_at is None else now - tally.updated_at
        if silent >= self.stalled_after_seconds:
            yield f"no update for {silent:.1f} s (limit {self.stalled_after_seconds:g} s)"
        if tally.recent_loop_ms > self.slow_loop_ms:
            yield f"a loop takes {tally.recent_loop_ms:.1f} ms (limit {self.slow_loop_ms:g} ms)"
        if tally.lag_seconds > self.max_lag_seconds:
            yield f"lags {tally.lag_seconds:.1f} s (limit {self.max_lag_seconds:g} s)"
        if tally.failed_at is not None and now - tally.failed_at < self.failure_window_seconds:
            yield f"failed {now - tally.failed_at:.1f} s ago"
        if tally.has_lost_ws:
            yield "the WebSocket connection is lost"


def _untimed() -> DurationFigures:
    return DurationFigures(count=0, seconds_total=0.0, seconds_max=0.0, seconds_last=0.0)


def _mean(values: Sequence[float]) -> float:
    # fsum: the order and the size of the values leave no trace in the mean.
    return math.fsum(values) / len(values) if values else 0.0
