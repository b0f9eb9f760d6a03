"""Recorded prices, read from a table into checked rows.

The table needs a column for the time (``date``, ``time``, ``timestamp`` or ``datetime``), and for
the price (``close``, ``price`` or ``last``) or for ``bid`` and ``ask``, or for all three. It may
have ``symbol`` (or ``ticker``), ``bid_size``, ``ask_size`` and ``split``. Other columns, such as
``open``, ``high``, ``low`` and ``volume``, are not read. The case of a name does not matter.

A time without a zone is in UTC; a date alone stands for the close of that day and is read as
00:00Z of that date; 13 digits are milliseconds since 1970. Numbers are read exactly as written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from ledger.amounts import Amount, amount
from ledger.errors import InvalidAmount, InvalidInput, NotFound
from runner.tables import Table, TableSource, open_table

__all__ = ["PriceRow", "read_prices"]

_ROLES: Final = {
    "time": ("date", "time", "timestamp", "datetime"),
    "symbol": ("symbol", "ticker"),
    "price": ("close", "price", "last"),
    "bid": ("bid",),
    "ask": ("ask",),
    "bid_size": ("bid_size",),
    "ask_size": ("ask_size",),
    "split": ("split",),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS: Final = re.compile(r"\d{13}", re.ASCII)
_RATIO: Final = re.compile(r"[1-9]\d*/[1-9]\d*", re.ASCII)
_SYMBOL: Final = re.compile(r"\S{1,64}")


class PriceRow(NamedTuple):
    """One row of one symbol.

    Attributes:
        occurred_at: In UTC.
        bid, ask: As recorded; both are the price where the table has no bid and ask.
        is_quoted: Whether the table has them.
        last: The price; ``None`` where a quoted row has none.
        bid_size, ask_size: ``None`` where they are not known.
        split: A ratio such as ``"2/1"`` where a split takes effect with this row.
    """

    occurred_at: datetime
    bid: Decimal
    ask: Decimal
    is_quoted: bool
    last: Decimal | None
    bid_size: Decimal | None
    ask_size: Decimal | None
    split: str | None


def read_prices(
    source: TableSource, symbols: Sequence[str] | None = None
) -> dict[str, list[PriceRow]]:
    """Return each symbol's rows, oldest first.

    Args:
        source: Where the prices are.
        symbols: Which symbols to read, in the order of the answer; by default all, sorted. Rows of
            other symbols are not checked. In a table without a symbol column every row belongs to
            the one symbol named here or, where none is named, to the name of the file.

    Raises:
        InvalidInput: There is no such file, it cannot be read, or a row breaks a rule; the message
            names the file, the line or row, the column, the value and the rule.
        NotFound: There are no prices of a symbol asked for.
    """
    table = open_table(source)
    columns = _columns(table)
    only = None if "symbol" in columns else _only_symbol(source, symbols, table.name)
    found: dict[str, list[PriceRow]] = {}
    for place, row in table.rows:
        symbol = only or _symbol(row.get(columns["symbol"]), f"{place}, column symbol")
        series = found.setdefault(symbol, [])
        if symbols is None or symbol in symbols:
            series.append(_price_row(row, columns, place))
            _check_order(series, symbol, f"{place}, column {columns['time']}")
    if not found:
        raise InvalidInput(
            f"{table.name} has no prices", hint="give it a header and at least a row"
        )
    if missing := [symbol for symbol in symbols or () if symbol not in found]:
        raise NotFound(
            f"{table.name} has no prices of {', '.join(missing)}",
            hint=f"it has {', '.join(sorted(found)[:20])}",
        )
    return {symbol: found[symbol] for symbol in symbols or sorted(found)}


def _columns(table: Table) -> dict[str, str]:
    """Return which column, by its written name, plays which role."""
    if not table.header:
        raise InvalidInput(f"{table.name} is empty", hint="give it a header and at least a row")
    columns: dict[str, str] = {}
    for role, names in _ROLES.items():
        written = [name for name in table.header if name.strip().lower() in names]
        if len(written) > 1:
            raise InvalidInput(
                f"{table.name}: the columns {' and '.join(written)} both give the {role}",
                hint="keep one of them; a date with its time of day goes into one column",
            )
        if written:
            columns[role] = written[0]
    if "time" not in columns:
        raise _missing(table, " or ".join(_ROLES["time"]))
    if ("bid" in columns) != ("ask" in columns):
        raise _missing(table, "ask" if "bid" in columns else "bid")
    if not columns.keys() & {"price", "bid"}:
        raise _missing(table, "close, price or last, nor bid and ask")
    return columns


def _missing(table: Table, what: str) -> InvalidInput:
    return InvalidInput(
        f"{table.name} has no column {what}",
        hint=f"its columns are {', '.join(table.header)}"[:200],
    )


def _only_symbol(source: TableSource, symbols: Sequence[str] | None, name: str) -> str:
    """Return whose prices a table without a symbol column holds."""
    if symbols and len(symbols) == 1:
        return symbols[0]
    if symbols or not isinstance(source, str | Path):
        raise InvalidInput(
            f"{name} has no column symbol or ticker",
            hint="add one, or name the one symbol that all the prices belong to",
        )
    return _symbol(Path(Path(source).name.removesuffix(".gz")).stem, f"{name}: the file's name")


def _price_row(row: Mapping[str, Any], columns: Mapping[str, str], place: str) -> PriceRow:
    def cell(role: str) -> tuple[Any, str]:
        column = columns.get(role)
        return None if column is None else _cell(row.get(column)), f"{place}, column {column}"

    occurred_at = _moment(*cell("time"))
    last: Decimal | None
    if is_quoted := "bid" in columns:
        bid, ask = _price(*cell("bid")), _price(*cell("ask"))
        last = None if cell("price")[0] is None else _price(*cell("price"))
    else:
        bid = ask = last = _price(*cell("price"))
    sizes = _size(*cell("bid_size")), _size(*cell("ask_size"))
    return PriceRow(occurred_at, bid, ask, is_quoted, last, *sizes, _split(*cell("split")))


def _cell(value: Any) -> Any:
    """Return a cell without the blanks around it; ``None`` for an empty one."""
    return (value.strip() or None) if isinstance(value, str) else value


def _price(value: Amount | None, field: str) -> Decimal:
    if value is None:
        raise InvalidInput(f"{field}: the price is missing", hint="leave out rows without a price")
    number = amount(value, field)
    if number <= 0:
        raise InvalidAmount(field, str(value), "is not above zero")
    return number


def _size(value: Amount | None, field: str) -> Decimal | None:
    number = None if value is None else amount(value, field)
    if number is not None and number < 0:
        raise InvalidAmount(field, str(value), "is below zero")
    return number


def _symbol(value: object, field: str) -> str:
    symbol = _cell(value)
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol):
        raise InvalidInput(f"{field}: {value!r:.80} is not a symbol", hint="write it as KRW-BTC")
    return symbol


def _split(value: object, field: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _RATIO.fullmatch(value):
        raise InvalidInput(f"{field}: {value!r:.80} is not a ratio", hint="write it as 2/1")
    return value


def _moment(value: object, field: str) -> datetime:
    moment = value
    try:
        if _MILLISECONDS.fullmatch(str(value)):
            moment = _EPOCH + timedelta(milliseconds=int(str(value)))
        elif isinstance(value, str):
            moment = datetime.fromisoformat(value)
        elif isinstance(value, date) and not isinstance(value, datetime):
            moment = datetime.combine(value, time(), UTC)
        if isinstance(moment, datetime):
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidInput(
        f"{field}: {value!r:.80} is not a time", hint="write 2026-11-20 or 2026-11-20T14:32:05Z"
    )


def _check_order(series: Sequence[PriceRow], symbol: str, field: str) -> None:
    """Hold the last row against the one before it."""
    if len(series) < 2 or series[-2].occurred_at < series[-1].occurred_at:
        return
    moment = series[-1].occurred_at
    if series[-2].occurred_at == moment:
        raise InvalidInput(f"{field}: {symbol} has a second row at {moment}", hint="keep one")
    raise InvalidInput(
        f"{field}: {symbol} at {moment} comes after its row at {series[-2].occurred_at}",
        hint="sort the rows by time",
    )
