"""The first SIGINT or SIGTERM ends a command in order; the second one at once, with the same code.

The store is held still meanwhile, so that an end in order cannot come about.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import RedisProcess, until

from ledger import Ledger, PriceMarked, SessionStarted, SyncLedger
from replay.verify import verify

ROOT = Path(__file__).parents[2]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}

pytestmark = pytest.mark.skipif(RedisProcess.binary is None, reason="needs redis-server")


@pytest.fixture
def server(tmp_path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path) as running:
        yield running
        hold(running, signal.SIGCONT)  # one that is held still cannot end


def hold(server: RedisProcess, number: int) -> None:
    """Stop a server where it stands, or let it go on."""
    os.kill(server._process.pid, number)


@pytest.fixture
def ledger(server) -> Iterator[SyncLedger]:
    with Ledger.sync.connect(server.url) as opened:
        yield opened


@pytest.fixture
def start(server, tmp_path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start the command on the server; what is left of it at the end is killed."""
    processes: list[subprocess.Popen] = []

    def begin(*arguments: str) -> subprocess.Popen:
        kept = {name: value for name, value in os.environ.items() if "PLEDGER_" not in name}
        process = subprocess.Popen(
            [sys.executable, "-m", "ledger", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, "PYTHONPATH": str(ROOT), "PLEDGER_STORE": server.url},
            cwd=tmp_path,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def line_with(process: subprocess.Popen, text: str) -> str:
    """Read stderr up to a line that has this in it."""
    for line in process.stderr:
        if text in line:
            return line
    raise AssertionError(f"it ended without saying {text!r}")


@pytest.mark.parametrize("number", CODES)
def test_a_second_signal_ends_a_run_at_once_and_leaves_the_ledger_whole(
    server, ledger, start, number
):
    run = start("run", "--speed", "1x", "--session", "spring", "--symbols", "AAPL,MSFT")
    until(lambda: any(found.type == "PriceMarked" for found in ledger.tail()))
    hold(server, signal.SIGSTOP)
    run.send_signal(number)
    line_with(run, "once more stops at once")
    run.send_signal(number)
    out, err = run.communicate(timeout=10)
    assert (run.returncode, out) == (CODES[number], ""), err
    assert "Traceback" not in err
    hold(server, signal.SIGCONT)
    [session] = ledger.sessions()
    assert session.state == "open"
    assert verify(ledger, full=True).ok


@pytest.mark.parametrize("number", CODES)
def test_a_second_signal_ends_a_followed_tail_at_once(server, ledger, start, number):
    start_of_session = SessionStarted(
        session="s", mode="paper", base_currency="USD", clock="recorded"
    )
    ledger.append([start_of_session, PriceMarked(symbol="A", price=1)])
    tail = start("tail", "-f", "--group", "risk", "-o", "json")
    assert [tail.stdout.readline()[:8] for _ in range(2)] == ['{"seq":1', '{"seq":2']
    hold(server, signal.SIGSTOP)
    tail.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        tail.wait(1)  # it would give its symbols back, and cannot
    tail.send_signal(number)
    out, err = tail.communicate(timeout=10)
    assert (tail.returncode, out) == (CODES[number], ""), err
    assert "Traceback" not in err
    hold(server, signal.SIGCONT)
    assert verify(ledger, full=True).ok
