"""The port to a store: a connection that exchanges commands for replies, and how steps drive it.

Everything the ledger does with a store is written once, as *steps*: a generator that yields lists
of commands and is sent the list of their replies. A sync and an async connection drive the same
steps, so the two faces cannot drift apart, and no logic is tied to a client library.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from ledger.errors import StoreError

__all__ = [
    "APPEND",
    "GROUP",
    "PROJECT",
    "AsyncConnection",
    "Command",
    "Connection",
    "Reply",
    "Steps",
    "arun",
    "run",
]

Command: TypeAlias = tuple[str | bytes | int, ...]
Reply: TypeAlias = Any

T = TypeVar("T")
Steps: TypeAlias = Generator[Sequence[Command], list[Reply], T]
"""Yields commands, is sent their replies, returns a ``T``."""

APPEND = "APPEND"
"""The name by which a command calls the append script; a connection knows how to run it."""

GROUP = "GROUP"
"""The name of the script that shares the symbols of a group among its consumers."""

PROJECT = "PROJECT"
"""The name of the script that keeps a live projection."""


class Connection(Protocol):
    """A connection to one store.

    Every exchange of ours may be repeated: reads change nothing, and a commit carries its id. So a
    connection may reconnect and send again, for as long as its ``patience`` lasts.
    """

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands at once and return their replies in order.

        Raises:
            StoreUnavailable: No connection could be had while patience lasted.
            StoreRefused: The store refused a command.
        """

    def close(self) -> None:
        """Release the connection; idempotent."""


class AsyncConnection(Protocol):
    """The async form of :class:`Connection`."""

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands at once and return their replies in order."""

    async def aclose(self) -> None:
        """Release the connection; idempotent."""


def run(steps: Steps[T], connection: Connection) -> T:
    """Drive steps to their end over a sync connection.

    An error of the store is raised inside the steps, at the exchange that met it: they may handle
    it and go on.
    """
    try:
        commands = next(steps)
        while True:
            try:
                replies = connection.exchange(commands)
            except StoreError as error:
                commands = steps.throw(error)
            else:
                commands = steps.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


async def arun(steps: Steps[T], connection: AsyncConnection) -> T:
    """Drive steps to their end over an async connection; see :func:`run`."""
    try:
        commands = next(steps)
        while True:
            try:
                replies = await connection.exchange(commands)
            except StoreError as error:
                commands = steps.throw(error)
            else:
                commands = steps.send(replies)
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()
