"""``pledger server``: the embedded store in the foreground."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from ledger.cli.call import Call
from ledger.cli.failures import Terminated
from ledger.cli.group import command
from ledger.embedded import EmbeddedServer, serve
from ledger.errors import InvalidInput

__all__ = ["server"]


@command(
    "server",
    examples="""
    pledger server
    pledger server --store embedded:/var/lib/pledger
    pledger server --binary /usr/bin/redis-server
    """,
)
@click.option(
    "--binary",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="PLEDGER_SERVER_BINARY",
    metavar="PATH",
    help="The Valkey or Redis server to start. [PLEDGER_SERVER_BINARY]",
)
def server(call: Call, binary: Path | None) -> None:
    """Run the embedded store in the foreground until Ctrl-C or SIGTERM.

    Its URL is printed once it is ready. Commands that name the same directory share it; when this
    one ends while others use it, it goes on for them and stops with the last.
    """
    scheme, _, rest = call.settings.store.partition(":")
    if scheme != "embedded":
        raise InvalidInput(
            f"--store: {call.settings.store!r} is no embedded store",
            hint="only embedded:DIR is ours to run; a server runs by itself",
        )
    screen = call.screen

    def ready(started: EmbeddedServer) -> None:
        fields = {"url": started.url, "directory": str(started.directory), "pid": started.pid}
        if screen.form == "json":
            screen.json(fields)
        elif screen.form == "csv":
            screen.csv(list(fields), [list(fields.values())])
        else:
            screen.lines([started.url])
        sys.stdout.flush()
        screen.note(f"serving {started.directory} as process {started.pid}; Ctrl-C ends it")

    ended_by = serve(Path(rest or "./.pledger"), binary=binary, ready=ready)
    screen.note("stopped")
    if ended_by == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated(128 + signal.SIGTERM)
