"""Groups under fire: consumers killed at random, the server restarted, and nothing is skipped."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from servers import RedisProcess, until

from ledger import Ledger, PriceMarked, SessionStarted

SYMBOLS = [f"S{number:02}" for number in range(50)]
CROWD = {"dashboards": 3, "risk": 3, "books": 2}

# Forks a consumer for each line it reads: a fresh interpreter would be killed while it imports.
NURSERY = """
import os, signal, sqlite3, sys, time
from ledger import Ledger, Relieved

url, home = sys.argv[1:]

def enter(book, recorded):
    book.execute("BEGIN IMMEDIATE")
    book.execute(
        "UPDATE totals SET revision = ?, total = total + ?, events = events + 1 "
        "WHERE symbol = ? AND revision = ? - 1",
        (recorded.revision, int(recorded.event.price), recorded.symbol, recorded.revision),
    )
    book.execute("COMMIT")

def consume(group, name):
    notes = os.open(f"{home}/{group}.{name}.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    book = sqlite3.connect(f"{home}/book.db", timeout=30, isolation_level=None)
    book.execute("PRAGMA synchronous = NORMAL")
    with Ledger.sync.connect(url, patience=30) as ledger:
        with ledger.group(group, consumer=name, lease_seconds=1) as deliveries:
            for delivery in deliveries:
                recorded = delivery.recorded
                if recorded.symbol and group == "books":
                    enter(book, recorded)
                at = time.monotonic_ns()
                line = f"{at} {recorded.seq} {recorded.symbol} {recorded.revision}"
                os.write(notes, line.encode() + b"\\n")
                try:
                    delivery.ack()
                except Relieved:
                    pass  # somebody else has it now

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        consume(*line.split())
    print(pid, flush=True)
"""

needs_redis = pytest.mark.skipif(RedisProcess.binary is None, reason="redis-server is missing")


class Crowd:
    """The consumers: processes that are killed and replaced."""

    def __init__(self, url: str, home: Path, chance: random.Random) -> None:
        self._home = home
        self._chance = chance
        self._numbers = iter(range(10_000))
        self.kill_count = 0
        with (home / "errors").open("ab") as errors:
            self._nursery = subprocess.Popen(
                [sys.executable, "-c", NURSERY, url, str(home)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
            )
        names = [(group, f"{group}-{n}") for group, count in CROWD.items() for n in range(count)]
        self._running = [self._started(group, name) for group, name in names]

    def _started(self, group: str, name: str) -> tuple[str, str, int]:
        self._nursery.stdin.write(f"{group} {name}\n")
        return group, name, int(self._nursery.stdout.readline())

    def kill_one(self) -> None:
        """Kill one with -9; start another in its place, under its name or a new one."""
        group, name, pid = self._running.pop(self._chance.randrange(len(self._running)))
        os.kill(pid, signal.SIGKILL)
        self.kill_count += 1
        fresh = name if self._chance.random() < 0.5 else f"{group}-new-{next(self._numbers)}"
        self._running.append(self._started(group, fresh))

    def close(self) -> None:
        """Kill all; one that ended by itself is an error."""
        for _, _, pid in self._running:
            os.kill(pid, signal.SIGKILL)
        self._nursery.stdin.close()
        self._nursery.wait(20)
        self._nursery.stdout.close()
        assert (self._home / "errors").read_text() == ""


def write(url: str, number: int, commit_count: int) -> None:
    """Append commits of three events over the writer's ten symbols."""
    chance = random.Random(number)
    own = SYMBOLS[number::5]
    with Ledger.sync.connect(url, patience=30) as ledger, ledger.writer(f"w{number}") as writer:
        for index in range(commit_count):
            names = chance.choices(own, k=3)
            writer.append([PriceMarked(symbol=name, price=index + 1) for name in names])


def prepare(ledger, home: Path) -> None:
    ledger.append(SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded"))
    with closing(sqlite3.connect(home / "book.db")) as book, book:
        book.execute("PRAGMA journal_mode = WAL")
        book.execute("CREATE TABLE totals (symbol PRIMARY KEY, revision, total, events)")
        book.executemany("INSERT INTO totals VALUES (?, 0, 0, 0)", [(name,) for name in SYMBOLS])


def check_handled(home: Path, group: str, events: dict[str, list[int]]) -> int:
    """Each symbol's events were handled in revision order, none skipped; return the repeats."""
    lines = [
        line.split(" ")
        for path in home.glob(f"{group}.*")
        for line in path.read_text().splitlines()
    ]
    lines.sort(key=lambda line: int(line[0]))
    reached: dict[str, int] = defaultdict(int)
    repeats = 0
    for _, seq, symbol, text in lines:
        revision = int(text)
        assert revision <= reached[symbol] + 1, f"{group} skipped {reached[symbol] + 1} of {symbol}"
        assert events[symbol][revision - 1] == int(seq)
        repeats += revision <= reached[symbol]
        reached[symbol] = max(reached[symbol], revision)
    assert reached == {symbol: len(seqs) for symbol, seqs in events.items()}
    return repeats


def check_books(home: Path, ledger) -> None:
    """Each effect is there exactly once."""
    expected = dict.fromkeys(SYMBOLS, (0, 0))
    for recorded in ledger.tail(*SYMBOLS):
        total, count = expected[recorded.symbol]
        expected[recorded.symbol] = total + int(recorded.event.price), count + 1
    with closing(sqlite3.connect(home / "book.db")) as book:
        rows = book.execute("SELECT symbol, total, events FROM totals").fetchall()
    assert {name: (total, count) for name, total, count in rows} == expected


def soak(home: Path, commit_count: int, seconds: float, seed: int) -> None:
    chance = random.Random(seed)
    with ExitStack() as stack:
        server = stack.enter_context(RedisProcess(home))
        ledger = stack.enter_context(Ledger.sync.connect(server.url, patience=30))
        prepare(ledger, home)
        writers = [
            threading.Thread(target=write, args=(server.url, number, commit_count))
            for number in range(5)
        ]
        crowd = stack.enter_context(closing(Crowd(server.url, home, chance)))
        for thread in writers:
            thread.start()
            stack.callback(thread.join)
        until(lambda: all(each.event_count < ledger.head().seq for each in of_all(ledger)), 60)
        restarts = [seconds / 3, 2 * seconds / 3]
        began = time.monotonic()
        while (spent := time.monotonic() - began) < seconds:
            if restarts and spent > restarts[0]:
                restarts.pop(0)
                server.stop(signal.SIGKILL)
                server.start()
            crowd.kill_one()
            threading.Event().wait(chance.uniform(0.05, 0.3))
        for thread in writers:
            thread.join()
        until(lambda: not any(each.event_count for each in of_all(ledger)), 120)
        events: dict[str, list[int]] = defaultdict(list)
        for recorded in ledger.tail():
            events[recorded.symbol].append(recorded.seq)
        for group in CROWD:
            check_handled(home, group, events)
        check_books(home, ledger)
        assert crowd.kill_count > 5
        assert not any(ledger.parked(group) for group in CROWD)


def of_all(ledger) -> list:
    """Return the status of every group, once there are all."""
    statuses: list = []
    until(lambda: len(statuses) == len(CROWD) or statuses.__setitem__(slice(None), ledger.groups()))
    return statuses


@needs_redis
def test_every_group_handles_every_event_in_order_while_consumers_and_server_die(tmp_path):
    soak(tmp_path, commit_count=80, seconds=4, seed=1)


@needs_redis
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_group_handles_every_event_in_order_for_long(tmp_path):
    soak(tmp_path, commit_count=4_000, seconds=180, seed=int(os.environ.get("SEED", "7")))


def test_a_parked_event_does_not_slow_other_symbols_and_a_retry_after_a_fix_works(
    store_url, portfolio
):
    with (
        Ledger.sync.connect(store_url, portfolio=portfolio) as ledger,
        ledger.group("risk", ["BAD", "GOOD"], attempts=2, retry_seconds=0.05) as group,
    ):
        ledger.append(
            SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
        )
        before = median_latency(ledger, group)
        first = ledger.append([PriceMarked(symbol="BAD", price=n) for n in (1, 2)]).first_seq
        while not ledger.parked("risk"):
            next(group).fail("the handler is broken")
        after = median_latency(ledger, group)
        assert after < before * 2 + 0.005
        assert ledger.groups()[0].waiting == ("BAD",)
        ledger.retry_parked("risk")
        for seq in (first, first + 1):
            delivery = next(group)
            assert delivery.recorded.seq == seq
            delivery.ack()
        assert ledger.groups()[0].event_count == 0
        assert ledger.parked("risk") == []


def median_latency(ledger, group) -> float:
    """The median time from an append to its acknowledgement, in seconds."""
    times = []
    for _ in range(41):
        began = time.perf_counter()
        seq = ledger.append(PriceMarked(symbol="GOOD", price=2)).seq
        delivery = next(group)
        assert delivery.recorded.seq == seq
        delivery.ack()
        times.append(time.perf_counter() - began)
    return sorted(times)[20]
