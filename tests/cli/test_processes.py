"""``pledger`` as a process of its own: signals, pipes, exit codes, a store that is shared."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ledger import CashDeposited, Ledger, SessionStarted

ROOT = Path(__file__).parents[2]
PLEDGER = [sys.executable, "-m", "ledger"]
DEPOSIT = '{"type":"CashDeposited","data":{"currency":"USD","amount":"1"}}\n'


@pytest.fixture
def environment(served, portfolio) -> dict[str, str]:
    """What a process is told: an embedded store, with four events in a portfolio of this test."""
    store = served("valkey")
    with Ledger.sync.connect(store.url, portfolio=portfolio) as ledger:
        started = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
        ledger.append([started, *[CashDeposited(currency="USD", amount=n) for n in (1, 2, 3)]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLEDGER_")}
    place = {"PLEDGER_STORE": store.url, "PLEDGER_PORTFOLIO": portfolio}
    return {**kept, **place, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def start(environment, tmp_path) -> Callable[..., subprocess.Popen]:
    """Start the command; what is left of it at the end is killed."""
    processes = []

    def begin(*arguments: str, **how) -> subprocess.Popen:
        process = subprocess.Popen(
            [*PLEDGER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=tmp_path,
            **how,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_a_reader_that_goes_away_ends_a_followed_tail_quietly(start):
    tail = start("tail", "-f", "-o", "json")
    seqs = [json.loads(tail.stdout.readline())["seq"] for _ in range(3)]
    tail.stdout.close()
    assert seqs == [1, 2, 3]
    assert tail.wait(20) == 0
    assert tail.stderr.read() == ""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_tail_says_where_to_resume(start, number, code):
    tail = start("tail", "-f", "-o", "json")
    assert [json.loads(tail.stdout.readline())["seq"] for _ in range(4)] == [1, 2, 3, 4]
    tail.send_signal(number)
    out, err = tail.communicate(timeout=20)
    assert (tail.returncode, out) == (code, "")
    assert err.splitlines() == ["resume with --after '#4'"]


@pytest.fixture
def nobody() -> Iterator[int]:
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("state", 0),
        ("state -o json", 0),
        ("events", 0),
        ("tail", 0),
        ("sessions -o csv", 0),
        ("verify", 0),
        ("--help", 0),
        ("state --at x", 2),
        ("nonsense", 2),
        ("orders --session x", 3),
    ],
)
@pytest.mark.parametrize("also_stderr", [False, True], ids=["stdout", "both"])
def test_nobody_has_to_read_what_a_command_says(environment, nobody, typed, code, also_stderr):
    run = subprocess.run(
        [*PLEDGER, *typed.split()],
        stdout=nobody,
        stderr=nobody if also_stderr else subprocess.PIPE,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert run.returncode == code, run.stderr
    assert "Traceback" not in (run.stderr or "")


def test_a_run_goes_on_to_its_end_when_nobody_reads_its_progress(environment, nobody, tmp_path):
    """A session must not end because the pager of its progress was closed."""
    prices = tmp_path / "prices.csv"
    rows = [f"2020-01-{day:02},AAA,{10 + day % 3}" for day in range(1, 29)]
    prices.write_text("\n".join(["date,symbol,close", *rows]) + "\n")
    environment["PLEDGER_PORTFOLIO"] += "-run"
    typed = ["run", "--feed", str(prices), "--session", "quiet", "-o", "json"]
    run = subprocess.run(
        [*PLEDGER, *typed],
        stdout=subprocess.PIPE,
        stderr=nobody,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0
    assert json.loads(run.stdout)["is_complete"] is True


def test_two_processes_share_a_store(start):
    tail = start("tail", "-f", "--after", "4", "--count", "1", "--timeout", "30s", "-o", "json")
    append = start("append", "-o", "json", "-", stdin=subprocess.PIPE)
    out, err = append.communicate(DEPOSIT, timeout=20)
    assert append.returncode == 0, err
    seen, _ = tail.communicate(timeout=30)
    assert tail.returncode == 0
    assert json.loads(seen) == json.loads(out)


def test_the_embedded_store_keeps_what_was_appended_between_processes(environment, tmp_path):
    store = f"embedded:{tmp_path / 'a store'}"
    command = [*PLEDGER, "--store", store]
    for at, arguments in enumerate((["append", "-"], ["state", "-o", "json"])):
        run = subprocess.run(
            [*command, *arguments],
            input='{"type":"SessionStarted","data":{"session":"s","mode":"paper",'
            '"base_currency":"USD","clock":"recorded"}}\n'
            if at == 0
            else "",
            capture_output=True,
            text=True,
            env=environment,
            timeout=30,
            check=False,
        )
        assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout)["session"] == "s"


def test_the_server_in_the_foreground_serves_until_it_is_interrupted(start, tmp_path):
    server = start("server", "--store", f"embedded:{tmp_path}", "-o", "json")
    url = json.loads(server.stdout.readline())["url"]
    with Ledger.sync.connect(url) as ledger:
        assert ledger.head().seq == 0
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 130


def test_doctor_and_append_warn_of_a_server_that_keeps_nothing(served, portfolio, start):
    store = served("redis")
    (before,) = store.client.config_get("appendonly").values()
    store.client.config_set("appendonly", "no")
    try:
        there = ("--store", store.url, "--portfolio", portfolio)
        doctor = start("doctor", "-o", "json", *there)
        append = start("append", *there, "-", stdin=subprocess.PIPE)
        _, warned = append.communicate(DEPOSIT, timeout=20)
        told, _ = doctor.communicate(timeout=20)
    finally:
        store.client.config_set("appendonly", before)
    levels = {found["check"]: found["level"] for found in json.loads(told)["findings"]}
    assert doctor.returncode == 5
    assert levels["persistence"] == "bad"
    assert "warning: appendonly is no" in warned
    assert append.returncode == 0, warned


def test_help_is_quick_and_lists_without_importing(environment):
    script = (
        "import sys\n"
        "sys.argv = ['pledger', '--help']\n"
        "from ledger.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*(n for n in sys.modules if n in ('pydantic', 'rich', 'replay')))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert run.stdout.splitlines()[-1] == ""
    assert "sessions" in run.stdout


@pytest.mark.parametrize(
    ("part", "has", "lacks"), [("replay", "state", "append"), ("runner", "", "state")]
)
def test_a_package_offers_its_part_of_the_command(environment, part, has, lacks):
    run = subprocess.run(
        [sys.executable, "-m", part, "--help"],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    listed = run.stdout.partition("Commands:")[2].partition("Examples:")[0].split()
    assert not has or has in listed
    assert lacks not in listed
