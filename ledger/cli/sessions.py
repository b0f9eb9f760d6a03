"""``pledger sessions``: every session with what came of it."""

from __future__ import annotations

from typing import Any, Final

from ledger.cli.call import Call
from ledger.cli.figures import counted, grouped
from ledger.cli.group import command
from ledger.cli.lines import moment_fields, moment_line
from ledger.cli.session_results import Result, results_of

__all__ = ["sessions"]

_FIGURES: Final = ("realized_pnl", "unrealized_pnl", "fees", "funding", "net_pnl", "drawdown")


@command(
    "sessions",
    examples="""
    pledger sessions
    pledger sessions -o json
    pledger state --session spring --at 50%
    """,
)
def sessions(call: Call) -> None:
    """List every session: its span, events, symbols, PnL, drawdown, and the digest at its end.

    PnL and fees are what the session added, in the base currency. Drawdown is the deepest that the
    profit fell below its highest within the session; deposits and withdrawals are no part of it.
    """
    screen = call.screen
    with call.ledger() as ledger:
        found, unknown = results_of(ledger)
        state = ledger.state()
        portfolio = ledger.portfolio
    if screen.form == "json":
        listed = [_fields(result) for result in found]
        screen.json({"portfolio": portfolio, **moment_fields(state), "sessions": listed})
    elif screen.form == "csv":
        rows = [_fields(result) for result in found]
        names = list(rows[0]) if rows else ["session"]
        screen.csv(names, [[_joined(value) for value in row.values()] for row in rows])
    elif found:
        _draw(call, found)
    if unknown:
        screen.note(f"no figures of sessions: {unknown}")
    screen.note(f"{counted(len(found), 'session')} in portfolio {portfolio}")
    screen.note(moment_line(state, screen))


def _fields(result: Result) -> dict[str, Any]:
    session = result.session
    return {
        "session": session.session,
        "state": session.state,
        "mode": session.mode,
        "clock": session.clock,
        "base_currency": session.base_currency,
        "first_seq": session.first_seq,
        "last_seq": session.last_seq,
        "event_count": session.event_count,
        "symbols": result.symbols,
        "recorded_from": session.recorded_from,
        "recorded_to": session.recorded_to,
        "occurred_from": session.occurred_from,
        "occurred_to": session.occurred_to,
        **{name: getattr(result.figures, name, None) for name in _FIGURES},
        "digest": result.digest,
    }


def _joined(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else value


def _draw(call: Call, found: list[Result]) -> None:
    from ledger.cli.tables import AMOUNT, PNL, WORD, drawn_table

    columns = [
        ("session", WORD),
        ("state", WORD),
        ("from", WORD),
        ("to", WORD),
        ("events", AMOUNT),
        ("symbols", AMOUNT),
        ("realized", PNL),
        ("unrealized", PNL),
        ("drawdown", AMOUNT),
        ("", WORD),
        ("digest", WORD),
    ]
    rows = [_row(call, result) for result in found]
    call.screen.show(drawn_table("Sessions", columns, rows))


def _row(call: Call, result: Result) -> list[str]:
    session = result.session
    is_recorded = session.clock == "recorded"
    figures = result.figures
    return [
        session.session,
        session.state,
        call.screen.second(session.recorded_from if is_recorded else session.occurred_from),
        call.screen.second(session.recorded_to if is_recorded else session.occurred_to),
        f"{session.event_count:,}",
        f"{len(result.symbols):,}",
        grouped(figures.realized_pnl if figures else None, signed=True),
        grouped(figures.unrealized_pnl if figures else None, signed=True),
        grouped(figures.drawdown if figures else None),
        session.base_currency,
        result.digest[:12],
    ]
