"""Follows the trend of daily closes: a simple strategy, deterministic and exact.

Per symbol, one position at a time, bought and never sold short, in whole shares:

- it buys for ``budget`` when the close crosses above the average of the last ``window`` closes;
- it adds half as much, once, when the close first stands ``add_percent`` above the entry;
- it sells half, once, when the close first stands ``take_percent`` above the entry;
- it sells everything when the close falls below the average, or ``stop_percent`` below the entry.

Entries carry a limit a little worse than the quote and are withdrawn if they have not traded by the
next snapshot; exits are at market. What has been added and sold already is read from the orders
and the position in the ledger, and only the last closes are kept here: they come from the
provider's history after a restart. A split divides the closes before it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from ledger import Accounts, OrderSide, OrderStatus, split_ratio
from ledger.amounts import ZERO, amount, exact, multiply, quotient
from ledger.errors import InvalidInput
from runner.engine import Cancel, Leg, Purpose, Trade
from runner.market import Book, Snapshot

__all__ = ["TrendConfig", "TrendEngine"]

_PERCENT: Final = Decimal("0.01")
_BASIS_POINT: Final = Decimal("0.0001")
_HALF: Final = Decimal(2)


class TrendConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the strategy goes by.

    Attributes:
        window: How many closes the average is of.
        budget: What a first purchase may cost, in the symbol's currency.
        add_percent, take_percent, stop_percent: Distances from the average entry price.
        limit_bps: How much worse than the quote an entry may trade.
        lot: What every quantity is a multiple of.

    Raises:
        InvalidInput: A window below 2, or an amount that is not above zero.
    """

    window: int = 50
    budget: Decimal = Decimal(20_000)
    add_percent: Decimal = Decimal(5)
    take_percent: Decimal = Decimal(15)
    stop_percent: Decimal = Decimal(8)
    limit_bps: Decimal = Decimal(20)
    lot: Decimal = Decimal(1)

    def __post_init__(self) -> None:
        """Refuse what cannot be followed."""
        if self.window < 2:
            raise InvalidInput(f"window: {self.window} is below 2")
        for field in ("budget", "add_percent", "take_percent", "stop_percent", "limit_bps", "lot"):
            if amount(getattr(self, field), field) <= 0:
                raise InvalidInput(f"{field}: {getattr(self, field)} is not above zero")


class _Closes:
    """The last closes of one symbol, one more than the window is wide."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._closes: deque[Decimal] = deque(maxlen=window + 1)
        self.seen_at: datetime | None = None

    def take(self, snapshot: Snapshot) -> None:
        if snapshot.split is not None:
            new, old = map(Decimal, split_ratio(snapshot.split))
            before = [quotient(multiply(close, old), new) for close in self._closes]
            self._closes = deque(before, maxlen=self._window + 1)
        self._closes.append(_close_of(snapshot.book))
        self.seen_at = snapshot.occurred_at

    @property
    def is_full(self) -> bool:
        return len(self._closes) > self._window

    @property
    def last(self) -> Decimal:
        return self._closes[-1]

    @property
    def before(self) -> Decimal:
        return self._closes[-2]

    def stands_above(self, skip: int = 0) -> bool:
        """Whether a close was above the average of the window that ended with it."""
        closes = list(self._closes)[1 - skip : len(self._closes) - skip]
        with exact():
            return closes[-1] * len(closes) > sum(closes, ZERO)

    def rose_to(self, level: Decimal) -> bool:
        """Whether the last close is the first at or above a level."""
        return self.before < level <= self.last


class TrendEngine:
    """The strategy of this module; satisfies :class:`~runner.engine.Engine`."""

    def __init__(self, config: TrendConfig | None = None) -> None:
        self._config = config or TrendConfig()
        self._closes: dict[str, _Closes] = {}

    def observe(self, snapshot: Snapshot) -> None:
        """Take in a close; one that is not newer than the last is passed over."""
        closes = self._closes.setdefault(snapshot.symbol, _Closes(self._config.window))
        if closes.seen_at is None or snapshot.occurred_at > closes.seen_at:
            closes.take(snapshot)

    def process_snapshot(self, snapshot: Snapshot, accounts: Accounts) -> Sequence[Trade | Cancel]:
        """Decide on a close; on a crossed or empty book nothing is decided."""
        self.observe(snapshot)
        account = accounts.symbols.get(snapshot.symbol)
        orders = account.orders if account else {}
        working = {key: order for key, order in orders.items() if order.status.is_working}
        if working:
            return list(_stale(snapshot, working))
        if snapshot.book.is_crossed or snapshot.book.is_empty:
            return []
        closes = self._closes[snapshot.symbol]
        if not closes.is_full:
            return []
        if account is not None and account.positions:
            position_id, position = next(iter(account.positions.items()))
            return self._follow(snapshot, closes, position_id, position, orders)
        return self._enter(snapshot, closes)

    def _enter(self, snapshot: Snapshot, closes: _Closes) -> list[Trade | Cancel]:
        if not closes.stands_above() or closes.stands_above(skip=1):
            return []
        reason = f"close {closes.last} crossed above the average of {self._config.window}"
        return self._buy(snapshot, self._config.budget, Purpose.OPEN, reason)

    def _follow(
        self,
        snapshot: Snapshot,
        closes: _Closes,
        position_id: str,
        position: Any,
        orders: dict[str, Any],
    ) -> list[Trade | Cancel]:
        """Decide on an open position: to get out, to sell half, or to add."""
        entry = quotient(position.cost, position.quantity)
        filled = [
            order.side
            for order in orders.values()
            if order.position_id == position_id and order.filled
        ]
        reason = self._exit_reason(closes, entry)
        if reason:
            return [self._sell(snapshot, position_id, position, position.quantity, reason)]
        if OrderSide.SELL in filled:
            return []
        with exact():
            half = position.quantity // (_HALF * self._config.lot) * self._config.lot
        if half and closes.rose_to(_away(entry, self._config.take_percent)):
            reason = f"close {closes.last} is {self._config.take_percent} % above the entry"
            return [self._sell(snapshot, position_id, position, half, reason)]
        if filled.count(OrderSide.BUY) > 1:
            return []
        if closes.rose_to(_away(entry, self._config.add_percent)):
            reason = f"close {closes.last} is {self._config.add_percent} % above the entry"
            budget = quotient(self._config.budget, _HALF)
            return self._buy(
                snapshot, budget, Purpose.INCREASE, reason, position_id, position.trade_id
            )
        return []

    def _exit_reason(self, closes: _Closes, entry: Decimal) -> str:
        if closes.last <= _away(entry, -self._config.stop_percent):
            return f"close {closes.last} is {self._config.stop_percent} % below the entry"
        if not closes.stands_above():
            return f"close {closes.last} is not above the average of {self._config.window}"
        return ""

    def _buy(
        self,
        snapshot: Snapshot,
        budget: Decimal,
        purpose: Purpose,
        reason: str,
        position_id: str = "",
        trade_id: str | None = None,
    ) -> list[Trade | Cancel]:
        price = _worse(snapshot.book.ask, self._config.limit_bps)
        with exact():
            quantity = budget // (price * self._config.lot) * self._config.lot
        if not quantity:
            return []
        leg = Leg(
            symbol=snapshot.book.symbol,
            side="buy",
            quantity=quantity,
            price=price,
            position_id=position_id,
        )
        return [Trade(purpose=purpose, legs=(leg,), reason=reason, trade_id=trade_id or "")]

    def _sell(
        self, snapshot: Snapshot, position_id: str, position: Any, quantity: Decimal, reason: str
    ) -> Trade:
        purpose = Purpose.CLOSE if quantity == position.quantity else Purpose.REDUCE
        leg = Leg(
            symbol=snapshot.book.symbol, side="sell", quantity=quantity, position_id=position_id
        )
        return Trade(
            purpose=purpose, legs=(leg,), reason=reason, trade_id=position.trade_id or position_id
        )


def _stale(snapshot: Snapshot, working: dict[str, Any]) -> Iterator[Cancel]:
    """Withdraw the entries that have not traded since an earlier snapshot."""
    for order_id, order in working.items():
        known = order.status is not OrderStatus.PENDING
        placed_before = order.placed_at is None or order.placed_at < snapshot.occurred_at
        if known and placed_before and order.price is not None:
            yield Cancel(symbol=snapshot.book.symbol, order_id=order_id)


def _close_of(book: Book) -> Decimal:
    return book.bid if book.last is None else book.last


def _away(price: Decimal, percent: Decimal) -> Decimal:
    with exact():
        return price + price * percent * _PERCENT


def _worse(ask: Decimal, bps: Decimal) -> Decimal:
    """Return a limit this much above the ask, in the steps that the ask is written in."""
    exponent = ask.as_tuple().exponent
    step = Decimal(1).scaleb(min(exponent, 0)) if isinstance(exponent, int) else Decimal(1)
    with exact():
        return max((ask + ask * bps * _BASIS_POINT) // step * step, ask)
