"""An export answers every question that the portfolio it was made of answers, in the same way."""

from __future__ import annotations

import pytest

import replay
from ledger import (
    Ledger,
    LedgerDamaged,
    NotFound,
    PriceMarked,
    StoreRefused,
    export_ledger,
)
from replay.verify import verify


@pytest.fixture
def filed(generated, tmp_path):
    """The generated session, from a file; and from where it was recorded."""
    path = tmp_path / "generated.ndjson"
    export_ledger(generated.history.ledger, path)
    with replay.open(path) as session:
        yield session, generated


def test_every_state_is_the_same(filed):
    session, source = filed
    last = source.history.last_seq
    for seq in (0, 1, 2, 77, last // 2, last - 1, last):
        assert session.at(seq=seq) == source.at(seq=seq)


def test_every_event_is_the_same_to_the_time_it_was_recorded(filed):
    session, source = filed
    assert list(session.events()) == list(source.events())


def test_every_question_has_the_same_answer(filed):
    session, source = filed
    for ask in (
        lambda s: s.diff(5, "80%").changes,
        lambda s: s.find("balances.USD.cash > 1000000"),
        lambda s: s.trades(),
        lambda s: s.orders(),
        lambda s: s.history.ledger.sessions(),
        lambda s: s.explain("balances.USD.cash", "50%").contributions,
        lambda s: [str(s.history.seq(when)) for when in ("start", "50%", "end", "+40s")],
    ):
        assert ask(session) == ask(source)


def test_a_file_verifies(filed):
    session, source = filed
    found = verify(session.history.ledger, full=True)
    assert found.ok, found.problems
    assert found.digest == source.history.state(source.history.last_seq).digest


def test_nothing_can_be_written(filed):
    session, _ = filed
    ledger = session.history.ledger
    with pytest.raises(StoreRefused, match="read-only"):
        ledger.append(PriceMarked(symbol="AAPL", price=1))
    with pytest.raises(StoreRefused, match="read-only"), ledger.writer("sma"):
        pass
    with pytest.raises(StoreRefused, match="read-only"):
        ledger.checkpoint("mine").save(3)


def test_snapshots_of_a_file_change_no_answer(filed):
    session, source = filed
    ledger = session.history.ledger
    ledger.snapshot()
    assert session.at() == source.at()
    assert ledger.accounts(use_snapshots=False).digest() == source.at().digest
    assert verify(ledger).ok


async def test_the_async_face_reads_a_file(day, tmp_path):
    path = tmp_path / "day.parquet"
    export_ledger(day.history.ledger, path)
    async with Ledger.connect(f"file:{path}", portfolio="whatever") as ledger:
        assert (await ledger.state()).digest == day.at().digest
        assert [event.seq async for event in ledger.tail("AAPL")] == [
            event.seq for event in day.events(symbol="AAPL")
        ]


def test_following_a_file_hands_out_what_is_there_and_waits(day, tmp_path):
    path = tmp_path / "day.csv"
    export_ledger(day.history.ledger, path)
    with Ledger.sync.connect(f"file:{path}") as ledger:
        tail = ledger.tail(follow=True)
        assert [next(tail).seq for _ in range(16)] == list(range(1, 17))
        tail.close()


def test_a_file_that_is_not_there_or_damaged_is_refused_at_once(day, tmp_path):
    path = tmp_path / "day.csv"
    with pytest.raises(NotFound, match=r"there is no file .*day\.csv"):
        Ledger.sync.connect(f"file:{path}")
    export_ledger(day.history.ledger, path)
    path.write_bytes(path.read_bytes().replace(b"AAPL", b"AAPM", 1))
    with pytest.raises(LedgerDamaged, match=r"day\.csv, line 4: it is not what was written"):
        Ledger.sync.connect(f"file:{path}")
