"""How fast consumers read and hear, against bare ``XREAD`` loops on the same server.

Run by hand: ``python tests/bench/bench_consumers.py [EVENTS]``; the paper's size is 1,000,000.
A late consumer reads all that was written, goes live while a writer appends, and must see every
number once. Latency is from before an append, one at a time, to when a consumer in another process
has the event; the bare consumer is an ``XREAD BLOCK`` loop on the same stream that decodes nothing.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis
from workload import commits, opening

from ledger import Ledger, PriceMarked
from ledger.embedded import attach
from ledger.live import LAST

ROUNDS = 3
APPENDS = 1_000
PACK, UNPACK = struct.Struct("d").pack, struct.Struct("d").unpack


def fill(url: str, portfolio: str, total: int, size: int) -> None:
    """Write a history of ten symbols, in commits of ``size`` events."""
    with Ledger.sync.connect(url, portfolio=portfolio) as ledger, ledger.writer("bench") as writer:
        writer.append(opening())
        batches = itertools.islice(commits(10, size), total // size)
        while some := list(itertools.islice(batches, 128)):
            writer.append_many(some)


def bare_rate(client: redis.Redis, keys: list[str], total: int) -> float:
    """Events per second of ``XREAD`` over the same streams by the library's client, undecoded."""
    at = dict.fromkeys(keys, "0-0")
    began = time.perf_counter()
    while found := client.xread(at, count=100):
        for key, entries in found:
            at[key.decode()] = entries[-1][0].decode()
    return total / (time.perf_counter() - began)


def tail_rate(url: str, portfolio: str, total: int) -> float:
    """Events per second of a late consumer that gets every number once, and goes live."""
    with (
        Ledger.sync.connect(url, portfolio=portfolio) as ledger,
        ledger.tail(follow=True) as tail,
    ):
        began = time.perf_counter()
        for expected in range(1, total + 1):
            if next(tail).seq != expected:
                raise SystemExit(f"#{expected} is missing or there twice")
        rate = total / (time.perf_counter() - began)
        for expected in range(total + 1, total + 501):
            ledger.append(PriceMarked(symbol=f"S{expected % 10}", price=1))
            if next(tail).seq != expected:
                raise SystemExit(f"#{expected} is missing or there twice after going live")
    return rate


def show_rates(url: str, total: int, size: int) -> None:
    """Print the rate of a late consumer over a history of commits of ``size`` events."""
    portfolio = f"past-{size}"
    fill(url, portfolio, total, size)
    with (
        redis.Redis.from_url(url, protocol=2) as client,
        Ledger.sync.connect(url, portfolio=portfolio) as ledger,
    ):
        keys = [ledger.keys.stream(symbol) for symbol in ["", *ledger.head().symbols]]
        total = ledger.head().seq
        base = statistics.median(bare_rate(client, keys, total) for _ in range(ROUNDS))
    rate = tail_rate(url, portfolio, total)
    print(
        f"a late consumer reads {total:,} events in commits of {size} at {rate:,.0f}/s = "
        f"{rate / base:.2f} x a bare undecoded XREAD loop ({base:,.0f}/s); then live, without gap "
        "or double"
    )


def receive_bare(url: str, key: str, after: int, note: Callable[[], None]) -> None:
    """Hear of events by a bare ``XREAD BLOCK`` loop."""
    with redis.Redis.from_url(url, protocol=2) as client:
        last = f"{after}-{LAST}".encode()
        for _ in range(APPENDS):
            [(_, [(last, _)])] = client.xread({key: last}, block=10_000)
            note()


def receive_sync(url: str, key: str, after: int, note: Callable[[], None]) -> None:
    """Hear of events by a sync tail."""
    del key
    with (
        Ledger.sync.connect(url, portfolio="live") as ledger,
        ledger.tail("A", after=after, follow=True) as tail,
    ):
        for _ in range(APPENDS):
            next(tail)
            note()


def receive_async(url: str, key: str, after: int, note: Callable[[], None]) -> None:
    """Hear of events by an async tail."""
    del key

    async def receive() -> None:
        async with (
            Ledger.connect(url, portfolio="live") as ledger,
            ledger.tail("A", after=after, follow=True) as tail,
        ):
            for _ in range(APPENDS):
                await anext(tail)
                note()

    asyncio.run(receive())


def latencies(url: str, receive: Callable[..., None]) -> list[float]:
    """Append one at a time, when the one before was received by another process."""
    reading, writing = os.pipe()
    with Ledger.sync.connect(url, portfolio="live") as ledger, ledger.writer("w") as writer:
        if not ledger.head().seq:
            writer.append([*opening(), PriceMarked(symbol="A", price=1)])
        after, key = ledger.head().seq, ledger.keys.stream("A")
        ledger.close()
        child = os.fork()
        if not child:
            receive(url, key, after, lambda: os.write(writing, PACK(time.perf_counter())))
            os._exit(0)
        found = []
        for _ in range(APPENDS):
            began = time.perf_counter()
            writer.append(PriceMarked(symbol="A", price="187.40"))
            found.append(UNPACK(os.read(reading, 8))[0] - began)
        os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    return found


def show_latencies(name: str, times: list[float], base: list[float]) -> None:
    """Print three percentiles, and their ratios to the bare loop's."""
    parts = []
    for part, label in ((500, "p50"), (990, "p99"), (999, "p99.9")):
        mine, bare = (sorted(each)[len(each) * part // 1000] for each in (times, base))
        parts.append(f"{label} {mine * 1e6:6,.0f} us = {mine / bare:4.2f} x bare")
    print(f"{name}: {', '.join(parts)}")


def main(total: int) -> None:
    """Run all of it on a fresh embedded server, which syncs every commit to disk."""
    with tempfile.TemporaryDirectory() as directory, attach(Path(directory) / "store") as server:
        url = server.url
        show_rates(url, total // 5, 1)
        show_rates(url, total, 50)
        kinds = {"bare": receive_bare, "sync": receive_sync, "async": receive_async}
        times: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(ROUNDS):
            for name, receive in kinds.items():
                times[name] += latencies(url, receive)
        for name, found in times.items():
            show_latencies(f"from append to receive, {name:>5}", found, times["bare"])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
