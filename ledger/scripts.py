"""The scripts that run inside the server, by the names that commands call them by."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import Final, NamedTuple

from ledger.store import APPEND, GROUP, PROJECT

__all__ = ["SCRIPTS", "Script"]


class Script(NamedTuple):
    """A script's text, and the name by which the server knows it."""

    source: bytes
    sha: str


def _script(name: str) -> Script:
    source = (files("ledger") / name).read_bytes()
    return Script(source, hashlib.sha1(source).hexdigest())  # noqa: S324  # the server's own name


SCRIPTS: Final[dict[str | bytes | int, Script]] = {
    APPEND: _script("append.lua"),
    GROUP: _script("group.lua"),
    PROJECT: _script("project.lua"),
}
"""From the first word of a command to the script that it calls."""
