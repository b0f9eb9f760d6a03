"""Checking the log as it stands in the store: every entry, every number, nothing taken on trust.

Unlike :class:`~ledger.reading.PageReader`, which stops at the first damage it meets, an audit goes
on and names everything that is wrong. It reads window by window, so its memory does not grow with
the log, and never writes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from ledger.audit_commits import CommitAudit
from ledger.entry import Run, entry_from_reply, runs_from_entry
from ledger.errors import LedgerError
from ledger.events import OrderPlaced, PositionOpened, SessionStarted
from ledger.heads import Head
from ledger.keys import Keys
from ledger.problem import Problems
from ledger.store import Steps

__all__ = ["Audit", "audit_log"]

_WINDOW: Final = 2_000
_SCAN: Final = 5_000
_CLAIMED: Final = {
    OrderPlaced: ("o", "order_id", "order"),
    PositionOpened: ("p", "position_id", "position"),
    SessionStarted: ("s", "session", "session"),
}


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit looked at.

    Attributes:
        seq: The last sequence number of the log.
        event_count, commit_count, id_count: How many there are.
    """

    seq: int
    event_count: int
    commit_count: int
    id_count: int


def audit_log(
    keys: Keys,
    problems: Problems,
    follow: Callable[[Sequence[Run]], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Steps[Audit]:
    """Check the whole log up to its present head.

    Args:
        keys: The portfolio's keys.
        problems: Where to put what is wrong.
        follow: Is handed the events page by page in total order, up to the first problem.
        progress: Is told how many sequence numbers of how many are done.
    """
    marks, last = yield from _steady_head(keys)
    streams = yield from _streams(keys, last)
    commits = CommitAudit(problems, last)
    id_count = 0
    for first in range(0, last.seq + 1, _WINDOW):
        end = min(first + _WINDOW - 1, last.seq)
        names = [keys.feed, *map(keys.stream, streams)]
        feed, *found = yield [("XRANGE", name, first, end) for name in names]
        runs = commits.take(feed, zip(streams, found, strict=True), end)
        id_count += yield from _check_ids(keys, runs, commits.ends, problems)
        if follow is not None:
            follow(_before(runs, problems.first_seq))
        if progress is not None:
            progress(end, last.seq)
    commits.close()
    _check_marks(marks, commits, problems)
    _check_revisions(last, commits, problems)
    yield from _check_beyond(keys, streams, last, problems)
    return Audit(
        seq=last.seq,
        event_count=commits.event_count,
        commit_count=commits.commit_count,
        id_count=id_count,
    )


def _steady_head(keys: Keys) -> Steps[tuple[list[Any], Head]]:
    """Ask for the head until no commit came between its parts."""
    marks = ("HMGET", keys.meta, "seq", "recorded_at", "occurred")
    while True:
        before, flat, after = yield [marks, ("HGETALL", keys.revisions), marks]
        if before == after:
            break
    pairs = zip(flat[::2], flat[1::2], strict=True)
    revisions = {symbol.decode(): _number(revision) for symbol, revision in pairs}
    return before, Head(_number(before[0]), _number(before[1]), revisions)


def _number(value: bytes | None) -> int:
    """Read a number of the head; one that is none counts as 0, which nothing agrees with."""
    return int(value) if value is not None and value.isdigit() else 0


def _streams(keys: Keys, last: Head) -> Steps[list[str]]:
    """Name all streams: those the store knows of, and those that are merely there."""
    prefix = keys.stream("") + ":"
    names = {"", *last.revisions}
    cursor = b"0"
    while True:
        ((cursor, found),) = yield [("SCAN", cursor, "MATCH", prefix + "*", "COUNT", _SCAN)]
        names |= {key.decode(errors="replace")[len(prefix) :] for key in found}
        if int(cursor) == 0:
            return sorted(names)


def _before(runs: list[Run], first_wrong: int | None) -> list[Run]:
    """Return the runs that end before the first problem."""
    if first_wrong is None:
        return runs
    return [run for run in runs if run.first_seq + len(run.events) <= first_wrong]


def _check_ids(
    keys: Keys, runs: Sequence[Run], ends: dict[str, int], problems: Problems
) -> Steps[int]:
    """Every id of an order, position or session belongs to one commit, and the store knows which.

    Asking the store instead of remembering keeps the memory bounded.
    """
    claims: list[tuple[str, str, int, Run]] = []
    for run in runs:
        for offset, event in enumerate(run.events):
            claimed = _CLAIMED.get(type(event))
            if claimed is not None:
                prefix, name, what = claimed
                value = getattr(event, name)
                claims.append((f"{prefix}:{value}", f"{what} id {value}", offset, run))
    if not claims:
        return 0
    replies = yield [("HGET", keys.bucket(field), field) for field, *_ in claims]
    here: set[str] = set()
    for (field, shown, offset, run), reply in zip(claims, replies, strict=True):
        seq = run.first_seq + offset
        if reply is None:
            message = f"the store does not know that {shown} is in use"
            problems.found("id", message, seq=seq, symbol=run.symbol)
        elif int(reply) != ends.get(run.commit) or field in here:
            message = f"{shown} is used twice: also in the commit that ends at #{int(reply)}"
            problems.found("id", message, seq=seq, symbol=run.symbol)
        here.add(field)
    return len(claims)


def _check_marks(marks: Sequence[Any], commits: CommitAudit, problems: Problems) -> None:
    """The head's times are those of the last commit."""
    last = commits.last
    if last is None or last.last_seq != _number(marks[0]):
        return  # the head itself is wrong, and has been named
    for name, found, expected in (
        ("recorded_at", marks[1], last.recorded_us),
        ("occurred", marks[2], last.occurred_ms),
    ):
        if _number(found) != expected:
            message = f"the head's {name} is {_shown(found)}; the last commit's is {expected}"
            problems.found("head", message)


def _shown(value: Any) -> str:
    return "missing" if value is None else value.decode(errors="replace")


def _check_revisions(last: Head, commits: CommitAudit, problems: Problems) -> None:
    """The store's revision of every stream is where the log came to."""
    for name in sorted({*last.revisions, *commits.revisions}):
        noted, found = last.revisions.get(name), commits.revisions.get(name, 0)
        where = f"the stream of {name}" if name else "the portfolio's own stream"
        if noted == found or not commits.is_certain(name):
            continue
        says = "does not know" if noted is None else f"has noted revision {noted} of"
        problems.found(
            "head",
            f"the store {says} {where}; the log is at {found}",
            seq=commits.unnoted.get(name, last.seq + 1),
            symbol=name,
        )


def _check_beyond(
    keys: Keys, streams: Sequence[str], last: Head, problems: Problems
) -> Steps[None]:
    """Nothing stands after the head, but for what was appended since it was asked."""
    names = [keys.feed, *map(keys.stream, streams)]
    after = [("XRANGE", name, last.seq + 1, "+", "COUNT", 1) for name in names]
    *found, now = yield [*after, ("HGET", keys.meta, "seq")]
    for stream, reply in zip(["the feed", *streams], found, strict=True):
        if not reply:
            continue
        seq = int(reply[0][0].partition(b"-")[0])
        if seq > _number(now):
            is_feed = stream == "the feed"
            where = f"the stream of {stream}" if stream and not is_feed else stream
            message = f"{where or 'the portfolio'} goes on to #{seq}, after the head #{last.seq}"
            first = seq if is_feed else _first_seq(stream, reply[0])
            problems.found("head", message, seq=max(min(first, seq), last.seq + 1))


def _first_seq(stream: str, reply: Sequence[Any]) -> int:
    """The first event of an entry, or its last where the entry cannot be read."""
    try:
        return runs_from_entry(entry_from_reply(stream, reply))[0].first_seq
    except (LedgerError, ValueError):
        return int(reply[0].partition(b"-")[0])
