"""The kinds of fields that events and records have: what may be passed, what is kept.

A class built with :class:`CheckedMeta` reads its arguments when it is constructed: amounts become
exact decimals, sides become :class:`~ledger.orders.OrderSide`, moments become UTC. Decoding stored
bytes does not pay for this: what was stored was checked when it was constructed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, overload

import msgspec

from ledger.amounts import amount
from ledger.errors import InvalidAmount, InvalidEvent
from ledger.orders import OrderSide

__all__ = [
    "ABSENT",
    "MAX_TEXT",
    "CheckedMeta",
    "Count",
    "Currency",
    "Exact",
    "Id",
    "MaybeExact",
    "MaybePositive",
    "MaybePrice",
    "Positive",
    "Price",
    "Side",
    "Symbol",
    "Text",
    "When",
    "checked_id",
    "split_ratio",
]

MAX_TEXT = 4096
"""The characters a reason may have."""

Check = Callable[[Any, str], Any]


def _signed(value: Any, field: str) -> Decimal:
    return amount(value, field)


def _positive(value: Any, field: str) -> Decimal:
    number = amount(value, field)
    if number <= 0:
        raise InvalidAmount(field, str(value), "is not above zero")
    return number


def _price(value: Any, field: str) -> Decimal:
    number = amount(value, field)
    if number < 0:
        raise InvalidAmount(field, str(value), "is below zero")
    return number


def _side(value: Any, field: str) -> OrderSide:
    try:
        return OrderSide(value)
    except ValueError:
        raise InvalidEvent(f'{field}: {value!r} is neither "buy" nor "sell"') from None


_PRINTABLE = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")


def checked_id(value: Any, field: str) -> str:
    """Return an id of 1 to 128 characters without white space, or refuse it by name."""
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        raise InvalidEvent(
            f"{field}: {value!r:.80} is not an id", hint="1 to 128 characters without white space"
        )
    return value


_SYMBOL = re.compile(r"[^\s\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,64}")


def _symbol(value: Any, field: str) -> str:
    if value in ("", None):
        return ""
    if not isinstance(value, str) or not _SYMBOL.fullmatch(value):
        raise InvalidEvent(
            f"{field}: {value!r:.80} is not a symbol",
            hint="1 to 64 characters without white space, such as KRW-BTC",
        )
    return value


_CURRENCY = re.compile(r"[A-Za-z0-9]{1,16}", re.ASCII)


def _currency(value: Any, field: str) -> str:
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise InvalidEvent(
            f"{field}: {value!r:.80} is not a currency", hint="letters and digits, such as USD"
        )
    return value


_SURROGATE = re.compile(r"[\ud800-\udfff]").search


def _text(value: Any, field: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InvalidEvent(f"{field}: {value!r:.80} is not a text of at most {MAX_TEXT} characters")
    if _SURROGATE(value):
        raise InvalidEvent(f"{field}: {value!r:.80} is not valid Unicode")
    return value


def _one_of(words: tuple[Any, ...]) -> Check:
    def check(value: Any, field: str) -> Any:
        if value not in words:
            raise InvalidEvent(f"{field}: {value!r:.80} is none of {', '.join(map(str, words))}")
        return words[words.index(value)]

    return check


def _count(value: Any, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidEvent(f"{field}: {value!r:.80} is not a whole number above zero")
    return value


def _when(value: Any, field: str) -> datetime:
    if isinstance(value, str):
        try:
            value = msgspec.convert(value, datetime)
        except msgspec.ValidationError:
            raise InvalidEvent(
                f"{field}: {value!r:.80} is not a time", hint="write 2026-11-20T14:32:05Z"
            ) from None
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidEvent(
            f"{field}: {value!r:.80} is not a time with its zone",
            hint="write 2026-11-20T14:32:05Z, or pass an aware datetime",
        )
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InvalidEvent(f"{field}: {value!r:.80} is outside the years 1 to 9999") from None


if TYPE_CHECKING:
    # What a field accepts differs from what it holds. Descriptors are how a type checker is told:
    # the type of ``__set__`` is accepted by the constructor, the type of ``__get__`` is read back.
    _Amount = Decimal | int | str | float

    class Exact:
        """An exact amount of either sign; accepts ``Decimal``, ``int``, ``str`` or ``float``."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Decimal: ...
        def __get__(self, instance: object | None, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: _Amount) -> None: ...

    class MaybeExact:
        """An exact amount of either sign, or ``None``."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Decimal | None: ...
        def __get__(self, instance: object | None, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: _Amount | None) -> None: ...

    class Side:
        """An :class:`OrderSide`; accepts its string."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> OrderSide: ...
        def __get__(self, instance: object | None, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: OrderSide | str) -> None: ...

    class When:
        """A moment in UTC, or ``None``; accepts an aware datetime, or RFC 3339 text."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Any: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> datetime | None: ...
        def __get__(self, instance: object | None, owner: Any) -> Any: ...
        def __set__(self, instance: object, value: datetime | None) -> None: ...

    Positive: TypeAlias = Exact
    Price: TypeAlias = Exact
    MaybePositive: TypeAlias = MaybeExact
    MaybePrice: TypeAlias = MaybeExact
    Id: TypeAlias = str
    Symbol: TypeAlias = str
    Currency: TypeAlias = str
    Text: TypeAlias = str
    Count: TypeAlias = int
else:
    Exact = Annotated[Decimal, msgspec.Meta(extra={"check": _signed})]
    Positive = Annotated[Decimal, msgspec.Meta(extra={"check": _positive})]
    Price = Annotated[Decimal, msgspec.Meta(extra={"check": _price})]
    MaybeExact = Exact | None
    MaybePositive = Positive | None
    MaybePrice = Price | None
    Side = Annotated[OrderSide, msgspec.Meta(extra={"check": _side})]
    When = Annotated[datetime, msgspec.Meta(extra={"check": _when})] | None
    Id = Annotated[str, msgspec.Meta(extra={"check": checked_id})]
    Symbol = Annotated[str, msgspec.Meta(extra={"check": _symbol})]
    Currency = Annotated[str, msgspec.Meta(extra={"check": _currency})]
    Text = Annotated[str, msgspec.Meta(extra={"check": _text})]
    Count = Annotated[int, msgspec.Meta(extra={"check": _count})]

ABSENT: Any = None
"""The default of a field that may be left out."""


def _check_of(field: msgspec.inspect.Field) -> Check | None:
    """Find the check that a field's annotation carries, also behind ``| None``."""
    kinds = [field.type]
    if isinstance(field.type, msgspec.inspect.UnionType):
        kinds = list(field.type.types)
    for kind in kinds:
        if isinstance(kind, msgspec.inspect.Metadata) and kind.extra and "check" in kind.extra:
            check: Check = kind.extra["check"]
            return check
        if isinstance(kind, msgspec.inspect.LiteralType):
            return _one_of(tuple(kind.values))
        if isinstance(kind, msgspec.inspect.EnumType):
            return _one_of(tuple(kind.cls))
    return None


def _may_be_none(field: msgspec.inspect.Field) -> bool:
    kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else ()
    return any(isinstance(kind, msgspec.inspect.NoneType) for kind in kinds)


def _checks_of(cls: type) -> dict[str, tuple[Check | None, bool]]:
    """Map each field's name to its check and whether ``None`` may stand in it."""
    described = msgspec.inspect.type_info(cls)
    fields = described.fields if isinstance(described, msgspec.inspect.StructType) else ()
    return {field.name: (_check_of(field), _may_be_none(field)) for field in fields}


_CHECKS: dict[type, dict[str, tuple[Check | None, bool]]] = {}


class CheckedMeta(msgspec.StructMeta):
    """Makes a Struct's constructor read and check its arguments by their annotations."""

    def __call__(self, *args: Any, **given: Any) -> Any:
        """Construct, or raise :class:`InvalidInput` naming the field and the rule."""
        checks = _CHECKS.get(self)
        if checks is None:
            checks = _CHECKS[self] = _checks_of(self)
        named = dict(zip(checks, args, strict=False)) | given
        if len(named) != len(args) + len(given):
            raise InvalidEvent(f"{self.__name__}: a field is given twice, or there are too many")
        for name, value in named.items():
            if name not in checks:
                raise InvalidEvent(
                    f"{self.__name__} has no field {name!r}", hint=f"it has: {', '.join(checks)}"
                )
            check, optional = checks[name]
            if check is not None and not (value is None and optional):
                named[name] = check(value, name)
        try:
            return super().__call__(**named)
        except TypeError as error:
            raise InvalidEvent(f"{self.__name__}: {error}") from None


def split_ratio(text: str) -> tuple[int, int]:
    """Read a split ratio such as ``"7/1"``: seven new shares for one old one.

    Raises:
        InvalidEvent: Not two whole numbers from 1 to 1,000,000 with a slash between them.
    """
    new, slash, old = text.partition("/")
    if slash and new.isdecimal() and old.isdecimal() and len(text) <= 15 and text.isascii():
        ratio = int(new), int(old)
        if all(1 <= part <= 1_000_000 for part in ratio):
            return ratio
    raise InvalidEvent(f"split: {text!r:.40} is not a ratio", hint='write new/old, such as "7/1"')
