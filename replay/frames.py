"""Rows as data frames: exact decimals into polars, Arrow and pandas, where these are installed.

An amount becomes a decimal column as wide as its digits need. Where they need more than the library
holds (38 digits in polars, 76 in Arrow), the column is text: digits are never dropped. In pandas
amounts are ``Decimal`` objects.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

from ledger import InvalidInput, Recorded, plain
from ledger.amounts import trimmed

__all__ = ["Rows", "columns_from_rows", "row_from"]

T = TypeVar("T")

_ALONE: Final = (Decimal, str, int, float, bool, datetime, timedelta)


class Rows(list[T]):
    """A list of results that can also be had as a data frame, and shows itself in a notebook."""

    def rows(self) -> list[dict[str, Any]]:
        """Return each result as a mapping from column names to values."""
        return [row_from(item) for item in self]

    def columns(self) -> dict[str, list[Any]]:
        """Return the values by column, each as long as this list; ``None`` where there is none."""
        return columns_from_rows(self.rows())

    def to_polars(self) -> Any:
        """Return a ``polars.DataFrame``.

        Raises:
            InvalidInput: polars is not installed.
        """
        polars = _library("polars")
        return polars.DataFrame(
            [_series(polars, name, values) for name, values in self.columns().items()]
        )

    def to_arrow(self) -> Any:
        """Return a ``pyarrow.Table``.

        Raises:
            InvalidInput: pyarrow is not installed.
        """
        arrow = _library("pyarrow")
        columns = self.columns()
        return arrow.table({name: _arrow(arrow, values) for name, values in columns.items()})

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame``; its amounts are ``Decimal`` objects.

        Raises:
            InvalidInput: pandas is not installed.
        """
        pandas = _library("pandas")
        columns = self.columns()
        return pandas.DataFrame(
            {
                name: pandas.Series(values, dtype=_pandas_type(values))
                for name, values in columns.items()
            }
        )

    def _repr_html_(self) -> str:
        from replay.notebook import html_from_rows

        return html_from_rows(self.rows())


def row_from(item: Any) -> dict[str, Any]:
    """Return a result as a flat mapping: what stands alone in it, and its event's own fields."""
    if hasattr(item, "row"):
        own: dict[str, Any] = item.row()
        return own
    row: dict[str, Any] = {}
    for name in item.__struct_fields__:
        value = getattr(item, name)
        if isinstance(value, Recorded):
            row |= _event_row(value)
        elif value is None or isinstance(value, _ALONE):
            row[name] = value
        elif isinstance(value, list) and all(isinstance(part, int) for part in value):
            row[name] = ", ".join(f"#{part}" for part in value)
    if isinstance(item, Recorded):
        return _event_row(item) | _fields_of(item)
    return row


def _event_row(recorded: Recorded) -> dict[str, Any]:
    return {
        "seq": recorded.seq,
        "recorded_at": recorded.recorded_at,
        "occurred_at": recorded.occurred_at,
        "type": recorded.type,
        "symbol": recorded.symbol or None,
    }


def _fields_of(recorded: Recorded) -> dict[str, Any]:
    event = recorded.event
    around = ("symbol", "occurred_at")
    named = {name: getattr(event, name) for name in event.__struct_fields__ if name not in around}
    return {name: value for name, value in named.items() if isinstance(value, _ALONE)}


def columns_from_rows(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Turn rows into columns of one length; a row may lack a column."""
    kept = list(rows)
    names = dict.fromkeys(name for row in kept for name in row)
    return {name: [row.get(name) for row in kept] for name in names}


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InvalidInput(
            f"{name} is not installed", hint=f"pip install {name}, or use .columns()"
        ) from None


def _digits(values: Iterable[Any]) -> tuple[int, int] | None:
    """Digits before and after the point that hold all amounts; ``None`` if not all are amounts."""
    before, after, is_any = 1, 0, False
    for value in values:
        if value is None:
            continue
        if not isinstance(value, Decimal):
            return None
        whole, _, fraction = plain(value).lstrip("-").partition(".")
        before, after, is_any = max(before, len(whole)), max(after, len(fraction)), True
    return (before, after) if is_any else None


def _trimmed(values: Iterable[Decimal | None]) -> list[Decimal | None]:
    """Leave out zeros at the end, for which a column has no room."""
    return [None if value is None else trimmed(value) for value in values]


def _texts(values: Iterable[Any]) -> list[Any]:
    return [plain(value) if isinstance(value, Decimal) else value for value in values]


def _is_mixed(values: Iterable[Any]) -> bool:
    return len({type(value) for value in values if value is not None}) > 1


def _series(polars: Any, name: str, values: list[Any]) -> Any:
    digits = _digits(values)
    if digits is not None and sum(digits) <= 38:
        return polars.Series(name, _trimmed(values), dtype=polars.Decimal(38, digits[1]))
    if _is_mixed(values):
        return polars.Series(name, [None if v is None else str(v) for v in _texts(values)])
    return polars.Series(name, _texts(values), strict=False)


def _arrow(arrow: Any, values: list[Any]) -> Any:
    digits = _digits(values)
    if digits is not None and sum(digits) <= 76:
        kind = arrow.decimal128 if sum(digits) <= 38 else arrow.decimal256
        return arrow.array(_trimmed(values), type=kind(sum(digits), digits[1]))
    if _is_mixed(values):
        return arrow.array([None if v is None else str(v) for v in _texts(values)])
    return arrow.array([str(v) if isinstance(v, str) else v for v in _texts(values)])


def _pandas_type(values: Iterable[Any]) -> Any:
    """Keep amounts, and anything mixed, as the objects they are."""
    kinds = {type(value) for value in values if value is not None}
    return object if Decimal in kinds or len(kinds) != 1 else None
