"""The analysts' commands: what they print, as what, and how they end."""

from __future__ import annotations

import json

import pytest


def answer(result) -> dict:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_explain_adds_up_in_json_and_shows_a_table(spring):
    told = answer(spring("explain", "equity", "-o", "json"))
    assert told["value"] == "996774.875"
    amounts = [contribution["amount"] for contribution in told["contributions"]]
    assert amounts == ["1000000", "-0.125", "-3225"]
    table = spring("explain", "equity", "-n", "1")
    assert "equity = 996,774.875" in table.stdout
    assert "2 earlier events" in table.stdout
    assert "-3,225" in table.stdout
    assert "made by 3 events" in table.stderr


def test_explain_of_an_unknown_figure_ends_with_3_and_names_the_near_one(spring):
    result = spring("explain", "positions.AAPL.quantty")
    assert result.exit_code == 3
    assert "positions.AAPL.quantity" in result.stderr


def test_find_lists_turns_and_its_exit_code_tells_whether_any(spring):
    turns = answer(spring("find", "equity < 999000", "start..end", "-o", "json"))["turns"]
    assert [(turn["seq"], turn["became"]) for turn in turns] == [(0, True), (2, False), (6, True)]
    assert spring("find", "equity > 5000000", "--exit-code").exit_code == 1
    assert spring("find", "equity > 5", "--exit-code").exit_code == 0
    assert spring("find", "equity >").exit_code == 2


def test_diff_names_the_events_and_ends_with_1_where_asked(spring):
    told = answer(spring("diff", "#5", "#6", "-o", "json"))
    changes = {change["path"]: change for change in told["changes"]}
    assert changes["equity"] == {
        "path": "equity",
        "before": "999999.875",
        "after": "996774.875",
        "change": "-3225",
        "events": [6],
    }
    assert spring("diff", "start", "spring", "--exit-code").exit_code == 1
    assert spring("diff", "#6", "#6", "--exit-code").exit_code == 0


def test_pnl_trades_and_orders_agree_with_the_state(spring):
    rows = answer(spring("pnl", "-o", "json"))["pnl"]
    assert [(row["key"], row["unrealized_pnl"]) for row in rows] == [
        ("AAPL", "-3225"),
        ("MSFT", "0"),
    ]
    (trade,) = answer(spring("trades", "-o", "json"))["trades"]
    assert (trade["unrealized_pnl"], trade["worst"], trade["fees"]) == ("-3225", "-3225", "0.125")
    orders = answer(spring("orders", "-o", "json"))["orders"]
    assert [order["status"] for order in orders] == ["filled", "pending"]
    assert [step["seq"] for step in orders[0]["steps"]] == [3, 4]


@pytest.mark.parametrize("command", ["pnl", "trades", "orders"])
def test_results_come_as_tables_and_csv_as_well(spring, command):
    assert "AAPL" in spring(command).stdout
    header, *rows = spring(command, "-o", "csv").stdout.splitlines()
    assert all(len(row.split(",")) >= len(header.split(",")) for row in rows)
    assert any("AAPL" in row for row in rows)


def test_what_if_shows_the_difference_and_what_was_left_out_and_writes_nothing(spring):
    before = spring("state", "-o", "json").stdout
    told = answer(spring("what-if", "--drop", "#3,#5", "-o", "json"))
    assert [refusal["seq"] for refusal in told["refused"]] == [4]
    assert {change["path"] for change in told["changes"]} >= {"equity", "fees"}
    free = answer(spring("what-if", "--rule", "fee-rate=0", "-o", "json"))
    assert {"path": "fees", "before": "0.125", "after": "0", "change": "-0.125", "events": []} in (
        free["changes"]
    )
    assert spring("state", "-o", "json").stdout == before


@pytest.mark.parametrize("arguments", [(), ("--drop", "x"), ("--rule", "cost-basis=best")])
def test_what_if_without_a_change_that_makes_sense_ends_with_2(spring, arguments):
    assert spring("what-if", *arguments).exit_code == 2


@pytest.mark.parametrize("command", [("explain", "equity"), ("find", "equity > 1"), ("pnl",)])
def test_an_empty_portfolio_is_said_to_be_empty(pledger, command):
    result = pledger(*command)
    assert result.exit_code == 3
    assert "has no events" in result.stderr
