"""Balances that follow the fold: after an event, only what its account contributes is put anew.

Everything is exact, so the running sums are at any time what summing all accounts would give.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from ledger import (
    Accounts,
    Balance,
    Event,
    EventReversed,
    OrderFilled,
    PriceMarked,
    SymbolAccount,
    exact,
    state_from_accounts,
)
from replay.order_events import ORDER_EVENTS

__all__ = ["ALL", "FEES", "NOTHING", "PRICES", "RESERVES", "RunningBalances"]

_ZERO: Final = Decimal(0)

NOTHING: Final = 0
RESERVES: Final = 1
"""What working orders reserve, and with it the available balance."""
PRICES: Final = 2
"""What positions are worth."""
FEES: Final = 4
ALL: Final = 8

_MOVED: Final[dict[type[Event], int]] = {
    **dict.fromkeys(ORDER_EVENTS, RESERVES),
    OrderFilled: FEES,
    PriceMarked: PRICES,
}
"""What of the money events move; those that are not named here can move all of it."""


class _Part:
    """What one symbol has been counted with."""

    __slots__ = (
        "currency",
        "fees",
        "funding",
        "realized",
        "reserved",
        "tied_up",
        "unrealized",
        "value",
    )

    def __init__(self, currency: str | None) -> None:
        self.currency = currency
        self.fees: dict[str, Decimal] = {}
        self.realized = self.unrealized = self.funding = _ZERO
        self.tied_up = self.value = self.reserved = _ZERO


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
        self._parts: dict[str, _Part] = {}
        self._sums: dict[str, Balance] = {}
        self._cash: dict[str, Decimal] = {}
        self._profits: dict[str, Decimal] = {}

    def restart(self) -> None:
        """Sum everything anew, after an event of the portfolio's own."""
        self._is_begun = False

    def touch(self, event: Event, account: SymbolAccount) -> int:
        """Note an event of a symbol; return what of the money it can have moved.

        That is :data:`NOTHING` (a price moves none where nothing is held), :data:`RESERVES` alone,
        :data:`PRICES` alone, :data:`FEES` and reserves, or :data:`ALL` of it.
        """
        symbol = event.symbol
        moved = _MOVED.get(event.__class__, ALL)
        if moved == PRICES:
            if not account.positions:
                return NOTHING
        else:
            self._stale_reserves.add(symbol)
            if moved == RESERVES or (moved == FEES and not event.fee):  # type: ignore[attr-defined]
                part = self._parts.get(symbol)
                if part is not None and part.currency == account.currency:
                    return RESERVES
                moved = ALL  # the first of its symbol, or the first that needs a currency
            elif event.__class__ is EventReversed:
                self._is_begun = False  # what has been there may be there no more
        self._stale[symbol] = self._stale.get(symbol, NOTHING) | moved
        return moved

    def sums(self) -> dict[str, Balance]:
        """Return the balances; what orders reserve is brought up to date by :meth:`reserve`."""
        if not self._is_begun:
            self._begin()
        elif self._stale:
            self._renew_stale()
        return self._sums

    def cash(self) -> dict[str, Decimal]:
        """Return the cash of each currency."""
        self.sums()
        return self._cash

    def profits(self) -> dict[str, Decimal]:
        """Return what was earned in each currency: net PnL and unrealized PnL together."""
        self.sums()
        return self._profits

    def profits_of(self, symbol: str) -> list[tuple[str, Decimal]]:
        """Return what one symbol earned in each currency."""
        self.sums()
        part = self._parts.get(symbol)
        if part is None:
            return []
        paid = dict(part.fees)
        with exact():
            earned = part.realized + part.funding + part.unrealized
            own = part.currency
            found = [(own, earned - paid.pop(own, _ZERO))] if own is not None else []
            return found + [(currency, -fees) for currency, fees in paid.items()]

    def reserve(self) -> dict[str, Balance]:
        """Return the balances with what working orders reserve."""
        sums = self.sums()
        if self._stale_reserves:
            with exact():
                for symbol in self._stale_reserves:
                    part = self._parts[symbol]
                    if part.currency is not None:
                        reserved = self._accounts.symbols[symbol].reserved
                        sums[part.currency].reserved += reserved - part.reserved
                        part.reserved = reserved
            self._stale_reserves = set()
        return sums

    def _begin(self) -> None:
        self._is_begun = True
        accounts = self._accounts
        self._stale, self._parts = {}, {}
        self._stale_reserves = set(accounts.symbols)
        deposits = state_from_accounts(Accounts(portfolio=accounts.portfolio), with_digest=False)
        self._sums = deposits.balances
        self._cash = {currency: balance.cash for currency, balance in self._sums.items()}
        self._profits = dict.fromkeys(self._sums, _ZERO)
        with exact():
            for symbol in accounts.symbols:
                self._renew(symbol, ALL)

    def _renew_stale(self) -> None:
        stale, self._stale = self._stale, {}
        with exact():
            for symbol, moved in stale.items():
                self._renew(symbol, moved)

    def _renew(self, symbol: str, moved: int) -> None:
        """Replace what a symbol is counted with; inside ``exact()``."""
        account = self._accounts.symbols[symbol]
        part = self._parts.get(symbol)
        if part is None:
            part = self._parts[symbol] = _Part(account.currency)
            moved = ALL
        elif part.currency != account.currency:
            self._begin()  # its first event to name a currency, or one that was taken back
            return
        if moved & (FEES | ALL):
            self._renew_fees(part, account)
        currency = part.currency
        if currency is None:
            return
        balance = self._sums.get(currency) or self._added(currency)
        if moved & (PRICES | ALL):
            self._profits[currency] += _revalue(balance, part, account)
        if moved & ALL:
            self._renew_earned(balance, part, account, currency)

    def _renew_fees(self, part: _Part, account: SymbolAccount) -> None:
        for currency, paid in account.fees.items():
            before = part.fees.get(currency, _ZERO)
            if paid is not before:
                part.fees[currency] = paid
                balance = self._sums.get(currency) or self._added(currency)
                balance.fees += paid - before
                self._cash[currency] -= paid - before
                self._profits[currency] -= paid - before

    def _renew_earned(
        self, balance: Balance, part: _Part, account: SymbolAccount, currency: str
    ) -> None:
        realized, funding = account.realized_pnl, account.funding
        earned = realized - part.realized + (funding - part.funding)
        balance.realized_pnl += realized - part.realized
        balance.funding += funding - part.funding
        self._cash[currency] += earned
        self._profits[currency] += earned
        part.realized, part.funding = realized, funding
        tied_up = account.tied_up
        balance.tied_up += tied_up - part.tied_up
        part.tied_up = tied_up

    def _added(self, currency: str) -> Balance:
        """Begin the balance of a currency, in its place among the others."""
        self._sums[currency] = balance = Balance()
        self._cash[currency] = self._profits[currency] = _ZERO
        self._sums = dict(sorted(self._sums.items()))
        self._cash = dict(sorted(self._cash.items()))
        return balance


def _revalue(balance: Balance, part: _Part, account: SymbolAccount) -> Decimal:
    """Take over what the positions are worth, and return the gain; inside ``exact()``."""
    unrealized = value = _ZERO
    for entry in account.positions.values():
        unrealized += entry.unrealized_pnl
        value += entry.value
    gain = unrealized - part.unrealized
    balance.unrealized_pnl += gain
    balance.market_value += value - part.value
    part.unrealized, part.value = unrealized, value
    return gain
