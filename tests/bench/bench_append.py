"""How fast commits are appended, against raw ``XADD`` of the same bytes in the same server.

Run by hand: ``python tests/bench/bench_append.py``. Everything is measured in one run on one
embedded server, which syncs every commit to disk; each figure is the median of five.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence

import redis
from workload import commits, opening

from ledger import Event, Ledger, PriceMarked
from ledger.codec import encode_events

ROUNDS = 5


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def raw_rate(client: redis.Redis, payloads: Sequence[bytes]) -> float:
    """Events per second by ``XADD``, one event an entry, in pipelines of 100."""

    def work() -> None:
        for first in range(0, len(payloads), 100):
            pipe = client.pipeline(transaction=False)
            for payload in payloads[first : first + 100]:
                pipe.xadd("raw", {"e": payload})
            pipe.execute()

    return len(payloads) / seconds(work)


def appended(portfolio: str, batches: list[list[Event]], *, is_together: bool) -> float:
    """Append commits to a portfolio of their own; return the seconds it took."""
    with Ledger.sync.connect(URL, portfolio=portfolio) as ledger, ledger.writer("bench") as writer:
        writer.append(opening())
        if is_together:
            return seconds(lambda: writer.append_many(batches))
        return seconds(lambda: [writer.append(events) for events in batches])


def commit_rates(client: redis.Redis, size: int, total: int) -> None:
    """Print the rates of commits of ``size`` events, sent one by one and 128 at a time."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    raw = []
    for number in range(ROUNDS):
        # All events are made beforehand.
        batches = list(itertools.islice(commits(10, size, seed=number), total // size))
        for is_together, found in rates.items():
            name = f"{'many' if is_together else 'one'}-{size}-{number}"
            found.append(total / appended(name, batches, is_together=is_together))
        payloads = [encode_events([event]) for events in batches for event in events]
        raw.append(raw_rate(client, payloads))
        client.delete("raw")
    base = statistics.median(raw)
    for is_together, found in rates.items():
        rate = statistics.median(found)
        print(
            f"commits of {size:>3} events, {'128 together' if is_together else 'one by one':<12}:"
            f" {rate:>9,.0f} events/s = {rate / base:5.2f} x raw XADD in pipelines of 100"
            f" ({base:,.0f}/s)"
        )


URL = ""


async def side_by_side(number: int) -> tuple[float, float]:
    """Return the commits per second of one coroutine, and of 100 side by side."""
    marks = [
        [PriceMarked(symbol=f"S{lane % 10}", price=1 + step) for step in range(40)]
        for lane in range(100)
    ]
    async with (
        Ledger.connect(URL, portfolio=f"side-{number}") as ledger,
        ledger.writer("bench") as writer,
    ):
        await writer.append(opening())

        async def appends(events: Sequence[Event]) -> None:
            for event in events:
                await writer.append(event)

        began = time.perf_counter()
        for lane in marks[:10]:
            await appends(lane)
        alone = 400 / (time.perf_counter() - began)
        began = time.perf_counter()
        await asyncio.gather(*(appends(lane) for lane in marks))
        return alone, 4_000 / (time.perf_counter() - began)


def coroutine_rates() -> None:
    """Print the rate of 100 coroutines that append side by side against one alone."""
    found = [asyncio.run(side_by_side(number)) for number in range(ROUNDS)]
    rate = statistics.median(beside for _, beside in found)
    ratio = statistics.median(beside / alone for alone, beside in found)
    print(
        f"100 coroutines side by side: {rate:,.0f} commits/s = {ratio:.1f} x one alone,"
        " each commit synced to disk"
    )


def main() -> None:
    """Run all of it on a fresh embedded server."""
    global URL  # noqa: PLW0603
    with tempfile.TemporaryDirectory() as directory:
        URL = f"embedded:{directory}/store"
        with Ledger.sync.connect(URL):
            client = redis.Redis(unix_socket_path=f"{directory}/store/server.sock")
            for size, total in ((1, 2_000), (10, 10_000), (100, 30_000)):
                commit_rates(client, size, total)
            coroutine_rates()
            client.close()


if __name__ == "__main__":
    main()
