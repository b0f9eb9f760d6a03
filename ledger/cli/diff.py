"""``pledger diff`` and ``pledger what-if``: in what two states differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from ledger.amounts import subtract
from ledger.cli.analysis import looked_back, session_option, table_of, write_answer
from ledger.cli.call import Call
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.cli.parameters import MOMENT, clock_option
from ledger.errors import InvalidInput
from ledger.moments import Moment, parse_moment
from replay import Change, Difference, SessionView, WhatIf, row_from, view

__all__ = ["diff", "what_if"]

_MOST_EVENTS: Final = 20_000
_SHOWN_EVENTS: Final = 3
_OF_POSITION: Final = ("quantity", "entry_price", "unrealized_pnl")
_FIELDS: Final = ("path", "before", "after", "change", "events")


@command(
    "diff",
    examples="""
    pledger diff 14:30 14:45
    pledger diff start end
    pledger diff '#1200' '#1204' -o json
    pledger diff monday tuesday --exit-code
    """,
)
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@click.option("--exit-code", is_flag=True, help="End with 1 where anything differs.")
@session_option
@clock_option
def diff(
    call: Call, a: str, b: str | None, exit_code: bool, session: str | None, clock: str | None
) -> None:
    """Show every figure that changed from A to B, and by which events.

    A and B are moments, or the names of sessions, which stand for their ends; B is by default the
    end. The events are named for stretches of at most 20,000.
    """
    with looked_back(call, session, clock) as seen:
        found = _compared(call, seen, a, b)
    rows = [_changed(change) for change in found.changes]
    more = {"from_seq": found.before.seq, "event_count": found.event_count}
    if write_answer(call, seen, found.after, "changes", rows, fields=_FIELDS, **more):
        _draw(call, f"#{found.before.seq:,} to #{found.after.seq:,}", found.changes)
        differ = counted(len(found.changes), "figure")
        call.screen.note(f"{differ} changed over {counted(found.event_count or 0, 'event')}")
    if exit_code and found:
        click.get_current_context().exit(1)


def _compared(call: Call, seen: SessionView, a: str, b: str | None) -> Difference:
    known = {session.session for session in seen.history.ledger.sessions()}
    first, last = (_seq_of(call, seen, text, known) for text in (a, b or "end"))
    return seen.diff(first, last, with_events=abs(last - first) <= _MOST_EVENTS)


def _seq_of(call: Call, seen: SessionView, text: str, sessions: set[str]) -> int:
    """The end of the session of that name, or else the moment in the session that is meant."""
    if text in sessions:
        return view(seen.history.ledger, text, tz=call.screen.zone).history.last_seq
    return seen.history.seq(parse_moment(text))


def _changed(change: Change) -> dict[str, Any]:
    row = row_from(change)
    grown = None
    if _is_amount(change.before) and _is_amount(change.after):
        grown = subtract(change.after, change.before)  # type: ignore[arg-type]
    return {"path": row["path"], "before": row.get("before"), "after": row.get("after")} | {
        "change": grown,
        "events": change.events,
    }


def _is_amount(value: object) -> bool:
    return hasattr(value, "as_tuple")


def _draw(call: Call, title: str, changes: Sequence[Change]) -> None:
    from ledger.cli.tables import AMOUNT, PNL, WORD

    rows = [_changed(change) for change in changes if _is_for_table(change)]
    for row in rows:
        row["events"] = _numbers(row["events"])
    columns = [
        ("figure", WORD, "path"),
        ("before", AMOUNT, "before"),
        ("after", AMOUNT, "after"),
        ("change", PNL, "change"),
        ("by", WORD, "events"),
    ]
    if rows:
        call.screen.show(table_of(call, title, columns, rows))
    if len(rows) < len(changes):
        left_out = counted(len(changes) - len(rows), "further detail")
        call.screen.note(f"{left_out} of orders and positions; -o json lists them")


def _is_for_table(change: Change) -> bool:
    """Of an order its status, of a position its quantity and prices: the rest follows from them.

    An order that vanishes was done long ago and has just made room for another.
    """
    root, _, rest = change.path.partition(".")
    field = rest.rpartition(".")[2]
    if root == "per_symbol_orders":
        return field == "status" and change.after is not None
    return root != "per_symbol_positions" or field in _OF_POSITION


def _numbers(events: Sequence[int]) -> str:
    shown = " ".join(f"#{seq}" for seq in events[:_SHOWN_EVENTS])
    more = len(events) - _SHOWN_EVENTS
    return f"{shown} and {more:,} more" if more > 0 else shown


def _dropped(values: Sequence[str]) -> set[int]:
    """Read sequence numbers, each alone or several with commas between."""
    found = set()
    for part in ",".join(values).split(","):
        digits = part.strip().removeprefix("#")
        if not digits.isdecimal():
            raise InvalidInput(f"--drop: {part!r} is no sequence number", hint="write '#12,#15'")
        found.add(int(digits))
    return found


@command(
    "what-if",
    examples="""
    pledger what-if --drop '#1188'
    pledger what-if --drop '#12,#15' --until '#400'
    pledger what-if --rule cost-basis=fifo
    pledger what-if --rule fee-rate=0.001 -o json
    """,
)
@click.option("--drop", multiple=True, metavar="#N,…", help="Events that did not happen.")
@click.option("--rule", "rules", multiple=True, metavar="NAME=VALUE", help="See below.")
@click.option("--until", type=MOMENT, metavar="T", help="Up to this moment; by default the end.")
@session_option
@clock_option
def what_if(
    call: Call,
    drop: Sequence[str],
    rules: Sequence[str],
    until: Moment | None,
    session: str | None,
    clock: str | None,
) -> None:
    """Fold the history anew with something changed, and show in what the outcome differs.

    Rules: cost-basis=average, fifo or lifo; fee-rate=R, what every trade costs as a part of its
    value. Events that would not have been possible are left out and listed. Nothing is written.
    """
    if not drop and not rules:
        raise InvalidInput("nothing is changed", hint="give --drop or --rule")
    changed = _rules(rules)
    with looked_back(call, session, clock) as seen:
        found = seen.what_if(drop=_dropped(drop) if drop else (), until=until, **changed)
    rows = [_changed(change) for change in found.changes]
    refused = found.refused.rows()
    more = {"refused": refused, "digest_if": found.after.digest}
    if write_answer(call, seen, found.before, "changes", rows, fields=_FIELDS, **more):
        _draw_outcome(call, found)


def _draw_outcome(call: Call, found: WhatIf) -> None:
    from ledger.cli.tables import AMOUNT, WORD

    _draw(call, "What would be different", found.changes)
    if found.refused:
        columns = [
            ("event", AMOUNT, "seq"),
            ("type", WORD, "type"),
            ("symbol", WORD, "symbol"),
            ("not possible, because", WORD, "reason"),
        ]
        call.screen.show(table_of(call, "Left out", columns, found.refused.rows()))
    figures = counted(len(found.changes), "figure")
    others = counted(len(found.refused), "other event")
    call.screen.note(f"{figures} would differ; {others} would not have been possible")


def _rules(texts: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if name == "cost-basis" and value in ("average", "fifo", "lifo"):
            found["cost_basis"] = value
        elif name == "fee-rate" and value:
            found["fee_rate"] = value
        else:
            raise InvalidInput(
                f"--rule: {text!r} is no rule",
                hint="cost-basis=average, cost-basis=fifo, cost-basis=lifo or fee-rate=0.001",
            )
    return found
