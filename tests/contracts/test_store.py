"""What an append promises, on every kind of store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Barrier

import pytest
from servers import ServedStore

from ledger import (
    CashDeposited,
    CommitMismatch,
    Event,
    EventReversed,
    Fenced,
    InvalidInput,
    Ledger,
    LedgerError,
    NotFound,
    OrderCancelled,
    OrderPlaced,
    PositionClosed,
    PositionOpened,
    PriceMarked,
    RevisionConflict,
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


def opened(symbol: str, position_id: str) -> PositionOpened:
    return PositionOpened(
        symbol=symbol, position_id=position_id, side="buy", quantity=1, entry_price=10
    )


@pytest.fixture
def connect(any_store: ServedStore, portfolio: str) -> Iterator[Callable[[], SyncLedger]]:
    """Open the same portfolio as often as wanted, each time over connections of its own."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(
            Ledger.sync.connect(any_store.url, portfolio=portfolio, patience=5)
        )


@pytest.fixture
def ledger(connect: Callable[[], SyncLedger]) -> SyncLedger:
    """A portfolio in which a session is open; that is event 1."""
    opened_ledger = connect()
    opened_ledger.append(START)
    return opened_ledger


def log(ledger: SyncLedger) -> list[tuple[int, int, Event]]:
    return [(found.seq, found.revision, found.event) for found in ledger.tail()]


def plain_log(ledger: SyncLedger) -> list[tuple[int, str, int, str]]:
    return [(found.seq, found.symbol, found.revision, found.type) for found in ledger.tail()]


def test_a_commit_over_symbols_keeps_the_callers_order(ledger: SyncLedger) -> None:
    with ledger.writer("w") as writer:
        cash = CashDeposited(currency="USD", amount=1)
        marks = [mark(symbol, 1) for symbol in "ABABCA"]
        commit = writer.append([*marks[:3], cash, *marks[3:]])
    assert (commit.first_seq, commit.seq) == (2, 8)
    assert commit.revisions == {"A": 3, "B": 2, "": 2, "C": 1}
    found = [(r.seq, r.symbol, r.revision) for r in ledger.tail()][1:]
    assert found == [
        (2, "A", 1), (3, "B", 1), (4, "A", 2), (5, "", 2), (6, "B", 2), (7, "C", 1), (8, "A", 3),
    ]  # fmt: skip
    assert {r.recorded_at for r in ledger.tail(after=1)} == {commit.recorded_at}
    assert {r.commit for r in ledger.tail(after=1)} == {commit.id}


def test_a_commit_with_one_bad_event_leaves_no_trace(ledger: SyncLedger) -> None:
    with ledger.writer("w") as writer:
        before = ledger.head().revisions, ledger.state().digest
        with pytest.raises(RuleViolation) as caught:
            writer.append(
                [mark("A", 1), order("B", "o1"), OrderCancelled(symbol="A", order_id="x")]
            )
        assert caught.value.rule == "order-unknown"
        assert (ledger.head().revisions, ledger.state().digest) == before
        assert writer.append(order("B", "o1")).seq == 2  # its id is still free


def test_numbers_have_no_gaps_whoever_writes(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    with ledger.writer("a") as one, connect().writer("b") as two:
        for number in range(12):
            (one, two)[number % 2].append([mark("ABC"[number % 3], number), mark("D", number)])
    found = plain_log(ledger)
    assert [seq for seq, *_ in found] == list(range(1, 26))
    for symbol in "ABCD":
        revisions = [revision for _, name, revision, _ in found if name == symbol]
        assert revisions == list(range(1, len(revisions) + 1))
    assert ledger.head().revisions == {"": 1, "A": 4, "B": 4, "C": 4, "D": 12}


def test_a_commit_sent_again_is_answered_with_its_first_outcome(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    events = [order("A", "o1"), mark("B", 1), order("A", "o2")]
    with ledger.writer("w") as writer:
        first = writer.append(events, commit_id="mine")
        assert not first.is_repeat
        for number in range(300):
            writer.append(mark("AB"[number % 2], number))
        again = writer.append(events, commit_id="mine")
    other = connect()
    with other.writer("other") as another:
        from_another = another.append(events, commit_id="mine")
    anonymous = other.append(events, commit_id="mine", expected={"A": 0})
    for repeat in (again, from_another, anonymous):
        assert repeat.is_repeat
        assert (repeat.seq, repeat.first_seq, repeat.recorded_at, repeat.revisions) == (
            first.seq, first.first_seq, first.recorded_at, first.revisions,
        )  # fmt: skip
    assert ledger.head().seq == 304


@pytest.mark.parametrize("other", [[mark("A", 2)], [mark("A", 1)] * 2, [mark("B", 1)]])
def test_a_commit_id_with_other_content_is_refused(ledger: SyncLedger, other: list[Event]) -> None:
    ledger.append(mark("A", 1), commit_id="mine")
    with pytest.raises(CommitMismatch, match="#2"):
        ledger.append(other, commit_id="mine")
    assert ledger.head().seq == 2


def test_a_reversal_sent_again_is_answered_with_its_first_outcome(ledger: SyncLedger) -> None:
    ledger.append(mark("A", 1))
    first = ledger.append(EventReversed(seq=2, reason="typo"), commit_id="undo")
    again = ledger.append(EventReversed(seq=2, reason="typo"), commit_id="undo")
    assert again.is_repeat
    assert again.seq == first.seq


def test_an_expected_sequence_number_is_demanded_of_the_portfolio(ledger: SyncLedger) -> None:
    with ledger.writer("w") as writer:
        writer.append([mark("A", 1), mark("B", 2)], expected=1)
        with pytest.raises(RevisionConflict) as caught:
            writer.append(mark("C", 1), expected=1)
        assert [found.seq for found in caught.value.events] == [2, 3]
        assert [found.symbol for found in caught.value.events] == ["A", "B"]
        with pytest.raises(RevisionConflict) as ahead:
            writer.append(mark("C", 1), expected=9)
        assert ahead.value.events == ()
        assert writer.append(mark("C", 1), expected=3).seq == 4


def test_expected_revisions_are_demanded_of_their_symbols(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    with ledger.writer("w") as writer, connect().writer("v") as other:
        writer.append(mark("A", 1), expected={"A": 0})
        other.append([mark("A", 2), mark("B", 1), mark("A", 3)])
        with pytest.raises(RevisionConflict) as caught:
            writer.append([mark("A", 4), mark("B", 4)], expected={"A": 1, "B": 1})
        assert [(found.symbol, found.revision) for found in caught.value.events] == [
            ("A", 2), ("A", 3),
        ]  # fmt: skip
        assert ledger.head().seq == 5
        assert writer.append(mark("A", 4), expected={"A": 3}).revisions == {"A": 4}


def test_a_revision_is_demanded_only_of_symbols_of_the_commit(ledger: SyncLedger) -> None:
    ledger.append(mark("A", 1))
    with pytest.raises(InvalidInput, match="'A' is no symbol of the commit"):
        ledger.append(mark("B", 1), expected={"A": 1})
    assert ledger.head().seq == 2


def test_a_newer_run_fences_the_older_one(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    with ledger.writer("w") as old:
        first = old.append(mark("A", 1), commit_id="early")
        with connect().writer("w") as new, ledger.writer("unrelated") as bystander:
            assert new.epoch == (old.epoch or 0) + 1
            with pytest.raises(Fenced, match=str(new.epoch)):
                old.append(mark("A", 2))
            with pytest.raises(Fenced):
                old.append(mark("B", 2), commit_id="late")
            # What it had recorded before is still answered.
            assert old.append(mark("A", 1), commit_id="early").seq == first.seq
            assert new.append(mark("A", 3)).seq == 3
            assert bystander.append(mark("A", 4)).seq == 4


@pytest.mark.parametrize("make", [order, opened])
def test_an_id_is_used_once_over_all_symbols(
    make: Callable[[str, str], Event], ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    with ledger.writer("w") as writer, connect().writer("v") as other:
        writer.append(make("A", "id-1"))
        with pytest.raises(RuleViolation) as caught:
            other.append([mark("B", 1), make("B", "id-1")])
        assert caught.value.rule in ("order-exists", "position-exists")
        with pytest.raises(RuleViolation):
            other.append([make("B", "id-2"), make("C", "id-2")])
        assert other.append([make("B", "id-2"), make("C", "id-3")]).seq == 4


def test_two_threads_racing_to_close_a_position_end_with_one_success(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    rounds, both = 8, Barrier(2)
    ledger.append([opened("A", f"p{number}") for number in range(rounds)])
    writers = [(connect(), f"w{number}") for number in range(2)]

    def close_all(of: SyncLedger, name: str) -> list[str]:
        outcomes = []
        with of.writer(name) as writer:
            for number in range(rounds):
                both.wait(20)
                try:
                    event = PositionClosed(symbol="A", position_id=f"p{number}", exit_price=11)
                    writer.append(event)
                    outcomes.append("closed")
                except RuleViolation as error:
                    outcomes.append(error.rule)
        return outcomes

    with ThreadPoolExecutor(2) as pool:
        found = [done.result() for done in [pool.submit(close_all, *each) for each in writers]]
    assert [sorted(pair) for pair in zip(*found, strict=True)] == [
        ["closed", "position-closed"]
    ] * rounds
    assert ledger.state().positions == {}


async def test_two_tasks_racing_to_close_a_position_end_with_one_success(
    any_store: ServedStore, portfolio: str
) -> None:
    event = PositionClosed(symbol="A", position_id="p", exit_price=11)
    async with (
        Ledger.connect(any_store.url, portfolio=portfolio) as one,
        Ledger.connect(any_store.url, portfolio=portfolio) as two,
        one.writer("a") as first,
        two.writer("b") as second,
    ):
        await first.append([START, opened("A", "p")])
        await second.append(mark("A", 10))  # both know the position
        found = await asyncio.gather(
            first.append(event), second.append(event), return_exceptions=True
        )
    errors = [each for each in found if isinstance(each, RuleViolation)]
    assert len(errors) == 1
    assert errors[0].rule == "position-closed"
    assert sum(not isinstance(each, BaseException) for each in found) == 1


async def test_writers_of_different_symbols_never_conflict(
    any_store: ServedStore, portfolio: str
) -> None:
    async def write(symbol: str) -> None:
        async with (
            Ledger.connect(any_store.url, portfolio=portfolio) as ledger,
            ledger.writer(symbol) as writer,
        ):
            for revision in range(10):
                await writer.append(mark(symbol, revision), expected={symbol: revision})

    await asyncio.gather(*map(write, ["A", "B", "C", "D"]))
    async with Ledger.connect(any_store.url, portfolio=portfolio) as ledger:
        found = await ledger.head()
    assert found.seq == 40
    assert found.revisions == dict.fromkeys("ABCD", 10)


def test_the_recorded_time_never_runs_backwards(any_store: ServedStore, ledger: SyncLedger) -> None:
    ledger.append([mark("A", 1)])
    future = (1 << 51) - 1  # the server's clock was ahead once, and was put right since
    any_store.client.hset(ledger.keys.meta, "recorded_at", future)
    later = [ledger.append(mark("B", number)).recorded_at for number in range(3)]
    assert later == sorted(later)
    found = [recorded.recorded_at for recorded in ledger.tail()]
    assert found == sorted(found)
    assert (later[0].timestamp() * 1_000_000) // 1 >= future - 1


def test_a_portfolio_has_one_open_session(
    ledger: SyncLedger, connect: Callable[[], SyncLedger]
) -> None:
    second = SessionStarted(session="s2", mode="paper", base_currency="USD", clock="recorded")
    other = connect()
    with ledger.writer("w") as writer, other.writer("v") as joining:
        for each in (writer, joining):
            with pytest.raises(RuleViolation) as caught:
                each.append(second)
            assert caught.value.rule == "session-open"
        joining.append(mark("A", 1))
        with pytest.raises(RuleViolation) as unknown:
            writer.append(SessionEnded(session="s2"))
        assert unknown.value.rule == "session-not-open"
        joining.append(SessionEnded(session="s1"))
        writer.append(second)
        with pytest.raises(RuleViolation):
            joining.append(START)
    assert [(each.session, each.state) for each in other.sessions()] == [
        ("s1", "ended"), ("s2", "open"),
    ]  # fmt: skip


def test_a_session_name_is_used_once(ledger: SyncLedger) -> None:
    ledger.append(SessionEnded(session="s1"))
    with pytest.raises(RuleViolation, match="s1"):
        ledger.append(START)


def test_money_of_an_unstated_currency_is_refused_with_a_hint(
    connect: Callable[[], SyncLedger],
) -> None:
    ledger = connect()
    with pytest.raises(RuleViolation) as caught:
        ledger.append(opened("A", "p"))
    assert caught.value.rule == "currency-unstated"
    assert "InstrumentRegistered" in caught.value.hint
    assert ledger.head().seq == 0


def test_a_writer_that_knew_no_session_sees_the_one_another_started(
    connect: Callable[[], SyncLedger],
) -> None:
    with connect().writer("w") as writer:
        writer.append(mark("A", 1))
        connect().append(START)
        assert writer.append(opened("A", "p")).seq == 3


def test_a_reversal_names_what_depends_on_the_event(ledger: SyncLedger) -> None:
    ledger.append([order("A", "o"), mark("B", 1), OrderCancelled(symbol="A", order_id="o")])
    with pytest.raises(RuleViolation, match="#4") as caught:
        ledger.append(EventReversed(seq=2, reason="typo"))
    assert caught.value.rule == "reversal-depends"
    before = ledger.state(2)
    done = ledger.append(EventReversed(seq=4, reason="typo"))
    assert done.revisions == {"A": 3}  # it stands in the stream of what it takes back
    assert ledger.state().orders == before.orders
    with pytest.raises(RuleViolation) as twice:
        ledger.append(EventReversed(seq=4, reason="again"))
    assert twice.value.rule == "reversed-already"
    with pytest.raises(RuleViolation) as of_itself:
        ledger.append(EventReversed(seq=5, reason="again"))
    assert of_itself.value.rule == "reversal-of-reversal"


@pytest.mark.parametrize("seq", [2, 999])
def test_a_reversal_of_an_unknown_event_is_refused(ledger: SyncLedger, seq: int) -> None:
    with pytest.raises(NotFound, match=f"#{seq}"):
        ledger.append(EventReversed(seq=seq, reason="typo"))
    assert ledger.head().seq == 1


def outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except LedgerError as error:
        return type(error), error.message


async def test_both_faces_answer_alike(any_store: ServedStore, portfolio: str) -> None:
    """The same calls over both faces give the same answers, refusals and logs."""
    calls: list[tuple[list[Event], dict[str, object]]] = [
        ([START], {}),
        ([order("A", "o1"), mark("B", "1.50")], {"commit_id": "x"}),
        ([order("A", "o1"), mark("B", "1.50")], {"commit_id": "x"}),
        ([mark("B", 1)], {"commit_id": "x"}),
        ([order("B", "o1")], {}),
        ([mark("A", 1)], {"expected": 1}),
        ([mark("A", 1)], {"expected": {"A": 0}}),
        ([EventReversed(seq=2, reason="r")], {}),
        ([EventReversed(seq=77, reason="r")], {}),
        ([], {}),
    ]

    def told(found: object) -> object:
        return (found.seq, found.revisions, found.is_repeat) if hasattr(found, "seq") else found

    def sync_outcomes() -> list[object]:
        with (
            Ledger.sync.connect(any_store.url, portfolio=f"{portfolio}-s") as ledger,
            ledger.writer("w") as writer,
        ):
            outcomes = [
                told(outcome(lambda each=each: writer.append(each[0], **each[1]))) for each in calls
            ]
            return [*outcomes, plain_log(ledger), ledger.head().revisions]

    async with (
        Ledger.connect(any_store.url, portfolio=f"{portfolio}-a") as ledger,
        ledger.writer("w") as writer,
    ):
        found: list[object] = []
        for events, options in calls:
            try:
                found.append(told(await writer.append(events, **options)))
            except LedgerError as error:
                found.append((type(error), error.message))
        found.append([(r.seq, r.symbol, r.revision, r.type) async for r in ledger.tail()])
        found.append((await ledger.head()).revisions)
    assert found == await asyncio.to_thread(sync_outcomes)
