"""The tree of errors: every class has its place, its code and its exit code."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest

import ledger
import replay
import runner
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
    "ExportDamaged": ("export_damaged", 4),
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
    "Relieved": ("relieved", 7),
    "BadMessage": ("bad_message", 2),
    "QueueStopped": ("metrics_queue_stopped", 1),
}


def defined() -> dict[str, type[LedgerError]]:
    """Every class of error that any module of the product defines."""
    for package in (ledger, runner, replay):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    found, new = {}, [LedgerError]
    while new:
        kind = new.pop()
        if kind.__module__.partition(".")[0] in ("ledger", "runner", "replay"):
            found[kind.__name__] = kind
        new += kind.__subclasses__()
    return found


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
        name: "" if kind is LedgerError else kind.__mro__[1].__name__
        for name, kind in defined().items()
    }


def test_an_error_that_stands_elsewhere_is_drawn_with_its_place() -> None:
    places = dict(re.findall(r"(\w+) +of ([\w.]+):", errors.__doc__ or ""))
    assert set(places) == set(drawn()) - set(errors.__all__)
    for name, place in places.items():
        assert name in importlib.import_module(place).__all__


def test_every_error_of_the_ledger_is_public() -> None:
    of_ledger = {name for name, kind in defined().items() if "ledger." in kind.__module__}
    assert set(errors.__all__) < of_ledger <= set(ledger.__all__)


@pytest.mark.parametrize("name", CODES)
def test_codes_and_exit_codes_are_what_scripts_rely_on(name: str) -> None:
    kind = defined()[name]
    assert (kind.code, kind.exit_code) == CODES[name]


def test_codes_are_told_apart() -> None:
    assert set(defined()) == set(CODES)
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
