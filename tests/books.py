"""A venue on this machine that streams books over WebSockets, and fails in the ways venues do."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

__all__ = ["BookServer", "SentBook"]

_PAUSE_SECONDS = 0.005
_HELD_UP = timedelta(seconds=60)


class SentBook(NamedTuple):
    """A book as it was sent: on which connection, when, and how."""

    connection: int
    sent_at: datetime
    mode: str


class BookServer:
    """Streams books of whatever is subscribed to, in the neutral dialect; no two ask the same.

    Attributes:
        mode: ``good``, or ``garbled``: every message is cut off; ``delayed``: every book is a
            minute old; ``silent``: nothing is sent.
        sent: What was sent, by its ask.
        ended_at: When each connection ended, by its number.
    """

    def __init__(self) -> None:
        self.mode = "good"
        self.sent: dict[Decimal, SentBook] = {}
        self.ended_at: dict[int, datetime] = {}
        self._port = 0
        self._asks = itertools.count(10_000)
        self._server: Server | None = None
        self._open: dict[int, ServerConnection] = {}
        self._connection_count = 0

    @property
    def url(self) -> str:
        """Where it listens; the same after it has come back."""
        return f"ws://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Listen."""
        self._server = await serve(self._stream, "127.0.0.1", self._port, close_timeout=0.2)
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def die(self) -> None:
        """Break every connection without a word, and listen no more."""
        assert self._server is not None
        for number, connection in list(self._open.items()):
            self.ended_at.setdefault(number, datetime.now(UTC))
            connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()
        self._server = None

    async def __aenter__(self) -> BookServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            await self.die()

    async def _stream(self, connection: ServerConnection) -> None:
        self._connection_count += 1
        number = self._connection_count
        self._open[number] = connection
        with suppress(ConnectionClosed):  # found out by sending
            await self._send(number, connection)
        self.ended_at.setdefault(number, datetime.now(UTC))
        del self._open[number]

    async def _send(self, number: int, connection: ServerConnection) -> None:
        symbols = msgspec.json.decode(await connection.recv())["symbols"]
        sequence = 0
        while connection.state is State.OPEN:
            for symbol in symbols if self.mode != "silent" else ():
                await connection.send(self._message(number, symbol, sequence))
            sequence += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    def _message(self, number: int, symbol: str, sequence: int) -> str:
        ask, now = Decimal(next(self._asks)).scaleb(-2), datetime.now(UTC)
        self.sent[ask] = SentBook(number, now, self.mode)
        told: dict[str, Any] = {
            "type": "book",
            "symbol": symbol,
            "bid": str(ask - Decimal("0.01")),
            "ask": str(ask),
            "sequence": sequence,
            "time": (now - (_HELD_UP if self.mode == "delayed" else timedelta(0))).isoformat(),
        }
        text = msgspec.json.encode(told).decode()
        return text[: len(text) // 2] if self.mode == "garbled" else text
