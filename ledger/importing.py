"""Importing an export into an empty portfolio: all of it, or nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from ledger.accounts import FOLD
from ledger.audit import audit_log
from ledger.audit_fold import FoldAudit
from ledger.commit import Draft
from ledger.contents import checked
from ledger.errors import AppendRefused, LedgerDamaged
from ledger.events import EventReversed
from ledger.export_files import Export
from ledger.export_format import ExportedCommit
from ledger.file_store import FileStore
from ledger.heads import commit_at
from ledger.keys import Keys
from ledger.problem import Problems
from ledger.store import Steps, run
from ledger.sync_face import SyncLedger
from ledger.writing import WriterCore

__all__ = ["Imported", "import_ledger"]

_TOGETHER: Final = 256


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import came to.

    Attributes:
        event_count, commit_count: How many were imported.
        exported_from: The portfolio that was exported.
        digest: Of the state; the same as in the export, if the same version of the fold made both.
    """

    event_count: int
    commit_count: int
    exported_from: str
    digest: str


def import_ledger(ledger: SyncLedger, path: str | Path, *, resume: bool = False) -> Imported:
    """Import an export into a portfolio that has no events.

    Before the first event is written the whole file is checked: every line, every rule, every
    figure, and the digest. Commits keep their ids, their writers, their order and the times their
    events occurred; what was recorded when is the new store's own. A commit that its writer sends
    again later is known here as it was known there.

    Args:
        ledger: The portfolio; nobody else may append to it meanwhile.
        path: The export.
        resume: Go on with an import of the same file that was interrupted.

    Raises:
        AppendRefused: The portfolio has events, or others append to it.
        ExportDamaged: The file is not what was written; nothing was imported.
        NotFound, InvalidInput, SchemaTooNew: It cannot be read; nothing was imported.
    """
    there = ledger.head().seq
    if there and not resume and Path(path).exists():
        _refuse(ledger, there)  # before a large file is read for nothing
    store = FileStore(Path(path), Keys("file"))
    expected = _check(store, Path(path).name)
    export = store.export
    if there:
        _check_begun(ledger, export, there)
    ledger.drive(_appended(ledger, [c for c in export.commits if c.first_seq > there]))
    digest = ledger.accounts().digest()
    if digest != expected:
        raise LedgerDamaged(f"imported, but the digest is {digest} where {expected} belongs")
    return Imported(
        event_count=export.event_count - there,
        commit_count=sum(commit.first_seq > there for commit in export.commits),
        exported_from=export.ending.portfolio,
        digest=digest,
    )


def _refuse(ledger: SyncLedger, there: int) -> NoReturn:
    raise AppendRefused(
        f"portfolio {ledger.portfolio!r} has {there:,} event{'s' * (there > 1)}; an import needs "
        "an empty one",
        hint="name a new one with --portfolio, or --resume an import that was interrupted",
    )


def _check(store: FileStore, shown: str) -> str:
    """Check everything that can be wrong with an export whose lines are right.

    Returns:
        The digest of the state that its events fold to.

    Raises:
        LedgerDamaged: Names the first wrong event.
    """
    problems = Problems()
    fold = FoldAudit(problems, is_full=False, marks=[])
    run(audit_log(Keys("file"), problems, fold.take), store.connection())
    if not problems.count:
        fold.close()
    found = problems.in_order()
    if found:
        first = found[0]
        where = f" #{first.seq}:" if first.seq is not None else ""
        raise LedgerDamaged(
            f"{shown}:{where} {first.message}", seq=first.seq, hint="nothing of it was imported"
        )
    digest, ending = fold.accounts.digest(), store.export.ending
    if ending.fold == FOLD and digest != ending.digest:
        raise LedgerDamaged(
            f"{shown}: its events fold to digest {digest}; it says {ending.digest}",
            hint="nothing of it was imported",
        )
    return digest


def _check_begun(ledger: SyncLedger, export: Export, there: int) -> None:
    """Check that what is there is the beginning of the export."""
    feed = ledger.drive(commit_at(ledger.keys, min(there, export.event_count)))
    same = [c for c in export.commits if c.last_seq == there]
    if not same or (same[0].id, same[0].fingerprint) != (feed.commit, feed.fingerprint):
        raise AppendRefused(
            f"the {there:,} events of portfolio {ledger.portfolio!r} are not the beginning of it",
            hint="import it into an empty portfolio",
        )


def _appended(ledger: SyncLedger, commits: Sequence[ExportedCommit]) -> Steps[None]:
    """Append commits under their writers' names, fencing nobody."""
    keys = ledger.keys
    core = WriterCore(keys, "", None, clock=_no_clock, new_id=_no_id)
    for batch in _batches(commits):
        core.name = batch[0].writer
        drafts = [_draft(keys, commit) for commit in batch]
        yield from core.append(drafts)
        for draft in drafts:
            draft.result()
    epochs = _epochs(commits)
    if epochs:
        yield [("HSET", keys.writers, writer, epoch) for writer, epoch in epochs.items()]


def _batches(commits: Iterable[ExportedCommit]) -> Iterator[list[ExportedCommit]]:
    """Commits of one writer that may be sent together."""
    batch: list[ExportedCommit] = []
    for commit in commits:
        if batch and (len(batch) == _TOGETHER or commit.writer != batch[0].writer):
            yield batch
            batch = []
        batch.append(commit)
    if batch:
        yield batch


def _epoch(commit: ExportedCommit) -> int:
    """The run of its writer that numbered the commit by itself; 0 where none did."""
    found = re.fullmatch(re.escape(commit.writer) + r":(\d{1,18}):\d{1,18}", commit.id, re.ASCII)
    return int(found[1]) if commit.writer and found else 0


def _epochs(commits: Iterable[ExportedCommit]) -> dict[str, int]:
    """The newest run of each writer, so that the next one begins after it."""
    newest: dict[str, int] = {}
    for commit in commits:
        epoch = _epoch(commit)
        if epoch > newest.get(commit.writer, 0):
            newest[commit.writer] = epoch
    return newest


def _draft(keys: Keys, commit: ExportedCommit) -> Draft:
    bucket, field = keys.place_of_commit(commit.id)
    events = checked(commit.events)
    if isinstance(events[0], EventReversed):
        # What it takes back is worked out anew; the digest at the end tells that it is the same.
        events = [msgspec.structs.replace(events[0], undo=None)]
    draft = Draft(
        events,
        commit_id=commit.id,
        bucket=bucket,
        field=field,
        expected=commit.first_seq - 1,
        now=_no_clock(),
        is_chosen=True,
    )
    draft.fingerprint = commit.fingerprint
    return draft


def _no_clock() -> datetime:
    """Every event of an export says when it occurred."""
    return datetime(1970, 1, 1, tzinfo=UTC)


def _no_id() -> str:
    raise AssertionError("every commit of an export has an id")
