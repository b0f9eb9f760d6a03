"""A report of a session: one HTML file that needs nothing else, neither a server nor a network.

All figures in it are decimal strings from the one fold. The page groups their digits and draws
them; it computes no money.
"""

from __future__ import annotations

import base64
import gzip
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger import (
    InvalidInput,
    LedgerDamaged,
    MissingRate,
    PortfolioState,
    TradeRefused,
    quotient,
    subtract,
)
from replay.equity import equity
from replay.frames import row_from
from replay.history import History
from replay.orders import orders
from replay.pnl import pnl
from replay.report_steps import steps_of, written
from replay.trades import Trade, trades

__all__ = ["html_from_history", "write_report"]

_POINTS: Final = 1_200
_STOPS: Final = 25_000
_ROWS: Final = 5_000
_PERIODS: Final = ("1m", "5m", "15m", "1h", "4h", "1d", "7d", "30d", "90d", "180d", "365d")
_PERIOD_COUNT: Final = 30
_UNIT_S: Final = {"m": 60, "h": 3_600, "d": 86_400}

_TRADE: Final = (
    *("symbol", "side", "quantity", "entry_price", "exit_price", "net_pnl", "realized_pnl"),
    *("unrealized_pnl", "fees", "opened_at", "opened_seq", "closed_at", "closed_seq"),
    *("worst", "best", "position_id"),
)
_ORDER: Final = (
    *("placed_at", "placed_seq", "symbol", "side", "quantity", "price", "status"),
    *("filled_quantity", "average_price", "reason", "order_id", "steps"),
)
_PNL: Final = (
    *("key", "net_pnl", "realized_pnl", "unrealized_pnl", "fees", "funding"),
    *("drawdown", "event_count"),
)


def write_report(history: History, path: str | Path) -> Path:
    """Write the report of a session to a file, which is replaced only by a whole one.

    Raises:
        InvalidInput: The file cannot be written.
        LedgerDamaged: Something that had to be read is not what was written.
    """
    target = Path(path)
    page = html_from_history(history).encode()
    beside = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        beside.write_bytes(page)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InvalidInput(
            f"{target} cannot be written: {error.strerror or error}",
            hint="name a file in a directory that this user may write",
        ) from None
    return target


def html_from_history(history: History) -> str:
    """Return the report of a session as one HTML page."""
    steps = gzip.compress(msgspec.json.encode(steps_of(history, at_most=_STOPS)), mtime=0)
    page = _asset("page.html")
    parts = {
        "@style@": _asset("page.css"),
        "@figures@": _embedded(_figures(history)),
        "@steps@": base64.b64encode(steps).decode(),
        "@script@": _asset("page.js"),
    }
    for mark, part in parts.items():
        head, _, tail = page.partition(mark)
        page = head + part + tail
    return page


def _asset(name: str) -> str:
    return (files("replay") / "page" / name).read_text("utf-8")


def _embedded(value: Any) -> str:
    """Write JSON that nothing in it can end the element it stands in."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace("@", "\\u0040")


def _figures(history: History) -> dict[str, Any]:
    """Gather everything but the steps."""
    state = history.state(history.last_seq)
    session = history.session
    period = _period(history)
    round_trips = trades(history)
    curve = _told(
        lambda: equity(history, points=_POINTS),
        ("seq", "at", "equity", "net_pnl", "current_drawdown", "drawdown"),
    )
    refused = [
        {"seq": found.seq, "at": history.time_of(found), "symbol": found.symbol or "—"}
        | {name: getattr(found.event, name) for name in ("trade_id", "limit", "reason")}
        for found in history.events(first=history.first_seq)
        if isinstance(found.event, TradeRefused)
    ]
    return {
        "name": history.name,
        "portfolio": history.ledger.portfolio,
        "mode": session.mode if session else "",
        "state": session.state if session else "",
        "clock": history.clock,
        "currency": state.base_currency or "",
        "first_seq": history.first_seq,
        "last_seq": history.last_seq,
        "digest": state.digest,
        "period": period,
        "tiles": _tiles(history.state(history.first_seq - 1), state, curve, round_trips),
        "equity": curve,
        "by_symbol": _told(lambda: pnl(history, "symbol"), _PNL),
        "by_period": _told(lambda: pnl(history, every=period), _PNL),
        "trades": _table(map(row_from, round_trips), _TRADE),
        "orders": _table(map(row_from, orders(history)), _ORDER),
        "refusals": _table(refused, ("seq", "at", "symbol", "limit", "reason", "trade_id")),
    }


def _text(value: Any) -> str | int | None:
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return written(value)


def _table(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> dict[str, Any]:
    """Return rows as a table; of very many the last ones, and how many there are."""
    kept = [[_text(row.get(name)) for name in columns] for row in rows]
    return {"columns": columns, "rows": kept[-_ROWS:], "total": len(kept), "unknown": ""}


def _told(asked: Callable[[], Iterable[Any]], columns: tuple[str, ...]) -> dict[str, Any]:
    """Ask for a table; where a rate is missing, say which."""
    try:
        return _table(map(row_from, asked()), columns)
    except (MissingRate, LedgerDamaged) as error:
        return {"columns": columns, "rows": [], "total": 0, "unknown": error.message}


def _tiles(
    before: PortfolioState,
    after: PortfolioState,
    curve: Mapping[str, Any],
    round_trips: Iterable[Trade],
) -> list[list[str | None]]:
    """The figures that a reader looks at first: label, figure, and what stands beside it."""
    deepest = max((row[-1] for row in curve["rows"]), key=Decimal, default=None)
    closed = [trade for trade in round_trips if not trade.is_open]
    won = sum(trade.net_pnl > 0 for trade in closed)
    rate = quotient(Decimal(won * 100), Decimal(len(closed))) if closed else None
    return [
        ["Equity", _figure(after, "equity"), f"available {_figure(after, 'available_balance')}"],
        ["Net PnL", _figure(after, "net_pnl", before), "realized − fees + funding"],
        ["Realized", _figure(after, "realized_pnl", before), ""],
        ["Unrealized", _figure(after, "unrealized_pnl"), "at the last marks"],
        ["Fees", _figure(after, "fees", before), ""],
        ["Deepest drawdown", deepest, "below the highest profit"],
        ["Closed trades", str(len(closed)), "" if rate is None else f"{won:,} won, {rate:.1f} %"],
    ]


def _figure(state: PortfolioState, name: str, before: PortfolioState | None = None) -> str:
    """A total as text, or by how much it grew; ``—`` where a rate is missing."""
    try:
        value = getattr(state, name)
        return written(value if before is None else subtract(value, getattr(before, name)))
    except (MissingRate, LedgerDamaged):
        return "—"


def _period(history: History) -> str:
    """The shortest period of which the session has some thirty."""
    first, last = history.span(None, None)
    ends = [history.time_of(found) for at in (first, last) for found in _event(history, at)]
    length = ends[-1] - ends[0] if ends else timedelta()
    for period in _PERIODS:
        if length <= timedelta(seconds=int(period[:-1]) * _UNIT_S[period[-1]]) * _PERIOD_COUNT:
            return period
    return _PERIODS[-1]


def _event(history: History, seq: int) -> Iterable[Any]:
    return history.events(first=seq, last=seq)
