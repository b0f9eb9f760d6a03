"""Reading on: events merged over symbols in the total order, to the head or as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.event import Recorded
from ledger.folding import recorded_from_runs, within
from ledger.keys import Keys
from ledger.reading import PageReader, head
from ledger.store import Command, Steps

__all__ = ["TailCore"]

_BLOCK_MS: Final = 5_000
_LAST: Final = 18446744073709551615


class TailCore:
    """Reads events after a sequence number, page by page; what both faces share.

    Args:
        keys: The portfolio's keys.
        symbols: Only these; none for all, the portfolio's own events among them.
        after: Events above this sequence number.
        until: The last sequence number to read; ``None`` for the head.
        follow: Whether to wait for more at the head.

    Attributes:
        position: The sequence number up to which everything was read.
    """

    def __init__(
        self,
        keys: Keys,
        symbols: Sequence[str] = (),
        *,
        after: int = 0,
        until: int | None = None,
        follow: bool = False,
    ) -> None:
        self._keys = keys
        self._symbols = list(dict.fromkeys(symbols))
        self._until = until
        self._follow = follow and until is None
        self._reader: PageReader | None = None
        self._revisions: dict[str, int] = {}
        self.position = after

    def page(self) -> Steps[list[Recorded] | None]:
        """Return the next events; ``[]`` where none came in a few seconds, ``None`` at the end.

        Raises:
            LedgerDamaged: Something that had to be read is not what was written.
            NotFound: ``until`` is beyond the head.
        """
        while True:
            reader = self._reader
            if reader is None or reader.is_done:
                reader = yield from self._next_reader()
                if reader is None and not self._follow:
                    return None
            if reader is None:
                replies = yield [self._wait()]
                if not replies[0]:
                    return []
                continue
            replies = yield reader.request()
            events = recorded_from_runs(reader.accept(replies))
            if reader.is_done:
                self.position = reader.until
                self._revisions |= reader.revisions
            if events:
                return events

    def _next_reader(self) -> Steps[PageReader | None]:
        """Begin a reader up to the head, or return ``None`` where that is reached."""
        last = yield from head(self._keys)
        end = within(self._until, last)
        if end <= self.position:
            return None
        if self.position == 0:
            self._revisions = dict.fromkeys(["", *last.symbols], 0)
        self._reader = PageReader(
            self._keys,
            self._symbols or ["", *last.symbols],
            after=self.position,
            until=end,
            is_whole=not self._symbols,
            revisions=self._revisions,
            final=last.revisions if end == last.seq else None,
        )
        return self._reader

    def _wait(self) -> Command:
        since = f"{self.position}-{_LAST}"
        return ("XREAD", "BLOCK", _BLOCK_MS, "STREAMS", self._keys.feed, since)
