"""The group that imports a command when it is invoked, and what all commands have in common."""

from __future__ import annotations

import functools
import importlib
import re
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, Final

import click

from ledger.cli.commands import COMMANDS, attribute_of, variable_of
from ledger.cli.failures import exit_code_of

__all__ = ["FORMS", "PledgerCommand", "PledgerGroup", "command"]

FORMS: Final = ("table", "json", "csv")

_EVERY_FORM: Final = ("table", "json", "csv", "short", "raw")
_BEGINS_WITH_DASH: Final = re.compile(r"-(?:\d+(?:ms|[wdhms]))+(?:\.\..*)?", re.ASCII)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Note a global flag; where it stands before and after the command, the latter counts."""
    if value is not None and value is not False and value != 0:
        context.obj[parameter.name] = value


def _show_version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        try:
            version = metadata.version("portfolio-ledger")
        except metadata.PackageNotFoundError:
            version = "(run from its source, not installed)"
        click.echo(f"pledger {version}")
        context.exit()


def _global_options(forms: Sequence[str]) -> list[click.Parameter]:
    """Make the options that work before and after a command's name."""

    def option(*names: str, describe: str, **more: Any) -> click.Option:
        name = next(part for part in names if part.startswith("--"))[2:]
        text = f"{describe} [{variable_of(name)}]"
        return click.Option(list(names), help=text, expose_value=False, callback=_keep, **more)

    color = click.Choice(["auto", "always", "never"])
    return [
        option("--store", metavar="URL", describe="Where the ledger is."),
        option("--portfolio", metavar="NAME", describe="Which portfolio."),
        option("-o", "--output", type=click.Choice(forms), describe="The form of the answer."),
        option("-q", "--quiet", is_flag=True, describe="Say nothing on stderr but errors."),
        option("-v", "--verbose", count=True, describe="Say more; -vv adds tracebacks."),
        option("--color", type=color, describe="Whether to colour tables."),
        option("--tz", metavar="ZONE", describe="The zone of times shown and read."),
        option("--patience", metavar="SECONDS", describe="How long to try a store that is away."),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version and exit.",
        ),
    ]


def _write_options(
    context: click.Context, formatter: click.HelpFormatter, own: Sequence[click.Parameter]
) -> None:
    """Write a command's own options first, then those that work everywhere."""
    names = {parameter.name for parameter in own}
    rows: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[1]:  # an argument is told in the text
            rows[parameter.name in names].append(record)
    for title, is_own in (("Options", True), ("Everywhere", False)):
        if rows[is_own]:
            with formatter.section(title):
                formatter.write_dl(rows[is_own])


class PledgerCommand(click.Command):
    """A command with the global options, examples in its help, and moments as arguments.

    Attributes:
        forms: The forms its answer can have, its default first.
    """

    def __init__(
        self,
        name: str,
        *,
        forms: Sequence[str],
        examples: str,
        params: list[click.Parameter],
        **attributes: Any,
    ) -> None:
        self._own = params
        self.forms = tuple(forms)
        self.examples = examples.strip().splitlines()
        every = [*params, *_global_options(forms)]
        super().__init__(name, params=every, **attributes)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, with ``-15m`` and ``-15m..`` being moments and no options."""
        # A space in front keeps click from seeing an option; reading a moment ignores it.
        guarded = [f" {arg}" if _BEGINS_WITH_DASH.fullmatch(arg) else arg for arg in args]
        return super().parse_args(ctx, guarded)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options in two parts."""
        _write_options(ctx, formatter, self._own)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples as they can be pasted."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"  {line.strip()}\n")


def command(
    name: str, *, examples: str, forms: Sequence[str] = FORMS
) -> Callable[[Callable[..., None]], PledgerCommand]:
    """Make a command of a function that takes a :class:`~ledger.cli.call.Call` and its options.

    Args:
        name: As users type it.
        examples: Lines for its help.
        forms: What ``-o`` may be, the default first.
    """

    def enter(function: Callable[..., None]) -> PledgerCommand:
        @functools.wraps(function)
        def callback(**arguments: Any) -> None:
            from ledger.cli.call import Call  # loads what the help does without

            context = click.get_current_context()
            function(Call(context.obj, forms), **arguments)

        made = click.command(name, cls=PledgerCommand, forms=forms, examples=examples)
        return made(callback)

    return enter


class PledgerGroup(click.Group):
    """``pledger``, or the part of it that ``python -m runner`` or ``python -m replay`` offers."""

    def __init__(self, part: str | None = None) -> None:
        super().__init__(
            "pledger",
            help="The portfolio ledger: append events, read them back as a portfolio, prove it.",
            params=_global_options(_EVERY_FORM),
            no_args_is_help=True,
        )
        self._part = part

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return [name for name, e in COMMANDS.items() if self._part in (None, e.part)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return it."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(COMMANDS[cmd_name].module)
        found: click.Command = getattr(module, attribute_of(cmd_name))
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which names are near."""
        import difflib

        name = args[0]
        names = self.list_commands(ctx)
        if name not in names and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, names, 3)
            meant = f" (did you mean {' or '.join(near)}?)" if near else ""
            ctx.fail(f"there is no command {name!r}{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, without importing what it names."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write examples and where to read on."""
        with formatter.section("Examples"):
            for line in _EXAMPLES:
                formatter.write(f"  {line}\n")
        formatter.write("\nEvery command has --help with examples of its own.\n")

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        **_extra: Any,
    ) -> None:
        """Run and exit; every end has its exit code."""
        arguments = list(sys.argv[1:] if args is None else args)
        name = prog_name or (f"python -m {self._part}" if self._part else "pledger")
        self._main_shell_completion({}, name, complete_var)
        given: dict[str, Any] = {}

        def action() -> None:
            with self.make_context(name, list(arguments), obj=given) as context:
                self.invoke(context)

        sys.exit(exit_code_of(action, arguments, given))


_EXAMPLES: Final = (
    "pledger sessions",
    "pledger state --at 50%",
    "pledger events --type OrderFilled -n 10",
    "pledger tail -f -o json",
)
