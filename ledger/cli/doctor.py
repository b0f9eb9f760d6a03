"""``pledger doctor``: what about the store would lose events, and how to mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from ledger.cli.call import Call
from ledger.cli.group import command
from ledger.clock import utc_now
from ledger.doctor import BAD, OK, UNKNOWN, WARNING, Finding, examine
from ledger.errors import StoreError

__all__ = ["doctor"]

_STYLES: Final = {OK: "green", WARNING: "yellow", BAD: "bold red", UNKNOWN: "dim"}


@command(
    "doctor",
    examples="""
    pledger doctor
    pledger doctor --store redis://localhost:6379 -o json
    """,
)
def doctor(call: Call) -> None:
    """Check the store: role, version, persistence, eviction, trimming, clock, rights.

    Each check is ok, a warning, bad, or unknown where the server does not tell. Nothing is
    changed. The exit code is 5 where something is bad.
    """
    with call.ledger() as ledger:
        found = examine(ledger, utc_now())
        shown, head = ledger.store.shown, ledger.head()
    if call.screen.form == "json":
        findings = [msgspec.structs.asdict(finding) for finding in found]
        call.screen.json({"store": shown, "seq": head.seq, "findings": findings})
    elif call.screen.form == "csv":
        rows = [msgspec.structs.astuple(finding) for finding in found]
        call.screen.csv(Finding.__struct_fields__, rows)
    else:
        _draw(call, found)
    call.screen.note(f"{shown}, portfolio {ledger.portfolio}, #{head.seq:,}: {_counted(found)}")
    bad = [finding for finding in found if finding.level == BAD]
    if bad:
        names = ", ".join(finding.check for finding in bad)
        raise StoreError(f"the store {shown} is not safe: {names}", hint=bad[0].hint)


def _counted(found: Sequence[Finding]) -> str:
    counts = Counter(finding.level for finding in found)
    return ", ".join(f"{counts[level]} {level}" for level in _STYLES if counts[level])


def _draw(call: Call, found: Sequence[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for finding in found:
        level = Text(finding.level, style=_STYLES[finding.level])
        table.add_row(level, finding.check, Text(finding.message))
        if finding.hint:
            table.add_row("", "", Text(f"→ {finding.hint}", style="dim"))
    call.screen.show(table)
