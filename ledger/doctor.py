"""Checks of a store for what would lose events, and how to mend it.

Each check is steps over the store port of its own, so that a server which refuses one of them, or
has no such command, still gets the others.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from ledger.clock import utc_now
from ledger.entry import entry_from_reply, feed_entry_from_reply
from ledger.errors import LedgerDamaged, StoreRefused
from ledger.instants import moment_from_us
from ledger.keys import Keys
from ledger.store import Steps

if TYPE_CHECKING:
    from ledger.sync_face import SyncLedger

__all__ = ["BAD", "OK", "UNKNOWN", "WARNING", "Finding", "examine", "problems"]

OK: Final = "ok"
WARNING: Final = "warning"
BAD: Final = "bad"
UNKNOWN: Final = "unknown"

_CLOCK_TOLERANCE_S: Final = 2
_LEAST_MAJOR: Final = {"valkey": 8, "redis": 7}


class Finding(msgspec.Struct, frozen=True):
    """What one check found.

    Attributes:
        check: Its name, such as ``persistence``.
        level: ``ok``, ``warning``, ``bad``, or ``unknown`` where it could not be checked.
        message: What is so.
        hint: How to mend it; empty where nothing is to mend.
    """

    check: str
    level: str
    message: str
    hint: str = ""


_Check: TypeAlias = Callable[[Keys, datetime], Steps[Finding]]


def examine(ledger: SyncLedger, now: datetime) -> list[Finding]:
    """Run every check.

    Args:
        ledger: Whose store is meant.
        now: The time by our clock, which the server's is compared with.

    Raises:
        StoreUnavailable: The store cannot be reached.
    """
    first = _tried("role", _role, ledger, now)
    # A replica refuses to write, which is found already; trying would only wait for it to change.
    left = {name: check for name, check in _CHECKS.items() if first.level == OK or name != "rights"}
    return [first, *(_tried(name, check, ledger, now) for name, check in left.items())]


def problems(ledger: SyncLedger) -> list[Finding]:
    """Return what is bad about how the server keeps events: persistence and eviction.

    Quick enough to ask at every connect. An embedded store is set up by us and a fake one keeps
    nothing on purpose; there nothing is asked.
    """
    if ledger.store.kind in ("embedded", "memory"):
        return []
    now = utc_now()
    found = [_tried(name, _CHECKS[name], ledger, now) for name in ("persistence", "eviction")]
    return [finding for finding in found if finding.level == BAD]


def _tried(name: str, check: _Check, ledger: SyncLedger, now: datetime) -> Finding:
    try:
        return ledger.drive(check(ledger.keys, now))
    except (LedgerDamaged, StoreRefused) as error:
        reason = error.message.partition(" refuses: ")[2] or error.message
        return Finding(name, UNKNOWN, f"cannot be checked: {reason}")


def _section(name: str) -> Steps[dict[str, str]]:
    """Ask for a section of ``INFO``."""
    (reply,) = yield [("INFO", name)]
    lines = [line.partition(":") for line in reply.decode().splitlines() if ":" in line]
    return {key: value for key, _, value in lines}


def _setting(name: str) -> Steps[str]:
    """Ask for a setting of the server; empty where it has none of that name."""
    (reply,) = yield [("CONFIG", "GET", name)]
    return reply[1].decode() if reply else ""


def _role(_keys: Keys, _now: datetime) -> Steps[Finding]:
    told = yield from _section("replication")
    replicas = int(told.get("connected_slaves", "0"))
    if told.get("role") == "slave":
        primary = f"{told.get('master_host')}:{told.get('master_port')}"
        return Finding(
            "role", BAD, f"this is a replica of {primary}", "name the primary in --store"
        )
    if replicas and told.get("min_slaves_good_slaves") is None:
        return Finding(
            "role",
            WARNING,
            f"a primary with {replicas} replicas that may be behind when one takes over",
            "set min-replicas-to-write 1, and wait for a replica before relying on a failover",
        )
    return Finding("role", OK, f"a primary with {replicas} replicas")


def _version(_keys: Keys, _now: datetime) -> Steps[Finding]:
    told = yield from _section("server")
    name = told.get("server_name") or ("valkey" if "valkey_version" in told else "redis")
    version = told.get(f"{name}_version", "")
    least = _LEAST_MAJOR.get(name, 7)
    major = version.partition(".")[0]
    if major.isdigit() and int(major) < least:
        return Finding(
            "version", BAD, f"{name} {version} is too old", f"upgrade to {name} {least} or later"
        )
    return Finding("version", OK, f"{name} {version}")


def _persistence(_keys: Keys, _now: datetime) -> Steps[Finding]:
    told = yield from _section("persistence")
    if told.get("aof_enabled") != "1":
        return Finding(
            "persistence",
            BAD,
            "appendonly is no: a restart of the server loses events",
            "CONFIG SET appendonly yes, and write it into the server's configuration",
        )
    if told.get("aof_last_write_status", "ok") != "ok":
        return Finding(
            "persistence", BAD, "the last write to the disk failed", "see the server's log"
        )
    return (yield from _sync_policy())


def _sync_policy() -> Steps[Finding]:
    policy = yield from _setting("appendfsync")
    if policy == "always":
        return Finding("persistence", OK, "every commit is synced to disk (appendfsync always)")
    losing = "a second of commits" if policy == "everysec" else "many seconds of commits"
    return Finding(
        "persistence",
        WARNING,
        f"appendfsync is {policy}: a crash may lose {losing} that were acknowledged",
        "CONFIG SET appendfsync always; commits sent together share a sync",
    )


def _eviction(_keys: Keys, _now: datetime) -> Steps[Finding]:
    told = yield from _section("memory")
    policy, limit = told.get("maxmemory_policy", ""), int(told.get("maxmemory", "0"))
    if not policy.startswith("allkeys"):
        return Finding("eviction", OK, f"nothing of ours is evicted (maxmemory-policy {policy})")
    return Finding(
        "eviction",
        BAD if limit else WARNING,
        f"maxmemory-policy is {policy}: "
        + (f"above {limit:,} bytes events are thrown away" if limit else "with a limit it evicts"),
        "CONFIG SET maxmemory-policy noeviction",
    )


def _trimming(keys: Keys, _now: datetime) -> Steps[Finding]:
    """The first entry of every stream must be its first, and no key may expire."""
    feed, flat = yield [("XRANGE", keys.feed, "-", "+", "COUNT", 1), ("HGETALL", keys.revisions)]
    names = [symbol.decode() for symbol in flat[::2]]
    if not names:
        return Finding("trimming", OK, "the portfolio has no events yet")
    firsts = yield [("XRANGE", keys.stream(name), "-", "+", "COUNT", 1) for name in names]
    cut = [] if feed and feed_entry_from_reply(feed[0]).first_seq == 1 else ["the feed"]
    for name, first in zip(names, firsts, strict=True):
        if not first or entry_from_reply(name, first[0]).first_revision != 1:
            cut.append(f"the stream of {name}" if name else "the portfolio's own stream")
    if cut:
        shown = ", ".join(cut[:5])
        return Finding("trimming", BAD, f"the beginning is missing in {shown}", _RESTORE)
    asked = [keys.meta, keys.revisions, keys.feed, *map(keys.stream, names)]
    times = yield [("PTTL", key) for key in asked]
    if expiring := [key for key, time in zip(asked, times, strict=True) if time >= 0]:
        hint = f"PERSIST {expiring[0]}, and find out what set it"
        return Finding("trimming", BAD, f"{len(expiring)} keys expire, {expiring[0]} first", hint)
    return Finding("trimming", OK, f"all {len(names):,} streams begin at their first event")


_RESTORE: Final = "restore it from a backup or an export; pledger verify names what is missing"


def _clock(keys: Keys, now: datetime) -> Steps[Finding]:
    time, meta = yield [("TIME",), ("HGET", keys.meta, "recorded_at")]
    server = moment_from_us(int(time[0]) * 1_000_000 + int(time[1]))
    ahead = (server - now).total_seconds()
    if meta is not None and (last := moment_from_us(int(meta))) > server:
        back = (last - server).total_seconds()
        return Finding(
            "clock",
            WARNING,
            f"the server's clock is {back:.1f} s before the last event it recorded",
            "let the server's machine set its clock (NTP); recorded times stand still until then",
        )
    if abs(ahead) > _CLOCK_TOLERANCE_S:
        side = "ahead of" if ahead > 0 else "behind"
        return Finding(
            "clock",
            WARNING,
            f"the server's clock is {abs(ahead):.1f} s {side} ours",
            "let both machines set their clocks (NTP)",
        )
    return Finding("clock", OK, f"within {_CLOCK_TOLERANCE_S} s of ours")


def _rights(keys: Keys, _now: datetime) -> Steps[Finding]:
    """Try each kind of command in a way that changes nothing."""
    probe = keys.base + "doctor"
    yield [
        ("XADD", probe, "NOMKSTREAM", "*", "probe", "1"),
        ("XRANGE", probe, "-", "+", "COUNT", 1),
        ("XREAD", "COUNT", 1, "STREAMS", probe, "0"),
        ("HMGET", keys.meta, "seq"),
        ("HGETALL", keys.revisions),
        ("HGET", keys.bucket("c:doctor"), "doctor"),
        ("ZRANGE", keys.snapshots, 0, 0),
        ("GET", keys.snapshot(0)),
    ]
    (user,) = yield [("ACL", "WHOAMI")]
    return Finding("rights", OK, f"{user.decode()} may read and append")


_CHECKS: Final[dict[str, _Check]] = {
    "version": _version,
    "persistence": _persistence,
    "eviction": _eviction,
    "trimming": _trimming,
    "clock": _clock,
    "rights": _rights,
}
