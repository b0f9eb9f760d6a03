"""What changed between two states, and which events changed it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from ledger import PortfolioState, Recorded, order_from_entry, state_from_accounts
from replay.figures import Figure, Item, figures_of, items
from replay.frames import Rows
from replay.history import History, When
from replay.valued import ValuedState, twin_of
from replay.watched import Moved
from replay.watching import Watch

__all__ = ["Change", "Difference", "applied", "changes", "diff"]

_Events: TypeAlias = dict[str, list[int]]

# Over more events than these, most that moves is gone or what it was at the end: it is not kept.
_SHORT: Final = 20_000


class Change(msgspec.Struct, kw_only=True, gc=False):
    """One figure that differs.

    Attributes:
        path: The figure's path.
        before, after: ``None`` where the state does not have it.
        events: The sequence numbers of the events in between that changed it; empty where the
            two states are not of one history.
    """

    path: str
    before: Figure | None
    after: Figure | None
    events: list[int] = []


class Difference(msgspec.Struct, kw_only=True):
    """Two states, and every figure in which they differ.

    Attributes:
        before, after: The states.
        changes: In the order of :func:`replay.figures`.
        event_count: How many events lie between them; ``None`` if not of one history.
    """

    before: PortfolioState
    after: PortfolioState
    changes: Rows[Change]
    event_count: int | None = None

    def __bool__(self) -> bool:
        return bool(self.changes)

    def _repr_html_(self) -> str:
        return self.changes._repr_html_()


def changes(before: PortfolioState, after: PortfolioState) -> list[Change]:
    """Return every figure in which two states differ."""
    return _changes(items(before), items(after))


def _changes(old: Mapping[str, Item], new: Mapping[str, Item]) -> list[Change]:
    differing = {
        prefix: (_figures_under(prefix, old), _figures_under(prefix, new))
        for prefix in {**new, **old}
        if new.get(prefix) != old.get(prefix)
    }
    found = [
        Change(path=prefix + name, before=was.get(name), after=value)
        for prefix, (was, now) in differing.items()
        for name, value in now.items()
        if value != was.get(name)
    ]
    return found + [
        Change(path=prefix + name, before=value, after=None)
        for prefix in old
        if prefix in differing
        for name, value in differing[prefix][0].items()
        if name not in differing[prefix][1]
    ]


def _figures_under(prefix: str, found: Mapping[str, Item]) -> Mapping[str, Figure]:
    item = found.get(prefix)
    return {} if item is None else figures_of(item)


def applied(found: Iterable[Change], to: Mapping[str, Figure]) -> dict[str, Figure]:
    """Return the figures that come of making ``found`` changes ``to`` figures."""
    result = dict(to)
    for change in found:
        if change.after is None:
            del result[change.path]
        else:
            result[change.path] = change.after
    return result


def diff(
    history: History, a: When | None, b: When | None = None, *, with_events: bool = True
) -> Difference:
    """Compare two moments of one history; an earlier ``b`` gives the way back.

    Args:
        history: The history.
        a, b: The moments; ``b`` is by default the session's end.
        with_events: Whether to name the events that made each change, for which all events in
            between are read.
    """
    first, last = history.seq(a), history.seq(b)
    low, high = min(first, last), max(first, last)
    if not with_events or low == high:
        before, after = history.state(first), history.state(last)
        found = changes(before, after)
    else:
        ends = _followed(history, low, high)
        old, new = ends[:2] if first < last else ends[1::-1]
        before, after, events = _state_of(old), _state_of(new), ends[2]
        found = _changes(_items_of(old, events), _items_of(new, events))
        for change in found:
            change.events = events[change.path]
    return Difference(before=before, after=after, changes=Rows(found), event_count=high - low)


def _followed(history: History, low: int, high: int) -> tuple[ValuedState, ValuedState, _Events]:
    """Follow the fold from ``low`` to ``high``; return both ends, and which events moved what."""
    only = None
    if high - low > _SHORT:
        only = {change.path for change in changes(history.state(low), history.state(high))}
    accounts = history.accounts(low)
    before = ValuedState(twin_of(accounts))
    watch = Watch(accounts, before=before)
    events = history.events(first=max(low, 1), last=high)
    if low:
        before.stand_after(next(events))
    named: _Events = {}

    def note(recorded: Recorded, moved: Moved) -> None:
        for path in moved:
            if only is None or path in only:
                named.setdefault(path, []).append(recorded.seq)

    watch.follow(events, note)
    return before, watch.live, named


def _state_of(end: ValuedState) -> PortfolioState:
    return state_from_accounts(
        end.accounts, recorded_at=end.recorded_at, occurred_at=end.occurred_at, is_own=True
    )


def _items_of(end: ValuedState, named: _Events) -> dict[str, Item]:
    """Return all items but the orders of which no figure is named: there are many of those."""
    prefix = "per_symbol_orders."
    touched = {path.rpartition(".")[0] for path in named if path.startswith(prefix)}
    orders = {
        symbol: {
            key: order_from_entry(own, key, entry)
            for key, entry in own.orders.items()
            if f"{prefix}{symbol}.{key}" in touched
        }
        for symbol, own in end.accounts.symbols.items()
    }
    return items(end, orders)
