"""What the commands do on a store, in this process."""

from __future__ import annotations

import csv
import io
import json
import os
import shlex
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from ledger import OrderCancelled, PriceMarked
from ledger.cli.commands import COMMANDS, variable_of
from ledger.cli.figures import aligned, grouped
from ledger.cli.group import PledgerCommand, PledgerGroup
from ledger.commit import Draft

MARK = '{"type":"PriceMarked","symbol":"AAPL","data":{"price":190}}\n'
STATE_KEYS = {
    "seq",
    "digest",
    "base_currency",
    "balances",
    "total_balance",
    "available_balance",
    "equity",
    "realized_pnl",
    "unrealized_pnl",
    "fees",
    "per_symbol_positions",
    "per_symbol_orders",
}
DOCS = Path(__file__).parents[2] / "docs"


def state_of(pledger, *arguments):
    result = pledger("state", "-o", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_state_has_the_keys_that_scripts_depend_on(spring):
    state = state_of(spring)
    assert state.keys() >= STATE_KEYS
    assert state["equity"] == "996774.875"
    assert state["per_symbol_positions"]["AAPL"]["p-1"]["quantity"] == "1500"


def test_all_three_forms_show_the_same_digits(spring):
    state = state_of(spring)
    rows = dict(csv.reader(io.StringIO(spring("state", "-o", "csv").stdout)))
    table = spring("state").stdout.replace(",", "")
    for name in ("equity", "total_balance", "available_balance", "unrealized_pnl", "fees"):
        assert rows[name] == state[name]
        assert state[name] in table
    assert state["digest"] in table


def test_every_answer_names_its_moment(spring, opened):
    with opened() as ledger:
        digest = ledger.state().digest
    for command in ("state", "events", "sessions", "snapshot", "verify"):
        result = spring(command)
        assert f"digest {digest}" in result.stdout + result.stderr, command


@pytest.mark.parametrize(
    ("moment", "seq"),
    [("#4", 4), ("10:00:01", 5), ("10:00", 3), ("-30m", 6), ("+1h", 3), ("50%", 3), ("start", 1)],
)
def test_a_state_is_as_of_a_moment_inclusive(spring, moment, seq):
    assert state_of(spring, "--at", moment)["seq"] == seq


def test_times_without_a_zone_are_read_in_the_one_that_was_asked_for(spring):
    assert state_of(spring, "--at", "11:00:01", "--tz", "Europe/Berlin")["seq"] == 5


@pytest.mark.parametrize(
    ("moments", "seqs"),
    [
        ("-31m..", [6, 7]),
        ("-31m..-1s", [6]),
        ("..10:00", [1, 2]),
        ("#2..#4", [2, 3]),
        ("start..end", [1, 2, 3, 4, 5, 6, 7]),
        ("#8..", []),
    ],
)
def test_a_range_is_half_open_and_may_begin_with_a_dash(spring, moments, seqs):
    result = spring("events", moments, "-o", "json")
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == seqs
    assert f"{len(seqs)} of 7 events" in result.stderr


@pytest.mark.parametrize(
    ("flags", "seqs", "told"),
    [
        ("--type orderplaced", [3, 7], "2 of 7 events"),
        ("--type OrderPlaced -n 1", [7], "1 of 7 events (2 match, -n 1)"),
        ("--exclude-type OrderPlaced --symbol AAPL -r", [6, 5, 4], "3 of 7 events"),
        ("-n 2", [6, 7], "2 of 7 events (7 match, -n 2)"),
        ("-n 2 -r", [7, 6], "2 of 7 events (7 match, -n 2)"),
        ("#99..", [], "0 of 7 events"),
        ("#99..#120 -r", [], "0 of 7 events"),
    ],
)
def test_events_says_how_many_of_how_many(spring, flags, seqs, told):
    result = spring("events", "-o", "json", *flags.split())
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == seqs
    assert told in result.stderr.splitlines()


def test_append_prints_what_was_assigned(spring):
    result = spring("append", "-o", "json", "--expect", "#7", "-", stdin=MARK * 2)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["seq"], line["revision"]) for line in lines] == [(8, 5), (9, 6)]
    assert len({line["commit"] for line in lines}) == 1
    assert lines[0]["data"] == {"price": "190"}


def test_a_bad_line_appends_nothing(spring):
    assert spring("append", "-", stdin=f"{MARK}{{}}\n").exit_code == 2
    assert state_of(spring)["seq"] == 7


def test_a_commit_sent_again_is_appended_once(spring):
    first = spring("append", "--commit", "mine", "-", stdin=MARK)
    again = spring("append", "--commit", "mine", "-", stdin=MARK)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert first.stdout == again.stdout
    assert "had been appended before as #8" in again.stderr
    other = spring("append", "--commit", "mine", "-", stdin=MARK.replace("190", "191"))
    assert other.exit_code == 7


def test_what_the_store_gave_can_be_sent_back_as_json(spring):
    line = json.loads(spring("events", "#6..#7", "-o", "json").stdout)
    sent = {name: line[name] for name in ("type", "symbol", "occurred_at", "data")}
    assert spring("append", "-", stdin=json.dumps(sent)).exit_code == 0


def test_a_missing_rate_leaves_totals_open_and_says_why(spring):
    euros = '{"type":"CashDeposited","data":{"currency":"EUR","amount":"5"}}\n'
    spring("append", "-", stdin=euros)
    result = spring("state", "-o", "json")
    state = json.loads(result.stdout)
    assert result.exit_code == 0
    assert state["equity"] is None
    assert "EUR to USD" in state["unknown"]["equity"]
    assert "EUR to USD" in result.stderr
    assert state["balances"]["EUR"]["cash"] == "5"
    assert "—" in spring("state").stdout
    assert spring("sessions").exit_code == 0


def put_in_unchecked(ledger, event) -> None:
    """Append an event that the rules would refuse, as a faulty writer might."""
    draft = Draft(
        [event],
        commit_id="unchecked",
        bucket=ledger.keys.bucket("c:unchecked"),
        field="c:unchecked",
        expected=None,
        now=datetime(2026, 3, 2, 12, tzinfo=UTC),
        is_chosen=True,
    )
    command = draft.command(
        ledger.keys, writer="", epoch=None, revisions={}, before={}, control=None
    )
    connection = ledger.store.connection()
    try:
        assert connection.exchange([command])[0][0] == b"ok"
    finally:
        connection.close()


def test_a_quarantined_symbol_is_reported_and_the_others_go_on(spring, opened):
    with opened() as ledger:
        put_in_unchecked(ledger, OrderCancelled(symbol="MSFT", order_id="never-placed"))
        ledger.append(PriceMarked(symbol="AAPL", price=200))
    result = spring("state", "-o", "json")
    assert result.exit_code == 4
    assert "MSFT since #8" in result.stderr
    state = json.loads(result.stdout)
    assert state["equity"] is None
    assert state["symbols"]["AAPL"]["mark"] == "200"
    assert "MSFT" in state["quarantined"]
    assert spring("verify").exit_code == 4


def test_verify_names_the_first_wrong_event(spring, opened):
    with opened() as ledger:
        connection = ledger.store.connection()
        connection.exchange([("DEL", ledger.keys.stream("MSFT"))])
        connection.close()
    result = spring("verify", "-o", "json")
    assert result.exit_code == 4
    assert json.loads(result.stdout)["first_wrong_seq"] == 7
    assert "#7" in result.stderr
    assert json.loads(result.stderr.splitlines()[-1])["error"]["code"] == "damaged"
    state = spring("state")
    assert (state.exit_code, state.stdout) == (4, "")


def test_tail_keeps_its_place_in_a_file(spring):
    first = spring("tail", "--cursor-file", "place", "--count", "3", "-o", "json")
    rest = spring("tail", "--cursor-file", "place", "--after", "1", "-o", "json")
    seqs = [json.loads(line)["seq"] for line in (first.stdout + rest.stdout).splitlines()]
    assert seqs == [1, 2, 3, 4, 5, 6, 7]
    assert spring("tail", "--cursor-file", "place").stdout == ""
    assert spring("tail", "--cursor-file", "place", "--portfolio", "other").exit_code == 2


@pytest.mark.parametrize(
    ("flags", "seqs"),
    [
        ("--after #5", [6, 7]),
        ("--since -31m", [6, 7]),
        ("--until 10:00", [1, 2]),
        ("AAPL -n 1", [6]),
        ("MSFT", [7]),
        ("--type OrderPlaced -n 1", [7]),
        ("--type OrderPlaced --count 1", [3]),
        ("-n 0", []),
    ],
)
def test_tail_begins_and_ends_where_it_is_told(spring, flags, seqs):
    result = spring("tail", "-o", "json", *flags.split())
    assert [json.loads(line)["seq"] for line in result.stdout.splitlines()] == seqs
    assert result.exit_code == 0


def test_a_followed_tail_that_times_out_ends_with_124(spring):
    result = spring("tail", "-f", "-n", "1", "--timeout", "50ms", "-o", "json")
    assert result.exit_code == 124
    assert json.loads(result.stdout)["seq"] == 7
    assert "resume with --after '#7'" in result.stderr


def test_global_flags_work_before_and_after_the_command(spring):
    before, after = spring("-o", "json", "state"), spring("state", "-o", "json")
    assert before.stdout == after.stdout
    assert spring("-o", "csv", "state", "-o", "json").stdout == after.stdout
    assert spring("-q", "events").stderr == ""
    for where in (["--version"], ["state", "--version"]):
        assert spring(*where).stdout.startswith("pledger ")


def test_a_flag_goes_before_a_variable_before_the_file_before_the_default(pledger, monkeypatch):
    store = os.environ["PLEDGER_STORE"]

    def portfolio(*flags: str) -> str:
        return json.loads(pledger("state", "-o", "json", *flags).stdout)["portfolio"]

    assert portfolio() == "main"
    Path("pledger.toml").write_text(f'portfolio = "in-file"\nstore = "{store}"\n')
    monkeypatch.delenv("PLEDGER_STORE")
    assert portfolio() == "in-file"
    monkeypatch.setenv("PLEDGER_PORTFOLIO", "in-variable")
    assert portfolio() == "in-variable"
    assert portfolio("--portfolio", "in-flag") == "in-flag"


@pytest.mark.parametrize("text", ['stor = "x"', "color = 3", "["])
def test_a_file_that_is_not_valid_is_named(pledger, text):
    Path("pledger.toml").write_text(text)
    result = pledger("state")
    assert result.exit_code == 2
    assert "pledger.toml" in result.stderr


def test_colour_is_for_those_who_ask(spring, monkeypatch):
    assert "\x1b[" not in spring("state").stdout
    coloured = spring("state", "--color", "always").stdout
    assert "\x1b[31m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in spring("state", "--color", "auto").stdout


def test_a_traceback_is_for_those_who_ask(spring):
    assert "Traceback" not in spring("state", "--at", "x", "-v").stderr
    assert "Traceback" in spring("state", "--session", "x", "-vv").stderr


def test_what_a_fake_store_cannot_tell_is_unknown_and_no_error(spring):
    result = spring("doctor", "-o", "json")
    found = {f["check"]: f["level"] for f in json.loads(result.stdout)["findings"]}
    assert result.exit_code == 0
    assert (found["persistence"], found["trimming"]) == ("unknown", "ok")


def test_doctor_sees_streams_that_were_trimmed_or_expire(spring, opened):
    with opened() as ledger:
        connection = ledger.store.connection()
        connection.exchange([("PEXPIRE", ledger.keys.meta, 10_000_000)])
        assert "expire" in spring("doctor").stdout
        connection.exchange([("XTRIM", ledger.keys.stream("AAPL"), "MAXLEN", 1)])
        connection.close()
    result = spring("doctor")
    assert result.exit_code == 5
    assert "beginning is missing in the stream of AAPL" in result.stdout


def test_amounts_are_grouped_and_aligned_without_losing_a_digit():
    from decimal import Decimal

    texts = [
        grouped(Decimal(text)) for text in ("1234567.50", "-0.25", "1E+3", "0.000000000000001")
    ]
    assert texts == ["1,234,567.5", "-0.25", "1,000", "0.000000000000001"]
    points = {len(text) - text.find(".") for text in aligned(texts) if "." in text}
    assert len(points) == 1
    assert grouped(Decimal(10) / 3) == "3.33333333…"


def commands():
    group = PledgerGroup()
    context = click.Context(group, info_name="pledger", obj={})
    return [(name, group.get_command(context, name)) for name in COMMANDS]


@pytest.mark.parametrize(("name", "command"), commands(), ids=list(COMMANDS))
def test_the_examples_of_the_help_can_be_pasted(name, command, monkeypatch):
    assert isinstance(command, PledgerCommand)
    Path("events.ndjson").touch()
    for example in command.examples:
        typed = shlex.split(example)
        words = typed[typed.index("pledger") :]
        words = words[: next((at for at, w in enumerate(words) if w in ("|", "<", ">")), None)]
        found = next(word for word in words[1:] if word in COMMANDS)
        if found == name:
            arguments = words[words.index(name) + 1 :]
            with command.make_context(name, arguments, obj={}):
                pass


def test_every_flag_and_variable_is_documented():
    text = "".join(file.read_text("utf-8") for file in DOCS.glob("*.md"))
    for name, command in commands():
        assert f"pledger {name}" in text
        for parameter in command.params:
            for flag in parameter.opts if isinstance(parameter, click.Option) else []:
                assert f"`{flag}" in text, f"{flag} of {name}"
    for name in ("store", "portfolio", "output", "quiet", "verbose", "color", "tz", "patience"):
        assert variable_of(name) in text
