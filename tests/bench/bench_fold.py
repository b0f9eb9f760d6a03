"""How fast a history is folded and rebuilt, against decoding and against fetching alone.

Run by hand: ``python tests/bench/bench_fold.py [EVENTS]`` (default 1,000,000 over 10 symbols).
Everything is measured in one run; each figure is the median of five unless it says otherwise.
Decode and fold are compared by the least time on the CPU, which other processes disturb least.
"""

from __future__ import annotations

import gc
import itertools
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from workload import commits, opening, trading

from ledger import Ledger, SyncLedger
from ledger.accounts import Accounts
from ledger.codec import decode_events, encode_events
from ledger.entry import Entry
from ledger.evolve import fold_chunks
from ledger.folding import accounts_at
from ledger.keys import Keys
from ledger.reading import Chunk, PageReader

ROUNDS = 5
FOLD_ROUNDS = 15


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return how long a call keeps the CPU."""
    gc.collect()
    began = time.process_time()
    work()
    return time.process_time() - began


def fold_against_decode(total: int = 100_000) -> None:
    """Print decode + fold against decode alone, in memory, entries of one pass each."""
    entries: list[Entry] = []
    count = 0
    for events in itertools.chain([opening()], trading(10)):
        payload, seqs = encode_events(events), range(count + 1, count + len(events) + 1)
        count += len(events)
        symbol = events[0].symbol
        entries.append(Entry(symbol, count, 0, len(events), 0, "", "", seqs, payload))
        if count >= total:
            break

    def decode() -> None:
        for entry in entries:
            decode_events(entry.payload)

    def fold() -> None:
        accounts = Accounts()
        for page in range(0, len(entries), 400):
            fold_chunks(
                accounts,
                [
                    Chunk(entry.seqs[0], 1, entry.seqs, decode_events(entry.payload), entry)
                    for entry in entries[page : page + 400]
                ],
            )
        assert not any(account.quarantine for account in accounts.symbols.values())

    pairs = [(cpu_seconds(decode), cpu_seconds(fold)) for _ in range(FOLD_ROUNDS)]
    decoding = min(alone for alone, _ in pairs)
    folding = min(both for _, both in pairs)
    print(
        f"decode + fold: {count / folding:,.0f} events/s = {folding / decoding:.2f} x the time"
        f" of decode alone ({count / decoding:,.0f}/s)"
    )


def fill(url: str, total: int) -> None:
    """Append ``total`` events over 10 symbols in commits of 100."""
    with Ledger.sync.connect(url) as ledger, ledger.writer("bench") as writer:
        writer.append(opening())
        began = time.perf_counter()
        stream = commits(10, 100)
        for _ in range(total // 12_800):
            writer.append_many(list(itertools.islice(stream, 128)))
        took = time.perf_counter() - began
        count = ledger.head().seq
        print(f"filled with {count:,} events in {took:.0f} s, made up on the way")


def fetch_alone(ledger: SyncLedger) -> float:
    """Fetch the same pages as a rebuild does, and look at none of them."""
    last = ledger.head()
    reader = PageReader(Keys("main"), ["", *last.symbols], after=0, until=last.seq, is_whole=True)
    connection = ledger.store.connection()

    def work() -> None:
        while reader._asked < last.seq:
            connection.exchange(reader.request())

    took = seconds(work)
    connection.close()
    return took


def rebuild(url: str) -> None:
    """Print a rebuild from nothing against fetching alone, and its memory."""
    with Ledger.sync.connect(url) as ledger:
        count = ledger.head().seq
        steps = lambda: accounts_at(ledger.keys, use_snapshots=False)  # noqa: E731
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        pairs = [
            (fetch_alone(ledger), seconds(lambda: ledger.drive(steps()))) for _ in range(ROUNDS)
        ]
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    ratio = statistics.median(built / fetched for fetched, built in pairs)
    took = statistics.median(built for _, built in pairs)
    print(
        f"rebuild of {count:,} events: {took:.2f} s, {count / took:,.0f} events/s ="
        f" {ratio:.2f} x the time of fetching alone; peak memory grew by {grown / 1024:.0f} MiB"
    )


def snapshots(url: str) -> None:
    """Print how long the state at random moments, and a restart from the latest snapshot, take."""
    with Ledger.sync.connect(url) as ledger:
        took = seconds(ledger.state)
        print(f"first state, which leaves snapshots on its way: {took:.2f} s")
        count = ledger.head().seq
        chance = random.Random(7)
        times = [
            seconds(lambda: ledger.state(chance.randrange(1, count), with_digest=False))
            for _ in range(101)
        ]
        print(f"state at a random moment: median {statistics.median(times) * 1e3:.1f} ms")
    restarts = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        with Ledger.sync.connect(url) as ledger:
            ledger.accounts()
            restarts.append(time.perf_counter() - began)
    print(f"restart from the latest snapshot: median {statistics.median(restarts) * 1e3:.1f} ms")


def main() -> None:
    """Run all of it on a fresh embedded server."""
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    fold_against_decode()
    with tempfile.TemporaryDirectory() as directory:
        url = f"embedded:{directory}/store"
        with Ledger.sync.connect(url):
            fill(url, total)
            rebuild(url)
            snapshots(url)


if __name__ == "__main__":
    main()
