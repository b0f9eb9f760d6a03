"""What changed between two states, and which events changed it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from ledger import LedgerDamaged, MissingRate, PortfolioState
from replay.figures import Figure, figures
from replay.frames import Rows
from replay.history import History, When
from replay.live import LiveState
from replay.paths import FigurePath, Value, parse_path

__all__ = ["Change", "Difference", "applied", "changes", "diff"]


class Change(msgspec.Struct, kw_only=True):
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
    old, new = figures(before), figures(after)
    paths = [*new, *(path for path in old if path not in new)]
    return [
        Change(path=path, before=old.get(path), after=new.get(path))
        for path in paths
        if old.get(path) != new.get(path)
    ]


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
    before, after = history.state(first), history.state(last)
    found = changes(before, after)
    if with_events and found:
        _name_events(history, found, min(first, last), max(first, last))
    return Difference(
        before=before, after=after, changes=Rows(found), event_count=abs(last - first)
    )


_Item: TypeAlias = tuple[str, str, str]
_Watched: TypeAlias = list[tuple[FigurePath, Change]]


def _name_events(history: History, found: list[Change], low: int, high: int) -> None:
    """Follow the fold between two moments, and note at which events a figure moved."""
    live, symbols = history.live(low), set(history.symbols)
    money: _Watched = []
    items: dict[str, dict[_Item, _Watched]] = {}
    for change in found:
        path = parse_path(change.path, symbols)
        if path.root in ("total", "balances"):
            money.append((path, change))
        else:
            item = (path.root, path.symbol, path.key)
            items.setdefault(path.symbol, {}).setdefault(item, []).append((path, change))
    values = {path.text: _read(path, live) for path in (parse_path(c.path, symbols) for c in found)}
    for recorded in history.events(first=low + 1, last=high):
        live.evolve(recorded)
        if live.moved_money:
            _compare(money, live, values, recorded.seq)
        for name in {recorded.symbol, ""}:
            for watched in items.get(name, {}).values():
                if watched[0][0].may_change_by(recorded.event):
                    _compare(watched, live, values, recorded.seq)


def _compare(watched: _Watched, live: LiveState, values: dict[str, Value], seq: int) -> None:
    """Note ``seq`` with each figure that is not what it was."""
    for path, change in watched:
        value = _read(path, live)
        if value != values[path.text]:
            values[path.text] = value
            change.events.append(seq)


def _read(path: FigurePath, state: PortfolioState) -> Value:
    try:
        return path.read(state)
    except (MissingRate, LedgerDamaged):
        return None
