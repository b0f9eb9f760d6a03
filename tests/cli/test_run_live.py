"""``pledger run --feed ws`` as a process of its own, on a real server on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from books import BookServer

from ledger import Ledger

ROOT = Path(__file__).parents[2]
SECONDS = 20


@pytest.fixture
def command(served, portfolio, tmp_path) -> Callable[..., object]:
    """Start the command over a portfolio of this test, and give its process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLEDGER_")}
    place = {"PLEDGER_STORE": served("valkey").url, "PLEDGER_PORTFOLIO": portfolio}

    @asynccontextmanager
    async def begin(*arguments: str):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "ledger", *arguments],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**kept, **place, "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
        )
        try:
            async with asyncio.timeout(SECONDS):
                yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    return begin


async def told(process, words: str) -> str:
    """Read stderr up to the line with these words, and return all of it."""
    lines = []
    while words not in "".join(lines[-1:]):
        line = (await process.stderr.readline()).decode()
        assert line, f"it ended without {words!r}: {lines}"
        lines.append(line)
    return "".join(lines)


async def sessions(command) -> list[dict]:
    async with command("sessions", "-o", "json") as process:
        out, _ = await process.communicate()
    return json.loads(out)["sessions"]


async def marked(served, portfolio) -> None:
    """Wait until a price of each symbol is in the ledger."""
    async with Ledger.connect(served("valkey").url, portfolio=portfolio) as ledger:
        left = {"AAA", "BBB"}
        async for recorded in ledger.tail(follow=True):
            if recorded.type == "PriceMarked":
                left.discard(recorded.symbol)
            if not left:
                return


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_ends_the_session_in_the_ledger(command, served, portfolio, number, code):
    async with BookServer() as server:
        live = ("--feed", "ws", "--url", server.url, "--symbols", "AAA,BBB", "--account", "a.db")
        async with command("run", "-o", "json", "--session", "spring", *live) as process:
            await told(process, f"connected to {server.url}")
            await marked(served, portfolio)
            process.send_signal(number)
            out, err = await process.communicate()
    assert process.returncode == code, err
    summary = json.loads(out)
    assert (summary["session"], summary["is_complete"]) == ("spring", False)
    [session] = await sessions(command)
    assert (session["session"], session["state"]) == ("spring", "ended")
    assert session["digest"] == summary["digest"]


async def test_a_run_says_that_its_server_is_away_and_goes_on_when_it_is_back(command):
    async with BookServer() as server:
        await server.die()
        live = ("--feed", server.url, "--symbols", "AAA")
        async with command("run", "-o", "json", *live) as process:
            await told(process, "connecting to")
            await server.start()
            await told(process, "connected to")
            server.mode = "silent"
            await told(process, "stale: no fresh book of AAA")
            await server.die()
            await told(process, "reconnecting to")
            await server.start()
            process.send_signal(signal.SIGTERM)
            await process.communicate()
    assert process.returncode == 143


async def test_live_trading_ends_by_itself_when_its_time_is_over(command):
    async with BookServer() as server:
        live = ("--feed", server.url, "--symbols", "AAA", "--for", "200ms")
        async with command("run", "-o", "json", *live) as process:
            out, err = await process.communicate()
    assert process.returncode == 0, err
    assert json.loads(out)["is_complete"] is True
    [session] = await sessions(command)
    assert session["state"] == "ended"
