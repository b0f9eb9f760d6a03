"""A session on paper over recorded prices, from the first instant to the last.

Everything in it follows from the prices, the configuration and the seed: no wall clock is read, and
the prices and orders of all symbols at an instant share a commit in a fixed order. The same
arguments over an empty portfolio give the same events, and the same digest, on every machine.

A session that was interrupted goes on: the engine is shown the prices up to the last instant in the
ledger, and that instant is worked once more if nothing was decided at it yet. For this the paper
exchange must have kept its account in a file.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, NamedTuple

import msgspec

from ledger import Ledger, OrderPlaced, PortfolioState, PriceMarked, TradeRefused
from runner.clock import replay_clock
from runner.config import RunnerConfig, SessionConfig
from runner.engine import Engine
from runner.live import LiveRunner
from runner.metrics import MetricsCollector
from runner.paper import PaperConfig, PaperExchange
from runner.passes import is_split_commit
from runner.recorded import RecordedProvider
from runner.trend import TrendEngine

__all__ = [
    "PAPER_CASH",
    "PAPER_LIMITS",
    "PaperTerms",
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


class PaperTerms(msgspec.Struct, frozen=True, kw_only=True):
    """On what terms a session on paper is traded.

    Attributes:
        name: The writer's name.
        cash: What it starts with, by currency.
        limits: The risk limits, as :class:`~runner.config.SessionConfig` takes them.
        exchange: How the exchange behaves; its seed is set from the session's.
    """

    name: str = "paper-runner"
    cash: Mapping[str, Decimal] = msgspec.field(default_factory=lambda: PAPER_CASH)
    limits: Mapping[str, Mapping[str, Decimal]] = msgspec.field(
        default_factory=lambda: PAPER_LIMITS
    )
    exchange: PaperConfig = PaperConfig(partial_fill_chance_percent=20, rejection_chance_percent=3)

    def entered(self, session: str, start: Literal["resume", "clean"]) -> SessionConfig:
        """Return how a session of that name is entered on these terms."""
        return SessionConfig(
            session=session, start=start, cash=self.cash, limits=self.limits, clock="occurred"
        )


async def run_paper_session(
    ledger: Ledger,
    provider: RecordedProvider,
    symbols: Sequence[str] | None = None,
    *,
    session: str = "paper",
    seed: int = 0,
    start: Literal["resume", "clean"] = "resume",
    speed: float | None = None,
    account_path: str | Path | None = None,
    engine: Engine | None = None,
    terms: PaperTerms | None = None,
    metrics: MetricsCollector | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SessionSummary:
    """Trade recorded prices on paper and return what became of it.

    ``symbols`` are traded in their order, by default all there are. ``speed`` is how fast the
    recorded time goes by, 1 as it was, with pauses of a second at most; ``None`` is without. The
    exchange keeps its account at ``account_path``, or in memory. ``progress`` is called after each
    instant and ``should_stop`` asked before it; a session that is stopped is ended all the same.

    Raises:
        LedgerError: The ledger cannot be read or written.
    """
    chosen, decider = tuple(symbols or provider.symbols), engine or TrendEngine()
    agreed = terms or PaperTerms()
    last = await reached(ledger) if start == "resume" else None
    if last is not None:
        catch_up(provider, decider, chosen, last, with_last=await _is_decided(ledger, last))
    clock = replay_clock(provider, not_before=last)
    behaviour = msgspec.structs.replace(agreed.exchange, seed=seed)
    with closing(PaperExchange(behaviour, clock=clock, path=account_path)) as exchange:
        async with LiveRunner(
            ledger,
            config=RunnerConfig(name=agreed.name, symbols=chosen),
            provider=provider,
            engine=decider,
            exchanges={exchange.name: exchange},
            session=agreed.entered(session, start),
            metrics=metrics,
            clock=clock,
        ) as runner:
            return await _play(runner, ledger, provider, _Pace(speed, progress, should_stop))


class _Pace(NamedTuple):
    speed: float | None
    progress: Callable[[Progress], None]
    should_stop: Callable[[], bool]


async def _play(
    runner: LiveRunner, ledger: Ledger, provider: RecordedProvider, pace: _Pace
) -> SessionSummary:
    """Work every instant to the end, or until stopped; then end the session."""
    opened = runner.accounts.portfolio.session
    before, done, is_complete = provider.now, 0, True
    passed = bisect_right(provider.instants, before) if before else 0
    for instant, snapshots in provider.steps():
        if pace.should_stop():
            is_complete = False
            break
        if pace.speed is not None and before is not None:
            gap = (instant - before).total_seconds() / pace.speed
            await asyncio.sleep(min(gap, _LONGEST_PAUSE_SECONDS))
        fresh = {snapshot.symbol for snapshot in snapshots}
        await runner.arun_pass([name for name in runner.config.symbols if name in fresh])
        before, done = instant, done + 1
        pace.progress(
            Progress(
                instant=instant,
                done_count=passed + done,
                instant_count=len(provider.instants),
                seq=runner.accounts.seq,
            )
        )
    await runner.aend_session("the prices are over" if is_complete else "stopped")
    state = await ledger.state()
    return SessionSummary(
        session=opened.session if opened else "",
        seq=state.seq,
        digest=state.digest,
        instant_count=done,
        is_complete=is_complete,
        state=state,
    )


async def reached(ledger: Ledger) -> datetime | None:
    """Return the latest occurrence in the open session, or ``None`` where none is open."""
    found = await ledger.sessions()
    if not found or found[-1].state == "ended":
        return None
    latest = found[-1].occurred_to
    # The store keeps an occurrence to the millisecond, and this is the end of it.
    return latest.replace(microsecond=latest.microsecond // 1000 * 1000)


async def _is_decided(ledger: Ledger, instant: datetime) -> bool:
    """Whether the one commit that decides on an instant is recorded.

    It is the only one that places orders, and that marks a price without a split of that symbol.
    """
    before = await ledger.resolve((instant - timedelta(milliseconds=1)).isoformat())
    found = [r async for r in ledger.tail(after=before) if r.occurred_at == instant]
    apart = {r.commit for r in found if is_split_commit(r.commit)}
    decisive = (PriceMarked, OrderPlaced, TradeRefused)
    return any(isinstance(r.event, decisive) and r.commit not in apart for r in found)


def catch_up(
    provider: RecordedProvider,
    engine: Engine,
    symbols: tuple[str, ...],
    last: datetime,
    *,
    with_last: bool = False,
) -> None:
    """Show the engine all prices before an instant, or up to and ``with_last``."""
    for instant in provider.instants:
        if instant > last or (instant == last and not with_last):
            return
        provider.advance()
        for symbol in symbols:
            snapshot = provider.get_latest_snapshot(symbol)
            if snapshot is not None and snapshot.occurred_at == instant:
                engine.observe(snapshot)
