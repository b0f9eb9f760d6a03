"""The source of the product, parsed once for every rule about it."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("ledger", "runner", "replay")


@dataclass(frozen=True)
class Module:
    """One file: ``path`` relative to the repository with forward slashes, and what stands in it."""

    path: str
    text: str = field(repr=False)
    tree: ast.Module = field(repr=False)

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]

    @property
    def line_count(self) -> int:
        return len(self.text.splitlines())

    def at(self, node: ast.AST) -> str:
        return f"{self.path}:{node.lineno}"


def _modules(*folders: str) -> list[Module]:
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    texts = [(path.relative_to(ROOT).as_posix(), path.read_text("utf-8")) for path in files]
    return [Module(path, text, ast.parse(text, path)) for path, text in texts]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    """Every file of the three packages."""
    found = _modules(*PACKAGES)
    assert {module.package for module in found} == set(PACKAGES)
    return found


@pytest.fixture(scope="session")
def suite() -> list[Module]:
    """Every file of the tests."""
    return _modules("tests")
