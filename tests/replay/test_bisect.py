"""Where two histories, or two folds, part."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal

import pytest

import replay
from ledger import CashDeposited, Event, Ledger, PriceMarked, SessionStarted, evolve
from replay.bisect import bisect

AT = datetime(2026, 1, 5, tzinfo=UTC)


def begun(*prices: int) -> list[Event]:
    marks = [PriceMarked(symbol="A", price=price, occurred_at=AT) for price in prices]
    return [
        SessionStarted(
            session="s", mode="paper", base_currency="USD", clock="occurred", occurred_at=AT
        ),
        *marks,
    ]


@pytest.fixture
def kept() -> Iterator[Callable[..., replay.SessionView]]:
    """Look back on events that are recorded in a store of their own."""
    with ExitStack() as stack:

        def keep(events: list[Event]) -> replay.SessionView:
            url = f"memory:{uuid.uuid4().hex}"
            opened = stack.enter_context(Ledger.sync.connect(url))
            opened.append(events)
            return replay.view(opened)

        yield keep


def test_the_same_events_in_two_stores_part_nowhere(kept):
    assert kept(begun(1, 2, 3)).bisect(kept(begun(1, 2, 3))) is None


def test_the_first_event_that_makes_a_difference_is_named(kept):
    found = kept(begun(1, 2, 3, 4)).bisect(kept(begun(1, 2, 5, 4)))
    assert found.seq == 4
    assert (found.a.event.price, found.b.event.price) == (3, 5)
    assert found.digest_a != found.digest_b


def test_a_history_that_ends_earlier_parts_at_its_end(kept):
    found = kept(begun(1, 2)).bisect(kept(begun(1, 2, 3)))
    assert (found.seq, found.a, found.b.event.price) == (4, None, 3)


def test_another_build_of_the_fold_is_found_by_its_first_wrong_event(kept):
    session = kept([*begun(1), CashDeposited(currency="USD", amount=5), *begun(2)[1:]])

    def wrong(accounts, recorded):
        evolve(accounts, recorded)
        if recorded.type == "CashDeposited":
            accounts.portfolio.deposited["USD"] += Decimal("0.01")

    assert bisect(session.history, session.history, step=wrong).seq == 3
