"""What each venue says on its WebSocket, and the books that come of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest

from ledger.amounts import plain
from ledger.errors import InvalidInput
from runner.dialects import BadMessage, BinanceDialect, Dialect, NeutralDialect, UpbitDialect

NOW = datetime(2026, 11, 20, 14, 32, 5, tzinfo=UTC)

NEUTRAL_BOOK = b"""{"type":"book","symbol":"KRW-BTC","bid":"90000000","bid_size":"0.5",
    "ask":"90001000.10","ask_size":"1.25","last":"90000500",
    "time":"2026-11-20T14:32:04.123456Z","sequence":7}"""
BINANCE_TICKER = b"""{"stream":"bnbusdt@bookTicker","data":{"u":400900217,"s":"BNBUSDT",
    "b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}}"""
BINANCE_DEPTH = b"""{"stream":"bnbbtc@depth5@100ms","data":{"lastUpdateId":160,
    "bids":[["0.0024","10"],["0.0023","5"]],"asks":[["0.0026","100"],["0.0027","7"]]}}"""
UPBIT_BOOK = b"""{"type":"orderbook","code":"KRW-BTC","timestamp":1763649124123,
    "total_ask_size":4.79158413,"total_bid_size":2.65609625,"orderbook_units":[
    {"ask_price":137002000.0,"bid_price":137001000.0,"ask_size":0.10671123,"bid_size":1.0E-8},
    {"ask_price":137023000.0,"bid_price":137000000.0,"ask_size":0.06144079,"bid_size":0.35}],
    "stream_type":"SNAPSHOT","level":0}"""


def only(dialect: Dialect, message: str | bytes):
    (sequenced,) = dialect.books(message, NOW)
    return sequenced


def test_the_neutral_dialect_reads_every_field_of_a_book():
    read = only(NeutralDialect(venue="demo"), NEUTRAL_BOOK)
    assert read.sequence == 7
    assert (read.book.venue, read.book.symbol) == ("demo", "KRW-BTC")
    assert (read.book.bid, read.book.bid_size) == (Decimal(90000000), Decimal("0.5"))
    assert (read.book.ask, read.book.ask_size) == (Decimal("90001000.10"), Decimal("1.25"))
    assert read.book.last == Decimal(90000500)
    assert read.book.occurred_at == datetime(2026, 11, 20, 14, 32, 4, 123456, tzinfo=UTC)


def test_the_neutral_dialect_takes_a_time_in_milliseconds_and_orders_by_it():
    """Without a sequence number the time orders the books."""
    shape = '{"type":"book","symbol":"X","bid":1,"ask":2,"time":%d}'
    earlier, later = (only(NeutralDialect(), shape % ms) for ms in (1763649124123, 1763649124124))
    assert earlier.book.occurred_at == datetime(2025, 11, 20, 14, 32, 4, 123000, tzinfo=UTC)
    assert earlier.sequence < later.sequence


def test_the_neutral_dialect_brings_every_time_to_utc():
    message = '{"type":"book","symbol":"X","bid":1,"ask":2,"time":"2026-11-20T23:32:05+09:00"}'
    occurred_at = only(NeutralDialect(), message).book.occurred_at
    assert occurred_at == NOW
    assert occurred_at.tzinfo in (UTC, timezone(timedelta()))


def test_a_neutral_book_without_time_has_the_time_of_its_receipt_and_no_order():
    read = only(NeutralDialect(), '{"type":"book","symbol":"X","bid":"1","ask":"2"}')
    assert (read.book.occurred_at, read.sequence) == (NOW, None)


@pytest.mark.parametrize("number", ["0.12345678901234567890123456789012345", "1.0E-8", "137000.10"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_a_number_is_read_exactly_as_written(number, quote):
    """Neither as a JSON number nor as a string does a price pass through a float."""
    message = f'{{"type":"book","symbol":"X","bid":{quote}{number}{quote},"ask":200000}}'
    bid = only(NeutralDialect(), message).book.bid
    assert bid == Decimal(number)
    assert plain(bid) == plain(Decimal(number))


def test_binance_ticker_has_the_time_of_its_receipt_and_the_update_id():
    read = only(BinanceDialect(), BINANCE_TICKER)
    assert read.sequence == 400900217
    assert (read.book.venue, read.book.symbol) == ("binance", "BNBUSDT")
    assert (read.book.bid, read.book.ask) == (Decimal("25.3519"), Decimal("25.3652"))
    assert (read.book.bid_size, read.book.ask_size) == (Decimal("31.21"), Decimal("40.66"))
    assert read.book.occurred_at == NOW


def test_binance_event_time_counts_where_it_is_stated():
    message = b'{"e":"bookTicker","u":5,"E":1568014460893,"s":"BNBUSDT","b":"1","a":"2"}'
    expected = datetime(2019, 9, 9, 7, 34, 20, 893000, tzinfo=UTC)
    assert only(BinanceDialect(), message).book.occurred_at == expected


def test_binance_partial_depth_takes_its_symbol_from_the_stream():
    read = only(BinanceDialect(stream="depth5@100ms"), BINANCE_DEPTH)
    assert (read.book.symbol, read.sequence) == ("BNBBTC", 160)
    assert (read.book.bid, read.book.bid_size) == (Decimal("0.0024"), Decimal(10))
    assert (read.book.ask, read.book.ask_size) == (Decimal("0.0026"), Decimal(100))


def test_binance_partial_depth_without_a_stream_has_no_symbol_and_is_refused():
    bare = b'{"lastUpdateId":160,"bids":[["1","1"]],"asks":[["2","1"]]}'
    with pytest.raises(BadMessage, match="/stream"):
        BinanceDialect().books(bare, NOW)


def test_binance_message_of_one_symbol_in_the_stream_of_another_is_refused():
    message = BINANCE_TICKER.replace(b"bnbusdt@", b"btcusdt@")
    with pytest.raises(BadMessage, match="BNBUSDT, in the stream of BTCUSDT"):
        BinanceDialect().books(message, NOW)


def test_upbit_book_is_the_first_unit_with_its_numbers_as_written():
    read = only(UpbitDialect(), UPBIT_BOOK)
    assert (read.book.venue, read.book.symbol) == ("upbit", "KRW-BTC")
    assert (read.book.bid, read.book.ask) == (Decimal(137001000), Decimal(137002000))
    assert (read.book.bid_size, read.book.ask_size) == (Decimal("1E-8"), Decimal("0.10671123"))
    assert read.book.occurred_at == datetime(2025, 11, 20, 14, 32, 4, 123000, tzinfo=UTC)
    assert read.sequence == 1763649124123


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        (BinanceDialect(), '{"stream":"x@depth5","data":{"lastUpdateId":1,"bids":[],"asks":[]}}'),
        (UpbitDialect(), '{"type":"orderbook","code":"X","timestamp":1,"orderbook_units":[]}'),
    ],
)
def test_a_side_on_which_nothing_is_on_offer_makes_an_empty_book(dialect, message):
    """The book before it must not live on as if it were still there."""
    assert only(dialect, message).book.is_empty


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        (NeutralDialect(), '{"type":"subscribed","symbols":["X"]}'),
        (NeutralDialect(), '{"type":"heartbeat"}'),
        (BinanceDialect(), '{"result":null,"id":1}'),
        (BinanceDialect(), '{"e":"serverShutdown","E":1763649124123}'),
        (UpbitDialect(), '{"status":"UP"}'),
    ],
)
def test_acknowledgements_and_heartbeats_bring_no_books(dialect, message):
    assert dialect.books(message, NOW) == []


@pytest.mark.parametrize(
    ("dialect", "message"),
    [
        (NeutralDialect(), '{"type":"error","message":"no such market"}'),
        (BinanceDialect(), '{"error":{"code":2,"msg":"no such market"},"id":1}'),
        (BinanceDialect(), '{"code":2,"msg":"no such market","id":1}'),
        (UpbitDialect(), '{"error":{"name":"INVALID_PARAM","message":"no such market"}}'),
    ],
)
def test_a_refusal_is_reported_in_the_words_of_the_venue(dialect, message):
    with pytest.raises(BadMessage, match=r"is a refusal: .*no such market"):
        dialect.books(message, NOW)


GOOD = [
    (NeutralDialect(), NEUTRAL_BOOK),
    (BinanceDialect(), BINANCE_TICKER),
    (BinanceDialect(), BINANCE_DEPTH),
    (UpbitDialect(), UPBIT_BOOK),
]


@pytest.mark.parametrize(("dialect", "message"), GOOD)
def test_a_message_cut_anywhere_is_refused(dialect, message):
    for end in range(len(message) - 1):
        with pytest.raises(BadMessage):
            dialect.books(message[:end], NOW)


@pytest.mark.parametrize(("dialect", "message"), GOOD)
def test_a_garbled_byte_is_refused_or_stays_a_book(dialect, message):
    """Whatever byte is flipped, the answer is books or BadMessage, never another error."""
    read_count = 0
    for place in range(len(message)):
        for flip in (0x01, 0x80, 0xFF):
            garbled = bytearray(message)
            garbled[place] ^= flip
            try:
                read_count += len(dialect.books(bytes(garbled), NOW))
            except BadMessage:
                continue
    assert read_count < 3 * len(message)


@pytest.mark.parametrize(
    "message",
    [
        "",
        "[]",
        "{}",
        '{"type":"trade"}',
        '{"type":"book","symbol":"X","bid":"1"}',
        '{"type":"book","symbol":"X","bid":"NaN","ask":"2"}',
        '{"type":"book","symbol":"X","bid":"-1","ask":"2"}',
        '{"type":"book","symbol":"X","bid":"1","bid_size":"-1","ask":"2"}',
        '{"type":"book","symbol":"X","bid":1e99999999,"ask":"2"}',
        '{"type":"book","symbol":"X","bid":"1","ask":"2","time":"2026-11-20T14:32:05"}',
        '{"type":"book","symbol":"X","bid":"1","ask":"2","time":9000000000000000000}',
        '{"type":"heartbeat","x":' + "[" * 100_000,
    ],
)
def test_what_is_no_book_is_refused(message):
    with pytest.raises(BadMessage):
        NeutralDialect().books(message, NOW)


def test_upbit_message_of_another_type_is_refused():
    with pytest.raises(BadMessage, match="is no book"):
        UpbitDialect().books(UPBIT_BOOK.replace(b'"orderbook"', b'"ticker"'), NOW)


@pytest.mark.parametrize("dialect", [NeutralDialect(), BinanceDialect(), UpbitDialect()])
def test_another_venues_book_is_refused(dialect):
    own = {NeutralDialect: [NEUTRAL_BOOK], BinanceDialect: [BINANCE_TICKER, BINANCE_DEPTH]}
    own_messages = own.get(type(dialect), [UPBIT_BOOK])
    for _, message in GOOD:
        if message not in own_messages:
            with pytest.raises(BadMessage):
                dialect.books(message, NOW)


def test_the_neutral_subscription_names_every_symbol():
    (message,) = NeutralDialect().subscribe_messages(["A", "B"])
    assert msgspec.json.decode(message) == {"op": "subscribe", "symbols": ["A", "B"]}


def test_the_upbit_subscription_is_one_request_for_all_codes():
    (message,) = UpbitDialect(ticket="t-1").subscribe_messages(["KRW-BTC", "KRW-ETH"])
    assert msgspec.json.decode(message) == [
        {"ticket": "t-1"},
        {"type": "orderbook", "codes": ["KRW-BTC", "KRW-ETH"]},
        {"format": "DEFAULT"},
    ]


def test_the_binance_subscription_keeps_to_the_limits_of_one_connection():
    """At most 1,024 streams, in fewer than the five messages a second that are allowed."""
    symbols = [f"S{number}USDT" for number in range(1024)]
    messages = [msgspec.json.decode(m) for m in BinanceDialect().subscribe_messages(symbols)]
    assert len(messages) < 5
    assert {message["method"] for message in messages} == {"SUBSCRIBE"}
    assert len({message["id"] for message in messages}) == len(messages)
    asked = [stream for message in messages for stream in message["params"]]
    assert asked == [f"{symbol.lower()}@bookTicker" for symbol in symbols]
    with pytest.raises(InvalidInput, match="1025 is more than 1024"):
        BinanceDialect().subscribe_messages([*symbols, "ONEUSDT"])


@pytest.mark.parametrize("dialect", [BinanceDialect(), UpbitDialect()])
def test_a_symbol_that_would_come_back_under_another_spelling_is_refused(dialect):
    with pytest.raises(InvalidInput, match="upper case"):
        dialect.subscribe_messages(["btcusdt"])
