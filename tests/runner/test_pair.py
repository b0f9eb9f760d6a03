"""Two venues traded as a pair: both legs, or none that is forgotten."""

from __future__ import annotations

import itertools
from decimal import Decimal

import msgspec
import pytest

from ledger import Ledger, MissingRate
from runner.clock import replay_clock
from runner.config import RunnerConfig, SessionConfig
from runner.exchange import ExchangeUnavailable
from runner.live import LiveRunner
from runner.pair import PairEngine
from runner.pairs import PairProvider
from runner.paper import PaperConfig, PaperExchange
from runner.recorded import RecordedProvider
from runner.spread import SpreadConfig

_STORES = itertools.count()
D = Decimal
CONFIG = SpreadConfig(
    currency_a="KRW",
    currency_b="USDT",
    quantity=D("0.5"),
    min_spread_bps=D(20),
    taker_fee_a_bps=D(5),
    taker_fee_b_bps=D(10),
    slippage_bps=D(5),
)
# USDT/KRW 1300. At second 1 B bids 2 % above what A asks; at second 3 that has reversed.
A = [("129000", "130000"), ("129000", "130000"), ("131000", "131500"), ("131000", "131500")]
B = [("99", "100"), ("102", "103"), ("100", "100.5"), ("100", "100.5")]


def rows(symbol, quotes):
    return [
        {
            "time": f"2026-11-20T12:00:{second:02}Z",
            "symbol": symbol,
            "bid": bid,
            "ask": ask,
            "bid_size": "10",
            "ask_size": "10",
        }
        for second, (bid, ask) in enumerate(quotes)
    ]


class Pair:
    """A runner over two paper venues that quote in won and in tether."""

    def __init__(self, ledger, *, paper_b=None, rates=None, exchange_b=PaperExchange):
        self.a = RecordedProvider(rows("KRW-BTC", A), venue="upbit")
        self.b = RecordedProvider(rows("BTCUSDT", B), venue="binance")
        clock = replay_clock(self.a)
        fee = {"fee_rate": D("0.001")}
        self.upbit = PaperExchange(
            PaperConfig(default_currency="KRW", **fee), clock=clock, name="upbit"
        )
        self.binance = exchange_b(
            PaperConfig(default_currency="USDT", **fee, **(paper_b or {})),
            clock=clock,
            name="binance",
        )
        provider = PairProvider(
            {"upbit": self.a, "binance": self.b},
            {"BTC": {"upbit": "KRW-BTC", "binance": "BTCUSDT"}},
            max_skew=self.a.instants[1] - self.a.instants[0],
        )
        self.ledger = ledger
        self.runner = LiveRunner(
            ledger,
            config=RunnerConfig(name="pair", symbols=("BTC",), place_attempts=2, backoff_seconds=0),
            provider=provider,
            engine=PairEngine(CONFIG),
            exchanges={"upbit": self.upbit, "binance": self.binance},
            session=SessionConfig(
                base_currency="KRW",
                clock="occurred",
                cash={"KRW": D(1_000_000), "USDT": D(1_000)},
                currencies={"KRW-BTC": "KRW", "BTCUSDT": "USDT"},
                rates={"USDT/KRW": D(1300)} if rates is None else rates,
            ),
            clock=clock,
        )

    async def step(self, count=1):
        for _ in range(count):
            self.a.advance()
            self.b.advance()
            await self.runner.arun_once()

    async def events(self, *kinds):
        found = [recorded async for recorded in self.ledger.tail()]
        return [r.event for r in found if r.type in kinds]

    def agree(self):
        """The ledger's positions and those of the venues are the same."""
        for symbol, venue in (("KRW-BTC", self.upbit), ("BTCUSDT", self.binance)):
            account = self.runner.accounts.symbols[symbol]
            signed = sum(
                p.quantity if p.side == "buy" else -p.quantity for p in account.positions.values()
            )
            assert signed == venue.account().positions.get(symbol, 0)
            assert account.fees.get(account.currency, 0) == venue.account().fees.get(
                account.currency, 0
            )

    async def close(self):
        await self.runner.aclose()
        self.upbit.close()
        self.binance.close()


@pytest.fixture
async def pair():
    opened = []
    async with Ledger.connect(f"memory:pair-{next(_STORES)}") as ledger:

        def make(**given):
            opened.append(Pair(ledger, **given))
            return opened[-1]

        yield make
        for one in opened:
            await one.close()


async def test_a_spread_is_opened_with_both_legs_and_closed_when_it_reverses(pair):
    one = pair()
    await one.step(2)
    one.agree()
    long = one.upbit.account().positions["KRW-BTC"]
    assert long == -one.binance.account().positions["BTCUSDT"] == D("0.5")
    trades = {
        position.trade_id
        for account in one.runner.accounts.symbols.values()
        for position in account.positions.values()
    }
    assert len(trades) == 1
    await one.step(2)
    one.agree()
    assert one.upbit.account().positions == one.binance.account().positions == {}
    state = await one.ledger.state()
    # Bought at 130000 and sold at 131000 there; sold at 102 and bought back at 100.5 here.
    assert state.symbols["KRW-BTC"].realized_pnl == D("0.5") * 1000
    assert state.symbols["BTCUSDT"].realized_pnl == D("0.5") * D("1.5")
    assert state.realized_pnl == 500 + D("0.75") * 1300
    assert state.balances["KRW"].cash == 1_000_000 + one.upbit.account().cash["KRW"]
    assert state.balances["USDT"].cash == 1_000 + one.binance.account().cash["USDT"]


async def test_a_trade_of_two_legs_costs_one_commit_before_and_one_after(pair):
    one = pair()
    await one.step(1)
    before = one.runner._journal._number
    await one.step(1)
    assert one.runner._journal._number == before + 2
    placed = await one.events("OrderPlaced")
    assert [event.venue for event in placed] == ["upbit", "binance"]


async def test_a_rejected_second_leg_unwinds_the_first(pair, caplog):
    one = pair(paper_b={"lot_sizes": {"BTCUSDT": D(1)}})
    await one.step(2)
    assert one.upbit.account().positions == {"KRW-BTC": D("0.5")}
    [rejected] = await one.events("OrderRejected")
    assert rejected.symbol == "BTCUSDT"
    await one.step(1)
    one.agree()
    assert one.upbit.account().positions == {}
    [closed] = await one.events("PositionClosed")
    assert closed.symbol == "KRW-BTC"
    assert "open leg: 0.5 of KRW-BTC at upbit has no other side" in caplog.text


async def test_a_second_leg_that_trades_in_part_is_withdrawn_and_the_first_reduced(pair):
    one = pair()
    sizes, venue = iter([D("0.2")]), one.binance
    show = venue.on_book

    def show_less(book):
        """The book that the engine saw was gone when the order came."""
        if book.bid == D(102):
            book = msgspec.structs.replace(book, bid_size=next(sizes))
        show(book)

    venue.on_book = show_less
    await one.step(2)
    assert venue.account().positions == {"BTCUSDT": D("-0.2")}
    await one.step(1)
    [cancelled] = await one.events("OrderCancelled")
    assert cancelled.symbol == "BTCUSDT"
    await one.step(1)
    one.agree()
    assert one.upbit.account().positions == {"KRW-BTC": D("0.2")}
    [reduced] = await one.events("PositionReduced")
    assert reduced.quantity == D("0.3")
    await one.runner.arun_once()
    one.agree()
    assert one.upbit.account().positions == one.binance.account().positions == {}


async def test_the_second_leg_is_not_sent_where_the_first_has_no_known_fate(pair):
    class Silent(PaperExchange):
        """Takes nothing and says nothing until it is woken."""

        awake = False

        async def place(self, request):
            if not self.awake:
                raise ExchangeUnavailable("silence")
            return await super().place(request)

    one = pair()
    silent = Silent(PaperConfig(), clock=one.runner._clock, name="upbit")
    one.runner._dealer._exchanges["upbit"] = silent
    one.runner._dealer._paper["upbit"] = silent
    await one.step(2)
    assert one.binance.account().orders == {}
    [unsent] = await one.events("OrderRejected")
    assert unsent.symbol == "BTCUSDT"
    assert unsent.reason.startswith("not sent")
    await one.step(1)
    never = (await one.events("OrderRejected"))[-1]
    assert (never.symbol, never.reason) == ("KRW-BTC", "never reached the exchange")
    silent.close()


async def test_without_a_rate_the_pass_fails_and_says_which(pair):
    one = pair(rates={})
    with pytest.raises(MissingRate, match="USDT to KRW"):
        await one.step(1)
    [failure] = await one.events("TradeRefused")
    assert failure.limit == "runner-failure"


async def test_the_rate_may_be_recorded_the_other_way_round(pair):
    one = pair(rates={"KRW/USDT": D("0.0008")})  # 1250 for 1: still a spread
    await one.step(2)
    assert len(await one.events("PositionOpened")) == 2
