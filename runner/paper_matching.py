"""How a paper exchange trades: its settings, its chance, and one order against one book. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from ledger import OrderSide
from ledger.amounts import ZERO, add, amount, exact, multiply, subtract
from ledger.errors import InvalidInput
from runner.market import Book
from runner.paper_account import Fill, PaperOrder

__all__ = ["Chance", "Market", "PaperConfig", "fills_of"]

_BASIS_POINT: Final = Decimal("0.0001")
_PERCENT: Final = Decimal("0.01")
_DRAW_BYTES: Final = 6


class PaperConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a paper exchange behaves.

    Attributes:
        seed: Where all chance comes from.
        fee_rate: The fee of every fill as a ratio of quantity times price; never rounded.
        slippage_bps: How much worse than the book an order trades that takes from it.
        partial_fill_chance_percent: Of how many orders in 100 a fill comes in 2 or 3 parts.
        rejection_chance_percent: How many orders in 100 are rejected.
        latency: How long after it happened a report becomes visible.
        currencies: The quote currency by symbol; ``default_currency`` for any other.
        lot_sizes: What the quantity of an order must be a multiple of, by symbol.

    Raises:
        InvalidInput: A value no venue could have; the message names the field.
    """

    seed: int = 0
    fee_rate: Decimal = Decimal("0.001")
    slippage_bps: Decimal = ZERO
    partial_fill_chance_percent: int = 0
    rejection_chance_percent: int = 0
    latency: timedelta = timedelta(0)
    default_currency: str = "USD"
    currencies: Mapping[str, str] = {}
    lot_sizes: Mapping[str, Decimal] = {}

    def __post_init__(self) -> None:
        """Refuse what no venue could do."""
        amount(self.fee_rate, "fee_rate")
        if not 0 <= amount(self.slippage_bps, "slippage_bps") < 10_000:
            raise InvalidInput(f"slippage_bps: {self.slippage_bps} is not from 0 to below 10000")
        for field in ("partial_fill_chance_percent", "rejection_chance_percent"):
            if not 0 <= getattr(self, field) <= 100:
                raise InvalidInput(f"{field}: {getattr(self, field)} is not from 0 to 100")
        if self.latency < timedelta(0):
            raise InvalidInput(f"latency: {self.latency} is below zero")
        for symbol, lot in self.lot_sizes.items():
            if amount(lot, f"lot_sizes[{symbol}]") <= 0:
                raise InvalidInput(f"lot_sizes[{symbol}]: {lot} is not above zero")


class Market(NamedTuple):
    """The last book of a symbol, and what fills have left on its sides; ``None``: unlimited."""

    book: Book
    bid_left: Decimal | None
    ask_left: Decimal | None

    def offered(self, side: str) -> Decimal | None:
        """Return what an order of this side can still take."""
        return self.ask_left if side == OrderSide.BUY else self.bid_left

    def after(self, side: str, fills: list[Fill]) -> Market:
        """Return what is left once orders of this side have taken their fills."""
        left = self.offered(side)
        if left is None:
            return self
        with exact():
            left -= sum((fill.quantity for fill in fills), ZERO)
        if side == OrderSide.BUY:
            return self._replace(ask_left=left)
        return self._replace(bid_left=left)


class Chance:
    """What chance has decided about one order: whole numbers from a hash, the same every time."""

    __slots__ = ("_digest",)

    def __init__(self, seed: int, client_order_id: str) -> None:
        """Hash the seed and the order's id."""
        self._digest = hashlib.sha256(f"{seed}:{client_order_id}".encode()).digest()

    @property
    def name(self) -> str:
        """A name for the order, unlike any other's."""
        return self._digest[24:].hex()

    @property
    def rejection(self) -> int:
        """From 0 to 99; a venue rejects the lowest."""
        return self._draw(0) % 100

    @property
    def partial_fill(self) -> int:
        """From 0 to 99; a venue fills the lowest in parts."""
        return self._draw(1) % 100

    def cuts(self, units: int) -> list[int]:
        """Return where to cut a row of units to have 2 or 3 parts, in ascending order."""
        if units < 2:
            return []
        count = 1 + self._draw(1) // 100 % 2
        return sorted({1 + self._draw(2 + cut) % (units - 1) for cut in range(count)})

    def _draw(self, number: int) -> int:
        start = number * _DRAW_BYTES
        return int.from_bytes(self._digest[start : start + _DRAW_BYTES], "big")


def fills_of(order: PaperOrder, market: Market, config: PaperConfig, *, rested: bool) -> list[Fill]:
    """Return the fills of an order on a market, in their order; none if they do not meet.

    Args:
        order: An order that can still trade.
        market: The market of the order's symbol.
        config: How the exchange behaves.
        rested: Whether the order was there before the book was.
    """
    price = _price_of(order, market.book, config.slippage_bps, rested=rested)
    if price is None:
        return []
    currency = config.currencies.get(order.symbol, config.default_currency)
    parts = _parts_of(order, market.offered(order.side), config)
    return [
        Fill(
            trade_id=f"{order.venue_order_id}-{number}",
            quantity=part,
            price=price,
            fee=multiply(multiply(part, price), config.fee_rate),
            currency=currency,
        )
        for number, part in enumerate(parts, order.fill_count + 1)
    ]


def _price_of(
    order: PaperOrder, book: Book, slippage_bps: Decimal, *, rested: bool
) -> Decimal | None:
    """Return what the order pays or gets, or ``None`` where it does not meet the book."""
    buys = order.side == OrderSide.BUY
    shown, limit = (book.ask if buys else book.bid), order.price
    if book.is_crossed or shown <= 0:
        return None
    if limit is not None and (shown > limit if buys else shown < limit):
        return None
    if limit is not None and rested:
        return limit
    slippage = multiply(multiply(shown, slippage_bps), _BASIS_POINT)
    price = add(shown, slippage) if buys else subtract(shown, slippage)
    if limit is None:
        return price
    return min(price, limit) if buys else max(price, limit)


def _parts_of(order: PaperOrder, offered: Decimal | None, config: PaperConfig) -> list[Decimal]:
    """Return what the order takes of what is offered, in the parts that chance has it come in.

    Parts are whole lots where the symbol has a lot size, and whole percents of the sum otherwise.
    """
    lot = config.lot_sizes.get(order.symbol)
    chance = Chance(config.seed, order.client_order_id)
    with exact():
        quantity = order.remaining if offered is None else min(order.remaining, offered)
        if lot is not None:
            quantity -= quantity % lot
        if quantity <= 0:
            return []
        if chance.partial_fill >= config.partial_fill_chance_percent:
            return [quantity]
        unit = quantity * _PERCENT if lot is None else lot
        units = 100 if lot is None else int(quantity // lot)
        marks = [0, *chance.cuts(units), units]
        return [unit * (end - start) for start, end in pairwise(marks)]
