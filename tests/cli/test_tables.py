"""Tables: amounts stand with their points below each other, and no line ends in blanks."""

from __future__ import annotations

import io

from rich.cells import cell_len
from rich.console import Console

from ledger.cli.tables import AMOUNT, PNL, WORD, drawn_table

COLUMNS = [("symbol", WORD), ("amount", AMOUNT), ("earned", PNL), ("note", WORD)]
ROWS = [
    ["AAPL", "1.5", "+1,000.25", "first"],
    ["대한", "1,200", "-3", ""],
    ["B", "-0.125", "0", "x"],
]


def drawn(width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=False).print(drawn_table("T", COLUMNS, ROWS))
    return stream.getvalue().splitlines()


def units_at(line: str, amount: str) -> int:
    """The column on the screen in which the last digit before an amount's point stands."""
    before = line[: line.index(amount)]
    return cell_len(before) + len(amount.partition(".")[0])


def test_amounts_are_aligned_at_the_point():
    title, header, rule, first, second, third = drawn(100)
    assert (title, set(rule)) == ("T", {"─"})
    assert header.split() == [name for name, _ in COLUMNS]
    assert units_at(first, "1.5") == units_at(second, "1,200") == units_at(third, "-0.125")
    assert units_at(first, "+1,000.25") == units_at(second, "-3")
    assert not any(line.endswith(" ") for line in drawn(100))


def test_where_it_does_not_fit_every_figure_is_on_a_line_of_its_own():
    lines = drawn(20)
    assert "amount  1,200" in lines
    assert "earned  +1,000.25" in lines
    assert not any("…" in line for line in lines)
