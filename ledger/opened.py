"""What the sync and the async face share: an opened portfolio, and the steps behind its calls."""

from __future__ import annotations

import uuid
from datetime import datetime, tzinfo
from typing import Final

from ledger.accounts import Accounts
from ledger.clock import Clock
from ledger.connect import open_store
from ledger.fields import checked_id
from ledger.folding import accounts_at
from ledger.heads import head
from ledger.keys import Keys
from ledger.moments import Moment, parse_moment
from ledger.snapshot import save
from ledger.state import PortfolioState
from ledger.store import Steps
from ledger.timeline import event_at, find_session, seq_at, sessions, span_of
from ledger.view import state_from_accounts
from ledger.writing import WriterCore

__all__ = [
    "Opened",
    "accounts_for",
    "new_id",
    "open_writer",
    "resolve",
    "state_at",
    "take_snapshot",
]

_SNAPSHOT_EVERY: Final = 2_500


def open_writer(keys: Keys, name: str, clock: Clock) -> Steps[WriterCore]:
    """Take over a writer's name: its older runs are fenced from here on."""
    (epoch,) = yield [("HINCRBY", keys.writers, checked_id(name, "writer"), 1)]
    return WriterCore(keys, name, int(epoch), clock=clock, new_id=new_id)


def new_id() -> str:
    """Make an id for a commit that has none."""
    return uuid.uuid4().hex


def state_at(keys: Keys, seq: int | None, *, with_digest: bool) -> Steps[PortfolioState]:
    """Return the state after event ``seq``, by default the last one."""
    accounts = yield from accounts_at(keys, seq, snapshot_every=_SNAPSHOT_EVERY)
    last = yield from event_at(keys, accounts.seq)
    return state_from_accounts(
        accounts,
        recorded_at=last.recorded_at if last else None,
        occurred_at=last.occurred_at if last else None,
        with_digest=with_digest,
        is_own=True,
    )


def accounts_for(keys: Keys, seq: int | None, use_snapshots: bool) -> Steps[Accounts]:
    """Return the accounts after event ``seq``; without snapshots from nothing, and leaving none."""
    every = _SNAPSHOT_EVERY if use_snapshots else 0
    return accounts_at(keys, seq, use_snapshots=use_snapshots, snapshot_every=every)


def resolve(
    keys: Keys,
    moment: Moment | str,
    session: str | None,
    clock: str | None,
    now: datetime,
    tz: tzinfo,
) -> Steps[int]:
    """Return the sequence number that a moment of a session stands for."""
    found = find_session((yield from sessions(keys)), session)
    last = yield from head(keys)
    span, meant = span_of(found, clock=clock, now=now, tz=tz, last_seq=last.seq)
    parsed = parse_moment(moment) if isinstance(moment, str) else moment
    return (yield from seq_at(keys, parsed, span, meant))


def take_snapshot(keys: Keys) -> Steps[Accounts]:
    """Save a snapshot of the portfolio as it is now."""
    accounts = yield from accounts_at(keys)
    yield from save(keys, accounts)
    return accounts


class Opened:
    """What both faces keep: the store, the keys of the portfolio, the clock."""

    def __init__(self, store: str, portfolio: str, patience: float, clock: Clock) -> None:
        self.keys = Keys(portfolio)
        self.portfolio = portfolio
        self.store = open_store(store, self.keys)
        self._patience = patience
        self._clock = clock
