"""Checking the keys: each holds what belongs there; one that does not is as good as missing."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, TypeVar

from ledger.keys import Keys
from ledger.problem import Problems
from ledger.store import Command, Reply, Steps

__all__ = ["as_if_missing", "check_keys"]

T = TypeVar("T")

_SCAN: Final = 5_000
_MADE_ANEW: Final = {
    "snapshots": "it only saves time",
    "snapshot": "it only saves time",
    "projections": "a projector makes it anew",
    "checkpoints": "its readers begin anew",
    "groups": "its consumers begin anew",
    "group": "its consumers begin anew",
}


def check_keys(keys: Keys, problems: Problems) -> Steps[dict[str, bool]]:
    """Return the keys of the portfolio that are there, and of each whether its type is right.

    Args:
        keys: The portfolio's keys.
        problems: Where to put what is wrong. A key is no event: no number is named.
    """
    found: dict[str, bool] = {}
    cursor: Any = b"0"
    while True:
        ((cursor, page),) = yield [("SCAN", cursor, "MATCH", keys.base + "*", "COUNT", _SCAN)]
        names = {key.decode(errors="replace") for key in page}
        wanted = {name: kind for name in names if (kind := Keys.type_of(name)) is not None}
        types = (yield [("TYPE", name) for name in wanted]) if wanted else []
        for (name, kind), reply in zip(wanted.items(), types, strict=True):
            is_right = reply.decode() in (kind, "none")  # it may have gone away since
            if not is_right and name not in found:
                problems.found("key", _wrong(keys, name, reply.decode(), kind))
            found[name] = is_right
        if int(cursor) == 0:
            return found


def _wrong(keys: Keys, name: str, found: str, wanted: str) -> str:
    message = f"key {name} holds a {found} where a {wanted} belongs"
    why = _MADE_ANEW.get(name.removeprefix(keys.base).partition(":")[0])
    return f"{message}; delete it, {why}" if why else message


def as_if_missing(wrong: Collection[str], steps: Steps[T]) -> Steps[T]:
    """Drive steps that read as if some keys were not there, so that they can go on to the rest."""
    try:
        commands = next(steps)
        while True:
            there = [command for command in commands if command[1] not in wrong]
            replies = iter((yield there) if there else [])
            commands = steps.send(
                [_nothing(each) if each[1] in wrong else next(replies) for each in commands]
            )
    except StopIteration as end:
        result: T = end.value
        return result
    finally:
        steps.close()


def _nothing(command: Command) -> Reply:
    """What a server answers of a key that is not there."""
    if command[0] in ("HGET", "GET"):
        return None
    return [None] * (len(command) - 2) if command[0] == "HMGET" else []
