"""The facts: what can have happened to a portfolio, one frozen class each, in the past tense.

An event is constructed from what its writer knows; amounts may be given as text, integers,
decimals or floats and are kept as exact decimals. Events are compared by value.

``symbol`` names the stream: the events that concern the whole portfolio leave it empty.
``occurred_at`` is when it happened by the writer's clock; left out, it is the time of the append.
``cause`` may name the commit that caused the event.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from ledger.errors import InvalidEvent
from ledger.event import Event, PortfolioEvent, SymbolEvent
from ledger.fields import (
    ABSENT,
    Count,
    Currency,
    Id,
    MaybeExact,
    MaybePositive,
    MaybePrice,
    Positive,
    Price,
    Side,
    Text,
    split_ratio,
)

__all__ = [
    "EVENT_TYPES",
    "CashDeposited",
    "CashWithdrawn",
    "CostBasisChosen",
    "EventReversed",
    "InstrumentRegistered",
    "OrderAccepted",
    "OrderAmended",
    "OrderCancelled",
    "OrderExpired",
    "OrderFilled",
    "OrderPlaced",
    "OrderRejected",
    "PositionAdjusted",
    "PositionClosed",
    "PositionIncreased",
    "PositionOpened",
    "PositionReduced",
    "PriceMarked",
    "RateMarked",
    "RiskLimitSet",
    "SessionEnded",
    "SessionHalted",
    "SessionStarted",
    "TradeRefused",
    "split_ratio",
]


class SessionStarted(PortfolioEvent, frozen=True, kw_only=True, gc=False, tag="SessionStarted"):
    """A stretch of trading began.

    ``clock`` says which time questions about this session mean by default: a paper run over old
    prices is asked by ``occurred``, a live one by ``recorded``.
    """

    session: Id
    mode: Literal["paper", "live", "backfill"]
    base_currency: Currency
    clock: Literal["recorded", "occurred"]


class SessionEnded(PortfolioEvent, frozen=True, kw_only=True, gc=False, tag="SessionEnded"):
    """The open session ended."""

    session: Id
    reason: Text | None = None


class SessionHalted(PortfolioEvent, frozen=True, kw_only=True, gc=False, tag="SessionHalted"):
    """New trades were stopped; what is open may still be closed."""

    session: Id
    reason: Text | None = None


class CostBasisChosen(PortfolioEvent, frozen=True, kw_only=True, gc=False, tag="CostBasisChosen"):
    """How cost leaves a position from here on: by its average, or lot by lot."""

    method: Literal["average", "fifo", "lifo"]


class CashDeposited(PortfolioEvent, frozen=True, kw_only=True, gc=False, tag="CashDeposited"):
    """Money came into the portfolio."""

    currency: Currency
    amount: Positive
    reason: Text | None = None


class CashWithdrawn(PortfolioEvent, frozen=True, kw_only=True, gc=False, tag="CashWithdrawn"):
    """Money left the portfolio."""

    currency: Currency
    amount: Positive
    reason: Text | None = None


class RateMarked(PortfolioEvent, frozen=True, kw_only=True, gc=False, tag="RateMarked"):
    """One unit of ``from_currency`` was worth ``rate`` units of ``to_currency``."""

    from_currency: Currency
    to_currency: Currency
    rate: Positive


class InstrumentRegistered(
    SymbolEvent, frozen=True, kw_only=True, gc=False, tag="InstrumentRegistered"
):
    """What a symbol is: its currencies, its steps, and units of money per point and quantity."""

    quote_currency: Currency
    base_currency: Currency | None = None
    tick_size: MaybePositive = ABSENT
    lot_size: MaybePositive = ABSENT
    multiplier: MaybePositive = ABSENT


class OrderPlaced(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="OrderPlaced"):
    """An order is about to go to the exchange; without a price it is at market.

    ``position_id`` names the position it is to close or change, where there is one.
    """

    order_id: Id
    side: Side
    quantity: Positive
    price: MaybePrice = ABSENT
    venue: Id | None = None
    position_id: Id | None = None
    trade_id: Id | None = None


class OrderAccepted(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="OrderAccepted"):
    """The exchange has the order."""

    order_id: Id
    venue_order_id: Id | None = None


class OrderFilled(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="OrderFilled"):
    """Some or all of an order traded; ``trade_id`` is the exchange's, once per order."""

    order_id: Id
    trade_id: Id
    quantity: Positive
    price: Price
    fee: MaybeExact = ABSENT
    fee_currency: Currency | None = None


class OrderAmended(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="OrderAmended"):
    """A working order's quantity or price became another."""

    order_id: Id
    quantity: MaybePositive = ABSENT
    price: MaybePrice = ABSENT


class OrderCancelled(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="OrderCancelled"):
    """What remained of an order was withdrawn."""

    order_id: Id
    reason: Text | None = None


class OrderRejected(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="OrderRejected"):
    """The exchange refused the order, or it never arrived there."""

    order_id: Id
    reason: Text | None = None


class OrderExpired(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="OrderExpired"):
    """What remained of an order lapsed."""

    order_id: Id
    reason: Text | None = None


class PositionOpened(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="PositionOpened"):
    """A position was opened; its entry cost is tied up from here on."""

    position_id: Id
    side: Side
    quantity: Positive
    entry_price: Price
    order_id: Id | None = None
    fee: MaybeExact = ABSENT
    symbol_context: Id | None = None
    trade_id: Id | None = None


class PositionIncreased(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="PositionIncreased"):
    """More was added to a position, on its own side."""

    position_id: Id
    quantity: Positive
    entry_price: Price
    order_id: Id | None = None
    fee: MaybeExact = ABSENT
    trade_id: Id | None = None


class PositionReduced(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="PositionReduced"):
    """Some of a position was closed; one that is reduced to nothing is closed by that."""

    position_id: Id
    quantity: Positive
    exit_price: Price
    order_id: Id | None = None
    fee: MaybeExact = ABSENT
    trade_id: Id | None = None


class PositionClosed(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="PositionClosed"):
    """All that was left of a position was closed."""

    position_id: Id
    exit_price: Price
    order_id: Id | None = None
    fee: MaybeExact = ABSENT
    reason: Text | None = None
    trade_id: Id | None = None


class PositionAdjusted(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="PositionAdjusted/2"):
    """A position changed without a trade: by funding (an amount), or by a split (a ratio)."""

    schema: ClassVar[int] = 2

    position_id: Id
    funding: MaybeExact = ABSENT
    split: Text | None = None

    def __post_init__(self) -> None:
        """Refuse an adjustment that is neither or both."""
        if (self.funding is None) == (self.split is None):
            raise InvalidEvent("PositionAdjusted: give either funding or split")
        if self.split is not None:
            split_ratio(self.split)


class PriceMarked(SymbolEvent, frozen=True, kw_only=True, gc=False, tag="PriceMarked"):
    """The price that open positions of the symbol are valued at from here on."""

    price: Price


class RiskLimitSet(Event, frozen=True, kw_only=True, gc=False, tag="RiskLimitSet"):
    """A limit was set, or lifted (no value): for one symbol, or for the portfolio."""

    limit: Id
    value: MaybeExact = ABSENT


class TradeRefused(Event, frozen=True, kw_only=True, gc=False, tag="TradeRefused"):
    """The risk guard refused a trade."""

    trade_id: Id
    limit: Id
    reason: Text


class EventReversed(Event, frozen=True, kw_only=True, gc=False, tag="EventReversed"):
    """An earlier event is taken back: the state becomes as if it had not happened.

    The ledger puts this event into the stream of the one it reverses and fills in ``undo``: what
    that event contributed, so that a fold needs no look back. A writer leaves it out.
    """

    seq: Count
    reason: Text
    undo: dict[str, Any] | None = None


def _leaves(cls: type[Event]) -> list[type[Event]]:
    """Return the concrete event classes below ``cls`` in the order of definition."""
    below = [leaf for child in cls.__subclasses__() for leaf in _leaves(child)]
    return below or [cls]


EVENT_TYPES: dict[str, type[Event]] = {cls.__name__: cls for cls in _leaves(Event)}
"""Every event type by its name."""
