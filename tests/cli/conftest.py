"""``pledger`` in this process, on a fake store that belongs to one test."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from ledger import Ledger, SyncLedger
from ledger.cli.group import PledgerGroup

SPRING = """\
{"type":"SessionStarted","occurred_at":"2026-03-02T09:00:00Z","data":{"session":"spring","mode":"paper","base_currency":"USD","clock":"occurred"}}
{"type":"CashDeposited","occurred_at":"2026-03-02T09:00:00Z","data":{"currency":"USD","amount":"1000000"}}
{"type":"OrderPlaced","symbol":"AAPL","occurred_at":"2026-03-02T10:00:00Z","data":{"order_id":"o-1","side":"buy","quantity":"1500","price":187.40}}
{"type":"OrderFilled","symbol":"AAPL","occurred_at":"2026-03-02T10:00:01Z","data":{"order_id":"o-1","trade_id":"t-1","quantity":"1500","price":"187.4","fee":"0.125"}}
{"type":"PositionOpened","symbol":"AAPL","occurred_at":"2026-03-02T10:00:01Z","data":{"position_id":"p-1","side":"buy","quantity":"1500","entry_price":"187.4","order_id":"o-1"}}
"""
LATER = """\
{"type":"PriceMarked","symbol":"AAPL","occurred_at":"2026-03-02T11:00:00Z","data":{"price":"185.25"}}
{"type":"OrderPlaced","symbol":"MSFT","occurred_at":"2026-03-02T11:30:00Z","data":{"order_id":"o-2","side":"sell","quantity":"3","price":412.005}}
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch) -> None:
    """No variable or file of the user who runs the tests counts."""
    for name in [name for name in os.environ if name.startswith("PLEDGER_") or name == "NO_COLOR"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def pledger(monkeypatch) -> Callable[..., Result]:
    """Run the command with these arguments on an empty store of this test's own."""
    monkeypatch.setenv("PLEDGER_STORE", f"memory:{uuid.uuid4().hex}")

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(PledgerGroup(), arguments, input=stdin, prog_name="pledger")

    return run


@pytest.fixture
def spring(pledger) -> Callable[..., Result]:
    """The same, with a session of two commits and seven events in the store."""
    for lines in (SPRING, LATER):
        assert pledger("append", "-q", "-", stdin=lines).exit_code == 0
    return pledger


@pytest.fixture
def opened(pledger) -> Callable[[], SyncLedger]:
    """Open the ledger that the command works on; close it."""
    return lambda: Ledger.sync.connect(os.environ["PLEDGER_STORE"])
