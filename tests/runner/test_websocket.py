"""Live books from a real WebSocket server on this machine that misbehaves in every way it can."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from ledger.errors import InvalidInput
from runner.dialects import BinanceDialect, NeutralDialect, UpbitDialect
from runner.latest_books import LatestBooks
from runner.websocket import Backoff, WebSocketProvider

START = datetime(2026, 11, 20, 14, 32, 5, tzinfo=UTC)
MOMENT = timedelta(milliseconds=10)
Handler = Callable[[ServerConnection], Awaitable[None]]


class Clock:
    """The present, as the test says."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def book(symbol: str, bid: int, sequence: int | None = None, **given) -> str:
    told = {"type": "book", "symbol": symbol, "bid": str(bid), "ask": str(bid + 1), **given}
    if sequence is not None:
        told["sequence"] = sequence
    return msgspec.json.encode(told).decode()


def provider(port: int, symbols=("A", "B"), dialect=None, clock=None, **given):
    given.setdefault("backoff", Backoff(MOMENT, MOMENT))
    given.setdefault("stale_after", timedelta(seconds=5))
    return WebSocketProvider(
        f"ws://127.0.0.1:{port}",
        symbols,
        dialect or NeutralDialect(),
        clock=clock or Clock(),
        jitter=random.Random(1),
        **given,
    )


@asynccontextmanager
async def serving(handler: Handler, port: int = 0):
    async with serve(handler, "127.0.0.1", port, close_timeout=0.2) as server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def started(feed: WebSocketProvider):
    await feed.astart()
    try:
        yield feed
    finally:
        await feed.astop()


async def until(condition: Callable[[], object], deadline: float = 5.0):
    """Wait until ``condition()`` is true, and return what it gave."""
    end = time.monotonic() + deadline
    while not (met := condition()):
        assert time.monotonic() < end, "the condition was not met in time"
        await asyncio.sleep(0.002)
    return met


def bid(feed: WebSocketProvider, symbol: str) -> Decimal | None:
    snapshot = feed.get_latest_snapshot(symbol)
    return None if snapshot is None else snapshot.book.bid


class Venue:
    """A server whose connections the test drives: it sends what is put into ``outbox``."""

    def __init__(self) -> None:
        self.requests: list[bytes | str] = []
        self.connections: list[ServerConnection] = []

    async def __call__(self, connection: ServerConnection) -> None:
        self.requests.append(await connection.recv())
        self.connections.append(connection)
        await connection.wait_closed()

    async def say(self, *messages: str | bytes) -> None:
        for message in messages:
            await self.connections[-1].send(message, text=True)

    def cut(self) -> None:
        """End the connection as a broken cable does: without a word."""
        self.connections[-1].transport.abort()


@pytest.fixture
def venue() -> Venue:
    return Venue()


async def test_many_symbols_come_over_one_connection_and_are_never_mixed(venue):
    symbols = [f"S{number}" for number in range(100)]
    order = random.Random(3).sample(range(100), 100)
    async with serving(venue) as port, started(provider(port, symbols)) as feed:
        await until(lambda: venue.connections)
        await venue.say(*(book(f"S{number}", 1000 + number) for number in order))
        await until(lambda: all(bid(feed, symbol) for symbol in symbols))
        for number, symbol in enumerate(symbols):
            snapshot = await feed.aget_latest_snapshot(symbol)
            assert snapshot.symbol == snapshot.book.symbol == symbol
            assert snapshot.book.bid == 1000 + number
        assert len(venue.connections) == 1
        assert msgspec.json.decode(venue.requests[0])["symbols"] == symbols


async def test_a_book_nobody_subscribed_to_is_counted_and_never_handed_out(venue):
    async with serving(venue) as port, started(provider(port)) as feed:
        await until(lambda: venue.connections)
        await venue.say(book("C", 9), book("A", 1))
        await until(lambda: bid(feed, "A"))
        assert feed.unknown_symbol_count == 1
        assert (bid(feed, "C"), bid(feed, "B")) == (None, None)


async def test_an_older_book_that_comes_late_does_not_replace_a_newer_one(venue):
    async with serving(venue) as port, started(provider(port)) as feed:
        await until(lambda: venue.connections)
        await venue.say(
            book("A", 3, 3), book("A", 1, 1), book("A", 2, 2), book("B", 7, 1), book("B", 8, 2)
        )
        await until(lambda: bid(feed, "B") == 8)
        assert bid(feed, "A") == 3
        assert feed.reordered_count == 2


async def test_a_venue_that_numbers_anew_after_a_restart_is_followed(venue):
    """The order of books is that of their connection."""
    async with serving(venue) as port, started(provider(port)) as feed:
        await until(lambda: venue.connections)
        await venue.say(book("A", 1, 1_000_000))
        await until(lambda: bid(feed, "A") == 1)
        venue.cut()
        await until(lambda: len(venue.connections) == 2)
        await venue.say(book("A", 2, 1))
        await until(lambda: bid(feed, "A") == 2)


async def test_a_book_is_stale_after_its_age_until_a_new_one_comes(venue):
    clock = Clock()
    async with serving(venue) as port, started(provider(port, clock=clock)) as feed:
        await until(lambda: venue.connections)
        await venue.say(book("A", 1), book("B", 2))
        await until(lambda: bid(feed, "B"))
        clock.pass_by(5)
        assert bid(feed, "A") == 1
        clock.pass_by(0.001)
        assert bid(feed, "A") is None
        assert await feed.aget_latest_snapshot("A") is None
        assert feed.stale_count == 1
        await venue.say(book("A", 3))
        await until(lambda: bid(feed, "A") == 3)


async def test_a_clock_set_back_makes_no_book_young(venue):
    clock = Clock()
    async with serving(venue) as port, started(provider(port, clock=clock)) as feed:
        await until(lambda: venue.connections)
        await venue.say(book("A", 1))
        await until(lambda: bid(feed, "A"))
        clock.pass_by(-6)
        assert bid(feed, "A") is None


async def test_books_that_were_held_up_on_their_way_are_dropped(venue):
    """A backlog after a stall is received now, but it is not how the market stands now."""
    clock = Clock()
    async with serving(venue) as port:
        feed = provider(port, clock=clock, max_delay=timedelta(seconds=1))
        async with started(feed):
            await until(lambda: venue.connections)
            await venue.say(book("A", 1, time="2026-11-20T14:32:03.999Z"))
            await venue.say(book("B", 2, time="2026-11-20T14:32:04Z"))
            await until(lambda: bid(feed, "B"))
            assert bid(feed, "A") is None
            assert feed.delayed_count == 1


async def test_after_a_disconnect_every_book_is_stale_at_once(venue):
    """However young a book is: who knows what happened since the connection broke."""
    lasting = Backoff(timedelta(hours=1), timedelta(hours=1))
    async with serving(venue) as port, started(provider(port, backoff=lasting)) as feed:
        await until(lambda: venue.connections)
        await venue.say(book("A", 1), book("B", 2))
        await until(lambda: bid(feed, "A") and bid(feed, "B"))
        assert feed.ws_connected
        venue.cut()
        await until(lambda: not feed.ws_connected)
        assert (bid(feed, "A"), bid(feed, "B")) == (None, None)
        assert feed.stale_count == 2


async def test_after_each_drop_it_connects_again_and_subscribes_to_everything(venue):
    async with serving(venue) as port, started(provider(port)) as feed:
        for number in range(5):
            await until(lambda count=number: len(venue.connections) > count)
            await venue.say(book("A", number + 1), book("B", number + 101))
            await until(lambda price=number + 101: bid(feed, "B") == price)
            assert bid(feed, "A") == number + 1
            assert feed.ws_reconnects == number
            if number % 2:
                venue.cut()
            else:
                await venue.connections[-1].close(1012)
        assert [msgspec.json.decode(request)["symbols"] for request in venue.requests] == [
            ["A", "B"]
        ] * len(venue.requests)


async def test_a_server_that_dies_and_comes_back_on_its_port_is_found_again():
    first, second = Venue(), Venue()
    async with serving(first) as port:
        feed = provider(port)
        await feed.astart()
        await until(lambda: first.connections)
        await first.say(book("A", 1))
        await until(lambda: bid(feed, "A") == 1)
    await until(lambda: not feed.ws_connected)
    assert bid(feed, "A") is None
    async with serving(second, port):
        await until(lambda: second.connections)
        await second.say(book("A", 2))
        await until(lambda: bid(feed, "A") == 2)
        assert feed.ws_reconnects == 1
        await feed.astop()


async def test_garbled_messages_are_counted_and_logged_and_the_connection_goes_on(venue, caplog):
    rng = random.Random(5)
    async with serving(venue) as port, started(provider(port)) as feed:
        await until(lambda: venue.connections)
        with caplog.at_level(logging.WARNING, logger="runner.websocket"):
            for _ in range(10):
                await venue.say(rng.randbytes(40), b"\xff\xfe", '{"type":"book"}')
                await venue.say(book("A", 1))
            await venue.say(book("B", 2))
            await until(lambda: bid(feed, "B") == 2)
        assert feed.bad_message_count == 30
        assert len([r for r in caplog.records if r.name == "runner.websocket"]) == 30
        assert (feed.ws_connected, feed.ws_reconnects, bid(feed, "A")) == (True, 0, 1)


async def test_too_many_garbled_messages_in_a_row_end_the_connection(venue):
    async with serving(venue) as port, started(provider(port, garbled_limit=3)) as feed:
        await until(lambda: venue.connections)
        await venue.say("x", "x", book("A", 1), "x", "x", book("B", 2))
        await until(lambda: bid(feed, "B") == 2)
        assert feed.ws_reconnects == 0
        await venue.say("x", "x", "x")
        await until(lambda: len(venue.connections) == 2)
        assert feed.bad_message_count == 7
        assert bid(feed, "A") is None


async def test_a_connection_that_brings_nothing_is_given_up(venue):
    """A subscription that died silently looks like a quiet market: it is made anew."""
    async with serving(venue) as port, started(provider(port, silence_timeout=MOMENT)) as feed:
        await until(lambda: len(venue.connections) >= 3)
        assert feed.ws_reconnects >= 2


async def test_starting_does_not_wait_for_a_server_that_never_answers():
    """The first attempt is bounded; the attempts go on until somebody answers."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        feed = provider(port, connect_timeout=timedelta(milliseconds=50))
        began = time.monotonic()
        await feed.astart()
        assert time.monotonic() - began < 2
        assert not feed.ws_connected
        assert bid(feed, "A") is None
    venue = Venue()
    async with serving(venue, port):
        await until(lambda: feed.ws_connected)
        await feed.astop()


async def test_starting_where_nobody_listens_goes_on_trying(venue):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    feed = provider(port)
    await feed.astart()
    assert not feed.ws_connected
    async with serving(venue, port):
        await until(lambda: feed.ws_connected)
        await feed.astop()


async def test_a_failing_feed_is_never_taken_for_a_quiet_market(venue, caplog):
    """An error that no reconnection can mend reaches whoever asks for a book."""

    class Broken(NeutralDialect):
        def books(self, message, received_at):
            raise KeyError("a mistake in the dialect")

    async with serving(venue) as port:
        feed = provider(port, dialect=Broken())
        await feed.astart()
        await until(lambda: venue.connections)
        await venue.say(book("A", 1))
        await until(lambda: caplog.records and caplog.records[-1].levelno == logging.ERROR)
        with pytest.raises(KeyError, match="a mistake"):
            feed.get_latest_snapshot("A")
        await feed.astop()


def live_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("ws://")}


async def test_stopping_leaves_no_task_thread_or_socket_behind(venue):
    async with serving(venue) as port:
        before = asyncio.all_tasks()
        for feed in (provider(port), provider(port)):
            await feed.astop()
            await feed.astart()
            await feed.astart()
            await until(lambda: venue.connections)
            await venue.say(book("A", 1))
            await until(lambda feed=feed: bid(feed, "A"))
            await feed.astop()
            await feed.astop()
            assert bid(feed, "A") is None
            assert not feed.ws_connected
            connection = venue.connections.pop()
            await until(lambda connection=connection: connection.state.name == "CLOSED")
            await until(lambda: asyncio.all_tasks() == before)
        assert live_threads() == set()


async def test_it_stops_at_once_while_it_waits_to_connect_again():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    hour = timedelta(hours=1)
    feed = provider(port, backoff=Backoff(hour, hour))
    await feed.astart()
    async with asyncio.timeout(2):
        await feed.astop()


async def test_the_sync_forms_work_in_a_thread_and_leave_none(venue):
    """Any thread may ask while books pour in; starting and stopping twice does no harm."""
    async with serving(venue) as port:
        feed = provider(port)
        await asyncio.to_thread(feed.stop)
        for _ in range(2):
            await asyncio.to_thread(feed.start)
            await asyncio.to_thread(feed.start)
            assert len(live_threads()) == 1
            await until(lambda: feed.ws_connected and venue.connections)
            asked = asyncio.gather(*(asyncio.to_thread(ask_often, feed) for _ in range(3)))
            await venue.say(*(book("AB"[n % 2], 10 * (1 + n % 2), n) for n in range(500)))
            await until(lambda: bid(feed, "A") and bid(feed, "B"))
            assert set().union(*await asked) <= {("A", 10), ("B", 20)}
            await asyncio.to_thread(feed.stop)
            await asyncio.to_thread(feed.stop)
            assert live_threads() == set()
            assert bid(feed, "A") is None
            venue.connections.clear()


def ask_often(feed: WebSocketProvider) -> set[tuple[str, int]]:
    seen = set()
    for symbol in "AB" * 500:
        if (snapshot := feed.get_latest_snapshot(symbol)) is not None:
            seen.add((snapshot.symbol, int(snapshot.book.bid)))
    return seen


async def test_what_one_form_started_the_other_can_stop_or_says_why_not(venue):
    async with serving(venue) as port:
        feed = provider(port)
        await asyncio.to_thread(feed.start)
        await feed.astart()
        await feed.astop()
        assert live_threads() == set()
        await feed.astart()
        with pytest.raises(RuntimeError, match="await astop"):
            feed.stop()
        await feed.astop()
        feed.stop()


async def test_binance_and_upbit_books_come_over_the_wire(venue):
    """Binance in text frames, Upbit in binary ones."""
    async with serving(venue) as port:
        async with started(provider(port, ["BNBUSDT"], BinanceDialect())) as feed:
            await until(lambda: venue.connections)
            await venue.say(
                '{"result":null,"id":1}',
                '{"stream":"bnbusdt@bookTicker","data":'
                '{"u":1,"s":"BNBUSDT","b":"25.30","B":"1","a":"25.40","A":"2"}}',
            )
            await until(lambda: bid(feed, "BNBUSDT") == Decimal("25.3"))
            assert feed.get_latest_snapshot("BNBUSDT").occurred_at == START
            assert feed.bad_message_count == 0
        venue.connections.clear()
        async with started(provider(port, ["KRW-BTC"], UpbitDialect())) as feed:
            await until(lambda: venue.connections)
            await venue.connections[-1].send(
                b'{"type":"orderbook","code":"KRW-BTC","timestamp":1763649124123,'
                b'"orderbook_units":[{"ask_price":137002000.0,"bid_price":137001000.0,'
                b'"ask_size":0.1,"bid_size":0.2}]}'
            )
            await until(lambda: bid(feed, "KRW-BTC") == 137001000)


def test_waits_double_up_to_the_cap_with_full_jitter():
    """Each wait is drawn from the whole range, so that many runners do not return at once."""
    backoff, jitter = Backoff(timedelta(seconds=1), timedelta(seconds=30)), random.Random(2)
    for failure_count, longest in [(0, 1), (1, 2), (4, 16), (5, 30), (100_000, 30)]:
        waits = [backoff.seconds(failure_count, jitter) for _ in range(300)]
        assert 0 <= min(waits) < 0.1 * longest
        assert 0.9 * longest < max(waits) <= longest


async def test_a_connection_without_use_makes_the_next_wait_longer():
    """A server that accepts and hangs up is not hammered."""

    class Unlucky(random.Random):
        def uniform(self, a, b):
            ceilings.append(b)
            return 0.0

    async def hang_up(connection):
        await connection.recv()
        connections.append(connection)
        if len(connections) == 4:
            await connection.send(book("A", 1))

    ceilings, connections = [], []
    async with serving(hang_up) as port:
        feed = WebSocketProvider(
            f"ws://127.0.0.1:{port}",
            ["A"],
            NeutralDialect(),
            clock=Clock(),
            stale_after=timedelta(seconds=5),
            jitter=Unlucky(),
            backoff=Backoff(timedelta(seconds=1), timedelta(seconds=30)),
        )
        async with started(feed):
            await until(lambda: len(ceilings) >= 5)
    assert ceilings[:5] == [2, 4, 8, 1, 2]


@pytest.mark.parametrize(
    ("url", "symbols", "dialect"),
    [
        ("http://127.0.0.1", ["A"], NeutralDialect()),
        ("not a url", ["A"], NeutralDialect()),
        ("ws://127.0.0.1", [], NeutralDialect()),
        ("ws://127.0.0.1", ["btcusdt"], BinanceDialect()),
    ],
)
def test_what_can_never_work_is_refused_before_anything_starts(url, symbols, dialect):
    with pytest.raises(InvalidInput):
        WebSocketProvider(
            url,
            symbols,
            dialect,
            clock=Clock(),
            stale_after=timedelta(seconds=1),
            jitter=random.Random(1),
        )


def test_a_book_of_the_same_number_is_as_good_as_the_one_before_it():
    """Two books of one millisecond are told apart by their order of arrival."""
    latest = LatestBooks(frozenset("A"), timedelta(seconds=1))
    for price in (1, 2):
        (read,) = NeutralDialect().books(book("A", price, 5), START)
        latest.put(read, START)
    assert latest.get("A", START).bid == 2
