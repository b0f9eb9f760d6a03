"""``pledger append``: JSON lines in, one commit out."""

from __future__ import annotations

from typing import BinaryIO

import click

from ledger.cli.call import Call
from ledger.cli.events import write_events
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.cli.lines import moment_line
from ledger.cli.parameters import SEQUENCE_NUMBER
from ledger.codec import MAX_LINE_BYTES, event_from_line
from ledger.commit import Commit
from ledger.doctor import problems
from ledger.errors import InvalidInput, LedgerError, RuleViolation
from ledger.event import Event
from ledger.reading import MAX_COMMIT_EVENTS
from ledger.sync_face import SyncLedger

__all__ = ["append", "warn_of_problems"]


@command(
    "append",
    examples="""
    echo '{"type":"CashDeposited","data":{"currency":"USD","amount":"1000"}}' | pledger append -
    pledger append --commit import-2026-11-20 events.ndjson
    pledger append --expect 1204 - < events.ndjson
    """,
)
@click.argument("source", metavar="-", type=click.File("rb"))
@click.option(
    "--expect", type=SEQUENCE_NUMBER, metavar="N", help="Refuse unless #N is the last event."
)
@click.option(
    "--commit", "commit_id", metavar="ID", help="An id of your own; sent again it appends once."
)
def append(call: Call, source: BinaryIO, expect: int | None, commit_id: str | None) -> None:
    """Append events from stdin (or a file), one JSON object a line, as one commit.

    All lines are appended or none. A line is {"type":…,"symbol":…,"occurred_at":…,"data":{…}}:
    the symbol is left out for what concerns the whole portfolio, occurred_at defaults to now.
    What the store assigned is printed, one line an event.
    """
    if source.isatty():
        call.screen.note("reading events, one a line; end with Ctrl-D")
    given, numbers = _events_from(source)
    with call.ledger() as ledger:
        warn_of_problems(call, ledger)
        try:
            commit = ledger.append(given, expected=expect, commit_id=commit_id)
        except RuleViolation as error:
            if error.index is not None:
                error.message = f"line {numbers[error.index]}: {error.message}"
            raise
        write_events(call, ledger.tail(after=commit.first_seq - 1, until=commit.seq))
        call.screen.note(_told(commit))
        call.screen.note(moment_line(ledger.state(commit.seq), call.screen))


def _events_from(source: BinaryIO) -> tuple[list[Event], list[int]]:
    """Read the events, and the number of the line of each."""
    found: list[Event] = []
    numbers: list[int] = []
    number = 0
    while line := source.readline(MAX_LINE_BYTES + 2):
        number += 1
        if not line.strip():
            continue
        try:
            found.append(event_from_line(line))
            numbers.append(number)
        except LedgerError as error:
            error.message = f"line {number}: {error.message}"
            raise
        if len(found) > MAX_COMMIT_EVENTS:
            raise InvalidInput(
                f"line {number}: a commit has at most {MAX_COMMIT_EVENTS:,} events",
                hint="append the lines as several commits",
            )
    if not found:
        raise InvalidInput(
            "there is no event to append: the input is empty",
            hint='write {"type":"PriceMarked","symbol":"AAPL","data":{"price":"187.40"}}',
        )
    return found, numbers


def _told(commit: Commit) -> str:
    count = commit.seq - commit.first_seq + 1
    numbers = f"#{commit.seq:,}" if count == 1 else f"#{commit.first_seq:,} to #{commit.seq:,}"
    verb = "had been appended before" if commit.is_repeat else "appended"
    return f"{counted(count, 'event')} {verb} as {numbers}, commit {commit.id}"


def warn_of_problems(call: Call, ledger: SyncLedger) -> None:
    """Warn, before anything is written, of a server that could lose it."""
    for found in problems(ledger):
        call.screen.warn(f"{found.message}; {found.hint} (pledger doctor tells more)")
