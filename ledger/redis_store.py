"""Connections to Redis and Valkey.

This module and :mod:`ledger.locators` are the only ones that import a client library. The library's
connections are used bare: its clients retry silently, which would send a command twice, and read
replies into dictionaries, which costs more than the replies.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any, Final

import hiredis
import redis
import redis.asyncio

from ledger.locators import REPLY_TIMEOUT_S, Locator
from ledger.redis_errors import Attempts, check_types, is_passing, refused, settled, suspects
from ledger.scripts import SCRIPTS
from ledger.store import Command, Reply

__all__ = ["AsyncRedisConnection", "RedisConnection"]

_LOADING: Final[list[Command]] = [("SCRIPT", "LOAD", script.source) for script in SCRIPTS.values()]


def _packed(commands: Sequence[Command]) -> bytes:
    """Write commands as the protocol has them, with the script's name in those that call it.

    The library's own packer takes some 100 us for the forty arguments of a small commit.
    """
    pack: Any = hiredis.pack_command
    return b"".join(
        pack(("EVALSHA", script.sha, *command[1:]) if script else command)
        for command in commands
        for script in (SCRIPTS.get(command[0]),)
    )


def _types(keys: Sequence[str]) -> bytes:
    return _packed([("TYPE", key) for key in keys])


def _error_from(reply: Reply) -> Reply:
    """Make an error reply the library's, so that both faces tell errors alike."""
    return redis.ResponseError(str(reply)) if isinstance(reply, hiredis.ReplyError) else reply


class RedisConnection:
    """A sync connection; see :class:`ledger.store.Connection`. May be shared by threads.

    Args:
        locator: Where the server is.
        patience: For how many seconds to go on trying when the store is away.
    """

    def __init__(self, locator: Locator, patience: float = 10.0) -> None:
        self._locator = locator
        self._patience = patience
        self._raw: Any = None
        self._is_loaded = False
        self._lock = threading.Lock()

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands at once and return their replies in order."""
        attempts = Attempts(self._locator, self._patience)
        packed = _packed(commands)
        runs_script = any(command[0] in SCRIPTS for command in commands)
        with self._lock:
            while True:
                try:
                    return settled(self._locator, self._once(packed, commands, runs_script))
                except (redis.RedisError, OSError) as error:
                    self._drop()
                    if isinstance(error, redis.RedisError) and not is_passing(error):
                        raise refused(self._locator, error) from error
                    delay = attempts.next_delay(error)
                    self._locator.lost()
                    time.sleep(delay)
                except BaseException:
                    self._drop()  # a reply may be under way that nobody would read
                    raise

    def _once(self, packed: bytes, commands: Sequence[Command], runs_script: bool) -> list[Reply]:
        if self._raw is None:
            self._raw = self._locator.connection()
            self._raw.connect()
            self._is_loaded = False
        # Only for who runs one: to read, a user needs no right to load scripts.
        if runs_script and not self._is_loaded:
            settled(self._locator, self._send(_packed(_LOADING), len(_LOADING)))
            self._is_loaded = True
        replies = self._send(packed, len(commands))
        if wrong := suspects(commands, replies):
            check_types(wrong, self._send(_types(wrong), len(wrong)))
        return replies

    def _send(self, packed: bytes, count: int) -> list[Reply]:
        raw = self._raw
        raw.send_packed_command([packed])
        return [self._read(raw) for _ in range(count)]

    @staticmethod
    def _read(raw: Any) -> Reply:
        try:
            return raw.read_response(disable_decoding=True, disconnect_on_error=False)
        except redis.ResponseError as error:
            return error

    def _drop(self) -> None:
        if self._raw is not None:
            self._raw.disconnect()
            self._raw = None

    def close(self) -> None:
        """Release the connection; idempotent."""
        with self._lock:
            self._drop()


class AsyncRedisConnection:
    """An async connection; see :class:`ledger.store.AsyncConnection`. Exchanges take turns."""

    def __init__(self, locator: Locator, patience: float = 10.0) -> None:
        self._locator = locator
        self._patience = patience
        self._raw: Any = None
        self._is_loaded = False
        self._parser = hiredis.Reader()
        self._lock = asyncio.Lock()

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Send all commands at once and return their replies in order."""
        attempts = Attempts(self._locator, self._patience)
        packed = _packed(commands)
        runs_script = any(command[0] in SCRIPTS for command in commands)
        async with self._lock:
            while True:
                try:
                    return settled(self._locator, await self._once(packed, commands, runs_script))
                except (redis.RedisError, OSError) as error:
                    await self._drop()
                    if isinstance(error, redis.RedisError) and not is_passing(error):
                        raise refused(self._locator, error) from error
                    delay = attempts.next_delay(error)
                    await asyncio.to_thread(self._locator.lost)  # may start a server
                    await asyncio.sleep(delay)
                except BaseException:
                    await self._drop()  # a reply may be under way that nobody would read
                    raise

    async def _once(
        self, packed: bytes, commands: Sequence[Command], runs_script: bool
    ) -> list[Reply]:
        if self._raw is None:
            # In a cluster it asks for the node first, and a node that hangs takes seconds.
            self._raw = await asyncio.to_thread(self._locator.aconnection)
            self._parser = hiredis.Reader()
            try:
                await self._raw.connect()
            except redis.ConnectionError as error:  # a refused password hides in it
                if isinstance(error.__cause__, redis.AuthenticationError):
                    raise error.__cause__ from None
                raise
            self._is_loaded = False
        if runs_script and not self._is_loaded:
            settled(self._locator, await self._send(_packed(_LOADING), len(_LOADING)))
            self._is_loaded = True
        replies = await self._send(packed, len(commands))
        if wrong := suspects(commands, replies):
            check_types(wrong, await self._send(_types(wrong), len(wrong)))
        return replies

    async def _send(self, packed: bytes, count: int) -> list[Reply]:
        raw = self._raw
        stream = getattr(raw, "_reader", None)
        if isinstance(stream, asyncio.StreamReader):
            async with asyncio.timeout(REPLY_TIMEOUT_S):
                # Not by the library, which sends in wait_for: that loses a cancellation.
                raw._writer.write(packed)
                await raw._writer.drain()
                return await self._read_all(stream, count)
        await raw.send_packed_command([packed], check_health=False)
        return [await self._read(raw) for _ in range(count)]

    async def _read_all(self, stream: asyncio.StreamReader, count: int) -> list[Reply]:
        """Read replies straight from the stream.

        ``read_response`` costs some 60 us a reply, three times what a whole commit costs the
        server; that would be most of a group commit.
        """
        replies: list[Reply] = []
        while len(replies) < count:
            reply = self._parser.gets()
            if reply is not False:
                replies.append(_error_from(reply))
                continue
            received = await stream.read(262_144)
            if not received:
                raise redis.ConnectionError("the server closed the connection")
            self._parser.feed(received)
        return replies

    @staticmethod
    async def _read(raw: Any) -> Reply:
        try:
            return await raw.read_response(disable_decoding=True, disconnect_on_error=False)
        except redis.ResponseError as error:
            return error

    async def _drop(self) -> None:
        if self._raw is not None:
            raw, self._raw = self._raw, None
            await raw.disconnect(nowait=True)

    async def aclose(self) -> None:
        """Release the connection; idempotent."""
        async with self._lock:
            await self._drop()
