"""Groups as programs use them: several consumers share the symbols, each event is acknowledged."""

from __future__ import annotations

import logging
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ledger.errors import StoreError
from ledger.event import Recorded
from ledger.holds import Handout, Relieved
from ledger.sharing import SharingCore
from ledger.store import AsyncConnection, Connection, arun, run

if TYPE_CHECKING:
    from ledger.following import Following, SyncFollowing

__all__ = ["Delivery", "Group", "SyncDelivery", "SyncGroup"]

_log = logging.getLogger(__name__)


class _Delivered:
    """What both kinds of delivery tell."""

    def __init__(self, core: SharingCore, task: Handout) -> None:
        self._core = core
        self._task = task
        self._is_settled = False

    @property
    def recorded(self) -> Recorded:
        """The event."""
        return self._task.recorded

    @property
    def attempt(self) -> int:
        """How often it was tried, this time included, as far as is known."""
        return self._task.attempt

    @property
    def is_retry(self) -> bool:
        """Whether it was parked and skipped before; later events of its symbol were handled."""
        return self._task.is_retry

    def __repr__(self) -> str:
        recorded = self.recorded
        return f"<delivery of #{recorded.seq} {recorded.type} {recorded.symbol}>"

    def _note(self, error: str, is_parked: bool) -> None:
        self._is_settled = True
        outcome = "is parked" if is_parked else "will be tried again"
        _log.warning("%r %s after attempt %d: %s", self, outcome, self.attempt, error)


def _told(error: BaseException | str) -> str:
    return error if isinstance(error, str) else f"{type(error).__name__}: {error}"


def _is_about_the_event(error: BaseException | None) -> bool:
    """Whether an error says that the event could not be handled; not that the store is away."""
    return isinstance(error, Exception) and not isinstance(error, Relieved | StoreError)


class Delivery(_Delivered):
    """An event to handle. Its symbol's next one comes when this one is acknowledged.

    ``async with delivery as recorded:`` acknowledges it at the end of the block; an error in the
    block is logged, kept in the store and counted as a failed attempt, and does not leave the
    block.
    """

    def __init__(self, core: SharingCore, task: Handout, connection: AsyncConnection) -> None:
        super().__init__(core, task)
        self._connection = connection

    async def ack(self) -> None:
        """Acknowledge: the event is handled. Durable when it returns; a second call does nothing.

        Raises:
            Relieved: Another consumer has taken over; the event is delivered there.
        """
        if not self._is_settled:
            await arun(self._core.ack(self._task), self._connection)
            self._is_settled = True

    async def fail(self, error: BaseException | str) -> None:
        """Say that the event could not be handled: it is tried again later, or parked.

        Raises:
            Relieved: Another consumer has taken over; the event is delivered there.
        """
        told = _told(error)
        self._note(told, await arun(self._core.fail(self._task, told), self._connection))

    async def __aenter__(self) -> Recorded:
        return self.recorded

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            await self.ack()
        elif _is_about_the_event(error) and not self._is_settled:
            await self.fail(error)
            return True
        return False


class Group:
    """A consumer of a group; an async context manager and an async iterator of deliveries.

    Every event is delivered at least once, a symbol's in the order of their revisions and to one
    consumer at a time. A consumer may have deliveries of several symbols in hand, never two of one
    symbol. It lives by asking: each call renews its leases, and a consumer that neither asks nor
    acknowledges for longer than the lease is relieved of its symbols by the others, within a
    second after that. Where the store is away longer than the ledger's patience, the iterator
    raises.
    """

    def __init__(self, ledger: Following, core: SharingCore, *, follow: bool) -> None:
        self._ledger = ledger
        self._core = core
        self._follow = follow
        self._reading = ledger.borrow()
        self._settling = ledger.borrow()

    @property
    def symbols(self) -> list[str]:
        """The symbols that this consumer has now, sorted."""
        return self._core.symbols

    async def __aenter__(self) -> Self:
        await arun(self._core.join(), self._settling)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not isinstance(error, StoreError):
                steps = self._core.leave(has_failed=_is_about_the_event(error))
                await arun(steps, self._settling)
        finally:
            await self._ledger.give_back(self._reading)
            await self._ledger.give_back(self._settling)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            task = await arun(self._core.next(), self._reading)
            if task is not None:
                return Delivery(self._core, task, self._settling)
            if not self._follow and self._core.is_idle:
                raise StopAsyncIteration


class SyncDelivery(_Delivered):
    """The form of :class:`Delivery` for programs without a loop."""

    def __init__(self, core: SharingCore, task: Handout, connection: Connection) -> None:
        super().__init__(core, task)
        self._connection = connection

    def ack(self) -> None:
        """Acknowledge: the event is handled; see :meth:`Delivery.ack`."""
        if not self._is_settled:
            run(self._core.ack(self._task), self._connection)
            self._is_settled = True

    def fail(self, error: BaseException | str) -> None:
        """Say that the event could not be handled; see :meth:`Delivery.fail`."""
        told = _told(error)
        self._note(told, run(self._core.fail(self._task, told), self._connection))

    def __enter__(self) -> Recorded:
        return self.recorded

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None:
            self.ack()
        elif _is_about_the_event(error) and not self._is_settled:
            self.fail(error)
            return True
        return False


class SyncGroup:
    """The form of :class:`Group` for programs without a loop; for one thread."""

    def __init__(self, ledger: SyncFollowing, core: SharingCore, *, follow: bool) -> None:
        self._ledger = ledger
        self._core = core
        self._follow = follow
        self._connection = ledger.borrow()

    @property
    def symbols(self) -> list[str]:
        """The symbols that this consumer has now, sorted."""
        return self._core.symbols

    def __enter__(self) -> Self:
        run(self._core.join(), self._connection)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not isinstance(error, StoreError):
                steps = self._core.leave(has_failed=_is_about_the_event(error))
                run(steps, self._connection)
        finally:
            self._ledger.give_back(self._connection)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SyncDelivery:
        while True:
            task = run(self._core.next(), self._connection)
            if task is not None:
                return SyncDelivery(self._core, task, self._connection)
            if not self._follow and self._core.is_idle:
                raise StopIteration
