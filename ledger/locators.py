"""Where a store's server is: one server, the node of a cluster, or a fake one in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.maint_notifications import MaintNotificationsConfig
from redis.retry import Retry

from ledger.errors import InvalidInput

__all__ = ["REPLY_TIMEOUT_S", "ClusterLocator", "Locator", "MemoryLocator", "ServerLocator"]

REPLY_TIMEOUT_S: Final = 30.0
_CONNECT_TIMEOUT_S: Final = 5.0
_AWAY: Final = (redis.ConnectionError, redis.TimeoutError, OSError)
_FORBIDDEN: Final = (redis.AuthenticationError, redis.exceptions.AuthorizationError)


def _settings(url: str, reply_timeout_s: float) -> dict[str, Any]:
    """What every connection of ours is made with: no retry of its own, timeouts, RESP2."""
    settings: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": reply_timeout_s,
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
        reply_timeout_s: For how many seconds a reply is awaited.

    Raises:
        InvalidInput: The URL cannot be read.
    """

    def __init__(
        self,
        url: str,
        *,
        shown: str = "",
        revive: Callable[[], None] | None = None,
        reply_timeout_s: float = REPLY_TIMEOUT_S,
    ) -> None:
        settings = _settings(url, reply_timeout_s)
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
    """The node that holds a portfolio's keys, behind ``redis+cluster://host:port[,host:port]``.

    It asks any node that answers: those of the URL, and those that the cluster named when it was
    asked last. So the URL's node may die while the ledger is open; to open one then, the URL must
    name another too.

    Args:
        url: One or more nodes of the cluster; ``rediss+cluster://`` for TLS.
        key: One of the portfolio's keys; all of them share its slot.

    Raises:
        InvalidInput: The URL cannot be read.
    """

    def __init__(self, url: str, key: str) -> None:
        self.shown = without_password(url)
        self._parts = urlsplit(url.replace("+cluster", "", 1))
        self._user, self._at, places = self._parts.netloc.rpartition("@")
        self._seeds = places.split(",")
        self._slot = key_slot(key.encode())
        self._lock = threading.Lock()
        self._node: ServerLocator | None = None
        for place in self._seeds:
            self._server(place)
        self._places = list(self._seeds)

    def _server(self, place: str, reply_timeout_s: float = REPLY_TIMEOUT_S) -> ServerLocator:
        url = self._parts._replace(netloc=f"{self._user}{self._at}{place}").geturl()
        return ServerLocator(url, shown=self.shown, reply_timeout_s=reply_timeout_s)

    def _found(self) -> ServerLocator:
        with self._lock:
            if self._node is None:
                self._node = self._server(self._primary())
            return self._node

    def _primary(self) -> str:
        """Ask the nodes in turn for the place of the one that serves the slot.

        Raises:
            redis.ConnectionError: None that answers names one; a replica may yet take over.
            redis.RedisError: A node refuses to be asked.
        """
        failure: Exception | None = None
        for place in list(self._places):
            try:
                served = list(_served(self._server(place, _CONNECT_TIMEOUT_S), place))
            except _FORBIDDEN:
                raise
            except _AWAY as error:
                failure = error
                continue
            self._remember(place, [named for _, _, places in served for named in places])
            for first, last, places in served:
                if first <= self._slot <= last:
                    return places[0]
        reason = failure or f"they know of none that serves slot {self._slot}"
        raise redis.ConnectionError(f"no node leads to the portfolio: {reason}") from failure

    def _remember(self, asked: str, named: list[str]) -> None:
        """Keep the URL's nodes and those named now; one that was asked comes last the next time."""
        known = dict.fromkeys([*named, *self._seeds])
        before = [place for place in self._places if place in known]
        others = [place for place in dict.fromkeys([*before, *known]) if place != asked]
        self._places = [*others, asked]

    def connection(self) -> Any:
        """A new, unconnected sync connection to the node."""
        return self._found().connection()

    def aconnection(self) -> Any:
        """A new, unconnected async connection to the node."""
        return self._found().aconnection()

    def lost(self) -> None:
        """Ask the cluster again: the slot may have moved, or a replica have taken over."""
        with self._lock:
            self._node = None


def _served(server: ServerLocator, asked: str) -> Iterator[tuple[int, int, list[str]]]:
    """Ask a node; yield the first and last slot of each range and its nodes, the primary first."""
    connection = server.connection()
    try:
        connection.connect()
        connection.send_command("CLUSTER", "SLOTS")
        reply = connection.read_response(disable_decoding=True)
    finally:
        connection.disconnect()
    for first, last, *nodes in reply:
        yield first, last, [_place(node[0], node[1], asked) for node in nodes]


def _place(host: bytes | None, port: int, asked: str) -> str:
    """Return where a node is; one that does not know its own host is where it was asked."""
    if not host:
        return f"{asked.rpartition(':')[0] or asked}:{port}"
    name = host.decode()
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


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
