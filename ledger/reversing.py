"""Filling in a reversal at the append: what it takes back, and whether anything depends on it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.accounts import Accounts, PortfolioAccount, SymbolAccount
from ledger.amounts import exact
from ledger.errors import RuleViolation
from ledger.event import Recorded
from ledger.events import EventReversed
from ledger.evolve import step
from ledger.folding import accounts_at, read_runs, recorded_from_runs
from ledger.keys import Keys
from ledger.reading import commit_at
from ledger.reversal import contribution, dependents, replaced
from ledger.store import Steps

__all__ = ["filled_in", "original_of"]


def filled_in(
    keys: Keys, reversal: EventReversed, original: Recorded, until: int
) -> Steps[EventReversed]:
    """Return a reversal in the stream of the event it reverses, with ``undo`` filled in.

    Right as long as that stream has no event after ``until``.

    Raises:
        RuleViolation: It is a reversal itself, was reversed already, or later events depend on it.
    """
    name = original.symbol
    runs = yield from read_runs(keys, after=original.seq, until=until, symbols=[name])
    later = recorded_from_runs(runs)
    _check_reversible(original, later)
    before, after = yield from _around(keys, original)
    undo = contribution(before, after)
    for stale in replaced(original.event, later):
        undo.pop(stale, None)
    return msgspec.structs.replace(reversal, symbol=name, undo=undo)


def original_of(keys: Keys, seq: int) -> Steps[Recorded]:
    """Return the event with this sequence number.

    Raises:
        NotFound: There is none.
    """
    commit = yield from commit_at(keys, seq)
    runs = yield from read_runs(
        keys, after=commit.first_seq - 1, until=commit.last_seq, symbols=commit.touched
    )
    return next(found for found in recorded_from_runs(runs) if found.seq == seq)


def _around(
    keys: Keys, original: Recorded
) -> Steps[tuple[PortfolioAccount | SymbolAccount, PortfolioAccount | SymbolAccount]]:
    """Return the account of an event just before it and just after it."""
    name = original.symbol
    state = yield from accounts_at(keys, original.seq - 1, symbols={name} - {""})
    before = state.account(name)
    fork = before.fork([original.event])
    after = Accounts(portfolio=state.portfolio, symbols=dict(state.symbols))
    if isinstance(fork, SymbolAccount):
        after.symbols[name] = fork
    else:
        after.portfolio = fork
    with exact():
        step(after, original.event, original.seq)
    return before, after.account(name)


def _check_reversible(original: Recorded, later: Sequence[Recorded]) -> None:
    """Refuse to take back what was taken back already, or what later events depend on."""
    if isinstance(original.event, EventReversed):
        raise RuleViolation(
            "reversal-of-reversal",
            f"EventReversed: #{original.seq} is a reversal itself",
            hint="append the reversed event anew instead",
        )
    for found in later:
        if isinstance(found.event, EventReversed) and found.event.seq == original.seq:
            raise RuleViolation(
                "reversed-already", f"EventReversed: #{original.seq} was reversed by #{found.seq}"
            )
    numbers = dependents(original.event, later)
    if numbers:
        shown = ", ".join(f"#{number}" for number in numbers[:20])
        more = f" and {len(numbers) - 20} more" if len(numbers) > 20 else ""
        raise RuleViolation(
            "reversal-depends",
            f"EventReversed: {original.type} #{original.seq} cannot be reversed while later events "
            f"depend on it: {shown}{more}",
            hint="reverse those first, the last one first",
        )
