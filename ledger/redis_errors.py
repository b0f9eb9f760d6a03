"""What a server's errors mean: a thing that passes, a refusal, or a store that is away."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import redis

from ledger.errors import LedgerDamaged, StoreError, StoreRefused, StoreUnavailable
from ledger.keys import Keys
from ledger.locators import Locator
from ledger.scripts import SCRIPTS
from ledger.store import Command, Reply

__all__ = ["Attempts", "check_types", "is_passing", "refused", "settled", "suspects"]

_SLOWEST_RETRY_S: Final = 0.5

_PASSING: Final = (
    *("LOADING", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "BUSY"),
    *("MOVED", "ASK", "READONLY", "NOSCRIPT", "UNBLOCKED"),
)
_HINTS: Final = {
    "NOAUTH": "put the user and password into the URL: redis://user:password@host",
    "WRONGPASS": "put the right user and password into the URL: redis://user:password@host",
    "NOPERM": "grant this user reading and writing of the keys pledger:*",
    "OOM": "the server is out of memory; raise maxmemory, and keep maxmemory-policy noeviction",
    "MISCONF": "the server cannot write to its disk; see its log",
    "WRONGTYPE": "another program wrote into a key of this portfolio; pledger verify names it",
    "READONLY": "this is a replica; name the primary",
}

# The library takes the first word off the errors that it has a class for; one face reads them
# through the library, and the other does not.
_WORDS: Final[dict[type[redis.RedisError], str]] = {
    redis.exceptions.AskError: "ASK",
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    redis.exceptions.MasterDownError: "MASTERDOWN",
    redis.exceptions.MovedError: "MOVED",
    redis.exceptions.NoPermissionError: "NOPERM",
    redis.exceptions.NoScriptError: "NOSCRIPT",
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.TryAgainError: "TRYAGAIN",
}


def _text(error: Exception) -> str:
    """Return what the server said, whole."""
    text = str(error)
    word = _WORDS.get(type(error), "") if isinstance(error, redis.RedisError) else ""
    if isinstance(error, redis.AuthenticationError):
        word = "NOAUTH" if "required" in text else "WRONGPASS"
    return text if text.startswith(word) else f"{word} {text}"


def _hint(text: str) -> str:
    # A command that is forbidden inside the script is told without the word.
    word = "NOPERM" if "user executing the script" in text else text.split(" ", 1)[0]
    return _HINTS.get(word, "")


class Attempts:
    """Counts down the patience of one exchange."""

    def __init__(self, locator: Locator, patience: float) -> None:
        self._locator = locator
        self._patience = patience
        self._deadline: float | None = None
        self._delay = 0.01

    def next_delay(self, error: Exception) -> float:
        """Return how long to wait before the next attempt, or raise that there is none."""
        now = time.monotonic()
        if self._deadline is None:
            self._deadline = now + self._patience
        if now >= self._deadline:
            raise _unavailable(self._locator, error, self._patience) from error
        self._delay = min(self._delay * 2, _SLOWEST_RETRY_S)
        return min(self._delay, self._deadline - now)


def _unavailable(locator: Locator, error: Exception, patience: float) -> StoreError:
    if isinstance(error, redis.ResponseError) and _hint(_text(error)):
        return refused(locator, error)
    return StoreUnavailable(
        f"the store {locator.shown} cannot be reached: {error} (tried for {patience:g} s)",
        hint="start it, or name another with --store; pledger doctor checks it",
    )


def refused(locator: Locator, error: Exception) -> StoreRefused:
    """Build the error for a refusal of the server, with what to do about it."""
    text = _text(error)
    return StoreRefused(f"the store {locator.shown} refuses: {text}", hint=_hint(text))


def is_passing(error: redis.RedisError) -> bool:
    """Whether the same command may succeed a little later, or on a new connection."""
    if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
        return False
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return True
    return _text(error).startswith(_PASSING)


def settled(locator: Locator, replies: list[Reply]) -> list[Reply]:
    """Raise the first error among replies: a passing one as it is, any other as a refusal."""
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            if is_passing(reply):
                raise reply
            raise refused(locator, reply)
    return replies


def suspects(commands: Sequence[Command], replies: Sequence[Reply]) -> list[str]:
    """Return the keys of the first command that found one of another type than it needs.

    A reply tells that there is one, not which: a script and ``XREAD`` have several.
    """
    for command, reply in zip(commands, replies, strict=True):
        if isinstance(reply, redis.ResponseError) and "WRONGTYPE" in str(reply):
            return [key for key in map(str, _keys(command)) if Keys.type_of(key)]
    return []


def _keys(command: Command) -> Sequence[object]:
    if command[0] in SCRIPTS:
        return command[2 : 2 + int(command[1])]
    if "STREAMS" in command:
        named = command[command.index("STREAMS") + 1 :]
        return named[: len(named) // 2]
    return command[1:2]


def check_types(keys: Sequence[str], types: Sequence[Reply]) -> None:
    """Compare what ``TYPE`` says of keys with what belongs there.

    Raises:
        LedgerDamaged: One is of another type; names the first.
    """
    for key, reply in zip(keys, types, strict=True):
        found = reply.decode() if isinstance(reply, bytes) else "none"  # it may not be asked
        wanted = Keys.type_of(key)
        if found not in (wanted, "none"):
            raise LedgerDamaged(f"key {key} holds a {found} where a {wanted} belongs")
