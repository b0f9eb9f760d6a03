"""Watching figures while the fold goes on: which of them each event moved, and what they are now.

An event reaches few items: its own order, the positions of its symbol, one balance. Only those are
looked at, each is compared as a whole, and only where it differs its figures are. So an event costs
the same however many orders and symbols there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final

from ledger import (
    Accounts,
    Event,
    LedgerDamaged,
    MissingRate,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    PortfolioState,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    Recorded,
    RiskLimitSet,
    SymbolAccount,
    TradeRefused,
    add,
    exact,
    order_from_entry,
    position_from_entry,
    subtract,
)
from replay.figures import (
    BALANCE_FIGURES,
    ORDER_FIGURES,
    PLAIN,
    PORTFOLIO_MAPS,
    POSITION_FIGURES,
    SYMBOL_FIGURES,
    SYMBOL_MAPS,
    TOTALS,
    net_quantity,
)
from replay.live import LiveState
from replay.paths import FigurePath
from replay.watched import Choice, Moved, WatchedFields, WatchedItems

__all__ = ["Watch"]

_ZERO: Final = Decimal(0)

_ORDER_EVENTS: Final[frozenset[type[Event]]] = frozenset(
    {
        OrderPlaced,
        OrderAccepted,
        OrderFilled,
        OrderAmended,
        OrderCancelled,
        OrderRejected,
        OrderExpired,
    }
)
_BY_ORDER: Final = ("currency", "reserved", "fees")
_BY_PRICE: Final = ("mark", "value", "unrealized_pnl")
_BY_POSITION: Final = (
    *("currency", "mark", "quantity", "value", "realized_pnl", "unrealized_pnl"),
    *("fees", "funding", "tied_up", "opened_count", "closed_count"),
)
_OF_SYMBOL: Final = (*SYMBOL_FIGURES, *SYMBOL_MAPS)

# What an event of a symbol can change of it, apart from its items; all, where it is not listed.
_REACH: Final[dict[type[Event], tuple[str, ...]]] = {
    **dict.fromkeys(_ORDER_EVENTS, _BY_ORDER),
    PriceMarked: _BY_PRICE,
    PositionOpened: _BY_POSITION,
    PositionIncreased: _BY_POSITION,
    PositionReduced: _BY_POSITION,
    PositionClosed: _BY_POSITION,
    PositionAdjusted: _BY_POSITION,
    RiskLimitSet: ("limits",),
    TradeRefused: ("refused_count",),
}


class Watch:
    """Watches figures while the fold goes on from some accounts.

    Args:
        accounts: The fold's accounts; from here on only this watch changes them.
        wanted: The figures to watch; by default all.
        before: The state that ``accounts`` stand for. Without it, the first value of each figure
            counts as moved.

    Attributes:
        live: The state as it is now.
    """

    def __init__(
        self,
        accounts: Accounts,
        wanted: Iterable[FigurePath] | None = None,
        before: PortfolioState | None = None,
    ) -> None:
        self.live = _ValuedState(accounts)
        self._before = before
        self._choice = choice = Choice(wanted)
        maps = [name for name in PORTFOLIO_MAPS if choice.fields(name, (name,))]
        self._plain = (*choice.fields("plain", PLAIN), *maps)
        self._by_symbol = tuple(name for name in maps if name == "quarantined")
        self._counts = () if choice.is_all else choice.fields("seq", ("seq",))
        self._totals = choice.fields("total", TOTALS)
        names = (*self._plain, *self._counts, *self._totals)
        known = {} if before is None else {name: _told(before, name) for name in names}
        self._portfolio = WatchedFields("", maps, known)
        self._balances = WatchedItems(
            "balances.",
            choice.fields("balances", BALANCE_FIGURES),
            choice.keys("balances"),
            {} if before is None else before.balances,
        )
        self._symbols: dict[str, _WatchedSymbol] = {}

    def follow(self, events: Iterable[Recorded], note: Callable[[Recorded, Moved], None]) -> None:
        """Go on by ``events``, and call ``note`` with each that moved a figure."""
        with exact():  # entered once, and not for every event
            for recorded in events:
                moved = self._evolved(recorded)
                if moved:
                    note(recorded, moved)

    def _evolved(self, recorded: Recorded) -> Moved:
        live, symbol = self.live, recorded.event.symbol
        live.evolve_exactly(recorded)
        moved: Moved = {}
        if symbol:
            own = self._symbols.get(symbol)
            if own is None:
                own = self._symbols[symbol] = _WatchedSymbol(symbol, self._choice, self._before)
            own.see(recorded.event, live.accounts.symbols[symbol], moved)
        for name in self._by_symbol if symbol else self._plain:
            self._portfolio.see(name, getattr(live, name), moved)
        for name in self._counts:
            self._portfolio.see(name, live.seq, moved)
        if live.moved_money:
            self._see_money(recorded.event, moved)
        return moved

    def _see_money(self, event: Event, moved: Moved) -> None:
        balances = self._balances
        if balances.fields:
            count = len(moved)
            self._see_balances(moved)
            if count == len(moved) and self._choice.is_all and event.__class__ in _ORDER_EVENTS:
                return  # an order moves a total only by way of a balance
        for name in self._totals:
            self._portfolio.see(name, _told(self.live, name), moved)

    def _see_balances(self, moved: Moved) -> None:
        watched, balances = self._balances, self.live.balances
        for currency in {**watched.known, **balances}:
            if watched.has(currency):
                balance = balances.get(currency)
                if balance != watched.known.get(currency):  # the live one is changed in place
                    watched.see(currency, copy(balance), moved)


def _told(state: PortfolioState, name: str) -> Any:
    """Return a figure of the whole portfolio; ``None`` where it cannot be told."""
    try:
        return getattr(state, name)
    except (MissingRate, LedgerDamaged):
        return None


class _WatchedSymbol:
    """The watched figures of one symbol, its positions and its orders."""

    def __init__(self, symbol: str, choice: Choice, before: PortfolioState | None) -> None:
        own = choice.fields("symbol", _OF_SYMBOL, symbol)
        self._fields = own
        self._reach = {kind: tuple(f for f in names if f in own) for kind, names in _REACH.items()}
        known = {} if before is None else _known_of(before, symbol, own)
        self._figures = WatchedFields(f"positions.{symbol}.", SYMBOL_MAPS, known)
        before = before or PortfolioState()
        positions, orders = "per_symbol_positions", "per_symbol_orders"
        self._positions = WatchedItems(
            f"{positions}.{symbol}.",
            choice.fields(positions, POSITION_FIGURES, symbol),
            choice.keys(positions, symbol),
            before.get_symbol_positions(symbol),
        )
        self._orders = WatchedItems(
            f"{orders}.{symbol}.",
            choice.fields(orders, ORDER_FIGURES, symbol),
            choice.keys(orders, symbol),
            before.get_symbol_orders(symbol),
        )

    def see(self, event: Event, account: SymbolAccount, moved: Moved) -> None:
        """Note what an event of this symbol has changed; inside ``exact()``."""
        kind = event.__class__
        if kind in _ORDER_EVENTS:
            if self._orders.fields:
                self._see_orders(account, (event.order_id,), moved)  # type: ignore[attr-defined]
        elif kind is not RiskLimitSet and kind is not TradeRefused:
            if self._positions.fields:
                self._see_positions(account, moved)
            if kind not in _REACH and self._orders.fields:
                self._see_orders(account, account.orders, moved)
        fields = self._reach.get(kind, self._fields)
        for name in fields if self._figures.known else self._fields:
            self._figures.see(name, _READERS[name](account), moved)

    def _see_orders(self, account: SymbolAccount, ids: Iterable[str], moved: Moved) -> None:
        watched, entries = self._orders, account.orders
        for order_id in ids:
            entry = entries.get(order_id)
            if entry is not None and watched.has(order_id):
                watched.see(order_id, order_from_entry(account, order_id, entry), moved)
        # Of the orders that are done, the account keeps the latest few: another one may be gone.
        if not watched.known.keys() <= entries.keys():
            for order_id in watched.known.keys() - entries.keys():
                watched.see(order_id, None, moved)

    def _see_positions(self, account: SymbolAccount, moved: Moved) -> None:
        watched, entries = self._positions, account.positions
        for key in watched.known.keys() - entries.keys():
            watched.see(key, None, moved)
        for key, entry in entries.items():
            if watched.has(key):
                watched.see(key, position_from_entry(account, entry), moved)


def _known_of(state: PortfolioState, symbol: str, names: Iterable[str]) -> dict[str, Any]:
    own = state.symbols.get(symbol)
    if own is None:
        return {}
    held: dict[str, Any] = {
        "quantity": net_quantity(state.get_symbol_positions(symbol)),
        "value": state.get_total_symbol_position_value(symbol),
    }
    return {name: held[name] if name in held else getattr(own, name) for name in names}


def _value(account: SymbolAccount) -> Decimal:
    views = (position_from_entry(account, entry) for entry in account.positions.values())
    return sum((view.value for view in views), _ZERO)


# An account names its amounts as the figures are named.
_READERS: Final[dict[str, Callable[[SymbolAccount], Any]]] = {
    **{name: attrgetter(name) for name in _OF_SYMBOL},
    "quantity": lambda account: net_quantity(account.positions),
    "value": _value,
}


class _ValuedState(LiveState):
    """A live state that keeps the value of all positions, where one is asked for it at each event.

    What each symbol's positions are worth in the base currency is put anew only after an event of
    that symbol, or of the portfolio, which may be a rate.
    """

    def __init__(self, accounts: Accounts) -> None:
        super().__init__(accounts)
        self._restart()

    def _restart(self) -> None:
        self._worth: dict[str, Decimal] = {}
        self._total_worth = _ZERO
        self._unvalued = set(self.accounts.symbols)

    def evolve_exactly(self, recorded: Recorded) -> None:
        """Go on by one event; call inside ``exact()``."""
        super().evolve_exactly(recorded)
        symbol = recorded.event.symbol
        if symbol:
            self._unvalued.add(symbol)
        else:
            self._restart()

    @property
    def total_position_value(self) -> Decimal:
        """The value of all positions, in the base currency."""
        self._refuse_quarantine()
        for symbol in list(self._unvalued):
            account = self.accounts.symbols[symbol]
            with exact():
                worth = _value(account)
            if account.currency is not None:
                worth = self._in_base(worth, account.currency)
            grown = subtract(worth, self._worth.get(symbol, _ZERO))
            self._total_worth = add(self._total_worth, grown)
            self._worth[symbol] = worth
            self._unvalued.discard(symbol)
        return self._total_worth
