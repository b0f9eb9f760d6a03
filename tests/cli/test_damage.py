"""What the commands say of a store that another program wrote into."""

from __future__ import annotations

import json
import os

import pytest
from servers import memory_store

from ledger.entry import entry_checksum

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


def test_verify_does_not_send_to_itself(overwritten):
    assert "  try: pledger events '#3..'" in overwritten("verify").stderr


@pytest.mark.parametrize("command", ["pnl", "trades", "orders", "explain positions.AAPL.value"])
def test_a_stream_in_quarantine_is_warned_of_beside_every_answer(spring, opened, command):
    with opened() as ledger:
        key = ledger.keys.stream("AAPL")
    name = os.environ["PLEDGER_STORE"].removeprefix("memory:")
    with memory_store(name).client as client:
        entries = client.execute_command("XRANGE", key, "-", "+")
        client.delete(key)
        for entry_id, fields in entries:
            if entry_id.startswith(b"5-"):
                fields[b"e"] = fields[b"e"].replace(
                    b'"trade_id":"t-1","quantity":"1500"', b'"trade_id":"t-1","quantity":"1501"'
                )
                seq, revision = map(int, entry_id.split(b"-"))
                told = [fields.get(part, b"").decode() for part in (b"c", b"w", b"d")]
                crc = entry_checksum("AAPL", *told, fields[b"e"])
                seal = crc + 3 * seq + 5 * revision + 7 * int(fields[b"t"])
                fields[b"h"] = b"%d" % (seal % 4294967291)
            parts = [part for pair in fields.items() for part in pair]
            client.execute_command("XADD", key, entry_id, *parts)
    result = spring(*command.split())
    assert result.exit_code == 0, result.stderr
    assert "warning: AAPL is in quarantine since #4: " in result.stderr
