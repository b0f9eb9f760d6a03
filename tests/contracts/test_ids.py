"""Ids of commits and writers: what they may be, and that each is used once."""

from __future__ import annotations

import pytest

from ledger import InvalidInput, Ledger, PriceMarked, SyncLedger


@pytest.fixture
def ledger(store_url: str, portfolio: str) -> SyncLedger:
    """An empty portfolio on each kind of store."""
    with Ledger.sync.connect(store_url, portfolio=portfolio) as opened:
        yield opened


MARK = PriceMarked(symbol="A", price=1)


@pytest.mark.parametrize("commit_id", ["", "a b", "line\nfeed", "x" * 129, "\ud800"])
def test_a_commit_id_that_is_none_is_refused_by_name(ledger: SyncLedger, commit_id: str) -> None:
    """It is neither replaced by another nor let through to the store."""
    with pytest.raises(InvalidInput, match="commit_id"):
        ledger.append(MARK, commit_id=commit_id)
    assert ledger.head().seq == 0


@pytest.mark.parametrize("name", ["", "two words", "line\nfeed"])
def test_a_writers_name_that_is_none_is_refused(ledger: SyncLedger, name: str) -> None:
    with pytest.raises(InvalidInput, match="writer"), ledger.writer(name):
        pass


def test_a_numbered_commit_sent_again_by_its_id_is_answered(ledger: SyncLedger) -> None:
    """The id a writer gave by itself is as good as a chosen one."""
    with ledger.writer("v") as writer:
        first = writer.append(MARK)
    again = ledger.append(MARK, commit_id=first.id)
    assert (again.seq, again.is_repeat) == (first.seq, True)
    assert ledger.head().seq == 1


def test_a_reader_without_the_right_to_write_reads_a_long_log(served, portfolio: str) -> None:
    """Snapshots on the way save time; who may not save them gets the same state."""
    store = served("redis")
    with (
        Ledger.sync.connect(store.url, portfolio=portfolio) as ledger,
        ledger.writer("w") as writer,
    ):
        marks = [PriceMarked(symbol=f"S{n % 7}", price=n) for n in range(1, 1_001)]
        writer.append_many([marks] * 12)
        store.client.execute_command(
            "ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+@connection"
        )
        as_reader = store.url.replace("unix://", "unix://reader:pw@", 1)
        with Ledger.sync.connect(as_reader, portfolio=portfolio) as reader:
            state = reader.state()
        assert not store.client.exists(f"pledger:{{{portfolio}}}:snapshots")
        assert state == ledger.state()
        assert store.client.exists(f"pledger:{{{portfolio}}}:snapshots")
