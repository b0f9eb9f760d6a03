"""Dealing with exchanges: places what is recorded, and records what comes of it.

An exchange that does not answer leaves the outcome of an order open. It is then asked again, by
the same id, a few times within the pass; after that the order stays pending in the ledger, and
every later pass, and every later run, asks about it until it is known.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Protocol, TypeVar, runtime_checkable

from ledger import (
    Clock,
    Event,
    OrderRejected,
    OrderStatus,
    RuleViolation,
    TradeRefused,
)
from ledger.errors import NotFound
from runner.config import RunnerConfig
from runner.engine import Cancel
from runner.exchange import Exchange, ExchangeUnavailable, Report, ReportKind
from runner.figures import Count
from runner.journal import Journal
from runner.market import Book, Snapshot
from runner.metrics import MetricsCollector
from runner.planning import PlannedOrder, stamp_of
from runner.recording import events_from_reports, strangers

__all__ = ["Dealer", "PaperVenue"]

log = logging.getLogger(__name__)

T = TypeVar("T")


@runtime_checkable
class PaperVenue(Protocol):
    """An exchange that has to be shown the market it trades on."""

    def on_book(self, book: Book) -> None:
        """Show it a book."""

    def apply_split(self, symbol: str, ratio: str, *, split_id: str) -> None:
        """Let a split take effect, once for each id."""


class Dealer:
    """What stands between the runner and its exchanges, by their names; the first is the default.

    Commits on one symbol's orders are made one after the other, those on others side by side.
    """

    def __init__(
        self,
        exchanges: Mapping[str, Exchange],
        journal: Journal,
        config: RunnerConfig,
        *,
        metrics: MetricsCollector,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._exchanges = dict(exchanges)
        self._paper = {
            name: exchange
            for name, exchange in exchanges.items()
            if isinstance(exchange, PaperVenue)
        }
        self._journal = journal
        self._config = config
        self._metrics = metrics
        self._clock = clock
        self._sleep = sleep
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._seen: dict[str, int] = dict.fromkeys(exchanges, 0)
        self._shown: dict[tuple[str, str], Book] = {}
        self._in_flight: set[str] = set()
        self._told: set[str] = set()

    @property
    def default_venue(self) -> str:
        """The name of the first exchange."""
        return next(iter(self._exchanges))

    def venue(self, name: str | None) -> Exchange:
        """Return an exchange by its name.

        Raises:
            NotFound: There is none of that name.
        """
        exchange = self._exchanges.get(name or self.default_venue)
        if exchange is None:
            known = ", ".join(self._exchanges)
            raise NotFound(f"there is no exchange {name!r}", hint=f"the runner has: {known}")
        return exchange

    def show(self, snapshot: Snapshot) -> None:
        """Show the books of a snapshot to the exchanges on paper."""
        for book in snapshot.books:
            if self._shown.get((book.venue, book.symbol)) != book:
                for exchange in self._on_paper(book.venue):
                    exchange.on_book(book)
                self._shown[book.venue, book.symbol] = book

    def split(self, snapshot: Snapshot) -> None:
        """Let a split take effect at the exchanges on paper; what works there is cancelled."""
        for book in snapshot.books if snapshot.split else ():
            split_id = f"{book.symbol}:{stamp_of(snapshot.occurred_at)}"
            for exchange in self._on_paper(book.venue):
                exchange.apply_split(book.symbol, snapshot.split or "", split_id=split_id)

    def _on_paper(self, venue: str) -> list[PaperVenue]:
        """The exchange of a book's venue, or else the default one, if it is on paper."""
        name = venue if venue in self._exchanges else self.default_venue
        return [self._paper[name]] if name in self._paper else []

    async def carry_out(self, orders: Sequence[PlannedOrder]) -> None:
        """Place the orders of one trade, each when the one before was taken, and record it all.

        Where an order is rejected, or its fate is not known, those after it are not sent, and the
        ledger says so.
        """
        reports: list[Report] = []
        unsent: list[Event] = []
        ids = {order.request.client_order_id for order in orders}
        self._in_flight |= ids
        try:
            for index, order in enumerate(orders):
                found = await self._place(order)
                reports += found or ()
                if found is None or any(r.kind is ReportKind.REJECTED for r in found):
                    unsent = [self._not_sent(later, order) for later in orders[index + 1 :]]
                    break
            await self.record(reports, also=unsent)
        finally:
            self._in_flight -= ids

    async def withhold(self, orders: Sequence[PlannedOrder], reason: str) -> None:
        """Send nothing of a trade that is recorded, and record that."""
        await self.record(
            (), also=[self._rejected(order, f"not sent: {reason}") for order in orders]
        )

    async def cancel(self, cancel: Cancel) -> None:
        """Withdraw an order; what came first, its end or a fill, is recorded."""
        account = self._journal.accounts.symbols[cancel.symbol]
        order = account.orders[cancel.order_id]
        exchange = self.venue(order.venue)
        reports = await self._patiently(
            lambda: exchange.cancel(cancel.order_id), f"cancel {cancel.order_id}"
        )
        await self.record(reports or ())

    async def poll(self) -> None:
        """Record what the exchanges have reported since the last time.

        How far that was is remembered only to save work: a new run starts from the first report,
        and what is recorded already is seen from the ledger.
        """
        for name, exchange in self._exchanges.items():
            try:
                reports = await exchange.reports(after=self._seen[name])
            except ExchangeUnavailable as error:
                log.warning("%s did not say what is new: %s", name, error)
                self._metrics.count(Count.RECONNECTS)
                continue
            by_symbol: dict[str, list[Report]] = {}
            for report in reports:
                by_symbol.setdefault(report.symbol, []).append(report)
            for symbol, own in by_symbol.items():
                await self._record_apart(symbol, own)
            if reports:
                self._seen[name] = max(self._seen[name], reports[-1].report_id)

    async def _record_apart(self, symbol: str, reports: Sequence[Report]) -> None:
        """Record one symbol's reports; a stream that takes no more must not stop the others."""
        try:
            await self.record(reports)
        except RuleViolation as error:
            log.warning("what happened to %s cannot be recorded: %s", symbol, error)
            self._metrics.count(Count.FAILURES, symbol)

    async def settle(self, symbols: Iterable[str] | None = None) -> None:
        """Ask about every order whose fate is open, of these symbols or of all."""
        accounts = self._journal.accounts
        for symbol in list(accounts.symbols) if symbols is None else symbols:
            account = accounts.symbols.get(symbol)
            for order_id, order in list(account.orders.items()) if account else ():
                is_open = order.status is OrderStatus.PENDING
                if is_open and order_id not in self._in_flight and order.venue in self._exchanges:
                    await self._ask(symbol, order_id, self.venue(order.venue))

    async def record(self, reports: Sequence[Report], *, also: Sequence[Event] = ()) -> None:
        """Append, as one commit, what the reports say that the ledger does not have yet."""
        symbols = {report.symbol for report in reports} | {event.symbol for event in also}
        async with AsyncExitStack() as stack:
            for symbol in sorted(symbols):
                await stack.enter_async_context(self._turns[symbol])
            if strangers(self._journal.accounts, reports):
                await self._journal.catch_up()  # perhaps somebody else has placed them
            accounts = self._journal.accounts
            events = [*events_from_reports(accounts, reports), *also]
            events += await self._on_strangers(strangers(accounts, reports))
            if events:
                await self._journal.append(events)

    async def _ask(self, symbol: str, order_id: str, exchange: Exchange) -> None:
        """Find out about one order; one that never arrived is rejected by that."""
        try:
            reports = await exchange.query(order_id)
        except ExchangeUnavailable as error:
            log.warning("the fate of order %s stays open: %s", order_id, error)
            self._metrics.count(Count.RECONNECTS)
            return
        if reports is not None:
            await self._record_apart(symbol, reports)
            return
        account = self._journal.accounts.symbols[symbol]
        if account.orders[order_id].status is OrderStatus.PENDING:
            rejected = OrderRejected(
                symbol=symbol,
                occurred_at=self._clock(),
                order_id=order_id,
                reason="never reached the exchange",
            )
            await self.record((), also=[rejected])

    async def _place(self, order: PlannedOrder) -> Sequence[Report] | None:
        exchange = self.venue(order.venue)
        request = order.request
        return await self._patiently(
            lambda: exchange.place(request), f"order {request.client_order_id}"
        )

    async def _patiently(self, call: Callable[[], Awaitable[T]], what: str) -> T | None:
        """Call until there is an answer, with growing pauses; ``None`` if there was none."""
        pause = self._config.backoff_seconds
        for attempt in range(1, self._config.place_attempts + 1):
            try:
                return await call()
            except ExchangeUnavailable as error:
                log.warning("%s, attempt %d: %s", what, attempt, error)
                self._metrics.count(Count.RECONNECTS)
            if attempt < self._config.place_attempts:
                await self._sleep(pause)
                pause *= 2
        return None

    def _not_sent(self, order: PlannedOrder, before: PlannedOrder) -> OrderRejected:
        name = before.request.client_order_id
        return self._rejected(order, f"not sent: order {name} before it was not taken")

    def _rejected(self, order: PlannedOrder, reason: str) -> OrderRejected:
        return OrderRejected(
            symbol=order.request.symbol,
            occurred_at=self._clock(),
            order_id=order.request.client_order_id,
            reason=reason,
        )

    async def _on_strangers(self, reports: Sequence[Report]) -> list[Event]:
        """Say of each order that the ledger never placed that it is there, once.

        The accounts forget orders that were done long ago: the ledger is asked about those.
        """
        events: list[Event] = []
        unknown = {r.client_order_id: r for r in reports if r.client_order_id not in self._told}
        for symbol in sorted({report.symbol for report in unknown.values()}):
            async for recorded in self._journal.ledger.tail(symbol):
                event = recorded.event
                known = getattr(event, "order_id", None)
                if isinstance(event, TradeRefused) and event.limit == "order-unknown":
                    known = event.trade_id
                unknown.pop(known or "", None)
        for order_id, report in unknown.items():
            log.error("%s reports on order %s, which is not in the ledger", report.symbol, order_id)
            events.append(
                TradeRefused(
                    symbol=report.symbol,
                    occurred_at=report.occurred_at,
                    trade_id=order_id,
                    limit="order-unknown",
                    reason="an exchange reports on an order that was never placed here",
                )
            )
        self._told |= {report.client_order_id for report in reports}
        return events
