"""Double entry: every event as postings that sum to zero, and that add up to the fold's figures."""

from __future__ import annotations

from decimal import Decimal

import pytest
from histories import histories
from hypothesis import given, settings

from ledger import (
    Accounts,
    CashDeposited,
    CashWithdrawn,
    CostBasisChosen,
    EventReversed,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderPlaced,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    Problems,
    SessionStarted,
    exact,
    plain,
    postings,
    state_from_accounts,
    step,
)
from ledger.audit_fold import FoldAudit
from ledger.entry import Run
from ledger.reversal import contribution

START = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
OPENED = PositionOpened(symbol="A", position_id="p", side="buy", quantity=10, entry_price=7)
PLACED = OrderPlaced(symbol="A", order_id="o", side="buy", quantity=10, price=7)


def after(*events) -> Accounts:
    accounts = Accounts()
    with exact():
        for seq, event in enumerate(events, start=1):
            step(accounts, event, seq)
    assert not state_from_accounts(accounts).quarantined
    return accounts


def posted(accounts: Accounts, event) -> dict[str, str]:
    """What an event posts, by account; every currency must sum to zero."""
    made = postings(accounts, event)
    totals: dict[str, Decimal] = {}
    shown: dict[str, Decimal] = {}
    with exact():
        for posting in made:
            totals[posting.currency] = totals.get(posting.currency, 0) + posting.amount
            key = posting.account if posting.currency == "USD" else f"{posting[0]} {posting[1]}"
            shown[key] = shown.get(key, 0) + posting.amount
    assert not any(totals.values())
    return {key: plain(value) for key, value in shown.items()}


def test_a_deposit_comes_from_outside():
    event = CashDeposited(currency="USD", amount=5)
    assert posted(after(START), event) == {"external": "-5", "available": "5"}


def test_a_withdrawal_goes_outside():
    event = CashWithdrawn(currency="USD", amount=5)
    assert posted(after(START), event) == {"external": "5", "available": "-5"}


def test_opening_ties_up_the_cost_and_charges_the_fee():
    event = PositionOpened(
        symbol="A", position_id="p", side="sell", quantity=3, entry_price="1.5", fee="0.1"
    )
    expected = {"tied_up": "4.5", "fees": "0.1", "available": "-4.6"}
    assert posted(after(START), event) == expected


def test_reducing_frees_the_cost_and_what_was_earned():
    event = PositionReduced(symbol="A", position_id="p", quantity=4, exit_price=9, fee=1)
    expected = {"tied_up": "-28", "realized": "-8", "fees": "1", "available": "35"}
    assert posted(after(START, OPENED), event) == expected


def test_closing_a_short_earns_what_the_price_fell():
    short = PositionOpened(symbol="A", position_id="p", side="sell", quantity=10, entry_price=7)
    event = PositionClosed(symbol="A", position_id="p", exit_price=5)
    expected = {"tied_up": "-70", "realized": "-20", "available": "90"}
    assert posted(after(START, short), event) == expected


@pytest.mark.parametrize(
    ("method", "released"), [("average", "-24"), ("fifo", "-14"), ("lifo", "-34")]
)
def test_cost_leaves_by_the_chosen_method(method, released):
    more = PositionIncreased(symbol="A", position_id="p", quantity=10, entry_price=17)
    accounts = after(START, CostBasisChosen(method=method), OPENED, more)
    event = PositionReduced(symbol="A", position_id="p", quantity=2, exit_price=12)
    assert posted(accounts, event)["tied_up"] == released


def test_an_order_reserves_until_it_is_filled_or_over():
    accounts = after(START, PLACED)
    assert posted(after(START), PLACED) == {"reserved": "70", "available": "-70"}
    fill = OrderFilled(
        symbol="A", order_id="o", trade_id="t", quantity=4, price=6, fee=1, fee_currency="BNB"
    )
    expected = {
        "reserved": "-28",
        "available": "28",
        "fees BNB": "1",
        "available BNB": "-1",
    }
    assert posted(accounts, fill) == expected
    with exact():
        step(accounts, fill, 3)
    amended = OrderAmended(symbol="A", order_id="o", quantity=6, price=8)
    assert posted(accounts, amended) == {"reserved": "-26", "available": "26"}
    assert posted(accounts, OrderCancelled(symbol="A", order_id="o"))["reserved"] == "-42"


def test_an_order_that_closes_a_position_reserves_nothing():
    event = OrderPlaced(
        symbol="A", order_id="x", side="sell", quantity=10, price=9, position_id="p"
    )
    assert posted(after(START, OPENED), event) == {}


def test_funding_is_income_and_a_split_moves_no_money():
    accounts = after(START, OPENED)
    paid = PositionAdjusted(symbol="A", position_id="p", funding=-5)
    assert posted(accounts, paid) == {"funding": "5", "available": "-5"}
    assert posted(accounts, PositionAdjusted(symbol="A", position_id="p", split="7/1")) == {}
    assert posted(accounts, PriceMarked(symbol="A", price=1)) == {}


@pytest.mark.parametrize(
    "event",
    [
        CashDeposited(currency="EUR", amount=5),
        PLACED,
        PositionOpened(symbol="A", position_id="q", side="buy", quantity=1, entry_price=3, fee=1),
        PositionReduced(symbol="A", position_id="p", quantity=4, exit_price=9, fee=1),
        PositionClosed(symbol="A", position_id="p", exit_price=9),
        PositionAdjusted(symbol="A", position_id="p", funding=-5),
    ],
    ids=lambda event: event.type,
)
def test_a_reversal_posts_the_opposite_of_its_original(event):
    before, accounts = after(START, OPENED), after(START, OPENED)
    with exact():
        step(accounts, event, 3)
    undo = contribution(before.account(event.symbol), accounts.account(event.symbol))
    reversal = EventReversed(symbol=event.symbol, seq=3, reason="wrong", undo=undo)
    made = {key: Decimal(value) for key, value in posted(before, event).items()}
    taken_back = {key: Decimal(value) for key, value in posted(accounts, reversal).items()}
    assert taken_back == {key: -value for key, value in made.items()}


def runs_of(history) -> list[Run]:
    return [
        Run(found.seq, found.revision, found.symbol, [found.event], 0, found.commit, found.writer)
        for found in history
    ]


@settings(max_examples=60, deadline=None)
@given(histories())
def test_postings_of_any_history_add_up_to_the_figures(history):
    """After every event: postings sum to zero and are the figures; counts and views agree."""
    problems = Problems()
    audit = FoldAudit(problems, is_full=True)
    audit.take(runs_of(history))
    audit.close()
    assert problems.in_order() == []


TAMPERED = {
    "realized": (lambda all_: setattr(all_.symbols["A"], "realized_pnl", 1), "figure"),
    "deposited": (lambda all_: all_.portfolio.deposited.update(USD=Decimal(1)), "figure"),
    "quantity": (lambda all_: setattr(all_.symbols["A"].positions["p"], "quantity", 9), "position"),
    "opened": (lambda all_: setattr(all_.symbols["A"], "opened_count", 2), "position"),
    "filled": (lambda all_: setattr(all_.symbols["A"].orders["o"], "filled", 1), "fills"),
    "reserve": (
        lambda all_: setattr(all_.symbols["A"].orders["o"], "reserve_price", -7),
        "negative",
    ),
    "value": (lambda all_: setattr(all_.symbols["A"].positions["p"], "value", -1), "negative"),
    "lots": (lambda all_: setattr(all_.symbols["A"].positions["p"], "lots", []), "negative"),
    "views": (
        lambda all_: (
            all_.account("B").positions.update(all_.symbols["A"].positions)
            or setattr(all_.account("B"), "revision", 1)
        ),
        "view",
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_the_audit_sees_a_state_that_does_not_follow_from_the_events(name):
    """The property above fails where it should."""
    tamper, kind = TAMPERED[name]
    problems = Problems()
    audit = FoldAudit(problems, is_full=True)
    for seq, event in enumerate([START, OPENED, PLACED], start=1):
        audit.take([Run(seq, seq, event.symbol, [event], 0, "c", "")])
    assert not problems.count
    tamper(audit.accounts)
    audit.close()
    assert kind in {problem.kind for problem in problems.in_order()}
