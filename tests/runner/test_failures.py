"""What the engine, the provider or the exchange raises is logged, counted, recorded and raised."""

from __future__ import annotations

import itertools
import json
import logging
from decimal import Decimal

import pytest
from click.testing import CliRunner

from ledger import Ledger, TradeRefused
from ledger.cli.group import PledgerGroup
from replay.verify import averify
from runner import Count, LiveRunner, PaperConfig, PaperExchange, RunnerConfig, SessionConfig
from runner.clock import replay_clock
from runner.recorded import RecordedProvider
from runner.trend import TrendConfig, TrendEngine

STORES = itertools.count()
# Crosses above its average at the fourth price: that is when an order is placed.
ROWS = [
    {"date": f"2020-01-{day:02}", "symbol": symbol, "close": close}
    for symbol in ("AAA", "BBB")
    for day, close in enumerate(("10", "10", "9", "11", "11"), start=1)
]
BROKEN = {
    "engine": (TrendEngine, "process_snapshot"),
    "provider": (RecordedProvider, "aget_latest_snapshot"),
    "exchange, placing": (PaperExchange, "place"),
    "exchange, reporting": (PaperExchange, "reports"),
}
EXCHANGE_CALLS = {"place", "reports"}


@pytest.fixture
async def runner():
    """A runner on paper that knows the prices up to the one that makes it trade."""
    async with Ledger.connect(f"memory:failures-{next(STORES)}") as ledger:
        provider = RecordedProvider(ROWS)
        clock = replay_clock(provider)
        exchange = PaperExchange(PaperConfig(), clock=clock)
        async with LiveRunner(
            ledger,
            config=RunnerConfig(name="r", symbols=("AAA", "BBB"), poll_interval_seconds=0),
            provider=provider,
            engine=TrendEngine(TrendConfig(window=2, budget=Decimal(1000))),
            exchanges={"paper": exchange},
            session=SessionConfig(cash={"USD": Decimal(10_000)}, clock="occurred"),
            clock=clock,
        ) as opened:
            for _ in range(3):
                provider.advance()
                await opened.arun_once()
            provider.advance()
            yield opened
        exchange.close()


def broken(monkeypatch, kind, name) -> None:
    """Have a call raise what nobody foresaw."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the model divided by nothing")

    async def afail(*_: object, **__: object) -> None:
        fail()

    is_async = name in EXCHANGE_CALLS or name.startswith("aget")
    monkeypatch.setattr(kind, name, afail if is_async else fail)


@pytest.mark.parametrize("part", BROKEN)
async def test_whatever_fails_in_a_pass_shows_everywhere(runner, monkeypatch, caplog, part):
    with monkeypatch.context() as while_broken:
        broken(while_broken, *BROKEN[part])
        with pytest.raises(ZeroDivisionError), caplog.at_level(logging.ERROR):
            await runner.arun_once_for_symbol("AAA")
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.getMessage() == "the pass over AAA failed: the model divided by nothing"
    assert record.exc_info[0] is ZeroDivisionError
    counts = {name: runner.metrics.get_metrics(name)["counts"] for name in ("AAA", "BBB")}
    assert [counts[name][Count.FAILURES] for name in ("AAA", "BBB")] == [1, 0]
    told = [found.event async for found in runner._ledger.tail() if found.type == "TradeRefused"]
    assert [(each.symbol, each.limit, each.reason) for each in told] == [
        ("AAA", "runner-failure", "ZeroDivisionError: the model divided by nothing")
    ]
    assert isinstance(told[0], TradeRefused)
    assert (await averify(runner._ledger, full=True)).ok


@pytest.mark.parametrize("part", BROKEN)
async def test_the_next_pass_trades_as_if_nothing_had_happened(runner, monkeypatch, part):
    with monkeypatch.context() as while_broken:
        broken(while_broken, *BROKEN[part])
        with pytest.raises(ZeroDivisionError):
            await runner.arun_once_for_symbol("AAA")
    await runner.arun_once()
    state = await runner._ledger.state()
    for symbol in ("AAA", "BBB"):
        [position] = state.get_symbol_positions(symbol).values()
        assert position.quantity == 90


# A run asks the exchange for reports before it enters a session: there is no pass yet.
@pytest.mark.parametrize("part", [part for part in BROKEN if part != "exchange, reporting"])
def test_a_run_that_fails_ends_with_1_says_why_and_leaves_its_session_open(
    monkeypatch, tmp_path, part
):
    monkeypatch.setenv("PLEDGER_STORE", f"memory:failures-{next(STORES)}")
    monkeypatch.chdir(tmp_path)

    def pledger(*arguments: str):
        return CliRunner().invoke(PledgerGroup(), arguments, prog_name="pledger")

    with monkeypatch.context() as while_broken:
        broken(while_broken, *BROKEN[part])
        run = pledger("run", "--symbols", "AAPL", "-o", "json")
    assert run.exit_code == 1
    assert "error: unexpected ZeroDivisionError: the model divided by nothing" in run.stderr
    assert run.stdout == ""
    [session] = json.loads(pledger("sessions", "-o", "json").stdout)["sessions"]
    assert session["state"] == "open"
    found = pledger("events", "--type", "TradeRefused", "-o", "json").stdout
    assert "runner-failure" in found
