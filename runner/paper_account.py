"""What a paper exchange knows of its orders, and the account that follows from its fills."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from ledger import OrderSide, OrderStatus, split_ratio
from ledger.amounts import ZERO, add, exact, multiply, negate, quotient, subtract
from runner.exchange import Report

__all__ = ["Fill", "PaperAccount", "PaperOrder", "Split", "account_from_fills"]


class Fill(NamedTuple):
    """One trade of an order; ``fee`` is in ``currency``."""

    trade_id: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    currency: str


class Split(NamedTuple):
    """A split of what had been bought and sold up to the report numbered ``after``."""

    after: int
    symbol: str
    ratio: str


class PaperOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the paper exchange knows it, whether or not its reports are visible yet.

    Attributes:
        price: The limit; ``None`` at market.
        filled: How much of ``quantity`` has traded.
        notional: Quantity times price, summed over the fills, in the quote currency.
        fees: Summed over the fills, in the quote currency.
    """

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal | None
    status: OrderStatus
    filled: Decimal = ZERO
    notional: Decimal = ZERO
    fees: Decimal = ZERO
    fill_count: int = 0

    @property
    def remaining(self) -> Decimal:
        """What has not traded."""
        return subtract(self.quantity, self.filled)

    @property
    def average_price(self) -> Decimal | None:
        """The mean price of the fills, rounded at 34 digits; ``None`` while nothing has traded."""
        return quotient(self.notional, self.filled) if self.filled else None

    def with_status(self, status: OrderStatus) -> PaperOrder:
        """Return the order in another status."""
        return msgspec.structs.replace(self, status=status)

    def with_fill(self, fill: Fill) -> PaperOrder:
        """Return the order after one more fill."""
        filled = add(self.filled, fill.quantity)
        done = filled == self.quantity
        return msgspec.structs.replace(
            self,
            status=OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED,
            filled=filled,
            notional=add(self.notional, multiply(fill.quantity, fill.price)),
            fees=add(self.fees, fill.fee),
            fill_count=self.fill_count + 1,
        )


class PaperAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What the paper exchange really did, reports that are not visible yet included.

    Attributes:
        orders: By client order id, in the order of their arrival.
        fills: Every fill, in the order of ``report_id``.
        positions: Bought less sold by symbol, splits applied; a flat symbol is not in it.
        cash: Received less paid by quote currency, fees taken off.
        fees: Fees by quote currency.
    """

    orders: dict[str, PaperOrder]
    fills: tuple[Report, ...]
    positions: dict[str, Decimal]
    cash: dict[str, Decimal]
    fees: dict[str, Decimal]


def account_from_fills(
    orders: dict[str, PaperOrder], fills: Sequence[Report], splits: Sequence[Split]
) -> PaperAccount:
    """Add up positions, cash and fees.

    A reverse split that does not divide a position evenly rounds it at 34 significant digits.

    Args:
        orders: Every order that a fill names.
        fills: In the order of ``report_id``.
        splits: In the order in which they took effect.
    """
    positions: dict[str, Decimal] = defaultdict(lambda: ZERO)
    cash: dict[str, Decimal] = defaultdict(lambda: ZERO)
    fees: dict[str, Decimal] = defaultdict(lambda: ZERO)
    waiting = list(reversed(splits))
    for fill in fills:
        while waiting and waiting[-1].after < fill.report_id:
            _apply(waiting.pop(), positions)
        signed, paid, fee, currency = _effect(fill, orders[fill.client_order_id].side)
        positions[fill.symbol] = add(positions[fill.symbol], signed)
        cash[currency] = subtract(cash[currency], paid)
        fees[currency] = add(fees[currency], fee)
    for split in reversed(waiting):
        _apply(split, positions)
    held = {symbol: quantity for symbol, quantity in positions.items() if quantity}
    return PaperAccount(
        orders=orders, fills=tuple(fills), positions=held, cash=dict(cash), fees=dict(fees)
    )


def _effect(fill: Report, side: str) -> tuple[Decimal, Decimal, Decimal, str]:
    """Return the signed quantity, what was paid for it with the fee, the fee, and its currency."""
    quantity, price, fee, currency = fill.quantity, fill.price, fill.fee, fill.fee_currency
    if quantity is None or price is None or fee is None or currency is None:
        raise TypeError(f"report {fill.report_id} is not a fill")
    signed = quantity if side == OrderSide.BUY else negate(quantity)
    with exact():
        return signed, signed * price + fee, fee, currency


def _apply(split: Split, positions: dict[str, Decimal]) -> None:
    new, old = split_ratio(split.ratio)
    multiplied = multiply(positions[split.symbol], Decimal(new))
    positions[split.symbol] = multiplied if old == 1 else quotient(multiplied, Decimal(old))
