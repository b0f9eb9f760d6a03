"""Reading the path of a figure: what it names, how to read it from a state, what can change it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from ledger import Event, NotFound, PortfolioState
from replay.figures import (
    BALANCE_FIGURES,
    ORDER_FIGURES,
    PLAIN,
    PORTFOLIO_MAPS,
    POSITION_FIGURES,
    SYMBOL_FIGURES,
    SYMBOL_MAPS,
    TOTALS,
    Figure,
    figures,
    net_quantity,
)

__all__ = ["COLLECTIONS", "FigurePath", "Value", "parse_path", "read_figure", "unknown_figure"]

COLLECTIONS: Final = ("positions", "orders", "balances", "symbols")
"""What ``len(…)`` counts in an expression."""

_SHORT: Final = {"positions": "per_symbol_positions", "orders": "per_symbol_orders"}
_OF_ORDERS: Final = ("Order", "EventReversed", "InstrumentRegistered")
_FIELDS: Final = {
    "balances": BALANCE_FIGURES,
    "per_symbol_positions": POSITION_FIGURES,
    "per_symbol_orders": ORDER_FIGURES,
}

Value: TypeAlias = Figure | None


class FigurePath(NamedTuple):
    """A path that was read.

    Attributes:
        text: As it was written.
        root: ``total``, ``plain``, ``seq``, the name of a map of the state, or ``symbol`` for the
            figures under ``positions.SYMBOL``.
        symbol: The one symbol it is of; empty where it is of none, or that is not known.
        key: The currency, the id, or the name within a map.
        field: The name of the figure.
    """

    text: str
    root: str
    field: str
    symbol: str = ""
    key: str = ""

    def read(self, state: PortfolioState) -> Value:
        """Return the figure; ``None`` where the state has none.

        Raises:
            MissingRate: A total needs a rate that is not recorded.
            LedgerDamaged: A total is asked for while a stream is in quarantine.
        """
        if self.root in ("total", "plain", "seq"):
            return getattr(state, self.field)  # type: ignore[no-any-return]
        if self.root == "symbol":
            return self._of_symbol(state)
        if self.root in _FIELDS:
            item = self._item(state)
            return None if item is None else getattr(item, self.field)
        found: Value = getattr(state, self.root).get(self.key)
        return found

    def _of_symbol(self, state: PortfolioState) -> Value:
        own = state.symbols.get(self.symbol)
        if own is None:
            return None
        if self.field == "quantity":
            return net_quantity(state.get_symbol_positions(self.symbol))
        if self.field == "value":
            return state.get_total_symbol_position_value(self.symbol)
        value: Any = getattr(own, self.field)
        return value.get(self.key) if self.field in SYMBOL_MAPS else value  # type: ignore[no-any-return]

    def _item(self, state: PortfolioState) -> Any:
        if self.root == "balances":
            return state.balances.get(self.key)
        by_symbol = getattr(state, self.root)
        if self.symbol:
            return by_symbol.get(self.symbol, {}).get(self.key)
        return next((items[self.key] for items in by_symbol.values() if self.key in items), None)

    def may_change_by(self, event: Event) -> bool:
        """Whether ``event`` can change this figure; in doubt, yes."""
        if self.root in ("total", "balances", "seq"):
            return True
        if self.root in ("plain", "rates", "limits"):
            return not event.symbol
        if self.symbol and event.symbol != self.symbol:
            return False
        if self.root == "per_symbol_orders":
            # Also another order's event: of those that are done, the state keeps the latest few.
            return event.type.startswith(_OF_ORDERS)
        return bool(event.symbol) or self.root == "quarantined"

    @property
    def canonical(self) -> str:
        """The path as :func:`replay.figures` writes it; ``text`` may be a short form of it."""
        if self.root == "symbol":
            return ".".join(filter(None, ("positions", self.symbol, self.field, self.key)))
        if self.root in PORTFOLIO_MAPS:
            return f"{self.root}.{self.key}"
        if self.root in _FIELDS:
            return ".".join(filter(None, (self.root, self.symbol, self.key, self.field)))
        return self.field

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams it is folded from; empty where that is all of them."""
        if self.symbol:
            return ("", self.symbol)
        return ("",) if self.root in ("plain", "rates", "limits") else ()


def parse_path(text: str, symbols: Collection[str] = ()) -> FigurePath:
    """Read the path of a figure.

    Args:
        text: Such as ``equity`` or ``positions.KRW-BTC.realized_pnl``.
        symbols: The symbols there are. Where a symbol and an id are the same, the symbol is meant.

    Raises:
        NotFound: No figure is named like this; the hint names the nearest ones.
    """
    found = _parse(text.strip(), symbols)
    if found is None:
        raise unknown_figure(text, _examples(symbols))
    return found


def _parse(text: str, symbols: Collection[str]) -> FigurePath | None:
    root, _, rest = text.partition(".")
    if not rest:
        kind = "total" if text in TOTALS else "plain" if text in PLAIN else text
        return FigurePath(text, kind, text) if kind in ("total", "plain", "seq") else None
    if root in PORTFOLIO_MAPS:
        return FigurePath(text, root, root, key=rest)
    if root in ("positions", "symbols"):
        found = _parse_symbol(text, rest, symbols)
        if found is not None or root == "symbols":
            return found
    return _parse_item(text, _SHORT.get(root, root), rest, symbols, named=root not in _SHORT)


def _parse_symbol(text: str, rest: str, symbols: Collection[str]) -> FigurePath | None:
    """Read what stands under ``positions.`` as the figure of a symbol that is known."""
    for symbol in _beginning(rest, symbols):
        field, _, key = rest[len(symbol) + 1 :].partition(".")
        if (field in SYMBOL_MAPS and key) or (field in SYMBOL_FIGURES and not key):
            return FigurePath(text, "symbol", field, symbol, key)
    return None


def _parse_item(
    text: str, root: str, rest: str, symbols: Collection[str], *, named: bool
) -> FigurePath | None:
    key, _, field = rest.rpartition(".")
    if not key or field not in _FIELDS.get(root, ()):
        return None
    if root == "balances" or not named:
        return FigurePath(text, root, field, key=key)
    for symbol in _beginning(key, symbols):
        if len(key) > len(symbol) + 1:
            return FigurePath(text, root, field, symbol, key[len(symbol) + 1 :])
    return None


def _beginning(text: str, symbols: Collection[str]) -> Iterable[str]:
    """Return the symbols that ``text`` may begin with, the longest first; names may have dots."""
    parts = text.split(".")
    candidates = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
    return [name for name in candidates if name in symbols]


def read_figure(state: PortfolioState, text: str) -> Figure:
    """Return one figure of ``state`` by its path.

    Raises:
        NotFound: The state has no such figure; the hint names the nearest ones.
        MissingRate: A total needs a rate that is not recorded.
    """
    path = parse_path(text, state.symbols.keys())
    value = path.read(state)
    if value is None:
        raise unknown_figure(text, figures(state), f" at #{state.seq}")
    return value


def _examples(symbols: Collection[str]) -> list[str]:
    names = [*TOTALS, *PLAIN]
    names += [f"balances.USD.{field}" for field in BALANCE_FIGURES]
    for symbol in symbols:
        names += [f"positions.{symbol}.{field}" for field in SYMBOL_FIGURES]
    return names


def unknown_figure(text: str, names: Iterable[str], where: str = "") -> NotFound:
    """Build the error for a path that names no figure, with the nearest of ``names``."""
    near = difflib.get_close_matches(text, list(names), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "pledger state -o json names them"
    return NotFound(f"there is no figure {text!r}{where}", hint=hint)
