"""Exports as lines of text: NDJSON and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from ledger.export_format import (
    FORMAT,
    Ending,
    ExportedLine,
    chained,
    damaged_line,
)

__all__ = ["CsvForm", "NdjsonForm", "TextForm", "read_lines", "written_lines"]

_ENDING: Final = msgspec.json.Decoder(Ending)
_CHANGED: Final = "it is not what was written"


class TextForm(Protocol):
    """How the lines of an export look, with and without their checks."""

    def opening(self) -> bytes:
        """The first line, which has no check."""

    def event(self, fields: Mapping[str, Any]) -> bytes:
        """The line of an event, without its check."""

    def ending(self, ending: Ending) -> bytes:
        """The last line, without its check."""

    def sealed(self, body: bytes, check: str) -> bytes:
        """Put a check onto a line."""

    def opened(self, line: bytes) -> tuple[bytes, str]:
        """Take the check off a line; an empty one where there is none."""

    def read(self, body: bytes) -> ExportedLine | Ending:
        """Read a line whose check was right."""


class NdjsonForm:
    """One JSON object per line."""

    _line = msgspec.json.Decoder(ExportedLine)

    def opening(self) -> bytes:
        """The first line, which has no check."""
        return msgspec.json.encode({"export": "pledger", "format": FORMAT})

    def event(self, fields: Mapping[str, Any]) -> bytes:
        """The line of an event, without its check."""
        return msgspec.json.encode(fields)

    def ending(self, ending: Ending) -> bytes:
        """The last line, without its check."""
        return b'{"end":' + msgspec.json.encode(ending) + b"}"

    def sealed(self, body: bytes, check: str) -> bytes:
        """Put a check onto a line."""
        return body[:-1] + b',"check":"' + check.encode() + b'"}'

    def opened(self, line: bytes) -> tuple[bytes, str]:
        """Take the check off a line; an empty one where there is none."""
        if line[-28:-18] != b',"check":"' or line[-2:] != b'"}':
            return line, ""
        return line[:-28] + b"}", line[-18:-2].decode(errors="replace")

    def read(self, body: bytes) -> ExportedLine | Ending:
        """Read a line whose check was right."""
        if body.startswith(b'{"end":'):
            return _ENDING.decode(body[7:-1])
        return self._line.decode(body)


class CsvForm:
    """One row per event under a header; ``data`` is JSON."""

    _columns = (
        *("seq", "revision", "symbol", "type", "schema", "recorded_at", "occurred_at"),
        *("cause", "commit", "writer", "fingerprint", "data"),
    )

    def opening(self) -> bytes:
        """The first line, which has no check."""
        return ",".join([*self._columns, "check"]).encode()

    def event(self, fields: Mapping[str, Any]) -> bytes:
        """The line of an event, without its check."""
        row = dict(fields)
        row["data"] = msgspec.json.encode(row["data"]).decode()
        row["recorded_at"] = _iso(row["recorded_at"])
        row["occurred_at"] = _iso(row["occurred_at"])
        return _row(row.get(name) for name in self._columns)

    def ending(self, ending: Ending) -> bytes:
        """The last line, without its check."""
        row = {"type": "End", "data": msgspec.json.encode(ending).decode()}
        return _row(row.get(name) for name in self._columns)

    def sealed(self, body: bytes, check: str) -> bytes:
        """Put a check onto a line."""
        return body + b"," + check.encode()

    def opened(self, line: bytes) -> tuple[bytes, str]:
        """Take the check off a line; an empty one where there is none."""
        body, _, check = line.rpartition(b",")
        return body, check.decode(errors="replace")

    def read(self, body: bytes) -> ExportedLine | Ending:
        """Read a line whose check was right."""
        (cells,) = csv.reader([body.decode()], strict=True)
        row: dict[str, Any] = dict(zip(self._columns, cells, strict=True))
        raw = row["data"].encode()
        if row["type"] == "End" and not row["seq"]:
            return _ENDING.decode(raw)
        row["data"] = msgspec.Raw(raw)
        row |= {name: row[name] or None for name in ("symbol", "cause")}
        return msgspec.convert(row, ExportedLine, strict=False)


def _iso(at: Any) -> str:
    text: str = msgspec.json.encode(at).decode().strip('"')
    return text


def _row(cells: Iterable[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(["" if cell is None else cell for cell in cells])
    return text.getvalue().encode()


def written_lines(
    form: TextForm, events: Iterable[Mapping[str, Any]], ending: Ending
) -> Iterator[bytes]:
    """Yield the lines of an export of ``events``, each with its line end."""
    body = form.opening()
    yield body + b"\n"
    check = chained("", body)
    for fields in events:
        body = form.event(fields)
        check = chained(check, body)
        yield form.sealed(body, check) + b"\n"
    body = form.ending(ending)
    yield form.sealed(body, chained(check, body)) + b"\n"


def read_lines(
    form: TextForm, lines: Iterable[bytes], shown: str
) -> Iterator[tuple[int, ExportedLine | Ending]]:
    """Check and read the lines of an export; yield each with its number, the ending last.

    Raises:
        ExportDamaged: Names the first line that is not what was written.
    """
    check, number, has_ended = "", 0, False
    for number, line in enumerate(lines, start=1):
        if has_ended or line[-1:] != b"\n":
            problem = "nothing belongs after the end" if has_ended else "it is cut off"
            raise damaged_line(shown, number, problem)
        if number == 1:
            if line[:-1] != form.opening():
                raise damaged_line(shown, 1, "it does not begin as an export of this form")
            check = chained("", line[:-1])
            continue
        body, found = form.opened(line[:-1])
        check = chained(check, body)
        if found != check:
            raise damaged_line(shown, number, _CHANGED)
        try:
            content = form.read(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, csv.Error) as error:
            raise damaged_line(shown, number, f"it is no event: {error}") from None
        has_ended = isinstance(content, Ending)
        yield number, content
    if not has_ended:
        raise damaged_line(shown, number + 1, "the export is cut off: its end is missing")
