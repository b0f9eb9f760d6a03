"""``pledger export``: every event of a portfolio, with all that was recorded of it, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ledger.cli.call import Call
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.exporting import export_ledger

__all__ = ["export", "told"]


@command(
    "export",
    examples="""
    pledger export -O demo.ndjson.gz
    pledger export --portfolio demo -O demo.parquet
    pledger state --store file:demo.parquet --at 50%
    """,
)
@click.option("-O", "--to", "target", metavar="F", required=True, help="The file to write.")
def export(call: Call, target: str) -> None:
    """Write every event into one file, and lose nothing of it.

    Its name says its form: F.ndjson, F.csv (both also with .gz) or F.parquet; F.html is the report
    of pledger report. Each line is sealed onto the one before, so a file that was damaged is
    refused, with the line. --store file:F answers every question from it without a server, and
    pledger import takes it into another store.
    """
    path = Path(target)
    if path.suffix.lower() in (".html", ".htm"):
        from ledger.cli.report import write_report

        write_report(call, path, None)
        return
    with call.ledger() as ledger:
        ending = export_ledger(ledger, path)
    fields = {
        "file": str(path),
        "portfolio": ending.portfolio,
        "event_count": ending.event_count,
        "digest": ending.digest,
        "bytes": path.stat().st_size,
    }
    told(
        call,
        fields,
        f"{counted(ending.event_count, 'event')} of {ending.portfolio} to {path} · "
        f"digest {ending.digest}",
    )


def told(call: Call, fields: dict[str, Any], line: str) -> None:
    """Answer with fields, or as one line."""
    if call.screen.form == "json":
        call.screen.json(fields)
    elif call.screen.form == "csv":
        call.screen.csv(list(fields), [list(fields.values())])
    else:
        call.screen.lines([line])
