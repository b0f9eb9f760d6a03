"""``pledger snapshot``: save the state, so that reading begins there."""

from __future__ import annotations

from ledger.cli.call import Call
from ledger.cli.group import command
from ledger.cli.lines import moment_fields, moment_line
from ledger.errors import InvalidInput, NotFound

__all__ = ["snapshot"]


@command(
    "snapshot",
    examples="""
    pledger snapshot
    pledger snapshot -o json
    """,
)
def snapshot(call: Call) -> None:
    """Take a snapshot of the portfolio as it is now.

    A snapshot only saves time: every answer is the same without it, and the ledger takes some by
    itself.
    """
    with call.ledger() as ledger:
        if ledger.store.kind == "file":
            raise InvalidInput(
                "an export takes no snapshot: it is only read", hint="import it into a store first"
            )
        if not ledger.head().seq:
            raise NotFound(
                f"portfolio {ledger.portfolio!r} has no event to take a snapshot of",
                hint="name another with --portfolio",
            )
        state = ledger.state(ledger.snapshot().seq)
    screen = call.screen
    fields = moment_fields(state)
    if screen.form == "json":
        screen.json(fields)
    elif screen.form == "csv":
        screen.csv(list(fields), [list(fields.values())])
    else:
        screen.lines([f"snapshot of {ledger.portfolio}", moment_line(state, screen)])
