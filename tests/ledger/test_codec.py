"""Events as bytes and as lines: what survives, and how each thing that is no event is named."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger import (
    CashDeposited,
    Event,
    EventReversed,
    InvalidAmount,
    InvalidEvent,
    InvalidInput,
    OrderAccepted,
    OrderPlaced,
    PriceMarked,
    Recorded,
    SchemaTooNew,
)
from ledger.codec import (
    MAX_EVENT_BYTES,
    MAX_LINE_BYTES,
    decode_events,
    encode_events,
    event_from_line,
    fingerprint,
    line_from_recorded,
)

FORTY = "1234567890123456789012.345678901234567891"


def marked(price: object, symbol: str = "AAPL") -> PriceMarked:
    return PriceMarked(symbol=symbol, price=price)


def line(price: str, **around: object) -> str:
    """A line whose price is exactly these characters."""
    rest = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in around.items())
    return f'{{"type":"PriceMarked","symbol":"AAPL","data":{{"price":{price}}}{rest}}}'


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (FORTY, FORTY),
        ("187.40", "187.40"),
        ("1E-18", "0.000000000000000001"),
        ("0.0000001", "0.0000001"),
        ("0E-10", "0.0000000000"),
        ("1E+3", "1000"),
        (0.1, "0.1"),
    ],
)
def test_amounts_are_stored_in_full_and_come_back(given: object, stored: str) -> None:
    payload = encode_events([marked(given)])
    assert json.loads(payload)[0]["price"] == stored
    (event,) = decode_events(payload)
    assert event == marked(given)
    assert str(event.price) == str(Decimal(stored))


def test_ids_that_look_like_exponents_survive() -> None:
    """Amounts are written without exponents by what they are, not by what they look like."""
    events: list[Event] = [
        OrderPlaced(symbol="1E-8", order_id="1E-8", side="buy", quantity="1E-8", venue="2e5"),
        OrderAccepted(symbol="1E-8", order_id="1E-8", venue_order_id="1E+400", cause="1E-8"),
        CashDeposited(currency="1E8", amount=1, reason='costs "1E-8"'),
        EventReversed(seq=1, reason="1E-8", undo={"1E-8": ["1E-8", None]}),
    ]
    payload = encode_events(events)
    assert decode_events(payload) == events
    assert json.loads(payload)[0] == {
        "type": "OrderPlaced",
        "symbol": "1E-8",
        "order_id": "1E-8",
        "side": "buy",
        "quantity": "0.00000001",
        "venue": "2e5",
    }


def test_equal_events_have_the_same_fingerprint_and_others_another() -> None:
    assert fingerprint([marked(1)]) == fingerprint([marked(1)])
    prints = {fingerprint(events) for events in ([marked(1)], [marked(2)], [marked(1)] * 2, [])}
    assert len(prints) == 4
    assert all(len(found) == 16 for found in prints)


def test_an_event_that_is_too_large_is_refused_when_it_is_encoded() -> None:
    huge = EventReversed(seq=1, reason="r", undo={"x": "y" * MAX_EVENT_BYTES})
    with pytest.raises(InvalidEvent, match="EventReversed: the event is larger than 65536 bytes"):
        encode_events([marked(1), huge])
    many = [marked(price) for price in range(1, 2000)]
    assert decode_events(encode_events(many)) == many


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "not the JSON of events"),
        (b"\x00\xff\xfe", "not the JSON of events"),
        (b"[{", "not the JSON of events"),
        (b"[]]", "not the JSON of events"),
        (b"{}", "not a list of events"),
        (b"[1]", "not a list of events"),
        (b"null", "not a list of events"),
        (b"[{}]", "type is missing"),
        (b'[{"type":5}]', "type is missing, or is not a name"),
        (b'[{"type":"PriceMarked/x","symbol":"A","price":"1"}]', "type is missing, or is not"),
        (b'[{"type":"PriceMarked/%s"}]' % (b"1" * 5000), "type is missing, or is not a name"),
        (b'[{"type":"PriceMarked","symbol":"A"}]', "PriceMarked: .*missing required field `price`"),
        (b'[{"type":"PriceMarked","symbol":"A","price":"1","x":1}]', "unknown field `x`"),
        (b'[{"type":"PriceMarked","symbol":"A","price":"one"}]', "PriceMarked: Invalid decimal"),
        (b'[{"type":"PriceMarked","symbol":"A","price":[1]}]', "PriceMarked: Expected `decimal`"),
        (b'[{"type":"PriceMarked","symbol":7,"price":"1"}]', "PriceMarked: Expected `str`"),
        (b'[{"type":"PriceMarked","symbol":"A","price":NaN}]', "not the JSON of events"),
        (b'[{"type":"PriceMarked","symbol":"\xff","price":"1"}]', "not the JSON of events"),
        (b'[{"type":"EventReversed","seq":1,"reason":"r","undo":{"a":%s}}]' % DEEP, "recursion"),
        (b'[{"type":"PositionAdjusted/2","symbol":"A","position_id":"p"}]', "either funding or"),
        (b'[{"type":"PositionAdjusted/0","symbol":"A","position_id":"p"}]', "never had a schema 0"),
    ],
    ids=lambda value: f"{value!r:.50}",
)
def test_bytes_that_are_no_events_are_named(payload: bytes, message: str) -> None:
    with pytest.raises(InvalidEvent, match=message):
        decode_events(payload)


def test_what_a_newer_build_wrote_is_told_apart() -> None:
    with pytest.raises(SchemaTooNew, match="does not know the event type 'DividendPaid'") as caught:
        decode_events(b'[{"type":"DividendPaid","symbol":"A","amount":"1"}]')
    assert caught.value.exit_code == 6
    with pytest.raises(SchemaTooNew, match="PriceMarked has schema 2"):
        decode_events(b'[{"type":"PriceMarked/2","symbol":"A","price":"1","venue":"x"}]')


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("187.40", "187.40"),
        ('"187.40"', "187.40"),
        (FORTY, FORTY),
        (f'"{FORTY}"', FORTY),
        ("1E-18", "1E-18"),
        ("1e5", "100000"),
        ("0", "0"),
        ("-0.0", "-0.0"),
        (" 7 ", "7"),
    ],
)
def test_numbers_of_a_line_are_read_as_written(written: str, read: str) -> None:
    event = event_from_line(line(written))
    assert isinstance(event, PriceMarked)
    assert str(event.price) == read


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("not JSON", "not JSON"),
        (b"\x89PNG\r\n\x1a\n", "not JSON"),
        (b'{"type":"PriceMarked","symbol":"\xff","data":{"price":1}}', "not JSON"),
        (b'{"type":"PriceMarked","symbol":"A","data":{"price":"\xff"}}', "price: not JSON"),
        ('{"type":"PriceMarked","symbol":"\\ud800","data":{"price":1}}', "not JSON|not a symbol"),
        ("[]", "not an event"),
        ("{}", "missing required field `type`"),
        ('{"type":"Bought","data":{}}', "type: 'Bought' is no event type"),
        ('{"type":["PriceMarked"]}', "not an event"),
        (line("NaN"), "not JSON"),
        (line('"NaN"'), "price: 'NaN' is not a decimal number"),
        (line("Infinity"), "not JSON"),
        (line("null"), "price: None is a NoneType, not a number"),
        (line("[1]"), "price: .* is a list, not a number"),
        (line("true"), "price: True is a truth value, not a number"),
        (line("-1"), "price: '-1' is below zero"),
        (line("9" * 400), "has more than 256 digits"),
        (line("1", schema=1, extra=2), "unknown field `extra`"),
        (line("1", seq=7), "unknown field `seq`"),
        ('{"type":"PriceMarked","symbol":"A","data":{}}', "Missing required argument 'price'"),
        ('{"type":"PriceMarked","symbol":"A"}', "Missing required argument 'price'"),
        (
            '{"type":"PriceMarked","data":{"price":1,"symbol":"A"}}',
            "PriceMarked: symbol stands beside data, not in it",
        ),
        ('{"type":"PriceMarked","symbol":"A","data":{"price":1,"qty":2}}', "has no field 'qty'"),
        (line("[" * 100_000 + "]" * 100_000), "not JSON"),
        (line("1", occurred_at="today"), "occurred_at: 'today' is not a time"),
    ],
    ids=lambda value: f"{value!r:.60}",
)
def test_a_line_that_is_no_event_is_named(text: str | bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        event_from_line(text)
    assert isinstance(caught.value, InvalidEvent | InvalidAmount)
    assert len(str(caught.value)) < 400


def test_what_the_store_assigns_cannot_be_given() -> None:
    with pytest.raises(InvalidEvent) as caught:
        event_from_line(line("1", revision=3))
    assert caught.value.hint == "revision is assigned by the store; leave it out"


def test_a_line_of_a_newer_schema_is_told_apart() -> None:
    with pytest.raises(SchemaTooNew, match="PriceMarked has schema 7"):
        event_from_line(line("1", schema=7))


def test_ten_megabytes_are_refused_unread() -> None:
    with pytest.raises(InvalidEvent, match=r"the line has 10,000,0\d\d bytes, above 1,048,576"):
        event_from_line(line('"' + "1" * 10_000_000 + '"'))
    assert MAX_LINE_BYTES == 1_048_576


def test_of_a_key_given_twice_the_last_counts() -> None:
    """As nearly every reader of JSON has it."""
    twice = '{"type":"PriceMarked","symbol":"A","data":{"price":1,"price":2}}'
    assert event_from_line(twice) == marked(2, "A")


def test_a_recorded_event_becomes_a_line() -> None:
    moment = datetime(2026, 11, 20, 14, 32, 5, tzinfo=UTC)
    event = OrderPlaced(symbol="AAPL", order_id="o1", side="buy", quantity="1E-8", cause="w:1:1")
    found = Recorded(seq=7, revision=3, recorded_at=moment, event=event, commit="w:1:2", writer="w")
    assert line_from_recorded(found) == {
        "seq": 7,
        "revision": 3,
        "symbol": "AAPL",
        "type": "OrderPlaced",
        "schema": 1,
        "recorded_at": moment,
        "occurred_at": moment,
        "data": {"order_id": "o1", "side": "buy", "quantity": "0.00000001"},
        "commit": "w:1:2",
        "writer": "w",
        "cause": "w:1:1",
    }
