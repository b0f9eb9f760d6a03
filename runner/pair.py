"""Trades the spread between two venues, by the rules of :mod:`runner.spread`.

What is open is read from the ledger's accounts alone: the positions and orders of the two symbols
that carry the same trade id are one trade. In each pass, in this order:

- an entry order that has not traded since an earlier snapshot is withdrawn;
- a trade whose legs do not hold the same quantity, because one was rejected, withdrawn, or traded
  only in part, is brought back into balance: what one leg has too much of is closed at market. This
  is tried in every pass until it is done, also by the next run, and logged each time;
- otherwise the spread decides.

Entries carry a limit that is ``slippage_bps`` worse than the quote; exits are at market.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from ledger import Accounts, OrderSide, OrderStatus
from ledger.amounts import ONE, ZERO, exact, plain, quotient, subtract
from ledger.errors import InvalidInput
from runner.engine import Cancel, Leg, Purpose, Trade
from runner.market import Book, Snapshot
from runner.spread import (
    Direction,
    OpenSpread,
    SpreadClose,
    SpreadConfig,
    SpreadLeg,
    SpreadTrade,
    decide,
)

__all__ = ["PairEngine"]

log = logging.getLogger(__name__)

_BASIS_POINT: Final = Decimal("0.0001")


class _Holding(msgspec.Struct):
    """One trade: by symbol the position it holds, and its working orders."""

    positions: dict[str, tuple[str, Any]]
    working: list[tuple[str, str, Any]]

    def quantity(self, symbol: str) -> Decimal:
        held = self.positions.get(symbol)
        return held[1].quantity if held else ZERO


class PairEngine:
    """The spread engine as the runner uses it; satisfies :class:`~runner.engine.Engine`.

    The two venues must call the instrument by different symbols: a symbol is one stream of the
    ledger, and has one currency.
    """

    def __init__(self, config: SpreadConfig) -> None:
        self._config = config

    def observe(self, snapshot: Snapshot) -> None:
        """Do nothing: a spread has no past."""

    def process_snapshot(self, snapshot: Snapshot, accounts: Accounts) -> Sequence[Trade | Cancel]:
        """Decide on the books of two venues.

        Raises:
            MissingRate: The currencies differ and no rate between them is recorded.
            InvalidInput: There are not two books, or they have the same symbol.
        """
        symbols = [book.symbol for book in snapshot.books]
        if len(set(symbols)) != 2:
            raise InvalidInput(
                f"a pair needs two symbols, not {', '.join(symbols)}",
                hint="let each venue's feed give the instrument a symbol of its own",
            )
        holdings = _holdings(accounts, symbols)
        stale = [c for held in holdings.values() for c in _stale(snapshot, held)]
        if stale:
            return stale
        uneven = [
            trade
            for trade_id, held in holdings.items()
            for trade in _rebalance(trade_id, held, snapshot.books)
        ]
        if uneven:
            return uneven
        rate = self._rate(accounts.portfolio.rates)
        open_trades = [_open(key, held, symbols[0]) for key, held in holdings.items()]
        decision = decide(snapshot.books, rate, open_trades, self._config)
        if decision is None:
            return []
        if decision.opens is not None:
            return [self._opening(decision.opens)]
        return [_closing(close, holdings[close.trade_id]) for close in decision.closes]

    def _rate(self, rates: Mapping[str, Decimal]) -> Decimal | None:
        a, b = self._config.currency_a, self._config.currency_b
        if f"{b}/{a}" in rates:
            return rates[f"{b}/{a}"]
        reverse = rates.get(f"{a}/{b}")
        return None if reverse is None else quotient(ONE, reverse)

    def _opening(self, trade: SpreadTrade) -> Trade:
        reason = f"{trade.direction}: {plain(trade.net_bps)} bps after costs"
        legs = tuple(self._entry(leg) for leg in trade.legs)
        return Trade(purpose=Purpose.OPEN, legs=legs, reason=reason)

    def _entry(self, leg: SpreadLeg) -> Leg:
        with exact():
            slippage = leg.price * self._config.slippage_bps * _BASIS_POINT
            price = leg.price + slippage if leg.side == "buy" else leg.price - slippage
        return Leg(
            venue=leg.venue, symbol=leg.symbol, side=leg.side, quantity=leg.quantity, price=price
        )


def _holdings(accounts: Accounts, symbols: Sequence[str]) -> dict[str, _Holding]:
    """Return the open trades over these symbols, by their ids, in the order they were opened."""
    found: dict[str, _Holding] = {}
    for symbol in symbols:
        account = accounts.symbols.get(symbol)
        if account is None:
            continue
        for position_id, position in account.positions.items():
            held = found.setdefault(position.trade_id or position_id, _Holding({}, []))
            held.positions[symbol] = position_id, position
        for order_id, order in account.orders.items():
            if order.status.is_working:
                held = found.setdefault(order.trade_id or order_id, _Holding({}, []))
                held.working.append((symbol, order_id, order))
    return dict(sorted(found.items()))


def _stale(snapshot: Snapshot, held: _Holding) -> Iterator[Cancel]:
    """Withdraw the entries that have not traded since an earlier snapshot."""
    for symbol, order_id, order in held.working:
        placed_before = order.placed_at is None or order.placed_at < snapshot.occurred_at
        known = order.status is not OrderStatus.PENDING
        if known and placed_before and order.price is not None:
            yield Cancel(symbol=symbol, order_id=order_id)


def _rebalance(trade_id: str, held: _Holding, books: Sequence[Book]) -> Iterator[Trade]:
    """Close what one leg holds beyond the other, once nothing of the trade works any more."""
    if held.working:
        return
    quantities = [held.quantity(book.symbol) for book in books]
    if quantities[0] == quantities[1]:
        return
    more, less = (0, 1) if quantities[0] > quantities[1] else (1, 0)
    book = books[more]
    rest = subtract(quantities[more], quantities[less])
    position_id, position = held.positions[book.symbol]
    reason = f"open leg: {plain(rest)} of {book.symbol} at {book.venue} has no other side"
    log.warning("trade %s has an %s", trade_id, reason)
    yield Trade(
        purpose=Purpose.REDUCE if quantities[less] else Purpose.CLOSE,
        legs=(_exit(book.venue, book.symbol, position_id, position.side, rest),),
        reason=reason,
        trade_id=trade_id,
    )


def _open(trade_id: str, held: _Holding, symbol_a: str) -> OpenSpread:
    position = held.positions.get(symbol_a)
    bought_on_a = position is not None and position[1].side is OrderSide.BUY
    return OpenSpread(
        trade_id=trade_id,
        direction=Direction.BUY_A_SELL_B if bought_on_a else Direction.BUY_B_SELL_A,
        quantity=held.quantity(symbol_a),
        is_closing=bool(held.working),
    )


def _closing(close: SpreadClose, held: _Holding) -> Trade:
    legs = []
    for leg in close.legs:
        position_id, position = held.positions[leg.symbol]
        legs.append(_exit(leg.venue, leg.symbol, position_id, position.side, position.quantity))
    reason = f"the spread has come to {plain(close.spread_bps)} bps"
    return Trade(purpose=Purpose.CLOSE, legs=tuple(legs), reason=reason, trade_id=close.trade_id)


def _exit(venue: str, symbol: str, position_id: str, held: OrderSide, quantity: Decimal) -> Leg:
    return Leg(
        venue=venue, symbol=symbol, side=held.opposite, quantity=quantity, position_id=position_id
    )
