"""One pass: what a runner does with the snapshots of some symbols, in the order that matters."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import tzinfo
from time import monotonic
from typing import Final

from ledger import Clock, CommitMismatch, Event
from ledger.amounts import ZERO, multiply, quotient, subtract
from runner.dealing import Dealer
from runner.engine import Engine
from runner.figures import Count, Duration
from runner.journal import Journal
from runner.market import MarketDataProvider, PerishableProvider, Snapshot
from runner.planning import Plan, marks_of, plan_trades, split_events, stamp_of
from runner.recording import tried
from runner.recovery import TradingDay
from runner.spread import BPS

__all__ = ["Passes", "is_split_commit"]

log = logging.getLogger(__name__)

_SPLIT: Final = "split/"


def is_split_commit(commit_id: str) -> bool:
    """Whether a commit records a split, and decides nothing."""
    return commit_id.startswith(_SPLIT)


class Passes:
    """Makes passes; those over different symbols may be made side by side."""

    def __init__(
        self,
        provider: MarketDataProvider,
        engine: Engine,
        journal: Journal,
        dealer: Dealer,
        *,
        zone: tzinfo,
        clock: Clock,
    ) -> None:
        self._provider = provider
        self._engine = engine
        self._journal = journal
        self._dealer = dealer
        self._clock = clock
        self._day = TradingDay(journal, zone)
        self._deciding = asyncio.Lock()
        self._split_commits: set[str] = set()

    async def make(self, symbols: Sequence[str]) -> list[str]:
        """Make one pass over some symbols and return those that had a snapshot."""
        began = monotonic()
        await self._day.earned_before(self._clock())  # a day begins with its first pass
        found = [await self._provider.aget_latest_snapshot(symbol) for symbol in symbols]
        snapshots = [snapshot for snapshot in found if snapshot is not None]
        for snapshot in snapshots:
            if snapshot.split is not None:
                await self._split(snapshot)
            self._dealer.show(snapshot)
        await self._dealer.poll()
        await self._dealer.settle(book.symbol for s in snapshots for book in s.books)
        plans = await self._decide(snapshots)
        for snapshot, plan in zip(snapshots, plans, strict=True):
            for orders in plan.trades:
                if self._holds(snapshot):
                    await self._dealer.carry_out(orders)
                else:
                    await self._dealer.withhold(orders, "its book became stale on the way")
            for cancel in plan.cancels:
                await self._dealer.cancel(cancel)
            if plan.refused_count:
                self._journal.metrics.count(Count.REFUSALS, snapshot.symbol, plan.refused_count)
            self._measure(snapshot.symbol, snapshot, plan.opened_count, began)
        done = [snapshot.symbol for snapshot in snapshots]
        for symbol in symbols:
            if symbol not in done:
                self._measure(symbol, None, 0, began)
        return done

    async def _decide(self, snapshots: Sequence[Snapshot]) -> list[Plan]:
        """Ask the engine and the guard, and record marks, refusals and orders as one commit.

        Whoever wants to trade waits for the decisions under way, so that a limit of the portfolio
        holds for all symbols together.
        """
        accounts = self._journal.accounts
        events: list[Event] = [m for s in snapshots for m in marks_of(s, accounts)]
        wanted = [self._engine.process_snapshot(s, accounts) for s in snapshots]
        if not any(wanted):
            if events:
                await self._journal.append(events)
            return [Plan(events=[], trades=[], cancels=[]) for _ in snapshots]
        async with self._deciding:
            await self._journal.catch_up()
            earned = await self._day.earned_before(self._clock())
            trial, plans = tried(self._journal.accounts, events), []
            for snapshot, wishes in zip(snapshots, wanted, strict=True):
                wants = wishes if self._holds(snapshot) else ()
                plan, trial = plan_trades(
                    snapshot, wants, trial, venue=self._dealer.default_venue, before_today=earned
                )
                plans.append(plan)
                events += plan.events
            if events:
                await self._journal.append(events)
        return plans

    def _holds(self, snapshot: Snapshot) -> bool:
        """Whether a snapshot may be traded on, now that the store or others were waited for."""
        provider = self._provider
        if not isinstance(provider, PerishableProvider):
            return True
        stale = [book.symbol for book in snapshot.books if not provider.is_fresh(book)]
        if stale:
            log.warning("%s became stale while it was decided on: nothing is sent", stale)
        return not stale

    async def _split(self, snapshot: Snapshot) -> None:
        """Let a split take effect once: the id of its commit is kept by the ledger for good."""
        session = self._journal.accounts.portfolio.session
        name = session.session if session else "-"
        self._dealer.split(snapshot)
        await self._dealer.poll()
        commit_id = f"{_SPLIT}{name}/{snapshot.book.symbol}/{stamp_of(snapshot.occurred_at)}"
        try:
            await self._journal.append(
                split_events(snapshot, self._journal.accounts), commit_id=commit_id
            )
        except CommitMismatch:
            log.debug("%s was recorded before", commit_id)
        self._split_commits.add(commit_id)

    def _measure(
        self, symbol: str, snapshot: Snapshot | None, opened_count: int, began: float
    ) -> None:
        spread, source = ZERO, "none"
        if snapshot is not None:
            book = snapshot.book
            source = book.venue
            spread = quotient(multiply(subtract(book.ask, book.bid), BPS), book.bid)
            lag = self._clock() - snapshot.occurred_at
            self._journal.metrics.observe(Duration.LAG, lag.total_seconds(), symbol)
        self._journal.metrics.update_loop_metrics(
            (monotonic() - began) * 1000,
            opened_count,
            spread,
            source,
            ws_connected=snapshot is not None and hasattr(self._provider, "ws_reconnects"),
            ws_reconnects=getattr(self._provider, "ws_reconnects", 0),
            symbol=symbol,
        )
