"""A runner that is killed at any instruction, again and again, and goes on: nothing is lost.

The runner works several symbols side by side on an exchange that loses requests and replies. It is
killed with SIGKILL at random moments: by a clock, and at the very steps between ledger and
exchange. Afterwards the ledger is held against the exchange's own account.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from ledger import Ledger, fold
from runner.paper import read_account

LIMITS = {
    "max_open_positions": Decimal(3),
    "max_total_notional": Decimal(2500),
    "max_notional_per_trade": Decimal(1200),
}
CASH = Decimal(100_000)

# The nursery imports once and forks a runner for each line it reads: STORE, FILE, SEED, SYMBOLS,
# INSTANTS, and how many calls of the exchange it makes before it kills itself (0: it does not).
NURSERY = '''
import asyncio, os, random, signal, sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from ledger import Ledger
from runner.clock import replay_clock
from runner.config import RunnerConfig, SessionConfig
from runner.live import LiveRunner
from runner.paper import PaperConfig
from runner.paper_faults import FaultyPaperExchange, PaperFaults
from runner.paper_session import catch_up, reached
from runner.recorded import RecordedProvider
from runner.trend import TrendConfig, TrendEngine

START = datetime(2020, 1, 1, tzinfo=UTC)


def rows(seed, symbols, instants):
    chance = random.Random(seed)
    for number in range(symbols):
        price = Decimal(chance.randint(20, 90))
        for minute in range(instants):
            price = max(price + Decimal(chance.randint(-150, 150)) / 100, Decimal(5))
            at = START + timedelta(minutes=minute)
            size = str(chance.randint(3, 40))
            yield {"time": at.isoformat(), "symbol": f"S{number}", "close": str(price),
                   "bid": str(price - Decimal("0.01")), "ask": str(price + Decimal("0.01")),
                   "bid_size": size, "ask_size": size}


class Fatal(FaultyPaperExchange):
    """Kills its process at one of the steps around a call that changes the account."""

    steps = 0

    def step(self):
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    async def place(self, request):
        self.step()
        reports = await super().place(request)
        self.step()
        return reports

    async def cancel(self, order_id):
        self.step()
        reports = await super().cancel(order_id)
        self.step()
        return reports


@cache  # filled before the fork, so that each runner begins at once
def prices(seed, symbols, instants):
    return RecordedProvider(rows(seed, symbols, instants))


async def trade(store, file, seed, symbols, instants, steps):
    provider = prices(seed, symbols, instants)
    engine = TrendEngine(TrendConfig(window=3, budget=Decimal(700), add_percent=Decimal(1),
                                     take_percent=Decimal(3), stop_percent=Decimal(3)))
    async with Ledger.connect(store) as ledger:
        last = await reached(ledger)
        if last is not None:
            catch_up(provider, engine, provider.symbols, last)
        clock = replay_clock(provider, not_before=last)
        exchange = Fatal(
            PaperConfig(seed=seed, partial_fill_chance_percent=40, rejection_chance_percent=5),
            PaperFaults(seed=seed, lost_request_percent=10, lost_reply_percent=10,
                        faults_per_call=3),
            clock=clock, path=file)
        exchange.steps = steps
        runner = LiveRunner(
            ledger,
            config=RunnerConfig(name="killed", symbols=provider.symbols, place_attempts=2,
                                backoff_seconds=0.001),
            provider=provider, engine=engine, exchanges={"paper": exchange}, clock=clock,
            session=SessionConfig(cash={"USD": Decimal(100000)}, limits={"": LIMITS},
                                  clock="occurred"))
        await runner.astart()
        for _ in provider.steps():
            await asyncio.gather(*map(runner.arun_once_for_symbol, provider.symbols))
        for _ in range(4):  # the exchange may have to be asked again
            await asyncio.gather(*map(runner.arun_once_for_symbol, provider.symbols))
        await runner.aclose()
        exchange.close()


for line in sys.stdin:
    store, file, *words = line.split()
    *market, steps = map(int, words)
    prices(*market)
    pid = os.fork()
    if pid == 0:
        asyncio.run(trade(store, file, *market, steps))
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
'''


class Nursery:
    """Starts runners, and tells how each ended."""

    def __init__(self, folder: Path) -> None:
        script = NURSERY.replace("LIMITS}", f"{LIMITS!r}}}", 1)
        self._log = (folder / "runners.log").open("w")
        self._process = subprocess.Popen(
            [sys.executable, "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def run(self, *words: object, kill_after: float | None = None) -> int:
        """Start a runner and return its exit code, after killing it where that was asked for."""
        print(*words, file=self._process.stdin, flush=True)
        pid = int(self._process.stdout.readline())
        timer = threading.Timer(kill_after or 0, self._kill, [pid])
        if kill_after is not None:
            timer.start()
        code = int(self._process.stdout.readline())
        timer.cancel()
        return code

    def _kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        self._process.stdin.close()
        assert self._process.wait(30) == 0
        self._process.stdout.close()
        self._log.close()


def kill_and_resume(tmp_path: Path, *, seed: int, symbols: int, kills: int, instants: int) -> None:
    chance = random.Random(seed)
    store, file = f"embedded:{tmp_path / 'store'}", tmp_path / "exchange.db"
    nursery = Nursery(tmp_path)
    with Ledger.sync.connect(store) as ledger:
        ledger.head()  # keeps the server running between the runners
        killed = 0
        for _ in range(kills * 3):
            if killed == kills:
                break
            steps = chance.randint(1, 12) if chance.random() < 0.7 else 0
            after = None if steps else chance.uniform(0.02, 0.4)
            words = (store, file, seed, symbols, instants, steps)
            code = nursery.run(*words, kill_after=after)
            assert code in (0, -signal.SIGKILL), (tmp_path / "runners.log").read_text()
            killed += code != 0
        assert killed == kills, f"only {killed} of {kills} were killed: give them more to do"
        code = nursery.run(store, file, seed, symbols, instants, 0)
        assert code == 0, (tmp_path / "runners.log").read_text()
        nursery.close()
        compare(ledger, read_account(file))


def compare(ledger, account) -> None:
    """Hold the ledger against what the exchange really did."""
    recorded = list(ledger.tail())
    state = ledger.state()
    assert not state.quarantined
    placed = {r.event.order_id: r.event for r in recorded if r.type == "OrderPlaced"}
    missing = {
        r.event.order_id
        for r in recorded
        if r.type == "OrderRejected" and "reached the exchange" in r.event.reason
    }
    # Every order that is at the exchange was recorded, and every other one is known not to be.
    assert placed.keys() - account.orders.keys() == missing
    assert account.orders.keys() <= placed.keys()
    assert len(placed) == sum(r.type == "OrderPlaced" for r in recorded)
    for order_id, order in account.orders.items():
        event = placed[order_id]
        assert (order.side, order.quantity, order.price) == (
            event.side,
            event.quantity,
            event.price,
        )
    check_fills(recorded, account)
    held = defaultdict(Decimal)
    for position in state.positions.values():
        held[position.symbol] += position.quantity
    assert held == account.positions
    balance = state.balances["USD"]
    assert balance.fees == account.fees["USD"]
    assert balance.cash - balance.tied_up == CASH + account.cash["USD"]
    check_limits(recorded)


def check_fills(recorded, account) -> None:
    ledger_fills = sorted(
        (r.event.order_id, r.event.trade_id, r.event.quantity, r.event.price, r.event.fee)
        for r in recorded
        if r.type == "OrderFilled"
    )
    assert ledger_fills == sorted(
        (f.client_order_id, f.trade_id, f.quantity, f.price, f.fee) for f in account.fills
    )
    assert len(ledger_fills) > 20
    last = {
        r.event.order_id: r.type for r in recorded if r.type.startswith("Order")
    }  # what was recorded of an order last
    for order_id, order in account.orders.items():
        ended = {"OrderRejected": "rejected", "OrderCancelled": "cancelled"}.get(last[order_id])
        assert ended is None or order.status == ended


def check_limits(recorded) -> None:
    """The limits held at every single event."""
    accounts = None
    for event in recorded:
        accounts = fold([event], accounts)
        if not accounts.portfolio.limits:
            continue
        live = accounts.symbols.values()
        assert sum(len(one.positions) for one in live) <= LIMITS["max_open_positions"]
        used = sum(one.tied_up + one.reserved for one in live)
        assert used <= LIMITS["max_total_notional"], f"{used} at #{event.seq}"


def test_a_killed_runner_loses_nothing_and_sends_nothing_twice(tmp_path):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    kill_and_resume(tmp_path, seed=seed, symbols=4, kills=10, instants=120)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_hundred_kills_over_ten_symbols(tmp_path):
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    kill_and_resume(tmp_path, seed=seed, symbols=10, kills=200, instants=4000)
