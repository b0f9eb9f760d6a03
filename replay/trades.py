"""Round trips: each position from its opening to its close, with the parts closed on the way.

What a trade earned is what the fold booked at each of its events. Its fees are those of its own
events and its part of the fees of the orders that moved it, by quantity.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from ledger import (
    EventReversed,
    OrderFilled,
    OrderSide,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    Recorded,
    SymbolAccount,
    add,
    evolve,
    exact,
    multiply,
    quotient,
    subtract,
)
from ledger.amounts import trim, trimmed
from replay.frames import Rows
from replay.history import History, When
from replay.timeline import check_symbol

__all__ = ["Exit", "Trade", "trades"]

_ZERO: Final = Decimal(0)

Move: TypeAlias = PositionOpened | PositionIncreased | PositionReduced | PositionClosed
_MOVES: Final = (PositionOpened, PositionIncreased, PositionReduced, PositionClosed)


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a position that was closed, and what it earned."""

    seq: int
    at: datetime
    quantity: Decimal
    price: Decimal
    realized_pnl: Decimal


class Trade(msgspec.Struct, kw_only=True):
    """One round trip; amounts in the symbol's quote currency.

    Attributes:
        quantity: All that was bought into it (or sold, for a short one), before splits.
        entry_price, exit_price: Averages, rounded; no exit price where nothing is closed.
        realized_pnl: What its closed parts earned.
        unrealized_pnl: Of what is open at the end of the stretch.
        fees: In the quote currency; ``other_fees`` holds those paid in others.
        funding: Received less paid.
        net_pnl: Realized less fees, plus funding.
        worst, best: The lowest and highest that realized and unrealized PnL together came to
            (maximum adverse and favourable excursion); 0 where it never lost, or never won.
        opened_seq, opened_at, closed_seq, closed_at: ``None`` for one that is open.
        exits: The parts in the order they were closed.
    """

    position_id: str
    symbol: str
    side: OrderSide
    quantity: Decimal
    opened_seq: int
    opened_at: datetime
    currency: str | None = None
    closed_seq: int | None = None
    closed_at: datetime | None = None
    entry_price: Decimal = _ZERO
    exit_price: Decimal | None = None
    realized_pnl: Decimal = _ZERO
    unrealized_pnl: Decimal = _ZERO
    fees: Decimal = _ZERO
    other_fees: dict[str, Decimal] = {}
    funding: Decimal = _ZERO
    worst: Decimal = _ZERO
    best: Decimal = _ZERO
    exits: list[Exit] = []

    @property
    def is_open(self) -> bool:
        """Whether some of it is open at the end of the stretch."""
        return self.closed_seq is None

    @property
    def duration(self) -> timedelta | None:
        """From its opening to its close; ``None`` while it is open."""
        return None if self.closed_at is None else self.closed_at - self.opened_at

    @property
    def net_pnl(self) -> Decimal:
        """Realized PnL less fees, plus funding."""
        return trimmed(add(subtract(self.realized_pnl, self.fees), self.funding))

    def row(self) -> dict[str, object]:
        """Return it as the columns of a table."""
        shown = [name for name in self.__struct_fields__ if name not in ("exits", "other_fees")]
        row = {name: getattr(self, name) for name in shown}
        return row | {
            "net_pnl": self.net_pnl,
            "exit_count": len(self.exits),
            "duration_seconds": None if self.duration is None else self.duration.total_seconds(),
        }


def trades(
    history: History,
    symbol: str | None = None,
    *,
    since: When | None = None,
    until: When | None = None,
) -> Rows[Trade]:
    """Return the round trips that were open at some time in a stretch, in the order they opened.

    Args:
        history: The history.
        symbol: Only of this symbol.
        since, until: The stretch; by default the session.
    """
    first, last = history.span(since, until)
    if symbol:
        check_symbol(history, symbol)
    streams = ("", symbol) if symbol else ()
    found = _booked(history, streams, last, set()).finished()
    seen = [trade for trade in found if trade.closed_seq is None or trade.closed_seq >= first]
    for trade in seen:
        trim(trade)
    return Rows(seen)


def _booked(history: History, streams: tuple[str, ...], last: int, taken_back: set[int]) -> _Book:
    """Follow the fold; where it meets a reversal, once more without what was taken back."""
    book = _Book(history, taken_back)
    met: set[int] = set()
    for recorded in history.events(*streams, last=last):
        book.take(recorded)
        if isinstance(recorded.event, EventReversed):
            met.add(recorded.event.seq)
    return _booked(history, streams, last, met) if met != taken_back else book


class _Book:
    """Follows the fold and keeps a trade for each position.

    What is reversed later still moves the fold, but no trade is made of it.
    """

    def __init__(self, history: History, taken_back: set[int]) -> None:
        self._history = history
        self._taken_back = taken_back
        self._accounts = history.accounts(0)
        self._all: dict[str, Trade] = {}
        self._open: dict[str, dict[str, Trade]] = {}
        self._order_fees: dict[str, dict[str, Decimal]] = {}
        self._moved: dict[str, dict[str, Decimal]] = {}

    def take(self, recorded: Recorded) -> None:
        """Go on by one event."""
        event = recorded.event
        symbol = event.symbol
        if not symbol:
            evolve(self._accounts, recorded)
            return
        account = self._accounts.symbols.get(symbol) or SymbolAccount(symbol=symbol)
        earned = account.realized_pnl
        closing = account.positions.get(getattr(event, "position_id", ""))
        quantity = _ZERO if closing is None else closing.quantity
        evolve(self._accounts, recorded)
        account = self._accounts.symbols[symbol]
        if account.quarantine is not None or recorded.seq in self._taken_back:
            return
        if isinstance(event, _MOVES):
            earned = subtract(account.realized_pnl, earned)
            self._move(event, recorded, account, earned, quantity)
        elif isinstance(event, OrderFilled) and event.fee:
            currency = event.fee_currency or account.currency or ""
            _add(self._order_fees.setdefault(event.order_id, {}), currency, event.fee)
        elif isinstance(event, PositionAdjusted) and event.funding is not None:
            trade = self._all[event.position_id]
            trade.funding = add(trade.funding, event.funding)
        if isinstance(event, (PriceMarked, PositionAdjusted, EventReversed, *_MOVES)):
            self._value(symbol, account)

    def _move(
        self,
        event: Move,
        recorded: Recorded,
        account: SymbolAccount,
        earned: Decimal,
        before: Decimal,
    ) -> None:
        at = self._history.time_of(recorded)
        if isinstance(event, PositionOpened):
            self._begin(event, recorded.seq, at, account)
        trade = self._all[event.position_id]
        moved = before if isinstance(event, PositionClosed) else event.quantity
        if event.order_id is not None:
            _add(self._moved.setdefault(event.order_id, {}), event.position_id, moved)
        if event.fee:
            trade.fees = add(trade.fees, event.fee)
        if isinstance(event, PositionIncreased):
            trade.entry_price = _average(
                (trade.entry_price, trade.quantity), (event.entry_price, moved)
            )
            trade.quantity = add(trade.quantity, moved)
        elif not isinstance(event, PositionOpened):
            part = Exit(
                seq=recorded.seq,
                at=at,
                quantity=moved,
                price=event.exit_price,
                realized_pnl=trimmed(earned),
            )
            self._exit(trade, part, account)

    def _begin(self, event: PositionOpened, seq: int, at: datetime, account: SymbolAccount) -> None:
        trade = Trade(
            position_id=event.position_id,
            symbol=event.symbol,
            side=event.side,
            quantity=event.quantity,
            entry_price=event.entry_price,
            currency=account.currency,
            opened_seq=seq,
            opened_at=at,
        )
        self._all[event.position_id] = trade
        self._open.setdefault(event.symbol, {})[event.position_id] = trade

    def _exit(self, trade: Trade, part: Exit, account: SymbolAccount) -> None:
        trade.exits = [*trade.exits, part]
        trade.realized_pnl = add(trade.realized_pnl, part.realized_pnl)
        trade.exit_price = _average(*((part.price, part.quantity) for part in trade.exits))
        if trade.position_id not in account.positions:  # nothing is left of it
            trade.closed_seq, trade.closed_at = part.seq, part.at
            trade.unrealized_pnl = _ZERO
            del self._open[trade.symbol][trade.position_id]
            self._extend(trade)

    def _value(self, symbol: str, account: SymbolAccount) -> None:
        """Value what is open, and see how far it went either way."""
        for position_id, trade in self._open.get(symbol, {}).items():
            entry = account.positions.get(position_id)
            if entry is not None:  # it is missing between a close and the reversal of that
                with exact():
                    trade.unrealized_pnl = entry.unrealized_pnl
                self._extend(trade)

    def _extend(self, trade: Trade) -> None:
        together = add(trade.realized_pnl, trade.unrealized_pnl)
        trade.worst, trade.best = min(trade.worst, together), max(trade.best, together)

    def finished(self) -> Iterable[Trade]:
        """Share out the orders' fees and return all trades."""
        for order_id, fees in self._order_fees.items():
            parts = self._moved.get(order_id, {})
            for currency, fee in fees.items():
                self._share_out(currency, fee, parts)
        return self._all.values()

    def _share_out(self, currency: str, fee: Decimal, parts: dict[str, Decimal]) -> None:
        left, whole = fee, sum(parts.values(), _ZERO)
        for number, (position_id, moved) in enumerate(parts.items(), 1):
            own = left if number == len(parts) else quotient(multiply(fee, moved), whole)
            left = subtract(left, own)
            trade = self._all[position_id]
            if currency == trade.currency:
                trade.fees = add(trade.fees, own)
            else:
                trade.other_fees = dict(trade.other_fees)
                _add(trade.other_fees, currency, own)


def _add(totals: dict[str, Decimal], key: str, value: Decimal) -> None:
    totals[key] = add(totals.get(key, _ZERO), value)


def _average(*parts: tuple[Decimal, Decimal]) -> Decimal:
    """The average price of pairs of price and quantity."""
    with exact():
        value = sum((price * quantity for price, quantity in parts), _ZERO)
        whole = sum((quantity for _, quantity in parts), _ZERO)
    return quotient(value, whole)
