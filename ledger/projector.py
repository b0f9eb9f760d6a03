"""Live projections: a state kept current in the store, for readers in other processes.

A projector follows the ledger and saves what it has folded every so many events or seconds. Its
projection has the fold's version. One of a new version is built beside the current one, and readers
are switched to it once it has caught up; the projector of the old version then ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ledger import accounts as folded
from ledger.accounts import Accounts
from ledger.errors import InvalidInput, NotFound, SchemaTooNew
from ledger.evolve import fold
from ledger.heads import head
from ledger.keys import Keys
from ledger.lag import Lag, lag
from ledger.snapshot import accounts_from_bytes, bytes_from_accounts, latest_snapshot
from ledger.state import PortfolioState
from ledger.store import PROJECT, Steps, arun, run
from ledger.tail import TailCore
from ledger.timeline import event_at
from ledger.view import state_from_accounts

if TYPE_CHECKING:
    from ledger.consuming import Consuming, SyncConsuming

__all__ = ["Projector", "SyncProjector", "projected"]


class _Projecting:
    """Follows, folds and saves; what both faces share."""

    def __init__(self, keys: Keys, every_events: int, every_seconds: float) -> None:
        if every_events < 1 or every_seconds < 0:
            raise InvalidInput("projector: every_events must be at least 1, every_seconds 0")
        self._keys = keys
        self._every_events = every_events
        self._every_seconds = every_seconds
        self._version = folded.FOLD
        self._accounts = Accounts()
        self._core: TailCore | None = None
        self._saved_seq = -1
        self._saved_at = time.monotonic()
        self._is_current = False

    @property
    def seq(self) -> int:
        """The sequence number up to which it has folded."""
        return self._accounts.seq

    @property
    def is_current(self) -> bool:
        """Whether it has caught up, and readers see what it saves."""
        return self._is_current

    def _begin(self) -> Steps[TailCore]:
        """Go on from what this version has saved, or its latest snapshot; else from nothing."""
        key = _key(self._keys)
        (saved,) = yield [("HGET", key, f"state:{self._version}")]
        found = accounts_from_bytes(saved) if saved else None
        if found is None:
            last = yield from head(self._keys)
            found = yield from latest_snapshot(self._keys, last.seq)
        self._accounts = found or Accounts()
        return TailCore(self._keys, after=self._accounts.seq, follow=True)

    def _advance(self) -> Steps[bool]:
        """Fold a page and save what is due; tell whether to go on."""
        if self._core is None:
            self._core = yield from self._begin()
        page = yield from self._core.page()
        fold(page or [], self._accounts)
        if self._core.has_caught_up and not self._is_current:
            return (yield from self._save("switch"))
        unsaved = self._accounts.seq - self._saved_seq
        is_due = time.monotonic() - self._saved_at >= self._every_seconds
        if unsaved and (is_due or unsaved >= self._every_events):
            return (yield from self._save("keep" if self._is_current else "build"))
        return True

    def _save(self, purpose: str) -> Steps[bool]:
        state = bytes_from_accounts(self._accounts)
        call = (PROJECT, 1, _key(self._keys), self._version, self._accounts.seq, state, purpose)
        (reply,) = yield [call]
        self._saved_seq, self._saved_at = self._accounts.seq, time.monotonic()
        self._is_current = reply[0] == b"ok" and purpose != "build"
        return bool(reply[0] == b"ok")

    def _lag(self) -> Steps[Lag]:
        return lag(self._keys, max(self._saved_seq, 0))


class Projector(_Projecting):
    """Keeps the projection of a portfolio current; one process runs it, any number reads it.

    ::

        projector = Projector(ledger)
        await projector.run()                 # in its own process or task
        state = await ledger.projected()      # anywhere else

    A second projector of the same version does no harm: readers never go back. One that is killed
    goes on, when it is started again, from what it had saved.

    Args:
        ledger: The portfolio to follow.
        every_events: Save when this many events were folded since,
        every_seconds: or, where there are any, after this time; readers see them about a second
            after that at the latest.

    Raises:
        InvalidInput: One of the two is out of range.
    """

    def __init__(
        self, ledger: Consuming, *, every_events: int = 1_000, every_seconds: float = 1.0
    ) -> None:
        super().__init__(ledger.keys, every_events, every_seconds)
        self._ledger = ledger

    async def run(self) -> None:
        """Follow until a projector of another version has taken over, or until it is cancelled.

        Raises:
            LedgerDamaged: An event is missing or was changed.
            StoreUnavailable: The store was away for longer than the ledger's patience.
        """
        await self._advance_until(lambda: False)

    async def catch_up(self) -> None:
        """Follow until readers are switched to this projection."""
        await self._advance_until(lambda: self._is_current)

    async def _advance_until(self, is_enough: Callable[[], bool]) -> None:
        connection = self._ledger.borrow()
        try:
            while not is_enough() and await arun(self._advance(), connection):
                pass
        finally:
            await self._ledger.give_back(connection)

    async def health(self) -> Lag:
        """Return how far what was saved is behind the head."""
        return await arun(self._lag(), self._ledger._connection)


class SyncProjector(_Projecting):
    """The form of :class:`Projector` for programs without a loop."""

    def __init__(
        self, ledger: SyncConsuming, *, every_events: int = 1_000, every_seconds: float = 1.0
    ) -> None:
        super().__init__(ledger.keys, every_events, every_seconds)
        self._ledger = ledger

    def run(self) -> None:
        """Follow until a projector of another version has taken over; see :class:`Projector`."""
        self._advance_until(lambda: False)

    def catch_up(self) -> None:
        """Follow until readers are switched to this projection."""
        self._advance_until(lambda: self._is_current)

    def _advance_until(self, is_enough: Callable[[], bool]) -> None:
        connection = self._ledger.borrow()
        try:
            while not is_enough() and run(self._advance(), connection):
                pass
        finally:
            self._ledger.give_back(connection)

    def health(self) -> Lag:
        """Return how far what was saved is behind the head."""
        return run(self._lag(), self._ledger._connection)


def _key(keys: Keys) -> str:
    return keys.base + "projections"


def projected(keys: Keys) -> Steps[PortfolioState]:
    """Return the state that the current projection has.

    Raises:
        NotFound: No projector has run yet.
        SchemaTooNew: The current one is of another version of the fold than this build's.
        SnapshotDamaged: It is not what was saved.
    """
    (current,) = yield [("HGET", _key(keys), "current")]
    if current is None:
        raise NotFound(
            f"portfolio {keys.portfolio} has no live projection", hint="run a Projector for it"
        )
    (saved,) = yield [("HGET", _key(keys), f"state:{current.decode()}")]
    if saved is None:  # replaced between the two looks
        return (yield from projected(keys))
    found = accounts_from_bytes(saved)
    if found is None:
        raise SchemaTooNew(
            f"the live projection is of the fold's version {current.decode()}; "
            f"this build has {folded.FOLD}",
            hint="update this build, or use ledger.state(), which folds by itself",
        )
    last = yield from event_at(keys, found.seq)
    return state_from_accounts(
        found,
        recorded_at=last.recorded_at if last else None,
        occurred_at=last.occurred_at if last else None,
        is_own=True,
    )
