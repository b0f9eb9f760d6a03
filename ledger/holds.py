"""What a consumer of a group has: settings, symbols under lease, an event in hand."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from ledger.entry import entry_from_reply, recorded_from_entry
from ledger.errors import InvalidInput, LedgerDamaged, LedgerError
from ledger.event import Recorded
from ledger.keys import Keys
from ledger.store import Reply

__all__ = ["GroupSettings", "Handout", "Hold", "Relieved", "group_keys"]


class Relieved(LedgerError):
    """Another consumer has taken over; what this one still had in hand is delivered there."""

    code = "relieved"
    exit_code = 7


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a group behaves; what its latest consumer said counts for all of them.

    Attributes:
        symbols: The symbols it shares; ``None`` for all, or what the group was made with.
        after: Where a group that is new begins.
        attempts: How often an event is tried before it is parked.
        skip: Whether a symbol goes on behind an event that was parked; else it waits.
        lease_seconds: How long a consumer may be silent before it is relieved.
        retry_seconds: The pause after the first failure of an event; it doubles, up to a minute.

    Raises:
        InvalidInput: A value is out of range.
    """

    symbols: tuple[str, ...] | None = None
    after: int = 0
    attempts: int = 3
    skip: bool = False
    lease_seconds: float = 10.0
    retry_seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.after < 0 or self.retry_seconds < 0:
            raise InvalidInput("group: attempts must be at least 1, after and retry at least 0")
        if self.lease_seconds < 0.1:
            raise InvalidInput(f"group: a lease of {self.lease_seconds:g} s is below 0.1 s")
        if self.symbols is not None and not all(self.symbols):
            raise InvalidInput("group: a symbol is empty", hint="leave symbols out for all")


def group_keys(keys: Keys, name: str) -> list[str]:
    """Return the keys that the script of groups works on, in its order."""
    base = f"{keys.base}group:{name}"
    parts = ("checkpoints", "leases", "tries", "parked", "waiting", "retries", "consumers")
    return [base, *(f"{base}:{part}" for part in parts), keys.revisions, keys.base + "groups"]


class Hold:
    """A symbol under lease: how far it was acknowledged, and what was read of it since."""

    def __init__(self, symbol: str, token: str, checkpoint: str, after: int, tries: str) -> None:
        seq, _, revision = checkpoint.partition("-")
        self.symbol = symbol
        self.token = token
        self.read_seq = int(seq or after)
        # Where a group begins in the middle, the first revision it meets is taken as it is.
        self.read_revision = int(revision) if revision else (None if after else 0)
        self.tries = int(tries) if tries else None
        self.due = 0.0
        self.waits_for = ""
        self.retries: list[int] = []
        self.events: list[Recorded] = []
        self.in_hand: Handout | None = None

    @property
    def is_readable(self) -> bool:
        """Whether more of the stream is wanted."""
        return not self.events and not self.waits_for

    @property
    def is_ready(self) -> bool:
        """Whether its next event may be handed out now."""
        return (
            bool(self.events)
            and self.in_hand is None
            and not self.waits_for
            and time.monotonic() >= self.due
        )

    def add(self, entries: Sequence[Reply]) -> None:
        """Take entries of the stream, and check that nothing is missing between them."""
        for reply in entries:
            for recorded in recorded_from_entry(entry_from_reply(self.symbol, reply)):
                if recorded.seq <= self.read_seq:
                    continue
                known = self.read_revision
                if known is not None and recorded.revision != known + 1:
                    raise LedgerDamaged(
                        f"the log is damaged at #{recorded.seq}: the stream of "
                        f"{self.symbol or 'the portfolio'} has revision {recorded.revision} "
                        f"where {known + 1} should be",
                        seq=recorded.seq,
                    )
                self.read_seq, self.read_revision = recorded.seq, recorded.revision
                self.events.append(recorded)


class Handout(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """An event in the hands of a consumer."""

    recorded: Recorded
    token: str
    attempt: int
    is_retry: bool = False
