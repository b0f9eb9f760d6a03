"""A session on paper over recorded prices, from the first instant to the last.

Everything in it follows from the prices, the configuration and the seed: no wall clock is read, and
the prices and orders of all symbols at an instant share a commit in a fixed order. The same
arguments over an empty portfolio give the same events, and the same digest, on every machine.

A session that was interrupted goes on: the engine is shown the prices up to the last instant in the
ledger, which is then worked once more; what of it was done already is not done again. For this
the paper exchange must have kept its account in a file.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal

import msgspec

from ledger import Ledger, PortfolioState
from runner.clock import replay_clock
from runner.config import RunnerConfig, SessionConfig
from runner.engine import Engine
from runner.live import LiveRunner
from runner.metrics import MetricsCollector
from runner.paper import PaperConfig, PaperExchange
from runner.recorded import RecordedProvider
from runner.trend import TrendEngine

__all__ = [
    "PAPER_CASH",
    "PAPER_LIMITS",
    "Progress",
    "SessionSummary",
    "catch_up",
    "reached",
    "run_paper_session",
]

PAPER_CASH: Final[Mapping[str, Decimal]] = {"USD": Decimal(100_000)}
"""What a session on paper starts with."""

PAPER_LIMITS: Final[Mapping[str, Mapping[str, Decimal]]] = {
    "": {
        "max_open_positions": Decimal(4),
        "max_total_notional": Decimal(75_000),
        "max_daily_loss": Decimal(3_000),
    }
}
"""The limits a session on paper is under where none are given."""

_LONGEST_PAUSE_SECONDS: Final = 1.0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a session has come: its instant, the instants done and in all, the last event."""

    instant: datetime
    done_count: int
    instant_count: int
    seq: int


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a session.

    Attributes:
        session: Its name.
        seq: The last event.
        digest: Of the portfolio after it.
        instant_count: How many instants were worked now.
        is_complete: Whether the last recorded instant was reached, and the session ended.
        state: The portfolio at the end.
    """

    session: str
    seq: int
    digest: str
    instant_count: int
    is_complete: bool
    state: PortfolioState


async def run_paper_session(
    ledger: Ledger,
    provider: RecordedProvider,
    symbols: Sequence[str] | None = None,
    *,
    session: str = "paper",
    name: str = "paper-runner",
    seed: int = 0,
    start: Literal["resume", "clean"] = "resume",
    speed: float | None = None,
    account_path: str | Path | None = None,
    engine: Engine | None = None,
    cash: Mapping[str, Decimal] = PAPER_CASH,
    limits: Mapping[str, Mapping[str, Decimal]] = PAPER_LIMITS,
    paper: PaperConfig | None = None,
    metrics: MetricsCollector | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> SessionSummary:
    """Trade recorded prices on paper and return what became of it.

    Args:
        symbols: Which of the provider's symbols to trade, in this order; by default all.
        name: The writer's name.
        seed: Of all chance at the exchange.
        speed: How fast the recorded time goes by, 1 as it was; a pause lasts a second at most.
            ``None``: without a pause.
        account_path: Where the paper exchange keeps its account; in memory without one.
        engine: What decides; by default the trend strategy.
        paper: How the exchange behaves, in place of ``seed``.
        progress: Called after each instant.
        should_stop: Asked before each instant; a session that is stopped is ended all the same.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    chosen = tuple(symbols or provider.symbols)
    decider = engine or TrendEngine()
    last = await reached(ledger) if start == "resume" else None
    if last is not None:
        catch_up(provider, decider, chosen, last)
    clock = replay_clock(provider, not_before=last)
    exchange = PaperExchange(
        paper or PaperConfig(seed=seed, partial_fill_chance_percent=20, rejection_chance_percent=3),
        clock=clock,
        path=account_path,
    )
    runner = LiveRunner(
        ledger,
        config=RunnerConfig(name=name, symbols=chosen),
        provider=provider,
        engine=decider,
        exchanges={exchange.name: exchange},
        session=SessionConfig(
            session=session, start=start, cash=cash, limits=limits, clock="occurred"
        ),
        metrics=metrics,
        clock=clock,
        sleep=sleep,
    )
    try:
        done, is_complete = await _play(
            runner, provider, chosen, speed, progress, should_stop, sleep
        )
        opened = runner.accounts.portfolio.session
        await runner.aend_session("the prices are over" if is_complete else "stopped")
    finally:
        await runner.aclose()
        exchange.close()
    state = await ledger.state()
    return SessionSummary(
        session=opened.session if opened else session,
        seq=state.seq,
        digest=state.digest,
        instant_count=done,
        is_complete=is_complete,
        state=state,
    )


async def _play(
    runner: LiveRunner,
    provider: RecordedProvider,
    symbols: tuple[str, ...],
    speed: float | None,
    progress: Callable[[Progress], None],
    should_stop: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]],
) -> tuple[int, bool]:
    """Work every instant; return how many, and whether the last one was among them."""
    await runner.astart()
    total, done = len(provider.instants), 0
    before = provider.now
    passed = bisect_right(provider.instants, before) if before else 0
    for instant, snapshots in provider.steps():
        if should_stop():
            return done, False
        if speed is not None and before is not None:
            gap = (instant - before).total_seconds() / speed
            await sleep(min(gap, _LONGEST_PAUSE_SECONDS))
        fresh = {snapshot.symbol for snapshot in snapshots}
        await runner.arun_pass([symbol for symbol in symbols if symbol in fresh])
        before, done = instant, done + 1
        progress(
            Progress(
                instant=instant,
                done_count=passed + done,
                instant_count=total,
                seq=runner.accounts.seq,
            )
        )
    return done, True


async def reached(ledger: Ledger) -> datetime | None:
    """Return the latest occurrence in the open session, or ``None`` where none is open."""
    found = await ledger.sessions()
    if not found or found[-1].state == "ended":
        return None
    latest = found[-1].occurred_to
    # The store keeps an occurrence to the millisecond, and this is the end of it.
    return latest.replace(microsecond=latest.microsecond // 1000 * 1000)


def catch_up(
    provider: RecordedProvider, engine: Engine, symbols: tuple[str, ...], reached: datetime
) -> None:
    """Show the engine all prices before an instant."""
    for instant in provider.instants:
        if instant >= reached:
            return
        provider.advance()
        for symbol in symbols:
            snapshot = provider.get_latest_snapshot(symbol)
            if snapshot is not None and snapshot.occurred_at == instant:
                engine.observe(snapshot)
