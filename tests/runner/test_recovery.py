"""A run that begins where another ended: what happened since is found out, nothing is forgotten."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pytest

from ledger import Ledger, OrderPlaced, OrderStatus, PositionClosed, PositionOpened
from runner.clock import replay_clock
from runner.config import RunnerConfig, SessionConfig
from runner.exchange import OrderRequest
from runner.figures import Count
from runner.live import LiveRunner
from runner.paper import PaperConfig, PaperExchange
from runner.paper_session import PaperTerms, run_paper_session
from runner.recorded import RecordedProvider
from runner.trend import TrendConfig, TrendEngine

_STORES = itertools.count()
TREND = TrendConfig(
    window=2, budget=Decimal(1000), add_percent=Decimal(5), take_percent=Decimal(10)
)
CLOSES = ("10", "10", "9", "11", "11.8", "12.5", "11", "10", "12", "13", "11", "14", "9")


def rows(*symbols, closes=CLOSES):
    return [
        {"time": f"2020-01-01T{hour:02}:00:00Z", "symbol": symbol, "close": close}
        for symbol in symbols
        for hour, close in enumerate(closes)
    ]


@pytest.fixture
async def ledger():
    async with Ledger.connect(f"memory:recovery-{next(_STORES)}") as opened:
        yield opened


class Run:
    """One run of a runner over one exchange; there may be another afterwards."""

    def __init__(self, ledger, exchange, provider, *, session=None, **config):
        self.runner = LiveRunner(
            ledger,
            config=RunnerConfig(
                name="r", symbols=("AAA",), place_attempts=1, backoff_seconds=0, **config
            ),
            provider=provider,
            engine=TrendEngine(TREND),
            exchanges={"paper": exchange},
            session=session or SessionConfig(cash={"USD": Decimal(10_000)}, clock="occurred"),
            clock=replay_clock(provider),
        )


@pytest.fixture
def market():
    """Prices that stand at the first instant, and an exchange that has seen them."""
    provider = RecordedProvider(rows("AAA"))
    provider.advance()
    exchange = PaperExchange(PaperConfig(), clock=replay_clock(provider))
    exchange.on_book(provider.get_latest_snapshot("AAA").book)
    yield exchange, provider
    exchange.close()


async def begun(ledger, market, **given):
    run = Run(ledger, *market, **given)
    await run.runner.astart()
    return run.runner


def placed(order_id="o", venue="paper"):
    return OrderPlaced(
        symbol="AAA",
        occurred_at="2020-01-01T00:00:00Z",
        order_id=order_id,
        side="buy",
        quantity=5,
        price=11,
        venue=venue,
        position_id=order_id,
        trade_id=order_id,
    )


def request(order_id="o"):
    return OrderRequest(
        client_order_id=order_id,
        symbol="AAA",
        side="buy",
        quantity=Decimal(5),
        price=Decimal(11),
    )


async def test_an_order_that_never_arrived_is_rejected_by_that(ledger, market):
    first = await begun(ledger, market)
    await ledger.append(placed())
    await first.aclose()
    second = await begun(ledger, market)
    order = second.accounts.symbols["AAA"].orders["o"]
    assert (order.status, order.reason) == (OrderStatus.REJECTED, "never reached the exchange")
    await second.aclose()
    third = await begun(ledger, market)
    assert third.accounts.seq == second.accounts.seq, "a third run finds nothing to do"
    await third.aclose()


async def test_what_an_order_did_unseen_is_recorded_with_its_position(ledger, market):
    first = await begun(ledger, market)
    await ledger.append(placed())
    await market[0].place(request())
    await first.aclose()
    second = await begun(ledger, market)
    account = second.accounts.symbols["AAA"]
    assert account.orders["o"].status is OrderStatus.FILLED
    assert account.positions["o"].quantity == market[0].account().positions["AAA"] == 5
    assert account.fees == market[0].account().fees
    await second.aclose()


async def test_an_order_nobody_recorded_is_reported_once(ledger, market, caplog):
    first = await begun(ledger, market)
    await market[0].place(request("foreign"))
    for _ in range(2):
        await first.arun_once()
    await first.aclose()
    second = await begun(ledger, market)
    await second.aclose()
    refused = [r.event async for r in ledger.tail() if r.type == "TradeRefused"]
    assert [(e.trade_id, e.limit) for e in refused] == [("foreign", "order-unknown")]
    assert "foreign" in caplog.text


async def test_what_cannot_be_recorded_of_one_symbol_does_not_keep_others_out(ledger, caplog):
    """Here by an order whose position has the id of another symbol's."""
    provider = RecordedProvider(rows("AAA", "BBB"))
    exchange = PaperExchange(PaperConfig(), clock=replay_clock(provider))
    provider.advance()
    first = await begun(ledger, (exchange, provider))
    taken = {"position_id": "a", "occurred_at": provider.now}
    await ledger.append(
        PositionOpened(symbol="BBB", side="buy", quantity=1, entry_price=9, **taken)
    )
    for symbol, order_id in (("AAA", "a"), ("BBB", "b")):
        await ledger.append(msgspec.structs.replace(placed(order_id), symbol=symbol))
        exchange.on_book(provider.get_latest_snapshot(symbol).book)
        await exchange.place(msgspec.structs.replace(request(order_id), symbol=symbol))
    await first.aclose()
    second = await begun(ledger, (exchange, provider))
    assert second.accounts.symbols["BBB"].orders["b"].status is OrderStatus.FILLED
    assert second.metrics.get_metrics("AAA")["counts"][Count.FAILURES] > 0
    assert "what happened to AAA cannot be recorded" in caplog.text
    assert "position id a was used before" in caplog.text
    await second.aclose()
    exchange.close()


async def test_an_order_done_long_ago_is_no_stranger(ledger, market):
    """The accounts forget orders that are done; the exchange reports them to every new run."""
    first = await begun(ledger, market)
    for number in range(70):
        await ledger.append(placed(f"o{number}"))
        await market[0].place(request(f"o{number}"))
        await first.arun_once()
    await first.aclose()
    second = await begun(ledger, market)
    assert len(second.accounts.symbols["AAA"].orders) == 64
    assert second.accounts.seq == first.accounts.seq
    await second.aclose()


async def test_resuming_joins_the_open_session_and_a_clean_start_begins_another(ledger, market):
    names = []
    for start in ("resume", "resume", "clean", "clean"):
        session = SessionConfig(start=start, clock="occurred", cash={"USD": Decimal(50)})
        runner = await begun(ledger, market, session=session)
        names.append(runner.accounts.portfolio.session.session)
        await runner.aclose()
    assert names == ["main", "main", "main-2", "main-3"]
    sessions = await ledger.sessions()
    assert [session.state for session in sessions] == ["ended", "ended", "open"]
    assert (await ledger.state()).total_balance == 50, "the money is deposited once"


@pytest.mark.parametrize(
    ("hour", "zone", "trades"),
    [(9, "UTC", 0), (25, "UTC", 1), (9, "Asia/Tokyo", 0), (16, "Asia/Tokyo", 1)],
)
async def test_the_days_loss_survives_a_restart_and_ends_with_the_day(ledger, hour, zone, trades):
    """In Tokyo the day of 01:00Z ends at 15:00Z."""
    falls = [(0, "10"), (hour - 3, "10"), (hour - 2, "10"), (hour - 1, "9"), (hour, "11")]
    table = [
        {
            "time": f"2020-01-{1 + at // 24:02}T{at % 24:02}:00:00Z",
            "symbol": "AAA",
            "close": close,
        }
        for at, close in falls
    ]
    provider = RecordedProvider(table)
    exchange = PaperExchange(PaperConfig(), clock=replay_clock(provider))
    session = SessionConfig(
        cash={"USD": Decimal(10_000)},
        limits={"": {"max_daily_loss": Decimal(100)}},
        clock="occurred",
    )
    provider.advance()
    market, zoned = (exchange, provider), {"session": session, "day_zone": ZoneInfo(zone)}
    first = await begun(ledger, market, **zoned)
    at = provider.now + timedelta(hours=1)
    lost = {"symbol": "AAA", "position_id": "p", "occurred_at": at}
    await ledger.append(PositionOpened(side="buy", quantity=10, entry_price=20, **lost))
    await ledger.append(PositionClosed(exit_price=10, **lost))
    await first.aclose()
    second = await begun(ledger, market, **zoned)
    while provider.advance():
        await second.arun_once()
    assert len(exchange.account().orders) == trades
    assert second.accounts.symbols["AAA"].refused_count == 1 - trades
    await second.aclose()
    exchange.close()


async def test_a_loss_in_a_day_without_a_trade_yet_counts(ledger):
    """The day begins with its first pass, not with its first trade."""
    hours = [20, 21, 22, 23, 24, 25, 26]
    closes = ["10", "10", "10", "10", "10", "9", "11"]
    table = [
        {"time": f"2020-01-{1 + at // 24:02}T{at % 24:02}:00:00Z", "symbol": "AAA", "close": close}
        for at, close in zip(hours, closes, strict=True)
    ]
    provider = RecordedProvider(table)
    exchange = PaperExchange(PaperConfig(), clock=replay_clock(provider))
    session = SessionConfig(
        cash={"USD": Decimal(10_000)},
        limits={"AAA": {"max_daily_loss": Decimal(100)}},
        clock="occurred",
    )
    runner = await begun(ledger, (exchange, provider), session=session)
    for instant, _ in provider.steps():
        if instant.hour == 1:
            lost = {"symbol": "AAA", "position_id": "p", "occurred_at": instant}
            await ledger.append(PositionOpened(side="buy", quantity=10, entry_price=20, **lost))
            await ledger.append(PositionClosed(exit_price=10, **lost))
        await runner.arun_once()
    assert runner.accounts.symbols["AAA"].refused_count == 1
    assert exchange.account().orders == {}
    await runner.aclose()
    exchange.close()


async def test_reports_that_come_late_are_recorded_when_they_come(ledger):
    provider = RecordedProvider(rows("AAA"))
    exchange = PaperExchange(PaperConfig(latency=timedelta(hours=1)), clock=replay_clock(provider))
    runner = await begun(ledger, (exchange, provider))
    held = []
    for _ in provider.steps():
        await runner.arun_once()
        positions = runner.accounts.symbols["AAA"].positions.values()
        held.append((int(sum(p.quantity for p in positions)), exchange.account().positions))
    assert held[3] == (0, {"AAA": 90}), "the exchange has bought and not said so yet"
    assert held[4][0] == 90
    await runner.aclose()
    exchange.close()


async def paper_session(ledger, path=None, stop_after=10**9, **given):
    left = itertools.count()
    return await run_paper_session(
        ledger,
        RecordedProvider(rows("AAA", "BBB")),
        engine=TrendEngine(TREND),
        account_path=path,
        should_stop=lambda: next(left) >= stop_after,
        terms=PaperTerms(limits={"": {"max_total_notional": Decimal(1700)}}),
        **given,
    )


async def test_a_paper_session_is_the_same_every_time(ledger):
    first = await paper_session(ledger, seed=7)
    async with Ledger.connect(f"memory:recovery-{next(_STORES)}") as other:
        second = await paper_session(other, seed=7)
        assert [r.event async for r in other.tail()] == [r.event async for r in ledger.tail()]
    assert (first.seq, first.digest) == (second.seq, second.digest)
    assert first.is_complete
    assert first.instant_count == len(CLOSES)
    types = {r.type async for r in ledger.tail()}
    assert types >= {"PositionOpened", "PositionReduced", "PositionClosed", "TradeRefused"}


async def test_another_seed_is_another_session(ledger):
    await paper_session(ledger, seed=1)
    async with Ledger.connect(f"memory:recovery-{next(_STORES)}") as other:
        await paper_session(other, seed=4)
        fills = [r.event.trade_id async for r in other.tail() if r.type == "OrderFilled"]
    assert fills != [r.event.trade_id async for r in ledger.tail() if r.type == "OrderFilled"]


async def test_a_stopped_paper_session_is_ended(ledger):
    summary = await paper_session(ledger, stop_after=3)
    assert (summary.instant_count, summary.is_complete) == (3, False)
    [session] = await ledger.sessions()
    assert session.state == "ended"


@pytest.mark.parametrize("cut", range(1, len(CLOSES)))
async def test_an_interrupted_paper_session_ends_as_if_it_had_not_been(ledger, tmp_path, cut):
    """Whichever instant it was interrupted after."""

    class Interrupted(BaseException):
        pass

    def interrupt(progress):
        if progress.done_count == cut:
            raise Interrupted

    with pytest.raises(Interrupted):
        await paper_session(ledger, tmp_path / "a.db", progress=interrupt)
    resumed = await paper_session(ledger, tmp_path / "a.db")
    async with Ledger.connect(f"memory:recovery-{next(_STORES)}") as other:
        whole = await paper_session(other)
    assert resumed.digest == whole.digest
