"""Exports as Parquet: one row per event, with a checksum of the whole file in its metadata."""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

from ledger.errors import InvalidInput
from ledger.export_format import Ending, ExportedLine, damaged_line

__all__ = ["parquet_bytes", "read_parquet", "require_parquet"]

_EMPTY: Final = b"sha256:" + b"0" * 64
_MARK: Final = b"sha256:"
_TEXTS: Final = ("symbol", "type", "cause", "commit", "writer", "fingerprint", "data")
_NUMBERS: Final = ("seq", "revision", "schema")
_TIMES: Final = ("recorded_at", "occurred_at")


def require_parquet() -> Any:
    """Return polars, which reads and writes Parquet.

    Raises:
        InvalidInput: It is not installed.
    """
    try:
        return importlib.import_module("polars")
    except ImportError:
        raise InvalidInput(
            "Parquet needs polars, which is not installed",
            hint="pip install 'portfolio-ledger[analysis]', or use .ndjson.gz",
        ) from None


def parquet_bytes(events: Iterable[Mapping[str, Any]], ending: Ending) -> bytes:
    """Return a Parquet file of ``events``.

    Its metadata holds what the export says of itself, and the SHA-256 of the whole file as it is
    with zeros in the digest's place.
    """
    polars = require_parquet()
    columns: dict[str, list[Any]] = {name: [] for name in (*_NUMBERS, *_TIMES, *_TEXTS)}
    for fields in events:
        row = {**fields, "data": msgspec.json.encode(fields["data"]).decode()}
        for name, values in columns.items():
            values.append(row.get(name))
    kinds = dict.fromkeys(_NUMBERS, polars.Int64) | dict.fromkeys(_TEXTS, polars.String)
    kinds |= dict.fromkeys(_TIMES, polars.Datetime("us", "UTC"))
    frame = polars.DataFrame(columns, schema={name: kinds[name] for name in columns})
    written = io.BytesIO()
    about = {"pledger": msgspec.json.encode(ending).decode(), "pledger.check": _EMPTY.decode()}
    frame.write_parquet(written, metadata=about)
    content = written.getvalue()
    check = hashlib.sha256(content).hexdigest().encode()
    at = content.rindex(_EMPTY)  # the metadata stands at the end
    return content[:at] + _MARK + check + content[at + len(_EMPTY) :]


def read_parquet(content: bytes, shown: str) -> Iterator[tuple[int, ExportedLine | Ending]]:
    """Check and read a Parquet export; yield each event with its row, the ending last.

    Nothing of the file is looked at before its checksum was found right.

    Raises:
        ExportDamaged: It is not what was written.
        InvalidInput: polars is not installed.
    """
    polars = require_parquet()
    at = content.rfind(_MARK)
    empty = content[:at] + _EMPTY + content[at + len(_EMPTY) :]
    check = content[at + len(_MARK) : at + len(_EMPTY)]
    if at < 0 or hashlib.sha256(empty).hexdigest().encode() != check:
        problem = "the file's checksum is not that of its bytes: it is not what was written"
        raise damaged_line(shown, 1, problem)
    about = polars.read_parquet_metadata(io.BytesIO(content))
    frame = polars.read_parquet(io.BytesIO(content))
    number = 0
    try:
        for number, row in enumerate(frame.iter_rows(named=True), start=1):
            raw = msgspec.Raw(row["data"].encode())
            row["occurred_at"] = row["occurred_at"].isoformat().replace("+00:00", "Z")
            yield number, msgspec.convert(row | {"data": raw}, ExportedLine)
        yield number + 1, msgspec.json.decode(about["pledger"].encode(), type=Ending)
    except (msgspec.MsgspecError, KeyError, AttributeError) as error:
        raise damaged_line(shown, number, f"it is no event: {error}") from None
