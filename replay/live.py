"""A state that follows the fold: each figure is derived when it is asked for.

After an event, only what its one account contributes can have changed. So nothing is derived but
what is asked, and of that only the part of the accounts that events have touched since.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Final

from ledger import (
    Accounts,
    Balance,
    Order,
    PortfolioAccount,
    PortfolioState,
    Position,
    RateMarked,
    Recorded,
    SymbolFigures,
    add,
    exact,
    state_from_accounts,
    step,
    symbol_balances,
)
from ledger.amounts import trim, trimmed, trimmed_map
from replay.money import ALL, NOTHING, PRICES, RESERVES, RunningBalances
from replay.views import RunningViews

__all__ = ["LiveState"]

_ZERO: Final = Decimal(0)
_WITH_RESERVES: Final = ("available", "reserved")


class LiveState(PortfolioState):
    """The state of ``accounts`` as they are at the moment a figure is read.

    It is for reading only, and what it hands out is overtaken by the next event; :meth:`frozen`
    returns a state to keep. ``digest`` is empty.

    Args:
        accounts: The fold's accounts; from here on only :meth:`evolve` changes them.

    Attributes:
        moved: What of the money the last event can have changed; see :mod:`replay.money`.
    """

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self._total = self._available = None  # the totals come from the balances
        self.accounts = accounts
        self._money = RunningBalances(accounts)
        self._sums: dict[str, Decimal] = {}
        self._views = RunningViews(accounts)
        self._last: Recorded | None = None
        self.seq = accounts.seq
        self.moved = ALL
        self._read_portfolio()

    def evolve(self, recorded: Recorded) -> None:
        """Go on by one event."""
        with exact():
            self.evolve_exactly(recorded)

    def evolve_exactly(self, recorded: Recorded) -> None:
        """Go on by one event; call inside ``exact()``, which saves entering it for each."""
        event = recorded.event
        self._last = recorded
        self.seq = seq = recorded.seq
        account = step(self.accounts, event, seq)
        if account.__class__ is PortfolioAccount:
            self._read_portfolio()
            self.moved = ALL
            if event.__class__ is not RateMarked:
                self._money.restart()
            return
        if account.quarantine is not None:
            self._read_quarantine()
        self.moved = moved = self._money.touch(event, account)  # type: ignore[arg-type]
        if moved and self._sums:
            self._forget_sums(moved)
        if self._views.is_looked_at:
            self._views.touch(event)

    @property
    def moved_money(self) -> bool:
        """Whether the last event can have changed a balance or a total."""
        return self.moved != NOTHING

    def _forget_sums(self, moved: int) -> None:
        if moved == PRICES:
            self._sums.pop("unrealized_pnl", None)
        elif moved == RESERVES:
            for figure in _WITH_RESERVES:
                self._sums.pop(figure, None)
        else:
            self._sums = {}

    @property
    def recorded_at(self) -> datetime | None:
        """When the last event was recorded."""
        return None if self._last is None else self._last.recorded_at

    @recorded_at.setter
    def recorded_at(self, _value: datetime | None) -> None:
        self._last = None

    @property
    def occurred_at(self) -> datetime | None:
        """When the last event happened."""
        return None if self._last is None else self._last.occurred_at

    @occurred_at.setter
    def occurred_at(self, _value: datetime | None) -> None:
        self._last = None

    def frozen(self) -> PortfolioState:
        """Return the state at this moment, with its digest; it belongs to the caller."""
        return state_from_accounts(
            self.accounts, recorded_at=self.recorded_at, occurred_at=self.occurred_at
        )

    def _read_portfolio(self) -> None:
        portfolio = self.accounts.portfolio
        self.base_currency = portfolio.base_currency
        self.rates, self.limits = trimmed_map(portfolio.rates), trimmed_map(portfolio.limits)
        self.session = None if portfolio.session is None else portfolio.session.session
        self.is_halted = portfolio.session is not None and portfolio.session.halted
        self._sums = {}
        self._read_quarantine()

    def _read_quarantine(self) -> None:
        self._sums = {}
        named = [("", self.accounts.portfolio), *self.accounts.symbols.items()]
        self.quarantined = {
            name: f"#{account.quarantine.seq}: {account.quarantine.message}"
            for name, account in named
            if account.quarantine is not None
        }

    @property
    def running_balances(self) -> dict[str, Balance]:
        """The balances themselves, which the next event changes, with amounts as they add up."""
        return self._money.reserve()

    @property
    def balances(self) -> dict[str, Balance]:
        """The money per currency."""
        found = {}
        for currency, running in self.running_balances.items():
            found[currency] = balance = copy(running)
            trim(balance)
        return found

    @balances.setter
    def balances(self, _value: dict[str, Balance]) -> None:
        """A state built by hand begins with some; these come from the accounts."""

    @property
    def profit(self) -> Decimal:
        """Net PnL and unrealized PnL together, in the base currency: equity less money put in.

        Raises:
            MissingRate: A currency without a recorded rate has some.
        """
        return self._added_up(self._money.profits().items())

    @property
    def equity(self) -> Decimal:
        """Cash plus unrealized PnL, in the base currency."""
        return trimmed(add(self._sum("cash"), self._sum("unrealized_pnl")))

    def only(self, symbol: str) -> PortfolioState:
        """Return the part of the totals and balances that one symbol made."""
        part = PortfolioState()
        part._total = part._available = None
        part.base_currency, part.rates = self.base_currency, self.rates
        part.balances = symbol_balances(self.accounts.symbols[symbol])
        return part

    def profit_of(self, symbol: str) -> Decimal:
        """The part of :attr:`profit` that one symbol made."""
        return self._added_up(self._money.profits_of(symbol))

    def _sum(self, figure: str) -> Decimal:
        """Sum a figure of all balances; one that nothing has moved since is kept."""
        kept = self._sums.get(figure)
        if kept is None:
            kept = self._sums[figure] = self._summed(figure)
        return kept

    def _summed(self, figure: str) -> Decimal:
        if self.quarantined:
            self._refuse_quarantine()
        money = self._money
        if figure == "cash":
            amounts = list(money.cash().items())
        else:
            balances = money.reserve() if figure in _WITH_RESERVES else money.sums()
            amounts = [(currency, getattr(own, figure)) for currency, own in balances.items()]
        return self._added_up(amounts)

    def _added_up(self, amounts: Iterable[tuple[str, Decimal]]) -> Decimal:
        """Add amounts of several currencies in the base currency."""
        total, base = _ZERO, self.base_currency
        for currency, own in amounts:
            total = add(total, own if currency == base else self._in_base(own, currency))
        return total

    @property
    def symbols(self) -> dict[str, SymbolFigures]:
        """The figures of each symbol."""
        return self._views.figures()

    @symbols.setter
    def symbols(self, _value: dict[str, SymbolFigures]) -> None:
        """A state built by hand begins with some; these come from the accounts."""

    @property
    def per_symbol_positions(self) -> dict[str, dict[str, Position]]:
        """The open positions, by symbol and id."""
        return self._views.positions()

    @per_symbol_positions.setter
    def per_symbol_positions(self, _value: dict[str, dict[str, Position]]) -> None:
        """As the figures of the symbols."""

    @property
    def per_symbol_orders(self) -> dict[str, dict[str, Order]]:
        """The known orders, by symbol and id."""
        return self._views.orders()

    @per_symbol_orders.setter
    def per_symbol_orders(self, _value: dict[str, dict[str, Order]]) -> None:
        """As the figures of the symbols."""
