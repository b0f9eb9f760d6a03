"""The example of the documentation has each effect exactly once, whenever it is killed."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from servers import RedisProcess, until

from ledger import FileCheckpoint, Ledger, OrderFilled, OrderPlaced, SessionStarted

DOCUMENT = Path(__file__).parents[2] / "docs" / "consumers.md"
START = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")


def example() -> str:
    """The block of code under "Exactly once"."""
    section = DOCUMENT.read_text("utf-8").partition("## Exactly once")[2]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def run_example(store: str, *, follow: bool) -> None:
    names = {"Ledger": Ledger, "FileCheckpoint": FileCheckpoint, "sqlite3": sqlite3}
    exec(example(), {**names, "store": store, "follow": follow})


def fills(number: int, symbol: str) -> list:
    order = f"o-{number}"
    return [
        OrderPlaced(symbol=symbol, order_id=order, side="buy", quantity=1, price=10),
        OrderFilled(symbol=symbol, order_id=order, trade_id="t", quantity=1, price=10),
    ]


def entered() -> int:
    """How many fills the book has, by now."""
    with closing(sqlite3.connect("book.db", timeout=30)) as book:
        try:
            (count,) = book.execute("SELECT sum(fills) FROM volume").fetchone()
        except sqlite3.OperationalError:  # it does not exist yet
            return 0
    return count or 0


@pytest.mark.skipif(RedisProcess.binary is None, reason="redis-server is not installed")
def test_the_documented_example_enters_each_fill_once_through_kills(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with RedisProcess(tmp_path) as server, Ledger.sync.connect(server.url) as ledger:
        ledger.append(START)
        numbers = iter(range(10_000))
        for _ in range(4):
            before = entered()
            child = os.fork()
            if not child:
                run_example(server.url, follow=True)
                os._exit(1)
            for _ in range(20):
                ledger.append(fills(next(numbers), "A"))
                ledger.append(fills(next(numbers), "B"))
            until(lambda before=before: entered() > before + 5)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        run_example(server.url, follow=False)
        run_example(server.url, follow=False)
    with closing(sqlite3.connect("book.db")) as book:
        assert book.execute("SELECT * FROM volume ORDER BY symbol").fetchall() == [
            ("A", 80),
            ("B", 80),
        ]
