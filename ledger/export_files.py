"""Exports as files: which form a name stands for, and reading and writing them whole."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from ledger.errors import ExportDamaged, InvalidInput, NotFound
from ledger.export_format import (
    HINT,
    Collector,
    Ending,
    ExportedCommit,
    ExportedLine,
    damaged_line,
)
from ledger.export_parquet import parquet_bytes, read_parquet, require_parquet
from ledger.export_text import CsvForm, NdjsonForm, TextForm, read_lines, written_lines

__all__ = ["EXPORT_SUFFIXES", "Export", "check_writable", "read_export", "write_export"]

EXPORT_SUFFIXES: Final = (".ndjson", ".ndjson.gz", ".csv", ".csv.gz", ".parquet")
"""How the name of an export ends, which says its form."""

_FORMS: Final[dict[str, TextForm]] = {".ndjson": NdjsonForm(), ".csv": CsvForm()}


class Export(NamedTuple):
    """An export that was read whole and found right, but for what a fold of it would show."""

    ending: Ending
    commits: list[ExportedCommit]

    @property
    def event_count(self) -> int:
        """How many events it has."""
        return self.ending.event_count


def _suffix(path: Path) -> str:
    for suffix in EXPORT_SUFFIXES:
        if path.name.lower().endswith(suffix):
            return suffix
    raise InvalidInput(
        f"{path.name!r:.80} does not end as an export does",
        hint=f"name it as one of {', '.join('*' + suffix for suffix in EXPORT_SUFFIXES)}",
    )


def check_writable(path: Path) -> None:
    """Refuse early what could not be written later.

    Raises:
        InvalidInput: The name says no form, its directory is none, or polars is missing.
    """
    if _suffix(path) == ".parquet":
        require_parquet()
    if not path.parent.is_dir() or path.is_dir():
        what = "is a directory" if path.is_dir() else "is in no directory that there is"
        raise InvalidInput(f"{path} {what}", hint="name a file in a directory that there is")


def write_export(path: Path, events: Iterable[Mapping[str, Any]], ending: Ending) -> None:
    """Write an export; a file of that name is replaced only by a whole one.

    Raises:
        InvalidInput: It cannot be written.
    """
    check_writable(path)
    suffix = _suffix(path)
    beside = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with beside.open("wb") as file:
            if suffix == ".parquet":
                file.write(parquet_bytes(events, ending))
            else:
                _write_lines(file, suffix, events, ending)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror or error}",
            hint="name a file in a directory that this user may write",
        ) from None
    finally:
        beside.unlink(missing_ok=True)


def _write_lines(
    file: IO[bytes], suffix: str, events: Iterable[Mapping[str, Any]], ending: Ending
) -> None:
    lines = written_lines(_FORMS[suffix.removesuffix(".gz")], events, ending)
    if not suffix.endswith(".gz"):
        file.writelines(lines)
        return
    # Without a name and a time in it, the same events are the same bytes.
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.writelines(lines)


def read_export(path: Path) -> Export:
    """Read an export whole, and check every line of it.

    Raises:
        NotFound: There is no such file.
        ExportDamaged: It is not what was written; names the first wrong line.
        SchemaTooNew: A newer build wrote it.
        InvalidInput: It cannot be read, or its name says no form.
    """
    collector = Collector(path.name)
    ending: Ending | None = None
    try:
        for number, content in _contents(path):
            if isinstance(content, Ending):
                collector.close(content, number)
                ending = content
            else:
                collector.take(content, number)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", hint="pledger export -O F makes one") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from None
    if ending is None:
        raise ExportDamaged(f"{path.name}: its end is missing", hint=HINT)
    return Export(ending, collector.commits)


def _contents(path: Path) -> Iterator[tuple[int, ExportedLine | Ending]]:
    suffix = _suffix(path)
    if suffix == ".parquet":
        yield from read_parquet(path.read_bytes(), path.name)
        return
    form = _FORMS[suffix.removesuffix(".gz")]
    with path.open("rb") as file:
        if suffix.endswith(".gz"):
            yield from read_lines(form, _unpacked(file, path.name), path.name)
        else:
            yield from read_lines(form, file, path.name)


def _unpacked(file: IO[bytes], shown: str) -> Iterator[bytes]:
    number = 0
    with gzip.GzipFile(fileobj=file, mode="rb") as packed:
        try:
            for line in packed:
                number += 1
                yield line
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            problem = f"it cannot be unpacked: {error}"
            raise damaged_line(shown, number + 1, problem) from None
