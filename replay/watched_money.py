"""The watched balances and totals: which of them an event can have moved, and what they are now."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from ledger import (
    Balance,
    Event,
    LedgerDamaged,
    MissingRate,
    OrderAccepted,
    PortfolioState,
)
from replay.figures import BALANCE_FIGURES, TOTALS
from replay.order_events import ORDER_EVENTS
from replay.valued import ValuedState
from replay.watched import Choice, Moved, WatchedFields

__all__ = ["WatchedMoney"]

_PARTS: Final = Balance.__struct_fields__
_ALL_PARTS: Final = frozenset(_PARTS)
_parts_of = attrgetter(*_PARTS)

# What a figure is computed from; where no part of it moved, the figure did not.
_NET: Final = frozenset({"realized_pnl", "fees", "funding"})
_CASH: Final = frozenset({"deposited", "withdrawn"}) | _NET
_MADE_OF: Final[dict[str, frozenset[str]]] = {
    **{name: frozenset({name}) for name in _PARTS},
    "cash": _CASH,
    "total_balance": _CASH,
    "available": _CASH | {"tied_up", "reserved"},
    "available_balance": _CASH | {"tied_up", "reserved"},
    "equity": _CASH | {"unrealized_pnl"},
    "net_pnl": _NET,
    "total_position_value": frozenset({"market_value"}),
    "utilization_rate": _CASH | {"market_value"},
}


class WatchedMoney:
    """The watched figures of the balances, and the totals.

    Args:
        choice: The figures that are watched.
        before: The state as it is; ``None`` where the first values count as moved.

    Attributes:
        is_watched: Whether any of them is.
    """

    def __init__(self, choice: Choice, before: PortfolioState | None) -> None:
        self._choice = choice
        self._totals = choice.fields("total", TOTALS)
        self._fields = choice.fields("balances", BALANCE_FIGURES)
        self._keys = choice.keys("balances")
        self.is_watched = bool(self._totals or self._fields)
        self._reach: dict[frozenset[str], tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._parts: dict[str, tuple[Decimal, ...]] = {}
        self._balances: dict[str, WatchedFields] = {}
        self._told = WatchedFields("", (), {})
        if before is not None:
            self._told.known = {name: _told(before, name) for name in self._totals}
            for currency, balance in before.balances.items():
                self._parts[currency] = _parts_of(balance)
                known = {name: getattr(balance, name) for name in self._fields}
                self._balances[currency] = WatchedFields(f"balances.{currency}.", (), known)

    def see(self, live: ValuedState, event: Event, moved: Moved, *, is_whole: bool) -> None:
        """Note what an event has changed.

        Args:
            live: The state after it.
            event: The event.
            moved: Where to note it.
            is_whole: Whether it can have changed how any total comes of the balances.
        """
        if event.__class__ is OrderAccepted and not is_whole:
            return  # what an order reserves, it has reserved since it was placed
        totals = self._totals
        if self._fields:
            parts = self._see_balances(live.running_balances, moved)
            if event.__class__ not in ORDER_EVENTS:
                # A position without a mark is valued at a quotient, which its cost may not show.
                parts |= {"market_value"}
            if not is_whole:
                totals = self._reached(frozenset(parts))[1]
        for name in totals:
            self._told.see(name, _told(live, name), moved)

    def _see_balances(self, balances: dict[str, Balance], moved: Moved) -> set[str]:
        """Note the figures of the balances; return the parts that moved in any of them."""
        found: set[str] = set()
        for currency in [name for name in self._parts if name not in balances]:
            found |= _ALL_PARTS
            del self._parts[currency]
            watched = self._balances.get(currency)
            if watched is not None:
                for name in watched.known:
                    watched.see(name, None, moved)
        for currency, balance in balances.items():
            before, after = self._parts.get(currency), _parts_of(balance)
            if after != before:
                self._parts[currency] = after
                parts = _differing(before, after)
                found |= parts
                if self._keys is None or currency in self._keys:
                    self._see_balance(currency, balance, parts, moved)
        return found

    def _see_balance(
        self, currency: str, balance: Balance, parts: AbstractSet[str], moved: Moved
    ) -> None:
        watched = self._balances.get(currency)
        if watched is None:
            watched = WatchedFields(f"balances.{currency}.", (), {})
            self._balances[currency] = watched
        for name in self._reached(frozenset(parts))[0]:
            watched.see(name, getattr(balance, name), moved)

    def _reached(self, parts: frozenset[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the figures of a balance, and the totals, that some parts are in."""
        found = self._reach.get(parts)
        if found is None:
            found = self._reach[parts] = (
                tuple(name for name in self._fields if _MADE_OF[name] & parts),
                tuple(name for name in self._totals if _MADE_OF[name] & parts),
            )
        return found


def _differing(before: tuple[Decimal, ...] | None, after: tuple[Decimal, ...]) -> AbstractSet[str]:
    if before is None:
        return _ALL_PARTS
    found = zip(_PARTS, before, after, strict=True)
    return {name for name, old, new in found if old != new}


def _told(state: PortfolioState, name: str) -> Any:
    """Return a total; ``None`` where it cannot be told."""
    try:
        return getattr(state, name)
    except (MissingRate, LedgerDamaged):
        return None
