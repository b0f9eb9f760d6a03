"""What a wrong use is told, and what a right one shows, word for word.

``PLEDGER_TEST_GOLDEN=write`` writes the files anew; read the difference before keeping it.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "cli"
IS_WRITING = os.environ.get("PLEDGER_TEST_GOLDEN") == "write"

MARK = '{"type":"PriceMarked","symbol":"AAPL","data":{"price":"190"}}\n'

# Per command: the arguments, and stdin where it matters.
WRONG = {
    "pledger": [("stat",), ("--colour always state",), ("-o yaml state",)],
    "doctor": [
        ("doctor --store redis://localhost:1 --patience 0.1",),
        ("doctor now",),
        ("doctor -o raw",),
    ],
    "server": [
        ("server --store memory:",),
        ("server --store embedded:/dev/null/here",),
        ("server --port 6379",),
    ],
    "append": [
        ("append -", MARK + '{"type":"PriceMarked","symbol":"AAPL","data":{"price":"NaN"}}\n'),
        ("append -", MARK + "price 190\n"),
        ("append -", ""),
        ("append --expect 3 -", MARK),
        (
            "append -o json -",
            '{"type":"OrderCancelled","symbol":"AAPL","data":{"order_id":"o-9"}}\n',
        ),
        ("append --expect x -", MARK),
        ("append",),
    ],
    "events": [
        ("events '#5'",),
        ("events '#5..#2'",),
        ("events --type OrderFiled",),
        ("events --symbol NVDA -o json",),
        ("events -n 0",),
    ],
    "sessions": [
        ("sessions spring",),
        ("sessions --portfolio 'two words'",),
        ("sessions --store postgres://localhost",),
    ],
    "state": [
        ("state --at yesterday",),
        ("state --at '#99'",),
        ("state --session autumn -o json",),
        ("state --symbol NVDA",),
        ("state --tz Mars",),
    ],
    "tail": [
        ("tail -f --until now",),
        ("tail --timeout soon",),
        ("tail --since -15m --after 3",),
        ("tail --after '#x'",),
        ("tail -o table",),
    ],
    "groups": [
        ("groups mend risk",),
        ("groups parked rsik",),
        ("groups retry risk",),
        ("tail --consumer c",),
        ("tail --group risk --since start",),
    ],
    "snapshot": [
        ("snapshot --portfolio nobody",),
        ("snapshot now",),
        ("snapshot --output xml",),
    ],
    "demo": [("demo 5",), ("demo --store postgres://localhost",), ("demo --speed max",)],
    "run": [
        ("run --feed missing.csv",),
        ("run --speed 3x",),
        ("run --symbols NVDA",),
        ("run --feed ws --symbols AAA",),
        ("run --feed ws --url ws://localhost",),
        ("run --feed ws --url http://localhost --symbols AAA",),
        ("run --feed ws://localhost --url ws://localhost --symbols AAA",),
        ("run --feed ws://localhost --dialect kraken --symbols AAA",),
        ("run --feed ws://localhost --dialect binance --symbols ETHBTC",),
        ("run --feed ws://localhost --dialect upbit --symbols KRW-btc",),
        ("run --feed ws://localhost --speed max --symbols AAA",),
        ("run --feed ws://localhost --for soon --symbols AAA",),
        ("run --dialect upbit",),
        ("run --for 10s",),
        ("run --account missing/account.db",),
    ],
    "diff": [("diff",), ("diff '#1' yesterday",), ("diff '#1' '#99'",)],
    "explain": [("explain",), ("explain equty",), ("explain equity --at yesterday",)],
    "find": [("find",), ("find 'equity <'",), ("find 'equty < 5'",)],
    "pnl": [("pnl --by colour",), ("pnl --every often",), ("pnl --session autumn",)],
    "trades": [("trades '#5'",), ("trades --symbol NVDA",), ("trades all",)],
    "orders": [("orders --status lost",), ("orders --session autumn",), ("orders yesterday..",)],
    "what-if": [("what-if",), ("what-if --drop '#99'",), ("what-if --rule luck=good",)],
    "export": [("export",), ("export -O events.doc",), ("export -O missing/events.csv",)],
    "import": [("import",), ("import missing.ndjson",), ("import --portfolio new missing.ndjson",)],
    "play": [("play",), ("play --at yesterday",), ("play --speed fast",)],
    "report": [
        ("report",),
        ("report -O missing/spring.html",),
        ("report -O spring.html --session autumn",),
    ],
    "verify": [("verify --ful",), ("verify everything",), ("verify --patience never",)],
}

RIGHT = {
    "state-table": "state",
    "state-at-table": "state --at '#5' --symbol AAPL",
    "state-json": "state -o json",
    "state-csv": "state -o csv --symbol MSFT",
    "events-table": "events --symbol AAPL -r",
    "events-json": "events '#3..#5' -o json",
    "events-csv": "events --type OrderPlaced -o csv",
    "sessions-table": "sessions",
    "tail-short": "tail -n 2",
    "tail-raw": "tail AAPL --count 2 -o raw",
    "verify-table": "verify",
}


def compare(name: str, text: str) -> None:
    """Compare with the golden file of that name."""
    file = GOLDEN / f"{name}.txt"
    if IS_WRITING:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    assert text == file.read_text("utf-8"), f"{file.name} differs; see the docstring of this file"


def masked(text: str) -> str:
    """Cover what differs from run to run: when the store recorded, and the ids it made up."""
    text = re.sub(r"(recorded |recorded_(?:at|from|to)\W+)\d{4}-[-0-9T:.]+Z", r"\1<time>", text)
    text = text.replace(str(ROOT), "<root>")
    text = re.sub(r"\b[0-9a-f]{32}\b", "<id>", text)
    text = re.sub(r"(?m)^(\d+,\d+),\d{4}-[-0-9T:.]+Z", r"\1,<time>", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


@pytest.mark.parametrize("command", WRONG)
def test_wrong_uses_say_what_is_wrong_and_what_helps(spring, command):
    shown = []
    for use, *stdin in WRONG[command]:
        result = spring(*shlex.split(use), stdin="".join(stdin))
        assert result.stdout == "", "stdout carries data only"
        assert "Traceback" not in result.stderr
        told = "".join(f"< {line}\n" for line in "".join(stdin).splitlines())
        shown.append(f"$ pledger {use}\n{told}{result.stderr}exit {result.exit_code}\n")
    compare(f"wrong-{command}", masked("\n".join(shown)))


@pytest.mark.parametrize("name", RIGHT)
def test_right_uses_show_what_they_should(spring, name):
    result = spring(*shlex.split(RIGHT[name]))
    assert result.exit_code == 0, result.stderr
    shown = f"$ pledger {RIGHT[name]}\n{result.stdout}--- stderr\n{result.stderr}"
    compare(f"right-{name}", masked(shown))


def test_every_command_has_three_wrong_uses():
    from ledger.cli.commands import COMMANDS

    assert COMMANDS.keys() <= WRONG.keys(), "add three wrong uses of a new command, and its file"
    assert all(len(uses) >= 3 for uses in WRONG.values())
