"""The ledger as programs use it: ``Ledger``, and ``Ledger.sync`` for programs without a loop.

Both faces drive the same steps; they differ in nothing but ``await``.
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, tzinfo
from types import TracebackType
from typing import Final, Self, TypeVar

from ledger.accounts import Accounts
from ledger.clock import Clock, utc_now
from ledger.commit import Commit, Draft, Expected
from ledger.connect import DEFAULT_STORE, open_store
from ledger.errors import LedgerError
from ledger.event import Event, Recorded
from ledger.folding import accounts_at
from ledger.keys import Keys
from ledger.moments import Moment, parse_moment
from ledger.reading import Head, head
from ledger.snapshot import save
from ledger.state import PortfolioState
from ledger.store import Steps, arun, run
from ledger.tail import TailCore
from ledger.timeline import Session, event_at, find_session, seq_at, sessions, span_of
from ledger.view import state_from_accounts
from ledger.writing import WriterCore

__all__ = ["Ledger", "SyncLedger", "SyncWriter", "Writer"]

_TOGETHER: Final = 128
_SNAPSHOT_EVERY: Final = 10_000

T = TypeVar("T")


def _open_writer(keys: Keys, name: str, clock: Clock) -> Steps[WriterCore]:
    """Take over a writer's name: its older runs are fenced from here on."""
    (epoch,) = yield [("HINCRBY", keys.writers, name, 1)]
    return WriterCore(keys, name, int(epoch), clock=clock, new_id=_new_id)


def _new_id() -> str:
    return uuid.uuid4().hex


def _state_at(keys: Keys, seq: int | None, *, with_digest: bool) -> Steps[PortfolioState]:
    accounts = yield from accounts_at(keys, seq, snapshot_every=_SNAPSHOT_EVERY)
    last = yield from event_at(keys, accounts.seq)
    return state_from_accounts(
        accounts,
        recorded_at=last.recorded_at if last else None,
        occurred_at=last.occurred_at if last else None,
        with_digest=with_digest,
    )


def _resolve(
    keys: Keys,
    moment: Moment | str,
    session: str | None,
    clock: str | None,
    now: datetime,
    tz: tzinfo,
) -> Steps[int]:
    found = find_session((yield from sessions(keys)), session)
    last = yield from head(keys)
    span, meant = span_of(found, clock=clock, now=now, tz=tz, last_seq=last.seq)
    parsed = parse_moment(moment) if isinstance(moment, str) else moment
    return (yield from seq_at(keys, parsed, span, meant))


def _take_snapshot(keys: Keys) -> Steps[Accounts]:
    accounts = yield from accounts_at(keys)
    yield from save(keys, accounts)
    return accounts


class _Opened:
    """What both faces keep: the store, the keys of the portfolio, the clock."""

    def __init__(self, store: str, portfolio: str, patience: float, clock: Clock) -> None:
        self.keys = Keys(portfolio)
        self.portfolio = portfolio
        self.store = open_store(store, self.keys)
        self._patience = patience
        self._clock = clock


class Writer:
    """Appends commits under a name; a newer run of that name locks this one out.

    Commits of many coroutines are sent together and share a sync to disk.
    """

    def __init__(self, ledger: Ledger, name: str, core: WriterCore) -> None:
        self._ledger = ledger
        self._core = core
        self._waiting: list[tuple[Draft, asyncio.Future[None]]] = []
        self._sending: asyncio.Task[None] | None = None
        self.name = name

    @property
    def epoch(self) -> int | None:
        """The number of this run; ``None`` for a writer without a name."""
        return self._core.epoch

    async def append(
        self,
        events: Event | Sequence[Event],
        *,
        expected: Expected = None,
        commit_id: str | None = None,
    ) -> Commit:
        """Append one commit: all of its events or none. It is durable when this returns.

        Args:
            events: One event, or up to 1,000 of any symbols, in their order.
            expected: The sequence number that must be the portfolio's last, or a mapping from
                symbols to the revisions their streams must have.
            commit_id: An id of your own. The same id and events again return the first outcome.

        Raises:
            RuleViolation: The state cannot take an event; names the event, the rule, the value.
            RevisionConflict: ``expected`` is not what is there; carries the events that are.
            Fenced: A newer run of this writer has taken over.
            CommitMismatch: ``commit_id`` is recorded with other events.
            StoreError: The store is away or refuses. Whether the commit was recorded is not known
                then: append it again with the same ``commit_id``.
        """
        batch = [events] if isinstance(events, Event) else list(events)
        draft = self._core.draft(batch, expected=expected, commit_id=commit_id)
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((draft, done))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_waiting())
        await done
        return draft.result()

    async def _send_waiting(self) -> None:
        """Send what waits, together, until nothing does."""
        while self._waiting:
            batch, self._waiting = self._waiting[:_TOGETHER], self._waiting[_TOGETHER:]
            drafts = [draft for draft, _ in batch]
            try:
                await self._ledger._drive(self._core.append(drafts))
            except LedgerError as error:
                _fail(drafts, error)
            finally:
                for _, done in batch:
                    if not done.done():
                        done.set_result(None)
        self._sending = None

    async def aclose(self) -> None:
        """Wait until everything that was appended has its outcome."""
        while self._sending is not None:
            await asyncio.wait([self._sending])


def _fail(drafts: Sequence[Draft], error: LedgerError) -> None:
    """Give the error to every draft whose outcome it leaves unknown."""
    for draft in drafts:
        if draft.outcome is None:
            draft.outcome = error


class SyncWriter:
    """The form of :class:`Writer` for programs without a loop; may be shared by threads."""

    def __init__(self, ledger: SyncLedger, name: str, core: WriterCore) -> None:
        self._ledger = ledger
        self._core = core
        self._turn = threading.Lock()
        self.name = name

    @property
    def epoch(self) -> int | None:
        """The number of this run; ``None`` for a writer without a name."""
        return self._core.epoch

    def append(
        self,
        events: Event | Sequence[Event],
        *,
        expected: Expected = None,
        commit_id: str | None = None,
    ) -> Commit:
        """Append one commit; see :meth:`Writer.append`."""
        batch = [events] if isinstance(events, Event) else list(events)
        with self._turn:
            draft = self._core.draft(batch, expected=expected, commit_id=commit_id)
            self._ledger._drive(self._core.append([draft]))
        return draft.result()

    def append_many(self, commits: Sequence[Sequence[Event]]) -> list[Commit]:
        """Append several commits, sent together; each is all or nothing by itself.

        Raises:
            LedgerError: The first of them that was refused; those before and after it may have
                been recorded.
        """
        with self._turn:
            drafts = [self._core.draft(events) for events in commits]
            for first in range(0, len(drafts), _TOGETHER):
                self._ledger._drive(self._core.append(drafts[first : first + _TOGETHER]))
        return [draft.result() for draft in drafts]


class SyncLedger(_Opened):
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
        self._connection = self.store.connection(patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection and the store; idempotent."""
        self._connection.close()
        self.store.close()

    def _drive(self, steps: Steps[T]) -> T:
        return run(steps, self._connection)

    @contextmanager
    def writer(self, name: str) -> Iterator[SyncWriter]:
        """Open a writer, locking out older runs of that name."""
        yield SyncWriter(self, name, self._drive(_open_writer(self.keys, name, self._clock)))

    def append(
        self,
        events: Event | Sequence[Event],
        *,
        expected: Expected = None,
        commit_id: str | None = None,
    ) -> Commit:
        """Append one commit under no name, fencing nobody; see :meth:`Writer.append`."""
        core = WriterCore(self.keys, "", None, clock=self._clock, new_id=_new_id)
        return SyncWriter(self, "", core).append(events, expected=expected, commit_id=commit_id)

    def head(self) -> Head:
        """Return how far the portfolio has come."""
        return self._drive(head(self.keys))

    def sessions(self) -> list[Session]:
        """Return every session in the order they started."""
        return self._drive(sessions(self.keys))

    def resolve(
        self,
        moment: Moment | str,
        *,
        session: str | None = None,
        clock: str | None = None,
        tz: tzinfo = UTC,
    ) -> int:
        """Return the sequence number that a moment stands for; see :meth:`Ledger.resolve`."""
        return self._drive(_resolve(self.keys, moment, session, clock, self._clock(), tz))

    def state(self, seq: int | None = None, *, with_digest: bool = True) -> PortfolioState:
        """Return the portfolio after event ``seq``, by default now; see :meth:`Ledger.state`."""
        return self._drive(_state_at(self.keys, seq, with_digest=with_digest))

    def accounts(self, seq: int | None = None, *, use_snapshots: bool = True) -> Accounts:
        """Return the fold's own accounts after event ``seq``; with them, one goes on folding."""
        return self._drive(accounts_at(self.keys, seq, use_snapshots=use_snapshots))

    def snapshot(self) -> Accounts:
        """Save a snapshot of the portfolio as it is now, and return what was saved."""
        return self._drive(_take_snapshot(self.keys))

    def tail(
        self, *symbols: str, after: int = 0, until: int | None = None, follow: bool = False
    ) -> Iterator[Recorded]:
        """Read events in the total order; see :meth:`Ledger.tail`."""
        core = TailCore(self.keys, symbols, after=after, until=until, follow=follow)
        connection = self.store.connection(self._patience)
        try:
            while (page := run(core.page(), connection)) is not None:
                yield from page
        finally:
            connection.close()


class Ledger(_Opened):
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
        self._connection = self.store.aconnection(patience)

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
        await self._connection.aclose()
        await asyncio.to_thread(self.store.close)

    async def _drive(self, steps: Steps[T]) -> T:
        return await arun(steps, self._connection)

    @asynccontextmanager
    async def writer(self, name: str) -> AsyncIterator[Writer]:
        """Open a writer, locking out older runs of that name.

        A name is for one process at a time: two runners that both mean it fence each other.
        """
        core = await self._drive(_open_writer(self.keys, name, self._clock))
        writer = Writer(self, name, core)
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
        core = WriterCore(self.keys, "", None, clock=self._clock, new_id=_new_id)
        writer = Writer(self, "", core)
        return await writer.append(events, expected=expected, commit_id=commit_id)

    async def head(self) -> Head:
        """Return how far the portfolio has come."""
        return await self._drive(head(self.keys))

    async def sessions(self) -> list[Session]:
        """Return every session in the order they started."""
        return await self._drive(sessions(self.keys))

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
        return await self._drive(_resolve(self.keys, moment, session, clock, self._clock(), tz))

    async def state(self, seq: int | None = None, *, with_digest: bool = True) -> PortfolioState:
        """Return the portfolio after event ``seq``, by default now. The state is the caller's own.

        Raises:
            LedgerDamaged: Something that had to be read is not what was written.
            NotFound: There is no event ``seq``.
        """
        return await self._drive(_state_at(self.keys, seq, with_digest=with_digest))

    async def accounts(self, seq: int | None = None, *, use_snapshots: bool = True) -> Accounts:
        """Return the fold's own accounts after event ``seq``; with them, one goes on folding."""
        return await self._drive(accounts_at(self.keys, seq, use_snapshots=use_snapshots))

    async def snapshot(self) -> Accounts:
        """Save a snapshot of the portfolio as it is now, and return what was saved."""
        return await self._drive(_take_snapshot(self.keys))

    async def tail(
        self, *symbols: str, after: int = 0, until: int | None = None, follow: bool = False
    ) -> AsyncIterator[Recorded]:
        """Read events in the total order, merged over symbols.

        Args:
            *symbols: Only these; none for all, new ones and the portfolio's own events among them.
            after: Events above this sequence number; 0 for all.
            until: The last sequence number; by default the head.
            follow: Whether to wait for more at the head, for ever.

        Raises:
            LedgerDamaged: An event is missing, changed, or was put in.
            StoreUnavailable: The store was away for longer than the ledger's patience.
        """
        core = TailCore(self.keys, symbols, after=after, until=until, follow=follow)
        connection = self.store.aconnection(self._patience)
        try:
            while (page := await arun(core.page(), connection)) is not None:
                for recorded in page:
                    yield recorded
        finally:
            await connection.aclose()
