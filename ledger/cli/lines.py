"""Events as lines: the short one for people, JSON, and the header every answer carries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from ledger.cli.screen import Screen
from ledger.codec import encode_events, line_from_recorded
from ledger.event import Recorded
from ledger.state import PortfolioState

__all__ = [
    "EVENT_COLUMNS",
    "event_row",
    "json_line",
    "moment_fields",
    "moment_line",
    "raw_line",
    "short_lines",
]

EVENT_COLUMNS: Final = (
    "seq",
    "revision",
    "recorded_at",
    "occurred_at",
    "symbol",
    "type",
    "schema",
    "commit",
    "writer",
    "cause",
    "data",
)

_encode = msgspec.json.Encoder().encode


def json_line(recorded: Recorded) -> str:
    """Return an event as its line of JSON."""
    return _encode(line_from_recorded(recorded)).decode()


def raw_line(recorded: Recorded) -> str:
    """Return an event as the bytes it has in its stream, without what the store assigned."""
    return encode_events([recorded.event])[1:-1].decode()


def event_row(recorded: Recorded) -> list[Any]:
    """Return an event as a row under :data:`EVENT_COLUMNS`; its data as JSON."""
    line = line_from_recorded(recorded)
    line["data"] = _encode(line["data"]).decode()
    return [line.get(name) for name in EVENT_COLUMNS]


def short_lines(page: Sequence[Recorded], screen: Screen) -> Iterator[str]:
    """Write events in columns: number, time it happened, symbol, type, data."""
    width = max((len(str(recorded.seq)) for recorded in page), default=1) + 1
    name = max((len(recorded.symbol) for recorded in page), default=1)
    kind = max((len(recorded.type) for recorded in page), default=1)
    for recorded in page:
        fields = line_from_recorded(recorded)["data"]
        told = " ".join(f"{key}={_word(value)}" for key, value in fields.items())
        number = f"#{recorded.seq}"
        at = screen.moment(recorded.occurred_at)
        symbol = recorded.symbol or "-"
        yield f"{number:>{width}}  {at:<20}  {symbol:<{name}}  {recorded.type:<{kind}}  {told}"


def _word(value: Any) -> str:
    """Quote a text that would not read as one word."""
    if isinstance(value, str):
        return value if value and not any(c.isspace() for c in value) else repr(value)
    return _encode(value).decode()


def moment_fields(state: PortfolioState) -> dict[str, Any]:
    """Return the moment that an answer stands for."""
    return {
        "seq": state.seq,
        "recorded_at": state.recorded_at,
        "occurred_at": state.occurred_at,
        "digest": state.digest,
    }


def moment_line(state: PortfolioState, screen: Screen) -> str:
    """Write the moment that an answer stands for."""
    if not state.seq:
        return f"as of #0, before any event · digest {state.digest}"
    return (
        f"as of #{state.seq:,} · recorded {screen.moment(state.recorded_at)}"
        f" · occurred {screen.moment(state.occurred_at)} · digest {state.digest}"
    )
