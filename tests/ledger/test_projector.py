"""Live projections: current for every reader, and a new fold is built beside the old one."""

from __future__ import annotations

import asyncio
import threading

import pytest
from servers import until

from ledger import (
    CashDeposited,
    InvalidInput,
    Ledger,
    NotFound,
    PositionOpened,
    PriceMarked,
    Projector,
    SchemaTooNew,
    SessionStarted,
    SnapshotDamaged,
    SyncProjector,
    snapshot,
)
from ledger import accounts as folded

OPENING = [
    SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded"),
    CashDeposited(currency="USD", amount=1000),
    PositionOpened(symbol="A", position_id="p1", side="buy", quantity=2, entry_price=10),
]


@pytest.fixture
def ledger(store_url, portfolio):
    with Ledger.sync.connect(store_url, portfolio=portfolio, patience=5) as opened:
        opened.append(OPENING)
        yield opened


@pytest.fixture
def next_fold(monkeypatch):
    """Raise the fold's version, as a build with other figures does."""

    def raised() -> None:
        version = folded.FOLD + 1
        monkeypatch.setattr(folded, "FOLD", version)
        monkeypatch.setattr(snapshot, "FOLD", version)

    return raised


def test_readers_see_what_the_projector_has_folded(ledger):
    SyncProjector(ledger).catch_up()
    assert ledger.projected() == ledger.state()
    ledger.append(PriceMarked(symbol="A", price=11))
    assert ledger.projected().seq == 3
    projector = SyncProjector(ledger)
    projector.catch_up()
    assert ledger.projected() == ledger.state()
    assert (projector.seq, projector.health().event_count) == (4, 0)


async def test_a_running_projector_keeps_the_state_current_for_other_processes(
    store_url, portfolio
):
    async with Ledger.connect(store_url, portfolio=portfolio) as ledger:
        await ledger.append(OPENING)
        projector = Projector(ledger, every_seconds=0)
        running = asyncio.create_task(projector.run())
        async with asyncio.timeout(20):
            for price in (11, 12, 13):
                commit = await ledger.append(PriceMarked(symbol="A", price=price))
                while not projector.is_current or (await ledger.projected()).seq < commit.seq:
                    assert not running.done()
                    await asyncio.sleep(0)  # the store in memory never waits by itself
        assert await ledger.projected() == await ledger.state()
        running.cancel()
        await asyncio.wait([running])


def test_a_projector_goes_on_from_what_it_had_saved(ledger):
    SyncProjector(ledger).catch_up()
    fresh = SyncProjector(ledger)
    assert ledger.drive(fresh._begin()).position == 3


def test_long_histories_are_saved_on_the_way(ledger):
    with ledger.writer("w") as writer:
        writer.append_many([[PriceMarked(symbol="A", price=n + 1)] * 50 for n in range(100)])
    projector = SyncProjector(ledger, every_events=1_000, every_seconds=600)
    ledger.drive(projector._advance())
    assert not projector.is_current
    with pytest.raises(NotFound, match="no live projection"):
        ledger.projected()
    begun_again = SyncProjector(ledger)
    assert ledger.drive(begun_again._begin()).position >= 1_000


def test_a_new_fold_is_built_beside_the_old_one_and_switched_to_when_it_has_caught_up(
    ledger, next_fold, store
):
    old = SyncProjector(ledger, every_seconds=0)
    old.catch_up()
    key = ledger.keys.base + "projections"
    next_fold()
    new = SyncProjector(ledger, every_events=1)
    ledger.drive(new._advance())
    assert store.client.hget(key, "current") == b"1", "readers stay where they are"
    assert store.client.hexists(key, "state:1")
    new.catch_up()
    assert store.client.hget(key, "current") == b"2"
    assert not store.client.hexists(key, "state:1")
    assert ledger.projected() == ledger.state()
    ledger.append(PriceMarked(symbol="A", price=11))
    ending = threading.Thread(target=old.run)
    ending.start()
    until(lambda: not ending.is_alive())
    assert not old.is_current
    assert not store.client.hexists(key, "state:1"), "the old one left nothing behind"


def test_a_reader_of_another_build_is_told_so(ledger, next_fold):
    SyncProjector(ledger).catch_up()
    next_fold()
    with pytest.raises(SchemaTooNew, match="version 1; this build has 2"):
        ledger.projected()


def test_a_slower_projector_never_takes_readers_back(ledger):
    slow = SyncProjector(ledger, every_seconds=0)
    slow.catch_up()
    ledger.append(PriceMarked(symbol="A", price=11))
    SyncProjector(ledger).catch_up()
    ledger.drive(slow._save("keep"))
    assert ledger.projected().seq == 4


def test_a_projection_that_was_changed_is_not_believed(ledger, store):
    SyncProjector(ledger).catch_up()
    key = ledger.keys.base + "projections"
    saved = store.client.hget(key, "state:1")
    store.client.hset(key, "state:1", saved.replace(b"1000", b"9000"))
    with pytest.raises(SnapshotDamaged):
        ledger.projected()


def test_what_cannot_be_a_pace_is_refused(ledger):
    with pytest.raises(InvalidInput, match="every_events"):
        SyncProjector(ledger, every_events=0)
