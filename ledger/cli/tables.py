"""Calm tables: a thin rule under the header, amounts aligned at the point, losses in red."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
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
    cells = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in columns]
    drawn: list[list[Text]] = []
    for (_, kind), texts in zip(columns, cells, strict=True):
        shown = texts if kind == WORD else aligned(texts)
        drawn.append([pnl_text(text) if kind == PNL else Text(text) for text in shown])
    names = [name for name, _ in columns]
    return Fitted(title, Ruled(title, columns, drawn), names, drawn)


class Ruled:
    """A table with a rule under its header, drawn row by row.

    A table of the library that draws it here costs a millisecond a row, and some have thousands.

    Args:
        title: Stands above it, where there is one.
        columns: Name and kind of each.
        cells: The cells of each column.
    """

    def __init__(
        self, title: str, columns: Sequence[tuple[str, str]], cells: Sequence[Sequence[Text]]
    ) -> None:
        self._title = title
        self._columns = columns
        self._cells = cells

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> Iterator[Text]:
        names = [name for name, _ in self._columns]
        widths = _widths(names, self._cells)
        if self._title:
            yield Text(self._title, style="bold")
        yield self._row([Text(name, style="dim") for name in names], widths)
        yield Text("─" * (sum(widths) + _BETWEEN * (len(widths) - 1)), no_wrap=True)
        for row in zip(*self._cells, strict=True):
            yield self._row(row, widths)

    def _row(self, cells: Sequence[Text], widths: Sequence[int]) -> Text:
        line = Text(no_wrap=True)
        between = 0
        for (_, kind), cell, width in zip(self._columns, cells, widths, strict=True):
            room = width - cell.cell_len
            line.append(" " * (between if kind == WORD else between + room))
            line.append_text(cell)
            between = _BETWEEN + room if kind == WORD else _BETWEEN
        line.rstrip()
        return line


def _widths(names: Sequence[str], cells: Sequence[Sequence[Text]]) -> list[int]:
    return [
        max(cell_len(name), max((cell.cell_len for cell in column), default=0))
        for name, column in zip(names, cells, strict=True)
    ]


class Fitted:
    """A table where it fits; half of a figure would be worse than a line for each.

    Args:
        title: Stands above the lines, where there is one.
        table: What is drawn where there is room.
        names: The names of its columns.
        columns: The cells of each column.
    """

    def __init__(
        self,
        title: str,
        table: RenderableType,
        names: Sequence[str],
        columns: Sequence[Sequence[Text]],
    ) -> None:
        self._title = title
        self._table = table
        self._names = names
        self._columns = columns

    def __rich_console__(
        self, _console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        widths = _widths(self._names, self._columns)
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
