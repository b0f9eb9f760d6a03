"""``pledger groups``: how consumer groups stand, and what becomes of parked events."""

from __future__ import annotations

from typing import Any, Final

import click

from ledger.cli.call import Call
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.cli.parameters import SEQUENCE_NUMBER
from ledger.group_status import GroupStatus, Parked

__all__ = ["groups"]

_PARKED: Final = (
    "seq",
    "symbol",
    "revision",
    "type",
    "attempt_count",
    "parked_at",
    "is_waited_for",
    "is_retrying",
    "error",
)


@command(
    "groups",
    examples="""
    pledger groups
    pledger groups parked risk
    pledger groups retry risk '#1204'
    pledger groups drop risk --all
    pledger tail --group risk --consumer risk-1 -f -o json
    """,
)
@click.argument("action", metavar="[ACTION]", default="list")
@click.argument("group", metavar="[GROUP]", default="")
@click.argument("seq", metavar="[#N]", required=False, type=SEQUENCE_NUMBER)
@click.option("--all", "is_all", is_flag=True, help="Retry or drop every parked event.")
def groups(call: Call, action: str, group: str, seq: int | None, is_all: bool) -> None:
    """List groups: their lag in events and seconds, their consumers, what is parked.

    Actions: list (the default); parked GROUP lists its parked events with their errors; retry
    GROUP #N has one delivered again; drop GROUP #N gives it up, and its symbol goes on.
    """
    if action == "list" and not group:
        return _list(call)
    _refuse_odd(action, group, seq, is_all)
    if action == "parked":
        return _list_parked(call, group)
    with call.ledger() as ledger:
        decided = ledger.retry_parked if action == "retry" else ledger.drop_parked
        count = decided(group, seq)
    answer = {"group": group, "action": action, "event_count": count}
    if call.screen.form == "json":
        call.screen.json(answer)
    elif call.screen.form == "csv":
        call.screen.csv(list(answer), [list(answer.values())])
    else:
        done = "will be retried" if action == "retry" else "dropped"
        call.screen.lines([f"{counted(count, 'event')} of group {group} {done}"])
    return None


def _refuse_odd(action: str, group: str, seq: int | None, is_all: bool) -> None:
    context = click.get_current_context()
    if action not in ("parked", "retry", "drop"):
        raise click.UsageError(f"{action!r} is no action: list, parked, retry or drop", context)
    if not group:
        raise click.UsageError(f"{action} needs the name of a group; groups lists them", context)
    if action != "parked" and (seq is None) != is_all:
        raise click.UsageError(f"{action} needs an event, such as #7, or --all", context)


def _list(call: Call) -> None:
    with call.ledger() as ledger:
        found = ledger.groups()
        portfolio = ledger.portfolio
    screen = call.screen
    rows = [_fields(status) for status in found]
    if screen.form == "json":
        screen.json({"portfolio": portfolio, "groups": rows})
    elif screen.form == "csv":
        names = list(rows[0]) if rows else ["group"]
        screen.csv(names, [[_flat(value) for value in row.values()] for row in rows])
    elif found:
        _draw(call, found)
    screen.note(f"{counted(len(found), 'group')} in portfolio {portfolio}")


def _fields(status: GroupStatus) -> dict[str, Any]:
    return {
        "group": status.name,
        "symbols": None if status.symbols is None else list(status.symbols),
        "lag_events": status.event_count,
        "lag_seconds": round(status.seconds, 3),
        "parked": status.parked_count,
        "waiting": list(status.waiting),
        "consumers": {each.name: list(each.symbols) for each in status.consumers},
    }


def _flat(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list | dict) else value


def _draw(call: Call, found: list[GroupStatus]) -> None:
    from ledger.cli.tables import AMOUNT, WORD, drawn_table

    columns = [
        ("group", WORD),
        ("symbols", WORD),
        ("behind", AMOUNT),
        ("seconds", AMOUNT),
        ("parked", AMOUNT),
        ("waiting", WORD),
        ("consumers", WORD),
    ]
    rows = [
        [
            status.name,
            "all" if status.symbols is None else f"{len(status.symbols):,}",
            f"{status.event_count:,}",
            f"{status.seconds:,.1f}",
            f"{status.parked_count:,}",
            " ".join(symbol or "-" for symbol in status.waiting),
            " ".join(f"{each.name}({len(each.symbols)})" for each in status.consumers),
        ]
        for status in found
    ]
    call.screen.show(drawn_table("Groups", columns, rows))


def _list_parked(call: Call, group: str) -> None:
    with call.ledger() as ledger:
        found = ledger.parked(group)
    screen = call.screen
    rows = [[getattr(parked, name) for name in _PARKED] for parked in found]
    if screen.form == "json":
        listed = [dict(zip(_PARKED, row, strict=True)) for row in rows]
        screen.json({"group": group, "parked": listed})
    elif screen.form == "csv":
        screen.csv(_PARKED, rows)
    elif found:
        _draw_parked(call, group, found)
    screen.note(f"{counted(len(found), 'event')} parked in group {group}")


def _draw_parked(call: Call, group: str, found: list[Parked]) -> None:
    from ledger.cli.tables import AMOUNT, WORD, drawn_table

    columns = [
        ("#", AMOUNT),
        ("symbol", WORD),
        ("type", WORD),
        ("tried", AMOUNT),
        ("parked at", WORD),
        ("", WORD),
        ("error", WORD),
    ]
    rows = [
        [
            f"{parked.seq}",
            parked.symbol or "-",
            parked.type,
            f"{parked.attempt_count}",
            call.screen.second(parked.parked_at),
            _stage(parked),
            parked.error,
        ]
        for parked in found
    ]
    call.screen.show(drawn_table(f"Parked in {group}", columns, rows))


def _stage(parked: Parked) -> str:
    if parked.is_retrying:
        return "is retried"
    return "its symbol waits" if parked.is_waited_for else "skipped"
