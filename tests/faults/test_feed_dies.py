"""The market data dies, garbles, stalls and comes back: no trade is made on a stale book."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from books import BookServer

from ledger import Ledger, utc_now
from runner import (
    Count,
    LiveRunner,
    PaperConfig,
    PaperExchange,
    RunnerConfig,
    SessionConfig,
)
from runner.dialects import NeutralDialect
from runner.engine import Leg, Purpose, Trade
from runner.live_session import FeedState, FeedWatch
from runner.websocket import Backoff, WebSocketProvider

SYMBOLS = ("AAA", "BBB")
STALE_AFTER = timedelta(milliseconds=250)
PASS = timedelta(milliseconds=500)  # what a pass may take on a machine under load
MOMENT = timedelta(milliseconds=20)
TROUBLES = ["died", "garbled", "delayed", "silent", "died"]


class Flipping:
    """Buys at the ask wherever nothing is held, and sells at the bid wherever something is."""

    def observe(self, snapshot) -> None:
        """Nothing is remembered."""

    def process_snapshot(self, snapshot, accounts):
        account, book = accounts.symbols.get(snapshot.symbol), snapshot.book
        if account is not None and account.positions:
            key, held = next(iter(account.positions.items()))
            leg = Leg(
                symbol=book.symbol,
                side="sell",
                quantity=held.quantity,
                price=book.bid,
                position_id=key,
            )
            return [Trade(purpose=Purpose.CLOSE, legs=(leg,), trade_id=held.trade_id)]
        leg = Leg(symbol=book.symbol, side="buy", quantity=Decimal(1), price=book.ask)
        return [Trade(purpose=Purpose.OPEN, legs=(leg,))]


def provider(url: str) -> WebSocketProvider:
    return WebSocketProvider(
        url,
        SYMBOLS,
        NeutralDialect(),
        clock=utc_now,
        stale_after=STALE_AFTER,
        max_delay=timedelta(seconds=5),
        garbled_limit=10_000,  # the connection stands: what counts is that no book comes of it
        backoff=Backoff(MOMENT, MOMENT),
        jitter=random.Random(1),
    )


class Desk:
    """A runner that trades at every pass, and how its feed stood from moment to moment."""

    def __init__(self, ledger: Ledger, server: BookServer) -> None:
        self.ledger, self.server = ledger, server
        self.feed = provider(server.url)
        self.exchange = PaperExchange(PaperConfig(), clock=utc_now)
        self.runner = LiveRunner(
            ledger,
            config=RunnerConfig(name="r", symbols=SYMBOLS, poll_interval_seconds=0.002),
            provider=self.feed,
            engine=Flipping(),
            exchanges={"paper": self.exchange},
            session=SessionConfig(cash={"USD": Decimal(100_000)}),
        )
        self.watch = FeedWatch(self.feed, SYMBOLS, STALE_AFTER.total_seconds())
        self._looping = asyncio.create_task(self.runner.arun_forever())

    async def close(self) -> None:
        """End the loops, and wait for what is being recorded."""
        self.runner.stop()
        await asyncio.wait_for(self._looping, 10)
        await self.runner.aclose()

    def state(self) -> FeedState:
        return self.watch.look(time.monotonic()).state

    def figure(self, name: str) -> int:
        return self.runner.metrics.get_metrics()[name]

    def appended(self) -> int:
        return self.figure("counts")[Count.EVENTS_APPENDED]

    async def trades_on(self) -> None:
        appended = self.appended()
        await until(lambda: self.appended() > appended + 40)

    async def waits(self) -> None:
        """No book is there any more: many passes are made, and not one records anything."""
        passes = self.figure("loop_count")
        await until(lambda: self.figure("loop_count") > passes + 4)  # those under way are over
        appended, passes = self.appended(), self.figure("loop_count")
        await until(lambda: self.figure("loop_count") > passes + 40)
        assert self.appended() == appended


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        await asyncio.sleep(0.002)


@pytest.fixture
async def desk(portfolio):
    """A desk at work."""
    async with BookServer() as server, Ledger.connect(f"memory:{portfolio}") as ledger:
        desk = Desk(ledger, server)
        yield desk
        await desk.close()
        desk.exchange.close()


async def test_a_runner_waits_for_its_feed_and_never_trades_on_a_stale_book(desk, caplog):
    server = desk.server
    await until(lambda: desk.state() is FeedState.CONNECTED)
    await desk.trades_on()
    for trouble in TROUBLES:
        if trouble == "died":
            await server.die()
            await until(lambda: desk.state() is FeedState.RECONNECTING)
        else:
            server.mode = trouble
            await until(lambda: set(desk.watch.look(time.monotonic()).stale) == set(SYMBOLS))
        await desk.waits()
        if trouble == "died":
            await server.start()
        server.mode = "good"
        await until(lambda: desk.state() is FeedState.CONNECTED)
        await desk.trades_on()
    assert "no books: " in caplog.text
    assert desk.feed.ws_reconnects == TROUBLES.count("died")
    assert min(desk.feed.bad_message_count, desk.feed.delayed_count) > 0
    assert desk.figure("counts")[Count.FAILURES] == 0
    await desk.close()
    await check_orders(desk)
    await check_accounts(desk)


async def test_an_order_whose_book_became_stale_before_it_was_sent_is_not_sent(portfolio):
    """The wait between recording and sending is as long as the store makes it."""
    async with BookServer() as server, Ledger.connect(f"memory:{portfolio}") as ledger:
        desk = Desk(ledger, server)
        desk.feed._clock = lambda: utc_now() + placed_since(desk)
        await until(lambda: desk.figure("trades_opened_total") > 0)
        await desk.close()
        assert desk.exchange.account().fills == ()
        desk.exchange.close()
        rejected = [r.event async for r in ledger.tail() if r.type == "OrderRejected"]
        assert rejected
        assert {event.reason for event in rejected} == {
            "not sent: its book became stale on the way"
        }


def placed_since(desk) -> timedelta:
    """The age of everything as soon as an order waits to be sent."""
    accounts = desk.runner.accounts.symbols.values()
    waits = any(o.status.is_working for account in accounts for o in account.orders.values())
    return timedelta(seconds=10 if waits else 0)


async def check_orders(desk) -> None:
    """Every order was made at the price of a book that was good and fresh, on its connection."""
    count = 0
    async for placed in desk.ledger.tail():
        if placed.type != "OrderPlaced":
            continue
        count += 1
        event = placed.event
        price = event.price if event.side == "buy" else event.price + Decimal("0.01")
        sent = desk.server.sent[price]
        assert sent.mode == "good"
        assert placed.recorded_at - sent.sent_at < STALE_AFTER + PASS
        assert event.occurred_at - sent.sent_at < timedelta(milliseconds=1)
        ended_at = desk.server.ended_at.get(sent.connection)
        assert ended_at is None or placed.recorded_at < ended_at + PASS
    assert count > 50


async def check_accounts(desk) -> None:
    """The exchange's own account and the ledger agree."""
    state, account = await desk.ledger.state(), desk.exchange.account()
    assert state.digest == desk.runner.accounts.digest()
    fills = [r.event.trade_id async for r in desk.ledger.tail() if r.type == "OrderFilled"]
    assert sorted(fills) == sorted(fill.trade_id for fill in account.fills)
    assert {p.symbol: p.quantity for p in state.positions.values()} == account.positions
