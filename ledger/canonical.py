"""Amounts in plain mappings, written so that equal amounts are equal text.

Encoding writes an amount as it was computed, such as ``1.10`` or ``1E-7``, and does so in C. Which
fields are amounts is read off the struct once, so that of a struct's mapping only those are looked
at, and of those only the few that are not in their one plain form are written anew.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from ledger.amounts import plain_text

__all__ = ["Amounts", "amounts_of", "write_plainly"]


class Amounts(NamedTuple):
    """Which fields of a struct are amounts, and which are maps of amounts."""

    fields: tuple[str, ...]
    maps: tuple[str, ...]


def amounts_of(kind: type[msgspec.Struct]) -> Amounts:
    """Return where a struct of this type has amounts."""
    types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    return Amounts(
        tuple(name for name, found in types.items() if found in (Decimal, Decimal | None)),
        tuple(name for name, found in types.items() if found == dict[str, Decimal]),
    )


def write_plainly(tree: dict[str, Any], amounts: Amounts) -> None:
    """Change the mapping that a struct was encoded to: every amount in its one plain form."""
    for name in amounts.fields:
        if name in tree:
            text = tree[name]
            if text and (text[-1] == "0" or "E" in text):
                tree[name] = plain_text(text)
    for name in amounts.maps:
        if name in tree:
            tree[name] = {key: plain_text(text) for key, text in tree[name].items()}
