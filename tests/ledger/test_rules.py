"""Every rule refuses what it forbids, names the value, and leaves no trace."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

import ledger
from ledger import (
    Accounts,
    CashDeposited,
    CostBasisChosen,
    Event,
    EventReversed,
    InstrumentRegistered,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderPlaced,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    RateMarked,
    RuleViolation,
    SessionEnded,
    SessionHalted,
    SessionStarted,
)
from ledger.accounts import Quarantine
from ledger.amounts import exact
from ledger.evolve import check, step
from ledger.snapshot import bytes_from_accounts


def started(session: str = "s1", currency: str = "USD") -> Event:
    return SessionStarted(session=session, mode="paper", base_currency=currency, clock="recorded")


def order(**fields: object) -> Event:
    given = {"symbol": "A", "order_id": "o1", "side": "buy", "quantity": 10, "price": 5} | fields
    return OrderPlaced(**given)


def fill(quantity: object, trade: str = "t1") -> Event:
    return OrderFilled(symbol="A", order_id="o1", trade_id=trade, quantity=quantity, price=5)


def opened(quantity: object = 10, order_id: str | None = None, position: str = "p1") -> Event:
    return PositionOpened(
        symbol="A",
        position_id=position,
        side="buy",
        quantity=quantity,
        entry_price=5,
        order_id=order_id,
    )


def increased(quantity: object, order_id: str | None = None, position: str = "p1") -> Event:
    return PositionIncreased(
        symbol="A", position_id=position, quantity=quantity, entry_price=5, order_id=order_id
    )


def reduced(quantity: object, order_id: str | None = None, position: str = "p1") -> Event:
    return PositionReduced(
        symbol="A", position_id=position, quantity=quantity, exit_price=5, order_id=order_id
    )


def closed(order_id: str | None = None, position: str = "p1") -> Event:
    return PositionClosed(symbol="A", position_id=position, exit_price=5, order_id=order_id)


def split(ratio: str) -> Event:
    return PositionAdjusted(symbol="A", position_id="p1", split=ratio)


def instrument(currency: str = "USD", multiplier: object = None) -> Event:
    return InstrumentRegistered(symbol="A", quote_currency=currency, multiplier=multiplier)


S = started()
REFUSED: list[tuple[str, list[Event], Event, str]] = [
    ("currency-unstated", [], order(), "OrderPlaced in A: nobody has stated the currency of A"),
    ("currency-unstated", [], opened(), "nobody has stated the currency of A"),
    ("order-exists", [S, order()], order(), "order o1 was placed at #2 and is pending"),
    ("order-unknown", [S], OrderAccepted(symbol="A", order_id="o9"), "order o9 is not known"),
    ("order-unknown", [S], fill(1), "OrderFilled in A: order o1 is not known"),
    ("order-state", [S, order(), fill(10)], fill(1, "t2"), "order o1 is filled"),
    (
        "order-state",
        [S, order(), OrderCancelled(symbol="A", order_id="o1")],
        OrderCancelled(symbol="A", order_id="o1"),
        "order o1 is cancelled",
    ),
    ("trade-known", [S, order(), fill(1)], fill(2), "trade t1 of order o1 is recorded"),
    ("overfill", [S, order(), fill(4)], fill(7, "t2"), "order o1 of 10 would be filled 11"),
    (
        "amend-below-filled",
        [S, order(), fill(4)],
        OrderAmended(symbol="A", order_id="o1", quantity="3.9"),
        "order o1 has 4 filled, above the new quantity 3.9",
    ),
    ("position-exists", [S, opened()], opened(), "position p1 is open since #2"),
    ("position-exists", [S, opened(), closed()], opened(), "position p1 was closed at #3"),
    ("position-unknown", [S], increased(1), "position p1 is not open"),
    ("position-unknown", [S], reduced(1), "position p1 is not open"),
    ("position-unknown", [S], closed(), "position p1 is not open"),
    ("position-unknown", [S], split("7/1"), "position p1 is not open"),
    ("position-closed", [S, opened(), closed()], reduced(1), "position p1 was closed at #3"),
    ("position-closed", [S, opened(), reduced(10)], closed(), "position p1 was closed at #3"),
    (
        "position-overclosed",
        [S, opened()],
        reduced("10.5"),
        "10.5 of position p1, of which 10 is open",
    ),
    (
        "position-beyond-fills",
        [S, order(), fill(4)],
        opened(5, "o1"),
        "order o1 has 4 filled, and positions would have moved by 5",
    ),
    (
        "position-beyond-fills",
        [S, order(), fill(4), opened(3, "o1")],
        increased(2, "o1"),
        "order o1 has 4 filled, and positions would have moved by 5",
    ),
    (
        "position-beyond-fills",
        [S, order(side="sell"), fill(4), opened()],
        reduced(5, "o1"),
        "order o1 has 4 filled, and positions would have moved by 5",
    ),
    (
        "position-beyond-fills",
        [S, order(side="sell"), fill(4), opened()],
        closed("o1"),
        "order o1 has 4 filled, and positions would have moved by 10",
    ),
    (
        "split-inexact",
        [S, opened(10)],
        split("1/3"),
        "10 times 1/3 is not an exact quantity",
    ),
    (
        "split-inexact",
        [S, CostBasisChosen(method="fifo"), opened(1), increased(2)],
        split("1/3"),
        "1 times 1/3 is not an exact quantity",
    ),
    ("session-open", [S], started("s2"), "session s1 is open since #1"),
    (
        "base-currency-fixed",
        [S, SessionEnded(session="s1")],
        started("s2", "EUR"),
        "the portfolio's base currency is USD, not EUR",
    ),
    ("session-not-open", [], SessionEnded(session="s1"), "session s1 is not open; open is: none"),
    ("session-not-open", [S], SessionEnded(session="s2"), "s2 is not open; open is: s1"),
    ("session-not-open", [S], SessionHalted(session="s2"), "s2 is not open; open is: s1"),
    (
        "session-halted",
        [S, SessionHalted(session="s1")],
        SessionHalted(session="s1"),
        "the session is halted already",
    ),
    (
        "rate-of-itself",
        [],
        RateMarked(from_currency="USD", to_currency="USD", rate=2),
        "USD against itself is always 1",
    ),
    ("currency-fixed", [S, order()], instrument("EUR"), "is booked in USD, not EUR"),
    ("multiplier-fixed", [S, order()], instrument(multiplier=10), "multiplier cannot change"),
    ("multiplier-fixed", [S, opened()], instrument(multiplier=10), "multiplier cannot change"),
    (
        "undo-missing",
        [CashDeposited(currency="USD", amount=1)],
        EventReversed(seq=1, reason="r"),
        "what #1 contributed is not filled in",
    ),
    *[
        ("undo-unfit", [S, opened()], EventReversed(symbol="A", seq=2, reason="r", undo=undo), said)
        for undo, said in [
            ({"nonsense": [1, 2]}, "an account has no 'nonsense' to take back"),
            ({"revision": [1, 2]}, "an account has no 'revision' to take back"),
            ({"realized_pnl": "x"}, "it does not fit the account"),
            ({"positions": {"p9": {"value": ["1", "2"]}}}, "it does not fit the account"),
            ({"positions": [5, 6]}, "it does not fit the account"),
            ({"mark": []}, "it does not fit the account"),
            ({"fees": "1"}, "it does not fit the account"),
        ]
    ],
]


def after(events: list[Event]) -> Accounts:
    accounts = Accounts()
    for seq, event in enumerate(events, start=1):
        check(accounts, event, seq)
    return accounts


@pytest.mark.parametrize(
    ("rule", "before", "event", "message"),
    REFUSED,
    ids=[f"{rule}-{event.type}" for rule, _, event, _ in REFUSED],
)
def test_refused(rule: str, before: list[Event], event: Event, message: str) -> None:
    accounts = after(before)
    accounts.account(event.symbol)
    digest, saved = accounts.digest(), bytes_from_accounts(accounts)
    with pytest.raises(RuleViolation) as caught:
        check(accounts, event, 99)
    error = caught.value
    assert error.rule == rule
    assert message in str(error)
    assert str(error).startswith(event.type)
    assert error.event_type == event.type
    assert (error.code, error.exit_code) == ("rule", 7)
    assert bytes_from_accounts(accounts) == saved
    assert accounts.digest() == digest


def test_every_rule_is_tested_here() -> None:
    """A rule that is added comes with a case above."""
    folder = Path(ledger.__file__).parent
    text = "".join(path.read_text() for path in [folder / "rules.py", *folder.glob("evolve*.py")])
    named = set(re.findall(r'refuse\(\s*event, *\s*"([a-z-]+)"', text))
    assert named == {rule for rule, *_ in REFUSED} | {"quarantined", "wrong-stream"}


def test_a_stream_in_quarantine_takes_no_further_events() -> None:
    accounts = after([S, opened()])
    found = Quarantine(seq=2, type="PositionOpened", rule="x", message="why")
    accounts.symbols["A"].quarantine = found
    with pytest.raises(RuleViolation, match=r"in quarantine since #2 \(x: why\)") as caught:
        check(accounts, opened(position="p2"), 3)
    assert caught.value.rule == "quarantined"
    check(accounts, CashDeposited(currency="USD", amount=1), 3)


@pytest.mark.parametrize(
    "events",
    [
        [S, order(), fill(4), opened(4, "o1"), fill(6, "t2"), increased(6, "o1")],
        [S, opened(5, "elsewhere")],  # an order of another system: nothing is known of its fills
        [S, order(), opened(10, "o1")],  # written by hand, without fills
        [S, opened(), instrument("USD")],
        [S, SessionEnded(session="s1"), started("s2")],
        [instrument("KRW", 10), order(), opened()],
        [S, opened(3), split("1/3"), split("3/1")],
    ],
)
def test_not_refused(events: list[Event]) -> None:
    assert after(events).seq == len(events)


@pytest.mark.parametrize(
    ("forged", "symbol"),
    [(CashDeposited(currency="USD", amount=1), "A"), (order(), "")],
)
def test_an_event_in_the_other_kind_of_stream_is_quarantined(forged: Event, symbol: str) -> None:
    """Bytes that were forged behind the ledger's back stop their stream, not the fold."""
    accounts = after([S])
    with exact():
        step(accounts, msgspec.structs.replace(forged, symbol=symbol), 2)
    found = accounts.account(symbol).quarantine
    assert found is not None
    assert (found.rule, found.seq) == ("wrong-stream", 2)


def test_a_forged_amount_that_is_no_number_is_quarantined() -> None:
    """``NaN`` cannot be appended; in forged bytes it stops its stream, not the fold."""
    accounts = after([S, opened()])
    forged = msgspec.structs.replace(opened(position="p2"), quantity=Decimal("sNaN"))
    with exact():
        step(accounts, forged, 3)
    found = accounts.symbols["A"].quarantine
    assert found is not None
    assert found.rule == "no-amount"
