"""Asking a portfolio how far it has come: as a whole, stream by stream, and commit by commit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from ledger.entry import FeedEntry, entry_from_reply, feed_entry_from_reply
from ledger.errors import LedgerDamaged, NotFound
from ledger.keys import Keys
from ledger.store import Command, Steps

__all__ = ["Head", "commit_at", "head", "revisions_at"]


class Head:
    """How far a portfolio has come: its last sequence number and each stream's revision."""

    def __init__(self, seq: int, recorded_us: int, revisions: dict[str, int]) -> None:
        self.seq = seq
        self.recorded_us = recorded_us
        self.revisions = revisions

    @property
    def symbols(self) -> list[str]:
        """The symbols that have a stream, sorted; the portfolio's own is not among them."""
        return sorted(symbol for symbol in self.revisions if symbol)


def head(keys: Keys) -> Steps[Head]:
    """Ask how far the portfolio has come.

    Raises:
        LedgerDamaged: The last sequence number is not what the revisions add up to.
    """
    while True:
        meta, flat, again = yield [
            ("HMGET", keys.meta, "seq", "recorded_at"),
            ("HGETALL", keys.revisions),
            ("HGET", keys.meta, "seq"),
        ]
        # A commit in between would show as damage: revisions that no event up to `seq` has.
        if meta[0] == again:
            break
    pairs = zip(flat[::2], flat[1::2], strict=True)
    revisions = {symbol.decode(): int(revision) for symbol, revision in pairs}
    seq, total = int(meta[0] or 0), sum(revisions.values())
    if seq != total:  # every event has one number of each kind
        problem = f"#{seq} is said to be the last event, but the streams have {total:,} events"
        raise LedgerDamaged(f"the log is damaged: {problem}", seq=min(seq, total) + 1)
    return Head(seq, int(meta[1] or 0), revisions)


def commit_at(keys: Keys, seq: int) -> Steps[FeedEntry]:
    """Find the commit that the event with this sequence number belongs to.

    Raises:
        NotFound: There is no such event.
        LedgerDamaged: The feed does not have it although it should.
    """
    replies = yield [
        ("XRANGE", keys.feed, str(max(seq, 1)), "+", "COUNT", 1),
        ("HGET", keys.meta, "seq"),
    ]
    last = int(replies[1] or 0)
    if not 1 <= seq <= last:
        raise NotFound(f"there is no event #{seq}; the last one is #{last}")
    found = [feed_entry_from_reply(reply) for reply in replies[0]]
    if not found or found[0].first_seq > seq:
        raise LedgerDamaged(f"the log is damaged at #{seq}: the feed lacks its commit", seq=seq)
    return found[0]


def revisions_at(keys: Keys, names: Sequence[str], seq: int) -> Steps[dict[str, int]]:
    """Return how far each stream had come with the event ``seq``.

    A reader that begins in the middle needs it, to notice that the very next event is missing.

    Raises:
        LedgerDamaged: An entry around that place is not what was written.
    """
    if seq == 0:
        return dict.fromkeys(names, 0)
    commands: list[Command] = []
    for name in names:
        stream = keys.stream(name)
        commands.append(("XREVRANGE", stream, seq, "-", "COUNT", 1))
        commands.append(("XRANGE", stream, seq + 1, "+", "COUNT", 1))
    replies = yield commands
    found: dict[str, int] = {}
    for name, before, after in zip(names, replies[::2], replies[1::2], strict=True):
        found[name] = entry_from_reply(name, before[0]).last_revision if before else 0
        if after:
            entry = entry_from_reply(name, after[0])
            found[name] += bisect_right(entry.seqs, seq)  # the commit that ``seq`` cuts in two
    return found
