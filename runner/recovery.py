"""Beginning a run: joins or starts the session, and brings the ledger up to what really happened.

In this order: the writer's name is taken, which locks out an older run; the portfolio is folded;
every exchange is asked for its reports and about every order whose fate is open, and the answers
are recorded; the session is joined or started; the day's loss is counted from when the day began.
Everything else a runner needs is in the accounts: positions, working orders, limits.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

from ledger import (
    Accounts,
    CashDeposited,
    Event,
    InstrumentRegistered,
    Ledger,
    RateMarked,
    RiskLimitSet,
    Session,
    SessionEnded,
    SessionStarted,
)
from runner.clock import day_start
from runner.config import SessionConfig
from runner.dealing import Dealer
from runner.journal import Journal
from runner.risk import Earned, earned_by_symbol

__all__ = ["TradingDay", "begin", "end_session"]

log = logging.getLogger(__name__)

_SHORTEST_DAY: Final = timedelta(hours=22)


async def begin(journal: Journal, dealer: Dealer, config: SessionConfig) -> None:
    """Open the journal, settle what the last run left open, and enter the session."""
    await journal.open()
    await dealer.poll()
    await dealer.settle()
    session = journal.accounts.portfolio.session
    if session is not None and config.start == "resume":
        log.info("joining session %s, open since #%d", session.session, session.started_seq)
        return
    if session is not None:
        await end_session(journal, "a clean start was asked for")
    known = {found.session for found in await journal.ledger.sessions()}
    await journal.append(_opening(config, _free_name(config.session, known), journal))


async def end_session(journal: Journal, reason: str) -> None:
    """End the open session; nothing happens where none is open."""
    session = journal.accounts.portfolio.session
    if session is not None:
        await journal.append([SessionEnded(session=session.session, reason=reason)])


def _free_name(name: str, known: set[str]) -> str:
    number, free = 1, name
    while free in known:
        number += 1
        free = f"{name}-{number}"
    return free


def _opening(config: SessionConfig, name: str, journal: Journal) -> list[Event]:
    """The first commit of a session: its start, its money, instruments, rates and limits."""
    events: list[Event] = [
        SessionStarted(
            session=name,
            mode=config.mode,
            base_currency=config.base_currency,
            clock=config.clock,
        )
    ]
    deposited = journal.accounts.portfolio.deposited
    events += [
        CashDeposited(currency=currency, amount=amount, reason="opening balance")
        for currency, amount in config.cash.items()
        if currency not in deposited
    ]
    events += [
        InstrumentRegistered(symbol=symbol, quote_currency=currency)
        for symbol, currency in config.currencies.items()
        if not (account := journal.accounts.symbols.get(symbol)) or not account.registered
    ]
    for pair, rate in config.rates.items():
        first, _, second = pair.partition("/")
        events.append(RateMarked(from_currency=first, to_currency=second, rate=rate))
    events += [
        RiskLimitSet(symbol=symbol, limit=limit, value=value)
        for symbol, limits in config.limits.items()
        for limit, value in limits.items()
    ]
    return events


class TradingDay:
    """What each symbol had earned when the day began, in the zone the day is counted in."""

    def __init__(self, journal: Journal, zone: tzinfo) -> None:
        self._journal = journal
        self._zone = zone
        self._began: datetime | None = None
        self._earned: Earned = {}

    async def earned_before(self, now: datetime) -> Earned:
        """Return it for the day of ``now``.

        The first time it is folded from the ledger as of the day's beginning, so that a restart
        forgets no loss; when a day begins under way, it is what the accounts say then.
        """
        if self._began is not None and now - self._began < _SHORTEST_DAY:
            return self._earned
        began = day_start(now, self._zone)
        if self._began is None:
            ledger = self._journal.ledger
            accounts = await self._journal.insist(
                lambda: _accounts_before(ledger, began), "fold what was before today"
            )
            self._earned, self._began = earned_by_symbol(accounts), began
        elif began > self._began:
            self._earned, self._began = earned_by_symbol(self._journal.accounts), began
        return self._earned


async def _accounts_before(ledger: Ledger, moment: datetime) -> Accounts:
    return await ledger.accounts(await _seq_before(ledger, moment))


async def _seq_before(ledger: Ledger, moment: datetime) -> int:
    """Return the last event before a moment, by the clock of the session it falls into."""
    earlier = [s for s in await ledger.sessions() if _span(s)[0] < moment]
    if not earlier:
        return 0
    last = earlier[-1]
    if _span(last)[1] < moment:
        return last.last_seq
    return await ledger.resolve(moment.isoformat(), session=last.session)


def _span(session: Session) -> Sequence[datetime]:
    if session.clock == "occurred":
        return session.occurred_from, session.occurred_to
    return session.recorded_from, session.recorded_to
