"""Verification: whether the ledger is what was written, and its figures what must follow from it.

Everything is read and folded from nothing; snapshots are only looked at to be checked. Nothing is
ever written or mended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ledger import (
    Audit,
    FoldAudit,
    Ledger,
    Problem,
    Problems,
    Steps,
    SyncLedger,
    as_if_missing,
    audit_log,
    check_keys,
    check_reversals,
    check_snapshots,
    snapshot_seqs,
)

__all__ = ["Check", "Verification", "averify", "verify"]

Progress = Callable[[int, int], None]
"""Is told how many sequence numbers of how many are done."""

# Which check a problem belongs to, by its kind; every other kind is a rule that was broken.
_LOG = {
    "duplicate",
    "feed",
    "head",
    "missing",
    "revision",
    "schema",
    "seal",
    "time",
    "undecodable",
    "unlisted",
}
_CHECK_OF = {
    "id": "ids",
    "key": "keys",
    "figure": "figures",
    "fills": "positions",
    "negative": "figures",
    "position": "positions",
    "posting": "postings",
    "reversal": "reversals",
    "snapshot": "snapshots",
    "view": "views",
}


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of check.

    Attributes:
        name: A stable word.
        ok: Whether nothing was found wrong.
        count: How many things were looked at.
        detail: What was looked at, in words.
    """

    name: str
    ok: bool
    count: int
    detail: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What verification came to.

    Attributes:
        ok: Whether everything is as it must be.
        seq: The last event that was looked at.
        event_count: How many events the log has.
        digest: Of the state folded from nothing; empty where the log is damaged.
        checks: Each kind of check.
        problems: What was found wrong, by sequence number, the first thousand of it.
        problem_count: How many problems there are.
        first_wrong_seq: The first event that is wrong, where one can be named.
    """

    ok: bool
    seq: int
    event_count: int
    digest: str
    checks: list[Check]
    problems: list[Problem]
    problem_count: int
    first_wrong_seq: int | None


def verify(
    ledger: SyncLedger, *, full: bool = False, progress: Progress | None = None
) -> Verification:
    """Verify a portfolio from its first event to its last.

    The log is checked entry by entry, all events are folded from nothing and posted, and what must
    hold of the figures is checked: at the end, or with ``full`` after every event. ``full`` also
    compares every snapshot with the fold, not only the latest, and works out every reversal anew.

    Args:
        ledger: The portfolio.
        full: Whether to check after every event; takes several times as long.
        progress: Is told how far it has come.

    Raises:
        StoreError: The store cannot be reached, or refuses.
    """
    return ledger.drive(_verified(ledger, full=full, progress=progress))


async def averify(
    ledger: Ledger, *, full: bool = False, progress: Progress | None = None
) -> Verification:
    """Verify a portfolio; see :func:`verify`."""
    return await ledger.drive(_verified(ledger, full=full, progress=progress))


def _verified(
    ledger: Ledger | SyncLedger, *, full: bool, progress: Progress | None
) -> Steps[Verification]:
    problems = Problems()
    # An export has no keys: it is checked line by line when it is opened.
    found: dict[str, bool] = {}
    if ledger.store.kind != "file":
        found = yield from check_keys(ledger.keys, problems)
    wrong = {key for key, is_right in found.items() if not is_right}
    steps = _read(ledger, problems, len(found), full=full, progress=progress)
    return (yield from as_if_missing(wrong, steps) if wrong else steps)


def _read(
    ledger: Ledger | SyncLedger,
    problems: Problems,
    key_count: int,
    *,
    full: bool,
    progress: Progress | None,
) -> Steps[Verification]:
    keys = ledger.keys
    seqs = yield from snapshot_seqs(keys)
    fold = FoldAudit(problems, is_full=full, marks=seqs if full else seqs[-1:])
    log = yield from audit_log(keys, problems, fold.take, progress)
    is_whole = not any(problem.kind in _LOG for problem in problems.in_order())
    if is_whole:
        fold.close()
    reversal_count = 0
    if full and is_whole:
        reversal_count = yield from check_reversals(keys, fold.reversals, problems)
    snapshot_count = yield from check_snapshots(keys, fold.digests, problems)
    found = problems.in_order()
    counted = {
        "keys": key_count if "keys" in _failed(found) else None,
        "reversals": reversal_count if full else None,
        "snapshots": snapshot_count,
    }
    return Verification(
        ok=not problems.count,
        seq=log.seq,
        event_count=log.event_count,
        digest=fold.accounts.digest() if is_whole else "",
        checks=_checks(log, fold, counted, found),
        problems=found,
        problem_count=problems.count,
        first_wrong_seq=problems.first_seq,
    )


def _checks(
    log: Audit, fold: FoldAudit, counted: dict[str, int | None], problems: Sequence[Problem]
) -> list[Check]:
    """Sum up every kind of check that was made."""
    failed = _failed(problems)
    folded = fold.accounts.seq
    symbols = fold.accounts.symbols.values()
    opened = sum(account.opened_count for account in symbols)
    made = [
        ("keys", counted["keys"], "keys of the portfolio, by their types"),
        ("log", log.commit_count, f"commits with {log.event_count:,} events, sealed and listed"),
        ("ids", log.id_count, "ids of orders, positions and sessions, each used once"),
        ("rules", folded, "events folded from nothing, each allowed where it stands"),
        ("postings", fold.posting_count, "postings that sum to zero per currency"),
        ("figures", len(symbols), "symbols whose figures are what was posted"),
        ("positions", opened, "positions opened, counted again from their events and fills"),
        ("views", len(symbols), "symbols whose positions and orders are the same in both views"),
        ("snapshots", counted["snapshots"], "snapshots against the fold from nothing"),
        ("reversals", counted["reversals"], "reversals worked out anew"),
    ]
    return [
        Check(name=name, ok=name not in failed, count=count, detail=detail)
        for name, count, detail in made
        if count is not None
    ]


def _failed(problems: Iterable[Problem]) -> set[str]:
    return {
        "log" if problem.kind in _LOG else _CHECK_OF.get(problem.kind, "rules")
        for problem in problems
    }
