"""The keys of a portfolio: all that anything writes are named in ``Keys``, with their types."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from ledger import CashDeposited, Ledger, OrderPlaced, PriceMarked, SessionStarted, SyncProjector
from ledger.keys import Keys


def drawn() -> dict[str, str]:
    """The table of the docstring: each key, and its type."""
    row = re.compile(r"^ +``([^`]+)`` +(hash|stream|zset|string) ", re.MULTILINE)
    return dict(row.findall(Keys.__doc__ or ""))


def is_drawn_as(name: str, row: str) -> bool:
    """Whether a key is one of a row; the names of groups have no colons, symbols and ids may."""
    pattern = row.replace("<name>", "[^:]+")
    return re.fullmatch(re.sub(r"<\w+>", ".+", pattern), name) is not None


def use_everything(ledger) -> Iterator[str]:
    """Do all that leaves keys behind, and stop wherever some are there that go away again."""
    start = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
    with ledger.writer("w") as writer:
        writer.append([start, CashDeposited(currency="USD", amount=1000)])
        writer.append(OrderPlaced(symbol="A", order_id="o", side="buy", quantity=1))
        writer.append([PriceMarked(symbol=symbol, price=7) for symbol in "ABBC"])
    assert len(list(ledger.tail(checkpoint=ledger.checkpoint("dashboard")))) == 7
    ledger.snapshot()
    SyncProjector(ledger).catch_up()
    yield "written and read"
    with ledger.group("waits", attempts=1, follow=False) as group:
        next(group).fail("no")
        yield "parked, and the next one of the symbol waits for it"
    with ledger.group("goes-on", attempts=2, retry_seconds=0, skip=True) as group:
        next(group).fail("no")
        yield "tried once"
        next(group).fail("no")
        next(group).ack()
        ledger.retry_parked("goes-on")
        yield "acknowledged, and the one before it to be tried again"


def test_every_key_that_is_there_is_named_with_its_type(served, portfolio):
    store, found = served("valkey"), {}
    with Ledger.sync.connect(store.url, portfolio=portfolio) as ledger:
        for _ in use_everything(ledger):
            for key in store.client.scan_iter(f"pledger:{{{portfolio}}}:*"):
                name = key.decode().removeprefix(ledger.keys.base)
                found[name] = store.client.type(key).decode()
    table = drawn()
    rows = {name: [row for row in table if is_drawn_as(name, row)] for name in found}
    assert {name for name, row in rows.items() if len(row) != 1} == set(), "name them in Keys"
    assert {name: table[row] for name, [row] in rows.items()} == found
    assert {row for [row] in rows.values()} == set(table), "nothing writes the others any more"


@pytest.mark.parametrize(("row", "kind"), drawn().items())
def test_the_type_of_a_key_is_what_the_table_says(row, kind):
    assert Keys.type_of(f"pledger:{{main}}:{re.sub('<.*?>', 'X:y', row)}") == kind


@pytest.mark.parametrize("key", ["pledger:{main}:other", "pledger:{main}", "meta", "x:{a}:meta"])
def test_a_key_of_somebody_else_has_no_type(key):
    assert Keys.type_of(key) is None
