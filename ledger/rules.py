"""What the state of a stream cannot take: each rule by its name, with the value and the remedy.

Evolvers call these before they change anything. What passes here is appended; an event found in a
stream although a rule forbids it puts that stream into quarantine.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from msgspec import structs

from ledger.accounts import (
    Accounts,
    OrderEntry,
    PortfolioAccount,
    PositionEntry,
    SessionEntry,
    SymbolAccount,
)
from ledger.amounts import plain
from ledger.errors import RuleViolation
from ledger.event import Event
from ledger.events import (
    EventReversed,
    InstrumentRegistered,
    OrderAmended,
    OrderPlaced,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    RateMarked,
    SessionStarted,
)
from ledger.orders import OrderStatus

__all__ = [
    "amendable",
    "currency_of",
    "halted",
    "moved_order",
    "new_order",
    "new_position",
    "new_session",
    "no_quarantine",
    "open_position",
    "quantity_open",
    "refuse",
    "same_instrument",
    "session_open",
    "two_currencies",
    "undo_of",
    "within_fills",
    "within_order",
]


def refuse(event: Event, rule: str, message: str, *, hint: str = "") -> RuleViolation:
    """Build the error for an event that the state cannot take."""
    where = f" in {event.symbol}" if event.symbol else ""
    return RuleViolation(rule, f"{event.type}{where}: {message}", hint=hint, event_type=event.type)


def no_quarantine(event: Event, account: PortfolioAccount | SymbolAccount) -> None:
    """A stream in quarantine takes no further events."""
    found = account.quarantine
    if found is not None:
        raise refuse(
            event,
            "quarantined",
            f"the stream is in quarantine since #{found.seq} ({found.rule}: {found.message})",
            hint="pledger verify names the event; restore the stream from an export",
        )


def currency_of(event: Event, account: SymbolAccount, accounts: Accounts) -> str:
    """A symbol's money is in its quote currency, or else the portfolio's base currency."""
    currency = account.currency or accounts.portfolio.base_currency
    if currency is None:
        raise refuse(
            event,
            "currency-unstated",
            f"nobody has stated the currency of {account.symbol}",
            hint="start a session with its base_currency, or append an InstrumentRegistered",
        )
    return currency


def new_order(event: OrderPlaced, account: SymbolAccount) -> None:
    """An order id is used once."""
    if event.order_id in account.orders:
        known = account.orders[event.order_id]
        raise refuse(
            event,
            "order-exists",
            f"order {event.order_id} was placed at #{known.placed_seq} and is {known.status}",
            hint="give every order an id of its own",
        )


def moved_order(
    event: Event, order_id: str, account: SymbolAccount
) -> tuple[OrderEntry, OrderStatus]:
    """An order is placed first, and then moves along the one table of :mod:`ledger.orders`."""
    try:
        order = account.orders[order_id]
        return order, order.status.after[event.__class__.__name__]
    except KeyError:
        raise _unmoved(event, order_id, account) from None


def _unmoved(event: Event, order_id: str, account: SymbolAccount) -> RuleViolation:
    if order_id in account.orders:
        status = account.orders[order_id].status
        return refuse(event, "order-state", f"order {order_id} is {status}")
    return refuse(
        event,
        "order-unknown",
        f"order {order_id} is not known",
        hint="append its OrderPlaced first; an order that was done long ago takes no more",
    )


def within_order(
    event: Event, order_id: str, order: OrderEntry, trade_id: str, filled: Decimal
) -> None:
    """A trade is recorded once, and an order is not filled beyond its quantity."""
    if trade_id in order.fills:
        raise refuse(event, "trade-known", f"trade {trade_id} of order {order_id} is recorded")
    if filled > order.quantity:
        raise refuse(
            event,
            "overfill",
            f"order {order_id} of {plain(order.quantity)} would be filled {plain(filled)}",
            hint=f"{plain(order.filled)} is filled already",
        )


def amendable(event: OrderAmended, order: OrderEntry) -> None:
    """An amended order keeps room for what is filled."""
    if event.quantity is not None and event.quantity < order.filled:
        raise refuse(
            event,
            "amend-below-filled",
            f"order {event.order_id} has {plain(order.filled)} filled, above the new quantity "
            f"{plain(event.quantity)}",
        )


def new_position(event: PositionOpened, account: SymbolAccount) -> None:
    """A position id is used once, also after the position was closed."""
    known = account.positions.get(event.position_id)
    if known is not None:
        raise refuse(
            event,
            "position-exists",
            f"position {event.position_id} is open since #{known.opened_seq}",
            hint="append PositionIncreased to add to it",
        )
    if event.position_id in account.closed:
        raise refuse(
            event,
            "position-exists",
            f"position {event.position_id} was closed at #{account.closed[event.position_id]}",
            hint="give every position an id of its own",
        )


def open_position(event: Event, position_id: str, account: SymbolAccount) -> PositionEntry:
    """Only an open position changes."""
    position = account.positions.get(position_id)
    if position is not None:
        return position
    if position_id in account.closed:
        message = f"position {position_id} was closed at #{account.closed[position_id]}"
        raise refuse(event, "position-closed", message)
    raise refuse(
        event,
        "position-unknown",
        f"position {position_id} is not open",
        hint="append its PositionOpened first",
    )


def quantity_open(
    event: Event, position_id: str, position: PositionEntry, quantity: Decimal
) -> None:
    """No more is closed than is open."""
    if quantity > position.quantity:
        raise refuse(
            event,
            "position-overclosed",
            f"{plain(quantity)} of position {position_id}, of which {plain(position.quantity)} "
            "is open",
        )


def within_fills(
    event: PositionOpened | PositionIncreased | PositionReduced | PositionClosed,
    order: OrderEntry,
    quantity: Decimal,
) -> Decimal:
    """Where an order's fills are recorded, positions move by no more than was filled.

    Returns what positions will have moved by.
    """
    moved = order.moved + quantity
    if order.filled and moved > order.filled:
        raise refuse(
            event,
            "position-beyond-fills",
            f"order {event.order_id} has {plain(order.filled)} filled, and positions would have "
            f"moved by {plain(moved)}",
            hint="record the fill first, in the same commit",
        )
    return moved


def new_session(event: SessionStarted, account: PortfolioAccount) -> None:
    """A portfolio has at most one open session, and one base currency for good."""
    if account.session is not None:
        raise refuse(
            event,
            "session-open",
            f"session {account.session.session} is open since #{account.session.started_seq}",
            hint="join it, or append its SessionEnded first",
        )
    if account.base_currency not in (None, event.base_currency):
        raise refuse(
            event,
            "base-currency-fixed",
            f"the portfolio's base currency is {account.base_currency}, not {event.base_currency}",
            hint="use another portfolio for another base currency",
        )


def session_open(event: Event, session: str, account: PortfolioAccount) -> None:
    """Only the open session can be halted or ended."""
    if account.session is None or account.session.session != session:
        found = account.session.session if account.session else "none"
        raise refuse(event, "session-not-open", f"session {session} is not open; open is: {found}")


def halted(event: Event, account: PortfolioAccount) -> SessionEntry:
    """A session is halted once."""
    session = account.session
    if session is None or session.halted:
        raise refuse(event, "session-halted", "the session is halted already")
    return structs.replace(session, halted=True)


def two_currencies(event: RateMarked) -> None:
    """A rate stands between two currencies."""
    if event.from_currency == event.to_currency:
        raise refuse(event, "rate-of-itself", f"{event.from_currency} against itself is always 1")


def same_instrument(event: InstrumentRegistered, account: SymbolAccount) -> None:
    """Money that is booked keeps its currency, and an open position its multiplier."""
    if account.currency not in (None, event.quote_currency):
        raise refuse(
            event,
            "currency-fixed",
            f"the symbol's money is booked in {account.currency}, not {event.quote_currency}",
            hint="register an instrument before its first order or position",
        )
    if event.multiplier != account.multiplier and (account.positions or account.orders):
        raise refuse(
            event,
            "multiplier-fixed",
            "the multiplier cannot change while orders or positions are known",
        )


def undo_of(event: EventReversed) -> dict[str, Any]:
    """A reversal carries what it takes back; the ledger fills it in at the append."""
    if event.undo is None:
        raise refuse(event, "undo-missing", f"what #{event.seq} contributed is not filled in")
    return event.undo
