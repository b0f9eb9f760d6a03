"""How long analysts wait: every question of the replay package, against one full fold.

Run by hand: ``python tests/bench/bench_replay.py [EVENTS]`` (default 1,000,000 over 50 symbols).
Everything is measured in one run on one embedded server; each figure is the median of five, but of
three for what reads the whole log. *Cold* is the first time in the process, *warm* the others.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from workload import commits, opening

import replay
from ledger import Ledger
from runner.paper_session import run_paper_session
from runner.recorded import RecordedProvider, shipped_prices


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fill(url: str, total: int) -> None:
    """Append ``total`` events over 50 symbols in commits of 100, and leave snapshots."""
    with Ledger.sync.connect(url) as ledger, ledger.writer("bench") as writer:
        writer.append(opening())
        stream = commits(50, 100)
        for _ in range(total // 12_800):
            writer.append_many(list(itertools.islice(stream, 128)))
        took = seconds(ledger.state)
        print(
            f"{ledger.head().seq:,} events; the first state, which leaves snapshots: {took:.1f} s"
        )


def show(name: str, work: Callable[[], object], fold: float, rounds: int = 5) -> None:
    """Print how long a question takes, cold and warm, and as a ratio to one full fold."""
    cold = seconds(work)
    warm = statistics.median(seconds(work) for _ in range(rounds))
    print(
        f"{name:<32} cold {cold * 1e3:>9,.1f} ms   warm {warm * 1e3:>9,.1f} ms   {warm / fold:6.3f}"
    )


async def demo(url: str) -> None:
    """Run the demo's session into a portfolio of that name."""
    async with Ledger.connect(url, portfolio="demo") as ledger:
        await run_paper_session(ledger, RecordedProvider(shipped_prices()), session="demo")


def ask(url: str, portfolio: str, symbol: str, condition: str) -> None:
    """Ask every question of the session in a portfolio."""
    chance = random.Random(5)
    with Ledger.sync.connect(url, portfolio=portfolio) as ledger:
        last = ledger.head().seq
        fold = statistics.median(
            seconds(lambda: ledger.accounts(use_snapshots=False)) for _ in range(3)
        )
    print(f"{portfolio}, {last:,} events: one full fold {fold:.2f} s, the unit of the last column")
    session = replay.open(store=url, portfolio=portfolio)
    here = last // 2
    show("at a random event", lambda: session.at(seq=chance.randrange(1, last)), fold)
    show("diff of 1,000 events", lambda: session.diff(here, here + 1_000), fold)
    show(
        "explain one symbol's figure",
        lambda: session.explain(f"positions.{symbol}.realized_pnl"),
        fold,
    )
    show(f"find {condition!r}", lambda: session.find(condition), fold, rounds=3)
    show("equity at 10,000 points", lambda: session.equity(points=10_000), fold, rounds=3)
    show("pnl by symbol", lambda: session.pnl(by="symbol"), fold, rounds=3)
    show("trades", lambda: session.trades().rows(), fold, rounds=3)
    show("orders", lambda: session.orders().rows(), fold, rounds=3)


def main() -> None:
    """Fill a fresh embedded server and ask."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        url = f"embedded:{directory}/store"
        with Ledger.sync.connect(url):
            asyncio.run(demo(url))
            ask(url, "demo", "AAPL", "equity < 99000")
            fill(url, total)
            ask(url, "main", "S1", "equity < 1000000")


if __name__ == "__main__":
    main()
