"""``pledger report``: a session in one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from ledger.cli.call import Call
from ledger.cli.export import told
from ledger.cli.group import command
from ledger.errors import InvalidInput
from replay import view
from replay.report import write_report as write_page

__all__ = ["report", "write_report"]


def write_report(call: Call, path: Path, session: str | None) -> None:
    """Write the report of a session, by default the last one, and say so.

    Raises:
        InvalidInput: The file cannot be written.
        NotFound: There is no such session, or the portfolio has no events.
    """
    if not path.parent.is_dir() or path.is_dir():
        what = "is a directory" if path.is_dir() else "is in no directory that there is"
        raise InvalidInput(f"{path} {what}", hint="name a file in a directory that there is")
    with call.ledger() as ledger, view(ledger, session, tz=call.screen.zone) as shown:
        write_page(shown.history, path)
        fields = {"file": str(path), "session": shown.name, "bytes": path.stat().st_size}
    told(call, fields, f"report of {fields['session']} in {path}; open it in a browser")


@command(
    "report",
    examples="""
    pledger report -O session.html
    pledger report --portfolio demo --session demo -O demo.html
    pledger report --store file:demo.parquet -O demo.html
    """,
)
@click.option("-O", "--to", "target", metavar="F.html", required=True, help="The file to write.")
@click.option("--session", metavar="NAME", help="Which session; by default the last one.")
def report(call: Call, target: str, session: str | None) -> None:
    """Write a session into one HTML file: nothing else is needed to read it, not even a network.

    Equity and drawdown, PnL by symbol and period, trades, orders, refusals, and a slider that shows
    the portfolio after any event, in the figures of the one fold.
    """
    write_report(call, Path(target), session)
