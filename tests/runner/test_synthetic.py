"""The seeded feed, and the provider that makes a pair of two."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from ledger.errors import InvalidAmount, InvalidInput, NotFound
from runner.pairs import PairProvider
from runner.synthetic import SyntheticProvider

START = datetime(2026, 11, 20, tzinfo=UTC)
SYMBOLS = ("KRW-BTC", "KRW-ETH", "KRW-XRP")


def feed(**given):
    return SyntheticProvider(
        given.pop("symbols", SYMBOLS), given.pop("seed", 7), start_at=START, **given
    )


def take(provider, symbol, count):
    return [provider.get_latest_snapshot(symbol) for _ in range(count)]


def test_a_symbols_books_do_not_depend_on_what_else_is_asked_for():
    """The same seed gives the same books in whatever order and company symbols are read."""
    alone = {symbol: take(feed(symbols=[symbol]), symbol, 50) for symbol in SYMBOLS}
    order = [symbol for symbol in SYMBOLS for _ in range(50)]
    random.Random(1).shuffle(order)
    provider, mixed = feed(), {symbol: [] for symbol in SYMBOLS}
    for symbol in order:
        mixed[symbol].append(provider.get_latest_snapshot(symbol))
    assert mixed == alone
    assert alone["KRW-BTC"] != take(feed(seed=8), "KRW-BTC", 50)


def test_the_feed_is_the_same_on_every_platform_and_release():
    """A recorded run can be repeated years later: these figures never change."""
    book = take(feed(start_prices={"KRW-BTC": "90000000"}), "KRW-BTC", 3)[-1].book
    assert (book.bid, book.ask, book.bid_size, book.ask_size) == tuple(
        map(Decimal, ("89982000", "89991000", "6.5", "4.42"))
    )


def test_books_are_exact_and_make_a_market():
    start = Decimal("187.43")
    provider = feed(start_prices={"KRW-ETH": start})
    for number, snapshot in enumerate(take(provider, "KRW-ETH", 500)):
        book = snapshot.book
        assert not book.is_crossed
        assert not book.is_empty
        assert book.bid % (start * Decimal("0.0001")) == 0
        assert book.occurred_at == snapshot.occurred_at == START + number * timedelta(seconds=1)
        assert (book.symbol, snapshot.symbol, book.venue) == ("KRW-ETH", "KRW-ETH", "synthetic")


def test_the_walk_never_comes_near_zero():
    """At a tenth of the start price it turns back."""
    provider = feed(start_prices={"KRW-XRP": 1})
    provider._walks["KRW-XRP"].ticks = 1003
    bids = [snapshot.book.bid for snapshot in take(provider, "KRW-XRP", 1000)]
    assert min(bids) == Decimal("0.1")


def test_a_restarted_feed_goes_on_where_it_stood():
    whole = take(feed(), "KRW-BTC", 20)
    first, second = feed(), feed()
    take(first, "KRW-BTC", 12)
    second.skip("KRW-BTC", first.position("KRW-BTC"))
    assert take(second, "KRW-BTC", 8) == whole[12:]
    assert (second.position("KRW-BTC"), second.position("KRW-ETH")) == (20, 0)


def test_a_finite_feed_ends_for_each_symbol_by_itself():
    provider = feed(count=2)
    assert [snapshot is None for snapshot in take(provider, "KRW-BTC", 4)] == [
        False,
        False,
        True,
        True,
    ]
    assert provider.get_latest_snapshot("KRW-ETH") is not None


async def test_an_unknown_symbol_has_no_snapshot_and_no_position():
    provider = feed()
    assert provider.get_latest_snapshot("AAPL") is None
    assert await provider.aget_latest_snapshot("AAPL") is None
    with pytest.raises(NotFound, match="AAPL"):
        provider.skip("AAPL", 1)
    with pytest.raises(NotFound, match="AAPL"):
        provider.position("AAPL")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"start_prices": {"KRW-BTC": "0"}}, InvalidInput),
        ({"start_prices": {"KRW-BTC": "NaN"}}, InvalidAmount),
        ({"start_prices": {"AAPL": "1"}}, InvalidInput),
        ({"deviation_ticks": -1}, InvalidInput),
        ({"deviation_ticks": 501}, InvalidInput),
    ],
)
def test_a_feed_that_cannot_be_is_refused(given, error):
    with pytest.raises(error):
        feed(**given)


def venue(name, **given):
    given.setdefault("start_prices", dict.fromkeys(SYMBOLS, 1000))
    return feed(venue=name, **given)


def pair(a, b, *, max_skew=timedelta(0)):
    names = {"BTC": {"a": "KRW-BTC", "b": "KRW-BTC"}, "MIX": {"b": "KRW-ETH", "a": "KRW-XRP"}}
    return PairProvider({"a": a, "b": b}, names, max_skew=max_skew)


def test_two_venues_of_one_seed_follow_one_walk():
    """Their prices part by what was allowed and no more, and the better side changes."""
    provider = pair(venue("a", deviation_ticks=20), venue("b", deviation_ticks=20))
    gaps = set()
    for snapshot in take(provider, "BTC", 300):
        a, b = snapshot.books
        gaps.add((a.bid - b.bid) / Decimal("0.1"))
    assert max(map(abs, gaps)) <= 40
    assert min(gaps) < 0 < max(gaps)


async def test_a_pair_has_one_book_of_each_venue_in_the_configured_order():
    """Sync and async forms answer alike, and each venue is asked by its own name."""
    sync = pair(venue("a"), venue("b")).get_latest_snapshot("MIX")
    assert sync == await pair(venue("a"), venue("b")).aget_latest_snapshot("MIX")
    assert [(book.venue, book.symbol) for book in sync.books] == [
        ("a", "KRW-XRP"),
        ("b", "KRW-ETH"),
    ]
    assert (sync.symbol, sync.occurred_at) == ("MIX", START)


async def test_a_pair_without_one_of_its_books_is_no_market():
    for a, b in ((venue("a", count=0), venue("b")), (venue("a"), venue("b", count=0))):
        provider = pair(a, b)
        assert provider.get_latest_snapshot("BTC") is None
        assert await provider.aget_latest_snapshot("BTC") is None
        assert provider.get_latest_snapshot("ETH") is None
        assert await provider.aget_latest_snapshot("ETH") is None


def test_books_of_different_moments_are_no_market():
    """At a skew of exactly max_skew the pair still stands; beyond it there is none."""
    late = venue("b")
    late.skip("KRW-BTC", 3)
    provider = pair(venue("a"), late, max_skew=timedelta(seconds=3))
    snapshot = provider.get_latest_snapshot("BTC")
    assert snapshot.occurred_at == START + timedelta(seconds=3)
    late.skip("KRW-BTC", 1)
    assert provider.get_latest_snapshot("BTC") is None


def test_a_provider_of_another_venue_is_refused_before_it_is_traded():
    with pytest.raises(InvalidInput, match="'b' hands out books of 'x'"):
        pair(venue("a"), venue("x")).get_latest_snapshot("BTC")


def test_a_split_at_one_venue_reaches_the_pair():
    class Splitting(SyntheticProvider):
        def get_latest_snapshot(self, symbol):
            return msgspec.structs.replace(super().get_latest_snapshot(symbol), split="7/1")

    splitting = Splitting(SYMBOLS, 7, start_at=START, venue="b")
    assert pair(venue("a"), splitting).get_latest_snapshot("BTC").split == "7/1"


def test_a_pair_is_of_two_venues_that_each_symbol_names():
    with pytest.raises(InvalidInput, match="not two venues"):
        PairProvider({"a": venue("a")}, {}, max_skew=timedelta(0))
    with pytest.raises(InvalidInput, match="'BTC' names the venues"):
        PairProvider({"a": venue("a"), "b": venue("b")}, {"BTC": {"a": "X"}}, max_skew=timedelta(0))


class Recorder:
    """A provider that writes down how it is started and stopped, and can fail at either."""

    def __init__(self, log, name, failing=""):
        self.log, self.name, self.failing = log, name, failing

    def _do(self, verb):
        self.log.append(f"{verb} {self.name}")
        if verb == self.failing:
            raise ConnectionError(f"{verb} {self.name}")

    def start(self):
        self._do("start")

    def stop(self):
        self._do("stop")

    async def astart(self):
        self._do("start")

    async def astop(self):
        self._do("stop")


@pytest.mark.parametrize("form", ["sync", "async"])
async def test_a_pair_starts_and_stops_both_venues_or_neither(form):
    async def run(provider, verb):
        if form == "sync":
            getattr(provider, verb)()
        else:
            await getattr(provider, f"a{verb}")()

    log = []
    provider = pair(Recorder(log, "a"), Recorder(log, "b"))
    await run(provider, "start")
    await run(provider, "stop")
    assert log == ["start a", "start b", "stop b", "stop a"]

    log.clear()
    with pytest.raises(ConnectionError, match="start b"):
        await run(pair(Recorder(log, "a"), Recorder(log, "b", "start")), "start")
    assert log == ["start a", "start b", "stop b", "stop a"]

    log.clear()
    with pytest.raises(ConnectionError, match="stop b"):
        await run(pair(Recorder(log, "a"), Recorder(log, "b", "stop")), "stop")
    assert log == ["stop b", "stop a"]
