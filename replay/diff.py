"""What changed between two states, and which events changed it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from ledger import PortfolioState, Recorded, state_from_accounts
from replay.figures import Figure, Item, figures_of, items
from replay.frames import Rows
from replay.history import History, When
from replay.watched import Moved
from replay.watching import Watch

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
    old, new = items(before), items(after)
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
    after = history.state(high)
    if with_events and low < high:
        before, follow = _begun(history, low, high)
    else:
        before, follow = history.state(low), None
    if last < first:
        before, after = after, before
    found = changes(before, after)
    if follow is not None:
        follow(found)
    return Difference(before=before, after=after, changes=Rows(found), event_count=high - low)


def _begun(
    history: History, low: int, high: int
) -> tuple[PortfolioState, Callable[[list[Change]], None]]:
    """Return the state at ``low``, and what follows the fold from there to name the events."""
    accounts = history.accounts(low)
    events = history.events(first=max(low, 1), last=high)
    last = next(events) if low else None
    before = state_from_accounts(
        accounts,
        recorded_at=last.recorded_at if last else None,
        occurred_at=last.occurred_at if last else None,
    )

    def follow(found: list[Change]) -> None:
        named = {change.path: change.events for change in found}

        def note(recorded: Recorded, moved: Moved) -> None:
            for path in moved:
                if path in named:
                    named[path].append(recorded.seq)

        if named:
            Watch(accounts, before=before).follow(events, note)

    return before, follow
