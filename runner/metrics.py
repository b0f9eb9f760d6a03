"""Collects the runner's figures about itself: how fast it loops, what it opens, how well it is.

Every figure is kept over all updates and per symbol, so that a slow or silent symbol shows even
where the others go on. What the figures are stands in :mod:`runner.figures`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from threading import Lock
from time import monotonic as system_monotonic
from typing import TYPE_CHECKING, overload

from ledger.errors import InvalidInput, LedgerError
from runner.figures import (
    RECENT_UPDATES,
    Count,
    Duration,
    Figures,
    Health,
    HealthLimits,
    LoopUpdate,
    Metrics,
    Number,
    Tally,
    loop_update,
    require_figure,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Count", "Duration", "HealthLimits", "MetricsCollector", "QueueStopped"]


class QueueStopped(LedgerError, RuntimeError):
    """An update was queued after the queue had been stopped; it was not taken."""

    code = "metrics_queue_stopped"


class MetricsCollector:
    """The runner's figures.

    Every method may be called from any thread, but for the queue (``astart_queue_processing``,
    ``aqueue_metrics``, ``astop_queue_processing``), which belongs to one event loop.
    """

    def __init__(
        self,
        *,
        buffer_capacity: int = 1000,
        health_limits: HealthLimits = HealthLimits(),  # noqa: B008 (frozen)
        monotonic: Callable[[], float] = system_monotonic,
    ) -> None:
        """Start at zero, with the uptime counted from now.

        Args:
            buffer_capacity: Updates kept for all together, and again for each symbol.
            health_limits: What :meth:`get_health` judges by.
            monotonic: The clock, in seconds.

        Raises:
            InvalidInput: ``buffer_capacity`` is below 60.
        """
        if buffer_capacity < RECENT_UPDATES:
            raise InvalidInput(
                f"buffer_capacity: {buffer_capacity} is below {RECENT_UPDATES}",
                hint=f"the recent figures are made of the last {RECENT_UPDATES} updates; keep them",
            )
        self._buffer_capacity = buffer_capacity
        self._limits = health_limits
        self._monotonic = monotonic
        self._lock = Lock()
        self._queued: deque[LoopUpdate] = deque()
        self._wake: asyncio.Event | None = None
        self._worker: asyncio.Task[None] | None = None
        self._is_stopped = False
        self.reset()

    def reset(self) -> None:
        """Forget every figure and start the uptime anew; what is queued is still to be counted."""
        with self._lock:
            self._started_at = self._monotonic()
            self._total = Tally(self._buffer_capacity)
            self._tallies: dict[str | None, Tally] = {}

    def update_loop_metrics(
        self,
        loop_time_ms: Number,
        trades_opened: int,
        spread_bps: Number,
        data_source: str,
        ws_connected: bool = False,
        ws_reconnects: int = 0,
        symbol: str | None = None,
    ) -> None:
        """Take in one pass of the loop.

        Args:
            loop_time_ms: What the pass took.
            trades_opened: How many trades it opened.
            spread_bps: The spread it saw, in basis points.
            data_source: Where the snapshot came from, such as ``"ws"``.
            ws_connected: Whether the WebSocket connection stands.
            ws_reconnects: How often it was made again, as the provider counts from its start.
            symbol: The symbol the pass was for; without one, only the overall figures move.

        Raises:
            InvalidAmount: A number is not finite, or one that cannot be negative is; nothing of
                the update was taken.
        """
        update = loop_update(
            loop_time_ms,
            trades_opened,
            spread_bps,
            data_source,
            ws_connected,
            ws_reconnects,
            symbol,
        )
        self._apply(update)

    async def aupdate_loop_metrics(
        self,
        loop_time_ms: Number,
        trades_opened: int,
        spread_bps: Number,
        data_source: str,
        ws_connected: bool = False,
        ws_reconnects: int = 0,
        symbol: str | None = None,
    ) -> None:
        """Do as :meth:`update_loop_metrics`, at once and without yielding to other tasks."""
        self.update_loop_metrics(
            loop_time_ms,
            trades_opened,
            spread_bps,
            data_source,
            ws_connected,
            ws_reconnects,
            symbol,
        )

    def count(self, name: Count, symbol: str | None = None, amount: int = 1) -> None:
        """Add ``amount`` to a count.

        Raises:
            InvalidAmount: ``amount`` is negative: a count only grows.
        """
        require_figure("amount", amount, minimum=0)
        with self._lock:
            now = self._monotonic()
            for tally in self._tallies_of(symbol):
                tally.count(name, amount, now)

    def observe(self, name: Duration, seconds: float, symbol: str | None = None) -> None:
        """Take in one duration.

        Raises:
            InvalidAmount: ``seconds`` is not a finite number.
        """
        require_figure("seconds", seconds)
        with self._lock:
            for tally in self._tallies_of(symbol):
                tally.observe(name, seconds)

    @overload
    def get_metrics(self, symbol: None = None) -> Metrics: ...

    @overload
    def get_metrics(self, symbol: str) -> Figures: ...

    def get_metrics(self, symbol: str | None = None) -> Metrics | Figures:
        """Return the figures over all updates with those ``per_symbol``, or those of one symbol.

        A symbol that was never seen has the figures of one without an update. What is returned is
        the caller's own: changing it changes nothing here.
        """
        with self._lock:
            uptime = self._monotonic() - self._started_at
            if symbol is not None:
                tally = self._tallies.get(symbol) or Tally(self._buffer_capacity)
                return tally.figures(uptime)
            return Metrics(
                **self._total.figures(uptime),
                per_symbol={
                    name: tally.figures(uptime)
                    for name, tally in self._tallies.items()
                    if name is not None
                },
            )

    def figures_by_symbol(self) -> dict[str, Figures]:
        """Return each symbol's figures; those that came without a symbol stand under ``""``.

        The counts and totals in it add up to the overall ones.
        """
        with self._lock:
            uptime = self._monotonic() - self._started_at
            return {name or "": tally.figures(uptime) for name, tally in self._tallies.items()}

    def get_health(self) -> Health:
        """Say how the runner is, by the limits given at the start.

        ``stalled``: no pass at all was reported for ``stalled_after_seconds``. ``degraded``: one
        symbol was silent that long while others went on, or is slow, or lags, or failed lately,
        or has lost its WebSocket connection. The reasons name the symbol, the value and the limit.
        """
        with self._lock:
            now = self._monotonic()
            last = self._total.updated_at
            silent = now - (self._started_at if last is None else last)
            reasons = [
                f"{symbol or 'without a symbol'}: {complaint}"
                for symbol, tally in self._tallies.items()
                for complaint in self._limits.complaints(tally, now)
            ]
        limit = self._limits.stalled_after_seconds
        if silent >= limit:
            reasons.insert(0, f"no update for {silent:.1f} s (limit {limit:g} s)")
            return Health(status="stalled", reasons=reasons)
        return Health(status="degraded" if reasons else "ok", reasons=reasons)

    async def astart_queue_processing(self) -> None:
        """Begin to count what is or will be queued; idempotent, and possible again after a stop."""
        self._is_stopped = False
        if self._worker is None or self._worker.done():
            self._wake = asyncio.Event()
            self._wake.set()
            self._worker = asyncio.create_task(self._work(self._wake), name="metrics-queue")

    async def aqueue_metrics(
        self,
        loop_time_ms: Number,
        trades_opened: int,
        spread_bps: Number,
        data_source: str,
        ws_connected: bool = False,
        ws_reconnects: int = 0,
        symbol: str | None = None,
    ) -> None:
        """Queue what :meth:`update_loop_metrics` takes; before the start it is kept until then.

        Raises:
            InvalidAmount: As :meth:`update_loop_metrics` does; nothing was queued.
            QueueStopped: The queue was stopped and not started again.
        """
        if self._is_stopped:
            raise QueueStopped(
                f"metrics of {symbol or 'a pass'} were queued after the queue was stopped",
                hint="call astart_queue_processing first, or update_loop_metrics instead",
            )
        update = loop_update(
            loop_time_ms,
            trades_opened,
            spread_bps,
            data_source,
            ws_connected,
            ws_reconnects,
            symbol,
        )
        self._queued.append(update)
        if self._wake is not None:
            self._wake.set()

    async def astop_queue_processing(self) -> None:
        """Count all that is queued, then stop; idempotent. Nothing queued is lost."""
        self._is_stopped = True
        worker, self._worker, self._wake = self._worker, None, None
        if worker is not None and not worker.done():
            worker.cancel()
            await asyncio.wait([worker])
        self._drain()

    async def _work(self, wake: asyncio.Event) -> None:
        # It can be cancelled only while it waits, when nothing is half counted.
        while True:
            await wake.wait()
            wake.clear()
            self._drain()

    def _drain(self) -> None:
        while self._queued:
            self._apply(self._queued.popleft())

    def _apply(self, update: LoopUpdate) -> None:
        with self._lock:
            now = self._monotonic()
            for tally in self._tallies_of(update.symbol):
                tally.update(update, now)

    def _tallies_of(self, symbol: str | None) -> tuple[Tally, Tally]:
        if symbol not in self._tallies:
            self._tallies[symbol] = Tally(self._buffer_capacity)
        return self._total, self._tallies[symbol]
