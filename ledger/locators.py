"""Where a store's server is: one server, the node of a cluster, or a fake one in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from ledger.errors import InvalidInput, StoreUnavailable

__all__ = ["REPLY_TIMEOUT_S", "ClusterLocator", "Locator", "MemoryLocator", "ServerLocator"]

REPLY_TIMEOUT_S: Final = 30.0
_CONNECT_TIMEOUT_S: Final = 5.0


def _settings(url: str) -> dict[str, Any]:
    """What every connection of ours is made with: no retry of its own, timeouts, RESP2."""
    settings: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": REPLY_TIMEOUT_S,
        "socket_connect_timeout": _CONNECT_TIMEOUT_S,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if not url.startswith("unix:"):
        settings["socket_keepalive"] = True
    return settings


class Locator(Protocol):
    """Makes bare connections to the server that holds a key."""

    @property
    def shown(self) -> str:
        """The store as errors may show it, without a password."""

    def connection(self) -> Any:
        """A new, unconnected sync connection."""

    def aconnection(self) -> Any:
        """A new, unconnected async connection."""

    def lost(self) -> None:
        """Look again before the next connection: the last one failed."""


class ServerLocator:
    """One server behind a ``redis://``, ``rediss://`` or ``unix://`` URL.

    Args:
        url: As redis-py reads it.
        shown: What errors call it; by default the URL without user and password.
        revive: Called before each reconnection, to start a server that is ours to start.

    Raises:
        InvalidInput: The URL cannot be read.
    """

    def __init__(
        self, url: str, *, shown: str = "", revive: Callable[[], None] | None = None
    ) -> None:
        settings = _settings(url)
        self._pool: Any
        self._apool: Any
        # from_url knows every spelling; the pools themselves stay empty.
        try:
            self._pool = redis.ConnectionPool.from_url(url, **settings)
            settings["retry"] = redis.asyncio.retry.Retry(NoBackoff(), 0)
            self._apool = redis.asyncio.ConnectionPool.from_url(url, **settings)
        except ValueError as error:
            raise InvalidInput(f"store: {without_password(url)} cannot be read: {error}") from None
        self.shown = shown or without_password(url)
        self._revive = revive

    def connection(self) -> Any:
        """A new, unconnected sync connection."""
        return self._pool.make_connection()

    def aconnection(self) -> Any:
        """A new, unconnected async connection."""
        return self._apool.make_connection()

    def lost(self) -> None:
        """Start the server again where it is ours to start."""
        if self._revive is not None:
            self._revive()


def without_password(url: str) -> str:
    """Return a URL as it may be shown."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]).geturl()


class ClusterLocator:
    """The node of a cluster that holds a portfolio's keys, behind ``redis+cluster://host:port``.

    Args:
        url: Any node of the cluster; ``rediss+cluster://`` for TLS.
        key: One of the portfolio's keys; all of them share its slot.
    """

    def __init__(self, url: str, key: str) -> None:
        self.shown = without_password(url)
        self._url = url.replace("+cluster", "", 1)
        self._key = key
        self._node: ServerLocator | None = None

    def _found(self) -> ServerLocator:
        if self._node is None:
            try:
                with RedisCluster.from_url(self._url, **_settings(self._url)) as cluster:
                    node = cluster.get_node_from_key(self._key)
            except redis.RedisError as error:
                raise StoreUnavailable(
                    f"the cluster {self.shown} cannot be reached: {error}",
                    hint="name a node of the cluster that answers",
                ) from error
            if node is None:
                raise StoreUnavailable(f"the cluster {self.shown} serves no slot for {self._key}")
            parts = urlsplit(self._url)
            user = parts.netloc.rpartition("@")[0]
            place = f"{user}@{node.name}" if user else node.name
            self._node = ServerLocator(parts._replace(netloc=place).geturl(), shown=self.shown)
        return self._node

    def connection(self) -> Any:
        """A new, unconnected sync connection to the node."""
        return self._found().connection()

    def aconnection(self) -> Any:
        """A new, unconnected async connection to the node."""
        return self._found().aconnection()

    def lost(self) -> None:
        """Ask the cluster again: the slot may have moved, or a replica have taken over."""
        self._node = None


class MemoryLocator:
    """A fake server in this process, by name; nothing is kept.

    Raises:
        InvalidInput: fakeredis is not installed.
    """

    _servers: dict[str, Any] = {}  # noqa: RUF012  # shared on purpose: one server per name

    def __init__(self, name: str = "") -> None:
        try:
            import fakeredis
            import fakeredis.aioredis
        except ImportError:
            raise InvalidInput(
                "store: memory: needs fakeredis", hint="pip install 'fakeredis[lua]'"
            ) from None
        self._fake = fakeredis
        self.shown = f"memory:{name}"
        if name not in self._servers:
            self._servers[name] = fakeredis.FakeServer()
        self._server = self._servers[name]

    def connection(self) -> Any:
        """A new, unconnected sync connection."""
        return self._fake.FakeRedisConnection(
            server=self._server, protocol=2, retry=Retry(NoBackoff(), 0)
        )

    def aconnection(self) -> Any:
        """A new, unconnected async connection."""
        retry = redis.asyncio.retry.Retry(NoBackoff(), 0)
        return self._fake.aioredis.FakeAsyncRedisConnection(
            server=self._server, protocol=2, retry=retry
        )

    def lost(self) -> None:
        """Nothing can be done for a fake server."""
