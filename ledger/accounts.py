"""What the fold keeps: one account per symbol, one for the portfolio, nothing shared between them.

Every event changes exactly one account, the one of its stream. So an account can be folded from
its own stream alone, copied alone, and the portfolio is the sum of its accounts. Accounts are
mutable and have one owner; what callers get is a :class:`~ledger.state.PortfolioState`.

All amounts are exact. Amounts of a symbol are in its quote currency unless a currency is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from ledger.amounts import ZERO, plain_text
from ledger.canonical import amounts_of, write_plainly
from ledger.event import Event
from ledger.orders import OrderSide, OrderStatus

__all__ = [
    "FOLD",
    "SETTLED_KEPT",
    "Account",
    "Accounts",
    "Lot",
    "OrderEntry",
    "PortfolioAccount",
    "PositionEntry",
    "Quarantine",
    "SessionEntry",
    "SymbolAccount",
]

FOLD: Final = 1
"""The fold's version: raise it when a figure changes; snapshots of another one are not read."""

SETTLED_KEPT: Final = 64
"""How many orders that are done, and how many closed positions, a symbol's account remembers.

The state must not grow with the number of events. An event for an order that was done longer ago
is refused as unknown; that an id is never used twice, however long ago, is the store's to check.
"""

# Naming a member of an Enum by its class is a Python call each time.
_BUY: Final = OrderSide.BUY


class Lot(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A quantity that was bought (or sold) together, and what is left of its cost."""

    quantity: Decimal
    cost: Decimal


class OrderEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """An order as the fold keeps it."""

    side: OrderSide
    quantity: Decimal
    price: Decimal | None = None
    reserve_price: Decimal
    placed_seq: int
    is_closing: bool = False
    placed_at: datetime | None = None
    status: OrderStatus = OrderStatus.PENDING
    filled: Decimal = ZERO
    filled_value: Decimal = ZERO
    moved: Decimal = ZERO
    fills: dict[str, Decimal] = {}
    venue: str | None = None
    venue_order_id: str | None = None
    position_id: str | None = None
    trade_id: str | None = None
    reason: str | None = None


class PositionEntry(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """An open position as the fold keeps it: its quantity, what it cost, what it is worth.

    ``cost`` and ``value`` are totals, so that no average price is ever rounded into them. ``lots``
    is ``None`` under average cost.
    """

    side: OrderSide
    quantity: Decimal
    cost: Decimal
    value: Decimal
    opened_seq: int
    opened_at: datetime | None = None
    realized_pnl: Decimal = ZERO
    funding: Decimal = ZERO
    lots: list[Lot] | None = None
    lifo: bool = False
    symbol_context: str | None = None
    trade_id: str | None = None

    @property
    def unrealized_pnl(self) -> Decimal:
        """Value less cost for a buy, cost less value for a sell; exact inside ``exact()``."""
        return self.value - self.cost if self.side is _BUY else self.cost - self.value


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """Why a stream is folded no further: the first event that its state could not take."""

    seq: int
    type: str
    rule: str
    message: str


class SessionEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The open session."""

    session: str
    mode: str
    clock: str
    started_seq: int
    halted: bool = False


class Account(msgspec.Struct, omit_defaults=True, kw_only=True):
    """What both kinds of account have.

    ``seq`` and ``revision`` are those of the last event of the stream.
    """

    seq: int = 0
    revision: int = 0
    limits: dict[str, Decimal] = {}
    refused_count: int = 0
    quarantine: Quarantine | None = None


class PortfolioAccount(Account, omit_defaults=True, kw_only=True):
    """What concerns no symbol: the base currency, the session, money in and out, rates.

    ``control_seq`` is the last event that decides which events of other streams are allowed.
    """

    control_seq: int = 0
    base_currency: str | None = None
    cost_basis: str = "average"
    session: SessionEntry | None = None
    session_count: int = 0
    deposited: dict[str, Decimal] = {}
    withdrawn: dict[str, Decimal] = {}
    rates: dict[str, Decimal] = {}

    def fork(self, _events: Iterable[Event]) -> PortfolioAccount:
        """Return a twin that can be changed without changing this one."""
        twin = copy(self)
        twin.limits = dict(self.limits)
        twin.deposited = dict(self.deposited)
        twin.withdrawn = dict(self.withdrawn)
        twin.rates = dict(self.rates)
        return twin


class SymbolAccount(Account, omit_defaults=True, kw_only=True):
    """One symbol's instrument, orders, positions and what they earned and cost.

    ``done`` and ``closed`` map the ids of orders and positions that are over, at most
    :data:`SETTLED_KEPT` each, to the sequence number that ended them.
    """

    symbol: str
    currency: str | None = None
    base_currency: str | None = None
    registered: bool = False
    tick_size: Decimal | None = None
    lot_size: Decimal | None = None
    multiplier: Decimal | None = None
    mark: Decimal | None = None
    orders: dict[str, OrderEntry] = {}
    done: dict[str, int] = {}
    positions: dict[str, PositionEntry] = {}
    closed: dict[str, int] = {}
    realized_pnl: Decimal = ZERO
    funding: Decimal = ZERO
    fees: dict[str, Decimal] = {}
    opened_count: int = 0
    closed_count: int = 0

    def fork(self, events: Iterable[Event]) -> SymbolAccount:
        """Return a twin in which ``events`` can be evolved without changing this one."""
        twin = copy(self)
        twin.limits = dict(self.limits)
        twin.fees = dict(self.fees)
        twin.done = dict(self.done)
        twin.closed = dict(self.closed)
        twin.orders = orders = dict(self.orders)
        twin.positions = dict(self.positions)
        # A mark revalues every position; there are few, so all of them are copied.
        for position_id, position in self.positions.items():
            twin.positions[position_id] = copy(position)
        for order_id in {getattr(event, "order_id", None) for event in events}:
            if order_id in orders:
                orders[order_id] = entry = copy(orders[order_id])
                entry.fills = dict(entry.fills)
        return twin

    def money(self, quantity: Decimal, price: Decimal) -> Decimal:
        """What ``quantity`` at ``price`` is worth; exact inside ``exact()``."""
        value = quantity * price
        return value if self.multiplier is None else value * self.multiplier

    @property
    def tied_up(self) -> Decimal:
        """The entry cost of all open positions; exact inside ``exact()``."""
        return sum([position.cost for position in self.positions.values()], ZERO)

    @property
    def unrealized_pnl(self) -> Decimal:
        """The unrealized PnL of all open positions; exact inside ``exact()``."""
        return sum([position.unrealized_pnl for position in self.positions.values()], ZERO)

    @property
    def reserved(self) -> Decimal:
        """What the working orders reserve; exact inside ``exact()``."""
        total = ZERO
        for order_id in set(self.orders).difference(self.done):  # exactly those that are working
            order = self.orders[order_id]
            total += self.money(order.quantity - order.filled, order.reserve_price)
        return total


class Accounts(msgspec.Struct, omit_defaults=True, kw_only=True):
    """All accounts of a portfolio after the event with sequence number ``seq``."""

    seq: int = 0
    portfolio: PortfolioAccount = msgspec.field(default_factory=PortfolioAccount)
    symbols: dict[str, SymbolAccount] = {}

    def account(self, symbol: str) -> PortfolioAccount | SymbolAccount:
        """Return the account of a stream, opening an empty one for a symbol never seen."""
        if not symbol:
            return self.portfolio
        account = self.symbols.get(symbol)
        if account is None:
            account = self.symbols[symbol] = SymbolAccount(symbol=symbol)
        return account

    def put(self, account: PortfolioAccount | SymbolAccount) -> None:
        """Put an account in the place of the one for the same stream."""
        if isinstance(account, SymbolAccount):
            self.symbols[account.symbol] = account
        else:
            self.portfolio = account

    def digest(self) -> str:
        """Return 64 hex digits that are equal where, and only where, all figures are.

        Equal amounts count as equal however they were written (``1.0`` and ``1``), and the times
        at which the store recorded the events are not part of it: the same events give the same
        digest in every store.
        """
        tree = msgspec.to_builtins(self)
        write_plainly(tree["portfolio"], _OF_PORTFOLIO)
        for account in tree.get("symbols", {}).values():
            write_plainly(account, _OF_SYMBOL)
            for order in account.get("orders", {}).values():
                write_plainly(order, _OF_ORDER)
            for position in account.get("positions", {}).values():
                write_plainly(position, _OF_POSITION)
                if lots := position.get("lots"):
                    position["lots"] = [list(map(plain_text, lot)) for lot in lots]
        return hashlib.sha256(msgspec.json.encode(tree, order="sorted")).hexdigest()


_OF_ORDER: Final = amounts_of(OrderEntry)
_OF_POSITION: Final = amounts_of(PositionEntry)
_OF_PORTFOLIO: Final = amounts_of(PortfolioAccount)
_OF_SYMBOL: Final = amounts_of(SymbolAccount)
