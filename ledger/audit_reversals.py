"""Checking reversals: that each takes back exactly what its original had contributed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ledger.errors import LedgerError
from ledger.events import EventReversed
from ledger.keys import Keys
from ledger.problem import Problems
from ledger.reversing import filled_in, original_of
from ledger.store import Steps

__all__ = ["check_reversals"]


def check_reversals(
    keys: Keys, reversals: Iterable[tuple[int, EventReversed]], problems: Problems
) -> Steps[int]:
    """Work out anew what each reversal has to take back; return how many there were.

    Args:
        keys: The keys of a portfolio whose log was found whole.
        reversals: The reversals with their sequence numbers.
        problems: Where to put what is wrong.
    """
    count = 0
    for seq, event in reversals:
        count += 1
        wrong = yield from _wrong(keys, seq, event)
        if wrong:
            problems.found("reversal", f"EventReversed: {wrong}", seq=seq, symbol=event.symbol)
    return count


def _wrong(keys: Keys, seq: int, event: EventReversed) -> Steps[str]:
    """Say what is wrong with a reversal; empty where nothing is."""
    if not 0 < event.seq < seq:
        return f"#{event.seq} does not stand before it"
    try:
        original = yield from original_of(keys, event.seq)
        if original.symbol != event.symbol:
            return f"#{event.seq} stands in another stream"
        expected = yield from filled_in(keys, event, original, seq - 1)
    except LedgerError as error:
        return f"#{event.seq} cannot be taken back: {error}"
    return _differing(event.undo or {}, expected.undo or {}, event.seq)


def _differing(undo: dict[str, Any], expected: dict[str, Any], seq: int) -> str:
    names = [name for name in {*undo, *expected} if undo.get(name) != expected.get(name)]
    if not names:
        return ""
    return f"it does not take back what #{seq} contributed: {', '.join(sorted(names))}"
