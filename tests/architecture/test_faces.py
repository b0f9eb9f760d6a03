"""The face of each package: what ``__init__`` exports, and that it is nothing but a face."""

from __future__ import annotations

import ast
import importlib
import typing

import pytest

FACES = ["ledger", "runner", "replay"]


@pytest.fixture(params=FACES)
def face(request, modules):
    """The parsed ``__init__`` of a package that has something to export."""
    [module] = [m for m in modules if m.path == f"{request.param}/__init__.py"]
    if not any(isinstance(n, ast.Import | ast.ImportFrom | ast.Assign) for n in module.tree.body):
        pytest.skip(f"{request.param} has nothing to export yet")
    return module


def exported(module) -> list[str]:
    return list(importlib.import_module(module.package).__all__)


def by_kind(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, each in order: how ruff sorts ``__all__``."""
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1 if name[0].isupper() else 2), name


def test_face_is_sorted_and_names_nothing_twice(face):
    names = exported(face)
    assert names == sorted(set(names), key=by_kind), "sort __all__: constants, classes, functions"


def test_every_exported_name_exists(face):
    package = importlib.import_module(face.package)
    missing = [name for name in exported(face) if not hasattr(package, name)]
    assert not missing, f"{face.package}.__all__ names what is not there: {', '.join(missing)}"


def test_every_public_name_of_a_face_is_exported(face):
    names = {
        alias.asname or alias.name
        for node in face.tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        and getattr(node, "module", "") != "__future__"
        for alias in node.names
    }
    hidden = sorted(n for n in names - set(exported(face)) if not n.startswith("_"))
    assert not hidden, f"add to {face.package}.__all__, or do not import: {', '.join(hidden)}"


def test_a_face_defines_nothing_of_its_own(face):
    own = [
        f"{face.at(node)}: {node.name}; define it in a module and re-export it"
        for node in face.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("__")
    ]
    assert not own, "\n".join(own)


def test_what_is_exported_is_documented(face):
    package = importlib.import_module(face.package)
    bare = [
        name
        for name in exported(face)
        if callable(value := getattr(package, name, None))
        and typing.get_origin(value) is None  # an alias of a type is documented where it stands
        and not (value.__doc__ or "").strip()
    ]
    assert not bare, f"give a docstring to {', '.join(bare)}"
