"""Going through time: the events of a stretch with exact counts, and the state after each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator

from ledger import EVENT_TYPES, InvalidInput, NotFound, Recorded
from replay.frames import Rows
from replay.history import History, When
from replay.live import LiveState

__all__ = ["EventRows", "check_symbol", "events", "steps"]


class EventRows(Rows[Recorded]):
    """The events that a filter let through, and of how many.

    Attributes:
        total: How many events the stretch has without the filter.
    """

    def __init__(self, found: Iterable[Recorded], total: int) -> None:
        super().__init__(found)
        self.total = total

    def __repr__(self) -> str:
        return f"<{len(self):,} of {self.total:,} events>"


def events(
    history: History,
    since: When | None = None,
    until: When | None = None,
    *,
    symbol: str | None = None,
    types: Iterable[str] = (),
    exclude_types: Iterable[str] = (),
) -> EventRows:
    """Return the events of a stretch; both moments belong to it.

    Args:
        history: The history.
        since, until: The stretch; by default the session.
        symbol: Only of this symbol; an empty text for those of the whole portfolio.
        types: Only of these types.
        exclude_types: Not of these.

    Raises:
        InvalidInput: There is no event type of that name.
        NotFound: No event has that symbol.
    """
    wanted, unwanted = set(types), set(exclude_types)
    for name in sorted(wanted | unwanted):
        _check_type(name)
    if symbol:
        check_symbol(history, symbol)
    first, last = history.span(since, until)
    streams = () if symbol is None else (symbol,)
    found = (
        recorded
        for recorded in history.events(*streams, first=first, last=last)
        if (not wanted or recorded.type in wanted) and recorded.type not in unwanted
    )
    return EventRows(found, last - first + 1)


def _check_type(name: str) -> None:
    if name not in EVENT_TYPES:
        near = difflib.get_close_matches(name, EVENT_TYPES, n=2) or sorted(EVENT_TYPES)
        raise InvalidInput(
            f"type: there is no event type {name!r}", hint=f"one of: {', '.join(near)}"
        )


def check_symbol(history: History, symbol: str) -> None:
    """Refuse a symbol that no event has.

    Raises:
        NotFound: The hint names the nearest symbols there are.
    """
    known = history.symbols
    if symbol not in known:
        near = difflib.get_close_matches(symbol, known, n=3) or known[:10]
        raise NotFound(f"no event has the symbol {symbol!r}", hint=f"known: {', '.join(near)}")


def steps(
    history: History, since: When | None = None, until: When | None = None
) -> Iterator[tuple[Recorded, LiveState]]:
    """Yield each event of a stretch with the state after it, which the next event overtakes."""
    first, last = history.span(since, until)
    live = history.live(first - 1)
    for recorded in history.events(first=first, last=last):
        live.evolve(recorded)
        yield recorded, live
