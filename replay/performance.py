"""What was earned, when and by which symbol: equity over time, PnL by any bucket, drawdown.

Drawdown is how far the profit (net PnL and unrealized PnL together) is below the highest it has
been since the stretch began; money put in or taken out is neither profit nor drawdown. Its ratio is
to the equity there would be at that high. All amounts are in the base currency, at the rates
recorded by then.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final, TypeAlias

import msgspec

from ledger import InvalidInput, MissingRate, PortfolioState, Recorded, add, quotient, subtract
from replay.frames import Rows
from replay.history import History, When
from replay.live import LiveState
from replay.periods import NAMED, period_from_text, period_start

__all__ = ["EquityPoint", "PnlRow", "equity", "pnl"]

_ZERO: Final = Decimal(0)

Key: TypeAlias = Callable[[Recorded], Hashable]


class EquityPoint(msgspec.Struct, frozen=True, kw_only=True):
    """The portfolio at the end of one period.

    Attributes:
        at: When the period began; for one point per so many events, the time of its last event.
        seq: The last event in it.
        equity, total_balance, unrealized_pnl, net_pnl: After that event.
        drawdown: The deepest within the period, as a positive amount.
        current_drawdown: At its end.
        drawdown_pct: ``current_drawdown`` as a ratio.
    """

    at: datetime
    seq: int
    equity: Decimal
    total_balance: Decimal
    unrealized_pnl: Decimal
    net_pnl: Decimal
    drawdown: Decimal
    current_drawdown: Decimal
    drawdown_pct: Decimal


class PnlRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a symbol, a session or a period earned and cost.

    Attributes:
        key: The symbol's or session's name, or when the period began.
        realized_pnl, unrealized_pnl, fees, funding: By how much they grew.
        net_pnl: Realized less fees, plus funding.
        drawdown: The deepest in it, as a positive amount.
        current_drawdown: At its end.
        event_count: How many events it has.
    """

    key: str | datetime
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    fees: Decimal
    funding: Decimal
    net_pnl: Decimal
    drawdown: Decimal
    current_drawdown: Decimal
    event_count: int


class Drawdown:
    """Follows a profit, and how far it is below its highest."""

    def __init__(self, profit: Decimal) -> None:
        self._high = profit
        self.current = self.deepest = _ZERO

    def follow(self, profit: Decimal) -> None:
        """Go on to the profit after an event."""
        self._high = max(self._high, profit)
        self.current = subtract(self._high, profit)
        self.deepest = max(self.deepest, self.current)

    def begin_period(self) -> None:
        """Forget how deep it was before, but not the highest profit."""
        self.deepest = self.current


def equity(
    history: History,
    every: str | None = None,
    *,
    points: int = 1_000,
    since: When | None = None,
    until: When | None = None,
) -> Rows[EquityPoint]:
    """Return the equity over a stretch.

    Args:
        history: The history.
        every: A point for each period such as ``1m`` that has events; otherwise ``points`` of
            them, as many events apart from each other.
        points: How many points at most where ``every`` is not given.
        since, until: The stretch; by default the session.

    Raises:
        MissingRate: A currency without a recorded rate is held at one of the points.
    """
    first, last = history.span(since, until)
    if points < 1:
        raise InvalidInput(f"points: {points} is not a count of points", hint="write 1 or more")
    stride = max(-(-(last - first + 1) // points), 1)
    # Counted from the end, so that the last point is the last event.
    key = _by_period(history, every) if every else lambda found: (last - found.seq) // stride
    live = history.live(first - 1)
    drawdown = Drawdown(_profit(live, _ZERO))
    found: Rows[EquityPoint] = Rows()
    for bucket, recorded in _followed(history, live, drawdown, key, first, last):
        at = bucket if isinstance(bucket, datetime) else history.time_of(recorded)
        found.append(_point(live, at, drawdown))
        drawdown.begin_period()
    return found


def _by_period(history: History, every: str) -> Key:
    period = period_from_text(every)
    latest: list[datetime] = []

    def key(recorded: Recorded) -> datetime:
        # Within a session occurrences may be a little out of order: no period begins twice.
        start = period_start(history.time_of(recorded), period, history.tz)
        if not latest or start > latest[0]:
            latest[:] = [start]
        return latest[0]

    return key


def _profit(live: LiveState, otherwise: Decimal) -> Decimal:
    """The profit; where a rate is still missing, what it was before."""
    try:
        return live.profit
    except MissingRate:
        return otherwise


def _followed(
    history: History, live: LiveState, drawdown: Drawdown, key: Key, first: int, last: int
) -> Iterator[tuple[Hashable, Recorded]]:
    """Follow the fold; hand out each bucket with its last event, while ``live`` stands there."""
    bucket: Hashable = None
    before: Recorded | None = None
    profit = _profit(live, _ZERO)
    for recorded in history.events(first=first, last=last):
        now = key(recorded)
        if before is not None and now != bucket:
            yield bucket, before
        bucket, before = now, recorded
        live.evolve(recorded)
        if live.moved_money:
            profit = _profit(live, profit)
            drawdown.follow(profit)
    if before is not None:
        yield bucket, before


def _point(live: LiveState, at: datetime, drawdown: Drawdown) -> EquityPoint:
    value = live.equity
    high = add(value, drawdown.current)
    return EquityPoint(
        at=at,
        seq=live.seq,
        equity=value,
        total_balance=live.total_balance,
        unrealized_pnl=live.unrealized_pnl,
        net_pnl=live.net_pnl,
        drawdown=drawdown.deepest,
        current_drawdown=drawdown.current,
        drawdown_pct=quotient(drawdown.current, high) if high > 0 else _ZERO,
    )


class _Earned(msgspec.Struct, frozen=True):
    """Totals at one moment, to be subtracted from those at another."""

    realized_pnl: Decimal = _ZERO
    unrealized_pnl: Decimal = _ZERO
    fees: Decimal = _ZERO
    funding: Decimal = _ZERO
    net_pnl: Decimal = _ZERO

    @classmethod
    def of(cls, state: PortfolioState) -> _Earned:
        return cls(*(getattr(state, name) for name in cls.__struct_fields__))

    def since(self, before: _Earned) -> dict[str, Decimal]:
        names = self.__struct_fields__
        return {name: subtract(getattr(self, name), getattr(before, name)) for name in names}


def pnl(
    history: History,
    by: str = "symbol",
    *,
    every: str | None = None,
    since: When | None = None,
    until: When | None = None,
) -> Rows[PnlRow]:
    """Return what was earned in a stretch, by symbol, session or period.

    Args:
        history: The history.
        by: ``symbol``, ``session``, ``day``, ``hour`` or ``minute``.
        every: A period such as ``15m``, in place of ``by``.
        since, until: The stretch; by default the session, and by session all of the portfolio.

    Raises:
        InvalidInput: There is no such bucket.
        MissingRate: A currency without a recorded rate is concerned.
    """
    if every is None and by not in ("symbol", "session", *NAMED):
        raise InvalidInput(f"by: {by!r} is no bucket", hint="symbol, session, day, hour or minute")
    if every is None and by == "symbol":
        return _by_symbol(history, *history.span(since, until))
    if every is None and by == "session":
        return _by_session(history)
    first, last = history.span(since, until)
    return _by_key(history, _by_period(history, every or by), first, last)


def _by_key(history: History, key: Key, first: int, last: int) -> Rows[PnlRow]:
    live = history.live(first - 1)
    drawdown = Drawdown(_profit(live, _ZERO))
    before, begin = _Earned.of(live), first
    rows: Rows[PnlRow] = Rows()
    for bucket, recorded in _followed(history, live, drawdown, key, first, last):
        now = _Earned.of(live)
        name = bucket if isinstance(bucket, datetime) else str(bucket)
        rows.append(_row(name, now.since(before), drawdown, recorded.seq - begin + 1))
        before, begin = now, recorded.seq + 1
        drawdown.begin_period()
    return rows


def _row(key: str | datetime, earned: dict[str, Decimal], low: Drawdown, count: int) -> PnlRow:
    return PnlRow(
        key=key,
        **earned,
        drawdown=low.deepest,
        current_drawdown=low.current,
        event_count=count,
    )


def _by_session(history: History) -> Rows[PnlRow]:
    rows: Rows[PnlRow] = Rows()
    for session in history.ledger.sessions():
        key = partial(_named, session.session)
        rows += _by_key(history, key, session.first_seq, session.last_seq)
    return rows


def _named(name: str, _recorded: Recorded) -> str:
    return name


def _by_symbol(history: History, first: int, last: int) -> Rows[PnlRow]:
    live = history.live(first - 1)
    begun = {name: _earned_by(live, name) for name in live.accounts.symbols}
    drawdowns = {name: Drawdown(live.profit_of(name)) for name in begun}
    counts: dict[str, int] = {}
    for recorded in history.events(first=first, last=last):
        live.evolve(recorded)
        symbol = recorded.symbol
        counts[symbol] = counts.get(symbol, 0) + 1
        if symbol and live.moved_money:
            drawdowns.setdefault(symbol, Drawdown(_ZERO)).follow(live.profit_of(symbol))
    return Rows(
        _row(
            name,
            _earned_by(live, name).since(begun.get(name, _Earned())),
            drawdowns.get(name) or Drawdown(_ZERO),
            counts[name],
        )
        for name in sorted(counts)
        if name
    )


def _earned_by(live: LiveState, symbol: str) -> _Earned:
    """What one symbol has earned, in the base currency."""
    return _Earned.of(live.only(symbol))
