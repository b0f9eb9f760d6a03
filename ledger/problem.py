"""What verification finds wrong, and the list it is kept in."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["Problem", "Problems"]

_KEPT: Final = 1_000


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is not as it must be.

    Attributes:
        kind: A stable word, such as ``missing`` or ``seal``.
        message: What is wrong, with the values.
        seq: The first event it concerns, where one can be named.
        symbol: The stream it concerns: empty for the portfolio's own, ``None`` for no one stream.
    """

    kind: str
    message: str
    seq: int | None = None
    symbol: str | None = None


class Problems:
    """Problems as they are found; of very many, only the first are kept.

    Attributes:
        count: How many were found, also those that were not kept.
        first_seq: The lowest sequence number that any of them names.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first_seq: int | None = None
        self._kept: list[Problem] = []

    def found(
        self, kind: str, message: str, *, seq: int | None = None, symbol: str | None = None
    ) -> None:
        """Note a problem."""
        self.count += 1
        if seq is not None and (self.first_seq is None or seq < self.first_seq):
            self.first_seq = seq
        if len(self._kept) < _KEPT:
            self._kept.append(Problem(kind=kind, message=message, seq=seq, symbol=symbol))

    def in_order(self) -> list[Problem]:
        """Return those kept by sequence number; those that name none come last."""
        return sorted(self._kept, key=lambda problem: (problem.seq is None, problem.seq or 0))
