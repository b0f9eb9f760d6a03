"""From whatever ends a command to its message and its exit code."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, TextIO

import click
import msgspec

from ledger.cli.commands import COMMANDS
from ledger.cli.encoding import allow_drawing, allow_text
from ledger.errors import LedgerDamaged, LedgerError

__all__ = ["TERMINATED", "TIMED_OUT", "Terminated", "exit_code_of"]

TIMED_OUT: Final = 124
_INTERRUPTED: Final = 130
TERMINATED: Final = 143

_SUGGESTION: Final = re.compile(r"\.? \(?did you mean (?:one of: )?", re.IGNORECASE)

_REMEDIES: Final = {
    "damaged": "pledger verify",
    "export_damaged": "pledger export --help",
    "snapshot_damaged": "pledger snapshot",
    "store_unavailable": "pledger doctor",
    "store_refused": "pledger doctor",
    "schema_too_new": "pip install -U portfolio-ledger",
    "conflict": "pledger events -n 5",
    "rule": "pledger state",
    "missing_rate": "pledger append --help",
}

_LISTS: Final = {
    "session": "pledger sessions",
    "symbol": "pledger state",
    "figure": "pledger state -o csv",
    "event": "pledger events -n 5",
}


class Terminated(SystemExit):
    """SIGTERM came."""


def exit_code_of(
    action: Callable[[], None], arguments: Sequence[str], given: Mapping[str, Any]
) -> int:
    """Run a command to its end, report what went wrong on stderr, and return the exit code.

    Nobody has to read either stream: one whose reader has gone is written to no more.

    Args:
        action: The command.
        arguments: As they were typed.
        given: The global flags; filled while the command is parsed.
    """
    allow_text(sys.stdout)
    allow_drawing(sys.stderr)
    try:
        return _ended(action, arguments, given)
    finally:
        try:
            sys.stderr.flush()
        except BrokenPipeError:
            _abandon(sys.stderr)


def _ended(  # noqa: PLR0911  # one return per way to end reads best
    action: Callable[[], None], arguments: Sequence[str], given: Mapping[str, Any]
) -> int:
    try:
        with _terminable():
            action()
            sys.stdout.flush()
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except BrokenPipeError:
        _abandon(sys.stdout)
        return 0
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except Terminated:
        return TERMINATED
    except click.UsageError as error:
        return _report_usage(error, arguments, given)
    except LedgerError as error:
        asked = _asked(arguments)
        remedy = _remedy_for(error, asked) or f"{asked} --help"
        _report(error.message, error.hint, remedy, error.code, _Wish(arguments, given), error)
        return error.exit_code
    except Exception as error:  # noqa: BLE001  # the last boundary; nothing is swallowed
        wish = _Wish(arguments, given)
        message = f"unexpected {type(error).__name__}: {error}"
        hint = "this is a fault of the program, not of the command"
        _report(message, hint, f"{_asked(arguments)} -vv, for the traceback", "bug", wish, error)
        return 1
    return 0


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exit that runs what has to run at an end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _frame: object) -> NoReturn:
        raise Terminated(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _abandon(stream: TextIO) -> None:
    """Let what is still buffered go nowhere: its reader has gone, and that is no error."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Wish:
    """How errors are to be told; known even where the settings are what is wrong."""

    def __init__(self, arguments: Sequence[str], given: Mapping[str, Any]) -> None:
        from ledger.cli.settings import Settings

        flags = dict(given)
        typed = " ".join(arguments).replace("--output", "-o").replace("=", " ")
        if "output" not in flags and any(f in typed for f in ("-o json", "-ojson")):
            flags["output"] = "json"
        try:
            settings = Settings.load(flags, os.environ, Path.cwd())
        except (LedgerError, OSError):
            self.is_json = flags.get("output") == "json"
            self.has_trace = int(flags.get("verbose", 0)) > 1
        else:
            self.is_json = settings.output == "json"
            self.has_trace = settings.verbose > 1


def _report(
    message: str, hint: str, remedy: str, code: str, wish: _Wish, error: BaseException | None
) -> None:
    """Say what went wrong, then where or why, then a command that helps, if anybody listens."""
    with contextlib.suppress(BrokenPipeError):
        _say(message, hint, remedy, code, wish, error)


def _say(
    message: str, hint: str, remedy: str, code: str, wish: _Wish, error: BaseException | None
) -> None:
    if error is not None and wish.has_trace:
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"       {hint}", err=True)
    click.echo(f"  try: {remedy}", err=True)
    if wish.is_json:
        told = {"error": {"code": code, "message": message, "hint": hint or remedy}}
        click.echo(msgspec.json.encode(told), err=True)


def _report_usage(
    error: click.UsageError, arguments: Sequence[str], given: Mapping[str, Any]
) -> int:
    command = error.ctx.command_path if error.ctx else "pledger"
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        with contextlib.suppress(BrokenPipeError):
            click.echo(error.format_message(), err=True)
        return error.exit_code
    message, _, meant = _SUGGESTION.sub("\n", error.format_message().strip()).partition("\n")
    usage = error.ctx.command.get_usage(error.ctx) if error.ctx else ""
    usage = " ".join(usage.split()).replace("Usage:", "usage:")
    message = f"{message[:1].lower()}{message[1:].removesuffix('.')}"
    hint = f"did you mean {meant.rstrip('?)')}? {usage}" if meant else usage
    _report(message, hint, f"{command} --help", "usage", _Wish(arguments, given), None)
    return 2


def _remedy_for(error: LedgerError, asked: str) -> str:
    """Return the command that shows what there is; empty where only the help can tell."""
    if isinstance(error, LedgerDamaged) and (error.code, asked) == ("damaged", "pledger verify"):
        return f"pledger events '#{error.seq}..'" if error.seq else "pledger doctor"
    if error.code == "not_found":
        words = error.message.split()
        return next((_LISTS[word] for word in words if word in _LISTS), "")
    return _REMEDIES.get(error.code, "")


def _asked(arguments: Sequence[str]) -> str:
    """The command that was asked for, for a hint."""
    context = click.get_current_context(silent=True)
    if context is not None:
        return context.command_path
    return next((f"pledger {word}" for word in arguments if word in COMMANDS), "pledger")
