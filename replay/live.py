"""A state that follows the fold: each figure is derived when it is asked for.

After an event, only what its one account contributes can have changed. So nothing is derived but
what is asked, and of that only the part of the accounts that events have touched since.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Final

from ledger import (
    Accounts,
    Balance,
    Order,
    PortfolioState,
    Position,
    PriceMarked,
    RateMarked,
    Recorded,
    SymbolFigures,
    add,
    exact,
    order_from_entry,
    position_from_entry,
    state_from_accounts,
    step,
    symbol_balances,
    symbol_figures,
)
from replay.money import RunningBalances

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
        moved_money: Whether the last event can have changed a balance or a total.
    """

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self._total = self._available = None  # the totals come from the balances
        self.accounts = accounts
        self._money = RunningBalances(accounts)
        self._sums: dict[str, Decimal] = {}
        self._touched = set(accounts.symbols)
        self._stale: dict[str, set[str]] = {"figures": set(), "positions": set(), "orders": set()}
        self._last: Recorded | None = None
        self.seq = accounts.seq
        self.moved_money = True
        self._read_portfolio()

    def evolve(self, recorded: Recorded) -> None:
        """Go on by one event."""
        with exact():
            self.evolve_exactly(recorded)

    def evolve_exactly(self, recorded: Recorded) -> None:
        """Go on by one event; call inside ``exact()``, which saves entering it for each."""
        event = recorded.event
        symbol = event.symbol
        self._last = recorded
        self.seq = seq = recorded.seq
        step(self.accounts, event, seq)
        if not symbol:
            self._read_portfolio()
            self.moved_money = True
            if event.__class__ is not RateMarked:
                self._money.restart()
            return
        account = self.accounts.symbols[symbol]
        self._touched.add(symbol)
        if account.quarantine is not None:
            self._read_quarantine()
        self.moved_money = moved = self._money.touch(symbol, event, account)
        if moved and self._sums:
            if event.__class__ is PriceMarked:
                self._sums.pop("unrealized_pnl", None)
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
        self.rates, self.limits = dict(portfolio.rates), dict(portfolio.limits)
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
    def balances(self) -> dict[str, Balance]:
        """The money per currency."""
        return self._money.reserve()

    @balances.setter
    def balances(self, _value: dict[str, Balance]) -> None:
        """A state built by hand begins with some; these come from the accounts."""

    @property
    def profit(self) -> Decimal:
        """Net PnL and unrealized PnL together, in the base currency: equity less money put in.

        Raises:
            MissingRate: A currency without a recorded rate has some.
        """
        total = _ZERO
        for currency, own in self._money.profits().items():
            total = add(total, self._in_base(own, currency))
        return total

    def only(self, symbol: str) -> PortfolioState:
        """Return the part of the totals and balances that one symbol made."""
        part = PortfolioState()
        part._total = part._available = None
        part.base_currency, part.rates = self.base_currency, self.rates
        part.balances = symbol_balances(self.accounts.symbols[symbol])
        return part

    def profit_of(self, symbol: str) -> Decimal:
        """The part of :attr:`profit` that one symbol made."""
        total = _ZERO
        for currency, balance in symbol_balances(self.accounts.symbols[symbol]).items():
            own = add(balance.net_pnl, balance.unrealized_pnl)
            total = add(total, self._in_base(own, currency))
        return total

    def _sum(self, figure: str) -> Decimal:
        """Sum a figure of all balances; one that nothing has moved since is kept."""
        kept = self._sums.get(figure)
        if kept is None:
            with_reserves = figure in _WITH_RESERVES
            balances = self._money.reserve() if with_reserves else self._money.sums()
            kept = self._sums[figure] = self._total_of(figure, balances)
        return kept

    @property
    def symbols(self) -> dict[str, SymbolFigures]:
        """The figures of each symbol."""
        for symbol in self._renewed("figures"):
            self._symbols[symbol] = symbol_figures(self.accounts.symbols[symbol])
        return self._symbols

    @symbols.setter
    def symbols(self, value: dict[str, SymbolFigures]) -> None:
        self._symbols = value

    @property
    def per_symbol_positions(self) -> dict[str, dict[str, Position]]:
        """The open positions, by symbol and id."""
        for symbol in self._renewed("positions"):
            own = self.accounts.symbols[symbol]
            entries = own.positions.items()
            self._positions[symbol] = {key: position_from_entry(own, e) for key, e in entries}
        return self._positions

    @per_symbol_positions.setter
    def per_symbol_positions(self, value: dict[str, dict[str, Position]]) -> None:
        self._positions = value

    @property
    def per_symbol_orders(self) -> dict[str, dict[str, Order]]:
        """The known orders, by symbol and id."""
        for symbol in self._renewed("orders"):
            own = self.accounts.symbols[symbol]
            entries = own.orders.items()
            self._orders[symbol] = {key: order_from_entry(own, key, e) for key, e in entries}
        return self._orders

    @per_symbol_orders.setter
    def per_symbol_orders(self, value: dict[str, dict[str, Order]]) -> None:
        self._orders = value

    def _renewed(self, what: str) -> Iterable[str]:
        if self._touched:
            for names in self._stale.values():
                names.update(self._touched)
            self._touched = set()
        stale = self._stale[what]
        if not stale:
            return ()
        self._stale[what] = set()
        return [name for name in sorted(stale) if self.accounts.symbols[name].revision]
