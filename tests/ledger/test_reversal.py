"""Taking an event back: the state becomes as if it had not happened, or the reversal is refused."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from ledger import (
    CashDeposited,
    CashWithdrawn,
    CostBasisChosen,
    Event,
    EventReversed,
    InstrumentRegistered,
    InvalidEvent,
    Ledger,
    NotFound,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderPlaced,
    PortfolioState,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    RateMarked,
    RiskLimitSet,
    RuleViolation,
    SessionHalted,
    SessionStarted,
    SyncLedger,
    TradeRefused,
)

S = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def opened(position: str = "p1", **fields: Any) -> Event:
    given = {"symbol": "A", "side": "buy", "quantity": 10, "entry_price": 100} | fields
    return PositionOpened(position_id=position, **given)


def increased(quantity: object = 10, price: object = 120) -> Event:
    return PositionIncreased(symbol="A", position_id="p1", quantity=quantity, entry_price=price)


def reduced(quantity: object = 1, price: object = 110) -> Event:
    return PositionReduced(symbol="A", position_id="p1", quantity=quantity, exit_price=price)


def closed(position: str = "p1", price: object = 110) -> Event:
    return PositionClosed(symbol="A", position_id=position, exit_price=price)


def marked(price: object) -> Event:
    return PriceMarked(symbol="A", price=price)


def split(position: str = "p1") -> Event:
    return PositionAdjusted(symbol="A", position_id=position, split="2/1")


def placed(order: str = "o1", **fields: Any) -> Event:
    given = {"symbol": "A", "side": "buy", "quantity": 10, "price": 100} | fields
    return OrderPlaced(order_id=order, **given)


def cancelled(order: str = "o1") -> Event:
    return OrderCancelled(symbol="A", order_id=order)


def limit(name: str, value: object) -> Event:
    return RiskLimitSet(limit=name, value=value)


def rate(value: object, to: str = "KRW") -> Event:
    return RateMarked(from_currency="USD", to_currency=to, rate=value)


@pytest.fixture
def ledger() -> Iterator[SyncLedger]:
    with opened_ledger() as found:
        yield found


def opened_ledger() -> SyncLedger:
    return Ledger.sync.connect(f"memory:{uuid.uuid4().hex}", clock=lambda: NOON)


def figures(state: PortfolioState) -> dict[str, Any]:
    """All that is shown, apart from how many events there were."""
    symbols = {
        name: msgspec.structs.replace(found, revision=0) for name, found in state.symbols.items()
    }
    return {
        "positions": dict(state.positions),
        "orders": dict(state.orders),
        "balances": state.balances,
        "symbols": {name: found for name, found in symbols.items() if found != type(found)()},
        "others": (state.rates, state.limits, state.session, state.is_halted),
    }


# Each history, and the number of the event in it that is taken back.
REVERSED: dict[str, tuple[int, list[Event]]] = {
    "deposit": (
        2,
        [S, CashDeposited(currency="USD", amount=5), CashWithdrawn(currency="USD", amount=3)],
    ),
    "the first position of two": (2, [S, opened("p1"), opened("p2")]),
    "the last position of two": (3, [S, opened("p1"), opened("p2")]),
    "what stated the currency": (2, [S, placed(), opened(fee=1), marked(90)]),
    "the first limit of two": (2, [S, limit("a", 1), limit("b", 2)]),
    "a limit that was replaced": (2, [S, limit("a", 1), limit("a", 2)]),
    "a limit that replaced one": (3, [S, limit("a", 1), limit("a", 2)]),
    "a limit that was lifted": (3, [S, limit("a", 1), limit("a", None)]),
    "the last rate": (3, [S, rate(1300), rate(1400), rate(2, "EUR")]),
    "a rate that was replaced": (2, [S, rate(1300), rate(1400)]),
    "the only mark": (3, [S, opened(), marked(110)]),
    "a mark that was replaced": (3, [S, opened(), marked(110), marked(90)]),
    "a mark before an increase": (3, [S, opened(), marked(110), increased()]),
    "a mark before a close": (3, [S, opened(), marked(110), closed()]),
    "a mark before an opening": (2, [S, marked(110), opened()]),
    "a mark before a split": (3, [S, opened(), marked(110), split()]),
    "a mark before a market order": (2, [S, marked(110), placed(price=None)]),
    "an increase": (3, [S, opened(), increased(), marked(110)]),
    "a reduction": (3, [S, opened(), reduced(3), marked(110)]),
    "a reduction by FIFO": (
        5,
        [S, CostBasisChosen(method="fifo"), opened(), increased(), reduced(15)],
    ),
    "a close": (3, [S, opened(), closed(), opened("p2"), closed("p2")]),
    "a split": (4, [S, opened("p1"), opened("p2"), split(), marked(55)]),
    "funding": (3, [S, opened(), PositionAdjusted(symbol="A", position_id="p1", funding=-5)]),
    "a fill": (
        3,
        [
            S,
            placed(),
            OrderFilled(
                symbol="A",
                order_id="o1",
                trade_id="t",
                quantity=4,
                price=99,
                fee=1,
                fee_currency="BNB",
            ),
            placed("o2"),
        ],
    ),
    "the fill that ended it": (
        3,
        [
            S,
            placed(),
            OrderFilled(symbol="A", order_id="o1", trade_id="t", quantity=10, price=99),
            placed("o2"),
            cancelled("o2"),
        ],
    ),
    "a cancellation": (4, [S, placed("o1"), placed("o2"), cancelled("o1"), cancelled("o2")]),
    "a price for a market order": (
        3,
        [S, placed(price=None), OrderAmended(symbol="A", order_id="o1", price=5)],
    ),
    "an instrument": (
        2,
        [S, InstrumentRegistered(symbol="A", quote_currency="KRW", multiplier=10)],
    ),
    "a refusal": (2, [S, TradeRefused(symbol="A", trade_id="t", limit="a", reason="r"), opened()]),
    "a halt": (2, [S, SessionHalted(session="s")]),
    "the session": (1, [S]),
}


@pytest.mark.parametrize(("number", "events"), REVERSED.values(), ids=REVERSED)
def test_the_state_is_as_if_it_had_not_happened(number: int, events: list[Event]) -> None:
    without = [event for seq, event in enumerate(events, start=1) if seq != number]
    with opened_ledger() as ledger, opened_ledger() as other:
        for event in events:
            ledger.append(event)
        before = ledger.state()
        ledger.append(EventReversed(seq=number, reason="entered by mistake"))
        for event in without:
            other.append(event)
        assert figures(ledger.state()) == figures(other.state())
        assert ledger.state(len(events)) == before, "what was, stays readable"


def test_a_reversal_stands_in_the_stream_of_what_it_reverses(ledger: SyncLedger) -> None:
    ledger.append([S, opened(), opened("p2", symbol="B")])
    commit = ledger.append(EventReversed(seq=3, reason="r"))
    assert commit.revisions == {"B": 2}
    assert list(ledger.state().positions) == ["p1"]


def test_the_undo_of_a_writer_is_not_believed(ledger: SyncLedger) -> None:
    """What is taken back is worked out by the ledger."""
    ledger.append([S, CashDeposited(currency="USD", amount=5)])
    ledger.append(EventReversed(seq=2, reason="r", undo={"deposited": {"USD": "-1000000"}}))
    assert ledger.state().total_balance == 0


def test_dependent_events_are_reversed_the_last_one_first(ledger: SyncLedger) -> None:
    ledger.append([S, opened(), increased(), reduced(), marked(5)])
    for number, dependent in ((2, "#3, #4"), (3, "#4")):
        with pytest.raises(RuleViolation, match=f"#{number} cannot be .*: {dependent}$") as caught:
            ledger.append(EventReversed(seq=number, reason="r"))
        assert caught.value.rule == "reversal-depends"
        assert "the last one first" in caught.value.hint
    for number in (4, 3, 2):
        ledger.append(EventReversed(seq=number, reason="r"))
    state = ledger.state()
    assert not state.positions
    assert (state.realized_pnl, state.total_balance, state.symbols["A"].mark) == (0, 0, 5)


def test_what_only_the_rules_see_depends_too(ledger: SyncLedger) -> None:
    """Without the fill, the position would have moved beyond what was filled."""
    fill = OrderFilled(symbol="A", order_id="o1", trade_id="t1", quantity=6, price=100)
    more = OrderFilled(symbol="A", order_id="o1", trade_id="t2", quantity=4, price=100)
    ledger.append([S, placed(), fill, more, opened(order_id="o1")])
    with pytest.raises(RuleViolation, match=r"cannot be reversed .*: #4, #5$"):
        ledger.append(EventReversed(seq=3, reason="r"))


@pytest.mark.parametrize(
    ("reversal", "rule", "message"),
    [
        (3, "reversal-of-reversal", "#3 is a reversal itself"),
        (2, "reversed-already", "#2 was reversed by #3"),
        (1, "reversal-depends", "SessionStarted #1 cannot be reversed"),
    ],
)
def test_refused_without_a_trace(
    ledger: SyncLedger, reversal: int, rule: str, message: str
) -> None:
    ledger.append([S, CashDeposited(currency="USD", amount=5)])
    ledger.append(EventReversed(seq=2, reason="r"))
    ledger.append(CashDeposited(currency="USD", amount=7))
    before = ledger.state()
    with pytest.raises(RuleViolation, match=message) as caught:
        ledger.append(EventReversed(seq=reversal, reason="again"))
    assert caught.value.rule == rule
    assert caught.value.event_type == "EventReversed"
    assert ledger.state() == before


def test_what_is_not_there_cannot_be_reversed(ledger: SyncLedger) -> None:
    ledger.append(S)
    with pytest.raises(NotFound):
        ledger.append(EventReversed(seq=2, reason="r"))


def test_a_reversal_stands_alone_in_its_commit(ledger: SyncLedger) -> None:
    ledger.append([S, CashDeposited(currency="USD", amount=5)])
    with pytest.raises(InvalidEvent, match="EventReversed: it stands alone in its commit"):
        ledger.append([EventReversed(seq=2, reason="r"), marked(1)])


def test_an_earlier_reversal_is_no_obstacle(ledger: SyncLedger) -> None:
    """Two events that had a part in one figure are taken back one after the other."""
    ledger.append([S, opened(), marked(110), increased(), marked(120)])
    ledger.append(EventReversed(seq=3, reason="r"))
    ledger.append(EventReversed(seq=5, reason="r"))
    assert ledger.state().unrealized_pnl == 0
    ledger.append(EventReversed(seq=4, reason="r"))
    assert ledger.state().balances["USD"].tied_up == 1000
    assert ledger.accounts(use_snapshots=False).digest() == ledger.state().digest


def test_a_snapshot_between_changes_nothing(ledger: SyncLedger) -> None:
    ledger.append([S, opened(), marked(110), increased()])
    ledger.snapshot()
    ledger.append(EventReversed(seq=3, reason="r"))
    assert ledger.state().unrealized_pnl == 0
    assert ledger.accounts(use_snapshots=False).digest() == ledger.state().digest
