"""The linter, the formatter and the type checker find nothing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

SOURCES = ["ledger", "runner", "replay", "tests"]


def run_tool(root, name: str, *arguments: str) -> None:
    """Run an installed tool over the repository; what it prints is the failure's message."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed; pip install -e '.[dev]' brings it")
    command = [sys.executable, "-m", name, *arguments]
    run = subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=280, check=False
    )
    if run.returncode != 0:
        pytest.fail(f"{name} {' '.join(arguments)}\n{run.stdout}{run.stderr}", pytrace=False)


def test_ruff_finds_nothing(root):
    run_tool(root, "ruff", "check", "--quiet", *SOURCES)


def test_the_code_is_formatted(root):
    run_tool(root, "ruff", "format", "--check", "--quiet", *SOURCES)


@pytest.mark.timeout(300)
def test_types_agree_under_strict_checking(root):
    run_tool(root, "mypy", "--strict")
