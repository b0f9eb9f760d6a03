"""Groups seen from outside: how far they are behind, what is parked, and what becomes of that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ledger.errors import NotFound
from ledger.heads import head
from ledger.holds import group_keys
from ledger.instants import moment_from_us
from ledger.keys import Keys
from ledger.lag import lag
from ledger.store import GROUP, Steps

__all__ = ["ConsumerStatus", "GroupStatus", "Parked", "decide", "group_statuses", "parked_events"]


class ConsumerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A consumer that has been heard of within its lease.

    Attributes:
        name: The consumer's name.
        symbols: What it holds now, sorted; the empty one is the portfolio's own stream.
    """

    name: str
    symbols: tuple[str, ...]


class GroupStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a group stands.

    Attributes:
        name: The group's name.
        symbols: The symbols that it shares; ``None`` for all.
        event_count: How many events it has not acknowledged, those that are parked and waited for
            among them.
        seconds: The age of the oldest of these.
        parked_count: How many events are parked.
        waiting: The symbols that wait for a parked event, sorted.
        consumers: Who works in it now, by name.
    """

    name: str
    symbols: tuple[str, ...] | None
    event_count: int
    seconds: float
    parked_count: int
    waiting: tuple[str, ...]
    consumers: tuple[ConsumerStatus, ...]


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """An event put aside because it could not be handled.

    Attributes:
        seq, revision, symbol, type: The event.
        attempt_count: How often it was tried.
        parked_at: When it was put aside, by the store's clock.
        error: What the last attempt ended with.
        is_waited_for: Whether its symbol waits for a decision; else it goes on without it.
        is_retrying: Whether it was told to be retried and has not been yet.
    """

    seq: int
    revision: int
    symbol: str
    type: str
    attempt_count: int
    parked_at: datetime
    error: str
    is_waited_for: bool
    is_retrying: bool


def _mapping(flat: list[bytes]) -> dict[str, str]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in pairs}


def group_statuses(keys: Keys) -> Steps[list[GroupStatus]]:
    """Return how every group stands, by name."""
    (names,) = yield [("HKEYS", keys.base + "groups")]
    statuses: list[GroupStatus] = []
    for name in sorted(name.decode() for name in names):
        status = yield from _status(keys, name)
        statuses.append(status)
    return statuses


def _status(keys: Keys, name: str) -> Steps[GroupStatus]:
    own = group_keys(keys, name)
    settings_key, checkpoints_key, leases_key, _, parked_key, waiting_key, _, consumers_key = own[
        :8
    ]
    wanted = (settings_key, checkpoints_key, leases_key, waiting_key, consumers_key)
    replies = yield [*(("HGETALL", key) for key in wanted), ("HLEN", parked_key), ("TIME",)]
    settings, checkpoints, leases, waiting, consumers = map(_mapping, replies[:5])
    positions = yield from _positions(keys, settings, checkpoints)
    behind = yield from lag(keys, positions)
    now_ms = int(replies[6][0]) * 1000 + int(replies[6][1]) // 1000
    live = [who for who, heard in consumers.items() if int(heard.split()[1]) >= now_ms]
    return GroupStatus(
        name=name,
        symbols=None if settings["symbols"] == "*" else tuple(settings["symbols"].split("\n")),
        event_count=behind.event_count,
        seconds=behind.seconds,
        parked_count=replies[5],
        waiting=tuple(sorted(waiting)),
        consumers=tuple(
            ConsumerStatus(name=who, symbols=_held_by(who, leases)) for who in sorted(live)
        ),
    )


def _held_by(consumer: str, leases: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(s for s, lease in leases.items() if lease.partition(" ")[2] == consumer))


def _positions(
    keys: Keys, settings: Mapping[str, str], checkpoints: Mapping[str, str]
) -> Steps[dict[str, int]]:
    """How far each symbol of a group was acknowledged."""
    if settings["symbols"] == "*":
        symbols = ["", *(yield from head(keys)).symbols]
    else:
        symbols = settings["symbols"].split("\n")
    after = settings["after"]
    return {name: int(checkpoints.get(name, after).partition("-")[0]) for name in symbols}


def parked_events(keys: Keys, group: str) -> Steps[list[Parked]]:
    """Return the parked events of a group in the order of the log.

    Raises:
        NotFound: There is no such group.
    """
    yield from _require(keys, group)
    own = group_keys(keys, group)
    replies = yield [("HGETALL", own[number]) for number in (4, 5, 6)]
    records, waiting, retries = map(_mapping, replies)
    found = [_parked(int(seq), record, waiting, retries) for seq, record in records.items()]
    return sorted(found, key=_seq)


def _seq(parked: Parked) -> int:
    return parked.seq


def _parked(
    seq: int, record: str, waiting: Mapping[str, str], retries: Mapping[str, str]
) -> Parked:
    symbol, revision, attempts, parked_ms, kind, error = record.split("\n", 5)
    return Parked(
        seq=seq,
        revision=int(revision),
        symbol=symbol,
        type=kind,
        attempt_count=int(attempts),
        parked_at=moment_from_us(int(parked_ms) * 1000),
        error=error,
        is_waited_for=waiting.get(symbol) == str(seq),
        is_retrying=str(seq) in retries,
    )


def _require(keys: Keys, group: str) -> Steps[None]:
    (known,) = yield [("HKEYS", keys.base + "groups")]
    if group.encode() not in known:
        names = ", ".join(sorted(name.decode() for name in known)) or "none"
        raise NotFound(f"there is no group {group!r:.80}", hint=f"known groups: {names}")


def decide(keys: Keys, group: str, word: str, seq: int | None) -> Steps[int]:
    """Retry or drop one parked event of a group, or all; return how many there were.

    Raises:
        NotFound: There is no such group, or no such event is parked in it.
    """
    yield from _require(keys, group)
    own = group_keys(keys, group)
    which: Any = "*" if seq is None else seq
    (reply,) = yield [(GROUP, len(own), *own, word, which)]
    if seq is not None and not reply[1]:
        raise NotFound(
            f"#{seq} is not parked in group {group}", hint=f"pledger groups parked {group}"
        )
    return int(reply[1])
