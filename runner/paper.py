"""The paper exchange: a venue that behaves like a real one, and repeats itself from a seed.

It takes orders, matches them against the books it is shown, charges fees, and keeps an account of
its own in a file of its own, which survives the end of the runner at any instruction.

What chance there is in the outcome of an order comes from the seed and its client order id alone,
as whole numbers drawn from their hash: a restart, or symbols that interleave otherwise, change
nothing. A report's number is the one thing that depends on what else happened.

How an order trades:

- On arrival, and at market always, it takes what the last book offers, ``slippage_bps`` worse than
  the price shown and never worse than its limit. A limit order that rests trades at its limit as
  soon as a book reaches it. A crossed book is no market.
- Never more than the book's size trades on that book, all orders together; a book that is shown
  again adds nothing. The rest of any order, at market too, waits for the next book.
- Orders of a symbol trade in the order of their arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from ledger import OrderSide, OrderStatus, split_ratio
from ledger.amounts import amount, exact
from ledger.errors import InvalidInput, NotFound
from runner.exchange import OrderRequest, Report, ReportKind
from runner.market import Book
from runner.paper_account import PaperAccount, PaperOrder
from runner.paper_file import AccountFile, read_account
from runner.paper_matching import Chance, Market, PaperConfig, fills_of

__all__ = ["PaperAccount", "PaperConfig", "PaperExchange", "PaperOrder", "read_account"]


class PaperExchange:
    """A venue on paper; see the module for how it trades.

    The async methods of :class:`~runner.exchange.Exchange` do one short SQLite transaction each
    and never wait for anything else: tens of microseconds in memory, one disk sync with a file.
    Every method may raise :class:`~runner.exchange.ExchangeUnavailable` if the file does not
    answer. Several exchanges may have one file open; they then share one account.
    """

    def __init__(
        self,
        config: PaperConfig,
        *,
        clock: Callable[[], datetime],
        path: str | Path | None = None,
        name: str = "paper",
    ) -> None:
        """Open the account.

        Args:
            config: How the exchange behaves. Give a file the same one each time.
            clock: The venue's time, aware.
            path: The account's file, created if it is not there; in memory without one.
            name: The venue's name.

        Raises:
            InvalidInput: The file was written in another format.
        """
        self._config = config
        self._clock = clock
        self._name = name
        self._file = AccountFile(path)

    @property
    def name(self) -> str:
        """The venue's name."""
        return self._name

    def on_book(self, book: Book) -> None:
        """Show the exchange a symbol's market, and let the orders that wait for it trade.

        The last book of a symbol is kept in the file. A book equal to the last is not news.
        """
        now = self._clock()
        with self._file.reading():
            last = self._file.market(book.symbol)
            waiting = bool(self._file.working(book.symbol))
        if last is not None and last.book == book:
            return
        # Only a fill is worth a disk sync: a book that a power cut takes is replaced by the next.
        with self._file.transaction(synced=waiting):
            market = Market(book, book.bid_size, book.ask_size)
            for order in self._file.working(book.symbol):
                traded, market = self._trade(order, market, now, rested=True)
                self._file.put_order(traded)
            self._file.put_market(market)

    async def place(self, request: OrderRequest) -> Sequence[Report]:
        """Place an order and return its visible reports.

        Placing the same ``client_order_id`` again places nothing and returns the order's visible
        reports. The venue rejects, by a report, what it cannot trade: a symbol of which it never
        saw a book, an unknown side, a quantity or price not above zero or not in whole lots.

        Raises:
            InvalidInput: The id was used for an order with other content, or an amount is not a
                finite number; nothing was placed.
        """
        amount(request.quantity, "quantity")
        if request.price is not None:
            amount(request.price, "price")
        with self._file.transaction():
            known = self._file.order(request.client_order_id)
            if known is None:
                self._arrive(request)
            elif not _is_same(known, request):
                raise InvalidInput(
                    f"order {request.client_order_id!r} is known with other content",
                    hint="give a new order a client_order_id of its own",
                )
            return self._visible(request.client_order_id)

    async def cancel(self, client_order_id: str) -> Sequence[Report]:
        """Cancel what has not traded of an order, and return the order's visible reports.

        An order that no longer works stays as it is: its last report says what came first.

        Raises:
            NotFound: No such order ever arrived.
        """
        with self._file.transaction():
            order = self._file.order(client_order_id)
            if order is None:
                raise NotFound(
                    f"order {client_order_id!r} never arrived at {self._name}",
                    hint="query tells whether an order arrived; place it before cancelling it",
                )
            if order.status.is_working:
                self._cancel(order, "cancelled on request")
            return self._visible(client_order_id)

    async def query(self, client_order_id: str) -> Sequence[Report] | None:
        """Return the visible reports of one order, or ``None`` if it never arrived."""
        with self._file.reading():
            if self._file.order(client_order_id) is None:
                return None
            return self._visible(client_order_id)

    async def reports(self, after: int = 0) -> Sequence[Report]:
        """Return the visible reports of all orders with a ``report_id`` above ``after``."""
        with self._file.reading():
            return self._file.reports(after, visible_at=self._seen_until())

    def apply_split(self, symbol: str, ratio: str, *, split_id: str) -> None:
        """Split the holding of a symbol, such as by ``"7/1"``, and cancel what works in it.

        To be called before the first book at new prices is shown. The same ``split_id`` again does
        nothing.

        Raises:
            InvalidInput: Not a ratio, or the id was used for another split.
        """
        split_ratio(ratio)
        with self._file.transaction():
            known = self._file.split(split_id)
            if known is None:
                for order in self._file.working(symbol):
                    self._cancel(order, f"the symbol was split {ratio}")
                self._file.add_split(split_id, symbol, ratio)
            elif (known.symbol, known.ratio) != (symbol, ratio):
                raise InvalidInput(
                    f"split {split_id!r} is known as {known.ratio} of {known.symbol}",
                    hint="give a new split an id of its own",
                )

    def account(self) -> PaperAccount:
        """Return what the exchange really did, reports that are not visible yet included."""
        return self._file.account()

    def close(self) -> None:
        """Close the file; idempotent."""
        self._file.close()

    def _seen_until(self) -> datetime | None:
        # Without latency nothing is ever hidden, also from a clock that steps back.
        return self._clock() if self._config.latency else None

    def _visible(self, client_order_id: str) -> Sequence[Report]:
        return self._file.order_reports(client_order_id, visible_at=self._seen_until())

    def _arrive(self, request: OrderRequest) -> None:
        chance = Chance(self._config.seed, request.client_order_id)
        market = self._file.market(request.symbol)
        reason = self._objection(request, market)
        if reason is None and chance.rejection < self._config.rejection_chance_percent:
            reason = "the venue rejected the order by chance"
        order = PaperOrder(
            client_order_id=request.client_order_id,
            venue_order_id=chance.name,
            symbol=request.symbol,
            side=request.side,
            quantity=request.quantity,
            price=request.price,
            status=OrderStatus.ACCEPTED if reason is None else OrderStatus.REJECTED,
        )
        now = self._clock()
        kind = ReportKind.ACCEPTED if reason is None else ReportKind.REJECTED
        self._file.add_report(order, kind, now, self._config.latency, reason=reason)
        if reason is None and market is not None:
            order, left = self._trade(order, market, now, rested=False)
            if left != market:
                self._file.put_market(left)
        self._file.put_order(order)

    def _trade(
        self, order: PaperOrder, market: Market, now: datetime, *, rested: bool
    ) -> tuple[PaperOrder, Market]:
        """Report what an order trades on a market, and return what became of the two."""
        fills = fills_of(order, market, self._config, rested=rested)
        for fill in fills:
            order = order.with_fill(fill)
            self._file.add_report(order, ReportKind.FILLED, now, self._config.latency, fill=fill)
        return order, market.after(order.side, fills)

    def _cancel(self, order: PaperOrder, reason: str) -> None:
        latency = self._config.latency
        self._file.put_order(order.with_status(OrderStatus.CANCELLED))
        self._file.add_report(order, ReportKind.CANCELLED, self._clock(), latency, reason=reason)

    def _objection(self, request: OrderRequest, market: Market | None) -> str | None:
        """Say why the venue cannot take an order, or ``None``."""
        lot = self._config.lot_sizes.get(request.symbol)
        if request.side not in tuple(OrderSide):
            return f"side {request.side} is neither buy nor sell"
        if request.quantity <= 0:
            return f"quantity {request.quantity} is not above zero"
        if request.price is not None and request.price <= 0:
            return f"price {request.price} is not above zero"
        with exact():
            if lot is not None and request.quantity % lot:
                return f"quantity {request.quantity} is not a multiple of the lot size {lot}"
        if market is None:
            return f"symbol {request.symbol} is unknown: no book of it was ever seen"
        return None


def _is_same(order: PaperOrder, request: OrderRequest) -> bool:
    return (order.symbol, order.side, order.quantity, order.price) == (
        request.symbol,
        request.side,
        request.quantity,
        request.price,
    )
