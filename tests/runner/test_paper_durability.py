"""A paper exchange remembers what it did, whatever happens to the runner or to the connection."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ledger.errors import InvalidInput, NotFound
from runner.exchange import ExchangeUnavailable, OrderRequest, ReportKind
from runner.market import Book
from runner.paper import PaperConfig, PaperExchange, read_account
from runner.paper_faults import FaultyPaperExchange, PaperFaults

START = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
BOOK = Book(venue="paper", symbol="AAPL", bid=Decimal(99), ask=Decimal(101), occurred_at=START)


def open_paper(path=None, **config):
    return closing(PaperExchange(PaperConfig(**config), clock=lambda: START, path=path))


def open_faulty(path=None, **faults):
    settled = PaperFaults(**faults)
    return closing(FaultyPaperExchange(PaperConfig(), settled, clock=lambda: START, path=path))


def order(name="o-1", price=None) -> OrderRequest:
    return OrderRequest(
        client_order_id=name, symbol="AAPL", side="buy", quantity=Decimal(2), price=price
    )


# --- the file -----------------------------------------------------------------------------------


async def test_a_restarted_exchange_has_its_orders_its_reports_and_its_market(tmp_path):
    path = tmp_path / "paper.db"
    with open_paper(path) as exchange:
        exchange.on_book(BOOK)
        placed = await exchange.place(order("done"))
        await exchange.place(order("rests", price=Decimal(98)))
        before = exchange.account()

    with open_paper(path) as exchange:
        assert exchange.account() == before
        assert await exchange.place(order("done")) == placed
        assert await exchange.reports(after=3) == []
        filled = await exchange.place(order("new"))
        assert [report.report_id for report in filled] == [4, 5]
        exchange.on_book(Book(**{**fields(BOOK), "bid": Decimal(96), "ask": Decimal(97)}))
        assert exchange.account().orders["rests"].status == "filled"


def fields(book: Book) -> dict[str, object]:
    return {name: getattr(book, name) for name in book.__struct_fields__}


async def test_the_account_can_be_read_while_the_exchange_has_it_open(tmp_path):
    path = tmp_path / "paper.db"
    with open_paper(path) as exchange:
        exchange.on_book(BOOK)
        await exchange.place(order())
        while_open = read_account(path)
        assert while_open == exchange.account()
        assert while_open.positions == {"AAPL": 2}
        assert while_open.cash == {"USD": Decimal("-202.202")}
    assert read_account(path) == while_open


def test_a_missing_account_and_one_of_another_format_are_told_apart(tmp_path):
    with pytest.raises(NotFound, match="no paper account"):
        read_account(tmp_path / "none.db")
    newer = tmp_path / "newer.db"
    with closing(sqlite3.connect(newer)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(InvalidInput, match="format 99"):
        read_account(newer)
    with pytest.raises(InvalidInput, match="format 99"), open_paper(newer):
        pass


def test_a_file_that_does_not_answer_makes_the_exchange_unavailable(tmp_path):
    with pytest.raises(ExchangeUnavailable, match="did not answer"), open_paper(tmp_path):
        pass


async def test_a_call_that_fails_midway_leaves_nothing_behind():
    moments = iter([START, START])

    def clock() -> datetime:
        try:
            return next(moments)
        except StopIteration:
            raise OSError("the clock is gone") from None

    config = PaperConfig(latency=timedelta(seconds=1))
    with closing(PaperExchange(config, clock=clock)) as exchange:
        exchange.on_book(BOOK)
        with pytest.raises(OSError, match="the clock is gone"):
            await exchange.place(order())
        assert exchange.account().orders == {}
        assert exchange.account().fills == ()


def test_threads_take_turns_and_leave_no_gap(tmp_path):
    with open_paper(tmp_path / "paper.db") as exchange:
        exchange.on_book(BOOK)

        def trade(thread: int) -> None:
            for number in range(10):
                asyncio.run(exchange.place(order(f"{thread}-{number}")))

        threads = [threading.Thread(target=trade, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reports = asyncio.run(exchange.reports())
        assert [report.report_id for report in reports] == list(range(1, 81))
        assert exchange.account().positions == {"AAPL": 80}


VENUE = """
import asyncio, itertools, sys
from datetime import UTC, datetime
from decimal import Decimal
from runner.exchange import OrderRequest
from runner.market import Book
from runner.paper import PaperConfig, PaperExchange

now = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)
config = PaperConfig(partial_fill_chance_percent=50)
exchange = PaperExchange(config, clock=lambda: now, path=sys.argv[1])

async def trade():
    for number in itertools.count():
        ask = Decimal(101 + number % 7)
        exchange.on_book(Book(venue="v", symbol="AAPL", bid=Decimal(99), ask=ask, occurred_at=now))
        name = f"o-{number}"
        request = OrderRequest(client_order_id=name, symbol="AAPL", side="buy", quantity=Decimal(2))
        for report in await exchange.place(request):
            print(report.report_id, name, flush=True)

asyncio.run(trade())
"""


def run_until_killed(path: Path) -> dict[int, str]:
    """Trade in a process of its own until it is killed, and return the answers it gave."""
    with subprocess.Popen(
        [sys.executable, "-c", VENUE, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as venue:
        heard = [venue.stdout.readline() for _ in range(60)]
        venue.kill()
        heard += venue.stdout.readlines()
    assert venue.returncode == -signal.SIGKILL
    answers = [line.split() for line in heard if line.endswith("\n")]
    return {int(number): name for number, name in answers}


async def test_every_answer_given_before_kill_9_is_still_true_after_it(tmp_path):
    path = tmp_path / "paper.db"
    answers = run_until_killed(path)
    found = read_account(path)
    assert found.positions["AAPL"] == sum(known.filled for known in found.orders.values())
    assert {known.status for known in found.orders.values()} == {"filled"}
    with open_paper(path, partial_fill_chance_percent=50) as exchange:
        reports = await exchange.reports()
        assert [report.report_id for report in reports] == list(range(1, len(reports) + 1))
        known = {report.report_id: report.client_order_id for report in reports}
        assert answers.items() <= known.items()
        again = await exchange.place(order(f"o-{len(found.orders) - 1}"))
        assert again == await exchange.query(f"o-{len(found.orders) - 1}")
        assert exchange.account() == found


# --- the connection -----------------------------------------------------------------------------


async def test_a_lost_request_never_arrived_and_placing_again_places_it():
    with open_faulty(lost_request_percent=100) as exchange:
        exchange.on_book(BOOK)
        with pytest.raises(ExchangeUnavailable, match="place:o-1"):
            await exchange.place(order())
        assert exchange.account().orders == {}
        assert len(await exchange.place(order())) == 2


async def test_a_lost_reply_leaves_an_order_that_placing_again_does_not_double():
    with open_faulty(lost_reply_percent=100) as exchange:
        exchange.on_book(BOOK)
        with pytest.raises(ExchangeUnavailable):
            await exchange.place(order())
        assert exchange.account().positions == {"AAPL": 2}
        assert len(await exchange.place(order())) == 2
        assert exchange.account().positions == {"AAPL": 2}


async def test_a_cancellation_whose_reply_is_lost_has_happened():
    with open_faulty(lost_reply_percent=100, faults_per_call=2) as exchange:
        exchange.on_book(BOOK)
        for ask in (
            lambda: exchange.place(order(price=Decimal(98))),
            lambda: exchange.cancel("o-1"),
            lambda: exchange.query("o-1"),
            exchange.reports,
        ):
            for _ in range(2):
                with pytest.raises(ExchangeUnavailable):
                    await ask()
            assert next(report.kind for report in await ask()) is ReportKind.ACCEPTED
        assert exchange.account().orders["o-1"].status == "cancelled"


async def faults_of(seed: int) -> list[str]:
    """What became of 60 orders: arrived and answered, arrived only, or neither."""
    outcomes = []
    with open_faulty(seed=seed, lost_request_percent=30, lost_reply_percent=30) as exchange:
        exchange.on_book(BOOK)
        for number in range(60):
            try:
                await exchange.place(order(f"o-{number}"))
                outcomes.append("answered")
            except ExchangeUnavailable:
                arrived = f"o-{number}" in exchange.account().orders
                outcomes.append("arrived" if arrived else "lost")
    return outcomes


async def test_faults_repeat_themselves_from_their_seed():
    outcomes = await faults_of(1)
    assert await faults_of(1) == outcomes
    assert await faults_of(2) != outcomes
    assert {outcomes.count(kind) >= 8 for kind in ("answered", "arrived", "lost")} == {True}


@pytest.mark.parametrize(
    "numbers",
    [
        {"lost_request_percent": 60, "lost_reply_percent": 41},
        {"lost_reply_percent": -1},
        {"faults_per_call": -1},
    ],
)
def test_chances_that_are_none_are_refused(numbers):
    with pytest.raises(InvalidInput, match="faults"):
        PaperFaults(**numbers)
