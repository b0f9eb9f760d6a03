"""Two screens never disagree: every form shows the digits of the one fold."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import random
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest
from click.testing import CliRunner
from rich.console import Console

import replay
from ledger import plain
from ledger.cli.group import PledgerGroup
from ledger.cli.play_screen import drawn
from replay.play import Player
from replay.report import html_from_history

SHOWN = ("equity", "total_balance", "available_balance", "net_pnl", "unrealized_pnl", "fees")


@pytest.fixture
def pledger(wild, monkeypatch, tmp_path):
    """Run the command on the store of the history."""
    monkeypatch.setenv("PLEDGER_STORE", wild.store)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(PledgerGroup(), arguments, prog_name="pledger")
        assert result.exit_code == 0, result.stderr
        return result.stdout

    return run


def places(wild, count: int) -> list[int]:
    """Moments of the last session, its end among them."""
    history = wild.session.history
    span = range(history.first_seq, history.last_seq + 1)
    return [*random.Random(1).choices(span, k=count), history.last_seq]


def written(value: replay.Figure) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, bool) else str(value)


def in_scripts(told: dict[str, replay.Figure], symbols: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each figure as JSON and CSV name it; they leave out what is held of a symbol."""
    for path, value in told.items():
        symbol = next((name for name in symbols if path.startswith(f"positions.{name}.")), None)
        if symbol is None:
            yield path, written(value)
        elif path not in (f"positions.{symbol}.quantity", f"positions.{symbol}.value"):
            yield path.replace("positions", "symbols", 1), written(value)


def flat(fields: dict, path: str = "") -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from flat(value, f"{path}{name}.")
        elif value is not None:
            yield f"{path}{name}", json.dumps(value) if isinstance(value, bool) else str(value)


def test_json_and_csv_show_the_digits_of_the_state_in_python(wild, pledger):
    for seq in places(wild, 5):
        told = replay.figures(wild.session.at(seq=seq))
        assert told == wild.told[seq]
        symbols = list(wild.session.at(seq=seq).symbols)
        expected = dict(in_scripts(told, symbols))
        answer = json.loads(pledger("state", "--at", f"#{seq}", "-o", "json"))
        rows = dict(csv.reader(io.StringIO(pledger("state", "--at", f"#{seq}", "-o", "csv"))))
        for shown in (dict(flat(answer)), rows):
            for path, text in expected.items():
                if path.endswith(".timestamp"):
                    assert datetime.fromisoformat(shown[path]) == datetime.fromisoformat(text)
                else:
                    assert shown[path] == text, path


def tokens(text: str) -> set[str]:
    return set(text.replace(",", "").replace("+", "").split())


def cut(value: Decimal) -> str:
    """A fraction of more than 18 digits is cut for people, and says so."""
    whole, _, fraction = plain(value).partition(".")
    return f"{whole}.{fraction[:8]}…" if len(fraction) > 18 else plain(value)


def test_the_table_shows_the_digits_of_the_fold(wild, pledger):
    for seq in places(wild, 4):
        text = pledger("state", "--at", f"#{seq}", "-o", "table")
        seen, told = tokens(text), wild.told[seq]
        state = wild.session.at(seq=seq)
        for name in (*SHOWN, "realized_pnl"):
            assert cut(told[name]) in seen if name in told else "—" in seen, name
        for currency, balance in state.balances.items():
            for name in ("cash", "available", "realized_pnl", "fees", "funding", "equity"):
                assert shows(row_of(text, currency), getattr(balance, name)), (currency, name)
        for key, position in state.positions.items():
            for name in ("quantity", "entry_price", "current_price", "value", "unrealized_pnl"):
                assert shows(row_of(text, position.symbol, key), getattr(position, name)), name


def shows(words: set[str], value: Decimal) -> bool:
    """Whether a figure is among the words, in full; or cut and marked so, for want of room."""
    text = cut(value)
    return text in words or any(
        word.endswith("…") and text.startswith(word.removesuffix("…")) for word in words
    )


def row_of(text: str, *beginning: str) -> set[str]:
    """The words of the line that begins with these."""
    lines = [line.split() for line in text.splitlines()]
    return next(tokens(" ".join(line)) for line in lines if line[: len(beginning)] == [*beginning])


def test_the_player_shows_the_digits_of_the_fold(wild):
    class Plain:
        moment = second = str

    player = Player(wild.session.history)
    for seq in sorted(places(wild, 4)):
        player.move(seq - player.seq)
        console = Console(width=400, file=io.StringIO(), color_system=None)
        console.print(drawn(player, Plain, pace="", prompt="", said="", height=60))
        text = console.file.getvalue()
        for name in SHOWN:
            value = wild.told[seq].get(name)
            assert "—" in text if value is None else cut(value) in tokens(text), name
        for position in wild.session.at(seq=seq).positions.values():
            for name in ("quantity", "entry_price", "current_price", "value", "unrealized_pnl"):
                assert cut(getattr(position, name)) in tokens(text), name


def test_the_report_shows_the_digits_of_the_fold_after_every_event(wild):
    page = html_from_history(wild.session.history)
    (packed,) = re.findall(r'<script type="text/plain" id="steps">(.*?)</script>', page)
    steps = json.loads(gzip.decompress(base64.b64decode(packed)))
    shown = dict(steps["start"])
    for seq, changes in zip(steps["seqs"], steps["changes"], strict=True):
        for index, text in zip(changes[::2], changes[1::2], strict=True):
            shown[steps["paths"][index]] = text
        told = wild.told[seq]
        for path, text in shown.items():
            if path == "drawdown" or text is None:
                continue
            kind, *rest = path.split("|")
            root = {"p": "per_symbol_positions", "o": "per_symbol_orders"}.get(kind, kind)
            value = told.get(".".join([root, *rest]))
            assert text == ("market" if value is None else written(value)), (seq, path)
        assert [name for name in SHOWN if shown.get(name) is not None] == [
            name for name in SHOWN if name in told
        ]
        positions = [path for path, text in shown.items() if text and path[:2] == "p|"]
        held = [path for path in told if path.startswith("per_symbol_positions.")]
        assert sum(path.endswith("|quantity") for path in positions) == sum(
            path.endswith(".quantity") for path in held
        )


def amounts_in(value: object) -> Iterator[Decimal]:
    """Every amount within a result, however deep."""
    if isinstance(value, Decimal):
        yield value
    elif isinstance(value, msgspec.Struct):
        yield from amounts_in([getattr(value, name) for name in value.__struct_fields__])
    elif isinstance(value, Mapping):
        yield from amounts_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from amounts_in(item)


def test_an_amount_in_python_has_the_digits_that_the_commands_print(generated):
    """No figure carries the zeros that a sum or a product keeps of its longest part."""
    state = generated.at("60%")
    for found in (
        replay.figures(state),
        [state.balances, state.symbols, dict(state.positions), dict(state.orders)],
        [
            (e.value, e.total, [(c.amount, c.before, c.after) for c in e.contributions])
            for e in explained(generated)
        ],
        generated.diff("40%", "60%").changes,
        generated.equity(points=40),
        generated.pnl(by="symbol"),
        generated.pnl(by="hour"),
        [[trade, trade.net_pnl] for trade in generated.trades()],
        generated.orders(),
        *(replay.figures(live) for recorded, live in generated.steps() if recorded.seq % 9 == 0),
    ):
        shown = list(amounts_in(found))
        assert shown
        assert [f"{value:f}" for value in shown] == [plain(value) for value in shown]


def explained(session):
    return list(session.explain_all(at="60%").values())
