"""The spread between two venues: its arithmetic, and when to open and close a trade on it.

The two books are called A and B, in the order of the configured venues. B's prices are brought to
A's currency with a rate: units of A's quote currency for one unit of B's. A spread is measured
against what is paid on the buying side, in basis points (1/100 of a percent). Everything is exact
but the one division, which rounds as :func:`ledger.amounts.quotient` does.

The rules of :func:`decide`:

- On a book that is crossed or empty nothing is decided: its prices are no market.
- An open trade closes when its spread has reversed: the spread of its own direction, gross of
  costs, is 0 or below. (Where the opposite direction's is above 0, this one's is below.) All such
  trades close, whatever sizes are offered: getting out comes first.
- Otherwise one trade opens, in the better direction, if its spread is above 0 and leaves at least
  ``min_spread_bps`` after fees and slippage, fewer than ``max_open_trades`` are open, and both
  venues offer the quantity (a size that is not known limits nothing).
- A snapshot that closes a trade opens none, since both would take the same offers.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from ledger.amounts import ONE, ZERO, add, amount, multiply, quotient, subtract
from ledger.errors import InvalidAmount, InvalidInput, MissingRate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.market import Book

__all__ = [
    "Direction",
    "OpenSpread",
    "SpreadClose",
    "SpreadConfig",
    "SpreadDecision",
    "SpreadLeg",
    "SpreadTrade",
    "Spreads",
    "decide",
    "net_bps",
    "spread_bps",
]

BPS: Final = Decimal(10_000)


class Direction(StrEnum):
    """Which venue of the pair is bought on, and which is sold on."""

    BUY_A_SELL_B = "buy_a_sell_b"
    BUY_B_SELL_A = "buy_b_sell_a"


class SpreadConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the spread engine goes by.

    Attributes:
        currency_a, currency_b: The quote currencies of the two books.
        quantity: What each leg of a trade buys or sells, in the base currency; above 0.
        min_spread_bps: What must be left of a spread after the costs.
        taker_fee_a_bps, taker_fee_b_bps: What each venue takes of a leg's value.
        slippage_bps: What both legs together are expected to lose against the quoted prices.
        max_open_trades: How many trades may be open at once; 0 opens none.

    Raises:
        InvalidAmount: A figure is negative or not finite, or the quantity is 0.
    """

    currency_a: str
    currency_b: str
    quantity: Decimal
    min_spread_bps: Decimal
    taker_fee_a_bps: Decimal = ZERO
    taker_fee_b_bps: Decimal = ZERO
    slippage_bps: Decimal = ZERO
    max_open_trades: int = 1

    def __post_init__(self) -> None:
        """Refuse figures that no trade could be decided by."""
        _require_positive("quantity", self.quantity)
        for field in (
            "min_spread_bps",
            "taker_fee_a_bps",
            "taker_fee_b_bps",
            "slippage_bps",
            "max_open_trades",
        ):
            value = getattr(self, field)
            if amount(value, field) < 0:
                raise InvalidAmount(field, value, "is below 0")

    @property
    def cost_bps(self) -> Decimal:
        """Both taker fees and the slippage."""
        return add(add(self.taker_fee_a_bps, self.taker_fee_b_bps), self.slippage_bps)


class Spreads(msgspec.Struct, frozen=True):
    """The spreads of both directions, in basis points; negative where trading would lose."""

    buy_a_sell_b: Decimal
    buy_b_sell_a: Decimal

    def of(self, direction: Direction) -> Decimal:
        """Return the spread of one direction."""
        return self.buy_a_sell_b if direction is Direction.BUY_A_SELL_B else self.buy_b_sell_a

    @property
    def better(self) -> Direction:
        """The direction with the larger spread; buying on A where they are equal."""
        if self.buy_a_sell_b >= self.buy_b_sell_a:
            return Direction.BUY_A_SELL_B
        return Direction.BUY_B_SELL_A


class SpreadLeg(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a trade, at the price quoted by its venue in that venue's currency."""

    venue: str
    symbol: str
    side: str  # "buy" or "sell"
    quantity: Decimal
    price: Decimal


class SpreadTrade(msgspec.Struct, frozen=True, kw_only=True):
    """A trade to open: two legs of the same quantity, the buying one first.

    Attributes:
        spread_bps: The quoted spread.
        net_bps: What is left of it after fees and slippage.
    """

    direction: Direction
    legs: tuple[SpreadLeg, SpreadLeg]
    spread_bps: Decimal
    net_bps: Decimal


class OpenSpread(msgspec.Struct, frozen=True, kw_only=True):
    """A trade that is open: how it was opened, and what each of its legs still holds.

    Attributes:
        is_closing: Whether its exit is under way: it still counts, and is not closed again.
    """

    trade_id: str
    direction: Direction
    quantity: Decimal
    is_closing: bool = False


class SpreadClose(msgspec.Struct, frozen=True, kw_only=True):
    """An open trade to close: the legs that undo it, the buying one first.

    Attributes:
        spread_bps: What the spread of the trade's own direction has come to.
    """

    trade_id: str
    legs: tuple[SpreadLeg, SpreadLeg]
    spread_bps: Decimal


class SpreadDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do on a snapshot: close some trades, or open one; never both."""

    opens: SpreadTrade | None = None
    closes: tuple[SpreadClose, ...] = ()


def spread_bps(a: Book, b: Book, rate: Decimal) -> Spreads:
    """Return the spreads of both directions.

    Buying on A and selling on B earns ``(bid of B - ask of A) / ask of A``, the reverse ``(bid of
    A - ask of B) / ask of B``, with B's prices times ``rate``.

    Raises:
        InvalidAmount: The rate or an asking price is not above 0.
    """
    _require_positive("rate", rate)
    _require_positive(f"ask of {a.symbol} at {a.venue}", a.ask)
    _require_positive(f"ask of {b.symbol} at {b.venue}", b.ask)
    return Spreads(
        buy_a_sell_b=_bps(bid=multiply(b.bid, rate), ask=a.ask),
        buy_b_sell_a=_bps(bid=a.bid, ask=multiply(b.ask, rate)),
    )


def net_bps(spread: Decimal, config: SpreadConfig) -> Decimal:
    """Return what is left of a spread after both taker fees and slippage, in basis points."""
    return subtract(spread, config.cost_bps)


def decide(
    books: Sequence[Book],
    rate: Decimal | None,
    open_trades: Sequence[OpenSpread],
    config: SpreadConfig,
) -> SpreadDecision | None:
    """Say what to do on these books by the rules above, or ``None`` where nothing is to be done.

    Args:
        books: A's book and B's.
        rate: Units of A's quote currency for one unit of B's; ``None`` where none is recorded,
            which is 1 if both quote in the same currency.
        open_trades: Every open trade of the pair, as the ledger has them.
        config: What to go by.

    Raises:
        MissingRate: The currencies differ and there is no rate.
        InvalidAmount: The rate is not above 0.
        InvalidInput: There are not two books.
    """
    if len(books) != 2:
        raise InvalidInput(
            f"a spread needs the books of two venues, not of {len(books)}",
            hint="configure a pair of venues, and a provider that gives a book for each",
        )
    if rate is None:
        rate = _rate_of_one(config)
    a, b = books
    if any(book.is_crossed or book.is_empty for book in books):
        return None
    spreads = spread_bps(a, b, rate)
    ended = [t for t in open_trades if not t.is_closing and spreads.of(t.direction) <= 0]
    if ended:
        return SpreadDecision(closes=tuple(_close(trade, a, b, spreads) for trade in ended))
    if len(open_trades) >= config.max_open_trades:
        return None
    opens = _open(a, b, spreads, config)
    return SpreadDecision(opens=opens) if opens else None


def _open(a: Book, b: Book, spreads: Spreads, config: SpreadConfig) -> SpreadTrade | None:
    direction = spreads.better
    spread = spreads.of(direction)
    net = net_bps(spread, config)
    bought, sold = (a, b) if direction is Direction.BUY_A_SELL_B else (b, a)
    if spread <= 0 or net < config.min_spread_bps:
        return None
    if not _offers(bought.ask_size, config.quantity) or not _offers(sold.bid_size, config.quantity):
        return None
    legs = _legs(bought, sold, config.quantity)
    return SpreadTrade(direction=direction, legs=legs, spread_bps=spread, net_bps=net)


def _close(trade: OpenSpread, a: Book, b: Book, spreads: Spreads) -> SpreadClose:
    bought, sold = (b, a) if trade.direction is Direction.BUY_A_SELL_B else (a, b)
    return SpreadClose(
        trade_id=trade.trade_id,
        legs=_legs(bought, sold, trade.quantity),
        spread_bps=spreads.of(trade.direction),
    )


def _legs(bought: Book, sold: Book, quantity: Decimal) -> tuple[SpreadLeg, SpreadLeg]:
    return (
        SpreadLeg(
            venue=bought.venue,
            symbol=bought.symbol,
            side="buy",
            quantity=quantity,
            price=bought.ask,
        ),
        SpreadLeg(
            venue=sold.venue, symbol=sold.symbol, side="sell", quantity=quantity, price=sold.bid
        ),
    )


def _offers(size: Decimal | None, quantity: Decimal) -> bool:
    return size is None or size >= quantity


def _bps(*, bid: Decimal, ask: Decimal) -> Decimal:
    return quotient(multiply(subtract(bid, ask), BPS), ask)


def _rate_of_one(config: SpreadConfig) -> Decimal:
    if config.currency_a != config.currency_b:
        raise MissingRate(config.currency_b, config.currency_a)
    return ONE


def _require_positive(field: str, value: Decimal) -> None:
    if amount(value, field) <= 0:
        raise InvalidAmount(field, value, "is not above 0")
