"""Valid histories for properties: random events, of which those are kept that the rules accept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from msgspec import structs

from ledger import (
    Accounts,
    CashDeposited,
    CashWithdrawn,
    CostBasisChosen,
    Event,
    EventReversed,
    InstrumentRegistered,
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
    RuleViolation,
    SessionEnded,
    SessionHalted,
    SessionStarted,
    TradeRefused,
    fold,
)
from ledger.evolve import check
from ledger.reversing import undo_from_history

SYMBOLS = ("AAPL", "BTCUSDT", "KRW-BTC")
CURRENCIES = ("USD", "USDT", "KRW")
START = datetime(2026, 1, 5, 14, 30, tzinfo=UTC)


def recorded(seq: int, revision: int, event: Event) -> Recorded:
    """Record an event as a store would."""
    moment = START + timedelta(seconds=seq)
    return Recorded(
        seq=seq,
        revision=revision,
        recorded_at=moment,
        event=structs.replace(event, occurred_at=event.occurred_at or moment),
        commit=f"test:1:{seq}",
        writer="test",
    )


def reversal_of(history: Sequence[Recorded], seq: int, reason: str = "wrong") -> EventReversed:
    """Fill in the reversal of an event as the ledger does at the append.

    Raises:
        RuleViolation: Later events depend on it, or it was reversed.
    """
    original = history[seq - 1]
    undo = undo_from_history(Accounts(), history, original)
    return EventReversed(symbol=original.symbol, seq=seq, reason=reason, undo=undo)


def accepted(proposals: Sequence[Event | int]) -> list[Recorded]:
    """Keep of the proposed events those that the rules accept, in order.

    A number proposes to reverse one of the events so far.
    """
    accounts = Accounts()
    history: list[Recorded] = []
    for proposal in proposals:
        seq = len(history) + 1
        try:
            if isinstance(proposal, int):
                if not history:
                    continue
                event: Event = reversal_of(history, proposal % len(history) + 1)
            else:
                event = proposal
            revision = accounts.account(event.symbol).revision + 1
            taken = recorded(seq, revision, event)
            check(accounts, taken.event, seq)
        except RuleViolation:
            continue
        history.append(taken)
    return history


def copied(accounts: Accounts) -> Accounts:
    """Return accounts that share nothing with the given ones."""
    return deepcopy(accounts)


def folded(history: Sequence[Recorded]) -> Accounts:
    """Fold a history from nothing."""
    return fold(history)


# Amounts with few digits collide (all of a position is closed, an order is wholly filled), amounts
# with many digits find what rounds.
_UNITS = st.integers(1, 9).map(str)
_FINE = st.integers(1, 10**20).map(lambda n: f"{n // 10**18}.{n % 10**18:018d}")
_QUANTITY = (
    _UNITS
    | _UNITS
    | _UNITS
    | st.sampled_from(["0.1", "2.50", "1E-18", "100"])
    | (_FINE.filter(lambda text: float(text) > 0))
)
_PRICE = st.sampled_from(["0", "0.01", "10.00", "10.0025", "99.99", "1E-8"]) | _UNITS | _FINE
_SIGNED = st.sampled_from(["-5", "0.10", "-0.001", "3", "0"])
_FEE = st.none() | st.none() | _SIGNED
_SYMBOL = st.sampled_from(("AAPL", "AAPL", *SYMBOLS))
_CURRENCY = st.sampled_from(CURRENCIES)
_SIDE = st.sampled_from(["buy", "sell"])
_NUMBER = st.integers(1, 2)
_REASON = st.none() | st.sampled_from(["", "asked for", "1E-8 \u20a9"])
_LIMIT = st.sampled_from(["max_notional", "daily_loss"])

_Made = st.SearchStrategy[Event]


def _event(kind: type[Event], **fields: st.SearchStrategy[Any]) -> _Made:
    return st.builds(kind, **fields)


def _of_symbol(kind: type[Event], **fields: st.SearchStrategy[Any]) -> _Made:
    """Build events of a symbol; its ids are its own, as ids are unique over a portfolio."""

    def make(symbol: str, order: int | None, position: int, rest: dict[str, Any]) -> Event:
        own: dict[str, Any] = {}
        if "order_id" in kind.__struct_fields__ and order is not None:
            own["order_id"] = f"{symbol}-o{order}"
        if "position_id" in kind.__struct_fields__:
            own["position_id"] = f"{symbol}-p{position}"
        return kind(symbol=symbol, **own, **rest)

    needs_order = "order_id" in fields
    fields.pop("order_id", None)
    orders = _NUMBER if needs_order else st.none() | _NUMBER
    return st.builds(make, _SYMBOL, orders, st.integers(1, 2), st.fixed_dictionaries(fields))


_ORDER = {"order_id": st.just(True)}
_STRATEGIES: dict[type[Event], Callable[[], _Made]] = {
    SessionStarted: lambda: _event(
        SessionStarted,
        session=_NUMBER.map(lambda n: f"s{n}"),
        mode=st.sampled_from(["paper", "live", "backfill"]),
        base_currency=st.just("USD"),
        clock=st.sampled_from(["recorded", "occurred"]),
    ),
    SessionEnded: lambda: _event(
        SessionEnded, session=_NUMBER.map(lambda n: f"s{n}"), reason=_REASON
    ),
    SessionHalted: lambda: _event(
        SessionHalted, session=_NUMBER.map(lambda n: f"s{n}"), reason=_REASON
    ),
    CostBasisChosen: lambda: _event(
        CostBasisChosen, method=st.sampled_from(["average", "fifo", "lifo"])
    ),
    CashDeposited: lambda: _event(
        CashDeposited, currency=_CURRENCY, amount=_QUANTITY, reason=_REASON
    ),
    CashWithdrawn: lambda: _event(CashWithdrawn, currency=_CURRENCY, amount=_QUANTITY),
    RateMarked: lambda: _event(
        RateMarked,
        from_currency=_CURRENCY,
        to_currency=_CURRENCY,
        rate=st.sampled_from(["1300.5", "0.00075", "1", "0.9998"]),
    ),
    InstrumentRegistered: lambda: _of_symbol(
        InstrumentRegistered,
        quote_currency=_CURRENCY,
        multiplier=st.none() | st.just("10"),
        tick_size=st.none() | st.just("0.01"),
    ),
    OrderPlaced: lambda: _of_symbol(
        OrderPlaced,
        **_ORDER,
        side=_SIDE,
        quantity=_QUANTITY,
        price=st.none() | _PRICE,
        venue=st.none() | st.just("paper"),
    ),
    OrderAccepted: lambda: _of_symbol(
        OrderAccepted, **_ORDER, venue_order_id=st.none() | st.just("1E-8")
    ),
    OrderFilled: lambda: _of_symbol(
        OrderFilled,
        **_ORDER,
        trade_id=_NUMBER.map(lambda n: f"t{n}"),
        quantity=_QUANTITY,
        price=_PRICE,
        fee=_FEE,
        fee_currency=st.none() | _CURRENCY,
    ),
    OrderAmended: lambda: _of_symbol(
        OrderAmended, **_ORDER, quantity=st.none() | _QUANTITY, price=st.none() | _PRICE
    ),
    OrderCancelled: lambda: _of_symbol(OrderCancelled, **_ORDER, reason=_REASON),
    OrderRejected: lambda: _of_symbol(OrderRejected, **_ORDER, reason=_REASON),
    OrderExpired: lambda: _of_symbol(OrderExpired, **_ORDER, reason=_REASON),
    PositionOpened: lambda: _of_symbol(
        PositionOpened, side=_SIDE, quantity=_QUANTITY, entry_price=_PRICE, fee=_FEE
    ),
    PositionIncreased: lambda: _of_symbol(
        PositionIncreased, quantity=_QUANTITY, entry_price=_PRICE, fee=_FEE
    ),
    PositionReduced: lambda: _of_symbol(
        PositionReduced, quantity=_QUANTITY, exit_price=_PRICE, fee=_FEE
    ),
    PositionClosed: lambda: _of_symbol(PositionClosed, exit_price=_PRICE, fee=_FEE),
    PositionAdjusted: lambda: (
        _of_symbol(PositionAdjusted, funding=_SIGNED)
        | _of_symbol(PositionAdjusted, split=st.sampled_from(["7/1", "1/4", "3/2"]))
    ),
    PriceMarked: lambda: _of_symbol(PriceMarked, price=_PRICE),
    RiskLimitSet: lambda: _event(
        RiskLimitSet,
        symbol=st.just("") | _SYMBOL,
        limit=_LIMIT,
        value=st.none() | _QUANTITY,
    ),
    TradeRefused: lambda: _event(
        TradeRefused,
        symbol=st.just("") | _SYMBOL,
        trade_id=_NUMBER.map(lambda n: f"t{n}"),
        limit=_LIMIT,
        reason=st.just("too much"),
    ),
}
# What the rules often refuse is proposed more often.
_OFTEN = (
    OrderPlaced,
    OrderFilled,
    OrderAmended,
    PositionOpened,
    PositionIncreased,
    PositionReduced,
)
PROPOSED_TYPES = frozenset({*_STRATEGIES, EventReversed})


def proposals() -> st.SearchStrategy[Event | int]:
    """Any event over a few symbols and ids, or the number of one to reverse."""
    made = [make() for make in _STRATEGIES.values()]
    made += [_STRATEGIES[kind]() for kind in _OFTEN for _ in range(3)]
    return st.one_of(*made, st.integers(0, 40))


def histories(max_size: int = 30) -> st.SearchStrategy[list[Recorded]]:
    """Histories that a ledger could hold; most begin as real ones do."""
    start = SessionStarted(session="s1", mode="paper", base_currency="USD", clock="recorded")
    placed = [
        OrderPlaced(symbol="AAPL", order_id="AAPL-o1", side="buy", quantity=9, price="10.0025"),
        OrderPlaced(symbol="AAPL", order_id="AAPL-o2", side="sell", quantity="2.50"),
        PositionOpened(
            symbol="AAPL", position_id="AAPL-p1", side="buy", quantity=9, entry_price="10.0025"
        ),
    ]
    openings = st.sampled_from(
        [
            [start],
            [start, *placed],
            [start, CostBasisChosen(method="fifo"), *placed],
            [start, CostBasisChosen(method="lifo"), *placed],
            [start, InstrumentRegistered(symbol="KRW-BTC", quote_currency="KRW")],
            [],
        ]
    )
    # The second form is longer on average; what fails is shrunk to the first.
    rest = st.lists(proposals(), max_size=max_size)
    rest |= st.lists(proposals(), min_size=max_size // 2, max_size=max_size)
    return st.builds(lambda first, then: accepted([*first, *then]), openings, rest)
