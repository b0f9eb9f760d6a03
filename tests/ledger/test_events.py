"""Events are checked when they are constructed: what may be passed, what is kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from ledger import (
    EVENT_TYPES,
    CashDeposited,
    EventReversed,
    InvalidAmount,
    InvalidEvent,
    InvalidInput,
    Order,
    OrderFilled,
    OrderPlaced,
    OrderSide,
    Position,
    PositionAdjusted,
    PriceMarked,
    SessionStarted,
    TradeRefused,
    split_ratio,
)
from ledger.event import PortfolioEvent, SymbolEvent


def placed(**fields: Any) -> OrderPlaced:
    given = {"symbol": "AAPL", "order_id": "o1", "side": "buy", "quantity": 1} | fields
    return OrderPlaced(**given)


def test_amounts_are_kept_as_exact_decimals() -> None:
    for written in ("187.40", 187.4, Decimal("187.40")):
        event = placed(price=written)
        assert isinstance(event.price, Decimal)
        assert event.price == Decimal("187.4")
    assert placed(quantity=10).quantity == Decimal(10)


def test_what_may_be_absent_is_none() -> None:
    event = placed()
    assert (event.price, event.venue, event.occurred_at, event.cause) == (None, None, None, None)


def test_sides_and_times_are_read() -> None:
    event = placed(side="sell", occurred_at="2026-11-20T14:32:05+02:00")
    assert event.side is OrderSide.SELL
    assert event.occurred_at == datetime(2026, 11, 20, 12, 32, 5, tzinfo=UTC)
    there = datetime(2026, 11, 20, 14, 32, 5, tzinfo=timezone(timedelta(hours=2)))
    assert placed(side=OrderSide.SELL, occurred_at=there) == event
    assert event.occurred_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantity": 0}, "quantity: '0' is not above zero"),
        ({"quantity": "-1"}, "quantity: '-1' is not above zero"),
        ({"quantity": float("nan")}, "quantity: nan is not a finite number"),
        ({"quantity": None}, "quantity: None is a NoneType, not a number"),
        ({"price": -0.01}, "price: '-0.01' is below zero"),
        ({"price": "abc"}, "price: 'abc' is not a decimal number"),
        ({"side": "long"}, 'side: \'long\' is neither "buy" nor "sell"'),
        ({"side": None}, 'side: None is neither "buy" nor "sell"'),
        ({"order_id": ""}, "order_id: '' is not an id"),
        ({"order_id": "a b"}, "order_id: 'a b' is not an id"),
        ({"order_id": "a\n"}, r"order_id: 'a\n' is not an id"),
        ({"order_id": "x" * 129}, "is not an id"),
        ({"order_id": 7}, "order_id: 7 is not an id"),
        ({"order_id": "\ud800"}, r"order_id: '\ud800' is not an id"),
        ({"symbol": "A B"}, "symbol: 'A B' is not a symbol"),
        ({"symbol": "x" * 65}, "is not a symbol"),
        ({"symbol": "\x00"}, r"symbol: '\x00' is not a symbol"),
        ({"symbol": "\udfff"}, r"symbol: '\udfff' is not a symbol"),
        ({"occurred_at": "yesterday"}, "occurred_at: 'yesterday' is not a time"),
        ({"occurred_at": "2026-11-20T14:32:05"}, "is not a time with its zone"),
        ({"occurred_at": datetime(2026, 1, 1)}, "is not a time with its zone"),  # noqa: DTZ001
        ({"occurred_at": 1.5}, "occurred_at: 1.5 is not a time with its zone"),
        ({"occurred_at": "0001-01-01T00:00:00+01:00"}, "is outside the years 1 to 9999"),
        ({"size": 1}, "OrderPlaced has no field 'size'"),
    ],
)
def test_what_is_no_order_is_refused_by_field(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        placed(**fields)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 250


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidEvent, match="OrderPlaced: Missing required argument 'order_id'"):
        OrderPlaced(symbol="AAPL", side="buy", quantity=1)


@pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_no_type_can_be_made_of_nothing(kind: type) -> None:
    with pytest.raises(InvalidEvent, match=kind.__name__):
        kind()


@pytest.mark.parametrize("kind", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_every_type_refuses_a_field_it_does_not_have(kind: type) -> None:
    with pytest.raises(InvalidEvent, match=f"{kind.__name__} has no field 'surplus'") as caught:
        kind(surplus=1)
    assert "occurred_at" in caught.value.hint


def test_the_vocabulary_is_in_one_table() -> None:
    assert {name: kind.__name__ for name, kind in EVENT_TYPES.items()} == {
        name: name for name in EVENT_TYPES
    }
    assert len(EVENT_TYPES) == 24
    about_either = {"RiskLimitSet", "TradeRefused", "EventReversed"}
    for name, kind in EVENT_TYPES.items():
        assert issubclass(kind, SymbolEvent | PortfolioEvent) == (name not in about_either)


def test_words_of_a_choice_are_named() -> None:
    with pytest.raises(InvalidEvent, match="mode: 'real' is none of backfill, live, paper"):
        SessionStarted(session="s", mode="real", base_currency="USD", clock="recorded")
    with pytest.raises(InvalidEvent, match="base_currency: 'US-D' is not a currency"):
        SessionStarted(session="s", mode="live", base_currency="US-D", clock="recorded")


@pytest.mark.parametrize("reason", ["x" * 4097, 5, "\ud800"])
def test_a_reason_is_a_text_of_some_length(reason: Any) -> None:
    with pytest.raises(InvalidEvent, match="reason"):
        TradeRefused(trade_id="t", limit="l", reason=reason)
    assert TradeRefused(trade_id="t", limit="l", reason="x" * 4096).reason == "x" * 4096


@pytest.mark.parametrize("number", [0, -1, True, "7", 7.0, None])
def test_what_is_reversed_is_a_whole_number_above_zero(number: Any) -> None:
    with pytest.raises(InvalidEvent, match="seq"):
        EventReversed(seq=number, reason="r")


@pytest.mark.parametrize(("text", "ratio"), [("7/1", (7, 1)), ("1/1000000", (1, 1_000_000))])
def test_a_split_is_a_ratio(text: str, ratio: tuple[int, int]) -> None:
    assert split_ratio(text) == ratio


@pytest.mark.parametrize(
    "text",
    ["7", "7/", "/1", "0/1", "1/0", "-7/1", "7/1/1", "1.5/1", "7:1", "1000001/1", "\u0667/1", ""],
)
def test_what_is_no_ratio_is_no_split(text: str) -> None:
    with pytest.raises(InvalidEvent, match=f"split: '{text}' is not a ratio"):
        PositionAdjusted(symbol="A", position_id="p", split=text)


def test_an_adjustment_is_funding_or_a_split() -> None:
    with pytest.raises(InvalidEvent, match="give either funding or split"):
        PositionAdjusted(symbol="A", position_id="p")
    with pytest.raises(InvalidEvent, match="give either funding or split"):
        PositionAdjusted(symbol="A", position_id="p", funding=1, split="7/1")
    assert PositionAdjusted(symbol="A", position_id="p", funding=-5).funding == -5


def test_fees_may_be_rebates() -> None:
    fill = OrderFilled(symbol="A", order_id="o", trade_id="t", quantity=1, price=0, fee="-0.01")
    assert fill.fee == Decimal("-0.01")


def test_events_are_facts() -> None:
    """They are compared by value and never change."""
    assert PriceMarked(symbol="A", price="1.0") == PriceMarked(symbol="A", price=1)
    with pytest.raises(AttributeError):
        PriceMarked(symbol="A", price=1).price = Decimal(2)
    assert hash(PriceMarked(symbol="A", price="1.0")) == hash(PriceMarked(symbol="A", price=1))


def test_arguments_are_never_dropped() -> None:
    with pytest.raises(InvalidEvent, match="given twice, or there are too many"):
        Position("AAPL", 1, 1, 1, "buy", symbol="MSFT")
    with pytest.raises(InvalidEvent, match="given twice, or there are too many"):
        Position("AAPL", *[1] * 20)


def test_an_order_has_a_status_of_the_table() -> None:
    assert Order("o", None, "A", "buy", 1, 1, "partially_filled").status.is_working
    with pytest.raises(InvalidEvent, match="status: 'open' is none of pending, accepted"):
        Order("o", None, "A", "buy", 1, 1, "open")


def test_an_error_of_an_amount_names_its_field() -> None:
    with pytest.raises(InvalidAmount) as caught:
        CashDeposited(currency="USD", amount="ten")
    assert caught.value.field == "amount"


def test_the_time_may_be_filled_in_later() -> None:
    event = msgspec.structs.replace(placed(), occurred_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert event == placed(occurred_at="2026-01-01T00:00:00Z")
