"""Calm tables: a thin rule under the header, amounts aligned at the point, losses in red."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from ledger.cli.figures import aligned

__all__ = ["AMOUNT", "PNL", "WORD", "Fitted", "drawn_table", "pnl_text"]

WORD: Final = "word"
AMOUNT: Final = "amount"
PNL: Final = "pnl"
_BETWEEN: Final = 3


def drawn_table(
    title: str, columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str]]
) -> RenderableType:
    """Make a table; on a terminal too narrow for it, a list with a line for each cell.

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
    return Fitted(title, table, [name for name, _ in columns], drawn)


class Fitted:
    """A table where it fits; half of a figure would be worse than a line for each.

    Args:
        title: Stands above the lines, where there is one.
        table: What is drawn where there is room.
        names: The names of its columns.
        columns: The cells of each column.
    """

    def __init__(
        self, title: str, table: Table, names: Sequence[str], columns: Sequence[Sequence[Text]]
    ) -> None:
        self._title = title
        self._table = table
        self._names = names
        self._columns = columns

    def __rich_console__(
        self, _console: Console, options: ConsoleOptions
    ) -> Iterator[Text | Table]:
        widths = [
            max(map(cell_len, [name, *(cell.plain for cell in column)]))
            for name, column in zip(self._names, self._columns, strict=True)
        ]
        if sum(widths) + _BETWEEN * (len(widths) - 1) <= options.max_width:
            yield self._table
            return
        if self._title:
            yield Text(self._title, style="bold")
        indent = max(map(cell_len, self._names)) + 2
        for row in zip(*self._columns, strict=True):
            yield Text("─" * min(options.max_width, 2 * indent), style="dim")
            for name, cell in zip(self._names, row, strict=True):
                line = Text(name.ljust(indent), style="dim")
                yield line + Text(cell.plain.strip(), style=cell.style or "not dim")


def pnl_text(text: str) -> Text:
    """Colour an amount by its sign, which is written as well."""
    stripped = text.strip()
    style = "red" if stripped.startswith("-") else "green" if stripped.startswith("+") else ""
    return Text(text, style=style)
