"""Equal amounts are equal text, and so the digests of equal states are equal."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from histories import folded, histories
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ledger import Accounts, Recorded
from ledger.accounts import OrderEntry, PortfolioAccount, PositionEntry, SymbolAccount
from ledger.amounts import plain, plain_text
from ledger.canonical import amounts_of

quick = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

ODD = ["1E+3", "-0.00", "-0", "1.10", "0.0000001", "0E-9", "10", "-1.50E+4", "1.5E-9", "0.0", "7"]
AMOUNTS = st.sampled_from(ODD) | st.builds(
    "{}E{}".format, st.integers(-(10**40), 10**40), st.integers(-50, 9)
)


@given(AMOUNTS)
@example("-0E-9")
def test_text_of_any_form_becomes_the_plain_form(written: str) -> None:
    value = Decimal(written)
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert text != "-0"
    assert "." not in text or text[-1] not in "0."
    assert plain_text(str(value)) == plain_text(f"{value:f}") == text


def _canonical(value: Any) -> Any:
    """Write every decimal inside plainly, whatever holds it: the rule that digests obey."""
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    return value


def _digest(accounts: Accounts) -> str:
    tree = _canonical(msgspec.to_builtins(accounts, builtin_types=(Decimal,)))
    return hashlib.sha256(msgspec.json.encode(tree, order="sorted")).hexdigest()


def _with_amounts(value: Any, amounts: Iterator[Decimal]) -> Any:
    """Return the same with every amount in it replaced by the next of ``amounts``."""
    if isinstance(value, Decimal):
        return next(amounts)
    if isinstance(value, dict):
        return {key: _with_amounts(item, amounts) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_amounts(item, amounts) for item in value]
    if isinstance(value, msgspec.Struct):
        fields = value.__struct_fields__
        return type(value)(
            **{name: _with_amounts(getattr(value, name), amounts) for name in fields}
        )
    return value


@quick
@given(histories(), st.lists(AMOUNTS.map(Decimal), min_size=1))
def test_a_digest_is_of_every_amount_in_its_plain_form(
    history: list[Recorded], amounts: list[Decimal]
) -> None:
    accounts = folded(history)
    assert accounts.digest() == _digest(accounts)
    accounts = _with_amounts(accounts, itertools.cycle(amounts))
    assert accounts.digest() == _digest(accounts)


@pytest.mark.parametrize("kind", [OrderEntry, PositionEntry, PortfolioAccount, SymbolAccount])
def test_no_amount_of_an_account_is_overlooked(kind: type[msgspec.Struct]) -> None:
    """An amount in a new shape of field needs a line in the digest."""
    named = {f.name for f in msgspec.structs.fields(kind) if "Decimal" in str(f.type)}
    amounts = amounts_of(kind)
    assert named == {*amounts.fields, *amounts.maps} != set()
