"""A state that follows the fold: each figure is derived when it is asked for.

After an event, only what its one account contributes can have changed. So nothing is derived but
what is asked, and of that only the part of the accounts that events have touched since.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

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
    evolve,
    exact,
    order_from_entry,
    position_from_entry,
    state_from_accounts,
    symbol_balances,
    symbol_figures,
)

__all__ = ["LiveState"]

_PARTS = (
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
        self._stale_money: set[str] | None = None
        self._stale = {name: set(accounts.symbols) for name in ("figures", "positions", "orders")}
        self.seq = accounts.seq
        self.moved_money = True
        self._read_portfolio()

    def evolve(self, recorded: Recorded) -> None:
        """Go on by one event."""
        event = recorded.event
        symbol = event.symbol
        evolve(self.accounts, recorded)
        self.seq = recorded.seq
        self.recorded_at, self.occurred_at = recorded.recorded_at, recorded.occurred_at
        if symbol:
            # A price moves no money where nothing is held.
            marked = event.__class__ is PriceMarked
            self.moved_money = not marked or bool(self.accounts.symbols[symbol].positions)
            self._touch(symbol)
            return
        self.moved_money = True
        self._read_portfolio()
        if event.__class__ is not RateMarked:
            self._stale_money = None

    def _touch(self, symbol: str) -> None:
        """Have what is derived from a symbol's account derived anew."""
        if self._stale_money is not None and self.moved_money:
            self._stale_money.add(symbol)
        for names in self._stale.values():
            names.add(symbol)
        if self.accounts.symbols[symbol].quarantine is not None:
            self._read_quarantine()

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
        self._read_quarantine()

    def _read_quarantine(self) -> None:
        named = [("", self.accounts.portfolio), *self.accounts.symbols.items()]
        self.quarantined = {
            name: f"#{account.quarantine.seq}: {account.quarantine.message}"
            for name, account in named
            if account.quarantine is not None
        }

    @property
    def balances(self) -> dict[str, Balance]:
        """The money per currency."""
        if self._stale_money is None:
            self._balances = self._all_balances()
        elif self._stale_money:
            self._renew_balances(self._stale_money)
        self._stale_money = set()
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
        total = Decimal(0)
        for currency, balance in balances.items():
            own = add(balance.net_pnl, balance.unrealized_pnl)
            total = add(total, self._in_base(own, currency))
        return total

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

    def _renew_balances(self, symbols: Iterable[str]) -> None:
        """Replace what the touched symbols contribute; exact, so the sums are those of a fold."""
        for symbol in symbols:
            old = self._parts.get(symbol, {})
            new = symbol_balances(self.accounts.symbols[symbol])
            if old.keys() != new.keys():
                self._balances = self._all_balances()
                return
            self._parts[symbol] = new
            with exact():
                for currency, part in new.items():
                    _replace(self._balances[currency], old[currency], part)

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
        stale, self._stale[what] = self._stale[what], set()
        return [name for name in sorted(stale) if self.accounts.symbols[name].revision]


def _replace(balance: Balance, old: Balance, new: Balance) -> None:
    """Put ``new`` for ``old`` into a sum; inside ``exact()``."""
    for name in _PARTS:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            setattr(balance, name, getattr(balance, name) - before + after)
