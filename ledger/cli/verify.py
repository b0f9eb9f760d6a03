"""``pledger verify``: whether the log is what was written, and its figures what must follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import click
import msgspec

from ledger.cli.call import Call
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.cli.lines import moment_line
from ledger.errors import LedgerDamaged
from replay.verify import Verification
from replay.verify import verify as verify_ledger

__all__ = ["verify"]

_SHOWN = 20


@command(
    "verify",
    examples="""
    pledger verify
    pledger verify --full
    pledger verify -o json
    """,
)
@click.option("--full", is_flag=True, help="Check after every event, and every snapshot.")
def verify(call: Call, full: bool) -> None:
    """Prove the ledger: read every entry, fold every event from nothing, check every figure.

    Gaps, duplicates, order, seals, rules, double entry, positions, both views, snapshots. It
    reports and never mends. Where something is wrong the exit code is 4 and the first wrong event
    is named.
    """
    with call.ledger() as ledger:
        found = verify_ledger(ledger, full=full, progress=_progress(call))
        if call.screen.form == "json":
            call.screen.json({"portfolio": ledger.portfolio, **msgspec.to_builtins(found)})
        elif call.screen.form == "csv":
            call.screen.csv(("row", "name", "ok", "count_or_seq", "detail"), _rows(found))
        else:
            _draw(call, found)
        if found.ok:
            call.screen.note(moment_line(ledger.state(found.seq), call.screen))
            return
    raise _damage(found)


def _rows(found: Verification) -> Iterator[tuple[Any, ...]]:
    for check in found.checks:
        yield "check", check.name, check.ok, check.count, check.detail
    for problem in found.problems:
        yield "problem", problem.kind, False, problem.seq, problem.message


def _damage(found: Verification) -> LedgerDamaged:
    # A key of another type is why the events in it are missing.
    first = next((p for p in found.problems if p.kind == "key"), found.problems[0])
    seq = found.first_wrong_seq
    where = f"the first wrong event is #{seq}" if seq is not None else "no one event is named"
    return LedgerDamaged(
        f"{counted(found.problem_count, 'problem')} found; {where}: {first.message}",
        seq=seq,
        hint=f"restore the portfolio from a backup or an export; #1 to #{(seq or 1) - 1} are whole"
        if seq is not None and seq > 1
        else "restore the portfolio from a backup or an export",
    )


def _progress(call: Call) -> Callable[[int, int], None] | None:
    """Draw how far it has come, where somebody looks on."""
    if not call.screen.is_watched:
        return None

    def show(done: int, total: int) -> None:
        end = "\r" if done < total else f"\r{' ' * 40}\r"
        call.screen.say(f"verifying {done:,} of {total:,}", end=end)

    return show


def _draw(call: Call, found: Verification) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for check in found.checks:
        level = Text("ok", style="green") if check.ok else Text("wrong", style="bold red")
        count = Text(f"{check.count:,}", justify="right")
        table.add_row(level, check.name, count, check.detail)
    parts = [table]
    if found.problems:
        wrong = Table.grid(padding=(0, 2))
        for problem in found.problems[:_SHOWN]:
            number = "—" if problem.seq is None else f"#{problem.seq}"
            wrong.add_row(Text(number, justify="right"), problem.kind, Text(problem.message))
        parts.append(wrong)
    call.screen.show(*parts)
    if found.problem_count > _SHOWN:
        call.screen.note(f"{found.problem_count - _SHOWN:,} more; -o json lists up to a thousand")
    if found.ok:
        call.screen.lines(
            [f"{counted(found.event_count, 'event')} verified; digest {found.digest}"]
        )
