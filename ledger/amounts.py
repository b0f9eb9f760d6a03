"""Exact decimal amounts: reading, writing, arithmetic, and the one place that rounds.

Money, prices and quantities are :class:`decimal.Decimal` everywhere. The operators of ``Decimal``
obey the calling thread's context, which rounds silently at 28 digits; the functions here do not:
:func:`add`, :func:`subtract` and :func:`multiply` are exact whatever the length of their operands,
in any thread and under any context. Inside ``with exact():`` the plain operators ``+``, ``-`` and
``*`` are as exact, and a third of the price; that is how the fold computes.

Division cannot always be exact. :func:`share` and :func:`quotient` are the only divisions of the
product. Both round half to even at 34 significant digits (the precision of IEEE 754-2008
decimal128). Whoever divides keeps the remainder: what :func:`share` takes out of a total is
subtracted from it exactly, so what was rounded off stays in the total until it is used up.
"""

from __future__ import annotations

import decimal
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeAlias

from ledger.errors import InvalidAmount

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    import msgspec

__all__ = [
    "ONE",
    "ZERO",
    "Amount",
    "add",
    "amount",
    "exact",
    "exact_quotient",
    "multiply",
    "negate",
    "plain",
    "plain_text",
    "quotient",
    "share",
    "subtract",
    "trim",
    "trimmed",
    "trimmed_map",
]

Amount: TypeAlias = Decimal | int | str | float
"""What a caller may pass where an amount is meant; a float is read by its shortest repr."""

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)

MAX_DIGITS: Final = 256
"""Digits an amount may have when written out in full, before and after the point together."""

QUOTIENT_DIGITS: Final = 34

# Unlimited precision never allocates more than a sum or product needs. Should a result ever not
# fit, Inexact raises: there is no silent rounding to fall back to.
_EXACT: Final = decimal.Context(
    prec=decimal.MAX_PREC,
    Emax=decimal.MAX_EMAX,
    Emin=decimal.MIN_EMIN,
    rounding=decimal.ROUND_HALF_EVEN,
    traps=[decimal.Inexact, decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
_QUOTIENT: Final = decimal.Context(
    prec=QUOTIENT_DIGITS,
    Emax=decimal.MAX_EMAX,
    Emin=decimal.MIN_EMIN,
    rounding=decimal.ROUND_HALF_EVEN,
    traps=[decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)


def exact() -> AbstractContextManager[decimal.Context]:
    """Make ``+``, ``-`` and ``*`` on decimals exact until the ``with`` block ends.

    The block must not ``yield``: the context would leak into the caller.
    """
    return decimal.localcontext(_EXACT)


add = _EXACT.add
"""``add(a, b)``: the exact sum."""
subtract = _EXACT.subtract
"""``subtract(a, b)``: the exact difference ``a - b``."""
multiply = _EXACT.multiply
"""``multiply(a, b)``: the exact product."""

# ``copy_negate`` would turn 0 into -0, which is equal to 0 but prints otherwise.
_minus = _EXACT.minus


def negate(value: Decimal) -> Decimal:
    """Return ``-value`` exactly; zero has no sign."""
    return _minus(value)


_SHORT = re.compile(r"-?\d{1,40}(\.\d{1,40})?", re.ASCII).fullmatch
_WRITTEN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII).fullmatch


def _number(value: Amount, field: str) -> Decimal:
    """Read the types that are numbers, and text that is written as one."""
    if isinstance(value, bool):
        raise InvalidAmount(field, value, "is a truth value, not a number")
    if isinstance(value, int) and value.bit_length() > MAX_DIGITS * 4:
        raise InvalidAmount(field, "a whole number", f"has more than {MAX_DIGITS} digits")
    if isinstance(value, int | Decimal):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(float.__repr__(value))  # a subclass may print otherwise
    if not isinstance(value, str):
        raise InvalidAmount(field, value, f"is a {type(value).__name__}, not a number")
    if len(value) > MAX_DIGITS + 8:
        raise InvalidAmount(field, value[:40] + "…", f"has more than {MAX_DIGITS} digits")
    if not _WRITTEN(value):
        raise InvalidAmount(field, value, "is not a decimal number")
    return Decimal(value)


def amount(value: Amount, field: str = "amount") -> Decimal:
    """Read ``value`` as an exact decimal.

    Args:
        value: A ``Decimal``, ``int`` or ``str``, taken as written; or a ``float``, read by its
            shortest repr, so that ``0.1`` is 0.1.
        field: The name to use in an error.

    Raises:
        InvalidAmount: ``value`` is NaN, infinite, not a number, of another type, or longer than
            256 digits when written out in full.
    """
    if type(value) is str and _SHORT(value):
        return Decimal(value)
    number = _number(value, field)
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise InvalidAmount(field, value, "is not a finite number")
    if max(len(digits), -exponent, len(digits) + exponent) > MAX_DIGITS:
        raise InvalidAmount(field, str(value)[:40], f"has more than {MAX_DIGITS} digits")
    return number if exponent <= 0 else Decimal(format(number, "f"))


def quotient(dividend: Decimal, divisor: Decimal) -> Decimal:
    """Return ``dividend / divisor``, rounded half to even at 34 significant digits.

    For figures that nothing further is booked from: an average price, a ratio, a converted value.

    Raises:
        decimal.DivisionByZero: ``divisor`` is zero.
    """
    return _QUOTIENT.divide(dividend, divisor)


def share(total: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the ``part / whole`` share of ``total``: what leaves when ``part`` of ``whole`` does.

    All of ``total`` where ``part == whole``; otherwise rounded as :func:`quotient` rounds. The
    caller subtracts the share from the total exactly, which keeps the rounded-off rest in it.
    """
    if part == whole:
        return total
    return _QUOTIENT.divide(multiply(total, part), whole)


def exact_quotient(dividend: Decimal, divisor: Decimal) -> Decimal | None:
    """Return ``dividend / divisor`` if it has a last digit, else ``None``.

    The divisor is a whole number up to 1,000,000, so an exact quotient has at most 20 digits more.
    """
    precision = len(dividend.as_tuple().digits) + 32
    result = decimal.Context(prec=precision).divide(dividend, divisor)
    return result if multiply(result, divisor) == dividend else None


def trimmed(value: Decimal) -> Decimal:
    """Return the equal value that ``str`` writes as :func:`plain` does.

    Sums and products keep the zeros of their longest part. A figure that is handed to somebody has
    none, so that it prints alike wherever it is printed.
    """
    text = str(value)
    return Decimal(plain_text(text)) if text[-1] == "0" or "E" in text else value


def trim(figures: msgspec.Struct) -> None:
    """Trim every amount of a struct, and of its maps of amounts, in place."""
    for name in figures.__struct_fields__:
        value = getattr(figures, name)
        if value.__class__ is Decimal:
            text = str(value)  # looked at here, since nearly always there is nothing to trim
            if (text[-1] == "0" and text != "0") or "E" in text:
                setattr(figures, name, trimmed(value))
        elif value.__class__ is dict:
            setattr(figures, name, trimmed_map(value))


def trimmed_map(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Return a map of amounts with each of them trimmed."""
    return {key: trimmed(value) for key, value in amounts.items()}


def plain(value: Decimal) -> str:
    """Write ``value`` in full: no exponent, no trailing zeros, no negative zero.

    Equal values are written alike, which is what digests and every screen rely on.

    >>> plain(Decimal("1E+3")), plain(Decimal("0.10")), plain(Decimal("-0.00"))
    ('1000', '0.1', '0')
    """
    return plain_text(str(value))


def plain_text(text: str) -> str:
    """Return what :func:`plain` writes for the amount that ``str`` wrote as ``text``."""
    if "E" in text:
        text = format(Decimal(text), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
