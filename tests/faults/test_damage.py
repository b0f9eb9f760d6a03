"""What was changed behind the ledger's back is reported by whatever has to read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from damage import RECIPES, Recipe, commits, fill
from servers import ServedStore

from ledger import (
    EventReversed,
    Ledger,
    LedgerDamaged,
    PriceMarked,
    SnapshotDamaged,
    SyncLedger,
)
from replay.verify import verify


def on_stores(*parts: str) -> pytest.MarkDecorator:
    """All recipes for these parts on fakeredis, and every third on a real server by turns."""
    recipes = [recipe for recipe in RECIPES if recipe.part in parts]
    turns = [("memory", recipe) for recipe in recipes]
    turns += [(("redis", "valkey")[at % 2], recipe) for at, recipe in enumerate(recipes[::3])]
    ids = [f"{recipe.name} ({kind})".replace(" ", "-") for kind, recipe in turns]
    return pytest.mark.parametrize(("kind", "recipe"), turns, ids=ids)


@pytest.fixture
def victim(
    kind: str, served: Callable[[str], ServedStore], portfolio: str
) -> Callable[[Recipe], SyncLedger]:
    """Do a damage to a filled portfolio, and open it anew."""
    store = served(kind)

    def damaged(recipe: Recipe) -> SyncLedger:
        with Ledger.sync.connect(store.url, portfolio=portfolio) as ledger:
            fill(ledger)
            assert ledger.state().seq == ledger.head().seq == 20
        recipe.damage(store.client, portfolio)
        return Ledger.sync.connect(store.url, portfolio=portfolio, patience=2)

    return damaged


def assert_told(call: Callable[[], object], recipe: Recipe) -> None:
    """Damage is reported, and never blamed on an event before the first wrong one."""
    with pytest.raises(LedgerDamaged) as caught:
        call()
    assert caught.value.hint
    if recipe.part not in ("meta", "revisions"):
        assert caught.value.seq is None or caught.value.seq >= recipe.first_wrong_seq


def mark(symbol: str) -> PriceMarked:
    return PriceMarked(symbol=symbol, price=77)


@on_stores("", "A", "B", "C")
def test_damage_of_a_stream_is_told_by_all_that_reads_it(
    victim: Callable[[Recipe], SyncLedger], recipe: Recipe
) -> None:
    with victim(recipe) as ledger:
        assert_told(ledger.state, recipe)
        assert_told(lambda: list(ledger.tail()), recipe)
        symbol = recipe.part
        if symbol:
            assert_told(lambda: list(ledger.tail(symbol)), recipe)
        # Whoever appends to the stream folds it; the portfolio's own, whoever appends anything.
        assert_told(lambda: ledger.append(mark(symbol or "A")), recipe)
        assert ledger.head().seq == 20


@on_stores("A", "B", "C")
def test_damage_of_one_symbol_stops_no_other_symbol(
    kind: str, served: Callable[[str], ServedStore], portfolio: str, recipe: Recipe
) -> None:
    sound = {"A": "B", "B": "C", "C": "A"}[recipe.part]
    if "all streams" in recipe.name:
        sound = "C" if "last" in recipe.name else "A"
    store = served(kind)
    with Ledger.sync.connect(store.url, portfolio=portfolio) as ledger:
        fill(ledger)
        before = list(ledger.tail(sound))
        recipe.damage(store.client, portfolio)
        assert list(ledger.tail(sound)) == before
        assert ledger.append(mark(sound)).seq == 21


@on_stores("meta", "revisions")
def test_a_head_that_disagrees_with_itself_is_told_by_everything(
    victim: Callable[[Recipe], SyncLedger], recipe: Recipe
) -> None:
    with victim(recipe) as ledger:
        for call in (
            ledger.state,
            ledger.head,
            ledger.sessions,
            lambda: list(ledger.tail()),
            lambda: list(ledger.tail("A")),
            lambda: ledger.append(mark("A")),
        ):
            assert_told(call, recipe)


@on_stores("feed")
def test_damage_of_the_feed_is_told_by_what_asks_it(
    victim: Callable[[Recipe], SyncLedger], recipe: Recipe
) -> None:
    """Repeats, reversals and moments ask the feed. Figures do not, and stay right."""
    number = {1: 1, 7: 4, 19: 9}[recipe.first_wrong_seq]
    with victim(recipe) as ledger:
        events = commits()[number - 1]
        assert_told(lambda: ledger.append(events, commit_id=f"c{number}"), recipe)
        seq = recipe.first_wrong_seq
        assert_told(lambda: ledger.append(EventReversed(seq=seq, reason="x")), recipe)
        assert len(list(ledger.tail())) == ledger.state().seq == 20


async def test_the_async_face_tells_damage_alike(store: ServedStore, portfolio: str) -> None:
    def prepare() -> None:
        with Ledger.sync.connect(store.url, portfolio=portfolio) as ledger:
            fill(ledger)
        RECIPES[1].damage(store.client, portfolio)

    await asyncio.to_thread(prepare)
    async with (
        Ledger.connect(store.url, portfolio=portfolio) as ledger,
        ledger.writer("w") as writer,
    ):
        with pytest.raises(LedgerDamaged):
            await ledger.state()
        found = await asyncio.gather(
            *(writer.append(mark(symbol)) for symbol in "ABAC"), return_exceptions=True
        )
        assert [isinstance(each, LedgerDamaged) for each in found] == [True, False, True, False]
        assert (await writer.append(mark("B"))).seq == 23


def test_a_changed_snapshot_is_told_and_a_removed_one_is_done_without(
    store: ServedStore, portfolio: str
) -> None:
    with Ledger.sync.connect(store.url, portfolio=portfolio) as ledger:
        fill(ledger)
        digest = ledger.snapshot().digest()
        key = ledger.keys.snapshot(20)
        saved = store.client.get(key)
        at = saved.index(b'"price":') if b'"price":' in saved else len(saved) - 20
        store.client.set(key, saved[:at] + bytes([saved[at] ^ 1]) + saved[at + 1 :])
        with pytest.raises(SnapshotDamaged, match="digest") as caught:
            ledger.state()
        assert "delete it" in caught.value.hint
        assert ledger.accounts(use_snapshots=False).digest() == digest
        store.client.delete(key)
        assert ledger.state().digest == digest


@on_stores("", "A", "B", "C", "feed", "meta", "revisions")
def test_verification_names_the_first_wrong_event(
    victim: Callable[[Recipe], SyncLedger], recipe: Recipe
) -> None:
    with victim(recipe) as ledger:
        found = verify(ledger)
        assert not found.ok
        assert found.first_wrong_seq == recipe.first_wrong_seq
