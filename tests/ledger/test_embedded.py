"""The embedded store: one server per directory, however processes come, go and die."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from ledger import embedded
from ledger.embedded_process import asked
from ledger.errors import StoreRefused, StoreUnavailable

USER = """
import sys
from pathlib import Path
from ledger import embedded
server = embedded.attach(Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.readline()
"""

EIGHT_USERS = """
import os, sys
from pathlib import Path
from ledger import embedded
go, start = os.pipe()
for _ in range(8):
    if os.fork() == 0:
        os.close(start)
        os.read(go, 1)
        server = embedded.attach(Path(sys.argv[1]))
        os.write(1, b"%d\\n" % server.pid)
        sys.stdin.readline()
        server.detach()
        os._exit(0)
os.close(start)
for _ in range(8):
    os.wait()
"""

FORKING_USER = """
import os, sys
from pathlib import Path
from ledger import embedded
server = embedded.attach(Path(sys.argv[1]))
over, hold = os.pipe()
seen, tell = os.pipe()
if os.fork() == 0:
    os.close(hold)
    server.detach()
    os.write(tell, b"!")
    os.read(over, 1)
    os._exit(0)
os.read(seen, 1)
print(embedded.running(server.directory) == server.pid, flush=True)
server.detach()
print(embedded.running(server.directory), flush=True)
with embedded.attach(server.directory) as again:
    print(again.pid != server.pid, flush=True)
os.close(hold)
os.wait()
"""

KILLED_WITH_A_CHILD = """
import os, signal, sys
from pathlib import Path
from ledger import embedded
server = embedded.attach(Path(sys.argv[1]))
if os.fork() == 0:
    sys.stdin.readline()
    os._exit(0)
print(server.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

SERVING = """
import sys
from pathlib import Path
from ledger import embedded
print(embedded.serve(Path(sys.argv[1]), ready=lambda server: print(server.pid, flush=True)))
"""


def until(met: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def servers_in(place: Path) -> list[int]:
    """The living processes that work somewhere in this place, found without asking the product."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "cwd").readlink()).startswith(f"{place}/"):
                found.append(int(entry.name))
        except OSError:
            continue  # gone meanwhile, or a zombie
    return found


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A directory for a store; at the end no server may be left in it."""
    yield tmp_path / "store"
    left = servers_in(tmp_path)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


@contextmanager
def script(text: str, home: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Another Python process; it goes on when its stdin is closed, and is waited for."""
    root = str(Path(embedded.__file__).parents[1])
    with subprocess.Popen(
        [sys.executable, "-c", text, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root, **environment},
    ) as process:
        yield process


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(20) == 0


def value_of(server: embedded.EmbeddedServer, command: bytes) -> list[str]:
    return asked(server.socket_path, command + b"\r\nQUIT\r\n").decode().split("\r\n")[:-2]


def kill(pid: int, home: Path) -> None:
    os.kill(pid, signal.SIGKILL)
    until(lambda: servers_in(home) == [])


def test_processes_share_one_server_and_the_last_one_out_stops_it(home: Path) -> None:
    with script(USER, home) as other:
        pid = int(line(other))
        with embedded.attach(home) as server:
            assert server.pid == pid == embedded.running(home)
            assert servers_in(home) == [pid]
            end(other)  # the one that started it leaves, by merely ending
            assert value_of(server, b"PING") == ["+PONG"]
        assert embedded.running(home) is None
        assert servers_in(home) == []


def test_an_interpreter_that_ends_without_detaching_leaves_nothing_behind(home: Path) -> None:
    with script(USER, home) as only:
        assert int(line(only)) in servers_in(home)
        end(only)
    assert servers_in(home) == []


def test_a_killed_users_server_is_adopted_and_then_stopped(home: Path) -> None:
    with script(USER, home) as victim:
        pid = int(line(victim))
        victim.kill()
    assert servers_in(home) == [pid]
    with embedded.attach(home) as adopted:
        assert adopted.pid == pid
        assert servers_in(home) == [pid]
    assert servers_in(home) == []


def test_what_a_killed_server_acknowledged_is_there_after_the_next_attach(home: Path) -> None:
    with embedded.attach(home) as first:
        for number in range(50):
            assert value_of(first, b"XADD s %d-1 n 1" % (number + 1))[1] == f"{number + 1}-1"
        kill(first.pid, home)
        assert embedded.running(home) is None
        with embedded.attach(home) as second:
            assert second.pid != first.pid
            assert value_of(second, b"XLEN s") == [":50"]
        assert embedded.running(home) == second.pid  # the first user is still there
    assert servers_in(home) == []


def test_a_log_cut_in_the_middle_of_a_write_loads_up_to_the_last_whole_one(home: Path) -> None:
    with embedded.attach(home) as server:
        value_of(server, b"SET kept 1")
        value_of(server, b"SET torn 1")
    (log,) = home.glob("data/appendonlydir/*.incr.aof")
    with log.open("rb+") as file:
        file.truncate(log.stat().st_size - 3)
    with embedded.attach(home) as server:
        assert value_of(server, b"EXISTS kept") == [":1"]
        assert value_of(server, b"EXISTS torn") == [":0"]


def test_a_damaged_log_is_reported_with_the_servers_own_words(home: Path) -> None:
    with embedded.attach(home) as server:
        value_of(server, b"SET kept 1")
        value_of(server, b"SET other 1")
    (log,) = home.glob("data/appendonlydir/*.incr.aof")
    log.write_bytes(b"?" + log.read_bytes()[1:])
    with pytest.raises(StoreUnavailable, match=r"ended while .*(?s:.*)Bad file format") as caught:
        embedded.attach(home)
    assert caught.value.hint == f"see {home / 'server.log'}"


def test_eight_processes_attaching_at_once_get_one_server(home: Path) -> None:
    with script(EIGHT_USERS, home) as users:
        pids = {line(users) for _ in range(8)}
        assert len(pids) == 1
        assert servers_in(home) == [int(pids.pop())]
        end(users)
    assert servers_in(home) == []


def test_threads_come_and_go_on_one_server_at_a_time(home: Path) -> None:
    def visit(_: int) -> None:
        with embedded.attach(home) as server:
            assert servers_in(home) == [server.pid]
            assert value_of(server, b"PING") == ["+PONG"]

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(visit, range(12)))
    assert servers_in(home) == []


def test_attachments_of_one_process_are_counted_one_by_one(home: Path) -> None:
    first = embedded.attach(home)
    second = embedded.attach(home)
    first.detach()
    first.detach()
    assert embedded.running(home) == second.pid == first.pid
    second.detach()
    assert embedded.running(home) is None


def test_every_spelling_of_a_directory_is_the_same_server(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    (home.parent / "link").symlink_to(home)
    monkeypatch.chdir(home.parent)
    spellings = (home, Path("link"), Path("store"), Path("link/../store"))
    with ExitStack() as leaving:
        servers = [leaving.enter_context(embedded.attach(path)) for path in spellings]
        assert {server.pid for server in servers} == {embedded.running(Path("link"))}
        assert {server.socket_path for server in servers} == {home / "server.sock"}


@pytest.mark.parametrize("name", ["my store", "a\"b'c\\d", "총 잔고 %20 #?;x", "line\nbreak"])
def test_a_directory_may_have_any_name(home: Path, name: str) -> None:
    with embedded.attach(home / name) as server:
        assert server.directory == home / name
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
            client.connection_pool.disconnect()


@pytest.mark.parametrize("name", ["long " * 30 + "end", os.fsdecode(b"not-\xff-utf8")])
def test_a_path_no_socket_can_have_gets_a_private_short_one(home: Path, name: str) -> None:
    with embedded.attach(home / name) as server, embedded.attach(home / name) as again:
        short = server.socket_path.parent
        assert again.pid == server.pid == embedded.running(home / name)
        assert len(os.fsencode(server.socket_path)) <= 103
        assert stat.S_IMODE(short.stat().st_mode) == 0o700
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()
            client.connection_pool.disconnect()
    assert not short.exists()


def test_a_socket_place_that_others_may_write_is_refused(home: Path) -> None:
    long = home / ("x" * 180)
    with embedded.attach(long) as server:
        place = server.socket_path.parent
    place.mkdir()
    place.chmod(0o777)
    try:
        with pytest.raises(StoreRefused, match="not private to this user"):
            embedded.attach(long)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    assert servers_in(home) == []


def test_the_server_loses_nothing_listens_nowhere_else_and_is_this_users_alone(home: Path) -> None:
    wanted = {
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-load-truncated": "yes",
        "aof-use-rdb-preamble": "no",
        "save": "",
        "maxmemory-policy": "noeviction",
        "port": "0",
        "io-threads": "1",
    }
    with embedded.attach(home) as server:
        for name, value in wanted.items():
            assert value_of(server, f"CONFIG GET {name}".encode())[-1] == value
        assert stat.S_IMODE(server.socket_path.stat().st_mode) == 0o700
        assert os.getsid(server.pid) == server.pid  # an interrupt from our terminal misses it
    for private in (home, home / "data"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_a_locale_that_is_not_installed_does_not_matter(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    with embedded.attach(home) as server:
        assert value_of(server, b"PING") == ["+PONG"]
    assert "LOCALE" not in (home / "server.log").read_text()  # some servers end, others complain


def test_a_path_that_is_a_file_is_refused_by_name(home: Path) -> None:
    home.write_text("mine")
    for path in (home, home / "below"):
        with pytest.raises(StoreRefused, match="cannot hold an embedded store") as caught:
            embedded.attach(path)
        assert "embedded:DIR" in caught.value.hint
    assert home.read_text() == "mine"


def test_a_directory_we_may_not_write_is_refused(home: Path) -> None:
    home.mkdir()
    home.chmod(0o555)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(StoreRefused, match="Permission denied"):
            embedded.attach(home)
    finally:
        os.seteuid(before)
        home.chmod(0o755)


def test_a_binary_that_is_not_there_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEDGER_SERVER_BINARY", "/no/such/server")
    with pytest.raises(StoreUnavailable, match="/no/such/server cannot be executed") as caught:
        embedded.attach(home)
    assert "portfolio-ledger[embedded]" in caught.value.hint
    monkeypatch.delenv("PLEDGER_SERVER_BINARY")
    with embedded.attach(home) as server:  # the failure left no lock behind
        assert embedded.running(home) == server.pid


def test_a_binary_that_is_no_program_is_named(home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x7fELF")
    broken.chmod(0o755)
    with pytest.raises(StoreUnavailable, match=r"broken could not be started"):
        embedded.attach(home, binary=broken)


def test_a_server_that_never_answers_is_given_up_and_not_doubled(
    home: Path, tmp_path: Path
) -> None:
    mute = tmp_path / "mute"
    mute.write_text("#!/bin/sh\nexec sleep 60\n")
    mute.chmod(0o755)
    with pytest.raises(StoreUnavailable, match=r"gave no answer for 0\.05 s"):
        embedded.attach(home, binary=mute, patience=0.05)
    (pid,) = servers_in(home)
    with pytest.raises(StoreUnavailable, match="gave no answer"):
        embedded.attach(home, patience=0.05)
    assert servers_in(home) == [pid]
    kill(pid, home)


def test_a_forked_child_neither_holds_the_server_nor_stops_it(home: Path) -> None:
    with script(FORKING_USER, home) as family:
        assert line(family) == "True"  # the child detached, and the parent's server goes on
        assert line(family) == "None"  # the parent left, and the living child keeps nothing
        assert line(family) == "True"
        end(family)
    assert servers_in(home) == []


def test_a_child_of_a_killed_user_does_not_keep_the_server(home: Path) -> None:
    with script(KILLED_WITH_A_CHILD, home) as parent:
        pid = int(line(parent))
        assert parent.wait(20) == -signal.SIGKILL
        with embedded.attach(home) as server:
            assert server.pid == pid
        assert servers_in(home) == []


def test_a_server_whose_directory_was_removed_is_stopped_too(home: Path) -> None:
    with embedded.attach(home) as server:
        shutil.rmtree(home)
        assert server.pid in servers_in(home)
        with embedded.attach(home) as fresh:
            assert fresh.pid != server.pid
            server.detach()
            assert value_of(fresh, b"PING") == ["+PONG"]
    assert servers_in(home) == []


def test_looking_for_a_server_makes_nothing(home: Path) -> None:
    assert embedded.running(home) is None
    assert not home.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_ends_at_a_signal_and_leaves_the_server_to_its_users(
    home: Path, number: signal.Signals
) -> None:
    with script(SERVING, home) as serving:
        pid = int(line(serving))
        with embedded.attach(home) as server:
            serving.send_signal(number)
            assert line(serving) == str(number.value)
            assert serving.wait(20) == 0
            assert embedded.running(home) == server.pid == pid
    assert servers_in(home) == []


def test_serving_ends_at_an_event_and_fails_when_the_server_does(home: Path) -> None:
    stop = threading.Event()
    assert embedded.serve(home, stop=stop, ready=lambda _: stop.set()) is None
    with pytest.raises(StoreUnavailable, match="ended"):
        embedded.serve(home, ready=lambda server: kill(server.pid, home))
