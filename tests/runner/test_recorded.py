"""Recorded prices: what ships, what a user may bring, and how they are played back."""

from __future__ import annotations

import asyncio
import gzip
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from ledger.errors import InvalidInput, NotFound
from runner.market import MarketDataProvider, Snapshot
from runner.recorded import RecordedProvider, shipped_prices


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def played(provider: RecordedProvider) -> list[Snapshot]:
    return [snapshot for _, snapshots in provider.steps() for snapshot in snapshots]


@pytest.fixture(scope="module")
def shipped() -> list[Snapshot]:
    return played(RecordedProvider(shipped_prices()))


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str | bytes, name: str = "prices.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


TWO = "date,symbol,close\n2020-01-01,B,20\n2020-01-01,A,10\n2020-01-02,A,11\n2020-01-03,B,21\n"


# What ships


def test_five_symbols_ship_with_all_their_rows(shipped):
    assert Counter(s.symbol for s in shipped) == {
        "AAPL": 3270,
        "FB": 196,
        "GOOG": 2148,
        "IBM": 3270,
        "MSFT": 3270,
    }
    assert len(shipped) == 12_154


def test_shipped_prices_reach_from_march_2000_to_march_2013(shipped):
    first: dict[str, datetime] = {}
    last: dict[str, datetime] = {}
    for snapshot in shipped:
        first.setdefault(snapshot.symbol, snapshot.occurred_at)
        last[snapshot.symbol] = snapshot.occurred_at
    assert first == {
        "AAPL": day("2000-03-01"),
        "FB": day("2012-05-18"),
        "GOOG": day("2004-08-19"),
        "IBM": day("2000-03-01"),
        "MSFT": day("2000-03-01"),
    }
    assert set(last.values()) == {day("2013-03-01")}


def test_exactly_three_real_splits_ship(shipped):
    splits = [(s.symbol, s.occurred_at, s.split) for s in shipped if s.split is not None]
    assert splits == [
        ("AAPL", day("2000-06-21"), "2/1"),
        ("MSFT", day("2003-02-18"), "2/1"),
        ("AAPL", day("2005-02-28"), "2/1"),
    ]


def test_a_halved_price_without_a_split_is_none(shipped):
    """AAPL lost half its value on 2000-09-29; nobody got a second share for it."""
    apple = {s.occurred_at: s for s in shipped if s.symbol == "AAPL"}
    before, after = apple[day("2000-09-28")], apple[day("2000-09-29")]
    assert (before.book.last, after.book.last) == (Decimal("53.5"), Decimal("25.75"))
    assert after.split is None


def test_every_shipped_book_stands_closely_around_its_close(shipped):
    for snapshot in shipped:
        book = snapshot.book
        assert book.last is not None
        assert not book.is_crossed
        assert not book.is_empty
        assert book.bid < book.last < book.ask
        assert book.ask - book.bid <= book.last * Decimal("0.0002") + Decimal("0.02")
        assert book.bid % Decimal("0.01") == book.ask % Decimal("0.01") == 0


def test_shipped_file_is_small_and_says_where_it_comes_from():
    path = shipped_prices()
    assert path.stat().st_size < 400_000
    assert "public domain" in (path.parent / "ORIGIN.md").read_text()


# The book around a price


def test_bid_and_ask_are_rounded_away_from_the_price_to_the_tick(write):
    provider = RecordedProvider(write("date,close\n2020-01-01,90.81\n"), "X")
    [snapshot] = played(provider)
    assert (str(snapshot.book.bid), str(snapshot.book.ask)) == ("90.80", "90.82")
    assert (snapshot.book.last, snapshot.book.bid_size) == (Decimal("90.81"), None)


def test_a_price_far_below_the_tick_still_has_a_bid_above_zero(write):
    [snapshot] = played(RecordedProvider(write("date,close\n2020-01-01,0.0000012\n"), "X"))
    assert snapshot.book.bid == Decimal("0.00000119988")
    assert snapshot.book.ask == Decimal("0.00000120012")


def test_half_spread_tick_and_venue_are_the_callers(write):
    path = write("date,close\n2020-01-01,1000\n")
    provider = RecordedProvider(path, "X", half_spread_bps="10", tick=5, venue="krx")
    [snapshot] = played(provider)
    assert (snapshot.book.bid, snapshot.book.ask) == (995, 1005)
    assert snapshot.book.venue == "krx"


@pytest.mark.parametrize(
    ("argument", "value"),
    [("half_spread_bps", 0), ("half_spread_bps", 10_000), ("half_spread_bps", "x"), ("tick", 0)],
)
def test_a_spread_that_makes_no_market_is_refused(write, argument, value):
    with pytest.raises(InvalidInput, match=argument):
        RecordedProvider(write(TWO), **{argument: value})


# A user's own prices


def test_quotes_are_taken_as_they_are(write):
    path = write(
        "Timestamp,Ticker,BID,Ask,bid_size,ask_size,Last\n"
        "2020-01-01T09:00:00.5+09:00,KRW-BTC,100.10,100.20,3,0.50,\n"
        "2020-01-01T00:00:01,KRW-BTC,100.3,100.2,,0,100.25\n"
    )
    first, second = (s.book for s in played(RecordedProvider(path)))
    assert first.occurred_at == datetime(2020, 1, 1, 0, 0, 0, 500_000, UTC)
    assert (str(first.bid), str(first.ask)) == ("100.10", "100.20")
    assert (first.bid_size, first.ask_size, first.last) == (3, Decimal("0.50"), None)
    assert second.is_crossed
    assert second.is_empty
    assert (second.bid_size, second.ask_size, second.last) == (None, 0, Decimal("100.25"))


@pytest.mark.parametrize("when", ["date", "Time", "TIMESTAMP", " datetime "])
@pytest.mark.parametrize("price", ["Close", "price", "LAST"])
def test_names_of_columns_are_flexible(write, when, price):
    path = write(f"{when},Open,{price},Adj Close\n2020-01-01,1,2.50,3\n", "KRW-BTC.csv")
    [snapshot] = played(RecordedProvider(path))
    assert (snapshot.symbol, str(snapshot.book.last)) == ("KRW-BTC", "2.50")


def test_without_a_symbol_column_the_name_of_the_file_is_the_symbol(write):
    text = gzip.compress(b"date,close\n2020-01-01,7\n")
    assert RecordedProvider(write(text, "BRK.B.csv.gz")).symbols == ("BRK.B",)
    assert RecordedProvider(write(text, "BRK.B.csv.gz"), ["X"]).symbols == ("X",)


def test_a_day_is_read_as_its_midnight_in_utc_and_a_time_of_any_zone_as_utc():
    moments = [
        "2020-01-01",
        date(2020, 1, 2),
        "2020-01-03T01:00:00+01:00",
        datetime(2020, 1, 4, 9, tzinfo=timezone(timedelta(hours=9))),
        "1578182400000",
        1578268800000,
    ]
    rows = [{"time": moment, "price": 5} for moment in moments]
    provider = RecordedProvider(rows, "X")
    assert [m.isoformat() for m in provider.instants] == [
        f"2020-01-0{n}T00:00:00+00:00" for n in range(1, 7)
    ]


def test_a_float_of_a_row_is_read_by_its_shortest_repr():
    [snapshot] = played(RecordedProvider([{"date": "2020-01-01", "close": 0.1}], "X"))
    assert snapshot.book.last == Decimal("0.1")


def test_a_byte_order_mark_and_blank_lines_are_no_trouble(write):
    assert RecordedProvider(write("\ufeff" + TWO.replace("\n", "\r\n\r\n"))).symbols == ("A", "B")


def test_parquet_holds_the_same_prices_as_csv(write, tmp_path):
    pl = pytest.importorskip("polars", reason="reading Parquet needs the extra analysis")
    text = write(TWO)
    frame = pl.read_csv(text, try_parse_dates=True)
    frame.write_parquet(tmp_path / "prices.parquet")
    assert played(RecordedProvider(tmp_path / "prices.parquet")) == played(RecordedProvider(text))


def test_parquet_without_polars_names_the_extra(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(InvalidInput) as caught:
        RecordedProvider(write(b"PAR1", "prices.parquet"))
    assert "portfolio-ledger[analysis]" in caught.value.hint


def test_rows_of_other_symbols_are_not_checked(write):
    assert RecordedProvider(write(TWO + "2020-01-04,C,bad\n"), ["B", "A"]).symbols == ("B", "A")


def test_where_no_symbol_is_named_all_are_played(write):
    assert [s.symbol for s in played(RecordedProvider(write(TWO), []))] == ["A", "B", "A", "B"]


# What is refused, and how it is said


HEAD = "date,symbol,close"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "prices.csv is empty"),
        (f"{HEAD}\n", "prices.csv has no prices"),
        ("symbol,close\nA,1\n", "no column date or time"),
        ("date,symbol\n2020-01-01,A\n", "no column close, price or last, nor bid and ask"),
        ("date,symbol,bid\n2020-01-01,A,1\n", "no column ask"),
        ("date,time,close\n2020-01-01,09:00,1\n", "columns date and time both give the time"),
        (f"{HEAD}\n2020-01-01,A\n", "line 2: 2 values, but the header names 3 columns"),
        (f"{HEAD}\n2020-01-01,A,1\n2020-01-02,A,1o\n", "line 3, column close: '1o' is not a dec"),
        (f"{HEAD}\n2020-01-01,A,nan\n", "line 2, column close: 'nan' is not a decimal number"),
        (f"{HEAD}\n2020-01-01,A,inf\n", "line 2, column close: 'inf' is not a decimal number"),
        (f"{HEAD}\n2020-01-01,A,-1\n", "line 2, column close: '-1' is not above zero"),
        (f"{HEAD}\n2020-01-01,A,0.0\n", "line 2, column close: '0.0' is not above zero"),
        (f"{HEAD}\n2020-01-01,A, \n", "line 2, column close: the price is missing"),
        (f"{HEAD}\n2020-01-01,,1\n", "line 2, column symbol: '' is not a symbol"),
        (f"{HEAD}\n2020-13-01,A,1\n", "line 2, column date: '2020-13-01' is not a time"),
        (f"{HEAD}\n,A,1\n", "line 2, column date: None is not a time"),
        (f"{HEAD}\n2020-01-02,A,1\n2020-01-01,A,1\n", "line 3, column date: A at 2020-01-01 00"),
        (f"{HEAD}\n2020-01-01,A,1\n2020-01-01,A,2\n", "line 3, column date: A has a second row"),
        (f"{HEAD},split\n2020-01-01,A,1,2:1\n", "line 2, column split: '2:1' is not a ratio"),
        (f'{HEAD}\n2020-01-01,A,"1\n', "line 2: "),
        (
            "date,symbol,bid,ask,ask_size\n2020-01-01,A,1,2,-3\n",
            "line 2, column ask_size: '-3' is below zero",
        ),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_place_value_and_rule(write, text, said):
    path = write(text)
    with pytest.raises(InvalidInput) as caught:
        RecordedProvider(path)
    assert said in caught.value.message
    assert caught.value.message.startswith(str(path))


def test_a_price_that_is_nan_in_memory_is_refused():
    with pytest.raises(InvalidInput, match="row 1, column close: nan is not a finite number"):
        RecordedProvider([{"date": "2020-01-01", "close": float("nan")}], "X")


def test_bytes_that_are_no_text_are_refused_with_their_line(write):
    with pytest.raises(InvalidInput, match="line 3: byte 0xff is not UTF-8 text"):
        RecordedProvider(write(b"date,close\n2020-01-01,1\n2020-01-02,\xff\n"))


@pytest.mark.parametrize(
    ("name", "rule"),
    [("a.csv.gz", "not a whole gzip file"), ("a.parquet", "not a readable Parquet file")],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(write, name, rule):
    with pytest.raises(InvalidInput, match=rule):
        RecordedProvider(write(TWO, name))


def test_a_gzip_file_that_is_cut_off_is_refused(write):
    whole = gzip.compress(TWO.encode())
    with pytest.raises(InvalidInput, match="not a whole gzip file"):
        RecordedProvider(write(whole[:-12], "a.csv.gz"))


@pytest.mark.parametrize("name", ["missing.csv", "missing.csv.gz", "missing.parquet", "."])
def test_a_file_that_cannot_be_read_is_a_wrong_value(tmp_path, name):
    with pytest.raises(InvalidInput, match="cannot be read") as caught:
        RecordedProvider(tmp_path / name)
    assert caught.value.exit_code == 2


def test_an_unknown_symbol_is_answered_with_those_there_are(write):
    with pytest.raises(NotFound, match=r"no prices of C, D") as caught:
        RecordedProvider(write(TWO), ["A", "C", "D"])
    assert caught.value.hint == "it has A, B"


def test_several_symbols_asked_of_a_table_without_symbols_are_refused(write):
    path = write("date,close\n2020-01-01,7\n")
    with pytest.raises(InvalidInput, match="no column symbol or ticker"):
        RecordedProvider(path, ["A", "B"])


# Playback


def test_time_moves_by_steps_alone_over_the_instants_of_all_symbols(write):
    provider = RecordedProvider(write(TWO))
    assert provider.now is None
    assert provider.get_latest_snapshot("A") is None
    assert [provider.advance() for _ in range(4)] == [
        day("2020-01-01"),
        day("2020-01-02"),
        day("2020-01-03"),
        None,
    ]
    assert provider.now == day("2020-01-03")


def test_the_latest_snapshot_stays_until_a_later_one_is_there(write):
    provider = RecordedProvider(write(TWO))
    lasts = []
    while provider.advance() is not None:
        lasts.append(tuple(provider.get_latest_snapshot(s).book.last for s in provider.symbols))
    assert lasts == [(10, 20), (11, 20), (11, 21)]


def test_steps_hand_out_every_snapshot_once_in_the_order_of_the_symbols(write):
    steps = list(RecordedProvider(write(TWO), ["B", "A"]).steps())
    assert [(instant.day, [s.symbol for s in snapshots]) for instant, snapshots in steps] == [
        (1, ["B", "A"]),
        (2, ["A"]),
        (3, ["B"]),
    ]


def test_an_unknown_symbol_or_one_not_yet_listed_has_no_snapshot(write):
    provider = RecordedProvider(write("date,symbol,close\n2020-01-01,A,1\n2020-01-02,B,2\n"))
    provider.advance()
    assert provider.get_latest_snapshot("NOPE") is None
    assert provider.get_latest_snapshot("B") is None


@pytest.mark.parametrize(
    ("after", "next_days", "last_of_b"),
    [
        ("2019-12-31T00:00:00+00:00", [1, 2, 3], None),
        ("2020-01-01T00:00:00+00:00", [2, 3], 20),
        ("2020-01-02T12:00:00+09:00", [3], 20),
        ("2020-01-03T00:00:00+00:00", [], 21),
    ],
)
def test_a_resumed_session_goes_on_after_the_moment_it_came_to(write, after, next_days, last_of_b):
    provider = RecordedProvider(write(TWO))
    provider.advance()
    provider.seek(datetime.fromisoformat(after))
    latest = provider.get_latest_snapshot("B")
    assert (latest and latest.book.last) == last_of_b
    assert [instant.day for instant, _ in provider.steps()] == next_days


def test_seeking_a_moment_without_a_zone_is_refused(write):
    with pytest.raises(InvalidInput, match="no time zone"):
        RecordedProvider(write(TWO)).seek(datetime.fromisoformat("2020-01-01"))


def test_sync_and_async_forms_answer_alike_and_starting_moves_nothing(write):
    provider: MarketDataProvider = RecordedProvider(write(TWO))

    async def through() -> Snapshot | None:
        await provider.astart()
        await provider.astart()
        snapshot = await provider.aget_latest_snapshot("A")
        await provider.astop()
        return snapshot

    provider.start()
    assert asyncio.run(through()) is None
    provider.advance()
    provider.stop()
    assert asyncio.run(through()) == provider.get_latest_snapshot("A")
    assert provider.get_latest_snapshot("A") is not None
