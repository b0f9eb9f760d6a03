"""Bringing the older shapes of events to the present one, on plain mappings.

When the fields of an event type change, its class gets the next ``schema`` number and this module
one function, from the former number to the next, which is entered in :data:`UPCASTS`. What is
stored is never rewritten: an old shape is upcast each time it is read. A golden file with the old
shape stays in the tests for good.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ledger.amounts import amount
from ledger.errors import InvalidEvent, SchemaTooNew
from ledger.events import EVENT_TYPES

__all__ = ["UPCASTS", "upcast"]


def _adjusted_1_to_2(fields: dict[str, Any]) -> dict[str, Any]:
    """A split was one number; it became a ratio, since 3-for-1 reversed has no exact decimal."""
    if fields.get("split") is None:
        return fields
    new, old = amount(fields["split"], "split").as_integer_ratio()
    return fields | {"split": f"{new}/{old}"}


UPCASTS: Final[dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]]] = {
    ("PositionAdjusted", 1): _adjusted_1_to_2,
}
"""(event type, schema) -> what makes the fields those of the next schema."""


def upcast(event_type: str, schema: int, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as the present schema of ``event_type`` has them.

    Raises:
        InvalidEvent: The type is not in the vocabulary, or the schema never existed.
        SchemaTooNew: The schema is newer than this build's.
    """
    kind = EVENT_TYPES.get(event_type)
    if kind is None:
        raise InvalidEvent(
            f"type: {event_type!r:.80} is no event type", hint=f"known: {', '.join(EVENT_TYPES)}"
        )
    if schema > kind.schema:
        raise SchemaTooNew(
            f"{event_type} has schema {schema}; this build knows up to {kind.schema}",
            hint="install a newer portfolio-ledger",
        )
    for step in range(schema, kind.schema):
        if (event_type, step) not in UPCASTS:
            raise InvalidEvent(f"schema: {event_type} never had a schema {schema}")
        fields = UPCASTS[event_type, step](fields)
    return fields
