"""What a portfolio holds: positions, orders, balances, and the figures of a symbol."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ledger.amounts import ONE, ZERO, add, exact, multiply, quotient, trimmed
from ledger.fields import (
    ABSENT,
    CheckedMeta,
    Exact,
    Id,
    MaybeExact,
    Positive,
    Price,
    Side,
    Symbol,
    When,
)
from ledger.orders import OrderSide, OrderStatus

__all__ = ["Balance", "Order", "Position", "SymbolFigures"]

# The defaults of checked fields, whose annotations say what they accept rather than what they hold.
_ZERO: Any = ZERO
_ONE: Any = ONE


class Position(msgspec.Struct, metaclass=CheckedMeta, omit_defaults=True):
    """A holding in one symbol, compared by value; amounts in the symbol's quote currency.

    Attributes:
        symbol_context: The market the position belongs to, such as ``KRW-BTC``.
        timestamp: When it was opened, by the writer's clock; ``None`` for one built by hand.
        multiplier: Units of money per unit of price and quantity.
        entry_cost, unrealized_pnl, realized_pnl, funding: The fold's exact totals; the entry price
            is their quotient and may be rounded. ``None`` or 0 for one built by hand.
    """

    symbol: Symbol
    quantity: Exact
    entry_price: Price
    current_price: Price
    side: Side
    symbol_context: Id | None = None
    timestamp: When = ABSENT
    multiplier: Positive = _ONE
    entry_cost: MaybeExact = ABSENT
    unrealized_pnl: MaybeExact = ABSENT
    realized_pnl: Exact = _ZERO
    funding: Exact = _ZERO

    @property
    def pnl(self) -> Decimal:
        """``(current - entry) * quantity``, negated for a sell."""
        with exact():
            pnl = (self.current_price - self.entry_price) * self.quantity * self.multiplier
            return trimmed(pnl if self.side is OrderSide.BUY else ZERO - pnl)

    @property
    def pnl_pct(self) -> Decimal:
        """The ratio ``pnl / (entry * quantity)``; 0 where the entry price is 0."""
        cost = multiply(multiply(self.entry_price, self.quantity), self.multiplier)
        return trimmed(quotient(self.pnl, cost)) if cost else ZERO

    @property
    def value(self) -> Decimal:
        """``quantity * current_price``."""
        return trimmed(multiply(multiply(self.quantity, self.current_price), self.multiplier))


class Order(msgspec.Struct, metaclass=CheckedMeta, omit_defaults=True):
    """An order as it stands; ``price`` is ``None`` for one at market.

    Attributes:
        average_price: Of what is filled; ``None`` where nothing is. Rounded, see
            :mod:`ledger.amounts`.
        reserved: What it reserves of the balance, in the symbol's quote currency.
        timestamp: When it was placed, by the writer's clock.
    """

    order_id: Id
    exchange: Id | None
    symbol: Symbol
    side: Side
    quantity: Exact
    price: MaybeExact
    status: OrderStatus
    filled_quantity: Exact = _ZERO
    average_price: MaybeExact = ABSENT
    reserved: Exact = _ZERO
    position_id: Id | None = None
    timestamp: When = ABSENT

    @property
    def fill_rate(self) -> Decimal:
        """The ratio ``filled / quantity``; 0 where the quantity is 0."""
        if not self.quantity:
            return ZERO
        return trimmed(quotient(self.filled_quantity, self.quantity))


class Balance(msgspec.Struct, kw_only=True):
    """The money of one currency."""

    deposited: Decimal = ZERO
    withdrawn: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    unrealized_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    tied_up: Decimal = ZERO
    reserved: Decimal = ZERO
    market_value: Decimal = ZERO

    @property
    def cash(self) -> Decimal:
        """Deposits less withdrawals, plus realized PnL, less fees, plus funding."""
        with exact():
            earned = self.realized_pnl - self.fees + self.funding
            return trimmed(self.deposited - self.withdrawn + earned)

    @property
    def available(self) -> Decimal:
        """Cash less what positions tie up and working orders reserve; may be negative."""
        with exact():
            return trimmed(self.cash - self.tied_up - self.reserved)

    @property
    def equity(self) -> Decimal:
        """Cash plus unrealized PnL at the recorded marks."""
        return trimmed(add(self.cash, self.unrealized_pnl))

    @property
    def net_pnl(self) -> Decimal:
        """Realized PnL less fees, plus funding."""
        with exact():
            return trimmed(self.realized_pnl - self.fees + self.funding)


class SymbolFigures(msgspec.Struct, kw_only=True):
    """What one symbol has earned and cost; ``fees`` by the currency they were paid in."""

    currency: str | None = None
    mark: Decimal | None = None
    realized_pnl: Decimal = ZERO
    unrealized_pnl: Decimal = ZERO
    fees: dict[str, Decimal] = {}
    funding: Decimal = ZERO
    tied_up: Decimal = ZERO
    reserved: Decimal = ZERO
    opened_count: int = 0
    closed_count: int = 0
    refused_count: int = 0
    limits: dict[str, Decimal] = {}
    revision: int = 0
