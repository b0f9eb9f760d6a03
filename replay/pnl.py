"""What was earned and what it cost: by symbol, session, or any period.

All amounts are in the base currency, at the rates recorded by then; drawdown is that of
:mod:`replay.drawdown`, within each bucket.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec

from ledger import InvalidInput, PortfolioState, Recorded, subtract
from ledger.amounts import trimmed
from replay.drawdown import Drawdown, Key, by_period, follow, known_profit
from replay.frames import Rows
from replay.history import History, When
from replay.live import LiveState
from replay.money import RESERVES
from replay.periods import NAMED

__all__ = ["PnlRow", "pnl"]

_ZERO: Final = Decimal(0)


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
        return {
            name: trimmed(subtract(getattr(self, name), getattr(before, name))) for name in names
        }


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
    return _by_key(history, by_period(history, every or by), first, last)


def _by_key(history: History, key: Key, first: int, last: int) -> Rows[PnlRow]:
    live = history.live(first - 1)
    drawdown = Drawdown(known_profit(live, _ZERO))
    before, begin = _Earned.of(live), first
    rows: Rows[PnlRow] = Rows()

    def end_bucket(bucket: Hashable, recorded: Recorded) -> None:
        nonlocal before, begin
        now = _Earned.of(live)
        name = bucket if isinstance(bucket, datetime) else str(bucket)
        rows.append(_row(name, now.since(before), drawdown, recorded.seq - begin + 1))
        before, begin = now, recorded.seq + 1
        drawdown.begin_period()

    follow(history, live, drawdown, key, (first, last), end_bucket)
    return rows


def _row(key: str | datetime, earned: dict[str, Decimal], low: Drawdown, count: int) -> PnlRow:
    return PnlRow(
        key=key,
        **earned,
        drawdown=trimmed(low.deepest),
        current_drawdown=trimmed(low.current),
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
        if symbol and live.moved > RESERVES:
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
