"""The table of evolvers: one per event type, entered by a decorator.

An evolver gets the event, the one account it changes, all accounts to read from, and the event's
sequence number. It first asks the :mod:`~ledger.rules` and only then changes anything, so that a
refused event leaves no trace. It reads no clock, no environment, and of the other accounts only
the portfolio's base currency and cost basis. It computes with plain operators inside
:func:`~ledger.amounts.exact`, which :mod:`ledger.evolve` enters.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias, TypeVar

from ledger.accounts import Accounts, PortfolioAccount, SymbolAccount
from ledger.amounts import ZERO
from ledger.event import Event

__all__ = ["EVOLVERS", "add_to", "evolves"]

E = TypeVar("E", bound=Event)
A = TypeVar("A", SymbolAccount, PortfolioAccount)
Evolver: TypeAlias = Callable[[E, A, Accounts, int], None]

EVOLVERS: dict[type[Event], Callable[[Any, Any, Accounts, int], None]] = {}
"""The evolver of each event type."""


def evolves(kind: type[E]) -> Callable[[Evolver[E, A]], Evolver[E, A]]:
    """Enter the decorated function as the evolver of an event type."""

    def enter(evolver: Evolver[E, A]) -> Evolver[E, A]:
        EVOLVERS[kind] = evolver
        return evolver

    return enter


def add_to(totals: dict[str, Decimal], currency: str, value: Decimal) -> None:
    """Add to the total of one currency; inside ``exact()``."""
    totals[currency] = totals.get(currency, ZERO) + value
