"""What a commit may hold, whatever the state, and the ids it lays claim to."""

from __future__ import annotations

from collections.abc import Sequence

from ledger.errors import InvalidEvent, InvalidInput
from ledger.event import Event, PortfolioEvent, SymbolEvent
from ledger.events import (
    CostBasisChosen,
    EventReversed,
    OrderPlaced,
    PositionOpened,
    SessionStarted,
)
from ledger.reading import MAX_COMMIT_EVENTS

__all__ = ["checked", "claims"]


def claims(events: Sequence[Event]) -> list[str]:
    """Return the ids that these events use, which nobody in the portfolio may have used before."""
    found = []
    for event in events:
        if isinstance(event, OrderPlaced):
            found.append(f"o:{event.order_id}")
        elif isinstance(event, PositionOpened):
            found.append(f"p:{event.position_id}")
        elif isinstance(event, SessionStarted):
            found.append(f"s:{event.session}")
    return found


def checked(events: Sequence[Event]) -> list[Event]:
    """Return the events of a commit.

    Raises:
        InvalidInput: They are no commit, whatever the state.
    """
    if not events:
        raise InvalidInput("a commit needs at least one event")
    if len(events) > MAX_COMMIT_EVENTS:
        raise InvalidInput(
            f"a commit of {len(events):,} events is above {MAX_COMMIT_EVENTS:,}",
            hint="append them as several commits",
        )
    for event in events:
        if isinstance(event, SymbolEvent) and not event.symbol:
            raise InvalidEvent(f"{event.type}: symbol is missing")
        if isinstance(event, PortfolioEvent) and event.symbol:
            raise InvalidEvent(
                f"{event.type}: symbol: {event.symbol!r} stands on an event of the whole portfolio",
                hint="leave the symbol out",
            )
        if isinstance(event, EventReversed | CostBasisChosen) and len(events) > 1:
            raise InvalidEvent(f"{event.type}: it stands alone in its commit")
    return list(events)
