"""Checking the snapshots: each must be readable, and be what a fold from nothing gives."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ledger.accounts import Accounts
from ledger.errors import SnapshotDamaged
from ledger.keys import Keys
from ledger.problem import Problems
from ledger.snapshot import accounts_from_bytes, snapshot_seqs
from ledger.store import Steps

__all__ = ["check_snapshots"]


def check_snapshots(keys: Keys, digests: Mapping[int, str], problems: Problems) -> Steps[int]:
    """Check all snapshots and return how many there are.

    Args:
        keys: The portfolio's keys.
        digests: What a fold from nothing gave, by sequence number; others are only read.
        problems: Where to put what is wrong. A snapshot is no event: no number is named first.
    """
    seqs = yield from snapshot_seqs(keys)
    for seq in seqs:
        saved, last = yield [("GET", keys.snapshot(seq)), ("HGET", keys.meta, "seq")]
        if saved is None:
            continue  # deleted by hand; readers go on to an older one
        if seq > int(last or 0):
            problems.found("snapshot", f"the snapshot at #{seq} is of events that are not there")
            continue
        try:
            accounts = accounts_from_bytes(saved)
        except (SnapshotDamaged, msgspec.DecodeError) as error:
            problems.found("snapshot", f"the snapshot at #{seq} cannot be read: {error}")
            continue
        if accounts is not None:
            _compare(seq, accounts, digests, problems)
    return len(seqs)


def _compare(seq: int, accounts: Accounts, digests: Mapping[int, str], problems: Problems) -> None:
    if accounts.seq != seq:
        problems.found("snapshot", f"the snapshot at #{seq} is of #{accounts.seq}")
    elif seq in digests and accounts.digest() != digests[seq]:
        message = f"the snapshot at #{seq} is not what a fold of all events up to there gives"
        problems.found("snapshot", message)
