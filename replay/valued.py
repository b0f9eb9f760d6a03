"""A live state for whoever asks for the value of the positions after each event."""

from __future__ import annotations

from copy import copy
from decimal import Decimal
from typing import Final

from ledger import Accounts, Position, Recorded, add, position_from_entry, subtract
from ledger.amounts import trimmed
from replay.live import LiveState

__all__ = ["ValuedState", "twin_of"]

_ZERO: Final = Decimal(0)


class ValuedState(LiveState):
    """A live state that keeps what the positions of each symbol are worth.

    That is put anew only after an event of the symbol; in the base currency also after an event of
    the portfolio, which may be a rate.
    """

    def __init__(self, accounts: Accounts) -> None:
        super().__init__(accounts)
        self._seen: dict[str, dict[str, Position]] = {}
        self._values: dict[str, Decimal] = {}
        self._restart()

    def _restart(self) -> None:
        self._worth: dict[str, Decimal] = {}
        self._total_worth = _ZERO
        self._unvalued = set(self.accounts.symbols)

    def evolve_exactly(self, recorded: Recorded) -> None:
        """Go on by one event; call inside ``exact()``."""
        super().evolve_exactly(recorded)
        symbol = recorded.event.symbol
        if symbol:
            self._unvalued.add(symbol)
            self._seen.pop(symbol, None)
            self._values.pop(symbol, None)
        else:
            self._restart()

    def stand_after(self, recorded: Recorded) -> None:
        """Say which event the accounts were folded to."""
        self._last = recorded

    def get_symbol_positions(self, symbol: str) -> dict[str, Position]:
        """Return a symbol's positions by id; an event puts new ones in their place."""
        seen = self._seen.get(symbol)
        if seen is None:
            account = self.accounts.symbols[symbol]
            entries = account.positions.items()
            seen = {key: position_from_entry(account, entry) for key, entry in entries}
            self._seen[symbol] = seen
        return seen

    def get_total_symbol_position_value(self, symbol: str) -> Decimal:
        """Return the value of a symbol's positions."""
        value = self._values.get(symbol)
        if value is None:
            value = _ZERO
            for position in self.get_symbol_positions(symbol).values():
                value = add(value, position.value)
            self._values[symbol] = value
        return value

    @property
    def total_position_value(self) -> Decimal:
        """The value of all positions, in the base currency."""
        self._refuse_quarantine()
        for symbol in list(self._unvalued):
            worth = self.get_total_symbol_position_value(symbol)
            currency = self.accounts.symbols[symbol].currency
            if currency is not None:
                worth = self._in_base(worth, currency)
            grown = subtract(worth, self._worth.get(symbol, _ZERO))
            self._total_worth = add(self._total_worth, grown)
            self._worth[symbol] = worth
            self._unvalued.discard(symbol)
        return trimmed(self._total_worth)


def twin_of(accounts: Accounts) -> Accounts:
    """Return accounts that share nothing with the given ones that an event changes."""
    twin = Accounts(seq=accounts.seq, portfolio=accounts.portfolio.fork(()))
    for symbol, account in accounts.symbols.items():
        own = twin.symbols[symbol] = account.fork(())
        own.orders = {key: copy(entry) for key, entry in own.orders.items()}
        for entry in own.orders.values():
            entry.fills = dict(entry.fills)
    return twin
