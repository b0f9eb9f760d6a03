"""Loops over symbols, side by side: each at its own pace, none in the way of another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from ledger import Fenced
from runner.config import RunnerConfig

__all__ = ["Loops"]

log = logging.getLogger(__name__)


class Passes(Protocol):
    """What makes the passes."""

    config: RunnerConfig

    async def arun_once_for_symbol(self, symbol: str) -> bool:
        """Make one pass; what it raises has been reported."""


class Loops:
    """Runs one task per symbol, and begins a task anew that ended with an error."""

    def __init__(self, passes: Passes) -> None:
        self._passes = passes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self._is_unwanted = False

    def stop(self) -> None:
        """End the loops after the passes under way, from any thread; before a start, that one."""
        self._is_unwanted = True
        loop, stopped = self._loop, self._stopped
        if loop is not None and stopped is not None and not loop.is_closed():
            loop.call_soon_threadsafe(stopped.set)

    async def run(self, symbols: Sequence[str]) -> None:
        """Loop until stopped, or until the configured time is over.

        Raises:
            Fenced: A newer run has taken over; there is nothing left to do for this one.
        """
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        stopped = self._stopped
        if self._is_unwanted:
            stopped.set()
        limit = self._passes.config.max_runtime_seconds
        timer = None if limit is None else self._loop.call_later(limit, stopped.set)
        tasks = {
            asyncio.create_task(self._work(symbol, stopped, 0)): symbol
            for symbol in dict.fromkeys(symbols)
        }
        try:
            while tasks:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    self._replace(task, tasks, stopped)
        finally:
            if timer is not None:
                timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._is_unwanted = False

    def _replace(
        self,
        task: asyncio.Task[None],
        tasks: dict[asyncio.Task[None], str],
        stopped: asyncio.Event,
    ) -> None:
        """Look at how a symbol's task ended; after an error it begins anew, in its own time."""
        symbol = tasks.pop(task)
        error = task.exception()
        if isinstance(error, Fenced):
            raise error
        if error is not None and not stopped.is_set():
            pause = self._passes.config.interval(symbol)
            log.info("%s goes on after %s", symbol, type(error).__name__)
            tasks[asyncio.create_task(self._work(symbol, stopped, pause))] = symbol

    async def _work(self, symbol: str, stopped: asyncio.Event, pause: float) -> None:
        await _pause(stopped, pause)
        while not stopped.is_set():
            await self._passes.arun_once_for_symbol(symbol)
            await _pause(stopped, self._passes.config.interval(symbol))


async def _pause(stopped: asyncio.Event, seconds: float) -> None:
    """Wait, but not beyond the stop."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    waiting = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({waiting}, timeout=seconds)
    finally:
        waiting.cancel()
