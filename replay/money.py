"""Balances that follow the fold: after an event, only what its account contributes is put anew.

Everything is exact, so the running sums are at any time what summing all accounts would give.
"""

from __future__ import annotations

from copy import copy
from decimal import Decimal
from typing import Final

from ledger import (
    Accounts,
    Balance,
    Event,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderPlaced,
    OrderRejected,
    PriceMarked,
    SymbolAccount,
    add,
    exact,
    state_from_accounts,
    symbol_balances,
)

__all__ = ["RunningBalances"]

_ZERO: Final = Decimal(0)

# All but what orders reserve, which is kept apart: it takes a look at each order, and few ask.
_PARTS: Final = (
    "realized_pnl",
    "unrealized_pnl",
    "fees",
    "funding",
    "tied_up",
    "market_value",
)
_PRICES, _ALL = 1, 2
_ONLY_RESERVES: Final = frozenset(
    {OrderPlaced, OrderAccepted, OrderAmended, OrderCancelled, OrderExpired, OrderRejected}
)


class RunningBalances:
    """The balances of ``accounts``, brought up to date when they are asked for.

    Args:
        accounts: Somebody else evolves them and says so to :meth:`touch` or :meth:`restart`.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._is_begun = False
        self._stale: dict[str, int] = {}
        self._stale_reserves: set[str] = set()
        self._parts: dict[str, dict[str, Balance]] = {}
        self._reserves: dict[str, tuple[str, Decimal]] = {}
        self._sums: dict[str, Balance] = {}
        self._profits: dict[str, Decimal] = {}

    def restart(self) -> None:
        """Sum everything anew, after an event of the portfolio's own."""
        self._is_begun = False

    def touch(self, symbol: str, event: Event, account: SymbolAccount) -> bool:
        """Note an event of a symbol; return whether it can have moved any money.

        A price moves none where nothing is held.
        """
        kind = event.__class__
        if kind is PriceMarked:
            if not account.positions:
                return False
            self._stale[symbol] = self._stale.get(symbol, 0) | _PRICES
            return True
        self._stale_reserves.add(symbol)
        if kind not in _ONLY_RESERVES or account.currency is None or symbol not in self._parts:
            self._stale[symbol] = _ALL
        return True

    def sums(self) -> dict[str, Balance]:
        """Return the balances; what orders reserve is brought up to date by :meth:`reserve`."""
        if not self._is_begun:
            self._begin()
        elif self._stale:
            stale, self._stale = self._stale, {}
            with exact():
                for symbol, what in stale.items():
                    self._renew(symbol, what)
        return self._sums

    def profits(self) -> dict[str, Decimal]:
        """Return what was earned in each currency: net PnL and unrealized PnL together."""
        self.sums()
        return self._profits

    def reserve(self) -> dict[str, Balance]:
        """Return the balances with what working orders reserve."""
        sums = self.sums()
        with exact():
            for symbol in self._stale_reserves:
                account = self._accounts.symbols[symbol]
                currency, before = self._reserves.get(symbol, (account.currency, _ZERO))
                if currency is not None:
                    reserved = account.reserved
                    sums[currency].reserved += reserved - before
                    self._reserves[symbol] = currency, reserved
        self._stale_reserves = set()
        return sums

    def _begin(self) -> None:
        self._is_begun = True
        accounts = self._accounts
        self._stale, self._reserves = {}, {}
        self._stale_reserves = set(accounts.symbols)
        self._parts = {name: _contributed(own) for name, own in accounts.symbols.items()}
        deposits = state_from_accounts(Accounts(portfolio=accounts.portfolio), with_digest=False)
        sums = deposits.balances
        with exact():
            for parts in self._parts.values():
                for currency, part in parts.items():
                    _replace(sums.setdefault(currency, Balance()), Balance(), part)
        self._sums = dict(sorted(sums.items()))
        self._profits = {
            currency: add(balance.net_pnl, balance.unrealized_pnl)
            for currency, balance in self._sums.items()
        }

    def _renew(self, symbol: str, what: int) -> None:
        """Replace what a symbol contributes; inside ``exact()``."""
        if not self._is_begun:
            return
        old, account = self._parts.get(symbol, {}), self._accounts.symbols[symbol]
        if what == _PRICES and account.currency in old:
            grown = _revalue(self._sums[account.currency], old[account.currency], account)
            self._profits[account.currency] += grown
            return
        new = _contributed(account)
        if old.keys() != new.keys():
            self._begin()
            return
        self._parts[symbol] = new
        for currency, part in new.items():
            _replace(self._sums[currency], old[currency], part)
            self._profits[currency] += _earned(part) - _earned(old[currency])


def _earned(part: Balance) -> Decimal:
    """Net PnL and unrealized PnL; inside ``exact()``."""
    return part.net_pnl + part.unrealized_pnl


def _contributed(account: SymbolAccount) -> dict[str, Balance]:
    bare = copy(account)
    bare.orders = {}
    return symbol_balances(bare)


def _revalue(balance: Balance, part: Balance, account: SymbolAccount) -> Decimal:
    """Take over what a price changed, and return the change; inside ``exact()``."""
    unrealized = account.unrealized_pnl
    grown = unrealized - part.unrealized_pnl
    balance.unrealized_pnl += grown
    part.unrealized_pnl = unrealized
    value = sum((entry.value for entry in account.positions.values()), _ZERO)
    balance.market_value += value - part.market_value
    part.market_value = value
    return grown


def _replace(balance: Balance, old: Balance, new: Balance) -> None:
    """Put ``new`` for ``old`` into a sum; inside ``exact()``."""
    for name in _PARTS:
        before, after = getattr(old, name), getattr(new, name)
        if before is not after:
            setattr(balance, name, getattr(balance, name) - before + after)
