"""Entries changed and sealed anew: nonsense that a seal does not show is damage to every reader."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest
from damage import fill
from servers import ServedStore

from ledger import (
    EventReversed,
    Ledger,
    LedgerError,
    PriceMarked,
    SyncLedger,
    SyncProjector,
)
from ledger.entry import entry_checksum
from replay.verify import verify

PRIME = 4294967291

# The entry of A's first commit: #3 and #5, "d" is "2,0".
NONSENSE = {
    "d": [
        "x",
        "1,2",
        "9,0",
        "3,1,0",
        "5,5,0",
        "-1,0",
        "0",
        "0,2",
        "2,0,",
        "2;0",
        "2,1",
        "9" * 5000,
    ],
    "n": ["0", "-1", "1", "3", "1000000000", "x", "", "9" * 5000],
    "t": ["x", "", "1e3", "-1", "9" * 18, "9" * 5000],
    "e": ["", "null", "{}", "[]", "[1,2]", "[{}]", "[[]]", "[" * 50_000, '[{"type":"X"}]'],
}
READERS: dict[str, Callable[[SyncLedger], object]] = {
    "state": lambda ledger: ledger.state(),
    "state in the middle": lambda ledger: ledger.state(10),
    "tail": lambda ledger: list(ledger.tail()),
    "tail of the symbol": lambda ledger: list(ledger.tail("A")),
    "tail from the middle": lambda ledger: list(ledger.tail("A", after=4)),
    "tail -f": lambda ledger: list(islice(ledger.tail(follow=True), 5)),
    "group": lambda ledger: [each.ack() for each in ledger.group("g", follow=False)],
    "projector": lambda ledger: SyncProjector(ledger).catch_up(),
    "append": lambda ledger: ledger.append(PriceMarked(symbol="A", price=1)),
    "reversal": lambda ledger: ledger.append(EventReversed(seq=5, reason="x")),
}
CASES = [(field, value) for field, values in NONSENSE.items() for value in values]


@pytest.fixture
def forge(served, portfolio) -> Callable[[str, str], ServedStore]:
    """Put a value into a field of A's first entry, and a seal that fits."""

    def changed(field: str, value: str) -> ServedStore:
        store = served("memory")
        with Ledger.sync.connect(store.url, portfolio=portfolio) as ledger:
            fill(ledger)
            key = ledger.keys.stream("A")
        entries = store.client.execute_command("XRANGE", key, "-", "+")
        store.client.delete(key)
        _, fields = entries[0]
        assert fields[b"d"] == b"2,0"
        fields[field.encode()] = value.encode()
        known = {name.decode(): text.decode() for name, text in fields.items()}
        time = int(known["t"]) if known["t"].isdigit() and len(known["t"]) < 99 else 0
        crc = entry_checksum("A", known["c"], known["w"], known["d"], fields[b"e"])
        fields[b"h"] = b"%d" % ((crc + 3 * 5 + 5 * 2 + 7 * time) % PRIME)
        for entry_id, written in entries:
            parts = [part for pair in written.items() for part in pair]
            store.client.execute_command("XADD", key, entry_id, *parts)
        return store

    return changed


@pytest.mark.parametrize(("field", "value"), CASES, ids=[f"{f}={v:.12}" for f, v in CASES])
def test_every_reader_refuses_it_by_an_error_of_ours(forge, portfolio, field, value) -> None:
    store = forge(field, value)
    with Ledger.sync.connect(store.url, portfolio=portfolio, patience=1) as ledger:
        for read in READERS.values():
            with pytest.raises(LedgerError):
                read(ledger)
        found = verify(ledger, full=True)
    assert found.first_wrong_seq == 3, found.problems


@pytest.mark.parametrize("field", ["c", "w", "t"])
def test_what_only_the_feed_can_tell_is_found_by_verification(forge, portfolio, field) -> None:
    store = forge(field, "1")
    with Ledger.sync.connect(store.url, portfolio=portfolio, patience=1) as ledger:
        assert len(list(ledger.tail())) == 20
        found = verify(ledger)
    assert found.first_wrong_seq == 3, found.problems


@pytest.mark.parametrize("price", ["NaN", "Infinity", "1e999999999", "0." + "1" * 300])
def test_an_event_that_no_append_would_take_is_found_by_verification(
    forge, portfolio, price
) -> None:
    """Decoding trusts what was checked when it was appended; to check is the verifier's part."""
    mark = '{"type":"PriceMarked","symbol":"A","occurred_at":"2026-01-01T00:00:00Z","price":"%s"}'
    store = forge("e", f"[{mark % 7},{mark % price}]")
    with Ledger.sync.connect(store.url, portfolio=portfolio, patience=1) as ledger:
        found = verify(ledger, full=True)
    assert found.first_wrong_seq == 5
    assert [(problem.kind, problem.symbol) for problem in found.problems] == [("field", "A")]
    assert "price" in found.problems[0].message
