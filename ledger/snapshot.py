"""Accounts to bytes and back, with a digest that tells whether they are what was saved."""

from __future__ import annotations

import hashlib
import zlib
from typing import Final

import msgspec

from ledger.accounts import FOLD, Accounts
from ledger.errors import SnapshotDamaged
from ledger.keys import Keys
from ledger.store import Steps

__all__ = ["accounts_from_bytes", "bytes_from_accounts", "latest_snapshot", "save", "snapshot_seqs"]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Accounts).decode
_NAME: Final = b"pledger-snapshot"
_HINT: Final = "delete it and take it anew with pledger snapshot; it only saves time"


def bytes_from_accounts(accounts: Accounts, *, compressed: bool = False) -> bytes:
    """Encode accounts: a line with the fold's version and a digest of the rest, then JSON.

    Args:
        accounts: The accounts.
        compressed: Whether to compress the JSON, to about a fifth; the first line says so.
    """
    body, form = _encode(accounts), b""
    if compressed:
        body, form = zlib.compress(body, 1), b" zlib"
    return b"%b %d %b%b\n%b" % (_NAME, FOLD, _digest(form, body), form, body)


def _digest(form: bytes, body: bytes) -> bytes:
    return hashlib.sha256(form + body).hexdigest().encode()


def accounts_from_bytes(saved: bytes) -> Accounts | None:
    """Decode accounts, or return ``None`` where another version of the fold saved them.

    Raises:
        SnapshotDamaged: The bytes are not what was saved.
    """
    head, _, body = saved.partition(b"\n")
    name, version, digest, *form = [*head.split(b" ", 3), b"", b""]
    if name != _NAME or not version.isdigit():
        raise SnapshotDamaged("a snapshot does not begin as one", hint=_HINT)
    if int(version) != FOLD:
        return None
    is_compressed = form[0] == b"zlib"
    if digest != _digest(b" zlib" if is_compressed else form[0], body):
        raise SnapshotDamaged("a snapshot is not what was saved: its digest differs", hint=_HINT)
    return _decode(zlib.decompress(body) if is_compressed else body)


def snapshot_seqs(keys: Keys) -> Steps[list[int]]:
    """Return the sequence numbers at which there are snapshots, in order."""
    (members,) = yield [("ZRANGE", keys.snapshots, 0, -1)]
    return [int(member) for member in members]


def latest_snapshot(keys: Keys, until: int) -> Steps[Accounts | None]:
    """Return the accounts of the last readable snapshot at or before ``until``.

    Raises:
        SnapshotDamaged: It is not what was saved, or is of another sequence number.
    """
    (members,) = yield [("ZREVRANGEBYSCORE", keys.snapshots, until, "-inf", "LIMIT", 0, 4)]
    for member in members:
        (saved,) = yield [("GET", keys.snapshot(int(member)))]
        if saved is None:
            continue  # deleted by hand; an older one, or the log, does as well
        accounts = accounts_from_bytes(saved)
        if accounts is None:
            continue
        if accounts.seq != int(member):
            raise SnapshotDamaged(f"the snapshot at #{int(member)} is of #{accounts.seq}")
        return accounts
    return None


def save(keys: Keys, accounts: Accounts) -> Steps[None]:
    """Save a snapshot of accounts that are folded to exactly ``accounts.seq``."""
    yield [
        ("SET", keys.snapshot(accounts.seq), bytes_from_accounts(accounts, compressed=True)),
        ("ZADD", keys.snapshots, accounts.seq, accounts.seq),
    ]
