"""What the commands of analysts have in common: the session they look back on, and their tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from ledger.cli.call import Call
from ledger.cli.figures import grouped
from ledger.cli.lines import moment_fields, moment_line
from ledger.cli.parameters import RANGE
from ledger.cli.spans import stretch_of
from ledger.moments import MomentRange
from ledger.state import PortfolioState
from replay import SessionView, view

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "looked_back",
    "range_argument",
    "session_option",
    "shown_figure",
    "span_of_range",
    "symbol_option",
    "table_of",
    "write_answer",
]

session_option = click.option(
    "--session", metavar="NAME", help="The session that is meant; by default the last one."
)
symbol_option = click.option("--symbol", metavar="X", help="Only this symbol.")
range_argument = click.argument("moments", metavar="[A..B]", type=RANGE, required=False)


@contextmanager
def looked_back(call: Call, session: str | None, clock: str | None = None) -> Iterator[SessionView]:
    """Open the ledger and look back on one of its sessions.

    Raises:
        NotFound: There is no such session, or the portfolio has no events.
    """
    with call.ledger() as ledger:
        yield view(ledger, session, clock=clock, tz=call.screen.zone)


def span_of_range(
    call: Call, seen: SessionView, moments: MomentRange | None, clock: str | None
) -> tuple[int | None, int | None]:
    """Return the first and the last event of a half-open range; nothing for the whole session."""
    if moments is None:
        return None, None
    session = seen.history.session
    stretch = stretch_of(
        call,
        seen.history.ledger,
        moments,
        session=None if session is None else session.session,
        clock=clock,
    )
    return stretch.after + 1, stretch.until


def shown_figure(call: Call, value: object, *, signed: bool = False) -> str:
    """Write a figure for a table; ``—`` where there is none."""
    if value is None:
        return "—"
    if isinstance(value, Decimal):
        return grouped(value, signed=signed)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return call.screen.second(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def table_of(
    call: Call,
    title: str,
    columns: Sequence[tuple[str, str, str]],
    rows: Sequence[Mapping[str, Any]],
) -> RenderableType:
    """Draw rows; each column is its heading, its kind, and the field it shows."""
    from ledger.cli.tables import PNL, drawn_table

    cells = [
        [shown_figure(call, row.get(field), signed=kind == PNL) for _, kind, field in columns]
        for row in rows
    ]
    return drawn_table(title, [(heading, kind) for heading, kind, _ in columns], cells)


def write_answer(
    call: Call,
    seen: SessionView,
    state: PortfolioState,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    *,
    fields: Sequence[str] = (),
    **more: Any,
) -> bool:
    """Write rows as JSON (under ``name``) or CSV; return whether a table is to be drawn instead.

    Args:
        call: The invocation.
        seen: The session.
        state: The moment that the answer stands for.
        name: Of the list in JSON.
        rows: Each a flat mapping.
        fields: The header of CSV where there may be no row to take it from.
        more: What else stands in JSON.
    """
    screen = call.screen
    if screen.form == "json":
        portfolio = seen.history.ledger.portfolio
        screen.json(
            {"portfolio": portfolio, **moment_fields(state), **more, name: [*map(dict, rows)]}
        )
    elif screen.form == "csv":
        header = list(rows[0]) if rows else list(fields)
        screen.csv(header, [[row.get(field) for field in header] for row in rows])
    screen.note(moment_line(state, screen))
    for symbol, reason in state.quarantined.items():
        where = symbol or "the portfolio's own stream"
        screen.warn(f"{where} is in quarantine since {reason}")
    return screen.form == "table"
