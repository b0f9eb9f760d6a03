"""Calm tables: a thin rule under the header, amounts aligned at the point, losses in red."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.table import Table
from rich.text import Text

from ledger.cli.figures import aligned

__all__ = ["AMOUNT", "PNL", "WORD", "drawn_table", "pnl_text"]

WORD: Final = "word"
AMOUNT: Final = "amount"
PNL: Final = "pnl"


def drawn_table(
    title: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]
) -> Table:
    """Make a table.

    Args:
        title: Stands above it.
        columns: Name and kind of each: :data:`WORD`, :data:`AMOUNT`, or :data:`PNL`, an amount
            whose sign is coloured.
        rows: The cells as texts.
    """
    table = Table(
        title=Text(title, style="bold"),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        header_style="dim",
    )
    cells = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns]
    drawn: list[list[Text]] = []
    for (name, kind), texts in zip(columns, cells, strict=True):
        table.add_column(name, justify="left" if kind == WORD else "right", no_wrap=True)
        shown = texts if kind == WORD else aligned(texts)
        drawn.append([pnl_text(text) if kind == PNL else Text(text) for text in shown])
    for row in zip(*drawn, strict=True):
        table.add_row(*row)
    return table


def pnl_text(text: str) -> Text:
    """Colour an amount by its sign, which is written as well."""
    stripped = text.strip()
    style = "red" if stripped.startswith("-") else "green" if stripped.startswith("+") else ""
    return Text(text, style=style)
