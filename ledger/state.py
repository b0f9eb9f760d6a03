"""The portfolio as its users see it: positions, orders, balances, and figures over them.

A :class:`PortfolioState` comes from the fold (:meth:`ledger.Ledger.state`) or is built by hand, for
tests and what-if questions. It belongs to whoever holds it: changing it changes nothing in the
ledger. All amounts are exact decimals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

from ledger.amounts import ZERO, Amount, add, amount, exact, multiply, quotient, subtract, trimmed
from ledger.errors import InvalidInput, LedgerDamaged, MissingRate
from ledger.holdings import Balance, Order, Position, SymbolFigures

__all__ = ["PortfolioState"]

T = TypeVar("T", Position, Order)


class _Flat(MutableMapping[str, T]):
    """All items by id: a view of the maps per symbol, which are the one truth."""

    def __init__(self, by_symbol: dict[str, dict[str, T]]) -> None:
        self._by_symbol: dict[str, dict[str, T]] = by_symbol

    def __getitem__(self, key: str) -> T:
        for items in self._by_symbol.values():
            if key in items:
                return items[key]
        raise KeyError(key)

    def __setitem__(self, key: str, item: T) -> None:
        for symbol, items in self._by_symbol.items():
            if symbol != item.symbol:
                items.pop(key, None)
        self._by_symbol.setdefault(item.symbol, {})[key] = item

    def __delitem__(self, key: str) -> None:
        del self._by_symbol[self[key].symbol][key]

    def __iter__(self) -> Iterator[str]:
        return (key for items in self._by_symbol.values() for key in items)

    def __len__(self) -> int:
        return sum(len(items) for items in self._by_symbol.values())

    def __repr__(self) -> str:
        return repr(dict(self))


def _merged(
    what: str, flat: Mapping[str, T], by_symbol: Mapping[str, Mapping[str, T]]
) -> dict[str, dict[str, T]]:
    """Bring both ways of giving items together, and refuse them where they disagree."""
    merged = {symbol: dict(items) for symbol, items in by_symbol.items()}
    for symbol, items in merged.items():
        for key, item in items.items():
            if item.symbol != symbol:
                raise InvalidInput(f"{what} {key} is of {item.symbol} but stands under {symbol}")
    for key, item in flat.items():
        known = merged.setdefault(item.symbol, {}).setdefault(key, item)
        if known != item:
            raise InvalidInput(f"{what} {key} is given twice, and differently")
    symbol_of: dict[str, str] = {}
    for symbol, items in merged.items():
        for key in items:
            if symbol_of.setdefault(key, symbol) != symbol:
                raise InvalidInput(f"{what} {key} stands under {symbol_of[key]} and {symbol}")
    return merged


class PortfolioState:
    """A portfolio at one moment.

    ``positions`` and ``per_symbol_positions`` are two views of one truth, likewise the orders: what
    is put into one shows in the other.

    Args:
        total_balance, available_balance: In the base currency.
        positions, orders: By id.
        symbol: The one symbol in single-symbol mode.
        per_symbol_positions, per_symbol_orders: By symbol, then by id.

    Attributes:
        seq: The sequence number of the last event that is in it; 0 where there is none.
        recorded_at, occurred_at: The two times of that event.
        digest: Equal where, and only where, all figures are; empty for a state built by hand.
        base_currency: ``None`` where no session has stated one.
        balances: The money per currency.
        rates: The rates recorded, by ``"FROM/TO"``.
        symbols: The figures of each symbol.
        session: The name of the open session, if there is one.
        is_halted: Whether that session is halted.
        limits: The portfolio's risk limits.
        quarantined: Why streams are not folded further, by symbol; normally empty.
    """

    def __init__(
        self,
        total_balance: Amount = ZERO,
        available_balance: Amount = ZERO,
        positions: Mapping[str, Position] | None = None,
        orders: Mapping[str, Order] | None = None,
        symbol: str | None = None,
        per_symbol_positions: Mapping[str, Mapping[str, Position]] | None = None,
        per_symbol_orders: Mapping[str, Mapping[str, Order]] | None = None,
    ) -> None:
        self._total: Decimal | None = amount(total_balance, "total_balance")
        self._available: Decimal | None = amount(available_balance, "available_balance")
        self.symbol = symbol
        self.per_symbol_positions = _merged("position", positions or {}, per_symbol_positions or {})
        self.per_symbol_orders = _merged("order", orders or {}, per_symbol_orders or {})
        self.seq = 0
        self.recorded_at: datetime | None = None
        self.occurred_at: datetime | None = None
        self.digest = ""
        self.base_currency: str | None = None
        self.balances: dict[str, Balance] = {}
        self.rates: dict[str, Decimal] = {}
        self.symbols: dict[str, SymbolFigures] = {}
        self.session: str | None = None
        self.is_halted = False
        self.limits: dict[str, Decimal] = {}
        self.quarantined: dict[str, str] = {}

    @property
    def positions(self) -> MutableMapping[str, Position]:
        """All open positions by id."""
        return _Flat(self.per_symbol_positions)

    @property
    def orders(self) -> MutableMapping[str, Order]:
        """All known orders by id: the working ones, and of each symbol the last that are done."""
        return _Flat(self.per_symbol_orders)

    def get_symbol_positions(self, symbol: str) -> dict[str, Position]:
        """Return a symbol's positions by id; empty for a symbol never seen."""
        return self.per_symbol_positions.get(symbol, {})

    def get_symbol_orders(self, symbol: str) -> dict[str, Order]:
        """Return a symbol's orders by id; empty for a symbol never seen."""
        return self.per_symbol_orders.get(symbol, {})

    def add_symbol_position(self, symbol: str, position_id: str, position: Position) -> None:
        """Put a position into this state; in the ledger only an event does.

        Raises:
            InvalidInput: The position is of another symbol.
        """
        _same_symbol("position", symbol, position_id, position)
        self.positions[position_id] = position

    def add_symbol_order(self, symbol: str, order_id: str, order: Order) -> None:
        """Put an order into this state; in the ledger only an event does.

        Raises:
            InvalidInput: The order is of another symbol.
        """
        _same_symbol("order", symbol, order_id, order)
        self.orders[order_id] = order

    def get_total_symbol_position_value(self, symbol: str) -> Decimal:
        """Return the sum of ``quantity * current_price`` over a symbol's positions."""
        with exact():
            values = (p.value for p in self.get_symbol_positions(symbol).values())
            return trimmed(sum(values, ZERO))

    @property
    def total_position_value(self) -> Decimal:
        """The value of all positions, in the base currency.

        Raises:
            MissingRate: A position is in a currency without a rate.
            LedgerDamaged: A stream is in quarantine.
        """
        self._refuse_quarantine()
        total = ZERO
        for symbol in self.per_symbol_positions:
            value = self.get_total_symbol_position_value(symbol)
            figures = self.symbols.get(symbol)
            if figures is not None and figures.currency is not None:
                value = self._in_base(value, figures.currency)
            total = add(total, value)
        return trimmed(total)

    @property
    def utilization_rate(self) -> Decimal:
        """The ratio ``total_position_value / total_balance``; 0 where the balance is 0."""
        balance = self.total_balance
        return trimmed(quotient(self.total_position_value, balance)) if balance else ZERO

    def _in_base(self, value: Decimal, currency: str) -> Decimal:
        """Convert into the base currency at the recorded rate, or its reciprocal."""
        base = self.base_currency
        if currency == base or not value:
            return value
        rate = self.rates.get(f"{currency}/{base}")
        if rate is not None:
            return multiply(value, rate)
        rate = self.rates.get(f"{base}/{currency}")
        if rate is None:
            raise MissingRate(currency, base or "a base currency")
        return quotient(value, rate)

    def _refuse_quarantine(self) -> None:
        if self.quarantined:
            names = ", ".join(name or "the portfolio" for name in sorted(self.quarantined))
            raise LedgerDamaged(
                f"no total over all symbols: in quarantine is {names}",
                hint="pledger verify names the event; the other symbols' figures are right",
            )

    def _sum(self, figure: str) -> Decimal:
        """Sum a figure of all balances in the base currency."""
        return self._total_of(figure, self.balances)

    def _total_of(self, figure: str, balances: Mapping[str, Balance]) -> Decimal:
        self._refuse_quarantine()
        total = ZERO
        for currency, balance in balances.items():
            total = add(total, self._in_base(getattr(balance, figure), currency))
        return total

    @property
    def total_balance(self) -> Decimal:
        """The cash of all currencies in the base currency, also what is tied up and reserved.

        Raises:
            MissingRate: A currency without a recorded rate is held.
        """
        return trimmed(self._sum("cash")) if self._total is None else self._total

    @total_balance.setter
    def total_balance(self, value: Amount) -> None:
        self._total = amount(value, "total_balance")

    @property
    def available_balance(self) -> Decimal:
        """The part of the total balance that is neither tied up nor reserved; may be negative."""
        return trimmed(self._sum("available")) if self._available is None else self._available

    @available_balance.setter
    def available_balance(self, value: Amount) -> None:
        self._available = amount(value, "available_balance")

    @property
    def unrealized_pnl(self) -> Decimal:
        """What the open positions would earn at the recorded marks, in the base currency."""
        if self._total is None:
            return trimmed(self._sum("unrealized_pnl"))
        with exact():
            return trimmed(sum((position.pnl for position in self.positions.values()), ZERO))

    @property
    def equity(self) -> Decimal:
        """Cash plus unrealized PnL, in the base currency."""
        return trimmed(add(self.total_balance, self.unrealized_pnl))

    @property
    def realized_pnl(self) -> Decimal:
        """What closed positions, and closed parts, have earned, in the base currency."""
        return trimmed(self._sum("realized_pnl"))

    @property
    def fees(self) -> Decimal:
        """All fees paid, in the base currency; rebates count against them."""
        return trimmed(self._sum("fees"))

    @property
    def funding(self) -> Decimal:
        """All funding received less paid, in the base currency."""
        return trimmed(self._sum("funding"))

    @property
    def net_pnl(self) -> Decimal:
        """Realized PnL less fees, plus funding, in the base currency."""
        return trimmed(add(subtract(self.realized_pnl, self.fees), self.funding))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PortfolioState):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _COMPARED)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        counts = f"positions={len(self.positions)}, orders={len(self.orders)}"
        return f"PortfolioState(seq={self.seq}, {counts}, digest={self.digest[:12]})"


def _same_symbol(what: str, symbol: str, key: str, item: Position | Order) -> None:
    if item.symbol != symbol:
        raise InvalidInput(f"{what} {key} is of {item.symbol}, not of {symbol}")


_COMPARED: Final = tuple(vars(PortfolioState()))
