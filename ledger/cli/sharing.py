"""Writing out what a consumer of a group gets: each event is acknowledged once it is written."""

from __future__ import annotations

import asyncio
import uuid
from typing import Final

import click

from ledger.cli.following import Follower
from ledger.cli.screen import Screen
from ledger.cli.spans import Selection, Stretch
from ledger.consuming import consumer_of
from ledger.holds import GroupSettings
from ledger.store import AsyncConnection, arun
from ledger.sync_face import SyncLedger

__all__ = ["GroupFollower", "refuse_odd_group"]


_OPTIONS: Final = {
    "since": "--since",
    "until": "--until",
    "limit": "-n",
    "file": "--cursor-file",
}


def refuse_odd_group(group: str | None, consumer: str | None, **begins: object) -> None:
    """Refuse a consumer without a group, and a group beside what says where to begin or end.

    Raises:
        click.UsageError: The options contradict each other.
    """
    context = click.get_current_context()
    if group is None and consumer is not None:
        raise click.UsageError("--consumer names one of a --group", context)
    for name, value in begins.items():
        if group is not None and value is not None:
            message = f"--group keeps its own place; leave out {_OPTIONS[name]}"
            raise click.UsageError(message, context)


class GroupFollower(Follower):
    """Writes the events that one consumer of a group is given, and acknowledges them.

    Args:
        screen: Where it writes.
        ledger: The portfolio.
        group: The group's name; it is made where it is new.
        consumer: This consumer's name; ``None`` for a new one.
        selection: The symbols that the group shares, none for what it was made with or all; and
            which types of events to write, the others being acknowledged unwritten.
        after: Where a new group begins.
        follow: Whether to wait for more.
    """

    def __init__(
        self,
        screen: Screen,
        ledger: SyncLedger,
        group: str,
        consumer: str | None,
        selection: Selection,
        *,
        after: int,
        follow: bool,
    ) -> None:
        super().__init__(screen, ledger, Stretch(0, 0), selection, follow=follow, place=None)
        self._group = group
        self._has_all = not follow
        settings = GroupSettings(symbols=selection.symbols or None, after=after)
        who = consumer or f"tail-{uuid.uuid4().hex[:8]}"
        self._sharing = consumer_of(ledger.keys, group, who, settings, follow=follow)

    async def _write_pages(self, connection: AsyncConnection, count: int | None) -> None:
        await arun(self._sharing.join(), connection)
        try:
            await self._write_deliveries(connection, count)
        finally:
            await arun(self._sharing.leave(has_failed=False), connection)

    async def _write_deliveries(self, connection: AsyncConnection, count: int | None) -> None:
        left = count
        while left is None or left > 0:
            task = await arun(self._sharing.next(), connection)
            if task is not None:
                if self._selection.has(task.recorded):
                    self._write([task.recorded])
                    left = None if left is None else left - 1
                await arun(self._sharing.ack(task), connection)
            elif self._has_all and self._sharing.is_idle:
                return
            await asyncio.sleep(0)  # a signal must get its turn

    def tell_where_to_resume(self) -> None:
        """Say on stderr that the group knows where to go on."""
        if not self._is_closed:
            self._screen.note(f"resume with --group {self._group}")
