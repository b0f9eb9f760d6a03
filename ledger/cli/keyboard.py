"""Keys as they are pressed: a terminal without line editing and echo, given back as it was."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ledger.errors import InvalidInput

__all__ = ["Keyboard", "keyboard"]

_NAMED: Final = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1b[C": "right",
    "\x1b[D": "left",
    "\x1b[H": "home",
    "\x1b[F": "end",
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
    "\x1bOC": "right",
    "\x1bOD": "left",
    "\x1bOH": "home",
    "\x1bOF": "end",
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\x08": "backspace",
    "\x03": "q",
    "\x04": "q",
}


class Keyboard:
    """Reads keys from a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def keys(self, patience_s: float) -> list[str]:
        """Return what was pressed, waiting so long for the first key; named or as it is typed."""
        if not select.select([self._descriptor], [], [], max(patience_s, 0))[0]:
            return []
        typed = os.read(self._descriptor, 256)
        if not typed:
            return ["q"]  # the terminal has gone
        text = typed.decode(errors="ignore")
        if text in _NAMED or text.startswith("\x1b"):
            return [_NAMED.get(text, "")]
        return [_NAMED.get(letter, letter) for letter in text]


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Take over the terminal that the program was started from.

    Raises:
        InvalidInput: Stdin or stdout is no terminal, or this system has none of this kind.
    """
    hint = "run it by hand; pledger report writes a file that plays a session in a browser"
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput("play needs a terminal on stdin and stdout", hint=hint)
    try:
        import termios
        import tty
    except ImportError:
        raise InvalidInput("play needs a POSIX terminal", hint=hint) from None
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield Keyboard(descriptor)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
