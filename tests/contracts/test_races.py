"""What holds when others append in between, when many commits travel together, when one gives up.

Where a race must be lost at one certain point, a connection lets the other writer go first there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from servers import ServedStore

from ledger import (
    CashDeposited,
    Event,
    EventReversed,
    Ledger,
    LedgerError,
    NotFound,
    OrderCancelled,
    OrderPlaced,
    PriceMarked,
    RuleViolation,
    SessionEnded,
    SessionStarted,
    SyncLedger,
)

START = SessionStarted(session="s1", mode="paper", base_currency="USD", clock="recorded")


def mark(symbol: str, price: object) -> PriceMarked:
    return PriceMarked(symbol=symbol, price=price)


def order(symbol: str, order_id: str) -> OrderPlaced:
    return OrderPlaced(symbol=symbol, order_id=order_id, side="buy", quantity=1, price=10)


class Overtaken:
    """A connection on which others act just before the first commits are sent."""

    def __init__(self, connection: Any, others: Callable[[], object]) -> None:
        self._connection = connection
        self._others: Callable[[], object] | None = others

    def exchange(self, commands: Sequence[Any]) -> Any:
        if self._others is not None and any(command[0] == "APPEND" for command in commands):
            others, self._others = self._others, None
            others()
        return self._connection.exchange(commands)

    def close(self) -> None:
        self._connection.close()


class OneByOne:
    """A connection on which others act between any two commands, for a while."""

    def __init__(self, connection: Any, others: Callable[[], object], count: int) -> None:
        self._connection = connection
        self._others = others
        self._left = count

    def exchange(self, commands: Sequence[Any]) -> list[Any]:
        replies = []
        for command in commands:
            replies += self._connection.exchange([command])
            if self._left:
                self._left -= 1
                self._others()
        return replies

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def connect(store: ServedStore, portfolio: str) -> Iterator[Callable[[], SyncLedger]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(
            Ledger.sync.connect(store.url, portfolio=portfolio, patience=5)
        )


@pytest.fixture
def ledger(connect: Callable[[], SyncLedger]) -> SyncLedger:
    """A portfolio in which a session is open; that is event 1."""
    opened = connect()
    opened.append(START)
    return opened


def assert_sound(ledger: SyncLedger) -> None:
    """The log is whole, its fold takes every event, and the views of it agree."""
    accounts = ledger.accounts(use_snapshots=False)
    stopped = {name: each.quarantine for name, each in accounts.symbols.items() if each.quarantine}
    assert not stopped, "an event was recorded that the rules forbid"
    assert [found.seq for found in ledger.tail()] == list(range(1, ledger.head().seq + 1))


@pytest.mark.parametrize("foreign_count", [1, 2, 3])
def test_a_commit_is_not_taken_on_the_place_of_one_before_it_that_lost(
    ledger: SyncLedger, connect: Callable[[], SyncLedger], foreign_count: int
) -> None:
    """Two commits travel together, the second on what the first does. Others fill its place."""
    other = connect()
    with ledger.writer("w") as writer, other.writer("v") as foreign:
        writer.append(mark("A", 1))
        ledger._connection = Overtaken(
            ledger._connection, lambda: [foreign.append(mark("A", 2)) for _ in range(foreign_count)]
        )
        commits = writer.append_many(
            [[order("A", "o")], [mark("A", 3)], [OrderCancelled(symbol="A", order_id="o")]]
        )
        assert [commit.seq for commit in commits] == sorted(commit.seq for commit in commits)
        last = writer.append(mark("A", 4))
    assert_sound(ledger)
    assert last.revisions == {"A": 1 + foreign_count + 4}
    types = [found.type for found in ledger.tail("A")]
    assert types == ["PriceMarked"] * (1 + foreign_count) + [
        "OrderPlaced", "PriceMarked", "OrderCancelled", "PriceMarked",
    ]  # fmt: skip


def test_commits_over_several_symbols_survive_being_overtaken_in_one(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    other = connect()
    with ledger.writer("w") as writer, other.writer("v") as foreign:
        writer.append([mark("A", 1), mark("B", 1)])
        ledger._connection = Overtaken(
            ledger._connection, lambda: foreign.append([mark("A", 2), mark("C", 2)])
        )
        writer.append_many(
            [[mark("A", 3), mark("B", 3)], [mark("B", 4)], [mark("C", 5)], [mark("B", 6)]]
        )
        writer.append([mark("A", 7), mark("B", 7), mark("C", 7)])
    assert_sound(ledger)
    assert ledger.head().revisions == {"": 1, "A": 4, "B": 5, "C": 3}


def test_what_was_tried_in_a_session_is_tried_again_when_it_ended_meanwhile(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    other = connect()
    with ledger.writer("w") as writer:
        writer.append(CashDeposited(currency="USD", amount=1))
        ledger._connection = Overtaken(
            ledger._connection, lambda: other.append(SessionEnded(session="s1"))
        )
        with pytest.raises(RuleViolation) as caught:
            writer.append(SessionEnded(session="s1"))
    assert caught.value.rule == "session-not-open"
    assert_sound(ledger)


def test_a_reversal_is_made_anew_where_others_appended_meanwhile(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    ledger.append(order("A", "o"))
    other = connect()
    with ledger.writer("w") as writer:
        ledger._connection = Overtaken(
            ledger._connection,
            lambda: other.append(OrderCancelled(symbol="A", order_id="o")),
        )
        with pytest.raises(RuleViolation) as caught:
            writer.append(EventReversed(seq=2, reason="typo"))
    assert caught.value.rule == "reversal-depends"
    assert_sound(ledger)


def test_reading_while_others_append_reports_no_damage(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    """A commit between two commands of one exchange is no gap."""
    other = connect()
    connection = ledger._connection
    with other.writer("v") as foreign, ledger.writer("w") as writer:
        for count in range(1, 12):
            ledger._connection = OneByOne(
                connection,
                lambda: foreign.append([mark("A", 1), mark(f"S{other.head().seq}", 1)]),
                count,
            )
            assert ledger.state().seq > 0
            assert writer.append(mark("A", 5)).seq > 0
            assert [found.symbol for found in ledger.tail("A")]
    ledger._connection = connection
    assert_sound(ledger)


async def test_many_tasks_share_a_writer(store: ServedStore, portfolio: str) -> None:
    """100 coroutines on one writer: each has its own outcome, each symbol its own order."""
    async with (
        Ledger.connect(store.url, portfolio=portfolio) as ledger,
        ledger.writer("w") as writer,
    ):
        await writer.append(START)

        async def work(number: int) -> list[int]:
            symbol = f"S{number % 10}"
            placed = await writer.append(order(symbol, f"o{number}"))
            gone = await writer.append(OrderCancelled(symbol=symbol, order_id=f"o{number}"))
            with pytest.raises(RuleViolation):
                await writer.append(OrderCancelled(symbol=symbol, order_id=f"o{number}"))
            return [placed.seq, gone.seq]

        found = await asyncio.gather(*map(work, range(100)))
        assert sorted(seq for pair in found for seq in pair) == list(range(2, 202))
        assert all(first < last for first, last in found)
        assert (await ledger.state()).seq == 201


async def test_two_writers_with_many_tasks_on_the_same_symbols(
    store: ServedStore, portfolio: str
) -> None:
    """Their commits travel in different numbers and overtake each other."""
    async with (
        Ledger.connect(store.url, portfolio=portfolio) as ledger,
        Ledger.connect(store.url, portfolio=portfolio) as other,
        ledger.writer("a") as first,
        other.writer("b") as second,
    ):
        await first.append(START)

        async def work(number: int) -> None:
            writer = second if number % 3 else first
            symbol = f"S{number % 2}"
            await writer.append([order(symbol, f"o{number}"), mark("X", 1)])
            await writer.append(OrderCancelled(symbol=symbol, order_id=f"o{number}"))

        await asyncio.gather(*map(work, range(60)))
        accounts = await ledger.accounts(use_snapshots=False)
    assert accounts.seq == 181
    assert {name: each.quarantine for name, each in accounts.symbols.items()} == dict.fromkeys(
        ["S0", "S1", "X"]
    )


async def test_a_cancelled_task_loses_nothing_of_the_others(
    store: ServedStore, portfolio: str
) -> None:
    async with Ledger.connect(store.url, portfolio=portfolio) as ledger:
        async with ledger.writer("w") as writer:
            await writer.append(START)
            tasks = [
                asyncio.create_task(writer.append(order(f"S{number % 7}", f"o{number}")))
                for number in range(100)
            ]
            await asyncio.sleep(0)
            for gone in (0, 50, 99):
                tasks[gone].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
        cancelled = [each for each in found if isinstance(each, asyncio.CancelledError)]
        commits = [each for each in found if not isinstance(each, BaseException)]
        assert (len(cancelled), len(commits)) == (3, 97)
        recorded = {each.event.order_id: each.seq async for each in ledger.tail(after=1)}
        for number, commit in enumerate(found):
            if not isinstance(commit, BaseException):
                assert recorded[f"o{number}"] == commit.seq
        assert (await ledger.head()).seq == len(recorded) + 1


async def test_one_refused_commit_refuses_no_other(store: ServedStore, portfolio: str) -> None:
    calls: list[tuple[Event | list[Event], dict[str, Any]]] = [
        (mark("A", 1), {}),
        (EventReversed(seq=999, reason="none"), {}),
        (OrderCancelled(symbol="A", order_id="none"), {}),
        (mark("B", 1), {"expected": 77}),
        (mark("B", 1), {"expected": {"B": 5}}),
        (mark("B", 2), {}),
    ]
    async with (
        Ledger.connect(store.url, portfolio=portfolio) as ledger,
        ledger.writer("w") as writer,
    ):
        await writer.append(START)
        found = await asyncio.gather(
            *(writer.append(events, **options) for events, options in calls),
            return_exceptions=True,
        )
        assert isinstance(found[1], NotFound)
        assert [isinstance(each, LedgerError) for each in found] == [
            False, True, True, True, True, False,
        ]  # fmt: skip
        assert (await ledger.head()).seq == 3
        assert (await writer.append(mark("A", 9))).seq == 4
