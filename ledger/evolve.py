"""Folding events into accounts: :func:`evolve` by one, :func:`fold` by many.

This is the only place figures come from: every command, page, report and runner shows what this
fold says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from ledger import evolve_orders, evolve_portfolio, evolve_positions, rules
from ledger.accounts import Accounts, PortfolioAccount, Quarantine, SymbolAccount
from ledger.amounts import exact
from ledger.errors import RuleViolation
from ledger.event import Event, PortfolioEvent, Recorded, SymbolEvent
from ledger.events import EVENT_TYPES
from ledger.evolver import EVOLVERS
from ledger.reading import Chunk

__all__ = ["check", "check_all", "evolve", "fold", "fold_chunks", "step"]

_ENTERED = (evolve_orders, evolve_portfolio, evolve_positions)
if missing := set(EVENT_TYPES.values()) - set(EVOLVERS):
    raise ImportError(f"no evolver for {sorted(kind.__name__ for kind in missing)}")


def _misplaced(event: Event, _account: object, _all: Accounts, _seq: int) -> None:
    raise rules.refuse(event, "wrong-stream", "the event is of the other kind of stream")


def _evolvers_without(kind: type[Event]) -> dict[type[Event], Callable[..., None]]:
    """Return the evolvers of a stream in which events of ``kind`` are misplaced."""
    return {
        each: _misplaced if issubclass(each, kind) else evolver
        for each, evolver in EVOLVERS.items()
    }


_OF_PORTFOLIO = _evolvers_without(SymbolEvent)
_OF_SYMBOL = _evolvers_without(PortfolioEvent)


def _take(accounts: Accounts, symbol: str, events: Sequence[Event], seqs: Sequence[int]) -> None:
    """Evolve one account by events of its stream; inside ``exact()``.

    An event that its account cannot take puts that account into quarantine, where it stays as it
    was before the event; other accounts go on.
    """
    if not seqs:
        return
    account = accounts.account(symbol)
    if account.quarantine is None:
        evolvers = _OF_SYMBOL if symbol else _OF_PORTFOLIO
        event, seq = events[0], seqs[0]
        try:
            for event, seq in zip(events, seqs, strict=True):
                evolvers[event.__class__](event, account, accounts, seq)
        except (RuleViolation, ArithmeticError) as found:
            account.quarantine = _quarantine(event, seq, found)
    account.seq = seqs[-1]
    account.revision += len(seqs)


def _quarantine(event: Event, seq: int, found: RuleViolation | ArithmeticError) -> Quarantine:
    if isinstance(found, RuleViolation):
        return Quarantine(seq=seq, type=event.type, rule=found.rule, message=found.message)
    # Only a forged amount: NaN, or beyond any size.
    message = "an amount is no number"
    return Quarantine(seq=seq, type=event.type, rule="no-amount", message=message)


def step(accounts: Accounts, event: Event, seq: int) -> PortfolioAccount | SymbolAccount:
    """Evolve ``accounts`` by one event and return the one it changed; call inside ``exact()``."""
    symbol = event.symbol
    account = accounts.symbols.get(symbol) or accounts.account(symbol)
    if account.quarantine is None:
        try:
            (_OF_SYMBOL if symbol else _OF_PORTFOLIO)[event.__class__](
                event, account, accounts, seq
            )
        except (RuleViolation, ArithmeticError) as found:
            account.quarantine = _quarantine(event, seq, found)
    account.seq = accounts.seq = seq
    account.revision += 1
    return account


def fold_chunks(accounts: Accounts, chunks: Iterable[Chunk]) -> None:
    """Evolve ``accounts`` in place by the chunks of a page: what a rebuild does."""
    with exact():
        for _, _, seqs, events, entry in chunks:
            _take(accounts, entry.symbol, events, seqs)


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
        RuleViolation: The state cannot take one of them, which ``index`` names; those before it
            have been evolved.
    """
    with exact():
        for seq, event in enumerate(events, start=first_seq):
            is_new = event.symbol not in accounts.symbols
            account = accounts.account(event.symbol)
            try:
                if account.quarantine is not None:
                    rules.no_quarantine(event, account)
                EVOLVERS[event.__class__](event, account, accounts, seq)
            except RuleViolation as found:
                found.index = seq - first_seq
                if event.symbol and is_new:
                    del accounts.symbols[event.symbol]
                raise
            account.seq = accounts.seq = seq
            account.revision += 1
