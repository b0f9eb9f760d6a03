"""From the accounts of the fold to the state that users see."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import Any, Final

import msgspec

from ledger.accounts import Accounts, OrderEntry, PositionEntry, SymbolAccount
from ledger.amounts import ONE, ZERO, exact, quotient, trim, trimmed_map
from ledger.holdings import Balance, Order, Position, SymbolFigures
from ledger.state import PortfolioState

__all__ = [
    "FoldedState",
    "order_from_entry",
    "position_from_entry",
    "state_from_accounts",
    "symbol_balances",
    "symbol_figures",
]


# What stands in an account was checked when its event was made; checking it again would cost
# thirty times as much as the rest.
_made: Final[Any] = msgspec.StructMeta.__call__


class FoldedState(PortfolioState):
    """A state that came from the fold; its orders and its digest may be made when first asked for.

    Both cost more than all the rest, and most who ask for a state look at neither.
    """

    def __init__(self, accounts: Accounts) -> None:
        super().__init__()
        self._total = self._available = None  # the figures come from the balances
        self._accounts: Accounts | None = accounts
        del self.per_symbol_orders, self.digest

    @cached_property
    def per_symbol_orders(self) -> dict[str, dict[str, Order]]:  # type: ignore[override]
        """The known orders, by symbol and id."""
        return {
            symbol: {key: order_from_entry(own, key, entry) for key, entry in own.orders.items()}
            for symbol, own in self._held().symbols.items()
            if own.revision
        }

    @cached_property
    def digest(self) -> str:  # type: ignore[override]
        """Equal where, and only where, all figures are."""
        return self._held().digest()

    def _held(self) -> Accounts:
        if self._accounts is None:
            raise AttributeError("the state was settled, and this was taken out of it since")
        return self._accounts

    def settle(self) -> None:
        """Make now what was not asked for yet, so that the accounts may be evolved further."""
        self.per_symbol_orders, self.digest  # noqa: B018 - made and kept by being asked for
        self._accounts = None


def state_from_accounts(
    accounts: Accounts,
    *,
    recorded_at: datetime | None = None,
    occurred_at: datetime | None = None,
    with_digest: bool = True,
    is_own: bool = False,
) -> FoldedState:
    """Return the state that ``accounts`` stand for.

    Args:
        accounts: Folded to their ``seq``.
        recorded_at, occurred_at: The two times of the event ``accounts.seq``.
        with_digest: Whether it has a digest, which costs more than the rest.
        is_own: Whether the accounts are this state's own from here on, and nobody evolves them any
            more: then orders and digest are made when first asked for. Otherwise the state shares
            nothing with them.
    """
    state = FoldedState(accounts)
    state.seq = accounts.seq
    state.recorded_at, state.occurred_at = recorded_at, occurred_at
    if not with_digest:
        state.digest = ""
    portfolio = accounts.portfolio
    state.base_currency = portfolio.base_currency
    state.rates = trimmed_map(portfolio.rates)
    state.limits = trimmed_map(portfolio.limits)
    if portfolio.session is not None:
        state.session = portfolio.session.session
        state.is_halted = portfolio.session.halted
    state.symbols = {
        symbol: symbol_figures(own) for symbol, own in accounts.symbols.items() if own.revision
    }
    state.per_symbol_positions = {
        symbol: {key: position_from_entry(own, entry) for key, entry in own.positions.items()}
        for symbol, own in accounts.symbols.items()
        if own.revision
    }
    state.balances = _balances(accounts, state.symbols)
    state.quarantined = _quarantined(accounts)
    if not is_own:
        state.settle()
    return state


def _quarantined(accounts: Accounts) -> dict[str, str]:
    found = {"": accounts.portfolio.quarantine} | {
        symbol: account.quarantine for symbol, account in accounts.symbols.items()
    }
    return {name: f"#{reason.seq}: {reason.message}" for name, reason in found.items() if reason}


def _balances(accounts: Accounts, symbols: dict[str, SymbolFigures]) -> dict[str, Balance]:
    """Sum every currency over the portfolio and its symbols."""
    balances: dict[str, Balance] = {}
    with exact():
        for currency, value in accounts.portfolio.deposited.items():
            balances.setdefault(currency, Balance()).deposited += value
        for currency, value in accounts.portfolio.withdrawn.items():
            balances.setdefault(currency, Balance()).withdrawn += value
        for symbol, figures in symbols.items():
            _add_symbol(balances, figures, accounts.symbols[symbol])
    for balance in balances.values():
        trim(balance)
    return dict(sorted(balances.items()))


def symbol_balances(account: SymbolAccount) -> dict[str, Balance]:
    """Return what one symbol contributes to the balance of each currency."""
    balances: dict[str, Balance] = {}
    with exact():
        _add_symbol(balances, symbol_figures(account), account)
    return balances


def _add_symbol(
    balances: dict[str, Balance], figures: SymbolFigures, account: SymbolAccount
) -> None:
    """Add a symbol's totals to the balances of its currencies; inside ``exact()``."""
    for currency, value in figures.fees.items():
        balances.setdefault(currency, Balance()).fees += value
    if figures.currency is None:
        return
    balance = balances.setdefault(figures.currency, Balance())
    balance.realized_pnl += figures.realized_pnl
    balance.unrealized_pnl += figures.unrealized_pnl
    balance.funding += figures.funding
    balance.tied_up += figures.tied_up
    balance.reserved += figures.reserved
    balance.market_value += sum((entry.value for entry in account.positions.values()), ZERO)


def symbol_figures(account: SymbolAccount) -> SymbolFigures:
    """Return what a symbol has earned and cost, sharing nothing with its account."""
    with exact():
        figures = SymbolFigures(
            currency=account.currency,
            mark=account.mark,
            realized_pnl=account.realized_pnl,
            unrealized_pnl=account.unrealized_pnl,
            fees=dict(account.fees),
            funding=account.funding,
            tied_up=account.tied_up,
            reserved=account.reserved,
            opened_count=account.opened_count,
            closed_count=account.closed_count,
            refused_count=account.refused_count,
            limits=dict(account.limits),
            revision=account.revision,
        )
    trim(figures)
    return figures


def position_from_entry(account: SymbolAccount, entry: PositionEntry) -> Position:
    """Return a position of ``account`` as users see it."""
    with exact():
        size = entry.quantity * (account.multiplier or ONE)
        unrealized = entry.unrealized_pnl
    mark = account.mark
    position: Position = _made(
        Position,
        account.symbol,
        entry.quantity,
        quotient(entry.cost, size),
        quotient(entry.value, size) if mark is None else mark,
        entry.side,
        symbol_context=entry.symbol_context,
        timestamp=entry.opened_at,
        multiplier=account.multiplier or ONE,
        entry_cost=entry.cost,
        unrealized_pnl=unrealized,
        realized_pnl=entry.realized_pnl,
        funding=entry.funding,
    )
    trim(position)
    return position


def order_from_entry(account: SymbolAccount, order_id: str, entry: OrderEntry) -> Order:
    """Return an order of ``account`` as users see it."""
    with exact():
        filled_size = entry.filled * (account.multiplier or ONE)
        left = entry.quantity - entry.filled if entry.status.is_working else ZERO
        reserved = account.money(left, entry.reserve_price)
    order: Order = _made(
        Order,
        order_id,
        entry.venue,
        account.symbol,
        entry.side,
        entry.quantity,
        entry.price,
        entry.status,
        entry.filled,
        average_price=quotient(entry.filled_value, filled_size) if filled_size else None,
        reserved=reserved,
        position_id=entry.position_id,
        timestamp=entry.placed_at,
    )
    trim(order)
    return order
