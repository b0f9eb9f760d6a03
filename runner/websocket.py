"""Live books over one WebSocket connection, for as many symbols as the venue allows.

The rule above all others: no trade on a book that may no longer be true. A book is handed out only
while the connection that brought it stands and its age is within ``stale_after``; in every other
case the answer is ``None``, and what happened is counted and logged.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException
from websockets.uri import parse_uri

from ledger.errors import InvalidInput
from runner.dialects import BadMessage, Dialect
from runner.latest_books import LatestBooks
from runner.market import Book, Snapshot

__all__ = ["Backoff", "WebSocketProvider"]

_LOG = logging.getLogger(__name__)


class Backoff(NamedTuple):
    """How long to wait before connecting again: exponential, capped, with full jitter.

    Attributes:
        base: The longest wait after a connection that had been of use.
        cap: The longest wait of all.
    """

    base: timedelta = timedelta(milliseconds=500)
    cap: timedelta = timedelta(seconds=30)

    def seconds(self, failure_count: int, jitter: random.Random) -> float:
        """Return a wait between 0 and ``base`` doubled with each failure in a row."""
        doubled = self.base.total_seconds() * 2.0 ** min(failure_count, 32)
        return jitter.uniform(0.0, min(self.cap.total_seconds(), doubled))


class WebSocketProvider:
    """Subscribes to many symbols on one connection and keeps the latest book of each.

    ``astart`` works in the running event loop, ``start`` in a thread of its own. Both return when
    the subscription has been sent or the first attempt has failed, at the latest after
    ``connect_timeout``; connecting goes on in the background. ``get_latest_snapshot`` never waits
    and may be called from any thread.

    Should the dialect or the clock raise an error of their own, the feed ends and every later
    ``get_latest_snapshot`` raises that error.

    Args:
        url: Where the venue listens, ``ws://`` or ``wss://``.
        symbols: What to subscribe to, as the venue writes it.
        clock: Tells the present; ages are measured by it.
        stale_after: The age, counted from its receipt, up to which a book is handed out.
        max_delay: Books that were older than this when they arrived are dropped. It compares the
            venue's clock with ours; without it there is no such limit.
        silence_timeout: A connection that brings nothing for so long is given up.
        garbled_limit: A connection that brings so many unreadable messages in a row is given up.
        jitter: The chance behind the waits of ``backoff``.
        proxy: The URL of a proxy to connect through.

    Attributes:
        ws_connected: Whether the connection stands and the subscription has been sent.
        bad_message_count: Messages that the dialect could not read, or in which the venue refused.
        delayed_count: Books dropped because of ``max_delay``.

    Raises:
        InvalidInput: The URL is none, there are no symbols, or the dialect refuses one of them.
    """

    def __init__(
        self,
        url: str,
        symbols: Sequence[str],
        dialect: Dialect,
        *,
        clock: Callable[[], datetime],
        stale_after: timedelta,
        jitter: random.Random,
        backoff: Backoff | None = None,
        max_delay: timedelta | None = None,
        connect_timeout: timedelta = timedelta(seconds=10),
        silence_timeout: timedelta = timedelta(seconds=60),
        garbled_limit: int = 20,
        proxy: str | None = None,
    ) -> None:
        _check_url(url)
        if not symbols:
            raise InvalidInput("symbols: none are given", hint="name at least one symbol")
        self._url = url
        self._requests = dialect.subscribe_messages(list(dict.fromkeys(symbols)))
        self._dialect = dialect
        self._clock = clock
        self._jitter = jitter
        self._backoff = backoff or Backoff()
        self._max_delay = max_delay
        self._connect_seconds = connect_timeout.total_seconds()
        self._silence_seconds = silence_timeout.total_seconds()
        self._garbled_limit = garbled_limit
        self._proxy = proxy
        self._latest = LatestBooks(frozenset(symbols), stale_after)
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lifecycle = threading.Lock()
        self._connection_count = 0
        self.ws_connected = False
        self.bad_message_count = 0
        self.delayed_count = 0

    @property
    def ws_reconnects(self) -> int:
        """Connections made after the first one."""
        return max(0, self._connection_count - 1)

    @property
    def stale_count(self) -> int:
        """Books that became stale, by age or with their connection, before a newer one came."""
        return self._latest.stale_count

    @property
    def reordered_count(self) -> int:
        """Books dropped because a newer one of their symbol had come before them."""
        return self._latest.reordered_count

    @property
    def unknown_symbol_count(self) -> int:
        """Books dropped because nobody had subscribed to their symbol."""
        return self._latest.unknown_symbol_count

    def get_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return the latest book of ``symbol``, or ``None`` where there is none or it is stale."""
        task = self._task
        if task is not None and task.done() and not task.cancelled():
            task.result()  # the feed has failed: silence would look like a quiet market
        book = self._latest.get(symbol, self._clock())
        if book is None:
            return None
        return Snapshot(symbol=symbol, occurred_at=book.occurred_at, books=(book,))

    async def aget_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return what :meth:`get_latest_snapshot` returns."""
        return self.get_latest_snapshot(symbol)

    def is_fresh(self, book: Book) -> bool:
        """Whether a book that was handed out may still be traded on."""
        return self._latest.is_fresh(book, self._clock())

    async def astart(self) -> None:
        """Begin to provide, in the running event loop; idempotent."""
        if not self._is_working():
            self._thread = None
            await self._begin()

    async def astop(self) -> None:
        """Stop and release everything; idempotent."""
        task = self._task
        if self._thread is not None:
            await asyncio.to_thread(self.stop)
        elif task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._task = None

    def start(self) -> None:
        """Begin to provide, in a thread of its own; idempotent."""
        with self._lifecycle:
            if self._is_working():
                return
            ready = threading.Event()
            self._thread = threading.Thread(
                target=lambda: asyncio.run(self._work(ready)), name=self._url, daemon=True
            )
            self._thread.start()
            ready.wait()

    def stop(self) -> None:
        """Stop and release everything; idempotent.

        Raises:
            RuntimeError: The provider works in an event loop; only ``astop`` can wait for it.
        """
        with self._lifecycle:
            task, loop, thread = self._task, self._loop, self._thread
            if thread is None:
                if self._is_working():
                    raise RuntimeError("started with astart(): await astop() in the same loop")
                return
            if task is not None and loop is not None:
                with suppress(RuntimeError):  # the loop is closed: the feed has ended by itself
                    loop.call_soon_threadsafe(task.cancel)
            thread.join()
            self._task, self._thread = None, None

    def _is_working(self) -> bool:
        return self._task is not None and not self._task.done()

    async def _begin(self) -> None:
        attempted = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(attempted), name=f"books from {self._url}")
        self._task.add_done_callback(_log_failure)
        first = asyncio.ensure_future(attempted.wait())
        try:
            await asyncio.wait([self._task, first], return_when=asyncio.FIRST_COMPLETED)
        finally:
            first.cancel()

    async def _work(self, ready: threading.Event) -> None:
        try:
            await self._begin()
        finally:
            ready.set()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self, attempted: asyncio.Event) -> None:
        failure_count = 0
        while True:
            accepted_count = self._latest.accepted_count
            try:
                await self._use_one_connection(attempted)
            except (OSError, WebSocketException) as error:
                _LOG.warning("%s at %s: no books: %s", self._dialect.name, self._url, error)
            attempted.set()
            was_of_use = self._latest.accepted_count > accepted_count
            failure_count = 0 if was_of_use else failure_count + 1
            await asyncio.sleep(self._backoff.seconds(failure_count, self._jitter))

    async def _use_one_connection(self, attempted: asyncio.Event) -> None:
        """Connect, subscribe to everything, and read until the connection is of no more use."""
        async with connect(
            self._url,
            open_timeout=self._connect_seconds,
            close_timeout=1.0,
            proxy=self._proxy,
        ) as connection:
            try:
                for request in self._requests:
                    await connection.send(request)
                self._connection_count += 1
                self.ws_connected = True
                attempted.set()
                await self._read(connection)
            finally:
                self.ws_connected = False
                self._latest.forget()

    async def _read(self, connection: ClientConnection) -> None:
        garbled_in_a_row = 0
        while garbled_in_a_row < self._garbled_limit:
            message = await self._next_message(connection)
            try:
                self._take(message)
            except BadMessage as error:
                garbled_in_a_row += 1
                self.bad_message_count += 1
                _LOG.warning("%s", error)
            else:
                garbled_in_a_row = 0
        raise ConnectionError(f"{garbled_in_a_row} unreadable messages in a row")

    async def _next_message(self, connection: ClientConnection) -> bytes:
        # Bytes also for text: the library would end the connection over text that is not UTF-8.
        try:
            async with asyncio.timeout(self._silence_seconds):
                return await connection.recv(decode=False)
        except TimeoutError as error:
            raise ConnectionError(f"nothing came for {self._silence_seconds} s") from error

    def _take(self, message: bytes) -> None:
        now = self._clock()
        for sequenced in self._dialect.books(message, now):
            if self._max_delay is not None and now - sequenced.book.occurred_at > self._max_delay:
                self.delayed_count += 1
            else:
                self._latest.put(sequenced, now)


def _check_url(url: str) -> None:
    try:
        parse_uri(url)
    except InvalidURI as error:
        raise InvalidInput(f"url: {error}", hint="write it such as wss://host/path") from error


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("%s: the feed has ended", task.get_name(), exc_info=error)
