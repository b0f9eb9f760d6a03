"""``file:`` stores: an export, read as if it were on a server. Nothing of it can be changed.

The streams and the feed are made of the export's commits, sealed as the append script seals them,
with the times at which they were first recorded. A connection then answers the commands that
readers send; that every check of theirs holds here too is the point of it.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from ledger.codec import encode_events
from ledger.contents import claims
from ledger.entry import entry_checksum, feed_checksum
from ledger.errors import StoreRefused
from ledger.event import Event
from ledger.events import SessionStarted
from ledger.export_files import Export, read_export
from ledger.export_format import ExportedCommit
from ledger.keys import Keys
from ledger.store import Command, Reply

__all__ = ["AsyncFileConnection", "FileConnection", "FileStore"]

_PRIME: Final = 4294967291
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class _Stream:
    """The entries of one stream, by the sequence number each ends with."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.entries: list[list[Any]] = []

    def add(self, seq: int, second: int, fields: Sequence[str | bytes]) -> None:
        encoded = [field if isinstance(field, bytes) else field.encode() for field in fields]
        self.seqs.append(seq)
        self.entries.append([f"{seq}-{second}".encode(), encoded])


class _Contents:
    """What the keys of the portfolio hold."""

    def __init__(self, keys: Keys, export: Export) -> None:
        self.keys = keys
        self.streams: dict[str, _Stream] = {keys.feed: _Stream()}
        self.claimed: dict[tuple[str, str], bytes] = {}
        self.meta: dict[str, bytes] = {}
        self.values: dict[str, bytes] = {}  # snapshots that readers took on the way
        self.snapshots: list[int] = []
        self._occurred = 0
        self._revisions: dict[str, int] = {}
        for commit in export.commits:
            self._add(commit)

    @property
    def revisions(self) -> list[bytes]:
        """Names and numbers in turn, as a hash is returned."""
        pairs = self._revisions.items()
        return [part for name, number in pairs for part in (name.encode(), b"%d" % number)]

    def _add(self, commit: ExportedCommit) -> None:
        offsets: dict[str, list[int]] = {}
        for offset, event in enumerate(commit.events):
            offsets.setdefault(event.symbol, []).append(offset)
        for name, own in offsets.items():
            self._add_entry(commit, name, own)
        self._add_feed(commit, {name: len(own) for name, own in offsets.items()})
        places = [(self.keys.bucket(claim), claim) for claim in claims(commit.events)]
        for place in [*places, self.keys.place_of_commit(commit.id)]:
            self.claimed.setdefault(place, b"%d" % commit.last_seq)

    def _add_entry(self, commit: ExportedCommit, name: str, own: Sequence[int]) -> None:
        payload = encode_events([commit.events[offset] for offset in own])
        is_dense = own[-1] - own[0] + 1 == len(own)
        distances = "" if is_dense else ",".join(str(own[-1] - offset) for offset in own)
        last = commit.first_seq + own[-1]
        revision = self._revisions[name] = self._revisions.get(name, 0) + len(own)
        crc = entry_checksum(name, commit.id, commit.writer, distances, payload)
        seal = (crc + 3 * last + 5 * revision + 7 * commit.recorded_us) % _PRIME
        fields = [*_head(commit), "n", str(len(own)), "h", str(seal)]
        fields += ["d", distances] if distances else []
        stream = self.streams.setdefault(self.keys.stream(name), _Stream())
        stream.add(last, revision, [*fields, "e", payload])

    def _add_feed(self, commit: ExportedCommit, counts: dict[str, int]) -> None:
        occurred = self._occurred = self._occurred_ms(commit.events)
        revisions = [self._revisions[name] for name in counts]
        crc = feed_checksum(commit.id, commit.writer, commit.fingerprint, list(counts.items()))
        seal = crc + occurred + sum(number * i for i, number in enumerate(revisions, start=1))
        seal += 3 * commit.last_seq + 5 * len(commit.events) + 7 * commit.recorded_us
        lines = "\n".join(
            f"{name} {count} {revision}"
            for (name, count), revision in zip(counts.items(), revisions, strict=True)
        )
        more = ["o", str(occurred), "f", commit.fingerprint, "h", str(seal % _PRIME), "s", lines]
        feed = self.streams[self.keys.feed]
        feed.add(commit.last_seq, len(commit.events), [*_head(commit), *more])
        self.meta = {
            "seq": b"%d" % commit.last_seq,
            "recorded_at": b"%d" % commit.recorded_us,
            "occurred": b"%d" % occurred,
        }

    def _occurred_ms(self, events: Sequence[Event]) -> int:
        """The latest occurrence since the session started."""
        latest = max(((event.occurred_at or _EPOCH) - _EPOCH) // _MS for event in events)
        if any(isinstance(event, SessionStarted) for event in events):
            return latest
        return max(latest, self._occurred)


def _head(commit: ExportedCommit) -> list[str]:
    return ["c", commit.id, "w", commit.writer, "t", str(commit.recorded_us)]


class FileConnection:
    """A connection to an export; see :class:`ledger.store.Connection`. May be shared by threads."""

    def __init__(self, contents: _Contents) -> None:
        self._contents = contents
        self._answers: dict[str, Callable[..., Reply]] = {
            "GET": self._get,
            "HGET": self._hget,
            "HGETALL": self._hgetall,
            "HKEYS": lambda _key: [],
            "HLEN": lambda _key: 0,
            "HMGET": lambda key, *names: [self._hget(key, name) for name in names],
            "SCAN": self._scan,
            "SET": self._set,
            "TIME": self._time,
            "XRANGE": self._xrange,
            "XREAD": self._xread,
            "XREVRANGE": self._xrevrange,
            "ZADD": self._zadd,
            "ZRANGE": lambda _key, _first, _last: self._members(self._contents.snapshots),
            "ZREVRANGEBYSCORE": self._zrevrange,
        }

    def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Answer commands; those that wait for news wait as long as they say.

        Raises:
            StoreRefused: A command would write.
        """
        replies = self.answers(commands)
        time.sleep(_patience_s(commands, replies))
        return replies

    def answers(self, commands: Sequence[Command]) -> list[Reply]:
        """Answer commands without waiting."""
        return [self._answer(*command) for command in commands]

    def _answer(self, name: str | bytes | int, *arguments: Any) -> Reply:
        answer = self._answers.get(str(name))
        is_snapshot = name not in ("SET", "ZADD") or ":snapshot" in str(arguments[0])
        if answer is None or not is_snapshot:
            raise StoreRefused(
                "the store is a file, which is read-only",
                hint="pledger import takes it into a store that can be written to",
            )
        return answer(*arguments)

    def close(self) -> None:
        """Release the connection; idempotent."""

    def _hget(self, key: str, field: str) -> bytes | None:
        contents = self._contents
        if key == contents.keys.meta:
            return contents.meta.get(field)
        return contents.claimed.get((key, field))

    def _hgetall(self, key: str) -> list[bytes]:
        return self._contents.revisions if key == self._contents.keys.revisions else []

    def _get(self, key: str) -> bytes | None:
        return self._contents.values.get(key)

    def _set(self, key: str, value: bytes) -> bytes:
        self._contents.values[key] = value
        return b"OK"

    def _zadd(self, _key: str, seq: int, _member: int) -> int:
        self._contents.snapshots = sorted({*self._contents.snapshots, seq})
        return 1

    def _zrevrange(self, _key: str, highest: int, *_rest: object) -> list[bytes]:
        known = self._contents.snapshots
        return self._members(known[: bisect_right(known, highest)][:-5:-1])

    @staticmethod
    def _members(seqs: Sequence[int]) -> list[bytes]:
        return [b"%d" % seq for seq in seqs]

    def _scan(self, *_arguments: object) -> list[Any]:
        prefix = self._contents.keys.stream("") + ":"
        return [b"0", [name.encode() for name in self._contents.streams if name.startswith(prefix)]]

    def _time(self) -> list[bytes]:
        """The time it is in an export is that of its last event."""
        seconds, rest = divmod(int(self._contents.meta.get("recorded_at", b"0")), 1_000_000)
        return [b"%d" % seconds, b"%d" % rest]

    def _found(self, key: str, first: Any, last: Any) -> tuple[list[Any], int, int]:
        """A stream's entries, and where those from ``first`` to ``last`` begin and end."""
        stream = self._contents.streams.get(key) or _Stream()
        low = 0 if first == "-" else bisect_left(stream.seqs, _seq(first))
        high = len(stream.seqs) if last == "+" else bisect_right(stream.seqs, _seq(last))
        return stream.entries, low, high

    def _xrange(self, key: str, first: Any, last: Any, *count: Any) -> list[Any]:
        entries, low, high = self._found(key, first, last)
        return entries[low : min(high, low + count[1]) if count else high]

    def _xrevrange(self, key: str, last: Any, first: Any, *count: Any) -> list[Any]:
        entries, low, high = self._found(key, first, last)
        return entries[max(low, high - count[1]) if count else low : high][::-1]

    def _xread(self, *arguments: Any) -> list[Any] | None:
        at = arguments.index("STREAMS") + 1
        names = arguments[at : at + (len(arguments) - at) // 2]
        count = arguments[1]
        found = []
        for name, since in zip(names, arguments[at + len(names) :], strict=True):
            entries = self._xrange(name, _seq(since) + 1, "+", "COUNT", count)
            if entries:
                found.append([name.encode(), entries])
        return found or None


def _seq(entry_id: Any) -> int:
    """The sequence number that an entry's id begins with."""
    text = entry_id.decode() if isinstance(entry_id, bytes) else str(entry_id)
    return int(text.partition("-")[0])


def _patience_s(commands: Sequence[Command], replies: Sequence[Reply]) -> float:
    """How long a server would have waited for news before these replies."""
    waits = (
        int(command[command.index("BLOCK") + 1])
        for command, reply in zip(commands, replies, strict=True)
        if "BLOCK" in command and reply is None
    )
    return max(waits, default=0) / 1000


class AsyncFileConnection:
    """The async form of :class:`FileConnection`."""

    def __init__(self, contents: _Contents) -> None:
        self._sync = FileConnection(contents)

    async def exchange(self, commands: Sequence[Command]) -> list[Reply]:
        """Answer commands; those that wait for news wait as long as they say."""
        replies = self._sync.answers(commands)
        await asyncio.sleep(_patience_s(commands, replies))
        return replies

    async def aclose(self) -> None:
        """Release the connection; idempotent."""


class FileStore:
    """An export as a store; it is read whole, and every line of it checked, at once.

    Whatever portfolio is asked for, it is the one in the file.

    Raises:
        NotFound: There is no such file.
        ExportDamaged: It is not what was written; names the first wrong line.
        InvalidInput: It cannot be read, or its name says no form.
    """

    kind = "file"

    def __init__(self, path: Path, keys: Keys) -> None:
        self.shown = f"file:{path}"
        self.export = read_export(path)
        self._contents = _Contents(keys, self.export)

    def connection(self, patience: float = 10.0) -> FileConnection:
        """Open a sync connection; there is nothing to be patient about."""
        del patience
        return FileConnection(self._contents)

    def aconnection(self, patience: float = 10.0) -> AsyncFileConnection:
        """Open an async connection."""
        del patience
        return AsyncFileConnection(self._contents)

    def close(self) -> None:
        """Release nothing; idempotent."""
