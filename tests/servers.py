"""Real servers for tests: started here, reached by a URL, and gone when the test session is."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import redis
from redis.cluster import RedisCluster

from ledger import embedded
from ledger.locators import MemoryLocator

__all__ = [
    "Proxy",
    "RedisProcess",
    "ServedStore",
    "cluster_store",
    "memory_store",
    "until",
    "valkey_store",
]


def until(met: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait for a condition; fail when it does not come about."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


class ServedStore(NamedTuple):
    """A store: the URL users give, and a client of the library to look behind the ledger's back."""

    kind: str
    url: str
    client: Any


def memory_store(name: str) -> ServedStore:
    """A fake server in this process."""
    import fakeredis

    MemoryLocator(name)
    client = fakeredis.FakeRedis(server=MemoryLocator._servers[name], protocol=2)
    return ServedStore("memory", f"memory:{name}", client)


@contextmanager
def valkey_store(directory: Path) -> Iterator[ServedStore]:
    """The embedded Valkey server of a directory."""
    with embedded.attach(directory) as server:
        client = redis.Redis(unix_socket_path=str(server.socket_path), protocol=2)
        with client:
            yield ServedStore("valkey", f"embedded:{directory}", client)


class RedisProcess:
    """A ``redis-server`` on a unix socket, or on a port of the loopback; syncs every write.

    Args:
        directory: Where its log is kept; a server started there again has what was written.
        settings: More settings, as ``{"maxmemory": "10mb"}``.
    """

    binary = shutil.which("redis-server")

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.socket = directory / "redis.sock"
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, as the ledger is told."""
        port = self._settings.get("port")
        return f"redis://127.0.0.1:{port}" if port else f"unix://{self.socket}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self.binary is not None
        settings = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "always",
            "maxmemory-policy": "noeviction",
        } | {name.replace("_", "-"): value for name, value in self._settings.items()}
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.binary, *words], stdout=log, stderr=log, env={**os.environ, "LC_ALL": "C"}
            )
        until(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()[-2000:]
        try:
            with redis.Redis(unix_socket_path=str(self.socket)) as client:
                return bool(client.ping())
        except redis.AuthenticationError:
            return True
        except (redis.ConnectionError, OSError):
            return False

    def client(self) -> Any:
        """A client of the library; close it."""
        return redis.Redis(unix_socket_path=str(self.socket), protocol=2)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, by default in order; ``SIGKILL`` gives it no chance to. Idempotent."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def __enter__(self) -> RedisProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        listening = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in listening:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in listening]


@contextmanager
def cluster_store(directory: Path) -> Iterator[ServedStore]:
    """Three nodes on the loopback that share the slots."""
    ports, bus = _free_ports(3), _free_ports(3)
    with ExitStack() as opened:
        clients = []
        for number, (port, bus_port) in enumerate(zip(ports, bus, strict=True)):
            home = directory / str(number)
            home.mkdir()
            node = RedisProcess(
                home,
                port=str(port),
                bind="127.0.0.1",
                cluster_enabled="yes",
                cluster_port=str(bus_port),
                cluster_node_timeout="5000",
                appendfsync="no",
            )
            opened.enter_context(node)
            clients.append(opened.enter_context(node.client()))
        for number, client in enumerate(clients):
            first, last = 16384 * number // 3, 16384 * (number + 1) // 3 - 1
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            client.execute_command("CLUSTER MEET", "127.0.0.1", ports[0], bus[0])
        until(lambda: all(_is_whole(client) for client in clients), 30)
        entry = f"127.0.0.1:{ports[0]}"
        with RedisCluster.from_url(f"redis://{entry}", protocol=2) as client:
            yield ServedStore("cluster", f"redis+cluster://{entry}", client)


def _is_whole(client: Any) -> bool:
    told = client.execute_command("CLUSTER INFO")
    known = len(client.execute_command("CLUSTER SLOTS"))
    return str(told.get("cluster_state")) == "ok" and known == 3


class Proxy:
    """A unix socket in front of another that can lose what passes.

    Set :attr:`lose` to ``"request"`` or ``"reply"``: the next request that holds :attr:`marker` is
    then lost before the server sees it, or after it has acted on it; the connection breaks.
    """

    def __init__(self, place: Path, upstream: Path, marker: bytes = b"EVALSHA") -> None:
        self.url = f"unix://{place}"
        self.lose: str | None = None
        self.lost_count = 0
        self.marker = marker
        self._upstream = upstream
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(place))
        self._listening.listen()
        self._end, self._ended = socket.socketpair()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while self._readable(self._listening):
            client, _ = self._listening.accept()
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _readable(self, *sockets: socket.socket) -> list[socket.socket]:
        """Wait until one can be read; nothing where the proxy is to end."""
        ready, _, _ = select.select([*sockets, self._ended], [], [])
        return [] if self._ended in ready else ready

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._upstream))
            is_losing = False
            while ready := self._readable(client, server):
                try:
                    received = ready[0].recv(1 << 20)
                    if ready[0] is client:
                        is_losing = is_losing or self._is_hit(received)
                        is_over = is_losing and self.lose == "request"
                        target = server
                    else:
                        is_over, target = is_losing, client
                    if is_over and received:
                        self.lose = None
                        self.lost_count += 1
                    if is_over or not received:
                        return
                    target.sendall(received)
                except ConnectionError:
                    return

    def _is_hit(self, received: bytes) -> bool:
        return self.lose is not None and self.marker in received

    def close(self) -> None:
        """Break all connections and end."""
        self._end.close()
        for thread in self._threads:
            thread.join(20)
        self._listening.close()
        self._ended.close()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
