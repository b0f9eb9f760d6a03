"""``pledger import``: an export into an empty portfolio."""

from __future__ import annotations

from pathlib import Path

import click

from ledger.cli.call import Call
from ledger.cli.export import told
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.importing import import_ledger

__all__ = ["import_"]


@command(
    "import",
    examples="""
    pledger import demo.ndjson.gz --portfolio restored
    pledger import demo.parquet --store redis://localhost
    pledger verify --portfolio restored
    """,
)
@click.argument("file", metavar="F")
@click.option("--resume", is_flag=True, help="Go on with an import that was interrupted.")
def import_(call: Call, file: str, resume: bool) -> None:
    """Take an export into a portfolio that has no events.

    The whole file is checked before the first event is written: every line, rule and figure, and
    the digest. What is damaged is refused with its line, and nothing is imported. Commits keep
    their ids, writers and times of occurrence; the time of recording is that of the import.
    """
    with call.ledger() as ledger:
        found = import_ledger(ledger, file, resume=resume)
        portfolio = ledger.portfolio
    fields = {
        "file": str(Path(file)),
        "portfolio": portfolio,
        "exported_from": found.exported_from,
        "event_count": found.event_count,
        "commit_count": found.commit_count,
        "digest": found.digest,
    }
    told(
        call,
        fields,
        f"{counted(found.event_count, 'event')} in {counted(found.commit_count, 'commit')} "
        f"imported into {portfolio} · digest {found.digest}",
    )
