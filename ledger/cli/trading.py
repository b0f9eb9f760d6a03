"""What ``pledger demo`` and ``pledger run`` have in common: progress, signals, the summary."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rich.console import RenderableType

from ledger.amounts import ZERO
from ledger.cli.figures import grouped
from ledger.cli.screen import Screen
from ledger.cli.tables import AMOUNT, PNL, WORD, drawn_table
from ledger.state import PortfolioState
from runner.paper_session import Progress, SessionSummary

__all__ = ["Stop", "pnl_by_symbol", "show_progress", "stopping", "summary_fields"]


class Stop:
    """Whether a signal has asked to stop, and which."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def is_wanted(self) -> bool:
        """Whether to stop after the pass under way."""
        return self.signal is not None


@contextmanager
def stopping(screen: Screen) -> Iterator[Stop]:
    """Take the first SIGINT or SIGTERM as a wish to stop cleanly; the second one stops at once."""
    stop = Stop()
    former = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def heard(number: int, _frame: FrameType | None) -> None:
        if stop.signal is not None:
            os._exit(128 + number)  # an end in order may wait for a store that hangs
        stop.signal = number
        screen.note("stopping after this pass; once more stops at once")

    for number in former:
        signal.signal(number, heard)
    try:
        yield stop
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def show_progress(screen: Screen) -> Callable[[Progress], None]:
    """Return what draws a line of progress on stderr: over and over on a terminal, else rarely."""
    shown = -1

    def show(progress: Progress) -> None:
        nonlocal shown
        percent = 100 * progress.done_count // max(progress.instant_count, 1)
        is_due = percent != shown if screen.is_watched else percent >= shown + 10
        if not is_due:
            return
        shown = percent
        line = f"{percent:>3} %  {progress.instant:%Y-%m-%d}  #{progress.seq:,}"
        if screen.is_watched:
            end = "\n" if percent == 100 else "\r"
            screen.say(f"\r{line}   ", end=end)
        else:
            screen.note(line)

    return show


def pnl_by_symbol(state: PortfolioState) -> RenderableType:
    """Return a table of what each symbol earned and cost."""
    rows = []
    for symbol, figures in sorted(state.symbols.items()):
        fees = figures.fees.get(figures.currency or "", ZERO)
        rows.append(
            [
                symbol,
                grouped(figures.realized_pnl, signed=True),
                grouped(figures.unrealized_pnl, signed=True),
                grouped(fees),
                f"{figures.opened_count:,}",
                f"{figures.closed_count:,}",
                f"{figures.refused_count:,}",
            ]
        )
    columns = [
        ("symbol", WORD),
        ("realized", PNL),
        ("unrealized", PNL),
        ("fees", AMOUNT),
        ("opened", AMOUNT),
        ("closed", AMOUNT),
        ("refused", AMOUNT),
    ]
    return drawn_table("by symbol", columns, rows)


def summary_fields(summary: SessionSummary, portfolio: str) -> dict[str, Any]:
    """Return a session's summary for JSON."""
    state = summary.state
    return {
        "portfolio": portfolio,
        "session": summary.session,
        "is_complete": summary.is_complete,
        "seq": summary.seq,
        "digest": summary.digest,
        "equity": state.equity,
        "realized_pnl": state.realized_pnl,
        "unrealized_pnl": state.unrealized_pnl,
        "fees": state.fees,
        "net_pnl": state.net_pnl,
    }
