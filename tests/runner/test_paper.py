"""The paper exchange is a venue: it fills, rejects, charges and remembers like one, from a seed."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.errors import InvalidAmount, InvalidEvent, InvalidInput, NotFound
from runner.exchange import OrderRequest, Report, ReportKind
from runner.market import Book
from runner.paper import PaperConfig, PaperExchange

START = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
ACCEPTED, FILLED, CANCELLED, REJECTED = (
    ReportKind.ACCEPTED,
    ReportKind.FILLED,
    ReportKind.CANCELLED,
    ReportKind.REJECTED,
)


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_exchange(clock):
    """Open exchanges on the test's clock, and close them all."""
    opened: list[PaperExchange] = []

    def build(path=None, **config) -> PaperExchange:
        settled = PaperConfig(**{"fee_rate": Decimal(0), **config})
        opened.append(PaperExchange(settled, clock=clock, path=path))
        return opened[-1]

    yield build
    for exchange in opened:
        exchange.close()


def book(bid="99", ask="101", *, symbol="AAPL", size=None, at=START) -> Book:
    sizes = {} if size is None else {"bid_size": Decimal(size), "ask_size": Decimal(size)}
    return Book(
        venue="paper", symbol=symbol, bid=Decimal(bid), ask=Decimal(ask), occurred_at=at, **sizes
    )


def order(name="o-1", side="buy", quantity="10", price=None, symbol="AAPL") -> OrderRequest:
    return OrderRequest(
        client_order_id=name,
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        price=None if price is None else Decimal(price),
    )


def kinds(reports) -> list[ReportKind]:
    return [report.kind for report in reports]


def traded(reports) -> list[tuple[str, str]]:
    """The fills among reports, as (quantity, price)."""
    return [(str(r.quantity), str(r.price)) for r in reports if r.kind is FILLED]


def without_number(reports) -> list[Report]:
    return [msgspec.structs.replace(report, report_id=0) for report in reports]


# --- how an order trades ------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "price"), [("buy", "101.0505"), ("sell", "98.9505")])
async def test_an_order_at_market_trades_at_once_with_the_slippage_against_it(
    open_exchange, side, price
):
    exchange = open_exchange(slippage_bps=Decimal(5))
    exchange.on_book(book())

    reports = await exchange.place(order(side=side))

    assert kinds(reports) == [ACCEPTED, FILLED]
    assert traded(reports) == [("10", price)]
    assert {report.venue_order_id for report in reports} == {reports[0].venue_order_id}


async def test_a_fee_is_exact_with_18_decimals_in_quantity_and_price(open_exchange):
    exchange = open_exchange(
        fee_rate=Decimal("0.000700000000000001"), currencies={"KRW-BTC": "KRW"}
    )
    exchange.on_book(book("1", "123456789.123456789123456789", symbol="KRW-BTC"))
    quantity, price = "0.123456789012345678", Fraction("123456789.123456789123456789")

    fill = (await exchange.place(order(quantity=quantity, symbol="KRW-BTC")))[-1]

    assert Fraction(fill.fee) == Fraction(quantity) * price * Fraction("0.000700000000000001")
    assert fill.fee_currency == "KRW"
    assert exchange.account().fees == {"KRW": fill.fee}


async def test_a_limit_order_rests_until_a_book_reaches_it_and_trades_at_its_limit(open_exchange):
    exchange = open_exchange(slippage_bps=Decimal(100))
    exchange.on_book(book())
    assert kinds(await exchange.place(order("buy", "buy", price="100"))) == [ACCEPTED]
    assert kinds(await exchange.place(order("sell", "sell", price="103"))) == [ACCEPTED]

    exchange.on_book(book("100", "100.01"))
    exchange.on_book(book("98", "99"))

    assert traded(await exchange.query("buy")) == [("10", "100")]
    assert traded(await exchange.query("sell")) == []


async def test_a_limit_order_that_meets_the_book_never_trades_worse_than_its_limit(open_exchange):
    exchange = open_exchange(slippage_bps=Decimal(100))
    exchange.on_book(book())

    assert traded(await exchange.place(order("far", price="105"))) == [("10", "102.01")]
    assert traded(await exchange.place(order("near", price="101.5"))) == [("10", "101.5")]


async def test_nothing_trades_on_a_crossed_book_or_an_empty_side(open_exchange):
    exchange = open_exchange()
    exchange.on_book(book("101", "101"))
    assert kinds(await exchange.place(order("crossed"))) == [ACCEPTED]
    exchange.on_book(book("0", "101"))

    assert traded(await exchange.query("crossed")) == [("10", "101")]
    assert traded(await exchange.place(order("sell", "sell"))) == []


async def test_no_more_trades_than_the_book_offers_and_the_rest_waits_for_the_next_book(
    open_exchange,
):
    exchange = open_exchange()
    exchange.on_book(book(size="15"))

    assert traded(await exchange.place(order("first"))) == [("10", "101")]
    assert traded(await exchange.place(order("second"))) == [("5", "101")]
    exchange.on_book(book(size="15"))
    assert len(await exchange.query("second")) == 2, "the same book again is no new offer"
    exchange.on_book(book("100", "102", size="15"))

    assert traded(await exchange.query("second")) == [("5", "101"), ("5", "102")]
    trades = [report.trade_id for report in await exchange.reports() if report.trade_id]
    assert len(set(trades)) == len(trades) == 3


async def test_only_whole_lots_of_what_a_book_offers_trade(open_exchange):
    exchange = open_exchange(lot_sizes={"AAPL": Decimal("0.5")})
    exchange.on_book(book(size="1.25"))

    assert traded(await exchange.place(order())) == [("1", "101")]
    exchange.on_book(book("98", "100", size="0.4"))

    assert len(await exchange.query("o-1")) == 2


async def test_fills_in_parts_come_in_two_or_three_and_sum_to_the_quantity(open_exchange):
    exchange = open_exchange(partial_fill_chance_percent=100, lot_sizes={"LOT": Decimal("0.5")})
    counts = set()
    for symbol in ("AAPL", "LOT"):
        exchange.on_book(book(symbol=symbol))
        for number in range(40):
            fills = (await exchange.place(order(f"{symbol}-{number}", symbol=symbol)))[1:]
            counts.add(len(fills))
            assert sum(fill.quantity for fill in fills) == 10
            assert all(fill.quantity > 0 for fill in fills)
            assert symbol != "LOT" or all(fill.quantity % Decimal("0.5") == 0 for fill in fills)
    assert counts == {2, 3}


# --- rejections ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (order(symbol="NONE"), "no book"),
        (order(quantity="0"), "not above zero"),
        (order(quantity="-1"), "not above zero"),
        (order(price="0"), "not above zero"),
        (order(side="hold"), "neither buy nor sell"),
        (order(quantity="1.05"), "lot size 0.1"),
    ],
)
async def test_an_order_the_venue_cannot_trade_is_rejected_with_the_reason(
    open_exchange, request_, reason
):
    exchange = open_exchange(lot_sizes={"AAPL": Decimal("0.1")})
    exchange.on_book(book())

    (report,) = await exchange.place(request_)

    assert report.kind is REJECTED
    assert reason in report.reason
    assert await exchange.query("o-1") == await exchange.cancel("o-1") == [report]
    assert exchange.account().positions == {}


async def test_as_many_orders_are_rejected_by_chance_as_configured(open_exchange):
    exchange = open_exchange(rejection_chance_percent=20)
    exchange.on_book(book())
    outcomes = [(await exchange.place(order(f"o-{n}")))[-1].kind for n in range(400)]
    assert 50 <= outcomes.count(REJECTED) <= 110
    assert set(outcomes) == {REJECTED, FILLED}


async def test_an_amount_that_is_no_number_is_refused_and_places_nothing(open_exchange):
    exchange = open_exchange()
    with pytest.raises(InvalidAmount, match="quantity"):
        await exchange.place(order(quantity="NaN"))
    with pytest.raises(InvalidAmount, match="price"):
        await exchange.place(order(price="Infinity"))
    assert await exchange.query("o-1") is None


@pytest.mark.parametrize(
    "field",
    [
        {"fee_rate": Decimal("NaN")},
        {"slippage_bps": Decimal(10_000)},
        {"partial_fill_chance_percent": 101},
        {"rejection_chance_percent": -1},
        {"latency": timedelta(seconds=-1)},
        {"lot_sizes": {"AAPL": Decimal(0)}},
    ],
)
def test_a_setting_no_venue_could_have_is_refused_by_name(field):
    with pytest.raises(InvalidInput, match=next(iter(field))):
        PaperConfig(**field)


# --- chance -------------------------------------------------------------------------------------

CHANCY = {
    "partial_fill_chance_percent": 50,
    "rejection_chance_percent": 30,
    "slippage_bps": Decimal(3),
}


async def place_all(exchange: PaperExchange, names: list[str]) -> dict[str, list[Report]]:
    for symbol in ("A", "B"):
        exchange.on_book(book(symbol=symbol))
    for name in names:
        await exchange.place(order(name, symbol=name[0]))
    return {name: without_number(await exchange.query(name)) for name in names}


async def test_the_outcome_of_an_order_depends_on_seed_and_id_alone(open_exchange, tmp_path):
    names = [f"{symbol}-{number}" for symbol in "AB" for number in range(20)]
    expected = await place_all(open_exchange(seed=7, **CHANCY), names)

    other_way = await place_all(open_exchange(seed=7, **CHANCY), names[::-1])
    path = tmp_path / "paper.db"
    await place_all(open_exchange(path, seed=7, **CHANCY), names[:13])
    restarted = await place_all(open_exchange(path, seed=7, **CHANCY), names)
    other_seed = await place_all(open_exchange(seed=8, **CHANCY), names)

    assert other_way == restarted == expected
    assert other_seed != expected


# --- requests that come again, cancellations that race -------------------------------------------


async def test_placing_an_order_again_places_nothing_and_tells_what_became_of_it(open_exchange):
    exchange = open_exchange()
    exchange.on_book(book())
    first = await exchange.place(order(quantity="10"))

    assert await exchange.place(order(quantity="10.0")) == first
    with pytest.raises(InvalidInput, match="other content"):
        await exchange.place(order(quantity="11"))
    assert await exchange.reports() == first
    assert exchange.account().positions == {"AAPL": Decimal(10)}


async def test_a_cancellation_that_comes_first_ends_the_order(open_exchange):
    exchange = open_exchange()
    exchange.on_book(book())
    await exchange.place(order(price="100"))

    reports = await exchange.cancel("o-1")
    exchange.on_book(book("98", "99"))

    assert kinds(reports) == [ACCEPTED, CANCELLED]
    assert await exchange.cancel("o-1") == await exchange.query("o-1") == reports


async def test_a_fill_that_comes_first_leaves_nothing_to_cancel(open_exchange, clock):
    exchange = open_exchange(latency=timedelta(seconds=1))
    exchange.on_book(book())
    await exchange.place(order(price="100"))
    exchange.on_book(book("98", "99"))

    assert await exchange.cancel("o-1") == [], "the fill is not visible when the cancel is sent"
    clock.move(1)
    assert kinds(await exchange.query("o-1")) == [ACCEPTED, FILLED]


async def test_a_cancellation_takes_what_a_partial_fill_has_left(open_exchange):
    exchange = open_exchange()
    exchange.on_book(book(size="4"))
    await exchange.place(order())

    assert kinds(await exchange.cancel("o-1")) == [ACCEPTED, FILLED, CANCELLED]
    known = exchange.account().orders["o-1"]
    assert (known.status, known.filled, known.average_price) == ("cancelled", 4, 101)


async def test_cancelling_an_order_that_never_arrived_is_an_error_that_names_it(open_exchange):
    with pytest.raises(NotFound, match="'o-9' never arrived"):
        await open_exchange().cancel("o-9")


# --- latency ------------------------------------------------------------------------------------


async def test_reports_become_visible_after_the_latency(open_exchange, clock):
    exchange = open_exchange(latency=timedelta(milliseconds=250))
    exchange.on_book(book())

    assert await exchange.place(order()) == []
    assert await exchange.query("o-1") == [], "it arrived: that is not None"
    clock.move(0.249)
    assert await exchange.reports() == []
    clock.move(0.001)
    reports = await exchange.reports()
    assert kinds(reports) == [ACCEPTED, FILLED]
    assert {report.occurred_at for report in reports} == {START}
    assert await exchange.reports(after=1) == reports[1:]


async def test_no_report_is_passed_over_when_the_clock_steps_back(open_exchange, clock):
    exchange = open_exchange(latency=timedelta(seconds=1))
    exchange.on_book(book())
    await exchange.place(order("early"))
    clock.move(-60)
    await exchange.place(order("late"))
    clock.move(2)

    assert await exchange.reports() == [], "number 3 must not be seen before number 1"
    clock.move(60)
    assert [report.report_id for report in await exchange.reports()] == [1, 2, 3, 4]


async def test_without_latency_nothing_is_hidden_by_a_clock_that_steps_back(open_exchange, clock):
    exchange = open_exchange()
    exchange.on_book(book())
    clock.move(-60)
    assert len(await exchange.place(order())) == 2
    clock.move(-60)
    assert len(await exchange.reports()) == 2


# --- the account --------------------------------------------------------------------------------


async def test_a_split_multiplies_the_holding_once_and_cancels_what_works(open_exchange):
    exchange = open_exchange()
    exchange.on_book(book("699", "700"))
    await exchange.place(order("held", quantity="3"))
    await exchange.place(order("rests", price="650"))

    for _ in range(2):
        exchange.apply_split("AAPL", "7/1", split_id="2014-06-09")
    exchange.on_book(book("99", "100"))
    await exchange.place(order("after", "sell", quantity="1"))

    assert exchange.account().positions == {"AAPL": Decimal(20)}
    assert exchange.account().cash == {"USD": Decimal(99 - 3 * 700)}
    assert kinds(await exchange.query("rests")) == [ACCEPTED, CANCELLED]
    with pytest.raises(InvalidInput, match="7/1 of AAPL"):
        exchange.apply_split("AAPL", "2/1", split_id="2014-06-09")
    with pytest.raises(InvalidEvent, match="ratio"):
        exchange.apply_split("AAPL", "seven", split_id="other")


AMOUNT = st.decimals("0.000000001", "1000", places=9).map(str)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("book"), st.sampled_from("AB"), AMOUNT, st.none() | AMOUNT),
        st.tuples(
            st.just("place"),
            st.sampled_from("AB"),
            st.sampled_from(["buy", "sell"]),
            AMOUNT,
            st.none() | AMOUNT,
        ),
        st.tuples(st.just("cancel"), st.integers(0, 20)),
        st.tuples(st.just("split"), st.sampled_from("AB"), st.integers(1, 9)),
    ),
    max_size=30,
)


async def act(exchange: PaperExchange, number: int, action) -> Fraction | None:
    match action:
        case "book", symbol, bid, size:
            exchange.on_book(book(bid, str(Decimal(bid) + 1), symbol=symbol, size=size))
        case "place", symbol, side, quantity, price:
            await exchange.place(order(f"o-{number}", side, quantity, price, symbol))
        case "cancel", other if await exchange.query(f"o-{other}") is not None:
            await exchange.cancel(f"o-{other}")
        case "split", symbol, ratio:
            exchange.apply_split(symbol, f"{ratio}/1", split_id=str(number))


@settings(max_examples=40, deadline=None)
@given(actions=ACTIONS, seed=st.integers(0, 9))
def test_the_account_equals_the_sum_of_the_fills(actions, seed):
    """Added up anew in fractions, from what ``reports`` says, whatever was asked of the venue."""
    config = PaperConfig(
        seed=seed,
        partial_fill_chance_percent=50,
        rejection_chance_percent=10,
        slippage_bps=Decimal("1.5"),
        currencies={"B": "EUR"},
    )
    exchange = PaperExchange(config, clock=lambda: START)
    held = dict.fromkeys("AB", Fraction(0))
    cash = {"USD": Fraction(0), "EUR": Fraction(0)}
    filled: dict[str, Fraction] = {}
    seen = 0

    async def run() -> None:
        nonlocal seen
        for number, action in enumerate(actions):
            await act(exchange, number, action)
            if action[0] == "split":
                held[action[1]] *= action[2]
            for report in await exchange.reports(after=seen):
                seen += 1
                assert report.report_id == seen
                if report.kind is FILLED:
                    book_fill(report)

    def book_fill(fill: Report) -> None:
        quantity, value = Fraction(fill.quantity), Fraction(fill.quantity) * Fraction(fill.price)
        sign = 1 if exchange.account().orders[fill.client_order_id].side == "buy" else -1
        held[fill.symbol] += sign * quantity
        cash[fill.fee_currency] -= sign * value + Fraction(fill.fee)
        assert Fraction(fill.fee) == value * Fraction("0.001")
        filled[fill.client_order_id] = filled.get(fill.client_order_id, Fraction(0)) + quantity

    asyncio.run(run())
    account = exchange.account()
    exchange.close()
    assert {s: Fraction(q) for s, q in account.positions.items()} == {
        symbol: quantity for symbol, quantity in held.items() if quantity
    }
    assert {c: Fraction(account.cash.get(c, 0)) for c in cash} == cash
    for name, known in account.orders.items():
        assert Fraction(known.filled) == filled.get(name, 0)
        assert known.filled <= known.quantity
        assert (known.status == "filled") == (known.remaining == 0)
