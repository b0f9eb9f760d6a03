"""``pledger groups`` and ``pledger tail --group``."""

from __future__ import annotations

import json

import pytest


def numbers(output: str) -> list[int]:
    return [json.loads(line)["seq"] for line in output.splitlines()]


@pytest.fixture
def parked(spring, opened):
    """A group in which #3 is parked."""
    with opened() as ledger, ledger.group("risk", attempts=1, follow=False) as group:
        for delivery in group:
            if delivery.recorded.seq == 3:
                delivery.fail("the handler is broken")
            else:
                delivery.ack()
    return spring


def test_a_group_keeps_its_place_between_runs(spring):
    first = spring("tail", "--group", "risk", "--count", "3", "-o", "json")
    assert (first.exit_code, numbers(first.stdout)) == (0, [1, 2, 3])
    assert "resume with --group risk" in first.stderr
    rest = spring("tail", "--group", "risk", "--consumer", "c1", "-o", "json")
    assert numbers(rest.stdout) == [4, 5, 6, 7]
    assert spring("tail", "--group", "risk", "-o", "json").stdout == ""


def test_a_group_of_some_symbols_writes_only_the_types_that_are_meant(spring):
    result = spring("tail", "AAPL", "--group", "g", "--type", "OrderFilled", "-o", "json")
    assert numbers(result.stdout) == [4]
    listed = json.loads(spring("groups", "-o", "json").stdout)["groups"]
    assert [(each["group"], each["symbols"], each["lag_events"]) for each in listed] == [
        ("g", ["AAPL"], 0)
    ]


@pytest.mark.parametrize("option", ["--since=start", "--until=end", "-n 3", "--cursor-file=f"])
def test_a_group_takes_no_other_place_to_begin(spring, option):
    result = spring("tail", "--group", "risk", *option.split(" "))
    assert result.exit_code == 2
    assert option.split("=")[0].split(" ")[0] in result.stderr


def test_a_consumer_needs_a_group(spring):
    assert spring("tail", "--consumer", "c").exit_code == 2


def test_parked_events_are_listed_with_their_errors(parked):
    listed = json.loads(parked("groups", "parked", "risk", "-o", "json").stdout)
    [event] = listed["parked"]
    assert (event["seq"], event["symbol"], event["error"]) == (3, "AAPL", "the handler is broken")
    assert event["is_waited_for"] is True
    assert "its symbol waits" in parked("groups", "parked", "risk").stdout
    assert parked("groups", "parked", "risk", "-o", "csv").stdout.splitlines()[1].startswith("3,")
    assert "AAPL" in parked("groups").stdout
    assert parked("groups", "-o", "csv").stdout.splitlines()[1].startswith("risk,")


@pytest.mark.parametrize(("action", "expected"), [("retry", [3, 4, 5, 6]), ("drop", [4, 5, 6])])
@pytest.mark.parametrize("which", ["#3", "--all"])
def test_a_decision_lets_the_symbol_go_on(parked, action, expected, which):
    assert numbers(parked("tail", "--group", "risk", "-o", "json").stdout) == []
    assert parked("groups", action, "risk", which).exit_code == 0
    assert numbers(parked("tail", "--group", "risk", "-o", "json").stdout) == expected


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("parked", "rsik"), 3),
        (("retry", "risk", "#4"), 3),
        (("retry", "risk"), 2),
        (("drop", "risk", "#3", "--all"), 2),
        (("parked",), 2),
        (("mend", "risk"), 2),
    ],
)
def test_wrong_uses_end_with_their_code_and_change_nothing(parked, arguments, code):
    assert parked("groups", *arguments).exit_code == code
    assert len(json.loads(parked("groups", "parked", "risk", "-o", "json").stdout)["parked"]) == 1
