"""From what an engine wants to what is recorded before anything goes to an exchange. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from ledger import Accounts, Event, OrderPlaced, PositionAdjusted, PriceMarked, TradeRefused
from ledger.amounts import add, multiply, plain
from runner.engine import Cancel, Leg, Trade
from runner.exchange import OrderRequest
from runner.market import Book, Snapshot
from runner.recording import tried
from runner.risk import Earned, Refusal, refusal_of

__all__ = ["Plan", "PlannedOrder", "marks_of", "plan_trades", "split_events", "stamp_of"]

_HALF: Final = Decimal("0.5")


class PlannedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order that is recorded and may go to its venue."""

    venue: str
    request: OrderRequest


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to record before, and to do after.

    Attributes:
        events: Marks, refusals and placed orders, in their order.
        trades: The orders of each trade that the guard let pass.
        cancels: Orders to withdraw.
        refused_count: How many trades the guard refused.
        opened_count: How many of ``trades`` open a position.
    """

    events: list[Event]
    trades: list[tuple[PlannedOrder, ...]]
    cancels: list[Cancel]
    refused_count: int = 0
    opened_count: int = 0


def stamp_of(moment: datetime) -> str:
    """Write a moment as part of an id, such as ``20000301`` or ``20261120T143205.5``."""
    text = moment.strftime("%Y%m%dT%H%M%S")
    if moment.microsecond:
        return f"{text}.{moment.microsecond:06d}"
    return text.removesuffix("T000000")


def marks_of(snapshot: Snapshot, accounts: Accounts) -> Iterator[PriceMarked]:
    """Yield the marks of a snapshot that are news: the last price, or the middle of the book."""
    seen: set[str] = set()
    for book in snapshot.books:
        if book.symbol in seen or book.is_crossed or book.is_empty:
            continue
        seen.add(book.symbol)
        account = accounts.symbols.get(book.symbol)
        price = _mark(book)
        if account is None or account.mark != price:
            yield PriceMarked(symbol=book.symbol, occurred_at=snapshot.occurred_at, price=price)


def _mark(book: Book) -> Decimal:
    return multiply(add(book.bid, book.ask), _HALF) if book.last is None else book.last


def split_events(snapshot: Snapshot, accounts: Accounts) -> list[Event]:
    """Return what a split does: every open position adjusted, and the first price after it."""
    account = accounts.symbols.get(snapshot.book.symbol)
    at = snapshot.occurred_at
    symbol = snapshot.book.symbol
    adjusted: list[Event] = [
        PositionAdjusted(
            symbol=symbol, occurred_at=at, position_id=position_id, split=snapshot.split
        )
        for position_id in (account.positions if account else ())
    ]
    mark = PriceMarked(symbol=symbol, occurred_at=at, price=_mark(snapshot.book))
    return [*adjusted, mark]


def plan_trades(
    snapshot: Snapshot,
    wanted: Sequence[Trade | Cancel],
    accounts: Accounts,
    *,
    venue: str,
    before_today: Earned,
) -> tuple[Plan, Accounts]:
    """Pass each trade by the guard, and give ids to what may be made.

    An order's id is made of the session, the symbol, the snapshot's time and a number that the
    accounts have not seen: the same decision gets the same id, and an id is never used twice.

    Args:
        venue: Where a leg trades that names no venue.
        before_today: See :func:`~runner.risk.refusal_of`.

    Returns:
        The plan, and the accounts with it: what the next trade is to be judged by.
    """
    session = accounts.portfolio.session
    prefix = f"{session.session if session else '-'}:{snapshot.symbol}:"
    prefix += stamp_of(snapshot.occurred_at)
    plan = Plan(events=[], trades=[], cancels=[])
    refused, opened = 0, 0
    for want in wanted:
        if isinstance(want, Cancel):
            plan.cancels.append(want)
            continue
        ids = _free_ids(prefix, want.legs, accounts)
        trade = _named(want, ids)
        refusal = refusal_of(trade, accounts, before_today)
        if refusal is not None:
            refused += 1
            events: list[Event] = [_refused(trade, refusal, snapshot)]
        else:
            opened += not want.trade_id
            orders = tuple(_order(*pair, venue) for pair in zip(ids, trade.legs, strict=True))
            plan.trades.append(orders)
            placed = zip(orders, trade.legs, strict=True)
            events = [_placed(order, leg, trade, snapshot) for order, leg in placed]
        plan.events.extend(events)
        accounts = tried(accounts, events)
    counted = msgspec.structs.replace(plan, refused_count=refused, opened_count=opened)
    return counted, accounts


def _refused(trade: Trade, refusal: Refusal, snapshot: Snapshot) -> TradeRefused:
    return TradeRefused(
        symbol=trade.legs[0].symbol,
        occurred_at=snapshot.occurred_at,
        trade_id=trade.trade_id,
        limit=refusal.limit,
        reason=f"{trade.purpose}: {refusal.reason} (value {plain(refusal.value)})",
    )


def _free_ids(prefix: str, legs: Sequence[Leg], accounts: Accounts) -> list[str]:
    """Return the next ids with this prefix that no order has."""
    used = [accounts.symbols[leg.symbol].orders for leg in legs if leg.symbol in accounts.symbols]
    ids: list[str] = []
    number = 0
    while len(ids) < len(legs):
        number += 1
        order_id = f"{prefix}:{number}"
        if not any(order_id in orders for orders in used):
            ids.append(order_id)
    return ids


def _named(trade: Trade, ids: Sequence[str]) -> Trade:
    """Name the trade and the positions it opens after its orders."""
    legs = tuple(
        leg if leg.position_id else msgspec.structs.replace(leg, position_id=order_id)
        for order_id, leg in zip(ids, trade.legs, strict=True)
    )
    return msgspec.structs.replace(trade, trade_id=trade.trade_id or ids[0], legs=legs)


def _order(order_id: str, leg: Leg, venue: str) -> PlannedOrder:
    request = OrderRequest(
        client_order_id=order_id,
        symbol=leg.symbol,
        side=leg.side,
        quantity=leg.quantity,
        price=leg.price,
    )
    return PlannedOrder(venue=leg.venue or venue, request=request)


def _placed(order: PlannedOrder, leg: Leg, trade: Trade, snapshot: Snapshot) -> OrderPlaced:
    return OrderPlaced(
        symbol=leg.symbol,
        occurred_at=snapshot.occurred_at,
        order_id=order.request.client_order_id,
        side=leg.side,
        quantity=leg.quantity,
        price=leg.price,
        venue=order.venue,
        position_id=leg.position_id,
        trade_id=trade.trade_id,
    )
