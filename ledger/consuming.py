"""The part of a ledger that works with groups of consumers."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from typing import Final

from ledger.errors import InvalidInput
from ledger.following import Following, SyncFollowing
from ledger.group_status import GroupStatus, Parked, decide, group_statuses, parked_events
from ledger.groups import Group, SyncGroup
from ledger.holds import GroupSettings
from ledger.keys import Keys
from ledger.projector import projected
from ledger.sharing import SharingCore
from ledger.state import PortfolioState
from ledger.store import arun, run

__all__ = ["Consuming", "SyncConsuming", "consumer_of"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


def consumer_of(
    keys: Keys, name: str, consumer: str | None, settings: GroupSettings, *, follow: bool
) -> SharingCore:
    """Return a consumer of a group, by default under a new name.

    Raises:
        InvalidInput: One of the names is none.
    """
    who = f"c-{uuid.uuid4().hex[:12]}" if consumer is None else consumer
    for what, given in (("group", name), ("consumer", who)):
        if not _NAME.fullmatch(given):
            raise InvalidInput(
                f"{what}: {given!r:.80} is not a name",
                hint="1 to 64 letters, digits, dots, dashes or underscores, such as risk",
            )
    return SharingCore(keys, name, who, settings, follow=follow)


class Consuming(Following):
    """An async ledger's groups."""

    def group(
        self,
        name: str,
        symbols: Iterable[str] | None = None,
        *,
        consumer: str | None = None,
        after: int = 0,
        attempts: int = 3,
        skip: bool = False,
        lease_seconds: float = 10.0,
        retry_seconds: float = 1.0,
        follow: bool = True,
    ) -> Group:
        """Take part in a group of consumers that share the work; use it in ``async with``.

        Args:
            name: The group's; it is made where it is new.
            symbols: What the group shares: fixed when it is made, and ``None`` for all, those that
                begin later and the portfolio's own events among them.
            consumer: A name for this consumer, one process's at a time. One that comes back under
                its name has its symbols again at once. By default a new name.
            after: Where a new group begins; 0 for the first event.
            attempts: How often an event is tried before it is parked.
            skip: Whether a symbol goes on behind a parked event; by default it waits.
            lease_seconds: How long this consumer may be silent; longer than its longest handling.
            retry_seconds: The pause after an event's first failure; it doubles, up to a minute.
            follow: Whether to wait for more events; otherwise the iterator ends when all that this
                consumer has is acknowledged.

        Raises:
            InvalidInput: A name or a number is not valid, or the group shares other symbols.
        """
        settings = GroupSettings(
            symbols=None if symbols is None else tuple(symbols),
            after=after,
            attempts=attempts,
            skip=skip,
            lease_seconds=lease_seconds,
            retry_seconds=retry_seconds,
        )
        core = consumer_of(self.keys, name, consumer, settings, follow=follow)
        return Group(self, core, follow=follow)

    async def groups(self) -> list[GroupStatus]:
        """Return how every group stands: its lag, its consumers, what is parked."""
        return await arun(group_statuses(self.keys), self._connection)

    async def parked(self, group: str) -> list[Parked]:
        """Return the parked events of a group.

        Raises:
            NotFound: There is no such group.
        """
        return await arun(parked_events(self.keys, group), self._connection)

    async def retry_parked(self, group: str, seq: int | None = None) -> int:
        """Have a parked event delivered again, or all; return how many.

        A consumer gets it within a second. Where its symbol waits, the symbol goes on from it.

        Raises:
            NotFound: There is no such group, or the event is not parked in it.
        """
        return await arun(decide(self.keys, group, "retry", seq), self._connection)

    async def drop_parked(self, group: str, seq: int | None = None) -> int:
        """Give up a parked event, or all; a symbol that waits goes on behind it.

        Raises:
            NotFound: There is no such group, or the event is not parked in it.
        """
        return await arun(decide(self.keys, group, "drop", seq), self._connection)

    async def projected(self) -> PortfolioState:
        """Return the state that a :class:`~ledger.projector.Projector` keeps in the store.

        It costs the same however long the log is, and is of the moment of the last save: ``seq``
        tells how far it had come.

        Raises:
            NotFound: No projector has run yet.
            SchemaTooNew: It is of another version of the fold than this build's.
        """
        return await arun(projected(self.keys), self._connection)


class SyncConsuming(SyncFollowing):
    """A sync ledger's groups."""

    def group(
        self,
        name: str,
        symbols: Iterable[str] | None = None,
        *,
        consumer: str | None = None,
        after: int = 0,
        attempts: int = 3,
        skip: bool = False,
        lease_seconds: float = 10.0,
        retry_seconds: float = 1.0,
        follow: bool = True,
    ) -> SyncGroup:
        """Take part in a group of consumers that share the work; see :meth:`Consuming.group`."""
        settings = GroupSettings(
            symbols=None if symbols is None else tuple(symbols),
            after=after,
            attempts=attempts,
            skip=skip,
            lease_seconds=lease_seconds,
            retry_seconds=retry_seconds,
        )
        core = consumer_of(self.keys, name, consumer, settings, follow=follow)
        return SyncGroup(self, core, follow=follow)

    def groups(self) -> list[GroupStatus]:
        """Return how every group stands; see :meth:`Consuming.groups`."""
        return run(group_statuses(self.keys), self._connection)

    def parked(self, group: str) -> list[Parked]:
        """Return the parked events of a group; see :meth:`Consuming.parked`."""
        return run(parked_events(self.keys, group), self._connection)

    def retry_parked(self, group: str, seq: int | None = None) -> int:
        """Have a parked event delivered again; see :meth:`Consuming.retry_parked`."""
        return run(decide(self.keys, group, "retry", seq), self._connection)

    def drop_parked(self, group: str, seq: int | None = None) -> int:
        """Give up a parked event; see :meth:`Consuming.drop_parked`."""
        return run(decide(self.keys, group, "drop", seq), self._connection)

    def projected(self) -> PortfolioState:
        """Return the state that a projector keeps in the store; see :meth:`Consuming.projected`."""
        return run(projected(self.keys), self._connection)
