"""A session on paper over live books, until it is stopped or its time is over.

The books are real, the money is not: orders go to the exchange on paper, which trades them on the
books that the feed has brought. While the feed has no fresh book of a symbol, nothing is traded in
it; whoever watches is told each time that changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, NamedTuple, Protocol

import msgspec

from ledger import Ledger
from ledger.amounts import multiply
from runner.clock import utc_now
from runner.config import RunnerConfig, SessionConfig
from runner.live import LiveRunner
from runner.market import MarketDataProvider
from runner.metrics import MetricsCollector
from runner.paper import PaperExchange
from runner.paper_session import PAPER_CASH, PAPER_LIMITS, PaperTerms, SessionSummary
from runner.trend import TrendConfig, TrendEngine

__all__ = [
    "FeedState",
    "FeedStatus",
    "FeedWatch",
    "LiveFeed",
    "LiveMarket",
    "LiveProgress",
    "run_live_session",
]

_LOOK_SECONDS: Final = 0.1
_COUNTED_LIMITS: Final = frozenset({"max_open_positions", "max_concurrent_trades"})


class LiveFeed(MarketDataProvider, Protocol):
    """A provider over a connection that may break."""

    @property
    def ws_connected(self) -> bool:
        """Whether the connection stands."""

    @property
    def ws_reconnects(self) -> int:
        """Connections made after the first one."""


class FeedState(StrEnum):
    """How a feed stands."""

    CONNECTING = "connecting"  # for the first time
    CONNECTED = "connected"
    RECONNECTING = "reconnecting"
    STALE = "stale"  # connected, and a symbol has no book that may be traded on


class FeedStatus(NamedTuple):
    """How a feed stands, which symbols have no fresh book, and how often it has reconnected."""

    state: FeedState
    stale: tuple[str, ...]
    reconnect_count: int


class FeedWatch:
    """Tells how a feed stands; a symbol without a book is stale ``patience`` after connecting."""

    def __init__(self, feed: LiveFeed, symbols: Sequence[str], patience: float) -> None:
        self._feed = feed
        self._symbols = tuple(symbols)
        self._patience = patience
        self._connected_at: float | None = None
        self._had_connection = False
        self._fed: set[str] = set()

    def look(self, now: float) -> FeedStatus:
        """Look at the feed; ``now`` is in seconds, on any clock that does not go back.

        Raises:
            Exception: What ended the feed for good.
        """
        fresh = {name for name in self._symbols if self._feed.get_latest_snapshot(name) is not None}
        count = self._feed.ws_reconnects
        if not self._feed.ws_connected:
            self._connected_at = None
            self._fed.clear()
            was_lost = self._had_connection or count > 0
            state = FeedState.RECONNECTING if was_lost else FeedState.CONNECTING
            return FeedStatus(state, (), count)
        self._had_connection = True
        if self._connected_at is None:
            self._connected_at = now
        self._fed |= fresh
        is_late = now - self._connected_at > self._patience
        stale = tuple(s for s in self._symbols if s not in fresh and (is_late or s in self._fed))
        return FeedStatus(FeedState.STALE if stale else FeedState.CONNECTED, stale, count)


class LiveProgress(NamedTuple):
    """How a session stands after ``seconds``: its feed, the last event, passes made."""

    seconds: float
    feed: FeedStatus
    seq: int
    pass_count: int


class LiveMarket(msgspec.Struct, frozen=True, kw_only=True):
    """What a session on paper needs to know of the market it trades in.

    Attributes:
        currency: What all of its symbols are quoted in, and the session counts in.
        scale: What one dollar is about worth in it: cash, limits and budgets are multiplied by it.
        lot: What every quantity is a multiple of.
    """

    currency: str = "USD"
    scale: Decimal = Decimal(1)
    lot: Decimal = Decimal("0.00001")

    def entered(self, session: str, start: Literal["resume", "clean"]) -> SessionConfig:
        """Return how a session of that name is entered."""
        return SessionConfig(
            session=session,
            start=start,
            base_currency=self.currency,
            cash={self.currency: multiply(PAPER_CASH["USD"], self.scale)},
            limits={
                symbol: {
                    name: value if name in _COUNTED_LIMITS else multiply(value, self.scale)
                    for name, value in limits.items()
                }
                for symbol, limits in PAPER_LIMITS.items()
            },
        )

    def engine(self) -> TrendEngine:
        """Return the trend strategy with a budget in the currency."""
        config = TrendConfig()
        budget = multiply(config.budget, self.scale)
        return TrendEngine(msgspec.structs.replace(config, budget=budget, lot=self.lot))

    def exchange(self, symbols: Sequence[str], seed: int, path: str | Path | None) -> PaperExchange:
        """Open an exchange on paper by the wall clock, with its account at ``path``."""
        behaviour = msgspec.structs.replace(
            PaperTerms().exchange,
            seed=seed,
            default_currency=self.currency,
            lot_sizes=dict.fromkeys(symbols, self.lot),
        )
        return PaperExchange(behaviour, clock=utc_now, path=path)

    def runner(
        self,
        ledger: Ledger,
        feed: LiveFeed,
        config: RunnerConfig,
        exchange: PaperExchange,
        session: SessionConfig,
        metrics: MetricsCollector | None,
    ) -> LiveRunner:
        """Return a runner of the trend strategy, not started."""
        return LiveRunner(
            ledger,
            config=config,
            provider=feed,
            engine=self.engine(),
            exchanges={exchange.name: exchange},
            session=session,
            metrics=metrics,
        )


async def run_live_session(
    ledger: Ledger,
    feed: LiveFeed,
    config: RunnerConfig,
    *,
    session: str = "live",
    seed: int = 0,
    start: Literal["resume", "clean"] = "resume",
    account_path: str | Path | None = None,
    market: LiveMarket | None = None,
    metrics: MetricsCollector | None = None,
    stale_after: float = 5.0,
    progress: Callable[[LiveProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SessionSummary:
    """Trade live books on paper until stopped or the configured time is over.

    Each of the configured symbols has a loop of its own. The exchange keeps its account at
    ``account_path``, or in memory. ``progress`` is called, and ``should_stop`` asked, ten times a
    second. The session is ended in the ledger in both cases. ``stale_after`` is how many seconds
    after connecting a symbol without a book is called stale.

    Raises:
        LedgerError: The ledger cannot be read or written.
        Exception: What ended the feed for good; the session stays open then.
    """
    terms = market or LiveMarket()
    with closing(terms.exchange(config.symbols, seed, account_path)) as exchange:
        runner = terms.runner(
            ledger, feed, config, exchange, terms.entered(session, start), metrics
        )
        watch = FeedWatch(feed, config.symbols, stale_after)
        watching = asyncio.create_task(_watch(runner, watch, progress, should_stop))
        try:
            async with runner:
                await runner.arun_multisymbol_loop(config.symbols)
                if watching.done():
                    watching.result()
                return await _end(runner, ledger, is_complete=not should_stop())
        finally:
            watching.cancel()
            await asyncio.wait([watching])


async def _watch(
    runner: LiveRunner,
    watch: FeedWatch,
    progress: Callable[[LiveProgress], None],
    should_stop: Callable[[], bool],
) -> None:
    """Tell how the session stands until a stop is wanted, or the feed has ended for good."""
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        while not should_stop():
            now = clock()
            passes = runner.metrics.get_metrics()["loop_count"]
            seq = runner.accounts.seq
            progress(LiveProgress(now - began, watch.look(now), seq, passes))
            await asyncio.sleep(_LOOK_SECONDS)
    finally:
        runner.stop()


async def _end(runner: LiveRunner, ledger: Ledger, *, is_complete: bool) -> SessionSummary:
    opened = runner.accounts.portfolio.session
    await runner.aend_session("the time is over" if is_complete else "stopped")
    state = await ledger.state()
    return SessionSummary(
        session=opened.session if opened else "",
        seq=state.seq,
        digest=state.digest,
        instant_count=runner.metrics.get_metrics()["loop_count"],
        is_complete=is_complete,
        state=state,
    )
