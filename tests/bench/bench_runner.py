"""What recording costs a runner: its passes against the same loop without ledger and exchange.

Run by hand: ``python tests/bench/bench_runner.py``. The bare loop takes a snapshot and asks the
engine, nothing more. Everything is measured in one run on one embedded server, which syncs every
commit to disk; each figure is the median of three. CPU is that of this process, without the server.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from ledger import Accounts, Ledger
from runner import (
    Book,
    LiveRunner,
    PaperConfig,
    PaperExchange,
    RunnerConfig,
    SessionConfig,
    Snapshot,
    SyntheticProvider,
    TrendConfig,
    TrendEngine,
)

START = datetime(2026, 11, 20, tzinfo=UTC)
ROUNDS = 3
PASSES = {1: 300, 60: 600, 1_000: 1_000}


class Unmoved:
    """A market in which nothing happens: the same book of each symbol, for ever."""

    def __init__(self, symbols: Sequence[str]) -> None:
        self._snapshots = {symbol: still(symbol) for symbol in symbols}

    def get_latest_snapshot(self, symbol: str) -> Snapshot | None:
        return self._snapshots.get(symbol)

    async def aget_latest_snapshot(self, symbol: str) -> Snapshot | None:
        return self._snapshots.get(symbol)

    def start(self) -> None: ...

    async def astart(self) -> None: ...

    def stop(self) -> None: ...

    async def astop(self) -> None: ...


def still(symbol: str) -> Snapshot:
    book = Book(venue="paper", symbol=symbol, bid=Decimal(99), ask=Decimal(100), occurred_at=START)
    return Snapshot(symbol=symbol, occurred_at=START, books=(book,))


class Cost(NamedTuple):
    """Seconds a pass, by the clock on the wall and of this process."""

    wall: float
    cpu: float


async def cost(work: Callable[[], Awaitable[object]], passes: int) -> Cost:
    """Return what a pass costs where ``work`` makes so many."""
    costs = []
    for _ in range(ROUNDS):
        wall, cpu = time.perf_counter(), time.process_time()
        await work()
        costs.append(
            Cost((time.perf_counter() - wall) / passes, (time.process_time() - cpu) / passes)
        )
    return Cost(*(statistics.median(column) for column in zip(*costs, strict=True)))


def engine() -> TrendEngine:
    return TrendEngine(TrendConfig(window=5, budget=Decimal(500)))


async def bare(provider, symbols: Sequence[str], turns: int) -> Cost:
    """Measure the loop without ledger and exchange."""
    decider, accounts = engine(), Accounts()

    async def work() -> None:
        for _ in range(turns):
            for symbol in symbols:
                snapshot = await provider.aget_latest_snapshot(symbol)
                decider.process_snapshot(snapshot, accounts)

    await work()
    return await cost(work, turns * len(symbols))


async def recorded(ledger: Ledger, provider, symbols: Sequence[str], turns: int) -> Cost:
    """Measure the runner's passes; the first turn, which marks every price, is not in it."""
    exchange = PaperExchange(PaperConfig(), clock=lambda: START)
    async with LiveRunner(
        ledger,
        config=RunnerConfig(name="bench", symbols=tuple(symbols)),
        provider=provider,
        engine=engine(),
        exchanges={"paper": exchange},
        session=SessionConfig(cash={"USD": Decimal(1_000_000)}),
        clock=lambda: START,
    ) as runner:

        async def work() -> None:
            for _ in range(turns):
                await asyncio.gather(*(runner.arun_once_for_symbol(symbol) for symbol in symbols))

        await work()
        found = await cost(work, turns * len(symbols))
    exchange.close()
    return found


def markets(symbols: Sequence[str]) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "nothing moves", lambda: Unmoved(symbols)
    yield "prices move", lambda: SyntheticProvider(symbols, 1, start_at=START)


async def main() -> None:
    """Measure and print."""
    print(
        f"{'symbols':>7}  {'market':<14} {'bare/s':>9} {'runner/s':>9} {'ratio':>7} {'cpu/pass':>9}"
    )
    with tempfile.TemporaryDirectory() as directory:
        for count, passes in PASSES.items():
            symbols, turns = [f"S{number}" for number in range(count)], max(passes // count, 1)
            for number, (name, market) in enumerate(markets(symbols)):
                without = await bare(market(), symbols, turns)
                async with Ledger.connect(
                    f"embedded:{directory}", portfolio=f"bench-{count}-{number}"
                ) as ledger:
                    within = await recorded(ledger, market(), symbols, turns)
                print(
                    f"{count:>7,}  {name:<14} {1 / without.wall:>9,.0f} {1 / within.wall:>9,.0f}"
                    f" {within.wall / without.wall:>6,.1f}x {within.cpu * 1e6:>6,.0f} us"
                )


if __name__ == "__main__":
    asyncio.run(main())
