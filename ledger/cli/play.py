"""``pledger play``: a session in the terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

import click
from rich.console import Console
from rich.live import Live

from ledger.cli.call import Call
from ledger.cli.group import command
from ledger.cli.keyboard import Keyboard, keyboard
from ledger.cli.parameters import MOMENT, clock_option
from ledger.cli.play_screen import drawn
from ledger.errors import InvalidInput, LedgerError
from ledger.moments import Moment
from replay import view
from replay.play import Player

__all__ = ["play"]

_SPEEDS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500)
_FRAME_S: Final = 0.04
_PROMPTS: Final = {"g": "go to: ", "t": "next of type: ", "/": "search: "}


@command(
    "play",
    forms=("table",),
    examples="""
    pledger play
    pledger play --portfolio demo --at 50%
    pledger play --store file:demo.ndjson.gz --speed 100
    """,
)
@click.option("--session", metavar="NAME", help="Which session; by default the last one.")
@click.option("--at", type=MOMENT, metavar="T", help="Begin at this moment.")
@click.option(
    "--speed",
    type=click.IntRange(1, _SPEEDS[-1]),
    default=10,
    show_default=True,
    help="Events per second.",
)
@clock_option
def play(call: Call, session: str | None, at: Moment | None, speed: int, clock: str | None) -> None:
    """Play a session in the terminal: figures, positions and the last events, event by event.

    Space plays and stops; arrows step; + and - change the speed; g goes to a moment, t to the next
    event of a type, / to the next event that says something; q quits.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidInput(
            "play needs a terminal on stdin and stdout",
            hint="run it by hand; pledger report writes a file that plays a session in a browser",
        )
    with call.ledger() as ledger, view(ledger, session, clock=clock, tz=call.screen.zone) as found:
        desk = _Desk(Player(found.history, at), speed)
        console = Console()
        with keyboard() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
            while desk.is_open:
                picture = drawn(
                    desk.player,
                    call.screen,
                    pace=desk.pace,
                    prompt=desk.prompt,
                    said=desk.said,
                    height=console.height,
                )
                live.update(picture, refresh=True)
                desk.attend(keys)


class _Desk:
    """What the user does with a player."""

    def __init__(self, player: Player, speed: int) -> None:
        self.player = player
        self.is_open = True
        self.said = ""
        self._speed = speed
        self._since: float | None = None
        self._played = 0
        self._asking = ""
        self._typed = ""
        self._searched = ""
        self._keys: dict[str, Callable[[], None]] = {
            " ": self._toggle,
            "q": self._quit,
            "right": lambda: self._move(1),
            "left": lambda: self._move(-1),
            "up": lambda: self._move(100),
            "down": lambda: self._move(-100),
            "page up": lambda: self._move(1_000),
            "page down": lambda: self._move(-1_000),
            "home": lambda: self._move(-self.player.last_seq),
            "end": lambda: self.player.go_to("end"),
            "+": lambda: self._change_speed(1),
            "-": lambda: self._change_speed(-1),
            "n": lambda: self._answer("/", self._searched),
        }

    @property
    def pace(self) -> str:
        """How quickly it plays, in words."""
        return f"{'▶' if self._since is not None else '⏸'} {self._speed:,} events/s"

    @property
    def prompt(self) -> str:
        """What is being typed."""
        return f"{_PROMPTS[self._asking]}{self._typed}▏" if self._asking else ""

    def attend(self, keys: Keyboard) -> None:
        """Wait for a key, or for the next frame where it plays, and act on it."""
        patience = 1.0 if self._since is None else _FRAME_S
        for key in keys.keys(patience):
            try:
                self._press(key)
            except LedgerError as error:
                self.said = f"{error.message}; {error.hint}" if error.hint else error.message
        self._play_on()

    def _press(self, key: str) -> None:
        if self._asking:
            self._type(key)
            return
        self.said = ""
        if key in _PROMPTS:
            self._since = None
            self._asking, self._typed = key, ""
        elif key in self._keys:
            self._keys[key]()

    def _type(self, key: str) -> None:
        if key == "backspace":
            self._typed = self._typed[:-1]
        elif key in ("enter", "escape"):
            asked, self._asking = self._asking, ""
            if key == "enter" and self._typed.strip():
                self._answer(asked, self._typed.strip())
        elif len(key) == 1 and key.isprintable():
            self._typed += key

    def _answer(self, asked: str, text: str) -> None:
        if asked == "g":
            self.player.go_to(text)
            return
        if asked == "/":
            self._searched = text
        is_found = self.player.search(text) if asked == "/" else self.player.next_of_type(text)
        if not is_found:
            self.said = f"no event further on for {text!r}"

    def _play_on(self) -> None:
        """Move to where it should be by now."""
        if self._since is None:
            return
        due = int((time.monotonic() - self._since) * self._speed) - self._played
        # A machine that cannot keep up plays more slowly rather than not at all.
        self.player.move(min(due, 2_000))
        self._played += due
        if self.player.seq >= self.player.last_seq:
            self._since = None

    def _toggle(self) -> None:
        self._since = time.monotonic() if self._since is None else None
        self._played = 0

    def _move(self, by: int) -> None:
        self._since = None
        self.player.move(by)

    def _change_speed(self, by: int) -> None:
        nearer = [speed for speed in _SPEEDS if (speed - self._speed) * by > 0]
        self._speed = min(nearer, key=lambda speed: abs(speed - self._speed), default=self._speed)
        if self._since is not None:
            self._since, self._played = time.monotonic(), 0

    def _quit(self) -> None:
        self.is_open = False
