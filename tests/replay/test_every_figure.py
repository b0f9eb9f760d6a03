"""Every figure of every moment: what made it adds up to it, and two moments differ as it says.

The oracle is slow and plain: all figures of the fold after every event, compared one by one.
"""

from __future__ import annotations

import random
from decimal import Decimal
from itertools import pairwise

from histories import histories, recorded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import replay
from ledger import (
    EVENT_TYPES,
    Accounts,
    Event,
    OrderAccepted,
    OrderFilled,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    Recorded,
    SessionStarted,
    fold,
    subtract,
)
from replay.explain import is_number
from replay.figures import TOTALS
from replay.paths import parse_path
from replay.valued import ValuedState, twin_of
from replay.watching import Watch

quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
Told = list[dict[str, replay.Figure]]


def moved(told: Told, number: int) -> dict[str, replay.Figure | None]:
    """What event ``number`` moved, and to what."""
    before, after = told[number - 1], told[number]
    paths = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    return {path: after.get(path) for path in paths}


def moments(last: int, count: int, seed: int) -> list[int]:
    return random.Random(seed).choices(range(1, last + 1), k=count)


def contributed(told: Told, events: list[Recorded], seq: int) -> dict[str, list[tuple]]:
    """For each figure at ``seq``, each event that moved it: its number, by how much, from, to."""
    found: dict[str, list[tuple]] = {path: [] for path in told[seq]}
    last: dict[str, replay.Figure] = {}
    for event in events[:seq]:
        now = told[event.seq]
        for path, rows in found.items():
            before, after = last.get(path), now.get(path)
            if after == before or (after is None and path in TOTALS):
                continue
            last[path] = after
            amount = None
            if is_number(before) or is_number(after):
                amount = subtract(Decimal(after or 0), Decimal(before or 0))
            if amount is None or amount:
                rows.append((event.seq, amount, before, after))
    return found


def test_the_histories_hold_all_that_can_happen(wild):
    assert {event.type for event in wild.events} == set(EVENT_TYPES)
    orders = [{path for path in told if path.endswith("status")} for told in wild.told]
    dropped = set.union(*(was - now for was, now in pairwise(orders)))
    returned = [
        path
        for number, (was, now) in enumerate(pairwise(orders))
        for path in now - was
        if any(path in earlier for earlier in orders[:number])
    ]
    assert dropped, "no order had to make room"
    assert returned, "no order came back"
    assert any("equity" not in told for told in wild.told), "every total could always be told"


@quick
@given(histories(), st.integers(0, 40), st.sampled_from(["", "AAPL", "KRW-BTC"]))
def test_a_watch_names_the_figures_that_each_event_moves(told_after_each, history, cut, damaged):
    """Also where a stream is in quarantine: no totals can be told from there on."""
    events = list(history)
    if damaged:
        events.append(_impossible(events, damaged))
    told = told_after_each(events)
    start = min(cut, len(events))
    accounts = fold(events[:start])
    watch = Watch(accounts, before=ValuedState(twin_of(accounts)))
    seen: dict[int, dict] = {}
    watch.follow(events[start:], lambda event, figures: seen.update({event.seq: figures}))
    for event in events[start:]:
        assert seen.get(event.seq, {}) == moved(told, event.seq)


def _impossible(history: list[Recorded], symbol: str) -> Recorded:
    """An event that no rule would have let through."""
    seq = len(history) + 1
    revision = sum(found.symbol == symbol for found in history) + 1
    never: list[Event] = [
        PositionClosed(symbol=symbol, position_id="never", exit_price=1),
        OrderFilled(symbol=symbol, order_id="never", trade_id="t", quantity=1, price=1),
        OrderAccepted(symbol=symbol, order_id="never"),
    ]
    event = never[len(history) % len(never)]
    return recorded(seq, revision, event)


def test_a_split_moves_what_is_rounded_and_nothing_else(told_after_each):
    """Without a mark, a position is valued at its cost by its quantity, which is a quotient."""
    of = {"symbol": "AAPL", "position_id": "p"}
    events = [
        recorded(
            1, 1, SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
        ),
        recorded(2, 1, PositionOpened(**of, side="buy", quantity=1, entry_price=1)),
        recorded(3, 2, PositionIncreased(**of, quantity=2, entry_price=0)),
        recorded(4, 3, PositionAdjusted(**of, split="2/1")),
    ]
    told = told_after_each(events)
    assert "total_position_value" in moved(told, 4)
    assert "balances.USD.market_value" not in moved(told, 4)
    accounts = fold(events[:3])
    watch = Watch(accounts, before=ValuedState(twin_of(accounts)))
    seen: list[dict] = []
    watch.follow(events[3:], lambda _event, figures: seen.append(figures))
    assert seen == [moved(told, 4)]


def test_a_watch_of_a_long_history_names_what_moves(wild):
    seen: dict[int, dict] = {}
    watch = Watch(Accounts(), before=ValuedState(Accounts()))
    watch.follow(wild.events, lambda event, figures: seen.update({event.seq: figures}))
    for event in wild.events:
        assert seen.get(event.seq, {}) == moved(wild.told, event.seq)


def test_explain_adds_up_for_every_figure_at_a_hundred_moments(wild):
    """Of the three histories together."""
    for seq in moments(len(wild.events), 34, seed=1):
        found = wild.session.explain_all(at=seq)
        assert list(found) == list(wild.told[seq])
        for path, explained in found.items():
            value = wild.told[seq][path]
            assert (explained.path, explained.seq, explained.value) == (path, seq, value)
            if is_number(value):
                assert explained.total == value, path
            else:
                assert explained.made_by.after == value, path


def test_each_contribution_is_what_its_event_did(wild):
    for seq in [*moments(len(wild.events), 3, seed=3), len(wild.events)]:
        expected = contributed(wild.told, wild.events, seq)
        for path, explained in wild.session.explain_all(at=seq).items():
            rows = [(c.seq, c.amount, c.before, c.after) for c in explained.contributions]
            assert rows == expected[path], path


def test_one_figure_is_explained_as_among_all(wild):
    chance = random.Random(4)
    for seq in moments(len(wild.events), 4, seed=5):
        everything = wild.session.explain_all(at=seq)
        for path in chance.sample(list(everything), 8):
            assert wild.session.explain(path, at=seq) == everything[path]
        some = chance.sample(list(everything), 30)
        assert wild.session.explain_all(some, seq) == {p: everything[p] for p in some}


def test_figures_of_one_stream_and_of_all_are_explained_together(wild):
    seq = len(wild.events)
    symbol = max(wild.session.at(seq=seq).symbols)
    some = ["equity", f"positions.{symbol}.opened_count", "balances.EUR.cash", "session"]
    some = [path for path in some if path in wild.told[seq]]
    assert len(some) > 2
    for path, explained in wild.session.explain_all(some, seq).items():
        assert explained == wild.session.explain(path, at=seq)
        assert not is_number(explained.value) or explained.total == wild.told[seq][path]


def test_short_forms_are_explained_as_what_they_stand_for(wild):
    seq = len(wild.events)
    everything = wild.session.explain_all(at=seq)
    symbols = wild.session.at(seq=seq).symbols
    for path in everything:
        root, _, rest = path.partition(".")
        assert parse_path(path, symbols).canonical == path
        if root == "per_symbol_orders" and rest.endswith("status"):
            symbol = parse_path(path, symbols).symbol
            short = f"orders.{rest.removeprefix(symbol + '.')}"
            found = wild.session.explain_all([short], seq)[short]
            assert found.contributions == everything[path].contributions
            break
    counted = wild.session.explain("seq", at=seq)
    assert (counted.total, len(counted.contributions)) == (seq, seq)


def test_the_state_at_any_moment_is_the_fold_of_the_events_so_far(wild):
    accounts = Accounts()
    picked = set(moments(len(wild.events), 34, seed=6))
    for event in wild.events:
        fold([event], accounts)
        if event.seq in picked:
            then = wild.session.at(seq=event.seq)
            assert then.digest == accounts.digest()
            assert replay.figures(then) == wild.told[event.seq]


def test_a_diff_leads_from_one_moment_to_the_other_and_names_the_events(wild):
    last = len(wild.events)
    pairs = zip(moments(last, 6, seed=7), moments(last, 6, seed=8), strict=True)
    for a, b in [*pairs, (last * 3 // 4, last), (last - 1, last)]:
        low, high = min(a, b), max(a, b)
        moves = {number: moved(wild.told, number) for number in range(low + 1, high + 1)}
        for first, second in ((a, b), (b, a)):
            found = wild.session.diff(first, second)
            assert (found.before.seq, found.after.seq) == (first, second)
            for state in (found.before, found.after):
                same = wild.session.at(seq=state.seq)
                assert state.digest == same.digest
                assert state.recorded_at == same.recorded_at
                assert state.occurred_at == same.occurred_at
            assert found.event_count == high - low
            assert replay.applied(found.changes, wild.told[first]) == wild.told[second]
            assert list(found.changes) == with_events(wild.told, moves, first, second)


def with_events(told: Told, moves: dict[int, dict], first: int, second: int) -> list[replay.Change]:
    """The changes between two moments, figure by figure."""
    old, new = told[first], told[second]
    return [
        replay.Change(
            path=path,
            before=old.get(path),
            after=new.get(path),
            events=[number for number, figures in moves.items() if path in figures],
        )
        for path in {**new, **old}
        if old.get(path) != new.get(path)
    ]


def test_a_diff_over_a_long_stretch_is_the_same(wild, monkeypatch):
    last = len(wild.events)
    at_once = wild.session.diff(last // 3, last).changes
    monkeypatch.setattr("replay.diff._SHORT", 10)
    assert wild.session.diff(last // 3, last).changes == at_once


def test_a_diff_from_before_the_first_event_is_all_there_is(wild):
    seq = len(wild.events)
    found = wild.session.diff(0, seq, with_events=False)
    assert [change.path for change in found.changes if change.after is not None] == [
        path for path, value in wild.told[seq].items() if wild.told[0].get(path) != value
    ]
    assert replay.applied(found.changes, wild.told[0]) == wild.told[seq]
    assert wild.session.diff(0, seq).changes == with_events(
        wild.told, {n: moved(wild.told, n) for n in range(1, seq + 1)}, 0, seq
    )
