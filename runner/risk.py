"""The risk guard: says which trade may not be made, from the projected accounts alone. Pure.

The limits are those the ledger holds (``RiskLimitSet``), for one symbol or, without a symbol, for
the portfolio. A symbol's limits are in its currency, the portfolio's in the base currency.

=========================  =====================================================================
``max_notional_per_trade``  what the legs of one trade may cost together
``max_notional_per_symbol`` entry cost of a symbol's open positions and what its orders reserve
``max_total_notional``      the same over all symbols (portfolio only)
``max_open_positions``      open positions, and those that working orders are about to open
``max_concurrent_trades``   the trades these belong to
``max_daily_loss``          what the day has lost; once it is reached no trade opens
=========================  =====================================================================

Cost is counted at the limit price of an order, or at the mark of one at market; so a limit that
held when the order went out still holds when it is filled. The day's loss is the realized PnL less
fees plus funding since the day began. A limit nobody here knows stops every trade: better to be
asked about it than to trade without it.

What only takes risk away passes all of this, and a halt, as long as it closes no more than is open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from decimal import Decimal
from typing import Any, Final

import msgspec

from ledger import Accounts, Balance, PortfolioState, state_from_accounts
from ledger.amounts import ONE, ZERO, add, exact, multiply, plain, subtract
from runner.engine import Leg, Trade

__all__ = ["Earned", "Refusal", "earned_by_symbol", "refusal_of"]

Earned = Mapping[str, Mapping[str, Decimal]]
"""What each symbol has earned by currency: realized PnL less fees plus funding."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a trade may not be made: the limit, and the value that would break it."""

    limit: str
    value: Decimal
    reason: str


def earned_by_symbol(accounts: Accounts) -> dict[str, dict[str, Decimal]]:
    """Return what each symbol has earned so far, fees taken off, by currency."""
    earned: dict[str, dict[str, Decimal]] = {}
    with exact():
        for symbol, account in accounts.symbols.items():
            money = {currency: ZERO - fee for currency, fee in account.fees.items()}
            if account.currency is not None:
                before = money.get(account.currency, ZERO)
                money[account.currency] = before + account.realized_pnl + account.funding
            earned[symbol] = money
    return earned


def refusal_of(trade: Trade, accounts: Accounts, before_today: Earned) -> Refusal | None:
    """Return why a trade may not be made now, or ``None`` where it may.

    Args:
        trade: Its legs name the positions they open.
        accounts: Everything up to now, with the orders that are on their way.
        before_today: What :func:`earned_by_symbol` said when the day began.

    Raises:
        MissingRate: A limit of the portfolio needs a rate that is not recorded.
    """
    if trade.purpose.is_exit:
        return _beyond_open(trade, accounts)
    session = accounts.portfolio.session
    if session is None or session.halted:
        state = "halted" if session else "not open"
        return Refusal(limit="session", value=ZERO, reason=f"the session is {state}")
    desk = _Desk(trade, accounts, before_today)
    for scope, limits in desk.limits():
        for limit, value in limits.items():
            refusal = desk.against(scope, limit, value)
            if refusal is not None:
                return refusal
    return desk.short_of_money()


def _beyond_open(trade: Trade, accounts: Accounts) -> Refusal | None:
    """An exit closes what is open and is not being closed already."""
    for leg in trade.legs:
        account = accounts.symbols.get(leg.symbol)
        position = account.positions.get(leg.position_id) if account else None
        with exact():
            left = position.quantity if position else ZERO
            for order in account.orders.values() if account else ():
                if order.status.is_working and order.position_id == leg.position_id:
                    left -= order.quantity - order.filled
        if leg.quantity > left:
            reason = f"{plain(leg.quantity)} of position {leg.position_id}: {plain(left)} is left"
            return Refusal(limit="open_quantity", value=leg.quantity, reason=reason)
    return None


class _Desk:
    """A trade that would open or add, and what the figures would be with it."""

    def __init__(self, trade: Trade, accounts: Accounts, before_today: Earned) -> None:
        self._trade = trade
        self._accounts = accounts
        self._before = before_today

    def limits(self) -> Iterator[tuple[str, Mapping[str, Decimal]]]:
        """Yield each scope with its limits: the trade's symbols, then the portfolio (``""``)."""
        for symbol in dict.fromkeys(leg.symbol for leg in self._trade.legs):
            account = self._accounts.symbols.get(symbol)
            if account is not None:
                yield symbol, account.limits
        yield "", self._accounts.portfolio.limits

    def against(self, scope: str, limit: str, value: Decimal) -> Refusal | None:
        """Compare one figure with its limit."""
        where = f" of {scope}" if scope else " of the portfolio"
        figure = _FIGURES.get(limit)
        if figure is None:
            reason = f"the limit {limit}{where} is not one this guard knows"
            return Refusal(limit=limit, value=value, reason=reason)
        found: Decimal = figure(self, scope)
        within = found < value if limit == "max_daily_loss" else found <= value
        if within:
            return None
        reason = f"{limit}{where} is {plain(value)}; it would be {plain(found)}"
        return Refusal(limit=limit, value=found, reason=reason)

    def short_of_money(self) -> Refusal | None:
        """A trade that opens needs its cost available in its currency."""
        balances = state_from_accounts(_live(self._accounts), with_digest=False).balances
        for currency, cost in self._costs(self._trade.legs).items():
            available = balances[currency].available if currency in balances else ZERO
            if cost > available:
                reason = f"{plain(cost)} {currency} is needed, {plain(available)} is available"
                return Refusal(limit="available_balance", value=cost, reason=reason)
        return None

    def trade_notional(self, scope: str) -> Decimal:
        """What the trade costs, in the scope's currency."""
        if not scope:
            return self._in_base(self._costs(self._trade.legs))
        legs = [leg for leg in self._trade.legs if leg.symbol == scope]
        return next(iter(self._costs(legs).values()), ZERO)

    def symbol_notional(self, scope: str) -> Decimal:
        """The largest sum of entry costs and reserves of a symbol the trade is in."""
        if scope:
            return add(self._used(scope)[1], self.trade_notional(scope))
        sums = []
        for symbol in {leg.symbol for leg in self._trade.legs}:
            currency, used = self._used(symbol)
            sums.append(self._in_base({currency: add(used, self.trade_notional(symbol))}))
        return max(sums)

    def total_notional(self, _scope: str) -> Decimal:
        """The entry costs and reserves of all symbols with the trade, in the base currency."""
        costs = self._costs(self._trade.legs)
        for symbol in self._accounts.symbols:
            currency, used = self._used(symbol)
            if used:
                costs[currency] = add(costs.get(currency, ZERO), used)
        return self._in_base(costs)

    def open_positions(self, scope: str) -> Decimal:
        """How many positions would be open."""
        return Decimal(len({position for position, _ in self._entries(scope)}))

    def concurrent_trades(self, scope: str) -> Decimal:
        """How many trades would be under way."""
        return Decimal(len({trade for _, trade in self._entries(scope)}))

    def day_loss(self, scope: str) -> Decimal:
        """What has been lost today, at least 0, in the scope's currency."""
        lost: dict[str, Decimal] = {}
        for symbol, earned in earned_by_symbol(self._accounts).items():
            for currency, value in earned.items() if scope in ("", symbol) else ():
                before = self._before.get(symbol, {}).get(currency, ZERO)
                lost[currency] = add(lost.get(currency, ZERO), subtract(before, value))
        if not scope:
            return max(self._in_base(lost), ZERO)
        return max(lost.get(self._currency(scope), ZERO), ZERO)

    def _entries(self, scope: str) -> Iterator[tuple[str, str]]:
        """Yield position and trade of all that is open, about to be opened, or asked for."""
        for symbol, account in self._accounts.symbols.items():
            if scope not in ("", symbol):
                continue
            for position_id, position in account.positions.items():
                yield position_id, position.trade_id or position_id
            for order_id, order in account.orders.items():
                position_id = order.position_id or order_id
                if order.status.is_working and position_id not in account.positions:
                    yield position_id, order.trade_id or position_id
        for leg in self._trade.legs:
            if scope in ("", leg.symbol):
                yield leg.position_id, self._trade.trade_id

    def _used(self, symbol: str) -> tuple[str, Decimal]:
        account = self._accounts.symbols.get(symbol)
        if account is None:
            return self._currency(symbol), ZERO
        with exact():
            return self._currency(symbol), account.tied_up + account.reserved

    def _currency(self, symbol: str) -> str:
        account = self._accounts.symbols.get(symbol)
        currency = account.currency if account else None
        return currency or self._accounts.portfolio.base_currency or ""

    def _costs(self, legs: tuple[Leg, ...] | list[Leg]) -> dict[str, Decimal]:
        costs: dict[str, Decimal] = {}
        for leg in legs:
            account = self._accounts.symbols.get(leg.symbol)
            price = leg.price or (account.mark if account else None) or ZERO
            multiplier = (account.multiplier if account else None) or ONE
            cost = multiply(multiply(leg.quantity, price), multiplier)
            currency = self._currency(leg.symbol)
            costs[currency] = add(costs.get(currency, ZERO), cost)
        return costs

    def _in_base(self, sums: Mapping[str, Decimal]) -> Decimal:
        """Convert sums by currency as the ledger converts balances, at its recorded rates."""
        state = PortfolioState()
        state.base_currency = self._accounts.portfolio.base_currency
        state.rates = self._accounts.portfolio.rates
        state.balances = {currency: Balance(fees=value) for currency, value in sums.items()}
        return state.fees


_FIGURES: Final[dict[str, Any]] = {
    "max_notional_per_trade": _Desk.trade_notional,
    "max_notional_per_symbol": _Desk.symbol_notional,
    "max_total_notional": _Desk.total_notional,
    "max_open_positions": _Desk.open_positions,
    "max_concurrent_trades": _Desk.concurrent_trades,
    "max_daily_loss": _Desk.day_loss,
}


def _live(accounts: Accounts) -> Accounts:
    """Return the accounts without the orders that are done: they are in no balance."""
    symbols = {}
    for symbol, account in accounts.symbols.items():
        symbols[symbol] = twin = copy(account)
        twin.orders = {k: order for k, order in account.orders.items() if order.status.is_working}
    return Accounts(seq=accounts.seq, portfolio=accounts.portfolio, symbols=symbols)
