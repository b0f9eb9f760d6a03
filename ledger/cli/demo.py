"""``pledger demo``: the main job, on real prices, proven at the end."""

from __future__ import annotations

import asyncio

from rich.text import Text

from ledger.cli.call import Call
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.cli.state_tables import state_parts
from ledger.cli.trading import Stop, pnl_by_symbol, show_progress, stopping, summary_fields
from ledger.errors import LedgerDamaged
from ledger.face import Ledger
from ledger.sync_face import SyncLedger
from replay.verify import Verification, verify
from runner.paper_session import SessionSummary, run_paper_session
from runner.recorded import RecordedProvider, shipped_prices

__all__ = ["demo", "unused_portfolio"]


@command(
    "demo",
    examples="""
    pledger demo
    pledger demo --store redis://localhost
    pledger demo -o json
    """,
)
def demo(call: Call) -> None:
    """Run the main job on real prices: trade, record, project, replay, verify.

    A paper session over the daily prices of AAPL, FB, GOOG, IBM and MSFT from 2000 to 2013, which
    ship with the package, goes into the store, by default an embedded one in ./.pledger. Then the
    portfolio is projected, folded again from nothing, and verified. Each run has a portfolio of
    its own (demo, demo-2, …) and ends with the same digest, on every machine.
    """
    screen = call.screen
    portfolio = unused_portfolio(call)
    provider = RecordedProvider(shipped_prices())
    screen.note(
        f"paper session over {', '.join(provider.symbols)}, {provider.instants[0]:%Y-%m-%d} to "
        f"{provider.instants[-1]:%Y-%m-%d}, into {call.settings.store}, portfolio {portfolio}"
    )
    with SyncLedger.connect(call.settings.store, portfolio=portfolio) as ledger:
        with stopping(screen) as stop:
            summary = asyncio.run(_trade(call, portfolio, provider, stop))
        screen.note(f"{counted(summary.seq, 'event')} recorded; replaying from nothing")
        replayed = ledger.accounts(use_snapshots=False).digest()
        if replayed != summary.digest:
            raise LedgerDamaged(
                f"the projection has digest {summary.digest}, a replay from nothing {replayed}"
            )
        found = verify(ledger)
    _answer(call, portfolio, summary, found)
    if stop.signal is not None:
        raise SystemExit(128 + stop.signal)
    if not found.ok:
        raise LedgerDamaged(f"verify found: {found.problems[0].message}")


def unused_portfolio(call: Call) -> str:
    """Return the first of demo, demo-2, … that has no event yet."""
    number = 1
    while True:
        name = "demo" if number == 1 else f"demo-{number}"
        with SyncLedger.connect(
            call.settings.store, portfolio=name, patience=call.settings.patience
        ) as ledger:
            if not ledger.head().seq:
                return name
        number += 1


async def _trade(
    call: Call, portfolio: str, provider: RecordedProvider, stop: Stop
) -> SessionSummary:
    async with Ledger.connect(call.settings.store, portfolio=portfolio) as ledger:
        return await run_paper_session(
            ledger,
            provider,
            session="demo",
            progress=show_progress(call.screen),
            should_stop=stop.is_wanted,
        )


def _answer(call: Call, portfolio: str, summary: SessionSummary, found: Verification) -> None:
    screen = call.screen
    fields = {
        **summary_fields(summary, portfolio),
        "replayed_digest": summary.digest,
        "verified": found.ok,
    }
    if screen.form == "json":
        screen.json(fields)
        return
    if screen.form == "csv":
        screen.csv(list(fields), [list(fields.values())])
        return
    store = (
        ""
        if call.settings.store.startswith("embedded:./.pledger")
        else (f" --store {call.settings.store}")
    )
    look = f"--portfolio {portfolio}{store}"
    screen.show(
        *state_parts(summary.state, portfolio, None, screen),
        pnl_by_symbol(summary.state),
        Text(),
        Text("proven", style="bold"),
        Text(
            f"  projection, replay from nothing and verify agree on {counted(summary.seq, 'event')}"
        ),
        Text(f"  digest {summary.digest}, the same in every run and on every machine"),
        Text(),
        Text("look further", style="bold"),
        Text(f"  pledger sessions {look}"),
        Text(f"  pledger state {look} --at 2008-10-10"),
        Text(f"  pledger events {look} --type PositionAdjusted"),
        Text(f"  pledger verify {look} --full"),
    )
