"""Questions about a day that can be reckoned by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

import replay
from ledger import (
    CashDeposited,
    EventReversed,
    InvalidInput,
    InvalidMoment,
    LedgerError,
    MissingRate,
    NotFound,
    OrderPlaced,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    RateMarked,
    SessionStarted,
)


def test_a_state_is_asked_by_time_by_number_and_by_part(day):
    assert day.at("14:31:10").seq == 8
    assert day.at(seq=8) == day.at("14:31:10")
    assert day.at("#8").equity == Decimal(100_199)
    assert day.at().seq == 16
    assert day.step("14:31:10", by=-2).seq == 6


def test_a_state_that_was_handed_out_changes_nothing(day):
    day.at(seq=8).positions.clear()
    assert list(day.at(seq=8).positions) == ["p-1"]


def test_explain_tells_each_event_and_its_amount(day):
    explained = day.explain("positions.AAPL.realized_pnl")
    assert [(c.seq, c.amount) for c in explained.contributions] == [(11, 80), (15, -30)]
    assert explained.value == explained.total == 50


def test_explain_of_a_state_in_words_names_the_event_that_made_it(day):
    explained = day.explain("orders.o-2.status")
    assert explained.value == "filled"
    assert explained.total is None
    assert explained.made_by.seq == 14


def test_explain_goes_to_the_moment_and_no_further(day):
    explained = day.explain("equity", at="14:31:10")
    assert [(c.seq, c.amount) for c in explained.contributions] == [
        (2, 100_000),
        (4, -1),
        (6, -100),
        (8, 300),
    ]


def test_find_tells_when_a_condition_became_true_and_false(day):
    turns = day.find("equity < 99950 and positions.AAPL.quantity > 0", since="14:30:20")
    assert [(turn.seq, turn.became) for turn in turns] == [(6, True), (8, False)]
    assert turns[0].event == day.events("#6", "#6")[0].event
    again = day.find(lambda state: state.equity < 99_950 and len(state.positions) > 0)
    assert [turn.seq for turn in again] == [6, 8]


@pytest.mark.parametrize(
    ("expression", "seqs"),
    [
        ("positions.MSFT.quantity == -2", [12]),
        ('positions["MSFT"].mark * 2 >= 100', [7]),
        ("len(positions) == 2", [12, 15]),
        ("max(positions.AAPL.mark, 119.99) == 120", [8]),
        ("abs(unrealized_pnl) > 150 or is_halted", [8, 11]),
        ("not (session == 'day') and seq > 1", [16]),
        ("orders.o-2.filled_quantity/orders.o-2.quantity > 0.5", [14]),
        ("balances.USD.fees-1.5 == 0", [10, 14]),
        ("90 < positions.AAPL.mark < 130", [8]),
        ("positions.p-1.unrealized_pnl == -100", [6, 8]),
    ],
)
def test_expressions_mean_what_they_say(day, expression, seqs):
    assert [turn.seq for turn in day.find(expression)] == seqs


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("equity <", "not an expression"),
        ("equty < 5", "equity"),
        ("positions.APPL.quantity > 1", "positions.AAPL.quantity"),
        ("positions.AAPL.qty > 1", "positions.AAPL"),
        ("1 < 2", "asks for no figure"),
        ("equity < 'much'", "a number with a text"),
        ("equity ** 2 > 1", "an operator other than"),
        ("equity < 1e400", "not a decimal number"),
        ("__import__('os').system('true') or equity", "is none of abs"),
        ("equity.__class__ == 1", "equity"),
        ("[x for x in (1,)] and equity", "is not allowed"),
        ("(lambda: equity)()", "is none of abs"),
        ("balances.EUR.cash > 1", "balances.USD.cash"),
    ],
)
def test_a_bad_expression_is_refused_and_says_why(day, expression, reason):
    with pytest.raises(LedgerError) as refused:
        day.find(expression)
    assert reason in f"{refused.value} {refused.value.hint}"


def test_numbers_in_an_expression_keep_every_digit(told):
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        CashDeposited(currency="USD", amount="0.1234567890123456789012345678901"),
    )
    assert session.find("equity == 0.1234567890123456789012345678901")
    assert not session.find("equity == 0.12345678901234568")


def test_a_figure_that_is_not_there_is_refused_with_near_names(day):
    with pytest.raises(NotFound) as refused:
        day.explain("positions.AAPL.realised_pnl")
    assert "positions.AAPL.realized_pnl" in refused.value.hint
    with pytest.raises(NotFound, match="at #3"):
        day.explain("positions.MSFT.quantity", at="#3")


def test_a_moment_before_the_first_event_is_refused(day):
    with pytest.raises(InvalidMoment, match="before the first event"):
        day.at("2026-01-04")
    with pytest.raises(NotFound, match="#99"):
        day.at(seq=99)
    assert day.at(seq=0).equity == 0


def test_an_empty_portfolio_says_so(ledger):
    with pytest.raises(NotFound, match="has no events"):
        replay.view(ledger)


def test_a_session_that_is_not_there_names_those_that_are(day, ledger):
    with pytest.raises(NotFound) as refused:
        replay.view(ledger, "nigth")
    assert "day" in refused.value.hint


def test_a_running_session_reaches_to_the_last_event(told, ledger):
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded"),
        CashDeposited(currency="USD", amount=1),
    )
    assert session.at().equity == 1
    ledger.append(CashDeposited(currency="USD", amount=2))
    assert session.at().equity == 3
    assert session.at("now").seq == 3


def test_a_missing_rate_is_named_and_later_contributions_still_add_up(told, ledger):
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        CashDeposited(currency="USD", amount=10),
        CashDeposited(currency="EUR", amount=3),
        CashDeposited(currency="EUR", amount=1),
    )
    with pytest.raises(MissingRate, match="EUR"):
        session.explain("equity")
    assert [turn.seq for turn in session.find("equity == 10")] == [2, 3]
    with pytest.raises(MissingRate, match="EUR"):
        session.find("equity < 0 or equity > 10", since="#4")
    ledger.append(RateMarked(from_currency="EUR", to_currency="USD", rate="1.25"))
    explained = session.explain("equity")
    assert [(c.seq, c.amount) for c in explained.contributions] == [(2, 10), (5, 5)]
    assert explained.value == 15


def test_trades_know_their_parts_fees_and_excursion(day):
    long, short = day.trades()
    assert (long.position_id, long.quantity, long.entry_price) == ("p-1", 10, 100)
    assert [(part.seq, part.quantity, part.realized_pnl) for part in long.exits] == [
        (11, 4, 80),
        (15, 6, -30),
    ]
    assert (long.worst, long.best) == (-100, 200)
    assert (long.realized_pnl, long.fees, long.net_pnl) == (50, Decimal("2.1"), Decimal("47.9"))
    assert long.exit_price == 105
    assert long.duration == timedelta(seconds=100)
    assert short.is_open
    assert (short.unrealized_pnl, short.worst, short.best) == (-10, -10, 0)
    assert day.trades(since="#16") == [short]


def test_orders_come_with_their_life(day):
    life = day.orders(status="filled")[1]
    assert life.order.order_id == "o-2"
    assert [(step.seq, step.type, step.status) for step in life.steps] == [
        (9, "OrderPlaced", "pending"),
        (10, "OrderFilled", "partially_filled"),
        (14, "OrderFilled", "filled"),
    ]
    assert day.orders(status="rejected") == []


def test_what_was_reversed_is_part_of_no_trade(told, ledger):
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        PositionOpened(symbol="A", position_id="p", side="buy", quantity=2, entry_price=10),
        PositionReduced(symbol="A", position_id="p", quantity=1, exit_price=30, fee="0.5"),
        OrderPlaced(symbol="A", order_id="o", side="buy", quantity=1),
    )
    assert session.trades()[0].realized_pnl == 20
    ledger.append(EventReversed(seq=4, reason="not placed"))
    ledger.append(EventReversed(seq=3, reason="not sold"))
    (trade,) = session.trades()
    assert (trade.realized_pnl, trade.fees, trade.exits) == (0, 0, [])
    assert session.orders() == []
    assert session.what_if(drop=[6]).after.realized_pnl == 20


def test_drawdown_is_from_the_highest_profit_and_money_put_in_is_none(day):
    rows = day.pnl(by="day")
    assert [(row.drawdown, row.current_drawdown) for row in rows] == [
        (Decimal("161.1"), Decimal("161.1"))
    ]
    points = day.equity(points=16)
    assert points[-1].seq == 16
    assert points[-1].equity == Decimal("100037.9")
    assert points[5].current_drawdown == 101
    assert points[9].drawdown == Decimal("0.5")
    assert day.equity(every="1m")[0].drawdown == 101


def test_what_if_an_event_had_not_happened_reports_what_becomes_impossible(day):
    found = day.what_if(drop=[5])
    assert [refusal.seq for refusal in found.refused] == [11, 15]
    assert "p-1" in found.refused[0].reason
    assert found.before.digest == day.at().digest
    assert found.after.realized_pnl == 0


def test_what_if_prices_fees_and_events_had_been_others(day):
    cheaper = day.what_if(fee_rate="0")
    assert cheaper.after.fees == 0
    assert {change.path for change in cheaper.changes} >= {"fees", "equity", "balances.USD.cash"}
    assert day.what_if(fee_rate="0.001").after.fees == Decimal("2.150")
    other = day.what_if(replace={13: PriceMarked(symbol="MSFT", price=40)})
    assert other.after.unrealized_pnl == 20
    more = day.what_if(insert={16: CashDeposited(currency="USD", amount=7)})
    assert more.after.equity - more.before.equity == 7
    with pytest.raises(NotFound, match="#99"):
        day.what_if(drop=[99])


def test_what_if_another_cost_basis_had_been_chosen(told):
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        PositionOpened(symbol="A", position_id="p", side="buy", quantity=1, entry_price=10),
        PositionIncreased(symbol="A", position_id="p", quantity=1, entry_price=20),
        PositionReduced(symbol="A", position_id="p", quantity=1, exit_price=30),
    )
    earned = {
        basis: session.what_if(cost_basis=basis).after.realized_pnl
        for basis in ("average", "fifo", "lifo")
    }
    assert earned == {"average": 15, "fifo": 20, "lifo": 10}
    assert session.at().realized_pnl == 15


def test_a_session_is_verified_with_its_whole_portfolio(day):
    assert day.verify().ok
    assert day.verify(full=True).digest == day.at().digest


def test_events_know_of_how_many_they_are(day):
    found = day.events(symbol="AAPL", types=["OrderFilled"])
    assert (len(found), found.total) == (3, 16)
    with pytest.raises(InvalidInput, match="OrderFiled"):
        day.events(types=["OrderFiled"])
    with pytest.raises(NotFound, match="APL"):
        day.events(symbol="APL")


def test_two_states_of_different_sessions_are_compared_without_events(day):
    difference = day.diff(day.at(seq=8), day.at(seq=8))
    assert not difference
    difference = day.diff(day.at(seq=7), day)
    assert difference.event_count is None
    assert replay.applied(difference.changes, replay.figures(day.at(seq=7))) == replay.figures(
        day.at()
    )


def test_an_order_placed_after_the_first_moment_appears_with_its_events(day):
    changes = {change.path: change for change in day.diff("#8", "#10").changes}
    status = changes["per_symbol_orders.AAPL.o-2.status"]
    assert (status.before, status.after, status.events) == (None, "partially_filled", [9, 10])
    assert changes["fees"].events == [10]
    assert OrderPlaced.__name__ == day.events("#9", "#9")[0].type
