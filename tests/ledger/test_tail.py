"""Tails: every event once, in the total order, from where the reader left off, never silently."""

from __future__ import annotations

import asyncio
import signal

import pytest
from servers import RedisProcess

from ledger import (
    CashDeposited,
    InvalidInput,
    Ledger,
    LedgerDamaged,
    NotFound,
    PriceMarked,
    SessionStarted,
    StoreUnavailable,
)
from ledger.checkpoints import FileCheckpoint


def start() -> list:
    return [
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded"),
        CashDeposited(currency="USD", amount=1000),
    ]


def marks(*symbols: str) -> list:
    return [PriceMarked(symbol=symbol, price=index + 1) for index, symbol in enumerate(symbols)]


@pytest.fixture
def ledger(store_url, portfolio):
    with Ledger.sync.connect(store_url, portfolio=portfolio, patience=5) as opened:
        yield opened


@pytest.fixture
def memory(portfolio):
    """The quick store, for what does not depend on the server."""
    with Ledger.sync.connect(f"memory:{portfolio}", portfolio=portfolio) as opened:
        yield opened


def seqs(events) -> list[int]:
    return [recorded.seq for recorded in events]


def taken(tail, count: int) -> list[int]:
    return [next(tail).seq for _ in range(count)]


def go_live(ledger, tail) -> None:
    """Read nothing more, but come to where events are waited for."""
    while not tail._core.has_caught_up:
        assert ledger.drive(tail._core.page()) == []


def test_a_tail_merges_symbols_in_the_total_order(ledger):
    ledger.append(start())
    ledger.append(marks("B", "A", "B", "C"))
    ledger.append(marks("C", "A"))
    assert seqs(ledger.tail()) == list(range(1, 9))
    assert [(r.seq, r.symbol, r.revision) for r in ledger.tail("A", "B")] == [
        (3, "B", 1),
        (4, "A", 1),
        (5, "B", 2),
        (8, "A", 2),
    ]
    assert seqs(ledger.tail(after=3, until=6)) == [4, 5, 6]


def test_pages_hold_every_event_once_in_order(ledger):
    ledger.append(start())
    for _ in range(40):
        ledger.append(marks(*"ABCD" * 16))
    pages = list(ledger.tail().pages())
    assert len(pages) > 1
    assert [recorded for page in pages for recorded in page] == list(ledger.tail())
    assert [len(page) for page in ledger.tail("A", types=["CashDeposited"]).pages()] == []


async def test_a_page_is_handled_when_the_next_one_is_asked_for(
    ledger, store_url, portfolio, tmp_path
):
    ledger.append([*start(), *marks("A", "A")])
    place = FileCheckpoint(tmp_path / "place")
    with pytest.raises(RuntimeError), ledger.tail(checkpoint=place) as tail:  # noqa: PT012
        for page in tail.pages():
            assert seqs(page) == [1, 2, 3, 4]
            raise RuntimeError
    assert place.load() == 0
    async with (
        Ledger.connect(store_url, portfolio=portfolio) as other,
        other.tail(checkpoint=place) as again,
    ):
        assert [seqs(page) async for page in again.pages()] == [[1, 2, 3, 4]]
    assert place.load() == 4


def test_a_follower_gets_what_is_appended_later_and_symbols_that_begin_later(ledger):
    ledger.append([*start(), *marks("A")])
    with ledger.tail(follow=True) as tail:
        assert taken(tail, 3) == [1, 2, 3]
        go_live(ledger, tail)
        ledger.append(marks("A", "NEW", "A"))
        assert [(r.seq, r.symbol, r.revision) for r in (next(tail), next(tail), next(tail))] == [
            (4, "A", 2),
            (5, "NEW", 1),
            (6, "A", 3),
        ]
        ledger.append(marks("NEW", "OTHER"))
        ledger.append(marks("A"))
        assert taken(tail, 3) == [7, 8, 9]


def test_a_follower_of_some_symbols_passes_over_the_others(ledger):
    ledger.append([*start(), *marks("A", "B")])
    with ledger.tail("A", "LATER", follow=True) as tail:
        assert taken(tail, 1) == [3]
        go_live(ledger, tail)
        ledger.append(marks("B", "B"))
        ledger.append(marks("LATER", "B", "A"))
        assert taken(tail, 2) == [7, 9]


def test_the_position_of_a_follower_moves_past_events_of_other_symbols(memory):
    memory.append([*start(), *marks("A", "B")])
    with memory.tail("A", follow=True) as tail:
        assert taken(tail, 1) == [3]
        go_live(memory, tail)
        memory.append(marks("B", "B"))
        for _ in range(2):
            assert memory.drive(tail._core.page()) == []
        assert tail._core.position == 6


@pytest.mark.parametrize("is_whole", [True, False])
def test_above_a_hundred_streams_the_feed_is_followed(ledger, is_whole):
    names = [f"S{number:03}" for number in range(120)]
    ledger.append([*start(), *marks(*names)])
    with ledger.tail(*(() if is_whole else names), after=100, follow=True) as tail:
        assert taken(tail, 22) == list(range(101, 123))
        go_live(ledger, tail)
        ledger.append(marks("S005", "NEW", "S007"))
        ledger.append(marks("NEW"))
        ledger.append(marks("S005"))
        expected = list(range(123, 128)) if is_whole else [123, 125, 127]
        assert taken(tail, len(expected)) == expected


def test_a_long_burst_between_two_looks_is_read_in_order(ledger):
    """More than one read's worth in one stream, and other streams in between."""
    ledger.append([*start(), *marks("A", "B", "C")])
    with ledger.tail(follow=True) as tail, ledger.writer("w") as writer:
        assert taken(tail, 5) == [1, 2, 3, 4, 5]
        go_live(ledger, tail)
        writer.append_many([marks("A", "B") if n % 9 == 0 else marks("A") for n in range(150)])
        writer.append(marks("C"))
        last = ledger.head().seq
        assert taken(tail, last - 5) == list(range(6, last + 1))


def test_events_are_filtered_by_type(memory):
    memory.append([*start(), *marks("A", "B")])
    assert seqs(memory.tail(types=["PriceMarked"])) == [3, 4]
    assert seqs(memory.tail("A", exclude_types=["PriceMarked"])) == []
    assert seqs(memory.tail(exclude_types=["PriceMarked"])) == [1, 2]
    with pytest.raises(InvalidInput, match="PriceMraked"):
        memory.tail(types=["PriceMraked"])


def test_a_tail_begins_at_a_moment(memory):
    memory.append([*start(), *marks("A", "B")])
    assert seqs(memory.tail(since="start")) == [1, 2, 3, 4]
    assert seqs(memory.tail(since="#3")) == [3, 4]
    assert seqs(memory.tail(since="-10m")) == [1, 2, 3, 4]
    with memory.tail(since="now", follow=True) as tail:
        memory.append(marks("A"))  # the position is taken at the first read
        memory.drive(tail._begin(0))
        memory.append(marks("B"))
        assert taken(tail, 1) == [6]


def test_a_position_beyond_the_head_is_refused(memory):
    memory.append(start())
    with pytest.raises(NotFound, match="#7"):
        next(memory.tail(after=7, follow=True))


@pytest.mark.parametrize("symbols", [(), ("A",)])
def test_an_event_removed_under_a_follower_is_an_error(ledger, store, symbols):
    ledger.append([*start(), *marks("A", "B")])
    tail = ledger.tail(*symbols, follow=True)
    taken(tail, 1 if symbols else 4)
    go_live(ledger, tail)
    removed = ledger.append(marks("A")).seq
    ledger.append(marks("A"))
    assert store.client.xdel(ledger.keys.stream("A"), f"{removed}-2") == 1
    with pytest.raises(LedgerDamaged) as found:
        taken(tail, 2)
    assert found.value.seq == (6 if symbols else 5)


@pytest.mark.parametrize("symbols", [(), ("A",)])
def test_a_store_that_lost_what_was_read_is_an_error(ledger, store, symbols):
    ledger.append([*start(), *marks("A", "B")])
    tail = ledger.tail(*symbols, follow=True)
    taken(tail, 1 if symbols else 4)
    go_live(ledger, tail)
    store.client.hset(ledger.keys.meta, "seq", "1")
    with pytest.raises(LedgerDamaged, match="lost events"):
        next(tail)


@pytest.mark.parametrize("kind", ["file", "store"])
def test_a_checkpoint_resumes_without_gap_or_double(ledger, tmp_path, kind):
    ledger.append([*start(), *marks("A", "B", "A")])

    def checkpoint():
        return FileCheckpoint(tmp_path / "at") if kind == "file" else ledger.checkpoint("mine")

    with ledger.tail(checkpoint=checkpoint()) as tail:
        assert taken(tail, 2) == [1, 2]
    with ledger.tail(checkpoint=checkpoint()) as tail:
        assert seqs(tail) == [3, 4, 5]
    assert checkpoint().load() == 5
    assert seqs(ledger.tail(checkpoint=checkpoint())) == []


def test_an_event_whose_handling_failed_is_not_behind_the_checkpoint(memory, tmp_path):
    memory.append([*start(), *marks("A", "B", "A")])
    checkpoint = FileCheckpoint(tmp_path / "at")

    def handle_all() -> None:
        with memory.tail(checkpoint=checkpoint) as tail:
            for recorded in tail:
                _ = 1 / (3 - recorded.seq)

    with pytest.raises(ZeroDivisionError):
        handle_all()
    assert checkpoint.load() == 2


def test_a_checkpoint_file_with_something_else_in_it_is_refused(memory, tmp_path):
    (tmp_path / "at").write_text("#12\n")
    with pytest.raises(InvalidInput, match="sequence number"):
        next(memory.tail(checkpoint=FileCheckpoint(tmp_path / "at")))


def test_health_tells_the_distance_to_the_real_head(ledger):
    ledger.append([*start(), *marks("A", "B", "A", "A")])
    with ledger.tail("A", follow=True) as tail, ledger.tail(follow=True) as whole:
        assert tail.health().event_count == 3
        assert taken(tail, 2) == [3, 5]
        health = tail.health()
        assert (health.head_seq, health.event_count) == (6, 1)
        assert 0 < health.seconds < 60
        taken(tail, 1)
        assert (tail.health().event_count, tail.health().seconds) == (0, 0.0)
        taken(whole, 2)
        assert whole.health().event_count == 4


async def test_the_async_face_follows_and_reports_as_the_sync_one(store_url, portfolio):
    async with Ledger.connect(store_url, portfolio=portfolio) as ledger:
        await ledger.append([*start(), *marks("A")])
        found = []
        at_the_head = asyncio.Event()

        async def follow() -> None:
            async with ledger.tail(follow=True, checkpoint=ledger.checkpoint("f")) as tail:
                async for recorded in tail:
                    found.append(recorded.seq)
                    if recorded.seq == 3:
                        at_the_head.set()
                    if recorded.seq == 6:
                        assert (await tail.health()).event_count == 0
                        return

        task = asyncio.create_task(follow())
        await at_the_head.wait()
        for _ in range(3):
            await ledger.append(marks("A"))
        await asyncio.wait_for(task, 20)
        assert found == [1, 2, 3, 4, 5, 6]
        assert ledger.checkpoint("f").load() == 6
        async for recorded in ledger.tail(follow=True):  # left open: the ledger closes it
            assert recorded.seq == 1
            break


@pytest.mark.skipif(RedisProcess.binary is None, reason="redis-server is not installed")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_follower_survives_a_restart_of_the_server(tmp_path, number):
    with RedisProcess(tmp_path) as server, Ledger.sync.connect(server.url) as ledger:
        ledger.append([*start(), *marks("A")])
        with ledger.tail(follow=True) as tail:
            assert taken(tail, 3) == [1, 2, 3]
            go_live(ledger, tail)
            server.stop(number)
            server.start()
            ledger.append(marks("A", "B"))
            assert taken(tail, 2) == [4, 5]


@pytest.mark.skipif(RedisProcess.binary is None, reason="redis-server is not installed")
def test_a_follower_whose_server_stays_away_raises(tmp_path):
    with RedisProcess(tmp_path) as server, Ledger.sync.connect(server.url, patience=0.2) as ledger:
        ledger.append([*start(), *marks("A")])
        tail = ledger.tail(follow=True)
        taken(tail, 3)
        go_live(ledger, tail)
        server.stop(signal.SIGKILL)
        with pytest.raises(StoreUnavailable):
            next(tail)
