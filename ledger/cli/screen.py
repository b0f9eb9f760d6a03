"""Where a command answers: what was asked for on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import csv
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.amounts import plain
from ledger.cli.encoding import allow_drawing
from ledger.instants import format_instant

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ledger.cli.settings import Settings

__all__ = ["Screen", "written"]

_WIDTH_WITHOUT_TERMINAL = 2_000  # whoever reads a pipe wants figures whole


def written(value: Any) -> Any:
    """Return a value for JSON: amounts as plain decimal strings, times as ISO 8601 in UTC."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return format_instant(value, UTC)
    if isinstance(value, Mapping):
        return {key: written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [written(item) for item in value]
    return value


def _cell(value: Any) -> Any:
    """Return a value for CSV: nothing for ``None``, ``true`` and ``false`` as in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else written(value)


class Screen:
    """Writes answers in one form.

    Attributes:
        form: ``table``, ``json``, ``csv``, ``short`` or ``raw``.
        zone: Times in tables are shown in it.
    """

    def __init__(self, form: str, settings: Settings) -> None:
        self.form = form
        self.zone = settings.zone
        self._color = settings.color
        self._quiet = settings.quiet
        self._verbose = settings.verbose

    @property
    def is_watched(self) -> bool:
        """Whether progress is wanted: stderr is a terminal, and not under ``-q``."""
        return not self._quiet and sys.stderr.isatty()

    def note(self, text: str) -> None:
        """Say something about the answer, on stderr, unless ``-q`` asks for silence."""
        if not self._quiet:
            self.say(text)

    def tell(self, text: str) -> None:
        """Say what goes on, on stderr, where ``-v`` asks for it."""
        if self._verbose and not self._quiet:
            self.say(text)

    def warn(self, text: str) -> None:
        """Warn on stderr, also under ``-q``."""
        self.say(f"warning: {text}")

    @staticmethod
    def say(text: str, *, end: str = "\n") -> None:
        """Write to stderr; that nobody reads it any more stops nothing."""
        with contextlib.suppress(BrokenPipeError):
            sys.stderr.write(text + end)
            sys.stderr.flush()

    def lines(self, texts: Iterable[str]) -> None:
        """Write lines of the answer."""
        if self.form in ("table", "short"):
            allow_drawing(sys.stdout)
        sys.stdout.write("".join(f"{text}\n" for text in texts))

    def json(self, value: Any) -> None:
        """Write a value as one line of JSON."""
        sys.stdout.write(msgspec.json.encode(written(value)).decode() + "\n")

    def csv(self, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Write rows as CSV under a header."""
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([_cell(value) for value in row])

    def show(self, *parts: RenderableType) -> None:
        """Draw what rich can draw.

        Raises:
            BrokenPipeError: The reader of stdout has gone.
        """
        from rich.console import Console

        class Piped(Console):
            def on_broken_pipe(self) -> None:
                raise BrokenPipeError  # rich itself would end the process, and with 1

        allow_drawing(sys.stdout)
        is_terminal = sys.stdout.isatty()
        is_coloured = self._color == "always" or (
            self._color == "auto" and is_terminal and not os.environ.get("NO_COLOR")
        )
        console = Piped(
            file=sys.stdout,
            force_terminal=is_coloured,
            no_color=not is_coloured,
            color_system="standard" if is_coloured else None,
            width=None if is_terminal else _WIDTH_WITHOUT_TERMINAL,
            highlight=False,
            emoji=False,
            markup=False,
        )
        for part in parts:
            console.print(part)

    def moment(self, at: datetime | None) -> str:
        """Write an instant in the zone that was asked for."""
        return "—" if at is None else format_instant(at, self.zone)

    def second(self, at: datetime) -> str:
        """Write an instant to the second, for columns."""
        return format_instant(at.replace(microsecond=0), self.zone)
