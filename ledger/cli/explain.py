"""``pledger explain`` and ``pledger find``: why a figure is so, and when it became so."""

from __future__ import annotations

from typing import Any

import click

from ledger.cli.analysis import (
    looked_back,
    range_argument,
    session_option,
    shown_figure,
    span_of_range,
    table_of,
    write_answer,
)
from ledger.cli.call import Call
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.cli.parameters import MOMENT, clock_option
from ledger.moments import Moment, MomentRange
from replay import Turn, row_from

__all__ = ["explain", "find"]


@command(
    "explain",
    examples="""
    pledger explain equity
    pledger explain positions.AAPL.realized_pnl --at 14:32:05
    pledger explain balances.USD.fees -n 5
    pledger explain positions.KRW-BTC.quantity -o json
    """,
)
@click.argument("field")
@click.option("--at", type=MOMENT, metavar="T", help="As of this moment; by default the end.")
@click.option("-n", "limit", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
@session_option
@clock_option
def explain(
    call: Call,
    field: str,
    at: Moment | None,
    limit: int | None,
    session: str | None,
    clock: str | None,
) -> None:
    """Show the events that made a figure, and what each contributed.

    FIELD is a path such as equity, balances.USD.cash or positions.AAPL.realized_pnl; it may be
    anything that pledger state -o json shows. The contributions add up to the figure exactly; with
    -n, those before the last N stand together in one line.
    """
    with looked_back(call, session, clock) as seen:
        found = seen.explain(field, at)
        state = seen.at(seq=found.seq)
    kept = found.contributions[-limit:] if limit else found.contributions
    rows = [row_from(contribution) for contribution in kept]
    count = len(found.contributions)
    more = {"path": found.path, "value": found.value, "contribution_count": count}
    fields = ("seq", "recorded_at", "occurred_at", "type", "symbol", "amount", "before", "after")
    if not write_answer(call, seen, state, "contributions", rows, fields=fields, **more):
        return
    from ledger.cli.tables import AMOUNT, PNL, WORD

    if len(kept) < count:
        earlier = kept[0].before
        rows = [{"type": f"{counted(count - len(kept), 'earlier event')}", "after": earlier}, *rows]
        rows[0]["amount"] = earlier if kept[0].amount is not None else None
    columns = [
        ("event", AMOUNT, "seq"),
        ("when", WORD, "occurred_at"),
        ("type", WORD, "type"),
        ("symbol", WORD, "symbol"),
        ("contribution", PNL, "amount"),
        (found.path.rpartition(".")[2], AMOUNT, "after"),
    ]
    title = f"{found.path} = {shown_figure(call, found.value)}"
    call.screen.show(table_of(call, title, columns, rows))
    call.screen.note(f"made by {counted(count, 'event')}")


@command(
    "find",
    examples="""
    pledger find 'equity < 99000'
    pledger find 'positions.AAPL.quantity != 0 and unrealized_pnl < -500'
    pledger find 'len(positions) > 3' 25%..75%
    pledger find 'positions["KRW-BTC"].quantity > 1' --exit-code -o json
    """,
)
@click.argument("expression", metavar="EXPR")
@range_argument
@click.option("--exit-code", is_flag=True, help="End with 1 where it never became true.")
@session_option
@clock_option
def find(
    call: Call,
    expression: str,
    moments: MomentRange | None,
    exit_code: bool,
    session: str | None,
    clock: str | None,
) -> None:
    """Show each moment at which a condition on the state became true, or ceased to be.

    EXPR compares figures as pledger explain names them, with + - * /, and, or, not, abs, min, max
    and len; it is evaluated after every event.
    """
    with looked_back(call, session, clock) as seen:
        since, until = span_of_range(call, seen, moments, clock)
        turns = seen.find(expression, since, until)
        state = seen.at(until)
    rows = [_turned(turn) for turn in turns]
    if write_answer(call, seen, state, "turns", rows, fields=_TURN, expression=expression):
        from ledger.cli.tables import AMOUNT, WORD

        columns = [
            ("event", AMOUNT, "seq"),
            ("when", WORD, "occurred_at"),
            ("became", WORD, "became"),
            ("by", WORD, "type"),
            ("symbol", WORD, "symbol"),
        ]
        if rows:
            words = [row | {"became": "true" if row["became"] else "false"} for row in rows]
            if turns[0].event is None:
                words[0]["type"] = "held at the start"
            call.screen.show(table_of(call, expression, columns, words))
        held = sum(1 for turn in turns if turn.became)
        call.screen.note(f"{expression}: became true {counted(held, 'time')}")
    if exit_code and not turns:
        click.get_current_context().exit(1)


_TURN = ("seq", "became", "recorded_at", "occurred_at", "type", "symbol")


def _turned(turn: Turn) -> dict[str, Any]:
    event = turn.event
    return {
        "seq": turn.seq,
        "became": turn.became,
        "recorded_at": turn.recorded_at,
        "occurred_at": turn.occurred_at,
        "type": None if event is None else event.type,
        "symbol": (event.symbol or None) if event else None,
    }
