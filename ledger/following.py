"""The part of a ledger that reads on: tails, checkpoints, and the connections they wait on."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from ledger.checkpoints import Checkpoint, StoreCheckpoint
from ledger.clock import Clock
from ledger.heads import head
from ledger.keys import Keys
from ledger.moments import Instant, Landmark, Moment, MomentRange, locate_range, parse_moment
from ledger.opened import Opened
from ledger.store import AsyncConnection, Connection, Steps
from ledger.tail import TailCore
from ledger.tails import SyncTail, Tail
from ledger.timeline import find_session, seq_at, sessions, span_of

__all__ = ["Following", "SyncFollowing"]

_US: Final = timedelta(microseconds=1)


def _start_of(keys: Keys, since: Moment | str, now: datetime) -> Steps[int]:
    """Return the last sequence number before a moment of the last session."""
    moment = parse_moment(since) if isinstance(since, str) else since
    last = yield from head(keys)
    if moment is Landmark.NOW:
        return last.seq
    found = find_session((yield from sessions(keys)), None)
    span, clock = span_of(found, clock=None, now=now, tz=UTC, last_seq=last.seq)
    first, _ = locate_range(MomentRange(moment, None), span)
    if isinstance(first, datetime):
        return (yield from seq_at(keys, Instant(first - _US), span, clock))
    return min(max((first or 1) - 1, 0), last.seq)


class Following(Opened):
    """The part of an async ledger that reads on."""

    def __init__(self, store: str, portfolio: str, patience: float, clock: Clock) -> None:
        super().__init__(store, portfolio, patience, clock)
        self._connection: AsyncConnection = self.store.aconnection(patience)
        self._lent: set[AsyncConnection] = set()
        self._aside: Connection | None = None

    def tail(
        self,
        *symbols: str,
        after: int = 0,
        since: Moment | str | None = None,
        until: int | None = None,
        follow: bool = False,
        types: Iterable[str] = (),
        exclude_types: Iterable[str] = (),
        checkpoint: Checkpoint | None = None,
    ) -> Tail:
        """Read events in the total order, merged over symbols.

        Args:
            *symbols: Only these; none for all, new ones and the portfolio's own events among them.
            after: Events above this sequence number; 0 for all.
            since: Instead, events from this moment of the last session on, such as ``"-15m"``;
                ``"now"`` is the head.
            until: The last sequence number; by default the head.
            follow: Whether to wait for more at the head, for ever.
            types: Only events of these types.
            exclude_types: No events of these types.
            checkpoint: Where it stood last time, and what to save from now on; see :class:`Tail`.
                ``after`` or ``since`` count where nothing was saved.

        Raises:
            LedgerDamaged: An event is missing, changed, was put in, or was lost by the store.
            StoreUnavailable: The store was away for longer than the ledger's patience.
            NotFound: ``after`` or ``until`` is beyond the head.
        """
        core = TailCore(
            self.keys,
            symbols,
            after=after,
            until=until,
            follow=follow,
            types=types,
            exclude_types=exclude_types,
        )
        start = None if since is None else _start_of(self.keys, since, self._clock())
        return Tail(self, core, start, checkpoint)

    def checkpoint(self, name: str) -> StoreCheckpoint:
        """Return the checkpoint of this name, kept beside the events."""
        if self._aside is None:
            self._aside = self.store.connection(self._patience)
        return StoreCheckpoint(self.keys, name, self._aside)

    def borrow(self) -> AsyncConnection:
        """Open a connection that waits; the ledger closes it if :meth:`give_back` does not."""
        connection = self.store.aconnection(self._patience)
        self._lent.add(connection)
        return connection

    async def give_back(self, connection: AsyncConnection) -> None:
        """Close a connection that was borrowed; any other is left as it is."""
        if connection in self._lent:
            self._lent.remove(connection)
            await connection.aclose()

    async def _release(self) -> None:
        """Close every connection."""
        for connection in (*self._lent, self._connection):
            await connection.aclose()
        if self._aside is not None:
            self._aside.close()


class SyncFollowing(Opened):
    """The part of a sync ledger that reads on."""

    def __init__(self, store: str, portfolio: str, patience: float, clock: Clock) -> None:
        super().__init__(store, portfolio, patience, clock)
        self._connection: Connection = self.store.connection(patience)
        self._lent: set[Connection] = set()

    def tail(
        self,
        *symbols: str,
        after: int = 0,
        since: Moment | str | None = None,
        until: int | None = None,
        follow: bool = False,
        types: Iterable[str] = (),
        exclude_types: Iterable[str] = (),
        checkpoint: Checkpoint | None = None,
    ) -> SyncTail:
        """Read events in the total order; see :meth:`Following.tail`."""
        core = TailCore(
            self.keys,
            symbols,
            after=after,
            until=until,
            follow=follow,
            types=types,
            exclude_types=exclude_types,
        )
        start = None if since is None else _start_of(self.keys, since, self._clock())
        return SyncTail(self, core, start, checkpoint)

    def checkpoint(self, name: str) -> StoreCheckpoint:
        """Return the checkpoint of this name, kept beside the events."""
        return StoreCheckpoint(self.keys, name, self._connection)

    def borrow(self) -> Connection:
        """Open a connection that waits; the ledger closes it if :meth:`give_back` does not."""
        connection = self.store.connection(self._patience)
        self._lent.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Close a connection that was borrowed; any other is left as it is."""
        if connection in self._lent:
            self._lent.remove(connection)
            connection.close()

    def _release(self) -> None:
        """Close every connection."""
        for connection in (*self._lent, self._connection):
            connection.close()
