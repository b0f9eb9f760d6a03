"""Reading on: events merged over symbols in the total order, to the head or as they come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ledger.errors import InvalidInput
from ledger.event import Recorded
from ledger.events import EVENT_TYPES
from ledger.folding import within
from ledger.heads import Head, head, revisions_at
from ledger.keys import Keys
from ledger.live import LiveReader, lost_events
from ledger.reading import PageReader
from ledger.store import Steps

__all__ = ["TailCore"]

_FAR_BEHIND: Final = 4_000


class TailCore:
    """Reads events after a sequence number, page by page; what both faces share.

    Behind the head it reads whole pages; at the head it waits for events and reads them in one
    round trip; where it falls behind again, because its caller is slower than the writers, it goes
    back to pages. It reads only when asked, so nothing piles up.

    Args:
        keys: The portfolio's keys.
        symbols: Only these; none for all, the portfolio's own events among them.
        after: Events above this sequence number.
        until: The last sequence number to read; ``None`` for the head.
        follow: Whether to wait for more at the head.
        types: Hand out only events of these types; none for all.
        exclude_types: Hand out no events of these types.

    Attributes:
        position: The sequence number up to which everything was read.

    Raises:
        InvalidInput: A type is no event type.
    """

    def __init__(
        self,
        keys: Keys,
        symbols: Sequence[str] = (),
        *,
        after: int = 0,
        until: int | None = None,
        follow: bool = False,
        types: Iterable[str] = (),
        exclude_types: Iterable[str] = (),
    ) -> None:
        self._keys = keys
        self._symbols = list(dict.fromkeys(symbols))
        self._until = until
        self._follow = follow and until is None
        self._reader: PageReader | None = None
        self._live: LiveReader | None = None
        self._was_there = False  # whether the position was found not to be beyond the head
        self._revisions: dict[str, int] = {}
        self._types = _wanted_types(types, exclude_types)
        self.position = after

    @property
    def symbols(self) -> list[str]:
        """The symbols it reads; empty for all."""
        return list(self._symbols)

    @property
    def is_following(self) -> bool:
        """Whether it waits for more at the head."""
        return self._follow

    @property
    def has_caught_up(self) -> bool:
        """Whether it has come to the head and follows from there."""
        return self._live is not None

    def page(self) -> Steps[list[Recorded] | None]:
        """Return the next events; ``[]`` where none came for a second, ``None`` at the end.

        Raises:
            LedgerDamaged: Something that had to be read is not what was written.
            NotFound: ``after`` or ``until`` is beyond the head.
        """
        if self._live is None and (self._reader is None or self._reader.is_done):
            self._reader = yield from self._next_reader()
            if self._reader is None:
                return [] if self._follow else None
        if self._live is not None:
            return self._filtered((yield from self._live_events(self._live)))
        return self._filtered((yield from self._past_events(self._reader)))

    def _past_events(self, reader: PageReader | None) -> Steps[list[Recorded]]:
        if reader is None:
            return []
        replies = yield reader.request()
        events = reader.events(replies)
        if reader.is_done:
            self.position = reader.until
            self._revisions |= reader.revisions
        elif events:
            self.position = events[-1].seq
        return events

    def _live_events(self, live: LiveReader) -> Steps[list[Recorded]]:
        events = yield from live.round()
        self.position = live.position
        if live.head_seq - live.position > _FAR_BEHIND:
            self._revisions, self._live = live.revisions, None
        return events

    def _next_reader(self) -> Steps[PageReader | None]:
        """Begin to read pages up to the head; where that is reached, begin to follow."""
        last = yield from head(self._keys)
        if self._was_there and last.seq < self.position:
            raise lost_events(self.position, last.seq)
        self._was_there = True
        end = within(self._until, last)
        if end <= within(self.position, last):
            if self._follow:
                yield from self._begin_live(last)
            return None
        names = self._symbols or ["", *last.symbols]
        unknown = [name for name in names if name not in self._revisions]
        self._revisions |= yield from revisions_at(self._keys, unknown, self.position)
        return PageReader(
            self._keys,
            names,
            after=self.position,
            until=end,
            is_whole=not self._symbols,
            revisions=self._revisions,
            final=last.revisions if end == last.seq else None,
        )

    def _begin_live(self, last: Head) -> Steps[None]:
        # Only if nothing was written while they were asked are the revisions those of the head.
        (seq,) = yield [("HGET", self._keys.meta, "seq")]
        if int(seq or 0) == last.seq:
            self._live = LiveReader(
                self._keys,
                self._symbols or None,
                position=self.position,
                revisions=last.revisions,
            )

    def _filtered(self, events: list[Recorded]) -> list[Recorded]:
        if self._types is None:
            return events
        return [recorded for recorded in events if recorded.type in self._types]


def _wanted_types(types: Iterable[str], exclude_types: Iterable[str]) -> frozenset[str] | None:
    wanted, unwanted = frozenset(types), frozenset(exclude_types)
    for name in sorted(wanted | unwanted):
        if name not in EVENT_TYPES:
            raise InvalidInput(
                f"type: {name!r:.80} is no event type", hint=f"one of {', '.join(EVENT_TYPES)}"
            )
    if not wanted and not unwanted:
        return None
    return (wanted or frozenset(EVENT_TYPES)) - unwanted
