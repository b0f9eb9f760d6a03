"""Figures as people read them: grouped, aligned at the point, and with the same digits."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from ledger.amounts import plain

__all__ = ["aligned", "counted", "grouped"]

_LONGEST_FRACTION = 18


def grouped(value: Decimal | None, *, signed: bool = False) -> str:
    """Write an amount with thousands separators; ``—`` for one that is not known.

    A fraction of more than 18 digits comes of a division; it is cut, and ``…`` says so.
    """
    if value is None:
        return "—"
    whole, point, fraction = plain(value).partition(".")
    sign = "-" if whole.startswith("-") else "+" if signed and value else ""
    digits = whole.lstrip("-")
    first = len(digits) % 3
    groups = [digits[:first]] if first else []
    groups += [digits[at : at + 3] for at in range(first, len(digits), 3)]
    if len(fraction) > _LONGEST_FRACTION:
        fraction = f"{fraction[:8]}…"
    return f"{sign}{','.join(groups)}{point}{fraction}"


def aligned(texts: Sequence[str]) -> list[str]:
    """Pad amounts on the right so that, set flush right, their points stand in one column."""
    tails = [len(text) - text.index(".") if "." in text else 0 for text in texts]
    longest = max(tails, default=0)
    return [text + " " * (longest - tail) for text, tail in zip(texts, tails, strict=True)]


def counted(count: int, what: str) -> str:
    """Write a count with its word: ``1 event``, ``12,431 events``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
