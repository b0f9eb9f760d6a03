"""The state of the log at a sequence number: a snapshot, and a fold of what came after it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from operator import attrgetter

from ledger.accounts import Accounts
from ledger.entry import FeedEntry, entry_from_reply, recorded_from_entry
from ledger.errors import LedgerDamaged, NotFound, StoreRefused
from ledger.event import Recorded
from ledger.evolve import fold, fold_chunks
from ledger.heads import Head, commit_at, head, revisions_at
from ledger.keys import Keys
from ledger.live import lost_events
from ledger.reading import PageReader
from ledger.snapshot import latest_snapshot, save
from ledger.store import Steps

__all__ = ["accounts_at", "catch_up", "events_of_commit", "read_events", "within"]


def within(until: int | None, last: Head) -> int:
    """Return the sequence number meant by ``until``; ``None`` is the head.

    Raises:
        NotFound: It is beyond the last event, or below 0.
    """
    if until is None:
        return last.seq
    if not 0 <= until <= last.seq:
        raise NotFound(
            f"there is no event #{until}; the last one is #{last.seq}",
            hint=f"name a sequence number from #0 to #{last.seq}",
        )
    return until


def accounts_at(
    keys: Keys,
    until: int | None = None,
    *,
    symbols: Iterable[str] | None = None,
    use_snapshots: bool = True,
    snapshot_every: int = 0,
) -> Steps[Accounts]:
    """Return the accounts after the event ``until``; ``None`` is the last one.

    Args:
        keys: The portfolio's keys.
        until: A sequence number; 0 is the empty portfolio.
        symbols: Only these symbols' accounts (and the portfolio's); by default all.
        use_snapshots: Whether to begin at the latest snapshot; otherwise from nothing.
        snapshot_every: Save a snapshot each time this many events were folded; 0 for none.

    Raises:
        LedgerDamaged: Something that had to be read is not what was written.
        NotFound: ``until`` is beyond the last event.
    """
    last = yield from head(keys)
    end = within(until, last)
    found = (yield from latest_snapshot(keys, end)) if use_snapshots else None
    accounts = Accounts() if found is None else found
    is_whole = symbols is None
    wanted = last.symbols if symbols is None else sorted(set(symbols))
    if not is_whole:
        kept = accounts.symbols
        accounts.symbols = {name: kept[name] for name in wanted if name in kept}
    for stop in (yield from _stops(keys, accounts.seq, end, snapshot_every if is_whole else 0)):
        yield from _fold_on(keys, accounts, wanted, stop, last, is_whole=is_whole)
        if stop < end:
            yield from _save_if_allowed(keys, accounts)
    return accounts


def _fold_on(
    keys: Keys, accounts: Accounts, symbols: list[str], until: int, last: Head, *, is_whole: bool
) -> Steps[None]:
    """Fold what follows ``accounts.seq`` up to ``until`` into the accounts of ``symbols``."""
    reader = PageReader(
        keys,
        ["", *symbols],
        after=accounts.seq,
        until=until,
        is_whole=is_whole,
        revisions=_revisions(accounts, symbols),
        final=last.revisions if until == last.seq else None,
    )
    while not reader.is_done:
        replies = yield reader.request()
        fold_chunks(accounts, reader.chunks(replies))
    accounts.seq = until


def _save_if_allowed(keys: Keys, accounts: Accounts) -> Steps[None]:
    """Save a snapshot for later readers; one who may only read does without."""
    with suppress(StoreRefused):
        yield from save(keys, accounts)


def _stops(keys: Keys, after: int, end: int, every: int) -> Steps[list[int]]:
    """Return where to stop for a snapshot on the way to ``end``, and ``end`` itself.

    A rebuild folds whole commits, so it stops only where one ends.
    """
    stops: list[int] = []
    stop = after
    while every and stop + every < end:
        commit = yield from commit_at(keys, stop + every)
        stop = commit.last_seq
        if stop < end:
            stops.append(stop)
    return [*stops, end]


def _revisions(accounts: Accounts, symbols: Iterable[str]) -> dict[str, int]:
    """How far each stream is folded."""
    known = accounts.symbols
    found = {name: known[name].revision if name in known else 0 for name in symbols}
    return found | {"": accounts.portfolio.revision}


def catch_up(keys: Keys, accounts: Accounts, name: str) -> Steps[None]:
    """Fold what has been appended to one stream since its account was folded.

    Raises:
        LedgerDamaged: What has to be read is not what was written, or the store lost events that
            the account has.
    """
    last = yield from head(keys)
    account = accounts.account(name)
    if last.seq < account.seq:
        raise lost_events(account.seq, last.seq)
    reader = PageReader(
        keys,
        [name],
        after=account.seq,
        until=last.seq,
        is_whole=False,
        revisions={name: account.revision},
        final={name: last.revisions.get(name, 0)},
    )
    while not reader.is_done:
        replies = yield reader.request()
        fold(reader.events(replies), accounts)


def read_events(
    keys: Keys, *, after: int, until: int, symbols: Iterable[str] | None = None
) -> Steps[list[Recorded]]:
    """Return all events with ``after < seq <= until``; for short stretches.

    Raises:
        LedgerDamaged: Something that had to be read is not what was written.
    """
    last = yield from head(keys)
    names = ["", *last.symbols] if symbols is None else list(symbols)
    end = min(until, last.seq)
    reader = PageReader(
        keys,
        names,
        after=after,
        until=end,
        is_whole=symbols is None,
        revisions=(yield from revisions_at(keys, names, min(after, last.seq))),
        final=last.revisions if end == last.seq else None,
    )
    events: list[Recorded] = []
    while not reader.is_done:
        replies = yield reader.request()
        events += reader.events(replies)
    return events


def events_of_commit(keys: Keys, commit: FeedEntry) -> Steps[list[Recorded]]:
    """Return all events of one commit, in order.

    Raises:
        LedgerDamaged: They are not those that the feed lists.
    """
    first, last = commit.first_seq, commit.last_seq
    replies = yield [("XRANGE", keys.stream(name), first, last) for name in commit.touched]
    events = [
        recorded
        for name, found in zip(commit.touched, replies, strict=True)
        for reply in found
        for recorded in recorded_from_entry(entry_from_reply(name, reply))
    ]
    events.sort(key=attrgetter("seq"))
    for seq in range(first, last + 1):
        if seq - first >= len(events) or events[seq - first].seq != seq:
            raise LedgerDamaged(f"the log is damaged: event #{seq} is missing", seq=seq)
    return events
