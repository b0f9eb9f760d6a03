"""Filling in a reversal at the append: what it takes back, and whether anything depends on it.

What is taken back is the difference between the account as it stands and one that is folded
without the event. So whatever the event still has a part in is taken back (the mark that a later
position was valued at, a lot that was divided since), and what was replaced since is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import msgspec

from ledger.accounts import Accounts
from ledger.errors import LedgerDamaged, RuleViolation
from ledger.event import Recorded
from ledger.events import CostBasisChosen, EventReversed, SessionStarted
from ledger.evolve import fold
from ledger.folding import accounts_at, read_events
from ledger.heads import commit_at, head
from ledger.keys import Keys
from ledger.reversal import contribution, dependents
from ledger.store import Steps

__all__ = ["earliest_needed", "filled_in", "original_of", "undo_from_history"]


def filled_in(
    keys: Keys, reversal: EventReversed, original: Recorded, until: int
) -> Steps[EventReversed]:
    """Return a reversal in the stream of the event it reverses, with ``undo`` filled in.

    Right as long as that stream has no event after ``until``.

    Raises:
        RuleViolation: It is a reversal itself, was reversed already, or later events depend on it.
    """
    yield from _refuse_decided(keys, original)
    name, first_seq = original.symbol, original.seq
    while True:
        history = yield from read_events(keys, after=first_seq - 1, until=until, symbols={"", name})
        earliest = earliest_needed(history, original)
        if earliest >= first_seq:
            break
        first_seq = earliest
    before = yield from accounts_at(keys, first_seq - 1, symbols={name} - {""})
    undo = undo_from_history(before, history, original)
    return msgspec.structs.replace(reversal, symbol=name, undo=undo)


def _refuse_decided(keys: Keys, original: Recorded) -> Steps[None]:
    """What other streams were decided by can be taken back only while nothing has followed."""
    if isinstance(original.event, SessionStarted | CostBasisChosen):
        last = yield from head(keys)
        if last.seq > original.seq:
            raise RuleViolation(
                "reversal-depends",
                f"EventReversed: {original.type} #{original.seq} cannot be reversed while later "
                f"events depend on it: all from #{original.seq + 1} to #{last.seq}",
                event_type="EventReversed",
            )


def original_of(keys: Keys, seq: int) -> Steps[Recorded]:
    """Return the event with this sequence number.

    Raises:
        NotFound: There is none.
        LedgerDamaged: It should be there and is not.
    """
    commit = yield from commit_at(keys, seq)
    events = yield from read_events(
        keys, after=commit.first_seq - 1, until=commit.last_seq, symbols=commit.touched
    )
    for found in events:
        if found.seq == seq:
            return found
    raise LedgerDamaged(f"the log is damaged: event #{seq} is missing", seq=seq)


def _reversed_seqs(history: Sequence[Recorded], name: str) -> set[int]:
    return {
        found.event.seq
        for found in history
        if isinstance(found.event, EventReversed) and found.symbol == name
    }


def earliest_needed(history: Sequence[Recorded], original: Recorded) -> int:
    """Return from which event on a stream must be folded anew to leave ``original`` out.

    That is ``original`` itself, or an earlier event that ``history`` takes back: a fold that leaves
    out a reversal must leave out what it reverses as well.
    """
    return min([original.seq, *_reversed_seqs(history, original.symbol)])


def undo_from_history(
    before: Accounts, history: Sequence[Recorded], original: Recorded
) -> dict[str, Any]:
    """Return what a reversal of ``original`` has to take back after the last of ``history``.

    Args:
        before: The accounts just before the first of ``history``; they are changed.
        history: The events of the original's stream and the portfolio's own, from what
            :func:`earliest_needed` says, or before.
        original: The event to take back.

    Raises:
        RuleViolation: It is a reversal itself, was reversed already, or later events depend on it.
    """
    name = original.symbol
    later = [found for found in history if found.symbol == name and found.seq > original.seq]
    _check_reversible(original, later)
    gone = {original.seq, *_reversed_seqs(history, name)}
    kept = [
        found
        for found in history
        if found.symbol != name or not (found.seq in gone or isinstance(found.event, EventReversed))
    ]
    without = fold(kept, deepcopy(before)).account(name)
    if without.quarantine is not None:
        raise _depended_on(original, [without.quarantine.seq])
    return contribution(without, fold(history, before).account(name))


def _check_reversible(original: Recorded, later: Sequence[Recorded]) -> None:
    """Refuse to take back what was taken back already, or what later events depend on."""
    if isinstance(original.event, EventReversed):
        raise RuleViolation(
            "reversal-of-reversal",
            f"EventReversed: #{original.seq} is a reversal itself",
            hint="append the reversed event anew instead",
            event_type="EventReversed",
        )
    for found in later:
        if isinstance(found.event, EventReversed) and found.event.seq == original.seq:
            raise RuleViolation(
                "reversed-already",
                f"EventReversed: #{original.seq} was reversed by #{found.seq}",
                event_type="EventReversed",
            )
    if numbers := dependents(original.event, later):
        raise _depended_on(original, numbers)


def _depended_on(original: Recorded, numbers: Sequence[int]) -> RuleViolation:
    shown = ", ".join(f"#{number}" for number in numbers[:20])
    more = f" and {len(numbers) - 20} more" if len(numbers) > 20 else ""
    return RuleViolation(
        "reversal-depends",
        f"EventReversed: {original.type} #{original.seq} cannot be reversed while later events "
        f"depend on it: {shown}{more}",
        hint="reverse those first, the last one first",
        event_type="EventReversed",
    )
