"""Paths of figures within an expression, which would not all be read as Python's grammar reads."""

from __future__ import annotations

import re
from typing import Final

from replay.figures import BALANCE_FIGURES, ORDER_FIGURES, POSITION_FIGURES, SYMBOL_FIGURES

__all__ = ["HELD", "hold_paths"]

# Symbols and ids may hold what Python reads as operators (KRW-BTC, EUR/USD): such a path is taken
# out of the text, up to the first field it can end with, before Python's grammar sees it.
_ROOT: Final = r"(?:positions|symbols|orders|balances|per_symbol_positions|per_symbol_orders)"
_FIELD: Final = "|".join(
    sorted({*BALANCE_FIGURES, *ORDER_FIGURES, *POSITION_FIGURES, *SYMBOL_FIGURES}, key=len)
)
_PATH: Final = re.compile(
    rf"(?<![\w.\"'])(?:{_ROOT}\.[^\s()\[\]\"',<>=!]+?\.(?:fees\.\w+|limits\.[\w:-]+|{_FIELD})(?![\w.])"
    rf"|rates\.\w+/\w+|(?:limits|quarantined)\.[\w:-]+)"
)
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'")
HELD: Final = "_figure_"
"""What the name begins with that stands for a path; its number follows."""


def hold_paths(text: str) -> tuple[str, list[str]]:
    """Put a name for each path, leaving quoted texts alone; return the text and the paths."""
    quoted = [match.span() for match in _QUOTED.finditer(text)]
    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        if any(start < match.start() < end for start, end in quoted):
            return match.group()
        held.append(match.group())
        return f"{HELD}{len(held) - 1}"

    return _PATH.sub(hold, text), held
