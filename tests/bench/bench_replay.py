"""How long analysts wait: every question of the replay package, against one full fold.

Run by hand: ``python tests/bench/bench_replay.py [EVENTS]`` (default 1,000,000 over 50 symbols).
Everything is measured in one run on one embedded server; each figure is the median of five, but of
three for what reads the whole log. *Cold* is the first time in the process, *warm* the others.
"""

from __future__ import annotations

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


def ask(url: str) -> None:
    """Ask every question of the session."""
    chance = random.Random(5)
    with Ledger.sync.connect(url) as ledger:
        last = ledger.head().seq
        fold = statistics.median(
            seconds(lambda: ledger.accounts(use_snapshots=False)) for _ in range(3)
        )
    print(f"one full fold from nothing: {fold:.2f} s; the last column is in such folds")
    session = replay.open(store=url)
    here = last // 2
    show("at a random event", lambda: session.at(seq=chance.randrange(1, last)), fold)
    show("diff of 1,000 events", lambda: session.diff(here, here + 1_000), fold)
    show("explain one symbol's figure", lambda: session.explain("positions.S1.realized_pnl"), fold)
    show("find 'equity < 1000000'", lambda: session.find("equity < 1000000"), fold, rounds=3)
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
            fill(url, total)
            ask(url)


if __name__ == "__main__":
    main()
