"""Two venues seen as one market: a provider that puts a book of each into one snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta

from ledger.errors import InvalidInput
from runner.market import Book, MarketDataProvider, PerishableProvider, Snapshot

__all__ = ["PairProvider"]


class PairProvider:
    """Merges the books of two venues into snapshots of a pair.

    Args:
        providers: One provider per venue, by the venue's name; their order is that of the books
            in a snapshot. They are started and stopped together with this one.
        symbols: For each symbol of the pair, what each venue calls it, such as
            ``{"BTC": {"upbit": "KRW-BTC", "binance": "BTCUSDT"}}``.
        max_skew: How far apart the times of the two books may be.

    Raises:
        InvalidInput: There are not two venues, or a symbol does not name exactly these two.
    """

    def __init__(
        self,
        providers: Mapping[str, MarketDataProvider],
        symbols: Mapping[str, Mapping[str, str]],
        *,
        max_skew: timedelta,
    ) -> None:
        if len(providers) != 2:
            raise InvalidInput(f"providers: {list(providers)} are not two venues")
        for symbol, names in symbols.items():
            if names.keys() != providers.keys():
                raise InvalidInput(
                    f"symbols: {symbol!r} names the venues {sorted(names)}",
                    hint=f"say what {' and '.join(providers)} call it",
                )
        self._providers = dict(providers)
        self._symbols = {symbol: dict(names) for symbol, names in symbols.items()}
        self._max_skew = max_skew

    def get_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return a snapshot with two books.

        ``None`` for an unknown symbol, where a venue has no book or only a stale one, and where
        the times of the two books are more than ``max_skew`` apart.
        """
        names = self._symbols.get(symbol)
        if names is None:
            return None
        return self._merged(
            symbol,
            {
                venue: provider.get_latest_snapshot(names[venue])
                for venue, provider in self._providers.items()
            },
        )

    async def aget_latest_snapshot(self, symbol: str) -> Snapshot | None:
        """Return what :meth:`get_latest_snapshot` returns."""
        names = self._symbols.get(symbol)
        if names is None:
            return None
        return self._merged(
            symbol,
            {
                venue: await provider.aget_latest_snapshot(names[venue])
                for venue, provider in self._providers.items()
            },
        )

    def is_fresh(self, book: Book) -> bool:
        """Whether a book that was handed out may still be traded on at its venue."""
        provider = self._providers[book.venue]
        return not isinstance(provider, PerishableProvider) or provider.is_fresh(book)

    def start(self) -> None:
        """Start both providers; if one fails, the other is stopped again."""
        with ExitStack() as undo:
            for provider in self._providers.values():
                undo.callback(provider.stop)
                provider.start()
            undo.pop_all()

    async def astart(self) -> None:
        """Start both providers; if one fails, the other is stopped again."""
        async with AsyncExitStack() as undo:
            for provider in self._providers.values():
                undo.push_async_callback(provider.astop)
                await provider.astart()
            undo.pop_all()

    def stop(self) -> None:
        """Stop both providers, the second also where stopping the first fails."""
        with ExitStack() as stack:
            for provider in self._providers.values():
                stack.callback(provider.stop)

    async def astop(self) -> None:
        """Stop both providers, the second also where stopping the first fails."""
        async with AsyncExitStack() as stack:
            for provider in self._providers.values():
                stack.push_async_callback(provider.astop)

    def _merged(self, symbol: str, found: Mapping[str, Snapshot | None]) -> Snapshot | None:
        snapshots = [snapshot for snapshot in found.values() if snapshot is not None]
        if len(snapshots) < len(found):
            return None
        books = tuple(snapshot.book for snapshot in snapshots)
        for venue, book in zip(found, books, strict=True):
            if book.venue != venue:
                raise InvalidInput(
                    f"the provider of venue {venue!r} hands out books of {book.venue!r}",
                    hint=f"give its feed or dialect venue={venue!r}",
                )
        times = [book.occurred_at for book in books]
        if max(times) - min(times) > self._max_skew:
            return None
        splits = [snapshot.split for snapshot in snapshots if snapshot.split is not None]
        return Snapshot(
            symbol=symbol,
            occurred_at=max(times),
            books=books,
            split=splits[0] if splits else None,
        )
