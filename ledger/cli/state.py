"""``pledger state``: the portfolio as of a moment."""

from __future__ import annotations

import click

from ledger.cli.call import Call
from ledger.cli.events import require_symbols
from ledger.cli.group import command
from ledger.cli.lines import moment_line
from ledger.cli.parameters import MOMENT, clock_option
from ledger.cli.state_fields import state_fields, state_rows, unknown_figures
from ledger.errors import LedgerDamaged
from ledger.moments import Landmark, Moment
from ledger.state import PortfolioState
from ledger.sync_face import SyncLedger

__all__ = ["report_quarantine", "state", "state_as_asked"]


@command(
    "state",
    examples="""
    pledger state
    pledger state --at 14:32:05
    pledger state --at -15m --symbol AAPL
    pledger state --at '#1204' -o json
    pledger state --session spring --at 50% --clock recorded
    """,
)
@click.option(
    "--at", type=MOMENT, metavar="T", help="As of this moment, inclusive; by default now."
)
@click.option("--session", metavar="NAME", help="Its session, at whose end it is without --at.")
@click.option("--symbol", metavar="X", help="Only this symbol's positions and orders.")
@clock_option
def state(
    call: Call, at: Moment | None, session: str | None, symbol: str | None, clock: str | None
) -> None:
    """Show balances, positions and working orders as of a moment.

    T is 2026-11-20, 2026-11-20T14:32:05Z, 14:32:05, -15m, +1h30m, start, end, now, #1204, 50% or
    milliseconds since 1970. A figure that needs a rate nobody has recorded is shown as — with the
    reason on stderr. Where a symbol is in quarantine, the exit code is 4.
    """
    with call.ledger() as ledger:
        if symbol is not None:
            require_symbols([symbol], ledger.head().symbols)
        found = state_as_asked(call, ledger, at, session, clock)
        portfolio = ledger.portfolio
    screen = call.screen
    if screen.form == "json":
        screen.json({"portfolio": portfolio, **state_fields(found, symbol)})
    elif screen.form == "csv":
        screen.csv(("field", "value"), state_rows(state_fields(found, symbol)))
    else:
        from ledger.cli.state_tables import state_parts

        screen.show(*state_parts(found, portfolio, symbol, screen))
    if screen.form != "table":
        screen.note(moment_line(found, screen))
    if not found.quarantined:
        for reason in dict.fromkeys(unknown_figures(found).values()):
            screen.note(f"no totals in {found.base_currency or 'a base currency'}: {reason}")
    report_quarantine(found)


def state_as_asked(
    call: Call, ledger: SyncLedger, at: Moment | None, session: str | None, clock: str | None
) -> PortfolioState:
    """Return the state as of a moment of a session; without both, as of now.

    Raises:
        InvalidMoment, NotFound: It cannot be resolved.
    """
    if at is None and session is None:
        return ledger.state()
    moment = Landmark.END if at is None else at
    seq = ledger.resolve(moment, session=session, clock=clock, tz=call.screen.zone)
    return ledger.state(seq)


def report_quarantine(found: PortfolioState) -> None:
    """End with exit code 4 where streams are in quarantine.

    Raises:
        LedgerDamaged: Names the streams, the events and the rules.
    """
    if found.quarantined:
        told = "; ".join(
            f"{name or 'the portfolio'} since {reason}"
            for name, reason in found.quarantined.items()
        )
        raise LedgerDamaged(
            f"in quarantine: {told}",
            hint="these are shown as they were before that event; the other symbols are right",
        )
