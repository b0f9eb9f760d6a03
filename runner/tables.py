"""Tables as they are found: CSV (also gzipped), Parquet, or rows in memory.

Here a table is read into rows that know their place in it; what the columns mean is not known.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ledger.errors import InvalidInput

__all__ = ["Table", "TableSource", "open_table"]

TableSource: TypeAlias = str | Path | Iterable[Mapping[str, object]]
"""A file (``.csv``, ``.csv.gz``, ``.parquet``), or rows that map column names to values."""


class Table(NamedTuple):
    """A table as found.

    Attributes:
        name: What to call it in an error.
        header: The names of its columns as written; empty where there is nothing at all.
        rows: Each row with its place, such as ``prices.csv, line 12``; can be drawn once.
    """

    name: str
    header: Sequence[str]
    rows: Iterator[tuple[str, Mapping[str, Any]]]


def open_table(source: TableSource) -> Table:
    """Return the table that stands in ``source``; a CSV file's rows are parsed as they are drawn.

    A file whose name ends in ``.parquet`` is read as Parquet, every other one as comma-separated
    UTF-8 text with a header, unpacked first where the name ends in ``.gz``.

    Raises:
        InvalidInput: The file is not there, cannot be read, or is not what its name says. Drawing
            the rows raises it for a row that does not fit the header.
    """
    if not isinstance(source, str | Path):
        return _table_from_rows("the rows", source)
    path = Path(source)
    return _table_from_parquet(path) if path.suffix == ".parquet" else _table_from_csv(path)


def _table_from_rows(name: str, rows: Iterable[Mapping[str, Any]]) -> Table:
    kept = list(rows)
    header = list(kept[0]) if kept else []
    return Table(name, header, ((f"{name}, row {n}", row) for n, row in enumerate(kept, 1)))


def _table_from_parquet(path: Path) -> Table:
    try:
        import polars as pl
    except ImportError:
        raise InvalidInput(
            f"{path}: reading Parquet needs polars, which is not installed",
            hint="pip install 'portfolio-ledger[analysis]', or pass a CSV file",
        ) from None
    try:
        frame = pl.read_parquet(io.BytesIO(_bytes(path)))
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"{path} is not a readable Parquet file: {error}") from None
    return _table_from_rows(str(path), frame.iter_rows(named=True))


def _table_from_csv(path: Path) -> Table:
    records = _records(_text(path), path)
    _, header = next(records, ("", []))
    return Table(str(path), header, _named(records, header))


def _named(
    records: Iterable[tuple[str, list[str]]], header: Sequence[str]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place, record in records:
        if len(record) != len(header):
            raise InvalidInput(
                f"{place}: {len(record)} values, but the header names {len(header)} columns"
            )
        yield place, dict(zip(header, record, strict=True))


def _records(text: str, path: Path) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for record in reader:
            if record:
                yield f"{path}, line {reader.line_num}", record
    except csv.Error as error:
        raise InvalidInput(f"{path}, line {reader.line_num}: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}",
            hint="name a .csv, .csv.gz or .parquet file with prices",
        ) from None


def _text(path: Path) -> str:
    raw = _bytes(path)
    try:
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InvalidInput(
            f"{path}, line {line}: byte 0x{error.object[error.start]:02x} is not UTF-8 text",
            hint="save the file as UTF-8",
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InvalidInput(f"{path} is not a whole gzip file: {error}") from None
