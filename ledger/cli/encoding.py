"""Writing to a terminal or a file that does not take UTF-8: no character ends a command."""

from __future__ import annotations

import codecs
import io
from typing import Final, TextIO

__all__ = ["allow_drawing", "allow_text"]

_PLAIN: Final = {"─": "-", "—": "-", "–": "-", "·": "-", "…": "~", "→": "->", "×": "x", "Σ": "sum"}


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Write what cannot be encoded as JSON escapes it, so that JSON stays what it was."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = zip(units[::2], units[1::2], strict=True)
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in pairs), error.end


def _drawn(error: UnicodeError) -> tuple[str, int]:
    """Write the characters that tables are drawn with in plain ones, and escape the others."""
    if isinstance(error, UnicodeEncodeError):
        plain = _PLAIN.get(error.object[error.start])
        if plain is not None:
            return plain, error.start + 1
    return _escaped(error)


codecs.register_error("pledger-escaped", _escaped)
codecs.register_error("pledger-drawn", _drawn)


def allow_text(stream: TextIO) -> None:
    """Have a stream take any text; what its encoding lacks is written as ``\\u2014``."""
    _set(stream, "pledger-escaped")


def allow_drawing(stream: TextIO) -> None:
    """Have a stream take tables and messages; lines and dots become plain characters."""
    _set(stream, "pledger-drawn")


def _set(stream: TextIO, errors: str) -> None:
    if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower() not in ("utf-8", "utf8"):
        stream.reconfigure(errors=errors)
