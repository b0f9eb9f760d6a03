"""A key that another program overwrote is named, with what it holds, by whatever needs it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from damage import fill
from servers import ServedStore

from ledger import (
    EventReversed,
    Ledger,
    LedgerDamaged,
    SyncLedger,
    SyncProjector,
)
from replay.verify import verify

LOG = ["meta", "revisions", "feed", "events", "events:A", "snapshots", "snapshot:20"]
ASKED: dict[str, Callable[[SyncLedger], object]] = {
    "meta": lambda ledger: ledger.head(),
    "revisions": lambda ledger: ledger.state(),
    "feed": lambda ledger: ledger.append(EventReversed(seq=6, reason="x")),
    "events": lambda ledger: ledger.sessions(),
    "events:A": lambda ledger: list(ledger.tail("B", "A", follow=False)),
    "snapshots": lambda ledger: ledger.state(),
    "snapshot:20": lambda ledger: ledger.state(),
    "writers": lambda ledger: ledger.writer("w").__enter__(),
    "checkpoints": lambda ledger: ledger.checkpoint("c").load(),
    "projections": lambda ledger: SyncProjector(ledger).catch_up(),
    "group:g:leases": lambda ledger: ledger.group("g").__enter__().__next__(),
    "groups": lambda ledger: ledger.groups(),
}


@pytest.fixture
def overwritten(store: ServedStore, portfolio: str) -> Callable[[str], str]:
    """Let another program write its own into a key of a filled portfolio."""

    def write(part: str) -> str:
        with Ledger.sync.connect(store.url, portfolio=portfolio) as ledger:
            fill(ledger)
            ledger.snapshot()
            key = ledger.keys.base + part
        store.client.delete(key)
        store.client.sadd(key, "another program's")
        return key

    return write


@pytest.mark.parametrize("part", ASKED)
def test_whoever_needs_it_names_the_key_and_its_type(store, portfolio, overwritten, part) -> None:
    key = overwritten(part)
    with Ledger.sync.connect(store.url, portfolio=portfolio, patience=1) as ledger:
        with pytest.raises(LedgerDamaged, match=r"holds a set where a \w+ belongs") as caught:
            ASKED[part](ledger)
        assert key in caught.value.message
        assert "pledger verify" in caught.value.hint


async def test_the_async_face_names_it_too_and_goes_on(store, portfolio, overwritten) -> None:
    key = await asyncio.to_thread(overwritten, "events:A")
    async with Ledger.connect(store.url, portfolio=portfolio, patience=1) as ledger:
        with pytest.raises(LedgerDamaged, match="holds a set") as caught:
            await ledger.state()
        assert key in caught.value.message
        assert [found.seq async for found in ledger.tail("C")] == [9, 13, 15]


@pytest.mark.parametrize(
    ("part", "first_wrong_seq"),
    [
        *(("meta", 1), ("revisions", 1), ("feed", 1), ("events", 1), ("events:A", 3)),
        *(("snapshots", None), ("snapshot:20", None), ("writers", None), ("group:g", None)),
    ],
)
@pytest.mark.parametrize("store", ["memory"], indirect=True)
def test_verification_names_it_and_goes_on_without_it(
    store, portfolio, overwritten, part, first_wrong_seq
) -> None:
    key = overwritten(part)
    with Ledger.sync.connect(store.url, portfolio=portfolio, patience=1) as ledger:
        found = verify(ledger, full=True)
    assert not found.ok
    assert found.first_wrong_seq == first_wrong_seq
    [told] = [problem for problem in found.problems if problem.kind == "key"]
    assert told.message.startswith(f"key {key} holds a set where a ")
    assert bool(found.digest) == (first_wrong_seq is None)
    failed = {check.name for check in found.checks if not check.ok}
    assert failed >= ({"keys"} if first_wrong_seq is None else {"keys", "log"})


def test_a_key_that_is_made_anew_is_to_be_deleted(store, portfolio, overwritten) -> None:
    key = overwritten("snapshots")
    with Ledger.sync.connect(store.url, portfolio=portfolio, patience=1) as ledger:
        [problem] = verify(ledger).problems
        assert problem.message.endswith("; delete it, it only saves time")
        store.client.delete(key)
        assert verify(ledger).ok


def test_the_keys_of_others_are_left_alone(store, portfolio, overwritten) -> None:
    overwritten("somebody:elses")
    with Ledger.sync.connect(store.url, portfolio=portfolio, patience=1) as ledger:
        assert verify(ledger).ok
