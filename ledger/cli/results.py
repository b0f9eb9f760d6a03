"""``pledger pnl``, ``pledger trades`` and ``pledger orders``: what came of a session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from ledger.cli.analysis import (
    looked_back,
    range_argument,
    session_option,
    span_of_range,
    symbol_option,
    table_of,
    write_answer,
)
from ledger.cli.call import Call
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.cli.parameters import clock_option
from ledger.moments import MomentRange
from ledger.orders import OrderStatus
from replay import OrderLife, PnlRow, Trade

__all__ = ["orders", "pnl", "trades"]


@command(
    "pnl",
    examples="""
    pledger pnl
    pledger pnl --by day
    pledger pnl --by session
    pledger pnl --every 15m 09:30..16:00
    pledger pnl --every 1m -o csv
    """,
)
@range_argument
@click.option(
    "--by",
    type=click.Choice(["symbol", "day", "hour", "minute", "session"]),
    default="symbol",
    show_default=True,
    help="What a row stands for.",
)
@click.option("--every", metavar="P", help="A row for each period such as 1m, 4h or 1d.")
@session_option
@clock_option
def pnl(
    call: Call,
    moments: MomentRange | None,
    by: str,
    every: str | None,
    session: str | None,
    clock: str | None,
) -> None:
    """Show what was earned: realized, unrealized, fees, funding, net, and drawdown.

    Each figure is by how much it grew, in the base currency; net is realized less fees, plus
    funding. Drawdown is the deepest fall of the profit from its highest so far, and current what
    of it is left at the end. Periods without events are left out.
    """
    with looked_back(call, session, clock) as seen:
        since, until = span_of_range(call, seen, moments, clock)
        found = seen.pnl(by, every=every, since=since, until=until)
        state = seen.at(until)
    rows = found.rows()
    base = state.base_currency
    fields = PnlRow.__struct_fields__
    if write_answer(call, seen, state, "pnl", rows, fields=fields, base_currency=base):
        from ledger.cli.tables import AMOUNT, PNL, WORD

        columns = [
            (every or by, WORD, "key"),
            ("realized", PNL, "realized_pnl"),
            ("unrealized", PNL, "unrealized_pnl"),
            ("fees", AMOUNT, "fees"),
            ("funding", PNL, "funding"),
            ("net", PNL, "net_pnl"),
            ("drawdown", AMOUNT, "drawdown"),
            ("current", AMOUNT, "current_drawdown"),
            ("events", AMOUNT, "event_count"),
        ]
        call.screen.show(table_of(call, f"PnL in {base or 'no currency yet'}", columns, rows))


@command(
    "trades",
    examples="""
    pledger trades
    pledger trades --symbol AAPL
    pledger trades 09:30..12:00 -o json
    """,
)
@range_argument
@symbol_option
@session_option
@clock_option
def trades(
    call: Call,
    moments: MomentRange | None,
    symbol: str | None,
    session: str | None,
    clock: str | None,
) -> None:
    """List round trips: each position from its opening to its close.

    Worst and best are how far the trade went against its holder and in his favour; amounts are in
    the symbol's quote currency. One that is open has no close.
    """
    with looked_back(call, session, clock) as seen:
        since, until = span_of_range(call, seen, moments, clock)
        found = seen.trades(symbol, since=since, until=until)
        state = seen.at(until)
    rows = [_traded(trade, call.screen.form == "json") for trade in found]
    fields = Trade.__struct_fields__
    if write_answer(call, seen, state, "trades", rows, fields=fields):
        from ledger.cli.tables import AMOUNT, PNL, WORD

        columns = [
            ("position", WORD, "position_id"),
            ("symbol", WORD, "symbol"),
            ("side", WORD, "side"),
            ("quantity", AMOUNT, "quantity"),
            ("opened", WORD, "opened_at"),
            ("held", WORD, "held"),
            ("entry", AMOUNT, "entry_price"),
            ("exit", AMOUNT, "exit_price"),
            ("realized", PNL, "realized_pnl"),
            ("net", PNL, "net_pnl"),
            ("worst", PNL, "worst"),
            ("best", PNL, "best"),
        ]
        if len({trade.currency for trade in found}) > 1:
            columns.append(("", WORD, "currency"))
        for row, trade in zip(rows, found, strict=True):
            row["held"] = "open" if trade.duration is None else _lasted(trade.duration)
        if rows:
            call.screen.show(table_of(call, "Trades", columns, rows))
        open_count = sum(1 for trade in found if trade.is_open)
        call.screen.note(f"{counted(len(found), 'trade')}, {open_count:,} of them open")


def _lasted(duration: timedelta) -> str:
    """Write a duration by its two largest units, such as ``91d 0h`` or ``4m 10s``."""
    seconds = int(duration.total_seconds())
    parts = [("d", seconds // 86_400), ("h", seconds // 3_600 % 24)]
    parts += [("m", seconds // 60 % 60), ("s", seconds % 60)]
    first = next((at for at, (_, count) in enumerate(parts) if count), 3)
    return " ".join(f"{count}{unit}" for unit, count in parts[first : first + 2])


def _traded(trade: Trade, is_nested: bool) -> dict[str, Any]:
    row = trade.row()
    if is_nested:
        parts = ("seq", "at", "quantity", "price", "realized_pnl")
        row["exits"] = [{part: getattr(one, part) for part in parts} for one in trade.exits]
        row["other_fees"] = trade.other_fees
    return row


@command(
    "orders",
    examples="""
    pledger orders
    pledger orders --status rejected
    pledger orders --symbol AAPL -o json
    """,
)
@range_argument
@symbol_option
@click.option(
    "--status",
    type=click.Choice([status.value for status in OrderStatus]),
    help="Only those that have it at the end.",
)
@session_option
@clock_option
def orders(
    call: Call,
    moments: MomentRange | None,
    symbol: str | None,
    status: str | None,
    session: str | None,
    clock: str | None,
) -> None:
    """List orders, each with its life: what happened to it, and by which events."""
    with looked_back(call, session, clock) as seen:
        since, until = span_of_range(call, seen, moments, clock)
        found = seen.orders(symbol, status=status, since=since, until=until)
        state = seen.at(until)
    rows = found.rows()
    if call.screen.form == "json":
        parts = ("seq", "at", "type", "status", "filled_quantity", "reason")
        for row, life in zip(rows, found, strict=True):
            row["steps"] = [{part: getattr(step, part) for part in parts} for step in life.steps]
    fields = ("order_id", "symbol", "side", "quantity", "price", "status")
    if write_answer(call, seen, state, "orders", rows, fields=fields):
        from ledger.cli.tables import AMOUNT, WORD

        columns = [
            ("order", WORD, "order_id"),
            ("symbol", WORD, "symbol"),
            ("side", WORD, "side"),
            ("quantity", AMOUNT, "quantity"),
            ("price", AMOUNT, "price"),
            ("status", WORD, "status"),
            ("filled", AMOUNT, "filled_quantity"),
            ("placed", WORD, "placed_at"),
            ("life", WORD, "steps"),
        ]
        for row, life in zip(rows, found, strict=True):
            row["steps"] = _told(life)
        if rows:
            call.screen.show(table_of(call, "Orders", columns, rows))
        call.screen.note(counted(len(found), "order"))


def _told(life: OrderLife) -> str:
    """Write a life in short: what came several times in a row stands once, with its last event."""
    words: list[tuple[str, int, int]] = []
    for step in life.steps:
        name = step.type.removeprefix("Order").lower()
        again = words.pop()[2] if words and words[-1][0] == name else 0
        words.append((name, step.seq, again + 1))
    return " → ".join(
        f"{name} #{seq}" + (f" ×{count}" if count > 1 else "") for name, seq, count in words
    )
