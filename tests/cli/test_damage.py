"""What the commands say of a store that another program wrote into."""

from __future__ import annotations

import json
import os

import pytest
from servers import memory_store

KEY = "pledger:{main}:events:AAPL"


@pytest.fixture
def overwritten(spring):
    """The session of ``spring``, and a plain value where the stream of AAPL was."""
    name = os.environ["PLEDGER_STORE"].removeprefix("memory:")
    with memory_store(name).client as client:
        client.set(KEY, "another program's")
        yield spring


def test_verify_names_the_key_its_type_and_what_to_do(overwritten):
    result = overwritten("verify", "-o", "json")
    assert result.exit_code == 4
    assert f"key {KEY} holds a string where a stream belongs" in result.stderr
    assert "restore the portfolio from a backup or an export; #1 to #2 are whole" in result.stderr
    problems = json.loads(result.stdout)["problems"]
    assert {problem["kind"] for problem in problems} == {"key", "missing"}


@pytest.mark.parametrize(
    "command", ["state", "events", "tail", "orders", "pnl", "snapshot", "export -O x.ndjson"]
)
def test_other_commands_name_the_key_too(overwritten, command):
    result = overwritten(*command.split())
    assert result.exit_code == 4
    assert f"error: key {KEY} holds a string where a stream belongs" in result.stderr
    assert "  try: pledger verify" in result.stderr


def test_doctor_goes_on_with_its_other_checks(overwritten):
    result = overwritten("doctor", "-o", "json")
    found = {each["check"]: each for each in json.loads(result.stdout)["findings"]}
    assert found["trimming"]["level"] == "unknown"
    assert f"cannot be checked: key {KEY} holds" in found["trimming"]["message"]
    assert found["eviction"]
