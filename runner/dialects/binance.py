"""Binance spot: the best bid and ask of many symbols over one combined stream."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from ledger.errors import InvalidInput
from runner.dialects.base import (
    NOTHING,
    BadMessage,
    Level,
    SequencedBook,
    decode,
    level,
    moment_from_milliseconds,
    need_upper_case,
)
from runner.market import Book

__all__ = ["BinanceDialect"]


class _BinancePayload(msgspec.Struct):
    symbol: str | None = msgspec.field(default=None, name="s")
    kind: str | None = msgspec.field(default=None, name="e")
    milliseconds: int | None = msgspec.field(default=None, name="E")
    ticker_id: int | None = msgspec.field(default=None, name="u")
    bid: Decimal | None = msgspec.field(default=None, name="b")
    bid_size: Decimal | None = msgspec.field(default=None, name="B")
    ask: Decimal | None = msgspec.field(default=None, name="a")
    ask_size: Decimal | None = msgspec.field(default=None, name="A")
    depth_id: int | None = msgspec.field(default=None, name="lastUpdateId")
    bids: list[tuple[Decimal, Decimal]] | None = None
    asks: list[tuple[Decimal, Decimal]] | None = None


class _BinanceMessage(_BinancePayload):
    """A combined message, a bare payload, or an answer to a request, whichever it is."""

    stream: str | None = None
    data: _BinancePayload | None = None
    result: Any = msgspec.UNSET
    error: dict[str, Any] | None = None
    code: int | None = None
    msg: str | None = None


_BINANCE = msgspec.json.Decoder(_BinanceMessage)


class BinanceDialect:
    """Binance spot: best bid and ask (``bookTicker``), or the top of the partial depth.

    Neither stream states a time, so a book has the time at which it was received; where a payload
    has an event time (``E``), that one counts. The update id orders the books.

    Args:
        venue: The name that the books carry.
        stream: ``"bookTicker"``, or a partial depth such as ``"depth5@100ms"``, which needs a URL
            that ends in ``/stream``: its payload does not name the symbol.
    """

    name = "binance"
    _STREAMS_MAX = 1024  # one connection carries no more
    _STREAMS_PER_MESSAGE = 256  # and takes at most five messages a second

    def __init__(self, venue: str = "binance", stream: str = "bookTicker") -> None:
        self._venue = venue
        self._stream = stream

    def subscribe_messages(self, symbols: Sequence[str]) -> list[str]:
        """Return as few ``SUBSCRIBE`` requests as the venue's limits allow."""
        need_upper_case(symbols, "BTCUSDT")
        if len(symbols) > self._STREAMS_MAX:
            raise InvalidInput(
                f"symbols: {len(symbols)} is more than {self._STREAMS_MAX} on one connection",
                hint="split the symbols over several providers",
            )
        streams = [f"{symbol.lower()}@{self._stream}" for symbol in symbols]
        size = self._STREAMS_PER_MESSAGE
        chunks = [streams[start : start + size] for start in range(0, len(streams), size)]
        return [
            msgspec.json.encode({"method": "SUBSCRIBE", "params": chunk, "id": number}).decode()
            for number, chunk in enumerate(chunks, 1)
        ]

    def books(self, message: str | bytes, received_at: datetime) -> list[SequencedBook]:
        """Return the book of a ticker or depth message, combined or bare."""
        told = decode(_BINANCE, message, self.name)
        if told.error is not None or told.code is not None:
            raise BadMessage(self.name, message, f"is a refusal: {told.error or told.msg}")
        payload = told.data or told
        if told.result is None or payload.kind == "serverShutdown":
            return []
        try:
            return [self._book(payload, told.stream, received_at)]
        except (ValueError, OverflowError) as error:
            raise BadMessage(self.name, message, f"is no book: {error}") from error

    def _book(
        self, payload: _BinancePayload, stream: str | None, received_at: datetime
    ) -> SequencedBook:
        bid, ask, sequence = _binance_levels(payload)
        book = Book(
            venue=self._venue,
            symbol=_binance_symbol(payload, stream),
            bid=bid[0],
            ask=ask[0],
            bid_size=bid[1],
            ask_size=ask[1],
            occurred_at=(
                received_at
                if payload.milliseconds is None
                else moment_from_milliseconds(payload.milliseconds)
            ),
        )
        return SequencedBook(book, sequence)


def _binance_levels(payload: _BinancePayload) -> tuple[Level, Level, int]:
    if payload.depth_id is not None and payload.bids is not None and payload.asks is not None:
        bid = level(*payload.bids[0], "bid") if payload.bids else NOTHING
        ask = level(*payload.asks[0], "ask") if payload.asks else NOTHING
        return bid, ask, payload.depth_id
    if payload.ticker_id is None or payload.bid is None or payload.ask is None:
        raise ValueError("neither a ticker nor a partial depth")
    bid = level(payload.bid, payload.bid_size, "bid")
    ask = level(payload.ask, payload.ask_size, "ask")
    return bid, ask, payload.ticker_id


def _binance_symbol(payload: _BinancePayload, stream: str | None) -> str:
    named = None if stream is None else stream.partition("@")[0].upper()
    symbol = payload.symbol or named
    if not symbol:
        raise ValueError("it names no symbol; partial depth needs a URL that ends in /stream")
    if named is not None and symbol != named:
        raise ValueError(f"it is of {symbol}, in the stream of {named}")
    return symbol
