"""How far a reader is behind the head: in events, and in seconds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from datetime import datetime

import msgspec

from ledger.entry import entry_from_reply
from ledger.heads import head
from ledger.instants import moment_from_us
from ledger.keys import Keys
from ledger.store import Steps

__all__ = ["Lag", "lag"]


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """The distance between what was handed out and the real head of the portfolio.

    Attributes:
        head_seq: The portfolio's last sequence number.
        event_count: How many events of the reader's symbols it has not handed out.
        seconds: The age of the oldest of these, by the store's clock; 0 where there is none.
        oldest_at: When that one was recorded.
    """

    head_seq: int
    event_count: int
    seconds: float
    oldest_at: datetime | None = None


def lag(keys: Keys, positions: Mapping[str, int] | int) -> Steps[Lag]:
    """Measure how far a reader is behind.

    Args:
        keys: The portfolio's keys.
        positions: For each symbol that is read the sequence number up to which it was handed out;
            a number alone for all symbols.

    Raises:
        LedgerDamaged: An entry that had to be looked at is not what was written.
    """
    last = yield from head(keys)
    if isinstance(positions, int):
        positions = dict.fromkeys(["", *last.symbols], positions)
    wanted = [name for name in positions if name in last.revisions]
    replies = yield [
        ("TIME",),
        *(("XRANGE", keys.stream(n), positions[n] + 1, "+", "COUNT", 1) for n in wanted),
    ]
    now_us = int(replies[0][0]) * 1_000_000 + int(replies[0][1])
    count, oldest_us = 0, now_us
    for name, found in zip(wanted, replies[1:], strict=True):
        if not found:
            continue
        entry = entry_from_reply(name, found[0])
        read = bisect_right(entry.seqs, positions[name])
        count += last.revisions[name] - entry.first_revision - read + 1
        oldest_us = min(oldest_us, entry.recorded_us)
    return Lag(
        head_seq=last.seq,
        event_count=max(count, 0),
        seconds=(now_us - oldest_us) / 1_000_000 if count > 0 else 0.0,
        oldest_at=moment_from_us(oldest_us) if count > 0 else None,
    )
