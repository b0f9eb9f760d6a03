"""The ledger for programs without an event loop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, tzinfo
from typing import Self, TypeVar

from ledger.accounts import Accounts
from ledger.clock import Clock, utc_now
from ledger.commit import Commit, Expected
from ledger.connect import DEFAULT_STORE
from ledger.consuming import SyncConsuming
from ledger.event import Event
from ledger.heads import Head, head
from ledger.moments import Moment
from ledger.opened import accounts_for, new_id, open_writer, resolve, state_at, take_snapshot
from ledger.state import PortfolioState
from ledger.store import Steps, run
from ledger.timeline import Session, sessions
from ledger.writer import SyncWriter
from ledger.writing import WriterCore

__all__ = ["SyncLedger"]

T = TypeVar("T")


class SyncLedger(SyncConsuming):
    """A portfolio's ledger for programs without a loop; may be shared by threads."""

    @classmethod
    def connect(
        cls,
        store: str = DEFAULT_STORE,
        *,
        portfolio: str = "main",
        patience: float = 10.0,
        clock: Clock = utc_now,
    ) -> Self:
        """Open a portfolio; see :meth:`Ledger.connect`."""
        return cls(store, portfolio, patience, clock)

    def __init__(self, store: str, portfolio: str, patience: float, clock: Clock) -> None:
        super().__init__(store, portfolio, patience, clock)
        core = WriterCore(self.keys, "", None, clock=clock, new_id=new_id)
        self._unnamed = SyncWriter(self.drive, "", core)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection and the store; idempotent."""
        self._release()
        self.store.close()

    def drive(self, steps: Steps[T]) -> T:
        """Drive steps over this ledger's connection; for modules that bring steps of their own."""
        return run(steps, self._connection)

    @contextmanager
    def writer(self, name: str) -> Iterator[SyncWriter]:
        """Open a writer, locking out older runs of that name."""
        yield SyncWriter(self.drive, name, self.drive(open_writer(self.keys, name, self._clock)))

    def append(
        self,
        events: Event | Sequence[Event],
        *,
        expected: Expected = None,
        commit_id: str | None = None,
    ) -> Commit:
        """Append one commit under no name, fencing nobody; see :meth:`Writer.append`."""
        return self._unnamed.append(events, expected=expected, commit_id=commit_id)

    def head(self) -> Head:
        """Return how far the portfolio has come."""
        return self.drive(head(self.keys))

    def sessions(self) -> list[Session]:
        """Return every session in the order they started."""
        return self.drive(sessions(self.keys))

    def resolve(
        self,
        moment: Moment | str,
        *,
        session: str | None = None,
        clock: str | None = None,
        tz: tzinfo = UTC,
    ) -> int:
        """Return the sequence number that a moment stands for; see :meth:`Ledger.resolve`."""
        return self.drive(resolve(self.keys, moment, session, clock, self._clock(), tz))

    def state(self, seq: int | None = None, *, with_digest: bool = True) -> PortfolioState:
        """Return the portfolio after event ``seq``, by default now; see :meth:`Ledger.state`."""
        return self.drive(state_at(self.keys, seq, with_digest=with_digest))

    def accounts(self, seq: int | None = None, *, use_snapshots: bool = True) -> Accounts:
        """Return the fold's own accounts after event ``seq``; with them, one goes on folding."""
        return self.drive(accounts_for(self.keys, seq, use_snapshots))

    def snapshot(self) -> Accounts:
        """Save a snapshot of the portfolio as it is now, and return what was saved."""
        return self.drive(take_snapshot(self.keys))
