"""What every dialect is made of: the port, its errors, and how an amount is read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol, TypeAlias, TypeVar

import msgspec

from ledger.amounts import ZERO, amount
from ledger.errors import InvalidInput
from runner.market import Book

__all__ = [
    "EPOCH",
    "NOTHING",
    "BadMessage",
    "Dialect",
    "Level",
    "SequencedBook",
    "decode",
    "level",
    "moment_from_milliseconds",
    "need_upper_case",
]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Level: TypeAlias = tuple[Decimal, Decimal | None]
"""The price of one side, and the quantity on offer at it where it is known."""

NOTHING: Final[Level] = (ZERO, ZERO)
"""A side on which nothing is on offer."""


class BadMessage(InvalidInput):
    """A message that the dialect cannot read, or in which the venue refuses what was asked."""

    code = "bad_message"

    def __init__(self, dialect: str, message: str | bytes, rule: str) -> None:
        super().__init__(
            f"{dialect}: {message[:80]!r} {rule}",
            hint="check that the URL and the dialect belong to the same venue",
        )


class SequencedBook(msgspec.Struct, frozen=True):
    """A book and its place among the books of its symbol.

    Attributes:
        sequence: Never smaller than that of an earlier book of the same symbol on the same
            connection; ``None`` where the venue numbers nothing.
    """

    book: Book
    sequence: int | None = None


class Dialect(Protocol):
    """How one kind of venue is asked for books, and how its answers are read."""

    @property
    def name(self) -> str:
        """The dialect's name, for logs."""

    def subscribe_messages(self, symbols: Sequence[str]) -> list[str]:
        """Return what to send, in order, to get the books of all ``symbols``.

        Raises:
            InvalidInput: A symbol is not written as this venue writes it, or there are too many.
        """

    def books(self, message: str | bytes, received_at: datetime) -> list[SequencedBook]:
        """Return the books of one message; none for acknowledgements and heartbeats.

        Args:
            received_at: Stands in for the book's own time where the venue states none.

        Raises:
            BadMessage: The message is garbled, unknown, or a refusal of the venue.
        """


_T = TypeVar("_T")


def decode(decoder: msgspec.json.Decoder[_T], message: str | bytes, name: str) -> _T:
    """Decode a message of the dialect called ``name``.

    Raises:
        BadMessage: It is not JSON, or not of a shape that ``decoder`` knows.
    """
    try:
        return decoder.decode(message)
    except (ValueError, RecursionError) as error:
        raise BadMessage(name, message, f"is not readable: {error}") from error


def level(price: Decimal, size: Decimal | None, side: str) -> Level:
    """Check one side of a book: finite, not negative, of a sane length.

    Raises:
        ValueError: It is not; the message names the ``side``.
    """
    price = amount(price, f"{side} price")
    size = None if size is None else amount(size, f"{side} size")
    if price < 0 or (size is not None and size < 0):
        raise ValueError(f"the {side} is negative")
    return price, size


def moment_from_milliseconds(milliseconds: int) -> datetime:
    """Return the moment so many milliseconds after 1970, exactly.

    Raises:
        OverflowError: No calendar reaches that far.
    """
    return EPOCH + timedelta(milliseconds=milliseconds)


def need_upper_case(symbols: Sequence[str], example: str) -> None:
    """Refuse symbols that the venue would answer under another spelling.

    Raises:
        InvalidInput: A symbol is empty or not in upper case.
    """
    for symbol in symbols:
        if not symbol or symbol != symbol.upper():
            raise InvalidInput(
                f"symbol: {symbol!r} is not in upper case", hint=f"write it such as {example}"
            )
