"""The store is stopped under a trading runner, and comes back: the runner waits and goes on."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from servers import RedisProcess, until

from ledger import Ledger
from runner import (
    Count,
    LiveRunner,
    PaperConfig,
    PaperExchange,
    RunnerConfig,
    SessionConfig,
    SyntheticProvider,
    TrendConfig,
    TrendEngine,
)

START = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.skipif(RedisProcess.binary is None, reason="needs redis-server")
async def test_a_runner_waits_for_the_store_and_goes_on_by_itself(tmp_path, caplog):
    server = RedisProcess(tmp_path)
    with server:
        async with Ledger.connect(server.url, patience=0.1) as ledger:
            now = START
            provider = SyntheticProvider(["AAA", "BBB"], 3, start_at=START)
            exchange = PaperExchange(PaperConfig(), clock=lambda: now)
            runner = LiveRunner(
                ledger,
                config=RunnerConfig(name="r", symbols=("AAA", "BBB"), poll_interval_seconds=0.001),
                provider=provider,
                engine=TrendEngine(TrendConfig(window=3, budget=Decimal(5000))),
                exchanges={"paper": exchange},
                session=SessionConfig(cash={"USD": Decimal(100_000)}),
                clock=lambda: now + timedelta(seconds=provider.position("AAA")),
            )
            looping = asyncio.create_task(runner.arun_forever())
            for _ in range(2):
                counts = runner.metrics.get_metrics()["counts"]
                seen, waited = counts[Count.EVENTS_APPENDED], counts[Count.RECONNECTS]
                await asyncio.to_thread(until, lambda n=seen: appended(runner) > n + 50)
                await asyncio.to_thread(server.stop, signal.SIGKILL)
                await asyncio.to_thread(until, lambda n=waited: reconnects(runner) > n)
                before = appended(runner)
                await asyncio.to_thread(server.start)
                await asyncio.to_thread(until, lambda n=before: appended(runner) > n + 50)
            runner.stop()
            await asyncio.wait_for(looping, 20)
            assert "waiting for the store" in caplog.text
            assert runner.metrics.get_metrics()["counts"][Count.FAILURES] == 0
            await check(ledger, runner, exchange)
            await runner.aclose()
            exchange.close()


def appended(runner) -> int:
    return runner.metrics.get_metrics()["counts"][Count.EVENTS_APPENDED]


def reconnects(runner) -> int:
    return runner.metrics.get_metrics()["counts"][Count.RECONNECTS]


async def check(ledger, runner, exchange) -> None:
    """Nothing is missing, nothing is there twice."""
    state, account = await ledger.state(), exchange.account()
    assert state.digest == runner.accounts.digest()
    fills = [r.event.trade_id async for r in ledger.tail() if r.type == "OrderFilled"]
    assert sorted(fills) == sorted(fill.trade_id for fill in account.fills)
    assert {p.symbol: p.quantity for p in state.positions.values()} == account.positions
    marks = [r.event async for r in ledger.tail("AAA") if r.type == "PriceMarked"]
    assert all(one.price != other.price for one, other in pairwise(marks))
