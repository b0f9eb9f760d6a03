"""The session as a report steps through it: what each event changed, in figures of the one fold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from ledger import (
    LedgerDamaged,
    MissingRate,
    PriceMarked,
    Recorded,
    order_from_entry,
    plain,
    position_from_entry,
)
from replay.drawdown import Drawdown
from replay.history import History
from replay.live import LiveState

__all__ = ["Steps", "described", "steps_of", "written"]

_TOTALS: Final = (
    "equity",
    "total_balance",
    "available_balance",
    "net_pnl",
    "realized_pnl",
    "unrealized_pnl",
    "fees",
)
_POSITION: Final = (
    *("side", "quantity", "entry_price", "current_price"),
    *("value", "unrealized_pnl", "realized_pnl"),
)
_ORDER: Final = ("side", "status", "quantity", "filled_quantity", "price")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_AROUND: Final = ("symbol", "occurred_at", "cause", "undo")
_ZERO: Final = Decimal(0)


class Steps(msgspec.Struct, kw_only=True):
    """A session, stop by stop; the lists have one item per stop.

    Attributes:
        every: How many events lie between two stops; 1 where it stops at each.
        paths: The figures; changes name them by their index here.
        start: The figures before the first event.
        seqs: The event at which it stops.
        times: Of that event, in milliseconds since 1970, by the session's clock.
        types, symbols, texts: Of that event; types and symbols as indexes into their names.
        changes: Index and value in turn; ``None`` for a figure that is no longer there.
    """

    every: int
    type_names: list[str] = []
    symbol_names: list[str] = []
    paths: list[str] = []
    start: dict[str, str] = {}
    seqs: list[int] = []
    times: list[int] = []
    types: list[int] = []
    symbols: list[int] = []
    texts: list[str] = []
    changes: list[list[int | str | None]] = []


def written(value: Any) -> str:
    """Write a figure as text; amounts with all of their digits."""
    return plain(value) if isinstance(value, Decimal) else str(value)


def described(recorded: Recorded) -> str:
    """Write what an event says in one line: ``price=27.95``."""
    event = recorded.event
    fields = ((name, getattr(event, name)) for name in event.__struct_fields__)
    return " ".join(
        f"{name}={written(value)}"
        for name, value in fields
        if name not in _AROUND and value is not None
    )


class _Follower:
    """Follows the fold, and tells which of the shown figures an event changed."""

    def __init__(self, live: LiveState) -> None:
        self._live = live
        self._drawdown = Drawdown(self._profit(_ZERO))
        self._touched: set[str] = set()
        self._shown: dict[str, dict[str, str]] = {}
        for group in ("totals", *live.accounts.symbols):
            self._shown[group] = self._figures(group)

    @property
    def shown(self) -> dict[str, str]:
        """All figures that are shown now."""
        return {path: text for group in self._shown.values() for path, text in group.items()}

    def take(self, recorded: Recorded) -> None:
        """Go on by one event."""
        live = self._live
        live.evolve(recorded)
        if live.moved_money:
            self._drawdown.follow(self._profit(_ZERO))
            self._touched.add("totals")
        if recorded.symbol and (live.moved_money or not isinstance(recorded.event, PriceMarked)):
            self._touched.add(recorded.symbol)

    def moved(self) -> Iterator[tuple[str, str | None]]:
        """Yield each shown figure that has changed since this was last asked."""
        for group in sorted(self._touched):
            before = self._shown.get(group, {})
            after = self._shown[group] = self._figures(group)
            yield from ((path, text) for path, text in after.items() if before.get(path) != text)
            yield from ((path, None) for path in before if path not in after)
        self._touched.clear()

    def _profit(self, otherwise: Decimal) -> Decimal:
        try:
            return self._live.profit
        except MissingRate:
            return otherwise

    def _figures(self, group: str) -> dict[str, str]:
        return self._totals() if group == "totals" else dict(self._of_symbol(group))

    def _totals(self) -> dict[str, str]:
        found = {"drawdown": written(self._drawdown.current)}
        for name in _TOTALS:
            try:
                found[name] = written(getattr(self._live, name))
            except (MissingRate, LedgerDamaged):
                continue  # shown as unknown
        return found

    def _of_symbol(self, symbol: str) -> Iterator[tuple[str, str]]:
        account = self._live.accounts.symbols[symbol]
        for key, entry in account.positions.items():
            position = position_from_entry(account, entry)
            for name in _POSITION:
                yield f"p|{symbol}|{key}|{name}", written(getattr(position, name))
        for key, order_entry in account.orders.items():
            if order_entry.status.is_working:
                order = order_from_entry(account, key, order_entry)
                for name in _ORDER:
                    value = getattr(order, name)
                    yield f"o|{symbol}|{key}|{name}", "market" if value is None else written(value)


class _Numbers(dict[str, int]):
    """Numbers names in the order in which they come up."""

    def __missing__(self, name: str) -> int:
        self[name] = len(self)
        return self[name]


def steps_of(history: History, *, at_most: int) -> Steps:
    """Follow a session and return what changed at each of its stops.

    Args:
        history: The history; the stretch is its session.
        at_most: How many stops there may be; a longer session stops every so many events.
    """
    first, last = history.span(None, None)
    every = max(-(-(last - first + 1) // at_most), 1)
    live = history.live(first - 1)
    follower = _Follower(live)
    steps = Steps(every=every, start=follower.shown)
    paths, types, symbols = _Numbers(), _Numbers(), _Numbers()
    for recorded in history.events(first=first, last=last):
        follower.take(recorded)
        if (last - recorded.seq) % every:
            continue
        steps.seqs.append(recorded.seq)
        steps.times.append((history.time_of(recorded) - _EPOCH) // _MS)
        steps.types.append(types[recorded.type])
        steps.symbols.append(symbols[recorded.symbol])
        steps.texts.append(described(recorded))
        steps.changes.append(_flat((paths[path], text) for path, text in follower.moved()))
    steps.type_names, steps.symbol_names, steps.paths = list(types), list(symbols), list(paths)
    return steps


def _flat(pairs: Iterable[tuple[int, str | None]]) -> list[int | str | None]:
    return [part for pair in pairs for part in pair]
