"""Writers that are killed at any instruction, and their server with them: nothing lost or doubled.

Four processes append to ten symbols of one portfolio at once. Each writes down what it is about to
send, with the commit's id, and syncs that to disk before it sends; what was answered it writes down
as well. Killed and started anew, it sends again what it finds unanswered.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from servers import until

from ledger import Ledger, OrderPlaced, SessionStarted, SyncLedger, embedded
from ledger.evolve import fold

WRITER = """
import json, os, random, sys
from pathlib import Path
from ledger import Event, Ledger, OrderCancelled, OrderPlaced, PriceMarked

store, home, name, seed = sys.argv[1:]
home = Path(home)
SYMBOLS = [f"S{number}" for number in range(10)]


def note(path, entry):
    with path.open("ab") as file:
        file.write(json.dumps(entry).encode() + b"\\n")
        file.flush()
        os.fsync(file.fileno())


def noted(path):
    lines = path.read_bytes().split(b"\\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def events_of(number):
    # The same for the same number, whichever run makes them.
    chance = random.Random(f"{seed} {name} {number}")
    symbols = chance.choices(SYMBOLS, k=chance.choice([1, 1, 2, 5]))
    events = [PriceMarked(symbol=symbol, price=number) for symbol in symbols]
    if chance.random() < 0.5:
        order_id = f"{name}-{number}"
        place = chance.randrange(len(events) + 1)
        events.insert(place, OrderPlaced(
            symbol=symbols[0], order_id=order_id, side="buy", quantity=1, price=5))
        events.append(OrderCancelled(symbol=symbols[0], order_id=order_id))
    return events


sent, answered = home / f"{name}.sent", home / f"{name}.answered"
with Ledger.sync.connect(store, patience=60) as ledger, ledger.writer(name) as writer:
    unanswered = {entry["number"] for entry in noted(sent)}
    unanswered -= {entry["number"] for entry in noted(answered)}
    number = max((entry["number"] for entry in noted(sent)), default=0)
    while not (home / "stop").exists() or unanswered:
        if unanswered:
            current = min(unanswered)
            unanswered.discard(current)
        else:
            number = current = number + 1
            note(sent, {"number": current})
        commit = writer.append(events_of(current), commit_id=f"{name}/{current}")
        note(answered, {"number": current, "first": commit.first_seq, "last": commit.seq})
"""

NAMES = ("one", "two", "three", "four")


class Gang:
    """The four writers over one embedded store."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home = home
        self.seed = seed
        self.store = f"embedded:{home}/store"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start a run of one writer."""
        root = str(Path(embedded.__file__).parents[1])
        command = [sys.executable, "-c", WRITER, self.store, str(self.home), name, str(self.seed)]
        environment = {**os.environ, "PYTHONPATH": root}
        self.processes[name] = subprocess.Popen(command, env=environment)

    def answered(self, name: str) -> list[dict[str, int]]:
        """The answers one writer has written down; its last line may be half."""
        path = self.home / f"{name}.answered"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def goes_on(self, name: str, count: int) -> None:
        """Wait until a writer has that many answers more."""
        wanted = len(self.answered(name)) + count
        process = self.processes[name]
        until(lambda: len(self.answered(name)) >= wanted or process.poll() is not None, 60)
        assert process.poll() is None, f"writer {name} ended with {process.returncode}"

    def kill(self, name: str) -> None:
        """End a writer wherever it is."""
        self.processes[name].kill()
        self.processes[name].wait(20)

    def finish(self) -> None:
        """Let every writer send what is unanswered, and end."""
        (self.home / "stop").touch()
        for name, process in self.processes.items():
            assert process.wait(60) == 0, f"writer {name} ended with {process.returncode}"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    assert embedded.running(tmp_path / "store") is None


def work(gang: Gang, rounds: int, chance: random.Random, *, kills_server: bool) -> None:
    """Kill and start anew, some writer after some answers, until each was killed often."""
    with ExitStack() as stack:
        for name in NAMES:
            gang.start(name)
            stack.callback(lambda name=name: gang.kill(name))
        turns = [name for name in NAMES for _ in range(rounds)]
        chance.shuffle(turns)
        for turn in turns:
            gang.goes_on(turn, chance.randrange(1, 8))
            if kills_server and chance.random() < 0.3:
                pid = embedded.running(gang.home / "store")
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
            gang.kill(turn)
            gang.start(turn)
        for name in NAMES:
            gang.goes_on(name, 3)
        gang.finish()


def check(gang: Gang, ledger: SyncLedger) -> None:
    """Nothing answered is missing, nothing is twice, and the numbers have no gaps."""
    events = list(ledger.tail())
    assert [each.seq for each in events] == list(range(1, len(events) + 1))
    revisions: dict[str, int] = {}
    spans: dict[str, tuple[int, int]] = {}
    last_commit = ""
    for each in events:
        assert each.revision == revisions.get(each.symbol, 0) + 1
        revisions[each.symbol] = each.revision
        is_same = each.commit == last_commit
        assert is_same or each.commit not in spans, f"commit {each.commit} stands twice"
        spans[each.commit] = spans[each.commit][0] if is_same else each.seq, each.seq
        last_commit = each.commit
    assert ledger.head().revisions == revisions
    for name in NAMES:
        answers = gang.answered(name)
        for answer in answers:
            commit = f"{name}/{answer['number']}"
            assert spans[commit] == (answer["first"], answer["last"]), commit
        numbers = {answer["number"] for answer in answers}
        assert numbers == set(range(1, max(numbers) + 1))
    placed = [each.event.order_id for each in events if isinstance(each.event, OrderPlaced)]
    assert len(placed) == len(set(placed))
    assert len(spans) - 1 == sum(len({a["number"] for a in gang.answered(n)}) for n in NAMES)
    assert ledger.state().digest == fold(events).digest()
    assert not any(each.quarantine for each in ledger.accounts().symbols.values())


def run(home: Path, rounds: int, seed: int, *, kills_server: bool) -> None:
    print(f"seed {seed}")
    gang = Gang(home, seed)
    with Ledger.sync.connect(gang.store, patience=60) as ledger:
        ledger.append(
            SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
        )
        work(gang, rounds, random.Random(seed), kills_server=kills_server)
        check(gang, ledger)


def test_writers_killed_and_started_anew_lose_and_double_nothing(home: Path) -> None:
    run(home, 2, random.randrange(1 << 32), kills_server=False)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_writers_and_their_server_killed_for_long_lose_and_double_nothing(home: Path) -> None:
    run(home, 15, random.randrange(1 << 32), kills_server=True)
