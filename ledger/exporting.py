"""Exporting a portfolio: every event with all that was recorded of it, in one file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ledger.entry import FeedEntry, feed_entry_from_reply
from ledger.errors import LedgerDamaged, NotFound
from ledger.export_files import check_writable, write_export
from ledger.export_format import Ending, line_fields
from ledger.keys import Keys
from ledger.store import Steps
from ledger.sync_face import SyncLedger

__all__ = ["export_ledger"]

_COMMITS: Final = 1_000


def export_ledger(ledger: SyncLedger, path: str | Path) -> Ending:
    """Write all events up to the present head to a file, and return what it ends with.

    Args:
        ledger: The portfolio.
        path: The file; its name ends in ``.ndjson``, ``.csv`` (both may have ``.gz`` after it) or
            ``.parquet``, which says its form. It is replaced if it is there.

    Raises:
        NotFound: The portfolio has no events.
        LedgerDamaged: An event is not what was written; no file is made.
        InvalidInput: The file cannot be written, or Parquet is asked for without polars.
    """
    target = Path(path)
    check_writable(target)
    last = ledger.head().seq
    if not last:
        raise NotFound(
            f"portfolio {ledger.portfolio!r} has no events to export",
            hint="name another with --portfolio",
        )
    digest = ledger.accounts(last).digest()
    ending = Ending(portfolio=ledger.portfolio, event_count=last, digest=digest)
    write_export(target, _lines(ledger, last), ending)
    return ending


def _lines(ledger: SyncLedger, last: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of all events; the feed tells what was given with each commit."""
    events = iter(ledger.tail(until=last))
    after = 0
    while after < last:
        for commit in ledger.drive(_commits_after(ledger.keys, after)):
            if commit.first_seq != after + 1:
                problem = f"the log is damaged: the feed lacks event #{after + 1}"
                raise LedgerDamaged(problem, seq=after + 1)
            for recorded in islice(events, commit.event_count):
                yield line_fields(recorded, commit.fingerprint)
            after = commit.last_seq
            if after >= last:
                return


def _commits_after(keys: Keys, seq: int) -> Steps[list[FeedEntry]]:
    (replies,) = yield [("XRANGE", keys.feed, seq + 1, "+", "COUNT", _COMMITS)]
    if not replies:
        problem = f"the log is damaged: the feed lacks event #{seq + 1}"
        raise LedgerDamaged(problem, seq=seq + 1)
    return [feed_entry_from_reply(reply) for reply in replies]
