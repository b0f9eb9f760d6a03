"""From an exchange's reports to events: each thing an exchange may do, and what the ledger says."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from ledger import (
    OrderAccepted,
    OrderCancelled,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    PositionClosed,
    PositionOpened,
    PositionReduced,
    Recorded,
    SessionStarted,
    fold,
)
from runner.exchange import Report, ReportKind
from runner.recording import events_from_reports, strangers, tried

NOW = datetime(2026, 11, 20, 14, 32, tzinfo=UTC)
ACCEPTED, FILLED = ReportKind.ACCEPTED, ReportKind.FILLED
CANCELLED, REJECTED = ReportKind.CANCELLED, ReportKind.REJECTED


def accounts_after(*events):
    start = SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred")
    return fold(
        Recorded(seq=seq, revision=seq, recorded_at=NOW, event=event, commit="c")
        for seq, event in enumerate([start, *events], start=1)
    )


def placed(order_id="o", side="buy", quantity=10, position_id="p"):
    return OrderPlaced(
        symbol="AAPL",
        order_id=order_id,
        side=side,
        quantity=quantity,
        price=100,
        position_id=position_id,
        trade_id="t",
    )


def report(number, kind, order_id="o", quantity=None, price="100", fee="0.1", reason=None):
    fill = {}
    if kind is FILLED:
        fill = {
            "trade_id": f"x{number}",
            "quantity": Decimal(quantity),
            "price": Decimal(price),
            "fee": Decimal(fee),
            "fee_currency": "USD",
        }
    return Report(
        report_id=number,
        client_order_id=order_id,
        symbol="AAPL",
        kind=kind,
        occurred_at=NOW,
        venue_order_id="v1",
        reason=reason,
        **fill,
    )


def types(events):
    return [event.type for event in events]


OPEN = [placed(), report(1, ACCEPTED), report(2, FILLED, quantity=10)]


def opened():
    accounts = accounts_after(OPEN[0])
    return tried(accounts, events_from_reports(accounts, OPEN[1:]))


def test_a_fill_moves_its_order_and_in_the_next_event_its_position():
    accounts = accounts_after(placed())
    events = events_from_reports(accounts, OPEN[1:])
    assert events == [
        OrderAccepted(symbol="AAPL", occurred_at=NOW, order_id="o", venue_order_id="v1"),
        OrderFilled(
            symbol="AAPL",
            occurred_at=NOW,
            order_id="o",
            trade_id="x2",
            quantity=10,
            price=100,
            fee="0.1",
            fee_currency="USD",
        ),
        PositionOpened(
            symbol="AAPL",
            occurred_at=NOW,
            position_id="p",
            side="buy",
            quantity=10,
            entry_price=100,
            order_id="o",
            trade_id="t",
        ),
    ]
    assert not accounts.symbols["AAPL"].positions, "the accounts given stay as they are"


def test_partial_fills_open_and_then_increase_one_position():
    reports = [report(1, FILLED, quantity=4), report(2, FILLED, quantity=6, price="101")]
    events = events_from_reports(accounts_after(placed()), reports)
    assert types(events) == [
        "OrderFilled",
        "PositionOpened",
        "OrderFilled",
        "PositionIncreased",
    ]


@pytest.mark.parametrize(
    "reports",
    [
        [report(1, ACCEPTED), report(2, FILLED, quantity=10)],
        [report(1, ACCEPTED), report(2, FILLED, quantity=4), report(3, CANCELLED)],
        [report(1, REJECTED, reason="no")],
    ],
)
def test_reports_that_come_again_say_nothing_new(reports):
    accounts = accounts_after(placed())
    events = events_from_reports(accounts, [*reports, *reports])
    assert types(events) == types(events_from_reports(accounts, reports))
    after = tried(accounts, events)
    assert after.symbols["AAPL"].quarantine is None
    assert events_from_reports(after, reports) == []


def test_a_partial_fill_and_then_a_cancel_keep_what_was_filled():
    reports = [report(1, FILLED, quantity=4), report(2, CANCELLED, reason="on request")]
    accounts = accounts_after(placed())
    events = events_from_reports(accounts, reports)
    assert events[-1] == OrderCancelled(
        symbol="AAPL", occurred_at=NOW, order_id="o", reason="on request"
    )
    account = tried(accounts, events).symbols["AAPL"]
    assert account.positions["p"].quantity == 4
    assert account.reserved == 0


def test_a_fill_after_a_cancel_is_recorded_as_what_it_is():
    reports = [report(1, CANCELLED), report(2, FILLED, quantity=3)]
    events = events_from_reports(accounts_after(placed()), reports)
    assert types(events) == ["OrderCancelled", "OrderFilled", "PositionOpened"]


def test_a_rejection_moves_no_position():
    events = events_from_reports(accounts_after(placed()), [report(1, REJECTED, reason="no")])
    assert events == [OrderRejected(symbol="AAPL", occurred_at=NOW, order_id="o", reason="no")]


def test_an_exit_reduces_and_then_closes():
    accounts = tried(opened(), [placed("e", "sell")])
    reports = [
        report(3, FILLED, "e", quantity=4, price="110"),
        report(4, FILLED, "e", quantity=6, price="111"),
    ]
    events = events_from_reports(accounts, reports)
    moves = [e for e in events if isinstance(e, PositionReduced | PositionClosed)]
    assert types(moves) == ["PositionReduced", "PositionClosed"]
    account = tried(accounts, events).symbols["AAPL"]
    assert account.positions == {}
    assert account.realized_pnl == 4 * 10 + 6 * 11


def test_what_a_fill_closes_beyond_the_position_opens_one_of_its_own():
    accounts = tried(opened(), [placed("e", "sell", quantity=15)])
    events = events_from_reports(accounts, [report(3, FILLED, "e", quantity=15)])
    assert types(events) == ["OrderFilled", "PositionClosed", "PositionOpened"]
    [position] = tried(accounts, events).symbols["AAPL"].positions.values()
    assert (position.side, position.quantity) == ("sell", 5)


def test_a_late_fill_for_a_closed_position_opens_another():
    accounts = tried(opened(), [placed("late"), placed("e", "sell")])
    accounts = tried(accounts, events_from_reports(accounts, [report(3, FILLED, "e", quantity=10)]))
    events = events_from_reports(accounts, [report(4, FILLED, "late", quantity=2)])
    assert events[-1].position_id == "late.x4"
    assert tried(accounts, events).symbols["AAPL"].quarantine is None


def test_a_report_that_no_rule_allows_is_recorded_as_refused():
    reports = [report(1, REJECTED), report(2, FILLED, quantity=10), report(3, ACCEPTED)]
    events = events_from_reports(accounts_after(placed()), reports)
    assert types(events) == ["OrderRejected", "TradeRefused"]
    assert events[1].limit == "exchange-report"
    assert "order o is rejected" in events[1].reason


def test_an_overfill_does_not_keep_other_reports_out():
    accounts = accounts_after(placed(), placed("o2", position_id="p2"))
    reports = [
        report(1, FILLED, quantity=4),
        report(2, FILLED, quantity=7),
        report(3, FILLED, "o2", quantity=10),
    ]
    events = events_from_reports(accounts, reports)
    assert types(events) == [
        "OrderFilled",
        "PositionOpened",
        "TradeRefused",
        "OrderFilled",
        "PositionOpened",
    ]


def test_reports_on_unknown_orders_are_told_apart():
    accounts = accounts_after(placed())
    foreign = report(1, ACCEPTED, "not-ours")
    assert events_from_reports(accounts, [foreign]) == []
    assert strangers(accounts, [foreign, report(2, ACCEPTED)]) == [foreign]
