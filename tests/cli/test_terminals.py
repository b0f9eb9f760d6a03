"""What is drawn fits the terminal it is drawn on, in width and in characters."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ledger.cli.encoding import allow_drawing, allow_text
from ledger.cli.tables import AMOUNT, PNL, WORD, drawn_table

ROOT = Path(__file__).parents[2]
COLUMNS = [("symbol", WORD), ("position", WORD), ("cash", AMOUNT), ("realized", PNL)]
ROWS = [
    ["AAPL", "demo:AAPL:20121212:1", "187,575.13967", "+101,387.55"],
    ["MSFT", "demo:MSFT:20130102:1", "9.5", "-1,234.00000001"],
]


def shown(width: int) -> str:
    """The table as a terminal of this width shows it."""
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(
        drawn_table("Positions", COLUMNS, ROWS)
    )
    return out.getvalue()


@pytest.mark.parametrize("width", [20, 35, 60, 61, 64, 65, 66, 80, 200])
def test_no_figure_is_cut_at_any_width(width):
    text = shown(width)
    for cell in (cell for row in ROWS for cell in row):
        assert cell in text
    assert "…" not in text


def test_a_table_is_a_table_as_soon_as_it_fits():
    widest = [max(map(len, column)) for column in zip([n for n, _ in COLUMNS], *ROWS, strict=True)]
    widest[2] = len("187,575.13967")
    widest[3] = len("+101,387.55000001")
    needed = sum(widest) + 3 * 3
    assert len(shown(needed).splitlines()) == 2 + 1 + len(ROWS)
    assert len(shown(needed - 1).splitlines()) == 1 + len(ROWS) * (1 + len(COLUMNS))


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_what_an_encoding_lacks_is_drawn_plainly_or_escaped(encoding):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    allow_drawing(stream)
    stream.write("a ─→ b \N{GRINNING FACE}")
    stream.flush()
    assert raw.getvalue().decode(encoding) == "a --> b \\ud83d\\ude00"


def test_json_stays_what_it_was_in_any_encoding():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    allow_text(stream)
    text = "— ü \N{GRINNING FACE}"
    stream.write(json.dumps(text, ensure_ascii=False))
    stream.flush()
    assert json.loads(raw.getvalue()) == text


def test_a_stream_of_utf_8_is_left_alone():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="UTF-8")
    allow_drawing(stream)
    assert stream.errors == "strict"


@pytest.mark.parametrize("typed", ["state", "sessions", "verify", "nonsense"])
def test_no_command_fails_for_its_locale(typed, tmp_path):
    kept = {name: value for name, value in os.environ.items() if "PLEDGER_" not in name}
    run = subprocess.run(
        [sys.executable, "-m", "ledger", typed, "--store", "memory:"],
        capture_output=True,
        env={**kept, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert run.returncode == (2 if typed == "nonsense" else 0), run.stderr
    assert (run.stdout + run.stderr).isascii()
    assert b"\\u" not in run.stdout + run.stderr
