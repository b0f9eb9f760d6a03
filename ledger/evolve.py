"""Folding events into accounts: :func:`evolve` by one, :func:`fold` by many.

This is the only place figures come from: every command, page, report and runner shows what this
fold says.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledger import evolve_orders, evolve_portfolio, evolve_positions, rules
from ledger.accounts import Accounts, Quarantine
from ledger.amounts import exact
from ledger.entry import Run
from ledger.errors import RuleViolation
from ledger.event import Event, Recorded
from ledger.events import EVENT_TYPES
from ledger.evolver import EVOLVERS
from ledger.rebuilding import Chunk

__all__ = ["check", "check_all", "evolve", "fold", "fold_chunks", "fold_runs", "step"]

_ENTERED = (evolve_orders, evolve_portfolio, evolve_positions)
if missing := set(EVENT_TYPES.values()) - set(EVOLVERS):
    raise ImportError(f"no evolver for {sorted(kind.__name__ for kind in missing)}")


def step(accounts: Accounts, event: Event, seq: int) -> None:
    """Evolve ``accounts`` by one event; call inside ``exact()``.

    An event that its account cannot take puts that account into quarantine, where it stays as it
    was before the event; other accounts go on.
    """
    account = accounts.account(event.symbol)
    if account.quarantine is None:
        try:
            EVOLVERS[event.__class__](event, account, accounts, seq)
        except RuleViolation as found:
            account.quarantine = _quarantine(event, seq, found)
    account.seq = accounts.seq = seq
    account.revision += 1


def fold_runs(accounts: Accounts, runs: Iterable[Run]) -> None:
    """Evolve ``accounts`` in place by runs of events in total order; the fast form of :func:`fold`.

    Does per event what :func:`step` does, with the account looked up once a run.
    """
    with exact():
        for run in runs:
            seq, _, symbol, events, *_ = run
            account = accounts.account(symbol)
            for event in events:
                if account.quarantine is None:
                    try:
                        EVOLVERS[event.__class__](event, account, accounts, seq)
                    except RuleViolation as found:
                        account.quarantine = _quarantine(event, seq, found)
                seq += 1
            account.seq = accounts.seq = seq - 1
            account.revision += len(events)


def fold_chunks(accounts: Accounts, chunks: Iterable[Chunk]) -> None:
    """Evolve ``accounts`` in place by the chunks of a page: what a rebuild does."""
    with exact():
        for _, symbol, seqs, events in chunks:
            account = accounts.account(symbol)
            for event, seq in zip(events, seqs, strict=True):
                if account.quarantine is None:
                    try:
                        EVOLVERS[event.__class__](event, account, accounts, seq)
                    except RuleViolation as found:
                        account.quarantine = _quarantine(event, seq, found)
            if seqs:
                account.seq = seqs[-1]
                account.revision += len(events)


def _quarantine(event: Event, seq: int, found: RuleViolation) -> Quarantine:
    return Quarantine(seq=seq, type=event.type, rule=found.rule, message=found.message)


def evolve(accounts: Accounts, recorded: Recorded) -> None:
    """Evolve ``accounts`` in place by one recorded event."""
    with exact():
        step(accounts, recorded.event, recorded.seq)


def fold(events: Iterable[Recorded], accounts: Accounts | None = None) -> Accounts:
    """Evolve ``accounts`` in place (or empty ones) by all ``events`` in order and return them.

    Folding a history in two parts gives the same as folding it at once.
    """
    state = Accounts() if accounts is None else accounts
    page = list(events)
    with exact():
        for recorded in page:
            step(state, recorded.event, recorded.seq)
    return state


def check(accounts: Accounts, event: Event, seq: int) -> None:
    """Evolve ``accounts`` by an event that is about to be appended as number ``seq``.

    Raises:
        RuleViolation: The state cannot take it. The account is as it was.
    """
    check_all(accounts, [event], seq)


def check_all(accounts: Accounts, events: Iterable[Event], first_seq: int) -> None:
    """Evolve ``accounts`` by events that are about to be appended from ``first_seq`` on.

    Raises:
        RuleViolation: The state cannot take one of them; those before it have been evolved.
    """
    with exact():
        for seq, event in enumerate(events, start=first_seq):
            account = accounts.account(event.symbol)
            if account.quarantine is not None:
                rules.no_quarantine(event, account)
            EVOLVERS[event.__class__](event, account, accounts, seq)
            account.seq = accounts.seq = seq
            account.revision += 1
