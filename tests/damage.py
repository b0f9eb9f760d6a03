"""Damage done to a ledger behind its back, as recipes that several tests work through.

The victim is made by :func:`fill`: always the same commits, so that each recipe can say which
sequence number is the first that is not as it was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ledger import CashDeposited, Event, OrderPlaced, PriceMarked, SessionStarted, SyncLedger

__all__ = ["RECIPES", "Recipe", "commits", "fill"]

Raw = tuple[bytes, list[tuple[bytes, bytes]]]


def fill(ledger: SyncLedger) -> None:
    """Append the victim's 20 events in 9 commits over A, B, C and the portfolio itself.

    ===  =========  ===========================================================
    seq  commit     streams
    ===  =========  ===========================================================
    1-2  ``c1``     the portfolio's own
    3-5  ``c2``     A B A, interleaved, so that A's entry has distances
    6    ``c3``     B
    7-9  ``c4``     A A C
    10   ``c5``     A
    11   ``c6``     the portfolio's own
    12-  ``c7``     B C B C B
    17-  ``c8``     A A
    19-  ``c9``     B A; 20 is the last
    ===  =========  ===========================================================
    """
    for number, events in enumerate(commits(), start=1):
        ledger.append(events, commit_id=f"c{number}")


def commits() -> list[list[Event]]:
    """The events of the victim's commits."""

    def marks(symbols: str) -> list[Event]:
        return [PriceMarked(symbol=symbol, price=10 + at) for at, symbol in enumerate(symbols)]

    start = SessionStarted(session="s1", mode="paper", base_currency="USD", clock="recorded")
    order = OrderPlaced(symbol="A", order_id="o1", side="buy", quantity=2, price="9.50")
    return [
        [start, CashDeposited(currency="USD", amount=1000)],
        marks("ABA"),
        marks("B"),
        marks("AAC"),
        [order],
        [CashDeposited(currency="USD", amount=500)],
        marks("BCBCB"),
        marks("AA"),
        marks("BA"),
    ]


class Recipe(NamedTuple):
    """One damage.

    Attributes:
        name: What it does.
        damage: Does it, to the portfolio of this name, over a client of the server's library.
        first_wrong_seq: The first event that is missing, changed or too many; for damage of what
            stands beside the events, the first number it speaks of.
        part: The symbol whose stream was damaged (``""`` is the portfolio's own), ``feed``,
            ``meta`` or ``revisions``.
    """

    name: str
    damage: Callable[[Any, str], None]
    first_wrong_seq: int
    part: str


def _base(portfolio: str) -> str:
    return f"pledger:{{{portfolio}}}:"


def _key(portfolio: str, symbol: str) -> str:
    return _base(portfolio) + (symbol if symbol == "feed" else f"events:{symbol}".rstrip(":"))


def _entries(client: Any, key: str) -> list[Raw]:
    """The entries of a stream as they are, fields in their order."""
    reply = client.execute_command("XRANGE", key, "-", "+")
    return [(entry_id, list(fields.items())) for entry_id, fields in reply]


def _rewrite(client: Any, key: str, entries: list[Raw]) -> None:
    """Put other entries in the place of a stream's, as a restore would."""
    client.delete(key)
    for entry_id, fields in entries:
        client.execute_command("XADD", key, entry_id, *(part for field in fields for part in field))


def _removal(symbol: str, *places: int) -> Callable[[Any, str], None]:
    def remove(client: Any, portfolio: str) -> None:
        key = _key(portfolio, symbol)
        entries = _entries(client, key)
        for place in places:
            client.execute_command("XDEL", key, entries[place][0])

    return remove


def _removal_of_commit(last_seqs: dict[str, str]) -> Callable[[Any, str], None]:
    def remove(client: Any, portfolio: str) -> None:
        for symbol, entry_id in last_seqs.items():
            assert client.execute_command("XDEL", _key(portfolio, symbol), entry_id) == 1

    return remove


def _change(symbol: str, place: int, field: str) -> Callable[[Any, str], None]:
    """Change one byte of a field's value; of ``id``, the sequence number to one that still fits."""

    def change(client: Any, portfolio: str) -> None:
        key = _key(portfolio, symbol)
        entries = _entries(client, key)
        entry_id, fields = entries[place]
        if field == "id":
            seq, revision = entry_id.split(b"-")
            entries[place] = (b"%d-%s" % (int(seq) + 1, revision), fields)
        elif field == "revision":
            seq, revision = entry_id.split(b"-")
            entries[place] = (b"%s-%d" % (seq, int(revision) + 1), fields)
        else:
            assert any(name == field.encode() for name, _ in fields)
            entries[place] = (entry_id, [_changed(pair, field.encode()) for pair in fields])
        _rewrite(client, key, entries)

    return change


def _changed(pair: tuple[bytes, bytes], field: bytes) -> tuple[bytes, bytes]:
    name, value = pair
    if name != field:
        return pair
    if field == b"w":
        return name, value + b"x"
    # In JSON the last digit of a price: still the JSON of an event.
    at = max(value.rfind(digit) for digit in (b"0", b"1", b"2", b"3", b"9"))
    at = at if at >= 0 else len(value) - 1
    return name, value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]


def _rename(symbol: str, place: int) -> Callable[[Any, str], None]:
    def rename(client: Any, portfolio: str) -> None:
        key = _key(portfolio, symbol)
        entries = _entries(client, key)
        entry_id, fields = entries[place]
        entries[place] = (entry_id, [(b"x" + name, value) for name, value in fields])
        _rewrite(client, key, entries)

    return rename


def _insertion(source: str, place: int, target: str, entry_id: str) -> Callable[[Any, str], None]:
    """Copy an entry of one stream into a stream, under another id."""

    def insert(client: Any, portfolio: str) -> None:
        _, fields = _entries(client, _key(portfolio, source))[place]
        key = _key(portfolio, target)
        entries = [*_entries(client, key), (entry_id.encode(), fields)]
        entries.sort(key=lambda entry: tuple(map(int, entry[0].split(b"-"))))
        _rewrite(client, key, entries)

    return insert


def _deletion(name: str) -> Callable[[Any, str], None]:
    def delete(client: Any, portfolio: str) -> None:
        assert client.delete(_base(portfolio) + name) == 1

    return delete


def _setting(name: str, field: str, value: int) -> Callable[[Any, str], None]:
    def put(client: Any, portfolio: str) -> None:
        assert client.hset(_base(portfolio) + name, field, value) == 0

    return put


def _forgetting(name: str, field: str) -> Callable[[Any, str], None]:
    def forget(client: Any, portfolio: str) -> None:
        assert client.hdel(_base(portfolio) + name, field) == 1

    return forget


RECIPES: Final[list[Recipe]] = [
    Recipe("A's first entry removed", _removal("A", 0), 3, "A"),
    Recipe("A's second entry removed", _removal("A", 1), 7, "A"),
    Recipe("two entries of A removed", _removal("A", 1, 2), 7, "A"),
    Recipe("A's last entry removed", _removal("A", -1), 20, "A"),
    Recipe("B's only early entry removed", _removal("B", 1), 6, "B"),
    Recipe("the portfolio's first entry removed", _removal("", 0), 1, ""),
    Recipe("the portfolio's last entry removed", _removal("", -1), 11, ""),
    Recipe(
        "a commit removed from all streams", _removal_of_commit({"B": "16-5", "C": "15-3"}), 12, "B"
    ),
    Recipe(
        "the last commit removed from all streams",
        _removal_of_commit({"A": "20-8", "B": "19-6", "feed": "20-2"}),
        19,
        "A",
    ),
    *(
        Recipe(f"field {f} of A's first entry changed", _change("A", 0, f), 3, "A")
        for f in "ctnhde"
    ),
    *(
        Recipe(f"field {f} of A's middle entry changed", _change("A", 2, f), 10, "A")
        for f in "ctnhe"
    ),
    *(
        Recipe(f"field {f} of A's last entry changed", _change("A", -1, f), 20, "A")
        for f in "cwtnhe"
    ),
    Recipe("the sequence number of an entry of A changed", _change("A", 2, "id"), 10, "A"),
    Recipe("the revision of an entry of A changed", _change("A", 2, "revision"), 10, "A"),
    Recipe("the sequence number of A's last entry changed", _change("A", -1, "id"), 20, "A"),
    Recipe("the revision of A's last entry changed", _change("A", -1, "revision"), 20, "A"),
    Recipe("the fields of an entry of B renamed", _rename("B", 1), 6, "B"),
    Recipe("an old entry of A copied to its end", _insertion("A", 2, "A", "21-9"), 21, "A"),
    Recipe("an old entry of A copied far beyond its end", _insertion("A", 2, "A", "99-9"), 99, "A"),
    Recipe("an entry of A copied between", _insertion("A", 2, "A", "14-5"), 14, "A"),
    Recipe("an entry of A copied into B under its id", _insertion("A", 2, "B", "10-5"), 10, "B"),
    Recipe("an entry of A copied to the end of C", _insertion("A", 2, "C", "21-4"), 21, "C"),
    Recipe("A's stream deleted", _deletion("events:A"), 3, "A"),
    Recipe("C's stream deleted", _deletion("events:C"), 9, "C"),
    Recipe("the portfolio's stream deleted", _deletion("events"), 1, ""),
    Recipe("the feed's first entry removed", _removal("feed", 0), 1, "feed"),
    Recipe("an entry of the feed removed", _removal("feed", 3), 7, "feed"),
    Recipe("the feed's last entry removed", _removal("feed", -1), 19, "feed"),
    *(
        Recipe(f"field {f} of an entry of the feed changed", _change("feed", 3, f), 7, "feed")
        for f in "cwtofhs"
    ),
    Recipe("the fields of an entry of the feed renamed", _rename("feed", 3), 7, "feed"),
    Recipe("the feed deleted", _deletion("feed"), 1, "feed"),
    Recipe("seq set back", _setting("meta", "seq", 16), 17, "meta"),
    Recipe("seq set forward", _setting("meta", "seq", 23), 21, "meta"),
    Recipe("seq forgotten", _forgetting("meta", "seq"), 1, "meta"),
    Recipe("A's revision set back", _setting("revisions", "A", 6), 18, "revisions"),
    Recipe("A's revision set forward", _setting("revisions", "A", 11), 21, "revisions"),
    Recipe("A's revision forgotten", _forgetting("revisions", "A"), 3, "revisions"),
]
"""Every damage to the victim, each to be done to a portfolio of its own."""
