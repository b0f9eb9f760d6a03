"""Opening by name: a session, a portfolio, or the last session there is."""

from __future__ import annotations

import uuid

import pytest

import replay
from ledger import CashDeposited, InvalidInput, Ledger, NotFound, SessionEnded, SessionStarted


def started(name: str) -> SessionStarted:
    return SessionStarted(session=name, mode="paper", base_currency="USD", clock="recorded")


@pytest.fixture
def store() -> str:
    """Two sessions in the portfolio ``main``, and a portfolio ``other`` without any."""
    url = f"memory:{uuid.uuid4().hex}"
    with Ledger.sync.connect(url) as main:
        main.append([started("one"), SessionEnded(session="one"), started("two")])
    with Ledger.sync.connect(url, portfolio="other") as other:
        other.append(CashDeposited(currency="USD", amount=5))
    return url


def test_a_session_is_opened_by_its_name_and_the_last_one_without(store):
    with replay.open("one", store=store) as session:
        assert (session.name, session.at().seq) == ("one", 2)
    with replay.open(store=store) as session:
        assert (session.name, session.at().seq) == ("two", 3)


def test_a_name_that_is_no_session_may_be_a_portfolio(store):
    with replay.open("other", store=store) as session:
        assert session.at().balances["USD"].cash == 5
    with replay.open(store=store, portfolio="other") as session:
        assert (session.name, session.at("end").seq) == ("other", 1)


def test_a_name_that_is_neither_is_refused(store):
    with pytest.raises(NotFound, match="no session and no portfolio 'three'"):
        replay.open("three", store=store)
    with pytest.raises(NotFound) as refused:
        replay.open("three", store=store, portfolio="main")
    assert "one, two" in refused.value.hint


def test_a_store_that_is_none_is_refused():
    with pytest.raises(InvalidInput, match="is not a store"):
        replay.open("one", store="nowhere")
