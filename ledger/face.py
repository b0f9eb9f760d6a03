"""The ledger as programs use it: ``Ledger``, and ``Ledger.sync`` for programs without a loop.

Both faces drive the same steps; they differ in nothing but ``await``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, tzinfo
from types import TracebackType
from typing import Self, TypeVar

from ledger.accounts import Accounts
from ledger.clock import Clock, utc_now
from ledger.commit import Commit, Expected
from ledger.connect import DEFAULT_STORE
from ledger.consuming import Consuming
from ledger.event import Event
from ledger.heads import Head, head
from ledger.moments import Moment
from ledger.opened import accounts_for, new_id, open_writer, resolve, state_at, take_snapshot
from ledger.state import PortfolioState
from ledger.store import Steps, arun
from ledger.sync_face import SyncLedger
from ledger.timeline import Session, sessions
from ledger.writer import Writer
from ledger.writing import WriterCore

__all__ = ["Ledger"]

T = TypeVar("T")


class Ledger(Consuming):
    """A portfolio's ledger.

    ::

        async with Ledger.connect("embedded:./.pledger") as ledger:
            async with ledger.writer("sma-runner") as writer:
                commit = await writer.append(OrderPlaced(symbol="AAPL", …))
            state = await ledger.state()

    ``Ledger.sync.connect(…)`` gives the same without ``await``.
    """

    sync = SyncLedger

    @classmethod
    def connect(
        cls,
        store: str = DEFAULT_STORE,
        *,
        portfolio: str = "main",
        patience: float = 10.0,
        clock: Clock = utc_now,
    ) -> Self:
        """Open a portfolio; use it in ``async with``.

        Args:
            store: ``embedded:DIR``, ``redis://``, ``rediss://``, ``unix://``, ``redis+cluster://``
                or ``memory:``.
            portfolio: Its name; an unknown one is empty.
            patience: For how many seconds a call goes on trying when the store is away.
            clock: Tells ``occurred_at`` where an event leaves it out.

        Raises:
            InvalidInput: The URL or the name is not valid.
            StoreError: An embedded server cannot be started.
        """
        return cls(store, portfolio, patience, clock)

    def __init__(self, store: str, portfolio: str, patience: float, clock: Clock) -> None:
        super().__init__(store, portfolio, patience, clock)
        core = WriterCore(self.keys, "", None, clock=clock, new_id=new_id)
        self._unnamed = Writer(self.drive, "", core)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Release the connection and the store; idempotent."""
        await self._release()
        await asyncio.to_thread(self.store.close)

    async def drive(self, steps: Steps[T]) -> T:
        """Drive steps over this ledger's connection; for modules that bring steps of their own."""
        return await arun(steps, self._connection)

    @asynccontextmanager
    async def writer(self, name: str) -> AsyncIterator[Writer]:
        """Open a writer, locking out older runs of that name.

        A name is for one process at a time: two runners that both mean it fence each other.
        """
        core = await self.drive(open_writer(self.keys, name, self._clock))
        writer = Writer(self.drive, name, core)
        try:
            yield writer
        finally:
            await writer.aclose()

    async def append(
        self,
        events: Event | Sequence[Event],
        *,
        expected: Expected = None,
        commit_id: str | None = None,
    ) -> Commit:
        """Append one commit under no name, fencing nobody; see :meth:`Writer.append`."""
        return await self._unnamed.append(events, expected=expected, commit_id=commit_id)

    async def head(self) -> Head:
        """Return how far the portfolio has come."""
        return await self.drive(head(self.keys))

    async def sessions(self) -> list[Session]:
        """Return every session in the order they started."""
        return await self.drive(sessions(self.keys))

    async def resolve(
        self,
        moment: Moment | str,
        *,
        session: str | None = None,
        clock: str | None = None,
        tz: tzinfo = UTC,
    ) -> int:
        """Return the sequence number that a moment stands for.

        Args:
            moment: Of the grammar in :mod:`ledger.moments`, such as ``"14:32:05"`` or ``"-15m"``.
            session: The session it is of; by default the last one.
            clock: ``recorded`` or ``occurred``; by default what the session declared.
            tz: The zone that times without one are read in.

        Raises:
            InvalidMoment: It is not a moment, or is out of range.
            NotFound: There is no such session.
        """
        return await self.drive(resolve(self.keys, moment, session, clock, self._clock(), tz))

    async def state(self, seq: int | None = None, *, with_digest: bool = True) -> PortfolioState:
        """Return the portfolio after event ``seq``, by default now. The state is the caller's own.

        Raises:
            LedgerDamaged: Something that had to be read is not what was written.
            NotFound: There is no event ``seq``.
        """
        return await self.drive(state_at(self.keys, seq, with_digest=with_digest))

    async def accounts(self, seq: int | None = None, *, use_snapshots: bool = True) -> Accounts:
        """Return the fold's own accounts after event ``seq``; with them, one goes on folding."""
        return await self.drive(accounts_for(self.keys, seq, use_snapshots))

    async def snapshot(self) -> Accounts:
        """Save a snapshot of the portfolio as it is now, and return what was saved."""
        return await self.drive(take_snapshot(self.keys))
