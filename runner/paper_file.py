"""The file of a paper exchange: its orders, reports, books and splits, in SQLite.

What the venue did is kept apart from what the ledger says it did, so that the two can be compared
afterwards. The file is in WAL mode with full syncing: a transaction that returned has survived.
Amounts are decimal texts, ``visible_at`` is in microseconds since 1970. The reports are the one
record of what traded; positions, cash and fees are added up from them when they are asked for.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import msgspec

from ledger.amounts import plain
from ledger.errors import InvalidInput, NotFound
from runner.exchange import ExchangeUnavailable, Report, ReportKind
from runner.market import Book
from runner.paper_account import Fill, PaperAccount, PaperOrder, Split, account_from_fills
from runner.paper_matching import Market

__all__ = ["AccountFile", "read_account"]

_FORMAT: Final = 1
_SCHEMA: Final = (
    """CREATE TABLE orders (
        arrival INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL UNIQUE,
        venue_order_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
        quantity TEXT NOT NULL, price TEXT, status TEXT NOT NULL, filled TEXT NOT NULL,
        notional TEXT NOT NULL, fees TEXT NOT NULL, fill_count INTEGER NOT NULL)""",
    """CREATE INDEX working ON orders (symbol)
        WHERE status IN ('accepted', 'partially_filled')""",
    """CREATE TABLE reports (
        report_id INTEGER PRIMARY KEY, client_order_id TEXT NOT NULL, symbol TEXT NOT NULL,
        kind TEXT NOT NULL, occurred_at TEXT NOT NULL, venue_order_id TEXT NOT NULL,
        trade_id TEXT, quantity TEXT, price TEXT, fee TEXT, fee_currency TEXT,
        reason TEXT, visible_at INTEGER NOT NULL)""",
    "CREATE INDEX by_order ON reports (client_order_id)",
    """CREATE TABLE books (
        symbol TEXT PRIMARY KEY, book BLOB NOT NULL, bid_left TEXT, ask_left TEXT)""",
    """CREATE TABLE splits (
        number INTEGER PRIMARY KEY, split_id TEXT NOT NULL UNIQUE, after INTEGER NOT NULL,
        symbol TEXT NOT NULL, ratio TEXT NOT NULL)""",
    f"PRAGMA user_version = {_FORMAT}",
)
_ORDER_FIELDS: Final = PaperOrder.__struct_fields__
_REPORT_FIELDS: Final = Report.__struct_fields__
_ORDER: Final = f"SELECT {', '.join(_ORDER_FIELDS)} FROM orders"  # noqa: S608
_REPORT: Final = f"SELECT {', '.join(_REPORT_FIELDS)}, visible_at FROM reports"  # noqa: S608
_PUT_ORDER: Final = f"""INSERT INTO orders ({", ".join(_ORDER_FIELDS)})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (client_order_id) DO UPDATE SET status = excluded.status,
        filled = excluded.filled, notional = excluded.notional, fees = excluded.fees,
        fill_count = excluded.fill_count"""  # noqa: S608
_ADD_REPORT: Final = "INSERT INTO reports VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FOREVER: Final = 2**63 - 1

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_encode_book = msgspec.json.Encoder().encode
_decode_book = msgspec.json.Decoder(Book).decode


class AccountFile:
    """The tables of one account. Calls from several threads or processes take turns."""

    def __init__(self, path: str | Path | None, *, read_only: bool = False) -> None:
        """Open or create the file; in memory without a path.

        Raises:
            InvalidInput: The file was written in another format.
            ExchangeUnavailable: The file cannot be opened, or another process keeps it locked.
        """
        self._lock = threading.RLock()
        with _Answering():
            self._db = _connect(path, read_only=read_only)
            try:
                found = self._db.execute("PRAGMA user_version").fetchone()[0]
                if found not in ({_FORMAT} if read_only else {0, _FORMAT}):
                    raise InvalidInput(
                        f"{path} is a paper account of format {found}, this build knows {_FORMAT}",
                        hint="use the build that wrote it, or name another file",
                    )
                if not read_only:
                    self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        with self.transaction():
            if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:
                for statement in _SCHEMA:
                    self._db.execute(statement)

    def close(self) -> None:
        """Close the file; idempotent."""
        self._db.close()

    @contextmanager
    def transaction(self, *, synced: bool = True) -> Iterator[None]:
        """Make the block one transaction: all of it is kept, or after an error none.

        Without ``synced`` it survives the end of the process, but a power cut only once a later
        transaction has been synced.

        Raises:
            ExchangeUnavailable: The file could not be written, or stayed locked.
        """
        with self._lock, _Answering():
            if not synced:
                self._db.execute("PRAGMA synchronous = NORMAL")
            try:
                self._db.execute("BEGIN IMMEDIATE")
                with self._db:
                    yield
            finally:
                if not synced:
                    self._db.execute("PRAGMA synchronous = FULL")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Make the block see one state of the file."""
        with self._lock, _Answering():
            self._db.execute("BEGIN")
            with self._db:
                yield

    def order(self, client_order_id: str) -> PaperOrder | None:
        """Return an order, or ``None`` if it never arrived."""
        row = self._db.execute(f"{_ORDER} WHERE client_order_id = ?", (client_order_id,)).fetchone()
        return None if row is None else _order_from_row(row)

    def working(self, symbol: str) -> list[PaperOrder]:
        """Return the orders of a symbol that can still trade, in the order of their arrival."""
        condition = "WHERE symbol = ? AND status IN ('accepted', 'partially_filled')"
        rows = self._db.execute(f"{_ORDER} {condition} ORDER BY arrival", (symbol,))
        return [_order_from_row(row) for row in rows]

    def put_order(self, order: PaperOrder) -> None:
        """Add an order, or put it in place of what is kept of it."""
        named = msgspec.structs.astuple(order)
        row = [plain(value) if isinstance(value, Decimal) else value for value in named]
        self._db.execute(_PUT_ORDER, row)

    def add_report(
        self,
        order: PaperOrder,
        kind: ReportKind,
        occurred_at: datetime,
        latency: timedelta,
        *,
        fill: Fill | None = None,
        reason: str | None = None,
    ) -> None:
        """Give a report the next number and keep it; it becomes visible after ``latency``."""
        trade: tuple[str | None, ...] = (None,) * 5
        if fill is not None:
            amounts = (plain(fill.quantity), plain(fill.price), plain(fill.fee))
            trade = (fill.trade_id, *amounts, fill.currency)
        at = occurred_at.astimezone(UTC).isoformat()
        row = (order.client_order_id, order.symbol, kind, at, order.venue_order_id)
        visible_at = _microseconds(occurred_at + latency)
        self._db.execute(_ADD_REPORT, (*row, *trade, reason, visible_at))

    def reports(self, after: int = 0, *, visible_at: datetime | None = None) -> list[Report]:
        """Return the reports with a higher number up to the first that is not visible yet.

        A clock that stepped back hides a report longer than the next; whoever continues after the
        last number seen must not have passed over one that was still hidden.
        """
        return self._select("report_id > ?", after, visible_at)

    def order_reports(self, of: str, *, visible_at: datetime | None = None) -> list[Report]:
        """Return the reports of one order up to the first that is not visible yet."""
        return self._select("client_order_id = ?", of, visible_at)

    def _select(self, where: str, value: str | int, visible_at: datetime | None) -> list[Report]:
        rows = self._db.execute(f"{_REPORT} WHERE {where} ORDER BY report_id", (value,))
        limit = _FOREVER if visible_at is None else _microseconds(visible_at)
        return [_report_from_row(row) for row in takewhile(lambda row: row[-1] <= limit, rows)]

    def market(self, symbol: str) -> Market | None:
        """Return a symbol's last book and what is left of it, or ``None`` before the first."""
        query = "SELECT book, bid_left, ask_left FROM books WHERE symbol = ?"
        row = self._db.execute(query, (symbol,)).fetchone()
        if row is None:
            return None
        return Market(_decode_book(row[0]), _maybe(row[1]), _maybe(row[2]))

    def put_market(self, market: Market) -> None:
        """Keep a symbol's last book."""
        book, *sizes = market
        left = [None if size is None else plain(size) for size in sizes]
        row = (book.symbol, _encode_book(book), *left)
        self._db.execute("INSERT OR REPLACE INTO books VALUES (?, ?, ?, ?)", row)

    def split(self, split_id: str) -> Split | None:
        """Return a split, or ``None`` if it never happened."""
        query = "SELECT after, symbol, ratio FROM splits WHERE split_id = ?"
        row = self._db.execute(query, (split_id,)).fetchone()
        return None if row is None else Split(*row)

    def add_split(self, split_id: str, symbol: str, ratio: str) -> None:
        """Keep a split of what the reports so far have bought and sold."""
        self._db.execute(
            "INSERT INTO splits SELECT NULL, ?, COALESCE(MAX(report_id), 0), ?, ? FROM reports",
            (split_id, symbol, ratio),
        )

    def account(self) -> PaperAccount:
        """Add up the whole account."""
        with self.reading():
            rows = self._db.execute(f"{_ORDER} ORDER BY arrival")
            orders = {order.client_order_id: order for order in map(_order_from_row, rows)}
            fills = [report for report in self.reports() if report.kind is ReportKind.FILLED]
            rows = self._db.execute("SELECT after, symbol, ratio FROM splits ORDER BY number")
            return account_from_fills(orders, fills, [Split(*row) for row in rows])


def read_account(path: str | Path) -> PaperAccount:
    """Read the account in a file, from any process, whether or not its exchange is running.

    Raises:
        NotFound: There is no such file.
        InvalidInput: The file was written in another format.
        ExchangeUnavailable: The file cannot be read.
    """
    if not Path(path).is_file():
        raise NotFound(f"there is no paper account at {path}", hint="name the exchange's file")
    with closing(AccountFile(path, read_only=True)) as file:
        return file.account()


def _connect(path: str | Path | None, *, read_only: bool) -> sqlite3.Connection:
    """Connect without Python's implicit transactions; the lock above makes threads take turns."""
    target = ":memory:"
    if path is not None:
        target = Path(path).absolute().as_uri() + ("?mode=ro" if read_only else "")
    return sqlite3.connect(target, uri=True, isolation_level=None, check_same_thread=False)


class _Answering:
    """Says that the exchange is unavailable where its file does not answer."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.OperationalError):
            raise ExchangeUnavailable(f"the paper account did not answer: {error}") from error


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _maybe(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _order_from_row(row: tuple[Any, ...]) -> PaperOrder:
    return msgspec.convert(dict(zip(_ORDER_FIELDS, row, strict=True)), PaperOrder)


def _report_from_row(row: tuple[Any, ...]) -> Report:
    return msgspec.convert(dict(zip(_REPORT_FIELDS, row, strict=False)), Report)
