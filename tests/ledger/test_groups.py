"""Groups: at least once, a symbol's events in order and with one consumer at a time."""

from __future__ import annotations

import asyncio
import time

import pytest

from ledger import InvalidInput, Ledger, LedgerDamaged, NotFound, PriceMarked, SessionStarted
from ledger.holds import Relieved

START = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")


def marks(*symbols: str) -> list:
    return [PriceMarked(symbol=symbol, price=index + 1) for index, symbol in enumerate(symbols)]


@pytest.fixture
def ledger(store_url, portfolio):
    with Ledger.sync.connect(store_url, portfolio=portfolio, patience=5) as opened:
        yield opened


@pytest.fixture
def memory(portfolio):
    """The quick store, for what the scripts alone decide."""
    with Ledger.sync.connect(f"memory:{portfolio}", portfolio=portfolio) as opened:
        yield opened


def drained(ledger, name: str = "risk", failing=(), **options) -> list[int]:
    """Handle what there is; fail on some events."""
    handled = []
    with ledger.group(name, follow=False, retry_seconds=0, **options) as group:
        for delivery in group:
            with delivery as recorded:
                handled.append(recorded.seq)
                if recorded.seq in failing:
                    raise ValueError(f"#{recorded.seq} is too much")
    return handled


def test_every_event_is_delivered_and_acknowledged_once(ledger):
    ledger.append([START, *marks("A", "B", "A")])
    assert drained(ledger) == [1, 2, 3, 4]
    ledger.append(marks("NEW", "A"))
    assert drained(ledger) == [5, 6]
    [status] = ledger.groups()
    assert (status.name, status.event_count, status.seconds, status.consumers) == (
        "risk",
        0,
        0.0,
        (),
    )


def test_groups_have_checkpoints_of_their_own(memory):
    memory.append([START, *marks("A", "B")])
    assert drained(memory, "one", symbols=["B"]) == [3]
    assert drained(memory, "two", after=1) == [2, 3]
    assert drained(memory, "one") == []


def test_what_was_not_acknowledged_is_delivered_again(ledger):
    ledger.append([START, *marks("A", "A")])
    with ledger.group("risk", ["A"]) as group:
        next(group).ack()
        assert next(group).recorded.seq == 3
    assert drained(ledger) == [3]


def test_a_symbols_next_event_comes_only_when_the_one_before_is_acknowledged(ledger):
    ledger.append([START, *marks("A", "A", "B", "B")])
    with ledger.group("risk", ["A", "B"], follow=False) as group:
        first, second = next(group), next(group)
        assert {first.recorded.symbol, second.recorded.symbol} == {"A", "B"}
        assert group._core.next().send(None), "nothing is at hand, it reads on"
        second.ack()
        assert next(group).recorded.seq == 5
        first.ack()
        assert next(group).recorded.seq == 3


def test_live_consumers_share_the_symbols_fairly(ledger):
    names = [f"S{number}" for number in range(10)]
    ledger.append([START, *marks(*names)])
    with (
        ledger.group("risk", names, follow=False, lease_seconds=0.3) as one,
        ledger.group("risk", names, follow=False, lease_seconds=0.3) as two,
    ):
        deadline = time.monotonic() + 10
        while (len(one.symbols), len(two.symbols)) != (5, 5):
            assert time.monotonic() < deadline
            for group in (one, two):
                for delivery in group:
                    delivery.ack()
        assert sorted(one.symbols + two.symbols) == names


def test_a_silent_consumer_is_relieved_within_its_lease_and_its_late_ack_refused(ledger):
    ledger.append([START, *marks("A", "A")])
    silent = ledger.group("risk", ["A"], lease_seconds=0.4)
    silent.__enter__()
    late = next(silent)
    began = time.monotonic()
    with ledger.group("risk", lease_seconds=0.4) as other:
        delivery = next(other)
        assert delivery.recorded.seq == late.recorded.seq == 2
        assert time.monotonic() - began < 0.4 + 1
        with pytest.raises(Relieved, match="#2 of A"):
            late.ack()
        delivery.ack()
        assert next(other).recorded.seq == 3


def test_a_consumer_that_comes_back_under_its_name_goes_on_at_once(ledger):
    ledger.append([START, *marks("A", "A")])
    killed = ledger.group("risk", ["A"], consumer="c1", lease_seconds=60)
    killed.__enter__()
    next(killed)
    with ledger.group("risk", consumer="c1", lease_seconds=60) as group:
        assert next(group).recorded.seq == 2
        killed._core._renewed_at = 0.0
        with pytest.raises(Relieved, match="c1"):
            next(killed)


def test_an_event_that_keeps_failing_is_parked_and_only_its_symbol_waits(ledger):
    ledger.append([START, *marks("A", "B", "A", "B")])
    assert drained(ledger, failing={2}) == [1, 2, 2, 2, 3, 5]
    [parked] = ledger.parked("risk")
    assert (parked.seq, parked.symbol, parked.revision, parked.attempt_count) == (2, "A", 1, 3)
    assert parked.error == "ValueError: #2 is too much"
    assert parked.is_waited_for
    [status] = ledger.groups()
    assert (status.parked_count, status.waiting, status.event_count) == (1, ("A",), 2)
    ledger.append(marks("B"))
    assert drained(ledger) == [6], "A waits, B does not"
    assert ledger.retry_parked("risk") == 1
    assert drained(ledger) == [2, 4]
    assert ledger.parked("risk") == []


def test_a_parked_event_that_is_dropped_is_passed_over(ledger):
    ledger.append([START, *marks("A", "A")])
    drained(ledger, failing={2}, attempts=1)
    assert ledger.drop_parked("risk", 2) == 1
    assert drained(ledger) == [3]
    assert ledger.parked("risk") == []


def test_where_the_group_chose_so_a_symbol_goes_on_behind_a_parked_event(ledger):
    ledger.append([START, *marks("A", "A")])
    assert drained(ledger, failing={2}, skip=True, attempts=2) == [1, 2, 2, 3]
    [parked] = ledger.parked("risk")
    assert not parked.is_waited_for
    ledger.retry_parked("risk", 2)
    assert drained(ledger, skip=True, failing={2}) == [2], "it fails again, and is parked again"
    assert [parked.attempt_count for parked in ledger.parked("risk")] == [3]
    ledger.retry_parked("risk", 2)
    assert drained(ledger, skip=True) == [2]
    assert ledger.parked("risk") == []
    ledger.append(marks("A"))
    assert drained(ledger, skip=True) == [4]


def test_a_consumer_waiting_live_takes_up_a_retry_within_a_second(ledger):
    ledger.append([START, *marks("A")])
    drained(ledger, failing={2}, attempts=1)
    with ledger.group("risk", follow=True) as group:
        ledger.retry_parked("risk")
        began = time.monotonic()
        assert next(group).recorded.seq == 2
        assert time.monotonic() - began < 1.5


def test_an_event_that_ends_its_process_is_parked_in_the_end(memory):
    memory.append([START, *marks("A", "A", "B")])
    delivered = []
    for _ in range(8):
        killed = memory.group("risk", ["A", "B"], consumer="c", attempts=2, follow=False)
        killed.__enter__()
        for delivery in killed:
            delivered.append(delivery.recorded.seq)
            if delivery.recorded.seq == 2:
                break  # and never heard of again
            delivery.ack()
    assert delivered.count(2) == 3, "the first one left no trace, two were counted"
    assert delivered.count(4) == 1
    [parked] = memory.parked("risk")
    assert (parked.seq, parked.error) == (2, "its consumer ended while it handled the event")


def test_an_error_that_leaves_the_group_counts_as_an_attempt(memory):
    memory.append([START, *marks("A")])

    def handle() -> None:
        with memory.group("risk", ["A"], attempts=2) as group:
            for _ in group:
                raise ValueError("unexpected")

    for _ in range(2):
        with pytest.raises(ValueError, match="unexpected"):
            handle()
    assert drained(memory, attempts=2) == []
    assert [parked.seq for parked in memory.parked("risk")] == [2]


def test_the_pause_after_a_failure_is_kept_by_whoever_has_the_symbol_next(memory):
    memory.append([START, *marks("A")])
    with memory.group("risk", ["A"], retry_seconds=0.3, follow=False) as group:
        next(group).fail("not now")
    began = time.monotonic()
    with memory.group("risk", retry_seconds=0.3) as group:
        assert next(group).attempt == 2
    assert 0.2 < time.monotonic() - began < 3


def test_a_missing_event_is_an_error(ledger, store):
    ledger.append([START, *marks("A")])
    ledger.append(marks("A"))
    ledger.append(marks("A"))
    store.client.xdel(ledger.keys.stream("A"), "3-2")
    with pytest.raises(LedgerDamaged, match="revision 3 where 2"):
        drained(ledger, symbols=["A"])


def test_what_is_not_valid_is_refused(memory):
    memory.append([START, *marks("A", "B")])
    drained(memory, symbols=["A"])
    with pytest.raises(InvalidInput, match="shares A"):
        drained(memory, symbols=["A", "B"])
    with pytest.raises(InvalidInput, match="is not a name"):
        memory.group("risk:1")
    with pytest.raises(InvalidInput, match="attempts"):
        memory.group("risk", attempts=0)
    with pytest.raises(NotFound, match="no group 'rsik'"):
        memory.parked("rsik")
    with pytest.raises(NotFound, match="#9 is not parked"):
        memory.drop_parked("risk", 9)


def test_the_status_tells_the_lag_and_who_works(ledger):
    ledger.append([START, *marks("A", "A", "B")])
    with ledger.group("risk", ["A", "B"], consumer="c1") as group:
        next(group).ack()
        [status] = ledger.groups()
        assert status.event_count == 2
        assert 0 < status.seconds < 60
        assert [(c.name, c.symbols) for c in status.consumers] == [("c1", ("A", "B"))]
    assert ledger.groups()[0].consumers == ()


async def test_the_async_face_handles_symbols_side_by_side_and_each_in_order(store_url, portfolio):
    async with Ledger.connect(store_url, portfolio=portfolio) as ledger:
        await ledger.append([START, *marks(*"ABCABCABC")])
        handled: dict[str, list[int]] = {}
        working = set()

        async def handle(delivery) -> None:
            async with delivery as recorded:
                assert recorded.symbol not in working, "two of one symbol at a time"
                working.add(recorded.symbol)
                await asyncio.sleep(0)
                handled.setdefault(recorded.symbol, []).append(recorded.revision)
                working.discard(recorded.symbol)

        async with ledger.group("risk", "ABC") as group, asyncio.TaskGroup() as tasks:
            for _ in range(9):
                tasks.create_task(handle(await anext(group)))
        assert handled == {symbol: [1, 2, 3] for symbol in "ABC"}
        assert (await ledger.groups())[0].event_count == 0
