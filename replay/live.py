"""A state that follows the fold: each figure is derived when it is asked for.

After an event, only what its one account contributes can have changed. So nothing is derived but
what is asked, and of that only the part of the accounts that events have touched since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
    SymbolAccount,
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

__all__ = ["LiveState"]

_ZERO: Final = Decimal(0)
_PARTS: Final = (
    "deposited",
    "withdrawn",
    "realized_pnl",
    "unrealized_pnl",
    "fees",
    "funding",
    "tied_up",
    "reserved",
    "market_value",
)


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
        self._parts: dict[str, dict[str, Balance]] = {}
        self._sums: dict[str, Decimal] = {}
        # By symbol whether all that moved its money was a price; None: derive everything anew.
        self._stale_money: dict[str, bool] | None = None
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
                self._stale_money = None
            return
        account = self.accounts.symbols[symbol]
        self._touched.add(symbol)
        if account.quarantine is not None:
            self._read_quarantine()
        is_price = event.__class__ is PriceMarked
        # A price moves no money where nothing is held.
        self.moved_money = moved = not is_price or bool(account.positions)
        stale = self._stale_money
        if moved and stale is not None:
            stale[symbol] = is_price and stale.get(symbol, True)

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
        self._settle()
        return self._balances

    @balances.setter
    def balances(self, value: dict[str, Balance]) -> None:
        self._balances = value

    @property
    def profit(self) -> Decimal:
        """Net PnL and unrealized PnL together, in the base currency: equity less money put in.

        Raises:
            MissingRate: A currency without a recorded rate has some.
        """
        return self._profit(self.balances)

    def only(self, symbol: str) -> PortfolioState:
        """Return the part of the totals and balances that one symbol made."""
        part = PortfolioState()
        part._total = part._available = None
        part.base_currency, part.rates = self.base_currency, self.rates
        part.balances = symbol_balances(self.accounts.symbols[symbol])
        return part

    def profit_of(self, symbol: str) -> Decimal:
        """The part of :attr:`profit` that one symbol made."""
        return self._profit(symbol_balances(self.accounts.symbols[symbol]))

    def _profit(self, balances: dict[str, Balance]) -> Decimal:
        total = _ZERO
        for currency, balance in balances.items():
            own = add(balance.net_pnl, balance.unrealized_pnl)
            total = add(total, self._in_base(own, currency))
        return total

    def _sum(self, figure: str) -> Decimal:
        """Sum a figure of all balances; one that nothing has moved since is kept."""
        self._settle()
        kept = self._sums.get(figure)
        if kept is None:
            kept = self._sums[figure] = super()._sum(figure)
        return kept

    def _settle(self) -> None:
        """Bring the balances up to the last event."""
        stale = self._stale_money
        if stale is None:
            self._stale_money = {}
            self._balances = self._all_balances()
            self._sums = {}
        elif stale:
            self._stale_money = {}
            with exact():
                self._renew_balances(stale)

    def _all_balances(self) -> dict[str, Balance]:
        accounts = self.accounts
        self._parts = {name: symbol_balances(own) for name, own in accounts.symbols.items()}
        deposits = state_from_accounts(Accounts(portfolio=accounts.portfolio), with_digest=False)
        sums = deposits.balances
        with exact():
            for parts in self._parts.values():
                for currency, part in parts.items():
                    _replace(sums.setdefault(currency, Balance()), Balance(), part)
        return dict(sorted(sums.items()))

    def _renew_balances(self, stale: Mapping[str, bool]) -> None:
        """Replace what the touched symbols contribute; exact, so the sums are those of a fold."""
        for symbol, is_price in stale.items():
            old, own = self._parts.get(symbol, {}), self.accounts.symbols[symbol]
            if is_price and own.currency in old:
                self._revalue(self._balances[own.currency], old[own.currency], own)
                self._sums.pop("unrealized_pnl", None)
                continue
            self._sums = {}
            new = symbol_balances(own)
            if old.keys() != new.keys():
                self._balances = self._all_balances()
                return
            self._parts[symbol] = new
            for currency, part in new.items():
                _replace(self._balances[currency], old[currency], part)

    def _revalue(self, balance: Balance, part: Balance, own: SymbolAccount) -> None:
        """Take over what a price changed; inside ``exact()``."""
        unrealized = own.unrealized_pnl
        balance.unrealized_pnl += unrealized - part.unrealized_pnl
        part.unrealized_pnl = unrealized
        value = sum((entry.value for entry in own.positions.values()), _ZERO)
        balance.market_value += value - part.market_value
        part.market_value = value

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


def _replace(balance: Balance, old: Balance, new: Balance) -> None:
    """Put ``new`` for ``old`` into a sum; inside ``exact()``."""
    for name in _PARTS:
        before, after = getattr(old, name), getattr(new, name)
        if before is not after:
            setattr(balance, name, getattr(balance, name) - before + after)
