"""From the URL of a store to connections."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.embedded import EmbeddedServer, attach
from ledger.errors import InvalidInput
from ledger.file_store import FileStore
from ledger.keys import Keys

# The client library takes longer to import than all of the ledger; events and folds do without.
if TYPE_CHECKING:
    from ledger.locators import Locator
    from ledger.redis_store import AsyncRedisConnection, RedisConnection

__all__ = ["DEFAULT_STORE", "Store", "open_store"]

DEFAULT_STORE = "embedded:./.pledger"


class _Embedded:
    """An embedded server that is started again when it dies while we use it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server: EmbeddedServer = attach(directory)
        self._lock = threading.Lock()
        self._closed = False
        self.url = self._server.url

    def revive(self) -> None:
        """Attach again: a server that is there is joined, one that died is started."""
        with self._lock:
            if not self._closed:
                fresh = attach(self._directory)
                self._server.detach()
                self._server = fresh

    def close(self) -> None:
        """Leave the server; the last user out stops it."""
        with self._lock:
            self._closed = True
            self._server.detach()


class Store:
    """A store that connections can be opened to.

    Attributes:
        shown: The store as errors may show it, without a password.
        kind: ``embedded``, ``server``, ``cluster`` or ``memory``.
    """

    def __init__(self, kind: str, locator: Locator, embedded: _Embedded | None = None) -> None:
        self.kind = kind
        self._locator = locator
        self._embedded = embedded
        self.shown = locator.shown

    def connection(self, patience: float = 10.0) -> RedisConnection:
        """Open a sync connection; it connects at its first exchange."""
        from ledger.redis_store import RedisConnection

        return RedisConnection(self._locator, patience)

    def aconnection(self, patience: float = 10.0) -> AsyncRedisConnection:
        """Open an async connection; it connects at its first exchange."""
        from ledger.redis_store import AsyncRedisConnection

        return AsyncRedisConnection(self._locator, patience)

    def close(self) -> None:
        """Release what belongs to the store itself; close its connections first. Idempotent."""
        if self._embedded is not None:
            self._embedded.close()


def open_store(url: str, keys: Keys) -> Store | FileStore:
    """Open the store that ``url`` names, starting an embedded server where it is not running.

    Raises:
        InvalidInput: The URL is none of ``embedded:DIR``, ``redis://``, ``rediss://``, ``unix://``,
            ``redis+cluster://HOST,HOST``, ``memory:``, ``file:PATH``.
        StoreError: An embedded server cannot be started.
    """
    from ledger.locators import ClusterLocator, MemoryLocator, ServerLocator

    scheme, _, rest = url.partition(":")
    if scheme == "embedded":
        embedded = _Embedded(Path(rest or "./.pledger"))
        locator = ServerLocator(embedded.url, shown=url, revive=embedded.revive)
        return Store("embedded", locator, embedded)
    if scheme in ("redis", "rediss", "unix"):
        return Store("server", ServerLocator(url))
    if scheme in ("redis+cluster", "rediss+cluster"):
        return Store("cluster", ClusterLocator(url, keys.meta))
    if scheme == "memory":
        return Store("memory", MemoryLocator(rest))
    if scheme == "file":
        return FileStore(Path(rest), keys)
    raise InvalidInput(
        f"store: {url!r} is not a store",
        hint="embedded:DIR, redis://HOST, unix:///SOCKET, redis+cluster://HOST,HOST, memory: "
        "or file:F",
    )
