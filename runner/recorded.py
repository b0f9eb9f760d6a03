"""Recorded prices played back: the market as it was, one instant after the other.

The extract of daily prices that ships with the package is one such record; see
``prices/ORIGIN.md`` beside this module.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from operator import attrgetter
from pathlib import Path
from typing import Final

from ledger.amounts import Amount, amount, exact
from ledger.errors import InvalidInput
from runner.market import Book, Snapshot
from runner.price_rows import PriceRow, read_prices
from runner.tables import TableSource

__all__ = ["RecordedProvider", "shipped_prices"]

_BASIS_POINT: Final = Decimal("0.0001")
_TICKS_WORTH_ROUNDING: Final = 100


def shipped_prices() -> Path:
    """Return the file of real daily prices of AAPL, FB, GOOG, IBM and MSFT, 2000 to 2013."""
    return Path(str(files("runner"))) / "prices" / "stocks.csv.gz"


class RecordedProvider:
    """A market data provider over recorded prices; satisfies ``MarketDataProvider``.

    The provider has its own time, which moves only by :meth:`advance`, :meth:`steps` and
    :meth:`seek`. Before the first step there is no market yet.

    A row with a bid and an ask is taken as it is. A row with a price alone gets a book around it:
    the bid is the price less ``half_spread_bps`` basis points of it, rounded down to the tick, the
    ask the price plus as much, rounded up, so that the bid is below the price and the ask above it.
    A price of less than 100 ticks is too small for that tick: its book is not rounded.
    """

    def __init__(
        self,
        source: TableSource,
        symbols: str | Sequence[str] | None = None,
        *,
        half_spread_bps: Amount = 1,
        tick: Amount = "0.01",
        venue: str = "recorded",
    ) -> None:
        """Read and check all prices of the symbols asked for.

        Args:
            source: A ``.csv``, ``.csv.gz`` or ``.parquet`` file, or rows that map the names of
                columns to values; :mod:`runner.price_rows` says which columns. Parquet needs the
                ``analysis`` extra.
            symbols: One symbol or several; where none is named, all there are, sorted.
            half_spread_bps: Above 0 and below 10,000.
            tick: The smallest step of a price.
            venue: What the books name as their venue.

        Raises:
            InvalidInput: The prices cannot be read, or a row or an argument breaks a rule.
            NotFound: There are no prices of a symbol asked for.
        """
        named = (symbols,) if isinstance(symbols, str) else symbols or None
        spread = _Spread(half_spread_bps, tick)
        self._series = {
            symbol: [_snapshot(symbol, row, venue, spread) for row in rows]
            for symbol, rows in read_prices(source, named).items()
        }
        self._instants = sorted({s.occurred_at for line in self._series.values() for s in line})
        self._passed = 0

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols there are prices of, in the order asked for."""
        return tuple(self._series)

    @property
    def instants(self) -> Sequence[datetime]:
        """Every distinct instant at which some symbol has a price, oldest first, in UTC."""
        return tuple(self._instants)

    @property
    def now(self) -> datetime | None:
        """The instant the playback has come to; ``None`` before the first."""
        return self._instants[self._passed - 1] if self._passed else None

    def advance(self) -> datetime | None:
        """Move to the next instant and return it; ``None``, without moving, at the end."""
        if self._passed == len(self._instants):
            return None
        self._passed += 1
        return self.now

    def steps(self) -> Iterator[tuple[datetime, tuple[Snapshot, ...]]]:
        """Advance to the end, yielding each instant with the snapshots that are new with it.

        The snapshots stand in the order of :attr:`symbols`; a symbol without a price at that very
        instant has none among them.
        """
        while (instant := self.advance()) is not None:
            latest = map(self.get_latest_snapshot, self._series)
            yield instant, tuple(s for s in latest if s is not None and s.occurred_at == instant)

    def seek(self, after: datetime) -> None:
        """Move so that the next step is to the first instant after ``after``.

        Raises:
            InvalidInput: ``after`` has no time zone.
        """
        if after.utcoffset() is None:
            raise InvalidInput(f"after: {after} has no time zone", hint="pass an aware datetime")
        self._passed = bisect_right(self._instants, after.astimezone(UTC))

    def get_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return the symbol's last snapshot up to :attr:`now`.

        It is the same one until a later one is there: ``occurred_at`` tells. ``None`` for a
        symbol that has no price yet, or none at all.
        """
        series = self._series.get(symbol)
        if series is None or self.now is None:
            return None
        past = bisect_right(series, self.now, key=attrgetter("occurred_at"))
        return series[past - 1] if past else None

    async def aget_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return what :meth:`get_latest_snapshot` returns."""
        return self.get_latest_snapshot(symbol)

    def start(self) -> None:
        """Begin to provide; the prices are already there and time does not move."""

    async def astart(self) -> None:
        """Begin to provide; as :meth:`start`."""

    def stop(self) -> None:
        """Stop; there is nothing to release, and the provider's time stays where it is."""

    async def astop(self) -> None:
        """Stop; as :meth:`stop`."""


class _Spread:
    """How a book is put around a single price."""

    def __init__(self, half_spread_bps: Amount, tick: Amount) -> None:
        half = amount(half_spread_bps, "half_spread_bps")
        if not 0 < half < 10_000:
            raise InvalidInput(
                f"half_spread_bps: {half} is not between 0 and 10000, both excluded",
                hint="a bid at or above its ask is no market; 1 is the default",
            )
        self._tick = amount(tick, "tick")
        if self._tick <= 0:
            raise InvalidInput(f"tick: {self._tick} is not above zero", hint="such as 0.01")
        with exact():
            self._ratio = half * _BASIS_POINT

    def around(self, price: Decimal) -> tuple[Decimal, Decimal]:
        """Return the bid below ``price`` and the ask above it."""
        with exact():
            half = price * self._ratio
            bid, ask = price - half, price + half
            if price < self._tick * _TICKS_WORTH_ROUNDING:
                return bid, ask
            lower, upper = bid // self._tick * self._tick, ask // self._tick * self._tick
            return lower, upper if upper == ask else upper + self._tick


def _snapshot(symbol: str, row: PriceRow, venue: str, spread: _Spread) -> Snapshot:
    bid, ask = (row.bid, row.ask) if row.is_quoted else spread.around(row.bid)
    book = Book(
        venue=venue,
        symbol=symbol,
        bid=bid,
        ask=ask,
        occurred_at=row.occurred_at,
        bid_size=row.bid_size,
        ask_size=row.ask_size,
        last=row.last,
    )
    return Snapshot(symbol=symbol, occurred_at=row.occurred_at, books=(book,), split=row.split)
