"""Sessions to look back on: one told by hand, and generated ones with all that can happen."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from histories import accepted
from msgspec import structs

import replay
from ledger import (
    Accounts,
    CashDeposited,
    CashWithdrawn,
    CostBasisChosen,
    Event,
    EventReversed,
    InstrumentRegistered,
    Ledger,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    RateMarked,
    Recorded,
    RiskLimitSet,
    SessionEnded,
    SessionHalted,
    SessionStarted,
    SyncLedger,
    TradeRefused,
    fold,
    state_from_accounts,
)

START = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)

Told = Callable[..., replay.SessionView]


@pytest.fixture
def ledger() -> Iterator[SyncLedger]:
    """A portfolio of its own in memory."""
    with Ledger.sync.connect(f"memory:{uuid.uuid4().hex}") as opened:
        yield opened


@pytest.fixture
def told(ledger) -> Told:
    """Record events, ten seconds apart from 14:30:00, and look back on their session."""

    def tell(*events: Event) -> replay.SessionView:
        append(ledger, events)
        return replay.view(ledger)

    return tell


def append(ledger: SyncLedger, events: Sequence[Event]) -> None:
    commit: list[Event] = []
    first = ledger.head().seq
    for number, event in enumerate(events, first):
        at = event.occurred_at or START + number * timedelta(seconds=10)
        timed = structs.replace(event, occurred_at=at)
        if isinstance(event, EventReversed | CostBasisChosen):  # stands alone in its commit
            _commit(ledger, commit)
            alone = structs.replace(timed, undo=None) if event.type == "EventReversed" else timed
            _commit(ledger, [alone])
            commit = []
            continue
        commit.append(timed)
    _commit(ledger, commit)


def _commit(ledger: SyncLedger, events: list[Event]) -> None:
    if events:
        ledger.append(events)


@pytest.fixture
def day(told) -> replay.SessionView:
    """A day of trading in AAPL and MSFT that can be reckoned by hand."""
    return told(
        SessionStarted(session="day", mode="paper", base_currency="USD", clock="occurred"),  # 1
        CashDeposited(currency="USD", amount=100_000),
        OrderPlaced(symbol="AAPL", order_id="o-1", side="buy", quantity=10, price=100),
        OrderFilled(
            symbol="AAPL", order_id="o-1", trade_id="t-1", quantity=10, price=100, fee="1.00"
        ),
        PositionOpened(
            symbol="AAPL",
            position_id="p-1",
            side="buy",
            quantity=10,
            entry_price=100,
            order_id="o-1",
        ),  # 5
        PriceMarked(symbol="AAPL", price=90),
        PriceMarked(symbol="MSFT", price=50),
        PriceMarked(symbol="AAPL", price=120),
        OrderPlaced(symbol="AAPL", order_id="o-2", side="sell", quantity=10, position_id="p-1"),
        OrderFilled(
            symbol="AAPL", order_id="o-2", trade_id="t-2", quantity=4, price=120, fee="0.50"
        ),  # 10
        PositionReduced(
            symbol="AAPL", position_id="p-1", quantity=4, exit_price=120, order_id="o-2"
        ),
        PositionOpened(symbol="MSFT", position_id="p-2", side="sell", quantity=2, entry_price=50),
        PriceMarked(symbol="MSFT", price=55),
        OrderFilled(
            symbol="AAPL", order_id="o-2", trade_id="t-3", quantity=6, price=95, fee="0.60"
        ),
        PositionClosed(symbol="AAPL", position_id="p-1", exit_price=95, order_id="o-2"),  # 15
        SessionEnded(session="day"),
    )


def proposals(
    chance: random.Random, count: int, *, also: Sequence[Maker] = ()
) -> list[Event | int]:
    """Propose events of many kinds; the rules will refuse some of them."""
    found: list[Event | int] = [
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        CashDeposited(currency="USD", amount=1_000_000),
        RateMarked(from_currency="EUR", to_currency="USD", rate="1.25"),
        InstrumentRegistered(symbol="BRK.B", quote_currency="EUR", multiplier="0.5"),
    ]
    makers = [_order, _order, _fill, _fill, _position, _position, _change, _change, _mark, _mark]
    names = Names(chance)
    for _ in range(count):
        made = chance.choice([*makers, _rare, *also])(chance, names)
        found += made if isinstance(made, list) else [made]
    return found


class Names:
    """Ids that are new, or were given to the same symbol not long ago."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._known: dict[str, list[str]] = {}

    def symbol(self) -> str:
        return self._chance.choice(["AAPL", "BRK.B", "KRW-BTC"])

    def new(self, symbol: str, kind: str) -> str:
        known = self._known.setdefault(symbol + kind, [])
        known.append(f"{symbol}.{kind}-{len(known) + 1}")
        return known[-1]

    def old(self, symbol: str, kind: str) -> str:
        return self._chance.choice(self._known.get(symbol + kind, ["nothing"])[-5:])


Maker = Callable[[random.Random, Names], Event | int | list[Event | int]]


def _price(chance: random.Random) -> str:
    return chance.choice(["10", "9.5", "11.37", "10.0025", "3", "0.333333333"])


def _order(chance: random.Random, names: Names) -> Event:
    symbol = names.symbol()
    return OrderPlaced(
        symbol=symbol,
        order_id=names.new(symbol, "o"),
        side=chance.choice(["buy", "sell"]),
        quantity=chance.randint(1, 9),
        price=chance.choice([None, _price(chance)]),
        position_id=chance.choice([None, names.old(symbol, "p")]),
    )


def _fill(chance: random.Random, names: Names) -> Event:
    symbol = names.symbol()
    order = names.old(symbol, "o")
    if chance.random() < 0.2:
        kind = chance.choice([OrderAccepted, OrderCancelled])
        return kind(symbol=symbol, order_id=order)
    return OrderFilled(
        symbol=symbol,
        order_id=order,
        trade_id=f"t{chance.randint(1, 99)}",
        quantity=chance.randint(1, 4),
        price=_price(chance),
        fee=chance.choice([None, "0.1", "-0.01"]),
        fee_currency=chance.choice([None, None, "EUR"]),
    )


def _position(chance: random.Random, names: Names) -> Event:
    symbol = names.symbol()
    fields = {
        "symbol": symbol,
        "quantity": chance.choice(["1", "3", "7", "0.1"]),
        "entry_price": _price(chance),
        "fee": chance.choice([None, "0.05"]),
    }
    if chance.random() < 0.4:
        return PositionIncreased(position_id=names.old(symbol, "p"), **fields)
    side = chance.choice(["buy", "sell"])
    return PositionOpened(position_id=names.new(symbol, "p"), side=side, **fields)


def _change(chance: random.Random, names: Names) -> Event:
    symbol = names.symbol()
    position = names.old(symbol, "p")
    if chance.random() < 0.2:
        return PositionClosed(symbol=symbol, position_id=position, exit_price=_price(chance))
    if chance.random() < 0.2:
        more = chance.choice([{"funding": "-0.25"}, {"split": "2/1"}])
        return PositionAdjusted(symbol=symbol, position_id=position, **more)
    return PositionReduced(
        symbol=symbol,
        position_id=position,
        quantity=chance.choice(["1", "2", "0.3"]),
        exit_price=_price(chance),
    )


def _mark(chance: random.Random, names: Names) -> Event:
    return PriceMarked(symbol=names.symbol(), price=_price(chance))


def _rare(chance: random.Random, names: Names) -> Event | int:
    symbol = names.symbol()
    return chance.choice(
        [
            chance.randint(3, 10_000),
            chance.randint(3, 10_000),
            CashDeposited(currency=chance.choice(["USD", "EUR"]), amount=5),
            CostBasisChosen(method=chance.choice(["fifo", "lifo", "average"])),
            RateMarked(from_currency="EUR", to_currency="USD", rate=chance.choice(["1.2", "1.3"])),
            RiskLimitSet(symbol=symbol, limit="max", value=chance.choice([None, "5"])),
            RiskLimitSet(limit="loss", value="100"),
            TradeRefused(symbol=symbol, trade_id="t", limit="max", reason="too much"),
        ]
    )


def _end(chance: random.Random, names: Names) -> Event:
    symbol = names.symbol()
    order = names.old(symbol, "o")
    if chance.random() < 0.5:
        quantity = chance.choice([None, 2, 12])
        price = "10.5" if quantity is None else chance.choice([None, "8"])
        return OrderAmended(symbol=symbol, order_id=order, quantity=quantity, price=price)
    return chance.choice([OrderRejected, OrderExpired])(symbol=symbol, order_id=order)


def _churn(chance: random.Random, names: Names) -> list[Event | int]:
    """Orders that are done at once; of those the state forgets all but the latest."""
    found: list[Event | int] = []
    for _ in range(4):
        order = names.new("AAPL", "quick")
        found.append(
            OrderPlaced(symbol="AAPL", order_id=order, side="buy", quantity=2, price="1.5")
        )
        found.append(OrderCancelled(symbol="AAPL", order_id=order))
    if chance.random() < 0.3:
        found.append(-1)  # takes the last one back: the order that had to make room returns
    return found


def _flip(chance: random.Random, names: Names) -> list[Event | int]:
    """Sell what is held and more, with one order, or the other way round."""
    symbol, price = names.symbol(), _price(chance)
    order, before, after = names.new(symbol, "o"), names.old(symbol, "p"), names.new(symbol, "p")
    side = chance.choice(["buy", "sell"])
    of = {"symbol": symbol, "order_id": order}
    return [
        OrderPlaced(**of, side=side, quantity=20, price=price),
        OrderFilled(**of, trade_id="t", quantity=20, price=price, fee="0.3"),
        PositionClosed(**of, position_id=before, exit_price=price),
        PositionOpened(**of, position_id=after, side=side, quantity=4, entry_price=price),
    ]


def _upheaval(chance: random.Random, names: Names) -> list[Event | int]:
    """What is rarer still, and leaves totals without a rate for a while."""
    session, later = names.old("", "s"), names.new("", "s")
    start = SessionStarted(session=later, mode="paper", base_currency="USD", clock="occurred")
    return chance.choice(
        [
            [SessionEnded(session="s"), SessionEnded(session=session), start],
            [SessionHalted(session="s"), SessionHalted(session=session)],
            [CashWithdrawn(currency=chance.choice(["USD", "EUR"]), amount="2.5")],
            [CashDeposited(currency="JPY", amount=1_000), -1],
            [CashDeposited(currency=chance.choice(["JPY", "CHF"]), amount=1_000)],
            [RateMarked(from_currency="USD", to_currency=chance.choice(["JPY", "CHF"]), rate="3")],
            [InstrumentRegistered(symbol=names.symbol(), quote_currency="EUR", multiplier="0.5")],
            [TradeRefused(trade_id="t", limit="loss", reason="too much")],
            [RiskLimitSet(limit=limit, value=value) for limit in "ab" for value in ("1", None)],
            [RiskLimitSet(symbol="AAPL", limit="a", value=value) for value in ("1", "2", None)],
        ]
    )


Told = list[dict[str, replay.Figure]]
Derivation = Callable[[Sequence[Recorded]], Told]


class Wild(NamedTuple):
    """A history in which everything happens, and every figure that it ever had.

    ``told`` is derived the slow and plain way: all figures of a state from nothing but the fold,
    after each event; ``told[0]`` are those before the first.
    """

    store: str
    session: replay.SessionView
    events: list[Recorded]
    told: Told


@pytest.fixture(scope="session")
def told_after_each() -> Derivation:
    """Derive all figures before the first of some events, and after each of them."""

    def derive(events: Sequence[Recorded]) -> Told:
        accounts = Accounts()
        told = [replay.figures(state_from_accounts(accounts, with_digest=False))]
        for recorded in events:
            fold([recorded], accounts)
            told.append(replay.figures(state_from_accounts(accounts, with_digest=False)))
        return told

    return derive


@pytest.fixture(params=[5, 9, 16], scope="session")
def wild(request, told_after_each) -> Iterator[Wild]:
    """A random history of all event types: orders are forgotten, totals cannot always be told."""
    also = [_end, _end, _churn, _churn, _flip, _upheaval, _upheaval]
    history = accepted(proposals(random.Random(request.param), 240, also=also))
    store = f"memory:{uuid.uuid4().hex}"
    with Ledger.sync.connect(store) as opened:
        append(opened, [recorded.event for recorded in history])
        session = replay.view(opened)
        events = list(session.history.events())
        yield Wild(store, session, events, told_after_each(events))


@pytest.fixture(params=[1, 2, 3], scope="session")
def generated(request) -> Iterator[replay.SessionView]:
    """A random history in which everything happens, reversals included; the session is open."""
    history = accepted(proposals(random.Random(request.param), 400))
    assert len(history) > 150
    assert any(recorded.type == "EventReversed" for recorded in history)
    with Ledger.sync.connect(f"memory:{uuid.uuid4().hex}") as opened:
        append(opened, [recorded.event for recorded in history])
        yield replay.view(opened)
