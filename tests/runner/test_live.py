"""The runner trades on paper, and the ledger and the exchange agree on what it did."""

from __future__ import annotations

import asyncio
import itertools
from decimal import Decimal

import pytest

from ledger import (
    CashDeposited,
    Fenced,
    Ledger,
    OrderStatus,
    RiskLimitSet,
    SessionHalted,
)
from runner.clock import replay_clock
from runner.config import RunnerConfig, SessionConfig
from runner.figures import Count
from runner.live import LiveRunner
from runner.paper import PaperConfig, PaperExchange
from runner.recorded import RecordedProvider
from runner.trend import TrendConfig, TrendEngine

_STORES = itertools.count()

# Crosses above its average, rises 5 % and 10 % above the entry, and falls below the average.
RISE_AND_FALL = ("10", "10", "9", "11", "11.8", "12.5", "11")
TREND = TrendConfig(
    window=2, budget=Decimal(1000), add_percent=Decimal(5), take_percent=Decimal(10)
)
CASH = {"USD": Decimal(10_000)}


def rows(symbol: str, closes=RISE_AND_FALL, splits=()):
    return [
        {
            "date": f"2020-01-{day:02}",
            "symbol": symbol,
            "close": close,
            "split": dict(splits).get(day, ""),
        }
        for day, close in enumerate(closes, start=1)
    ]


@pytest.fixture
def url():
    return f"memory:live-{next(_STORES)}"


class Paper:
    """A runner on paper over recorded rows, and what it is made of."""

    def __init__(self, ledger, table, *, limits=None, name="trend", path=None, **config):
        self.provider = RecordedProvider(table)
        self.clock = replay_clock(self.provider)
        self.exchange = PaperExchange(PaperConfig(), clock=self.clock, path=path)
        self.runner = LiveRunner(
            ledger,
            config=RunnerConfig(
                name=name, symbols=self.provider.symbols, poll_interval_seconds=0, **config
            ),
            provider=self.provider,
            engine=TrendEngine(TREND),
            exchanges={"paper": self.exchange},
            session=SessionConfig(cash=CASH, limits=limits or {}, clock="occurred"),
            clock=self.clock,
        )

    async def play(self, symbol: str, steps: int = 99) -> None:
        for _ in range(steps):
            if self.provider.advance() is None:
                return
            await self.runner.arun_once_for_symbol(symbol)

    async def close(self) -> None:
        await self.runner.aclose()
        self.exchange.close()


@pytest.fixture
async def paper(url):
    """Opens runners over tables, and closes them."""
    opened = []
    async with Ledger.connect(url) as ledger:

        def make(table, **given):
            opened.append(Paper(ledger, table, **given))
            return opened[-1]

        yield make
        for one in opened:
            await one.close()


async def events(runner, *kinds):
    found = [recorded.event async for recorded in runner._ledger.tail()]
    return [event for event in found if not kinds or event.type in kinds]


def check_round_trip(state, account):
    """What RISE_AND_FALL must leave: bought 90, added 42, sold 66, sold 66."""
    assert not state.get_symbol_positions("AAA")
    assert account.positions == {}
    orders = state.get_symbol_orders("AAA")
    assert [order.status for order in orders.values()] == [OrderStatus.FILLED] * 4
    assert {key: order.filled_quantity for key, order in orders.items()} == {
        key: order.filled for key, order in account.orders.items()
    }
    assert state.realized_pnl == Decimal("62.76")
    assert state.fees == account.fees["USD"] == Decimal("3.0366")
    assert state.total_balance == Decimal(10_000) + account.cash["USD"]


def test_run_once_for_symbol_with_portfolio_tracking(url):
    """The synchronous pass opens, increases, reduces and closes, and books what came of it."""
    ledger = Ledger.connect(url)
    paper = Paper(ledger, rows("AAA"))
    with paper.runner as runner:
        held = []
        while paper.provider.advance():
            assert runner.run_once_for_symbol("AAA") is True
            entries = runner.accounts.symbols["AAA"].positions.values()
            held.append(sum(entry.quantity for entry in entries))
            assert held[-1] == paper.exchange.account().positions.get("AAA", 0)
        assert held == [0, 0, 0, 90, 132, 66, 0]
        assert runner.metrics.get_metrics("AAA")["trades_opened_total"] == 1
    with Ledger.sync.connect(url) as reader:
        check_round_trip(reader.state(), paper.exchange.account())
    paper.exchange.close()


async def test_arun_once_for_symbol_with_portfolio_tracking(paper, url):
    """The asynchronous pass does the same."""
    one = paper(rows("AAA"))
    await one.play("AAA", 5)
    async with Ledger.connect(url) as reader:
        state = await reader.state()
        [position] = state.get_symbol_positions("AAA").values()
        assert position.quantity == one.exchange.account().positions["AAA"] == 132
        assert position.entry_cost == Decimal("1486.92")
        assert state.unrealized_pnl == 132 * Decimal("11.8") - Decimal("1486.92")
        await one.play("AAA")
        state = await reader.state()
        check_round_trip(state, one.exchange.account())
        assert state.digest == one.runner.accounts.digest()


async def test_a_pass_counts_whether_or_not_there_was_a_snapshot(paper):
    one = paper(rows("AAA"))
    assert await one.runner.arun_once_for_symbol("AAA") is False
    assert await one.runner.arun_once_for_symbol("NONE") is False
    one.provider.advance()
    assert await one.runner.arun_once() is True
    assert one.runner.metrics.get_metrics()["loop_count"] == 3


async def test_an_order_is_in_the_ledger_before_it_reaches_the_exchange(url):
    class Suspicious(PaperExchange):
        async def place(self, request):
            async with Ledger.connect(url) as reader:
                seen.append((await reader.state()).orders[request.client_order_id].status)
            return await super().place(request)

    seen = []
    async with Ledger.connect(url) as ledger:
        one = Paper(ledger, rows("AAA"))
        suspicious = Suspicious(PaperConfig(), clock=one.clock)
        one.runner._dealer._exchanges["paper"] = suspicious
        one.runner._dealer._paper["paper"] = suspicious
        await one.play("AAA")
        await one.close()
        suspicious.close()
    assert seen == [OrderStatus.PENDING] * 4


async def test_a_failing_symbol_is_reported_and_the_others_go_on(paper, caplog):
    one = paper([*rows("AAA"), *rows("BAD")])
    latest = one.provider.aget_latest_snapshot

    async def breaking(symbol):
        if symbol == "BAD":
            raise ValueError("no such book")
        if one.provider.advance() is None:
            one.runner.stop()
        return await latest(symbol)

    one.provider.aget_latest_snapshot = breaking
    await one.runner.arun_multisymbol_loop(["AAA", "BAD"])
    metrics = one.runner.metrics
    assert len(await events(one.runner, "PositionClosed")) == 1
    assert metrics.get_metrics("AAA")["counts"][Count.FAILURES] == 0
    failures = metrics.get_metrics("BAD")["counts"][Count.FAILURES]
    recorded = await events(one.runner, "TradeRefused")
    assert len(recorded) == failures > 1
    assert {(e.symbol, e.limit, e.reason) for e in recorded} == {
        ("BAD", "runner-failure", "ValueError: no such book")
    }
    assert "the pass over BAD failed" in caplog.text


async def test_a_pass_raises_what_went_wrong(paper):
    one = paper(rows("AAA"))
    one.runner._passes._engine = None
    one.provider.advance()
    with pytest.raises(AttributeError):
        await one.runner.arun_once()
    assert one.runner.metrics.get_metrics("AAA")["counts"][Count.FAILURES] == 1


async def test_a_second_runner_of_the_same_name_locks_out_the_first(paper):
    first, second = paper(rows("AAA")), paper(rows("AAA"))
    await first.play("AAA", 1)
    await second.runner.astart()
    first.provider.advance()
    first.provider.advance()
    with pytest.raises(Fenced):
        await asyncio.wait_for(first.runner.arun_multisymbol_loop(["AAA"]), 10)


def test_the_loop_ends_when_its_time_is_over(url):
    one = Paper(Ledger.connect(url), rows("AAA"), max_runtime_seconds=0.05)
    one.provider.advance()
    with one.runner as runner:
        runner.run_forever()
        assert runner.metrics.get_metrics("AAA")["loop_count"] >= 1
    one.exchange.close()


async def test_a_refused_trade_names_its_limit_and_the_value(paper):
    one = paper(rows("AAA"), limits={"": {"max_total_notional": Decimal(900)}})
    await one.play("AAA")
    [refused] = await events(one.runner, "TradeRefused")
    assert refused.limit == "max_total_notional"
    assert "is 900; it would be 992.7" in refused.reason
    assert not await events(one.runner, "OrderPlaced")
    assert one.exchange.account().orders == {}
    assert one.runner.metrics.get_metrics()["counts"][Count.REFUSALS] == 1


async def test_a_halted_session_still_closes_what_is_open(paper, url):
    one = paper(rows("AAA"))
    await one.play("AAA", 4)
    async with Ledger.connect(url) as operator:
        await operator.append(SessionHalted(session="main", reason="enough"))
    await one.play("AAA")
    [refused] = await events(one.runner, "TradeRefused")
    assert (refused.limit, refused.reason.split(":")[0]) == ("session", "increase")
    assert len(await events(one.runner, "OrderPlaced")) == 3
    assert one.exchange.account().positions == {}


async def test_what_others_append_counts_at_the_next_decision(paper, url):
    """A limit and money that an operator appends under way are in the runner's accounts."""
    one = paper(rows("AAA"))
    await one.play("AAA", 2)
    async with Ledger.connect(url) as operator:
        await operator.append(
            [
                RiskLimitSet(limit="max_open_positions", value=0),
                CashDeposited(currency="EUR", amount=1),
            ]
        )
    await one.play("AAA")
    assert not await events(one.runner, "OrderPlaced")
    assert one.runner.accounts.digest() == (await one.runner._ledger.accounts()).digest()


async def test_a_split_takes_effect_once(paper, url):
    """However often its snapshot is seen, also by the next run."""
    closes = (*RISE_AND_FALL[:4], "5.6", "5.6", "6")
    one = paper(rows("AAA", closes, splits={5: "2/1"}))
    await one.play("AAA", 5)
    await one.runner.arun_once()
    [position] = one.runner.accounts.symbols["AAA"].positions.values()
    assert position.quantity == one.exchange.account().positions["AAA"] == 180
    assert position.cost == Decimal("990.90")
    other = paper(rows("AAA", closes, splits={5: "2/1"}))
    other.provider.seek(after=one.provider.now)
    other.provider._passed = one.provider._passed
    other.runner._dealer._exchanges["paper"] = one.exchange
    other.runner._dealer._paper["paper"] = one.exchange
    await other.runner.arun_once()
    assert len(await events(one.runner, "PositionAdjusted")) == 1
    assert one.exchange.account().positions["AAA"] == 180


async def test_a_symbol_that_hangs_does_not_delay_the_others(paper):
    one = paper([*rows("AAA"), *rows("SLOW")])
    latest, hanging = one.provider.aget_latest_snapshot, asyncio.Event()

    async def patient(symbol):
        if symbol == "SLOW":
            await hanging.wait()
        elif one.provider.advance() is None:
            one.runner.stop()
            hanging.set()
        return await latest(symbol)

    one.provider.aget_latest_snapshot = patient
    await asyncio.wait_for(one.runner.arun_multisymbol_loop(["SLOW", "AAA"]), 20)
    assert one.runner.metrics.get_metrics("AAA")["loop_count"] == len(RISE_AND_FALL) + 1
    assert one.runner.metrics.get_metrics("SLOW")["loop_count"] == 1
    assert one.exchange.account().positions == {}


async def test_each_symbol_keeps_its_own_pace(paper):
    one = paper(
        [*rows("AAA"), *rows("BBB")], symbol_intervals={"BBB": 60.0}, max_runtime_seconds=0.1
    )
    one.provider.advance()
    await asyncio.wait_for(one.runner.arun_forever(), 20)
    assert one.runner.metrics.get_metrics("AAA")["loop_count"] > 5
    assert one.runner.metrics.get_metrics("BBB")["loop_count"] == 1


async def test_a_stop_that_comes_before_the_loop_ends_it_at_once(paper):
    one = paper(rows("AAA"))
    one.runner.stop()
    await asyncio.wait_for(one.runner.arun_forever(), 20)
    assert one.runner.metrics.get_metrics()["loop_count"] == 0
