"""The tree of errors: every class has its place, its code and its exit code."""

from __future__ import annotations

import re

import pytest

import ledger
from ledger import errors
from ledger.errors import InvalidAmount, LedgerDamaged, LedgerError, MissingRate, RevisionConflict

CODES = {
    "LedgerError": ("error", 1),
    "InvalidInput": ("invalid", 2),
    "InvalidAmount": ("invalid_amount", 2),
    "InvalidEvent": ("invalid_event", 2),
    "InvalidMoment": ("invalid_moment", 2),
    "MissingRate": ("missing_rate", 2),
    "NotFound": ("not_found", 3),
    "LedgerDamaged": ("damaged", 4),
    "SnapshotDamaged": ("snapshot_damaged", 4),
    "StoreError": ("store", 5),
    "StoreUnavailable": ("store_unavailable", 5),
    "StoreRefused": ("store_refused", 5),
    "SchemaTooNew": ("schema_too_new", 6),
    "AppendRefused": ("refused", 7),
    "RuleViolation": ("rule", 7),
    "RevisionConflict": ("conflict", 7),
    "Fenced": ("fenced", 7),
    "CommitMismatch": ("commit_mismatch", 7),
}


def drawn() -> dict[str, str]:
    """The tree of the module's docstring: each class with the one it stands under."""
    parents: list[tuple[int, str]] = []
    found: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([ │├└─]*)([A-Z]\w+) ", line)
        if match is None:
            continue
        depth = len(match[1])
        parents = [(indent, name) for indent, name in parents if indent < depth]
        found[match[2]] = parents[-1][1] if parents else ""
        parents.append((depth, match[2]))
    return found


def test_the_tree_is_drawn_as_it_is() -> None:
    assert drawn() == {
        name: "" if name == "LedgerError" else getattr(errors, name).__mro__[1].__name__
        for name in errors.__all__
    }


def test_every_error_is_public() -> None:
    classes = {
        name
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, LedgerError)
    }
    assert classes == set(errors.__all__) == set(CODES)
    assert classes <= set(ledger.__all__)


@pytest.mark.parametrize("name", CODES)
def test_codes_and_exit_codes_are_what_scripts_rely_on(name: str) -> None:
    kind = getattr(errors, name)
    assert (kind.code, kind.exit_code) == CODES[name]


def test_codes_are_told_apart() -> None:
    assert len({code for code, _ in CODES.values()}) == len(CODES)


@pytest.mark.parametrize(
    ("name", "builtin"),
    [
        ("InvalidEvent", ValueError),
        ("NotFound", LookupError),
        ("StoreUnavailable", ConnectionError),
    ],
)
def test_errors_are_caught_by_the_builtin_they_are_like(name: str, builtin: type) -> None:
    assert issubclass(getattr(errors, name), builtin)


def test_errors_carry_what_to_do() -> None:
    assert InvalidAmount("price", "x", "is not a decimal number").hint.startswith("write a decimal")
    missing = MissingRate("KRW", "USD")
    assert str(missing) == "no rate is recorded from KRW to USD"
    assert missing.hint == "append a RateMarked event from KRW to USD"
    assert missing.pair == ("KRW", "USD")
    assert LedgerDamaged("x", seq=7).seq == 7
    assert "pledger verify" in LedgerDamaged("x").hint
    assert RevisionConflict("x").events == ()
