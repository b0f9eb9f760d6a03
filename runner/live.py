"""The runner: snapshots in, trades out, and everything that happens in the ledger.

One pass over a symbol takes the provider's latest snapshot, shows it to the exchanges on paper,
records what exchanges have reported since, asks the engine, passes each trade by the guard,
records the orders, and only then places them; what comes back is recorded as one more commit. A
pass that trades nothing costs at most one commit, for the new price.

A failure of one symbol's pass is logged, counted (``Count.FAILURES``) and recorded as a
``TradeRefused`` with the limit ``runner-failure``: the vocabulary has no event for a pass that
failed, and what a reader of the ledger must know is that this symbol's trading was refused then,
and why.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from ledger import (
    Accounts,
    Clock,
    Fenced,
    Ledger,
    TradeRefused,
    utc_now,
)
from runner.config import RunnerConfig, SessionConfig
from runner.dealing import Dealer
from runner.engine import Engine
from runner.exchange import Exchange
from runner.figures import Count
from runner.journal import Journal
from runner.loops import Loops
from runner.market import MarketDataProvider
from runner.metrics import MetricsCollector
from runner.passes import Passes
from runner.recovery import begin, end_session

__all__ = ["LiveRunner"]

log = logging.getLogger(__name__)


class LiveRunner:
    """Trades through an engine on exchanges, and forgets nothing.

    The asynchronous methods belong to one event loop. The synchronous forms do the same in a loop
    of their own, which stays open between calls until :meth:`close`; a runner is used in one of
    the two ways, not in both.

    Args:
        ledger: Where everything is recorded.
        exchanges: By the name that orders give as their venue; the first is the default.
        clock: What time it is; decides what day it is, and when an event occurred.
        sleep: Waits; for tests.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        config: RunnerConfig,
        provider: MarketDataProvider,
        engine: Engine,
        exchanges: Mapping[str, Exchange],
        session: SessionConfig | None = None,
        metrics: MetricsCollector | None = None,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.config = config
        self.metrics = metrics or MetricsCollector()
        self._ledger = ledger
        self._provider = provider
        self._session = session or SessionConfig()
        self._clock = clock
        self._journal = Journal(ledger, config.name, clock=clock, metrics=self.metrics, sleep=sleep)
        self._dealer = Dealer(
            exchanges, self._journal, config, metrics=self.metrics, clock=clock, sleep=sleep
        )
        self._passes = Passes(
            provider, engine, self._journal, self._dealer, zone=config.day_zone, clock=clock
        )
        self._starting = asyncio.Lock()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._is_started = False
        self._loops = Loops(self)
        self._own_loop: asyncio.Runner | None = None

    @property
    def accounts(self) -> Accounts:
        """The portfolio as of the last confirmed commit; to be read, not changed."""
        return self._journal.accounts

    async def astart(self) -> None:
        """Recover what an earlier run left, enter the session, start the provider; idempotent.

        Raises:
            LedgerError: The ledger cannot be read or written.
        """
        async with self._starting:
            if not self._is_started:
                await begin(self._journal, self._dealer, self._session)
                await self._provider.astart()
                self._is_started = True

    async def aclose(self) -> None:
        """Stop the loops and the provider, and wait for what is being appended; idempotent.

        The session stays open, so that the next run goes on with it.
        """
        self.stop()
        await self._provider.astop()
        await self._journal.close()

    async def aend_session(self, reason: str) -> None:
        """Record that the session ended."""
        await end_session(self._journal, reason)

    def stop(self) -> None:
        """End the loops once the passes under way are done; from any thread or signal handler."""
        self._loops.stop()

    async def arun_once(self) -> bool:
        """Make one pass over the configured symbols; True where one of them had a snapshot."""
        done = [await self.arun_once_for_symbol(symbol) for symbol in self.config.symbols]
        return any(done)

    async def arun_once_for_symbol(self, symbol: str) -> bool:
        """Make one pass; False where the provider has no snapshot of the symbol.

        Raises:
            Exception: Whatever the engine, the provider, an exchange or the ledger raised; it is
                logged, counted and recorded before it is raised.
        """
        return bool(await self.arun_pass([symbol]))

    async def arun_pass(self, symbols: Sequence[str]) -> list[str]:
        """Make one pass over several symbols together and return those that had a snapshot.

        Their prices and new orders share a commit, in the order of ``symbols``: the same
        snapshots give the same events in the same order every time.

        Raises:
            Exception: As :meth:`arun_once_for_symbol` does.
        """
        await self.astart()
        name = symbols[0] if symbols else ""
        async with self._turns[name]:
            try:
                return await self._passes.make(symbols)
            except Exception as error:
                await self._fail(name, error)
                raise

    async def arun_forever(self) -> None:
        """Work the configured symbols as :meth:`arun_multisymbol_loop` does."""
        await self.arun_multisymbol_loop(self.config.symbols)

    async def arun_multisymbol_loop(self, symbols: Sequence[str]) -> None:
        """Work symbols side by side, each at its own pace, until stopped or the time is over.

        A symbol whose pass failed is tried again after its pause; the others do not notice.

        Raises:
            Fenced: A newer run of this runner has taken over.
        """
        await self.astart()
        await self._loops.run(symbols)

    def run_once(self) -> bool:
        """Do as :meth:`arun_once`, from a program without a loop."""
        return self._loop().run(self.arun_once())

    def run_once_for_symbol(self, symbol: str) -> bool:
        """Do as :meth:`arun_once_for_symbol`, from a program without a loop."""
        return self._loop().run(self.arun_once_for_symbol(symbol))

    def run_forever(self) -> None:
        """Do as :meth:`arun_forever`, from a program without a loop."""
        self._loop().run(self.arun_forever())

    def close(self) -> None:
        """Do as :meth:`aclose` after synchronous use, and close the ledger; idempotent.

        The ledger's connection lives in the loop that ends here.
        """
        if self._own_loop is not None:
            self._own_loop.run(self.aclose())
            self._own_loop.run(self._ledger.aclose())
            self._own_loop.close()
            self._own_loop = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await self.astart()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def _loop(self) -> asyncio.Runner:
        if self._own_loop is None:
            self._own_loop = asyncio.Runner()
        return self._own_loop

    async def _fail(self, symbol: str, error: Exception) -> None:
        log.error("the pass over %s failed: %s", symbol, error, exc_info=error)
        self.metrics.count(Count.FAILURES, symbol)
        if isinstance(error, Fenced):
            return
        number = self.metrics.get_metrics(symbol)["counts"][Count.FAILURES]
        refused = TradeRefused(
            symbol=symbol,
            occurred_at=self._clock(),
            trade_id=f"{self.config.name}:failure:{number}",
            limit="runner-failure",
            reason=f"{type(error).__name__}: {error}"[:4000],
        )
        await self._journal.append([refused])
