"""Events to bytes and back: the entries of a stream, and the lines that people and scripts write.

In a stream an event is one flat JSON object whose ``type`` carries the schema where it is not the
first (``PositionAdjusted/2``), so that the present shapes decode without a second look and every
other one is told apart by its type alone.
"""

from __future__ import annotations

import hashlib
import operator
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import reduce
from typing import Any, Final

import msgspec

from ledger.errors import InvalidEvent, SchemaTooNew
from ledger.event import Event, Recorded
from ledger.events import EVENT_TYPES
from ledger.upcast import upcast

__all__ = [
    "MAX_EVENT_BYTES",
    "MAX_LINE_BYTES",
    "decode_events",
    "encode_events",
    "event_from_line",
    "fingerprint",
    "line_from_recorded",
]

MAX_EVENT_BYTES: Final = 65_536
MAX_LINE_BYTES: Final = 1_048_576

_encode = msgspec.json.Encoder().encode
_AnyEvent = reduce(operator.or_, EVENT_TYPES.values())
_decode = msgspec.json.Decoder(list[_AnyEvent]).decode  # type: ignore[valid-type]
_TYPE = re.compile(r"([A-Za-z]\w{0,63})(?:/(\d{1,9}))?", re.ASCII).fullmatch
_EXPONENT = re.compile(rb"\dE[+-]\d").search


def encode_events(events: Sequence[Event]) -> bytes:
    """Encode events as a JSON array; amounts are decimal strings without exponents.

    Raises:
        InvalidEvent: One of them is larger than 65,536 bytes.
    """
    payload = _encode(events)
    if len(payload) > MAX_EVENT_BYTES:
        for event in events:
            if len(_encode(event)) > MAX_EVENT_BYTES:
                raise InvalidEvent(
                    f"{event.type}: the event is larger than {MAX_EVENT_BYTES} bytes"
                )
    # Decimal("0.0000001") prints as 1E-7. The pattern may also be part of an id, so the slow way
    # goes by the types of the values, never by the text. Looking for two bytes first costs next to
    # nothing; the pattern alone would take longer than the encoding.
    if (b"E-" in payload or b"E+" in payload) and _EXPONENT(payload):
        return _encode([_plain_fields(event) for event in events])
    return payload


def _plain_fields(event: Event) -> dict[str, Any]:
    """Return what an event encodes to, with amounts written in full."""
    fields = msgspec.to_builtins(event, builtin_types=(Decimal, datetime))
    return {name: _written(value) for name, value in fields.items()}


def _written(value: Any) -> Any:
    return format(value, "f") if isinstance(value, Decimal) else value


def decode_events(payload: bytes) -> list[Event]:
    """Decode what :func:`encode_events` made, of this schema or an older one.

    Raises:
        InvalidEvent: The bytes are no events.
        SchemaTooNew: A type or schema that this build does not know.
    """
    try:
        events: list[Event] = _decode(payload)
    except msgspec.ValidationError:
        return [_older(fields) for fields in _objects(payload)]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"not the JSON of events: {error}") from None
    return events


def _objects(payload: bytes) -> list[dict[str, Any]]:
    try:
        return msgspec.json.decode(payload, type=list[dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"not a list of events: {error}") from None


def _older(fields: dict[str, Any]) -> Event:
    """Decode one event that is not of a present shape, or say why it is none."""
    found = _TYPE(str(fields.pop("type", "")))
    if found is None:
        raise InvalidEvent("not an event: type is missing, or is not a name")
    name, schema = found[1], int(found[2] or 1)
    if name not in EVENT_TYPES:
        raise SchemaTooNew(
            f"this build does not know the event type {name!r:.80}",
            hint="install a newer portfolio-ledger",
        )
    fields = upcast(name, schema, fields)
    try:
        return msgspec.convert(fields, EVENT_TYPES[name])
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"{name}: {error}") from None


def fingerprint(events: Sequence[Event]) -> str:
    """Return 16 hex digits that tell the content of one commit from another's."""
    return hashlib.blake2b(encode_events(events), digest_size=8).hexdigest()


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """An event as a line of JSON, before its fields are looked at."""

    type: str
    data: dict[str, msgspec.Raw] = {}
    symbol: str | None = None
    occurred_at: str | None = None
    cause: str | None = None
    schema: int | None = None


_line = msgspec.json.Decoder(_Line).decode
_ASSIGNED = ("seq", "revision", "recorded_at", "commit", "writer")


def event_from_line(line: bytes | str) -> Event:
    """Read one event as users write it: ``{"type": …, "symbol": …, "data": {…}}``.

    Numbers may be given as JSON numbers or strings and are read as written.

    Raises:
        InvalidEvent, InvalidAmount: Naming the field, its value and the rule.
        SchemaTooNew: ``schema`` is newer than this build's.
    """
    text = line.encode() if isinstance(line, str) else line
    if len(text) > MAX_LINE_BYTES:
        raise InvalidEvent(f"the line has {len(text):,} bytes, above {MAX_LINE_BYTES:,}")
    try:
        parts = _line(text)
    except msgspec.ValidationError as error:
        assigned = [name for name in _ASSIGNED if f"`{name}`" in str(error)]
        hint = f"{assigned[0]} is assigned by the store; leave it out" if assigned else _LINE_HINT
        raise InvalidEvent(f"not an event: {error}", hint=hint) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"not JSON: {error}", hint=_LINE_HINT) from None
    return _event_from(parts)


_LINE_HINT: Final = 'write {"type":"PriceMarked","symbol":"AAPL","data":{"price":"187.40"}}'


def _event_from(parts: _Line) -> Event:
    kind = EVENT_TYPES.get(parts.type)
    fields = {name: _value(name, raw) for name, raw in parts.data.items()}
    fields = upcast(parts.type, parts.schema or (kind.schema if kind else 1), fields)
    if kind is None:  # upcast has refused it
        raise InvalidEvent(f"type: {parts.type!r:.80} is no event type")
    for name in ("symbol", "occurred_at", "cause"):
        if name in fields:
            raise InvalidEvent(f"{parts.type}: {name} stands beside data, not in it")
    around = {"symbol": parts.symbol, "occurred_at": parts.occurred_at, "cause": parts.cause}
    fields |= {name: value for name, value in around.items() if value is not None}
    return kind(**fields)


def _value(name: str, raw: msgspec.Raw) -> Any:
    """Read a JSON value; numbers that are not whole stay the text they were written as."""
    text = bytes(raw).strip()
    if text[:1] in b"-0123456789":
        return int(text) if text.lstrip(b"-").isdigit() and len(text) < 300 else text.decode()
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(f"{name}: not JSON: {error}", hint=_LINE_HINT) from None


def line_from_recorded(recorded: Recorded) -> dict[str, Any]:
    """Return a recorded event as the mapping whose JSON is its line; amounts are strings."""
    event = recorded.event
    fields = msgspec.to_builtins(event, builtin_types=(Decimal, datetime))
    around = ("type", "symbol", "occurred_at", "cause")
    line = {
        "seq": recorded.seq,
        "revision": recorded.revision,
        "symbol": event.symbol or None,
        "type": event.type,
        "schema": event.schema,
        "recorded_at": recorded.recorded_at,
        "occurred_at": recorded.occurred_at,
        "data": {name: _written(value) for name, value in fields.items() if name not in around},
        "commit": recorded.commit,
        "writer": recorded.writer,
    }
    if event.cause is not None:
        line["cause"] = event.cause
    return line
