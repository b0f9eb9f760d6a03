"""States, differences and rows as HTML, for notebooks. Amounts are written in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import Any, Final

from ledger import PortfolioState, plain
from replay.frames import columns_from_rows

__all__ = ["html_from_rows", "html_from_state", "shown"]

_MOST_ROWS: Final = 100


def shown(value: object) -> str:
    """Write a figure as every screen does: amounts in full, nothing as an empty text."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    return value.isoformat() if isinstance(value, datetime) else str(value)


def html_from_rows(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a table; of many rows the first hundred, and how many there are."""
    kept = list(rows)
    names = list(columns_from_rows(kept[:_MOST_ROWS]))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(shown(row.get(name)))}</td>" for name in names) + "</tr>"
        for row in kept[:_MOST_ROWS]
    )
    count = f"<p>{min(len(kept), _MOST_ROWS):,} of {len(kept):,}</p>"
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{count}"


def html_from_state(state: PortfolioState, figures: Mapping[str, object]) -> str:
    """Return a state's figures as a table under the moment they are of."""
    moment = f"#{state.seq} · {shown(state.occurred_at)} · {state.digest[:12]}"
    rows = [{"figure": path, "value": value} for path, value in figures.items()]
    return f"<p>{escape(moment)}</p>{html_from_rows(rows)}"
