"""The main job, as a newcomer types it, and a user's own prices in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ledger import Ledger, PriceMarked

DIGEST = "a3e8736a1a9d835aa3b8eadb043b4043870573f5a838cb732a0e3c7bb3e8d9a8"
"""Of the demo's portfolio, on every machine. A change of it is a change of what events mean."""


def pledger(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder of its own, without the caller's settings."""
    environment = {key: value for key, value in os.environ.items() if key[:8] != "PLEDGER_"}
    return subprocess.run(
        [sys.executable, "-m", "ledger", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_the_demo_ends_with_the_same_digest_everywhere(tmp_path: Path) -> None:
    """Recorded, projected, replayed from nothing and verified: one digest, known beforehand."""
    done = pledger("demo", "-o", "json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["digest"] == answer["replayed_digest"] == DIGEST
    assert answer["verified"] is True
    assert "100 %" in done.stderr or "99 %" in done.stderr

    state = pledger("state", "--portfolio", "demo", "-o", "json", folder=tmp_path)
    assert json.loads(state.stdout)["digest"] == DIGEST

    events = pledger(
        "events", "--portfolio", "demo", "--type", "PositionAdjusted", "-o", "json", folder=tmp_path
    )
    splits = [json.loads(line) for line in events.stdout.splitlines()]
    assert [(line["symbol"], line["data"]["split"]) for line in splits] == [("AAPL", "2/1")]

    kinds = pledger("events", "--portfolio", "demo", "-o", "json", folder=tmp_path).stdout
    for kind in ("PositionOpened", "PositionIncreased", "PositionReduced", "TradeRefused"):
        assert f'"type":"{kind}"' in kinds, f"the demo shows no {kind}"


def test_the_demo_takes_a_portfolio_of_its_own_each_time(tmp_path: Path) -> None:
    """What an earlier demo left stays; the next one is demo-2."""
    from ledger.cli.call import Call
    from ledger.cli.demo import unused_portfolio

    store = f"embedded:{tmp_path}/store"
    call = Call({"store": store}, ("table",))
    assert unused_portfolio(call) == "demo"
    with Ledger.sync.connect(store, portfolio="demo") as ledger:
        ledger.append(PriceMarked(symbol="AAPL", price=1))
    assert unused_portfolio(call) == "demo-2"


PRICES = """date,symbol,close,split
2024-01-01,ACME,100,
2024-01-02,ACME,101,
2024-01-03,ACME,50.5,2/1
2024-01-04,ACME,51,
"""


def test_a_users_own_prices_are_traded_in_its_place(tmp_path: Path) -> None:
    """``pledger run --feed`` reads a CSV of prices and records a session over them."""
    (tmp_path / "mine.csv").write_text(PRICES)
    done = pledger("run", "--feed", "mine.csv", "--session", "mine", "-o", "json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["session"] == "mine"
    assert answer["is_complete"] is True
    listed = pledger("sessions", "-o", "json", folder=tmp_path)
    assert '"mine"' in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--feed", "absent.csv"], 2, "absent.csv"),
        (["--feed", "bad.csv"], 2, "-5"),
        (["--symbols", "NONE"], 3, "NONE"),
        (["--symbols", "AAPL,,FB"], 2, "empty symbol"),
        (["--speed", "7x"], 2, "7x"),
        (["--strategy", "luck"], 2, "luck"),
        (["--metrics", "nowhere:x"], 2, "nowhere:x"),
    ],
)
def test_a_wrong_use_of_run_is_told(
    tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    """Nothing is recorded for a run that cannot begin, and the value at fault is named."""
    (tmp_path / "bad.csv").write_text("date,symbol,close\n2024-01-01,ACME,-5\n")
    done = pledger("run", *arguments, folder=tmp_path)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
