"""Books made from a seed: a feed for any number of symbols that needs no market at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Final

from ledger.amounts import amount, multiply
from ledger.errors import InvalidInput, NotFound
from runner.market import Book, Snapshot

__all__ = ["SyntheticProvider"]

_TICK: Final = Decimal("0.0001")  # of the start price
_START: Final = 10_000  # the start price, in ticks
_FLOOR: Final = 1_000  # the walk is reflected here: no price comes near zero
_STRIDE: Final = 5  # ticks that the middle moves at most from one book to the next
_LOT: Final = Decimal("0.01")


class _Walk:
    """A random walk in whole ticks, and how far it has gone."""

    def __init__(self, seed: int | str, symbol: str) -> None:
        self._key = f"{seed}:{symbol}"
        self.position = 0
        self.ticks = _START

    def advance(self) -> None:
        self.position += 1
        stride = _draw(f"{self._key}:{self.position}", 2 * _STRIDE + 1) - _STRIDE
        self.ticks = _FLOOR + abs(self.ticks + stride - _FLOOR)


def _draw(key: str, choices: int) -> int:
    """Return a number in ``range(choices)`` that depends on ``key`` alone, on every platform."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest()) % choices


class SyntheticProvider:
    """A seeded random walk of books per symbol; each call hands out the symbol's next book.

    The books of a symbol depend on the seed, the venue and the symbol alone, not on what else is
    asked for or in which order. Prices are exact: whole ten-thousandths of the symbol's start
    price. Book ``n`` (from 0) stood at ``start_at + n * step``.

    Two providers with one seed and different venues share the walk of a symbol and depart from it
    by at most ``deviation_ticks`` each, so that their spread opens and closes.

    Args:
        start_prices: Where a walk begins, by symbol; a price from 10.00 to 999.99, drawn from the
            seed, where none is given.
        count: How many books a symbol has; without it the feed is endless.

    Raises:
        InvalidInput: A start price is not a positive amount or belongs to no symbol, or
            ``deviation_ticks`` is not from 0 to 500.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        seed: int | str,
        *,
        start_at: datetime,
        step: timedelta = timedelta(seconds=1),
        start_prices: Mapping[str, Decimal | int | str] | None = None,
        count: int | None = None,
        venue: str = "synthetic",
        deviation_ticks: int = 0,
    ) -> None:
        if not 0 <= deviation_ticks <= _FLOOR // 2:
            raise InvalidInput(f"deviation_ticks: {deviation_ticks} is not from 0 to 500")
        self._seed = seed
        self._start_at = start_at
        self._step = step
        self._count = count
        self._venue = venue
        self._deviation_ticks = deviation_ticks
        self._walks = {symbol: _Walk(seed, symbol) for symbol in symbols}
        given = start_prices or {}
        if strangers := sorted(given.keys() - self._walks.keys()):
            raise InvalidInput(f"start_prices: {strangers} are not among the symbols")
        self._units = {
            symbol: multiply(self._start_price(symbol, given.get(symbol)), _TICK)
            for symbol in symbols
        }

    def position(self, symbol: str) -> int:
        """Return how many books of ``symbol`` have been handed out or skipped.

        Raises:
            NotFound: The feed has no such symbol.
        """
        return self._walk(symbol).position

    def skip(self, symbol: str, count: int) -> None:
        """Pass over ``count`` books: a restarted runner goes on after those it has worked.

        Raises:
            NotFound: The feed has no such symbol.
        """
        walk = self._walk(symbol)
        for _ in range(count):
            walk.advance()

    def get_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return the next snapshot; ``None`` at the end, and for a symbol that is not fed."""
        walk = self._walks.get(symbol)
        if walk is None or (self._count is not None and walk.position >= self._count):
            return None
        book = self._book(symbol, walk)
        walk.advance()
        return Snapshot(symbol=symbol, occurred_at=book.occurred_at, books=(book,))

    async def aget_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return what :meth:`get_latest_snapshot` returns."""
        return self.get_latest_snapshot(symbol)

    def start(self) -> None:
        """Do nothing: the feed is always ready."""

    async def astart(self) -> None:
        """Do nothing: the feed is always ready."""

    def stop(self) -> None:
        """Do nothing: there is nothing to release."""

    async def astop(self) -> None:
        """Do nothing: there is nothing to release."""

    def _walk(self, symbol: str) -> _Walk:
        try:
            return self._walks[symbol]
        except KeyError:
            raise NotFound(
                f"the synthetic feed has no symbol {symbol!r}",
                hint=f"it has {', '.join(sorted(self._walks))}",
            ) from None

    def _start_price(self, symbol: str, given: Decimal | int | str | None) -> Decimal:
        if given is None:
            hundredths = 1_000 + _draw(f"{self._seed}:{symbol}:start", 99_000)
            return multiply(Decimal(hundredths), Decimal("0.01"))
        price = amount(given, f"start_prices[{symbol!r}]")
        if price <= 0:
            raise InvalidInput(f"start_prices[{symbol!r}]: {price} is not above 0")
        return price

    def _book(self, symbol: str, walk: _Walk) -> Book:
        key = f"{self._seed}:{self._venue}:{symbol}:{walk.position}"
        deviation = _draw(f"{key}:deviation", 2 * self._deviation_ticks + 1)
        bid = walk.ticks + deviation - self._deviation_ticks
        unit = self._units[symbol]
        return Book(
            venue=self._venue,
            symbol=symbol,
            bid=multiply(Decimal(bid), unit),
            ask=multiply(Decimal(bid + 1 + _draw(f"{key}:spread", 3)), unit),
            bid_size=multiply(Decimal(1 + _draw(f"{key}:bid_size", 1_000)), _LOT),
            ask_size=multiply(Decimal(1 + _draw(f"{key}:ask_size", 1_000)), _LOT),
            occurred_at=self._start_at + walk.position * self._step,
        )
