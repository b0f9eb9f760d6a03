"""``pledger run``: a paper session over recorded prices or live books."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from ledger.cli.call import Call
from ledger.cli.group import command
from ledger.cli.parameters import DURATION
from ledger.cli.run_live import DIALECTS, live_source, trade_live
from ledger.cli.state_tables import state_parts
from ledger.cli.trading import Stop, pnl_by_symbol, show_progress, stopping, summary_fields
from ledger.errors import InvalidInput
from ledger.face import Ledger
from runner.metrics import MetricsCollector
from runner.paper_session import SessionSummary, run_paper_session
from runner.recorded import RecordedProvider, shipped_prices

__all__ = ["run"]

_SPEEDS = {"1x": 1.0, "10x": 10.0, "max": None}


@command(
    "run",
    examples="""
    pledger run --session spring --symbols AAPL,MSFT
    pledger run --feed prices.csv --seed 7
    pledger run --resume
    pledger run --feed ws --url ws://localhost:9000 --symbols AAA,BBB --for 10m
    pledger run --feed wss://api.upbit.com/websocket/v1 --dialect upbit --symbols KRW-BTC
    """,
)
@click.option(
    "--feed", metavar="PATH|ws", help="CSV or Parquet, by default those shipped; ws: live books."
)
@click.option("--url", metavar="URL", help="Where live books come from, ws:// or wss://.")
@click.option("--dialect", type=click.Choice(list(DIALECTS)), help="How the venue speaks; neutral.")
@click.option("--symbols", metavar="A,B", help="Only these, in this order; by default all.")
@click.option(
    "--strategy",
    type=click.Choice(["trend"]),
    default="trend",
    help="What decides; by default trend.",
)
@click.option("--session", metavar="NAME", default="paper", help="A name; by default paper.")
@click.option(
    "--speed",
    type=click.Choice(list(_SPEEDS)),
    help="How fast recorded time goes by; by default max.",
)
@click.option(
    "--for", "runtime", type=DURATION, metavar="D", help="End live trading after 30s, 10m."
)
@click.option("--seed", type=int, default=0, help="Of all chance at the paper exchange.")
@click.option(
    "--resume/--clean",
    "resumes",
    default=True,
    help="Join the open session and go on, which is the default, or end it and start anew.",
)
@click.option("--account", metavar="FILE", help="Where the paper exchange keeps its own account.")
@click.option("--metrics", "address", metavar="ADDR", help="Serve Prometheus metrics, as :9090.")
def run(
    call: Call,
    feed: str | None,
    url: str | None,
    dialect: str | None,
    symbols: str | None,
    strategy: str,
    session: str,
    speed: str | None,
    runtime: timedelta | None,
    seed: int,
    resumes: bool,
    account: str | None,
    address: str | None,
) -> None:
    """Run a paper session over recorded prices or live books; record everything in the ledger.

    A feed has the columns date, symbol and close, or bid and ask; a column split with ratios such
    as 7/1 is handled. With --feed ws books come from a WebSocket server, and the feed's state is
    told on stderr. An interrupted session goes on with --resume if the paper exchange kept its
    account in a file (--account). SIGINT ends the session cleanly, a second one stops at once.
    """
    names, metrics = _names(symbols), MetricsCollector()
    how: dict[str, Any] = {
        "session": session,
        "seed": seed,
        "start": "resume" if resumes else "clean",
        "account_path": _account(account),
        "metrics": metrics,
    }
    source = live_source(feed, url, dialect, names, runtime, speed)
    if source is not None:
        books = source.provider()
        with _served(call, metrics, address), stopping(call.screen) as stop:
            summary = asyncio.run(trade_live(call, source, books, stop, **how))
    else:
        prices = RecordedProvider(Path(feed) if feed else shipped_prices(), names)
        pace = _SPEEDS[speed or "max"]
        with _served(call, metrics, address), stopping(call.screen) as stop:
            summary = asyncio.run(_trade(call, prices, stop, speed=pace, **how))
    _show(call, summary)
    if stop.signal is not None:
        raise SystemExit(128 + stop.signal)


def _show(call: Call, summary: SessionSummary) -> None:
    screen = call.screen
    fields = summary_fields(summary, call.settings.portfolio)
    if screen.form == "json":
        screen.json(fields)
    elif screen.form == "csv":
        screen.csv(list(fields), [list(fields.values())])
    else:
        parts = state_parts(summary.state, call.settings.portfolio, None, screen)
        screen.show(*parts, pnl_by_symbol(summary.state))


def _names(symbols: str | None) -> list[str] | None:
    if symbols is None:
        return None
    names = [name.strip() for name in symbols.split(",")]
    if not all(names):
        raise InvalidInput(f"--symbols: {symbols!r} names an empty symbol", hint="write AAPL,MSFT")
    return names


def _account(path: str | None) -> Path | None:
    if path is None:
        return None
    if not Path(path).absolute().parent.is_dir():
        raise InvalidInput(f"--account: the directory of {path} is not there", hint="make it first")
    return Path(path)


@contextmanager
def _served(call: Call, metrics: MetricsCollector, address: str | None) -> Iterator[None]:
    """Serve metrics while the session runs, where an address was given."""
    if address is None:
        yield
        return
    from runner.prometheus import serve

    serving = serve(metrics, address)
    call.screen.note(f"metrics on http://{serving.address}/metrics")
    try:
        yield
    finally:
        serving.stop()


async def _trade(call: Call, provider: RecordedProvider, stop: Stop, **how: Any) -> SessionSummary:
    settings = call.settings
    async with Ledger.connect(
        settings.store, portfolio=settings.portfolio, patience=settings.patience
    ) as ledger:
        return await run_paper_session(
            ledger,
            provider,
            progress=show_progress(call.screen),
            should_stop=stop.is_wanted,
            **how,
        )
