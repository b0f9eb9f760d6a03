"""Verification: a sound ledger passes, and of a damaged one the first wrong event is named."""

from __future__ import annotations

import pytest
from damage import RECIPES, fill

from ledger import (
    CashDeposited,
    EventReversed,
    Ledger,
    OrderFilled,
    OrderPlaced,
    PositionAdjusted,
    PositionClosed,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    SessionStarted,
)
from ledger.entry import entry_checksum
from ledger.snapshot import bytes_from_accounts
from replay.verify import Verification, averify, verify

PRIME = 4294967291


@pytest.fixture
def memory(served):
    return served("memory")


@pytest.fixture
def ledger(memory, portfolio):
    with Ledger.sync.connect(memory.url, portfolio=portfolio) as opened:
        yield opened


def trade(ledger) -> None:
    """Nine commits with a reversal, and a snapshot among them."""
    start = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
    ledger.append([start, CashDeposited(currency="USD", amount=1000)])
    ledger.append(
        [
            OrderPlaced(symbol="A", order_id="o", side="buy", quantity=10, price=7),
            PriceMarked(symbol="B", price=3),
            OrderFilled(symbol="A", order_id="o", trade_id="t", quantity=10, price=7, fee=1),
            PositionOpened(
                symbol="A", position_id="p", side="buy", quantity=10, entry_price=7, order_id="o"
            ),
        ]
    )
    ledger.append(PositionReduced(symbol="A", position_id="p", quantity=4, exit_price=9))
    funding = ledger.append(PositionAdjusted(symbol="A", position_id="p", funding=-5))
    ledger.append(EventReversed(seq=funding.seq, reason="paid by another"))
    ledger.snapshot()
    ledger.append(PositionAdjusted(symbol="A", position_id="p", split="7/1"))
    ledger.append(PositionClosed(symbol="A", position_id="p", exit_price=2))


def kinds(verification: Verification) -> set[str]:
    return {problem.kind for problem in verification.problems}


def failed(verification: Verification) -> set[str]:
    return {check.name for check in verification.checks if not check.ok}


@pytest.mark.parametrize("full", [False, True])
def test_a_sound_ledger_passes(ledger, full):
    trade(ledger)
    found = verify(ledger, full=full)
    assert found.ok, found.problems
    assert (found.problems, found.problem_count, found.first_wrong_seq) == ([], 0, None)
    assert found.seq == found.event_count == 11
    assert found.digest == ledger.state().digest
    counts = {check.name: check.count for check in found.checks}
    assert counts["log"] == 7
    assert counts["ids"] == 3
    assert counts["snapshots"] == 1
    assert counts.get("reversals") == (1 if full else None)


def test_an_empty_ledger_passes(ledger):
    found = verify(ledger, full=True)
    assert found.ok
    assert found.seq == found.event_count == 0


async def test_both_faces_come_to_the_same(ledger, memory, portfolio):
    trade(ledger)
    async with Ledger.connect(memory.url, portfolio=portfolio) as other:
        assert await averify(other, full=True) == verify(ledger, full=True)


def test_progress_is_told_up_to_the_end(ledger):
    trade(ledger)
    told = []
    verify(ledger, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (11, 11)


def test_every_kind_of_store_passes_after_a_long_log(store, portfolio):
    """Commits lie across the borders of the windows that are read at once."""
    with Ledger.sync.connect(store.url, portfolio=portfolio) as opened:
        fill(opened)
        marks = [PriceMarked(symbol="ABCDEFG"[n % 7], price=n) for n in range(700)]
        for _ in range(7):
            opened.append(marks)
        found = verify(opened)
    assert found.ok, found.problems
    assert found.seq == 20 + 7 * 700


@pytest.mark.parametrize(
    "recipe", RECIPES, ids=[recipe.name.replace(" ", "-") for recipe in RECIPES]
)
def test_damage_is_found_and_the_first_wrong_event_named(memory, ledger, portfolio, recipe):
    fill(ledger)
    assert verify(ledger).ok
    recipe.damage(memory.client, portfolio)
    found = verify(ledger)
    assert not found.ok
    assert "log" in failed(found)
    assert found.first_wrong_seq == recipe.first_wrong_seq, found.problems
    assert found.digest == ""


def test_every_problem_is_named_not_only_the_first(memory, ledger, portfolio):
    fill(ledger)
    wanted = ("A's last entry removed", "B's only early entry removed", "C's stream deleted")
    for recipe in RECIPES:
        if recipe.name in wanted:
            recipe.damage(memory.client, portfolio)
    found = verify(ledger)
    named = [(problem.seq, problem.symbol) for problem in found.problems]
    assert named == [(6, "B"), (9, "C"), (13, "C"), (20, "A")]


def test_a_stream_that_the_store_never_heard_of_is_found(memory, ledger, portfolio):
    fill(ledger)
    source, target = (f"pledger:{{{portfolio}}}:events:{name}" for name in ("A", "ROGUE"))
    [(_, fields)] = memory.client.execute_command("XRANGE", source, "10", "10")
    parts = [part for pair in fields.items() for part in pair]
    memory.client.execute_command("XADD", target, "10-1", *parts)
    found = verify(ledger)
    assert [(problem.seq, problem.symbol) for problem in found.problems] == [(10, "ROGUE")]


def test_what_is_appended_meanwhile_is_no_damage(ledger):
    """The log may grow while it is read; what came after the head was asked is left alone."""
    fill(ledger)
    found = verify(
        ledger, progress=lambda *_: ledger.append(PriceMarked(symbol="A", price=1)) and None
    )
    assert found.ok, found.problems
    assert found.seq == 20


class Forger:
    """Changes entries and seals them anew, as only somebody who knows the format can."""

    def __init__(self, client, portfolio: str) -> None:
        self.client = client
        self.base = f"pledger:{{{portfolio}}}:"

    def change(self, stream: str, last_seq: int, edit) -> None:
        """Have ``edit(seq, revision, fields)`` change the fields of one entry."""
        key = self.base + stream
        entries = self.client.execute_command("XRANGE", key, "-", "+")
        self.client.delete(key)
        for entry_id, fields in entries:
            seq, revision = map(int, entry_id.split(b"-"))
            if seq == last_seq:
                edit(seq, revision, fields)
            parts = [part for pair in fields.items() for part in pair]
            self.client.execute_command("XADD", key, entry_id, *parts)

    def payload(self, symbol: str, last_seq: int, edit) -> None:
        """Put ``edit(payload)`` in the place of an entry's events."""

        def sealed(seq: int, revision: int, fields) -> None:
            before, fields[b"e"] = fields[b"e"], edit(fields[b"e"])
            assert fields[b"e"] != before
            commit, writer, distances = (
                fields.get(name, b"").decode() for name in (b"c", b"w", b"d")
            )
            crc = entry_checksum(symbol, commit, writer, distances, fields[b"e"])
            seal = (crc + 3 * seq + 5 * revision + 7 * int(fields[b"t"])) % PRIME
            fields[b"h"] = str(seal).encode()

        self.change(f"events:{symbol}" if symbol else "events", last_seq, sealed)

    def text(self, symbol: str, last_seq: int, before: str, after: str) -> None:
        self.payload(
            symbol, last_seq, lambda payload: payload.replace(before.encode(), after.encode())
        )

    def delay(self, streams: list[str], last_seq: int, microseconds: int) -> None:
        """Change when a commit was recorded, in its entries and in the feed."""

        def delayed(_seq: int, _revision: int, fields) -> None:
            fields[b"t"] = str(int(fields[b"t"]) + microseconds).encode()
            fields[b"h"] = str((int(fields[b"h"]) + 7 * microseconds) % PRIME).encode()

        for stream in streams:
            self.change(stream, last_seq, delayed)


@pytest.fixture
def forger(memory, portfolio) -> Forger:
    return Forger(memory.client, portfolio)


FORGED = [
    ("A", 7, '"quantity":"4"', '"quantity":"40"', "position-overclosed", 7),
    ("A", 6, '"trade_id":"t","quantity":"10"', '"trade_id":"t","quantity":"9"',
     "position-beyond-fills", 6),
    ("A", 6, '"trade_id":"t","quantity":"10"', '"trade_id":"t","quantity":"11"', "overfill", 5),
    ("A", 6, '"order_id":"o","side"', '"order_id":"other","side"', "id", 3),
    ("A", 11, '"position_id":"p"', '"position_id":"q"', "position-unknown", 11),
    ("A", 10, '"7/1"', '"1/7"', "split-inexact", 10),
    ("", 2, '"session":"s"', '"session":"z"', "id", 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "last_seq", "before", "after", "kind", "seq"),
    FORGED,
    ids=[f"{kind}-{seq}" for *_, kind, seq in FORGED],
)
def test_a_well_sealed_event_that_breaks_a_rule_is_found(
    ledger, forger, symbol, last_seq, before, after, kind, seq
):
    trade(ledger)
    forger.text(symbol, last_seq, before, after)
    found = verify(ledger)
    assert (kind, seq) in {(problem.kind, problem.seq) for problem in found.problems}
    assert found.first_wrong_seq == seq
    assert "log" not in failed(found)


def test_a_well_sealed_amount_is_found_by_the_snapshot_after_it(ledger, forger):
    """No rule forbids another amount; only what was computed from the first one tells."""
    trade(ledger)
    forger.text("", 2, '"1000"', '"2000"')
    found = verify(ledger)
    assert (kinds(found), failed(found)) == ({"snapshot"}, {"snapshots"})


def test_a_reversal_that_takes_back_something_else_is_found_in_full(ledger, forger):
    trade(ledger)
    forger.text("A", 9, '"funding":"-5"', '"funding":"-50"')
    assert "reversal" not in kinds(verify(ledger))
    found = verify(ledger, full=True)
    assert ("reversal", 9) in {(problem.kind, problem.seq) for problem in found.problems}


@pytest.mark.parametrize("undo", ['{"positions":5}', '{"orders":{"x":{"filled":["1","2"]}}}'])
def test_a_reversal_that_makes_no_sense_stops_its_own_stream_only(ledger, forger, undo):
    trade(ledger)

    def nonsense(payload: bytes) -> bytes:
        return payload[: payload.index(b'"undo":')] + f'"undo":{undo}}}]'.encode()

    forger.payload("A", 9, nonsense)
    found = verify(ledger, full=True)
    assert found.first_wrong_seq == 9
    assert found.event_count == 11


def test_an_event_of_a_newer_build_is_named(ledger, forger):
    trade(ledger)
    forger.text("B", 4, "PriceMarked", "PriceGuessed")
    found = verify(ledger)
    assert [(problem.kind, problem.seq) for problem in found.problems] == [("schema", 4)]


def test_bytes_that_are_no_events_are_named(ledger, forger):
    trade(ledger)
    forger.payload("B", 4, lambda payload: b"[" + payload)
    found = verify(ledger)
    assert [(problem.kind, problem.seq) for problem in found.problems] == [("undecodable", 4)]


def test_recorded_time_must_not_run_backwards(ledger, forger):
    fill(ledger)
    forger.delay(["feed", "events:B"], 6, 3_600_000_000)
    found = verify(ledger)
    assert [(problem.kind, problem.seq) for problem in found.problems] == [("time", 7)]


def test_a_commit_has_one_time_in_all_its_streams(ledger, forger):
    fill(ledger)
    forger.delay(["events:C"], 9, 1)
    found = verify(ledger)
    assert [(problem.kind, problem.seq) for problem in found.problems] == [("feed", 9)]


def test_a_snapshot_that_cannot_be_read_is_found(memory, ledger, portfolio):
    trade(ledger)
    key = f"pledger:{{{portfolio}}}:snapshot:9"
    saved = memory.client.get(key)
    memory.client.set(key, saved[:-1] + bytes([saved[-1] ^ 1]))
    found = verify(ledger)
    assert failed(found) == {"snapshots"}
    assert found.first_wrong_seq is None


def test_in_full_every_snapshot_is_compared(memory, ledger, portfolio):
    trade(ledger)
    ledger.snapshot()
    base = f"pledger:{{{portfolio}}}:snapshot:"
    accounts = ledger.accounts(9)
    accounts.symbols["A"].realized_pnl += 1
    memory.client.set(base + "9", bytes_from_accounts(accounts))
    assert verify(ledger).ok
    found = verify(ledger, full=True)
    assert failed(found) == {"snapshots"}


def test_an_id_that_the_store_gives_to_another_commit_is_found(memory, ledger):
    trade(ledger)
    memory.client.hset(ledger.keys.bucket("o:o"), "o:o", 9)
    assert [(problem.kind, problem.seq) for problem in verify(ledger).problems] == [("id", 3)]


@pytest.mark.parametrize("field", ["recorded_at", "occurred"])
def test_the_heads_times_are_those_of_the_last_commit(memory, ledger, field):
    trade(ledger)
    memory.client.hset(ledger.keys.meta, field, 5)
    assert kinds(verify(ledger)) == {"head"}


@pytest.mark.parametrize("seq", [5, 99])
def test_a_snapshot_under_another_number_is_found(memory, ledger, seq):
    trade(ledger)
    memory.client.set(ledger.keys.snapshot(seq), memory.client.get(ledger.keys.snapshot(9)))
    memory.client.zadd(ledger.keys.snapshots, {str(seq): seq})
    found = verify(ledger)
    assert failed(found) == {"snapshots"}
    assert f"#{seq}" in found.problems[0].message


def test_a_well_sealed_entry_too_many_is_found(memory, ledger, forger):
    """It stands among another commit's numbers, in a stream that this commit did not touch."""
    fill(ledger)
    key = ledger.keys.stream("A")
    entries = memory.client.execute_command("XRANGE", key, "-", "+")
    [copy] = [fields for entry_id, fields in entries if entry_id == b"10-5"]
    memory.client.delete(key)
    moved = (3 * (14 - 10) + int(copy[b"h"])) % PRIME
    forged = (b"14-5", copy | {b"h": str(moved).encode()})
    for entry_id, fields in sorted(
        [*entries, forged], key=lambda entry: int(entry[0].split(b"-")[0])
    ):
        parts = [part for pair in fields.items() for part in pair]
        memory.client.execute_command("XADD", key, entry_id, *parts)
    found = verify(ledger)
    assert {(problem.kind, problem.seq) for problem in found.problems} >= {
        ("feed", 14),
        ("duplicate", 14),
    }
    assert found.first_wrong_seq == 14


def test_a_well_sealed_feed_that_skips_revisions_is_found(ledger, forger):
    fill(ledger)

    def skipping(_seq: int, _revision: int, fields) -> None:
        fields[b"s"] = b"B 1 5"
        fields[b"h"] = str((int(fields[b"h"]) + 3) % PRIME).encode()

    forger.change("feed", 6, skipping)
    found = verify(ledger)
    assert ("revision", 6) in {(problem.kind, problem.seq) for problem in found.problems}
    assert found.first_wrong_seq == 6
