"""Reading the log: paged, merged over symbols in the total order, from anywhere, as it grows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from servers import ServedStore

from ledger import (
    CashDeposited,
    Event,
    Ledger,
    NotFound,
    OrderFilled,
    OrderPlaced,
    PositionClosed,
    PositionOpened,
    PriceMarked,
    Recorded,
    SessionStarted,
    SyncLedger,
    reading,
)
from ledger.evolve import fold

START = SessionStarted(session="s1", mode="paper", base_currency="USD", clock="recorded")


def mark(symbol: str, price: object) -> PriceMarked:
    return PriceMarked(symbol=symbol, price=price)


@pytest.fixture
def connect(any_store: ServedStore, portfolio: str) -> Iterator[Callable[[], SyncLedger]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(
            Ledger.sync.connect(any_store.url, portfolio=portfolio, patience=5)
        )


def written(ledger: SyncLedger, commits: list[list[Event]]) -> list[tuple[int, str, int, Event]]:
    """Append commits, and say what reading them has to give."""
    expected, revisions = [], {}
    with ledger.writer("w") as writer:
        writer.append_many(commits)
    for seq, event in enumerate((each for events in commits for each in events), start=1):
        revisions[event.symbol] = revisions.get(event.symbol, 0) + 1
        expected.append((seq, event.symbol, revisions[event.symbol], event))
    return expected


def read(found: Iterator[Recorded]) -> list[tuple[int, str, int, str]]:
    return [(each.seq, each.symbol, each.revision, str(each.event.price)) for each in found]


def shown(expected: list[tuple[int, str, int, Event]]) -> list[tuple[int, str, int, str]]:
    return [(seq, symbol, revision, str(event.price)) for seq, symbol, revision, event in expected]


def test_a_small_log_reads_the_same_from_every_number_to_every_other(
    connect: Callable[[], SyncLedger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pages of 5 and commits of up to 4, every kind of border is met."""
    monkeypatch.setattr(reading, "_PAGE", 5)
    monkeypatch.setattr(reading, "MAX_COMMIT_EVENTS", 4)
    chance = random.Random(7)
    commits: list[list[Event]] = [
        [mark(chance.choice("AAAB"), number) for _ in range(chance.randint(1, 4))]
        for number in range(11)
    ]
    commits[5].append(mark("Z", 1))  # a sparse one
    ledger = connect()
    expected = shown(written(ledger, [each[:4] for each in commits]))
    last = len(expected)
    for after in range(last + 1):
        for until in range(after, last + 1, 1 if after % 3 == 0 else 4):
            part = expected[after:until]
            assert read(ledger.tail(after=after, until=until)) == part
        for symbol in "ABZ":
            part = [each for each in expected[after:] if each[1] == symbol]
            assert read(ledger.tail(symbol, after=after)) == part
        pair = [each for each in expected[after:] if each[1] in "BZ"]
        assert read(ledger.tail("Z", "B", after=after)) == pair


def test_a_log_of_several_pages_reads_whole_with_commits_across_their_borders(
    connect: Callable[[], SyncLedger],
) -> None:
    sizes = [1, 1000, 997, 3, 1000, 1, 999, 1000, 2, 40, 57]  # pages end at 2,000 and 4,000
    commits: list[list[Event]] = [
        [mark("ABC"[(at * at + size) % 3], at) for at in range(size)] for size in sizes
    ]
    commits[3][1] = mark("RARE", 5)
    commits[7][999] = mark("RARE", 6)
    ledger = connect()
    expected = shown(written(ledger, commits))
    assert len(expected) == 5100
    assert read(ledger.tail()) == expected
    assert read(ledger.tail("RARE")) == [each for each in expected if each[1] == "RARE"]
    assert read(ledger.tail("B")) == [each for each in expected if each[1] == "B"]
    for after, until in [
        (0, 1),
        (1999, 2001),
        (2000, 2000),
        (1998, 4002),
        (3999, None),
        (5099, None),
    ]:
        assert read(ledger.tail(after=after, until=until)) == expected[after:until]
    assert ledger.state().seq == 5100
    assert ledger.state(2500).seq == 2500


def test_reading_beyond_the_end_is_refused(connect: Callable[[], SyncLedger]) -> None:
    ledger = connect()
    assert list(ledger.tail()) == []
    assert ledger.state().seq == 0
    written(ledger, [[mark("A", 1), mark("A", 2)]])
    assert list(ledger.tail(after=2)) == []
    assert list(ledger.tail("NONE")) == []
    for call in (lambda: ledger.state(3), lambda: list(ledger.tail(until=3))):
        with pytest.raises(NotFound, match="#3"):
            call()


async def test_a_follower_gets_new_events_and_new_symbols_as_they_come(
    any_store: ServedStore, portfolio: str
) -> None:
    async with (
        Ledger.connect(any_store.url, portfolio=portfolio) as ledger,
        ledger.writer("w") as writer,
    ):
        await writer.append(mark("A", 1))
        everything, only_new = ledger.tail(follow=True), ledger.tail("NEW", follow=True)
        assert (await anext(everything)).seq == 1
        coming = asyncio.create_task(anext(only_new))
        for number in range(2, 12):
            waiting = asyncio.create_task(anext(everything))
            await asyncio.sleep(0)  # so that it is waiting when the event comes
            await writer.append(mark(f"S{number}", number))
            found = await asyncio.wait_for(waiting, 10)
            assert (found.seq, found.symbol, found.revision) == (number, f"S{number}", 1)
        await writer.append([mark("NEW", 1), mark("B", 1), mark("NEW", 2)])
        assert (await asyncio.wait_for(coming, 10)).seq == 12
        assert (await asyncio.wait_for(anext(only_new), 10)).seq == 14
        assert [(await anext(everything)).seq for _ in range(3)] == [12, 13, 14]
        await everything.aclose()
        await only_new.aclose()


def test_a_sync_follower_gets_what_comes(connect: Callable[[], SyncLedger]) -> None:
    ledger = connect()
    following = ledger.tail(follow=True)
    with ledger.writer("w") as writer:
        for number in range(1, 6):
            writer.append([mark("A", number), mark(f"S{number}", number)])
            assert [next(following).seq for _ in range(2)] == [2 * number - 1, 2 * number]
    following.close()


def history() -> list[list[Event]]:
    def order(symbol: str, number: int) -> OrderPlaced:
        return OrderPlaced(
            symbol=symbol, order_id=f"o{number}", side="buy", quantity=2, price=number + 1
        )

    def fill(symbol: str, number: int) -> list[Event]:
        filled = OrderFilled(
            symbol=symbol,
            order_id=f"o{number}",
            trade_id="t",
            quantity=2,
            price=number + 1,
            fee="0.1",
        )
        opened = PositionOpened(
            symbol=symbol,
            position_id=f"p{number}",
            side="buy",
            quantity=2,
            entry_price=number + 1,
            order_id=f"o{number}",
        )
        return [filled, opened]

    commits: list[list[Event]] = [[START, CashDeposited(currency="USD", amount=1000)]]
    for number in range(4):
        symbol = "AB"[number % 2]
        commits += [[order(symbol, number)], fill(symbol, number), [mark(symbol, number + 2)]]
    commits.append(
        [
            PositionClosed(symbol="A", position_id="p0", exit_price=7),
            PositionClosed(symbol="B", position_id="p1", exit_price="0.3"),
        ]
    )
    return commits


def test_the_state_at_every_number_is_the_fold_of_the_events_up_to_it(
    connect: Callable[[], SyncLedger],
) -> None:
    """With snapshots anywhere, from another connection, and from nothing."""
    ledger = connect()
    with ledger.writer("w") as writer:
        for number, events in enumerate(history()):
            writer.append(events)
            if number % 4 == 2:
                ledger.snapshot()
    events = list(ledger.tail())
    other = connect()
    for seq in range(len(events) + 1):
        digest = fold(events[:seq]).digest()
        assert ledger.state(seq).digest == digest
        assert other.accounts(seq, use_snapshots=False).digest() == digest
        assert ledger.state(seq).seq == seq
    assert ledger.state().digest == digest


def test_a_state_handed_out_is_the_callers_own(connect: Callable[[], SyncLedger]) -> None:
    ledger = connect()
    with ledger.writer("w") as writer:
        writer.append_many(history())
    state = ledger.state()
    state.positions.clear()
    state.per_symbol_positions.clear()
    assert ledger.state().positions
    assert ledger.state().digest == ledger.accounts(use_snapshots=False).digest()
