"""What must hold of any history: the parts of a figure add up, and two ways agree."""

from __future__ import annotations

import random
from decimal import Decimal
from functools import reduce

import replay
from ledger import add, fold, state_from_accounts


def moments(session: replay.SessionView, chance: random.Random, count: int) -> list[int]:
    return [chance.randint(4, session.history.last_seq) for _ in range(count)]


def test_the_state_at_n_is_the_fold_of_the_first_n_events(generated):
    everything = list(generated.events())
    for seq in moments(generated, random.Random(1), 10):
        then = generated.at(seq=seq)
        folded = state_from_accounts(fold(everything[:seq]))
        assert then.digest == folded.digest
        assert replay.figures(then) == replay.figures(folded)


def test_a_live_state_has_the_figures_of_a_fold_after_every_event(generated):
    everything = list(generated.events())
    for recorded, live in generated.steps():
        if recorded.seq % 7 == 0:
            folded = state_from_accounts(fold(everything[: recorded.seq]))
            assert replay.figures(live) == replay.figures(folded)
            assert live.profit == add(folded.net_pnl, folded.unrealized_pnl)
            for symbol in live.accounts.symbols:
                own = live.only(symbol)
                assert live.profit_of(symbol) == add(own.net_pnl, own.unrealized_pnl)


def test_an_expression_and_a_function_find_the_same_moments(generated):
    limit = generated.at("50%").equity
    by_text = generated.find(f"equity < {limit} or positions.BRK.B.quantity > 2")

    def is_so(state):
        own = state.symbols.get("BRK.B")
        held = replay.read_figure(state, "positions.BRK.B.quantity") if own else Decimal(0)
        return state.equity < limit or held > 2

    assert by_text
    assert by_text == generated.find(is_so)
    assert [turn.became for turn in by_text] == [n % 2 == 0 for n in range(len(by_text))]


def test_a_refold_with_nothing_changed_is_what_happened(generated):
    same = generated.what_if()
    assert not same.refused
    assert not same.changes


def test_trades_earn_together_what_the_fold_booked(generated):
    totals: dict[str, Decimal] = {}
    for trade in generated.trades():
        totals[trade.symbol] = add(totals.get(trade.symbol, Decimal(0)), trade.realized_pnl)
    state = generated.at()
    for symbol, figures in state.symbols.items():
        assert totals.get(symbol, Decimal(0)) == figures.realized_pnl
        funding = reduce(add, (t.funding for t in generated.trades(symbol)), Decimal(0))
        assert funding == figures.funding


def test_orders_end_as_the_state_has_them(generated):
    lives = {life.order.order_id: life for life in generated.orders()}
    known = generated.at().orders
    assert known
    for order_id, order in known.items():
        assert lives[order_id].order == order
        assert lives[order_id].steps[-1].status == order.status
    assert lives.keys() == set(known)


def test_pnl_by_symbol_and_by_period_add_up_to_the_totals(generated):
    state = generated.at()
    for rows in (generated.pnl(), generated.pnl(every="10m"), generated.pnl(by="session")):
        for name in ("realized_pnl", "unrealized_pnl", "fees", "funding", "net_pnl"):
            assert reduce(add, (getattr(row, name) for row in rows)) == getattr(state, name), name
