"""The spread engine: the arithmetic of two books, and when a trade opens and closes."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.amounts import multiply, quotient, subtract
from ledger.errors import InvalidAmount, InvalidInput, MissingRate
from runner.market import Book
from runner.spread import (
    Direction,
    OpenSpread,
    SpreadConfig,
    SpreadDecision,
    SpreadLeg,
    SpreadTrade,
    decide,
    net_bps,
    spread_bps,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
D = Decimal
SWAPPED = {
    Direction.BUY_A_SELL_B: Direction.BUY_B_SELL_A,
    Direction.BUY_B_SELL_A: Direction.BUY_A_SELL_B,
}


def book(bid, ask, *, venue="upbit", symbol="KRW-BTC", bid_size=None, ask_size=None):
    return Book(
        venue=venue,
        symbol=symbol,
        bid=D(bid),
        ask=D(ask),
        occurred_at=NOON,
        bid_size=None if bid_size is None else D(bid_size),
        ask_size=None if ask_size is None else D(ask_size),
    )


def book_b(bid, ask, **sizes):
    return book(bid, ask, venue="binance", symbol="BTCUSDT", **sizes)


def config(**changes):
    settled = {
        "currency_a": "KRW",
        "currency_b": "USDT",
        "quantity": D("0.01"),
        "min_spread_bps": D(20),
        "taker_fee_a_bps": D(5),
        "taker_fee_b_bps": D(10),
        "slippage_bps": D(5),
    }
    return SpreadConfig(**settled | changes)


def open_trade(direction=Direction.BUY_A_SELL_B, quantity="0.01", **changes):
    return OpenSpread(trade_id="t-1", direction=direction, quantity=D(quantity), **changes)


prices = st.decimals("0.01", "99999", places=2)
sizes = st.none() | st.decimals("0.01", "5", places=2)


@st.composite
def markets(draw):
    """Draw a book that is neither crossed nor empty."""
    bid = draw(prices)
    ask = bid + draw(st.decimals("0.01", "500", places=2))
    return book(bid, ask, bid_size=draw(sizes), ask_size=draw(sizes))


@st.composite
def no_markets(draw):
    """Draw a book that is crossed or empty."""
    whole = draw(markets())
    spoiled = draw(
        st.sampled_from(
            [
                {"bid": whole.ask, "ask": whole.bid},
                {"bid": whole.ask},
                {"bid": D(0)},
                {"bid": D(0), "ask": D(0)},
                {"bid_size": D(0)},
                {"ask_size": D(0)},
            ]
        )
    )
    return msgspec.structs.replace(whole, **spoiled)


@st.composite
def configs(draw):
    """Draw a configuration over one currency."""
    bps = st.decimals("0", "50", places=1)
    return SpreadConfig(
        currency_a="USD",
        currency_b="USD",
        quantity=draw(st.decimals("0.01", "3", places=2)),
        min_spread_bps=draw(bps),
        taker_fee_a_bps=draw(bps),
        taker_fee_b_bps=draw(bps),
        slippage_bps=draw(bps),
        max_open_trades=draw(st.integers(0, 3)),
    )


open_trades = st.lists(
    st.builds(
        OpenSpread,
        trade_id=st.sampled_from(["t-1", "t-2"]),
        direction=st.sampled_from(Direction),
        quantity=st.decimals("0.01", "3", places=2),
        is_closing=st.booleans(),
    ),
    max_size=3,
)


def test_a_spread_over_won_and_tether_is_what_it_is_by_hand():
    """B's prices are brought to won: 100,000 USDT at 1,395 are 139,500,000 won.

    Buying on A at 139,000,000 and selling there at 139,500,000 earns 500,000 of 139,000,000, which
    is 35.97 bps; the reverse loses 138,900,000 - 139,639,500 of 139,639,500, which is -52.96.
    """
    spreads = spread_bps(book("138900000", "139000000"), book_b("100000", "100100"), D(1395))

    assert round(spreads.buy_a_sell_b, 4) == D("35.9712")
    assert round(spreads.buy_b_sell_a, 4) == D("-52.9578")
    assert spreads.better is Direction.BUY_A_SELL_B


def test_a_trade_over_two_currencies_opens_with_each_leg_at_its_own_venues_price():
    a, b = book("139300000", "139400000"), book_b("100000", "100000.5")
    # 140,800,000 - 139,400,000 = 1,400,000 won on 139,400,000: 100.4304 bps; 20 are costs.
    decision = decide([a, b], D(1408), [], config())

    assert decision is not None
    trade = decision.opens
    assert isinstance(trade, SpreadTrade)
    assert trade.direction is Direction.BUY_A_SELL_B
    assert round(trade.spread_bps, 4) == D("100.4304")
    assert trade.net_bps == subtract(trade.spread_bps, D(20))
    assert trade.legs == (
        SpreadLeg(
            venue="upbit",
            symbol="KRW-BTC",
            side="buy",
            quantity=D("0.01"),
            price=D("139400000"),
        ),
        SpreadLeg(
            venue="binance",
            symbol="BTCUSDT",
            side="sell",
            quantity=D("0.01"),
            price=D("100000"),
        ),
    )


def test_the_reverse_trade_buys_on_b_and_sells_on_a():
    # B asks 139,500,000 won; A bids 140,895,000, which is exactly 1 % more.
    decision = decide(
        [book("140895000", "140900000"), book_b("99999", "100000")], D(1395), [], config()
    )

    assert decision is not None
    assert decision.opens is not None
    assert decision.opens.direction is Direction.BUY_B_SELL_A
    assert decision.opens.spread_bps == 100
    assert [(leg.venue, leg.side, leg.price) for leg in decision.opens.legs] == [
        ("binance", "buy", D("100000")),
        ("upbit", "sell", D("140895000")),
    ]


@pytest.mark.parametrize(("bid_b", "opens"), [("1003.99", False), ("1004.00", True)])
def test_a_trade_opens_from_exactly_the_least_spread_after_all_costs(bid_b, opens):
    """5 + 10 bps of fees, 5 of slippage and 20 to be left: 40 bps on 1,000 are 4.00."""
    decision = decide([book("999", "1000"), book_b(bid_b, "1010")], D(1), [], config())

    assert (decision is not None) is opens


def test_no_spread_opens_no_trade_even_where_nothing_has_to_be_left():
    """It would close again on the same books."""
    free = SpreadConfig(
        currency_a="USD", currency_b="USD", quantity=D(1), min_spread_bps=D(0), max_open_trades=1
    )

    assert decide([book("999", "1000"), book_b("1000", "1001")], D(1), [], free) is None
    assert decide([book("999", "1000"), book_b("1000.01", "1001")], D(1), [], free) is not None


@pytest.mark.parametrize("name", ["taker_fee_a_bps", "taker_fee_b_bps", "slippage_bps"])
def test_each_cost_counts_in_full(name):
    assert net_bps(D(100), config()) == 80
    assert net_bps(D(100), config(**{name: D("30.5")})) == 80 + getattr(config(), name) - D("30.5")


@pytest.mark.parametrize(
    ("ask_size", "bid_size", "opens"),
    [
        ("0.01", "0.01", True),
        ("0.009", "0.01", False),
        ("0.01", "0.009", False),
        (None, "0.01", True),
        ("0.01", None, True),
        (None, "0.009", False),
    ],
)
def test_a_trade_opens_only_where_both_venues_offer_its_quantity(ask_size, bid_size, opens):
    a = book("999", "1000", ask_size=ask_size, bid_size="0.001")
    b = book_b("1100", "1101", bid_size=bid_size, ask_size="0.001")

    assert (decide([a, b], D(1), [], config()) is not None) is opens


def test_a_trade_that_is_closing_still_counts_as_open():
    wide = [book("999", "1000"), book_b("1100", "1101")]

    assert decide(wide, D(1), [], config(max_open_trades=1)) is not None
    assert decide(wide, D(1), [open_trade()], config(max_open_trades=1)) is None
    assert decide(wide, D(1), [open_trade(is_closing=True)], config(max_open_trades=1)) is None
    assert decide(wide, D(1), [open_trade()], config(max_open_trades=2)) is not None
    assert decide(wide, D(1), [], config(max_open_trades=0)) is None


@pytest.mark.parametrize(("bid_b", "closes"), [("1000.01", False), ("1000", True), ("999", True)])
def test_a_trade_closes_when_its_own_spread_is_gone(bid_b, closes):
    decision = decide([book("999", "1000"), book_b(bid_b, "1001")], D(1), [open_trade()], config())

    assert (decision is not None) is closes


def test_a_close_undoes_both_legs_of_the_trade_with_its_own_quantity():
    trade = open_trade(quantity="0.25")
    decision = decide(
        [book("1010", "1011", bid_size="0.1"), book_b("1005", "1006")], D(1), [trade], config()
    )

    assert decision is not None
    (close,) = decision.closes
    assert (decision.opens, close.trade_id) == (None, "t-1")
    assert round(close.spread_bps, 4) == D("-59.3472")  # (1005 - 1011) / 1011
    assert [(leg.venue, leg.side, leg.price, leg.quantity) for leg in close.legs] == [
        ("binance", "buy", D("1006"), D("0.25")),
        ("upbit", "sell", D("1010"), D("0.25")),
    ]


def test_a_trade_that_is_closing_is_not_closed_again():
    gone = [book("999", "1000"), book_b("999", "1001")]

    assert decide(gone, D(1), [open_trade()], config()) is not None
    assert decide(gone, D(1), [open_trade(is_closing=True)], config()) is None


def test_each_open_trade_is_judged_by_its_own_direction():
    """B is dear, so buying on A is still right and buying on B is over."""
    trades = [
        OpenSpread(trade_id="a", direction=Direction.BUY_A_SELL_B, quantity=D(1)),
        OpenSpread(trade_id="b", direction=Direction.BUY_B_SELL_A, quantity=D(2)),
    ]
    decision = decide([book("999", "1000"), book_b("1100", "1101")], D(1), trades, config())

    assert decision is not None
    assert [close.trade_id for close in decision.closes] == ["b"]


def test_a_missing_rate_is_refused_by_the_names_of_both_currencies():
    with pytest.raises(MissingRate) as refused:
        decide([book("1", "2"), book_b("3", "4")], None, [], config())

    assert refused.value.pair == ("USDT", "KRW")


def test_one_currency_needs_no_rate():
    books = [book("999", "1000"), book_b("1100", "1101")]
    alike = config(currency_b="KRW")

    assert decide(books, None, [], alike) == decide(books, D(1), [], alike)
    assert decide(books, None, [], alike) is not None


@pytest.mark.parametrize("rate", ["0", "-1", "NaN", "Infinity"])
def test_a_rate_that_is_no_price_is_refused(rate):
    with pytest.raises(InvalidAmount, match="rate"):
        decide([book("1", "2"), book_b("3", "4")], D(rate), [], config())


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_spread_needs_two_books(count):
    with pytest.raises(InvalidInput, match=f"not of {count}"):
        decide([book("1", "2")] * count, D(1), [], config())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", D(0)),
        ("quantity", D(-1)),
        ("min_spread_bps", D("-0.1")),
        ("taker_fee_a_bps", D("NaN")),
        ("taker_fee_b_bps", D(-1)),
        ("slippage_bps", D("Infinity")),
        ("max_open_trades", -1),
    ],
)
def test_a_configuration_no_trade_could_go_by_is_refused(field, value):
    with pytest.raises(InvalidAmount, match=field):
        config(**{field: value})


@given(a=markets(), b=markets(), settled=configs(), trades=open_trades)
def test_swapping_the_venues_swaps_the_directions_and_nothing_else(a, b, settled, trades):
    mirrored = msgspec.structs.replace(
        settled, taker_fee_a_bps=settled.taker_fee_b_bps, taker_fee_b_bps=settled.taker_fee_a_bps
    )
    turned = [msgspec.structs.replace(t, direction=SWAPPED[t.direction]) for t in trades]

    there = decide([a, b], D(1), trades, settled)
    back = decide([b, a], D(1), turned, mirrored)

    if there is not None and there.opens is not None:
        opens = msgspec.structs.replace(there.opens, direction=SWAPPED[there.opens.direction])
        there = SpreadDecision(opens=opens)
    assert back == there


@given(good=markets(), bad=no_markets(), trades=open_trades, settled=configs(), data=st.data())
def test_nothing_is_decided_on_a_book_that_is_crossed_or_empty(good, bad, trades, settled, data):
    books = data.draw(st.permutations([good, bad]))

    assert decide(books, D(1), trades, settled) is None


@given(a=markets(), b=markets(), trades=open_trades, settled=configs())
def test_both_legs_carry_the_same_quantity_and_a_pass_opens_or_closes(a, b, trades, settled):
    decision = decide([a, b], D(1), trades, settled)

    if decision is not None:
        held = {trade.quantity for trade in trades}
        assert (decision.opens is None) is bool(decision.closes)
        for close in decision.closes:
            assert close.legs[0].quantity == close.legs[1].quantity
            assert close.legs[0].quantity in held
        if decision.opens is not None:
            assert {leg.quantity for leg in decision.opens.legs} == {settled.quantity}
            assert [leg.side for leg in decision.opens.legs] == ["buy", "sell"]


@given(
    a=markets(),
    b=markets(),
    rate=st.decimals("0.01", "2000", places=2),
    k=st.sampled_from([D(k) for k in ("2", "5", "10", "1000", "0.1", "0.25", "0.0008")]),
)
def test_the_unit_b_quotes_in_changes_no_spread(a, b, rate, k):
    """B in another unit, and the rate the other way: the same market, to the last digit."""
    scaled = msgspec.structs.replace(b, bid=multiply(b.bid, k), ask=multiply(b.ask, k))

    assert spread_bps(a, scaled, quotient(rate, k)) == spread_bps(a, b, rate)


@given(a=markets(), settled=configs(), excess=st.decimals("1.02", "3", places=2))
def test_a_spread_wide_enough_always_opens_where_the_limit_allows(a, settled, excess):
    """All costs and the least spread together are at most 200 bps, which is 2 %."""
    a = msgspec.structs.replace(a, ask_size=None)
    bid = multiply(a.ask, excess)
    decision = decide([a, book_b(bid, bid + 1)], D(1), [], settled)

    assert (decision is not None) is (settled.max_open_trades > 0)
    assert decision is None or decision.opens is not None


@given(a=markets(), b=markets(), settled=configs())
def test_a_trade_just_opened_is_not_closed_by_the_books_it_was_opened_on(a, b, settled):
    opened = decide([a, b], D(1), [], settled)

    if opened is not None and opened.opens is not None:
        trade = open_trade(direction=opened.opens.direction)
        again = decide([a, b], D(1), [trade], settled)
        assert again is None or not again.closes
