"""Amounts are exact: how they are read, computed with, divided and written."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import InvalidAmount, add, amount, exact, multiply, plain, quotient, subtract
from ledger.amounts import MAX_DIGITS, ONE, ZERO, exact_quotient, negate, share

FORTY = "1234567890123456789012345678901234567890"


class PrintsOtherwise(float):
    """A float whose class has its own repr, as numpy's have."""

    def __repr__(self) -> str:
        return f"np.float64({float(self)})"


@pytest.mark.parametrize(
    ("given_value", "read"),
    [
        (1, "1"),
        ("187.40", "187.40"),
        (0.1, "0.1"),
        (1e22, "10000000000000000000000"),
        (5e-324, None),
        (PrintsOtherwise(0.1), "0.1"),
        (Decimal("1.10"), "1.10"),
        ("1E+3", "1000"),
        ("1e3", "1000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+5", "5"),
        ("-0.00", "-0.00"),
        (FORTY, FORTY),
        ("1E-18", "1E-18"),
        ("9" * MAX_DIGITS, "9" * MAX_DIGITS),
    ],
)
def test_what_can_be_read_is_read_as_written(given_value: Any, read: str | None) -> None:
    if read is None:
        with pytest.raises(InvalidAmount):
            amount(given_value)
    else:
        assert str(amount(given_value)) == read


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (float("nan"), "is not a finite number"),
        (float("inf"), "is not a finite number"),
        (Decimal("NaN"), "is not a finite number"),
        (Decimal("sNaN"), "is not a finite number"),
        (Decimal("-Infinity"), "is not a finite number"),
        ("NaN", "is not a decimal number"),
        ("Infinity", "is not a decimal number"),
        ("", "is not a decimal number"),
        (" 1", "is not a decimal number"),
        ("1_000", "is not a decimal number"),
        ("1,000", "is not a decimal number"),
        ("\u0661", "is not a decimal number"),
        ("0x10", "is not a decimal number"),
        ("1e99999", "is not a decimal number"),
        (True, "is a truth value, not a number"),
        (None, "is a NoneType, not a number"),
        (b"1", "is a bytes, not a number"),
        ([1], "is a list, not a number"),
        (1j, "is a complex, not a number"),
        ("9" * (MAX_DIGITS + 1), "has more than 256 digits"),
        ("9" * 100_000, "has more than 256 digits"),
        (10**MAX_DIGITS, "has more than 256 digits"),
        (10**5000, "has more than 256 digits"),
        ("1e300", "has more than 256 digits"),
        ("1e-300", "has more than 256 digits"),
        (Decimal("1E+999999"), "has more than 256 digits"),
        (Decimal("1E-999999"), "has more than 256 digits"),
    ],
    ids=lambda value: f"{value!r:.24}" if not isinstance(value, int) else "int",
)
def test_what_is_no_amount_is_refused_by_name(value: Any, rule: str) -> None:
    with pytest.raises(InvalidAmount) as caught:
        amount(value, "price")
    assert caught.value.field == "price"
    assert str(caught.value).startswith("price: ")
    assert str(caught.value).endswith(rule)
    assert len(str(caught.value)) < 200


rarely = settings(max_examples=60, deadline=None)


def scaled(value: Decimal) -> int:
    """The value as a count of its last digit, by integers alone."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    number = int("".join(map(str, digits))) * 10 ** (120 + exponent)
    return -number if sign else number


@rarely
@given(st.integers(-(10**60), 10**60), st.integers(-(10**60), 10**60))
def test_sums_and_products_are_exact_under_any_context(first: int, second: int) -> None:
    left, right = Decimal(f"{first}E-30"), Decimal(f"{second}E-30")
    with decimal.localcontext(prec=3):
        assert scaled(add(left, right)) == (first + second) * 10**90
        assert scaled(subtract(left, right)) == (first - second) * 10**90
        assert scaled(multiply(left, right)) == first * second * 10**60
        with exact():
            assert left + right == add(left, right)
            assert left * right == multiply(left, right)
        assert decimal.getcontext().prec == 3


def test_exact_raises_rather_than_rounds() -> None:
    with exact(), pytest.raises(decimal.Inexact):
        Decimal("1.5").quantize(ONE)


@rarely
@given(st.integers(1, 10**40), st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_shares_of_a_total_add_up_to_it(total: int, parts: list[int]) -> None:
    """What is rounded off stays in the total until the last part takes all of it."""
    left, whole = Decimal(f"{total}E-6"), Decimal(sum(parts))
    taken = ZERO
    for part in map(Decimal, parts):
        cost = share(left, part, whole)
        taken, left, whole = add(taken, cost), subtract(left, cost), subtract(whole, part)
    assert (left, whole) == (0, 0)
    assert taken == Decimal(f"{total}E-6")


def test_quotients_round_half_to_even_at_34_digits() -> None:
    assert str(quotient(ONE, Decimal(3))) == "0." + "3" * 34
    assert str(quotient(Decimal(2), Decimal(3))) == "0." + "6" * 33 + "7"
    even = Decimal("1" + "0" * 33 + "5")
    assert quotient(even, ONE) == Decimal("1" + "0" * 34)
    with pytest.raises(decimal.DivisionByZero):
        quotient(ONE, ZERO)


def test_a_quotient_is_exact_or_none() -> None:
    assert exact_quotient(Decimal(10), Decimal(4)) == Decimal("2.5")
    assert exact_quotient(Decimal(10), Decimal(3)) is None
    assert exact_quotient(Decimal(FORTY + "." + FORTY), ONE) == Decimal(FORTY + "." + FORTY)
    assert exact_quotient(ONE, Decimal(2**19)) == Decimal("0.0000019073486328125")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1E+3", "1000"),
        ("0.10", "0.1"),
        ("-0.00", "0"),
        ("100", "100"),
        ("1.000", "1"),
        ("1E-18", "0.000000000000000001"),
        ("-7.50", "-7.5"),
        ("0E-8", "0"),
    ],
)
def test_equal_amounts_are_written_alike(value: str, text: str) -> None:
    assert plain(Decimal(value)) == text
    assert amount(text) == Decimal(value)


def test_zero_has_no_sign() -> None:
    assert str(negate(ZERO)) == "0"
    assert negate(Decimal(FORTY)) == Decimal("-" + FORTY)
