"""The names of a portfolio's keys; all carry one hash tag, so a cluster keeps them together."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from ledger.errors import InvalidInput

__all__ = ["Keys"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_NUMBERED = re.compile(r"(.+:[1-9]\d{0,9}):([1-9]\d{0,15})", re.ASCII | re.DOTALL)
_PREFIX: Final = "pledger:"
_TYPES: Final = {
    "meta": "hash",
    "revisions": "hash",
    "writers": "hash",
    "feed": "stream",
    "events": "stream",
    "ids": "hash",
    "snapshots": "zset",
    "snapshot": "string",
    "projections": "hash",
    "checkpoints": "hash",
    "groups": "hash",
    "group": "hash",
}
"""The type of a key by its first word."""


class Keys:
    """The keys of one portfolio: ``pledger:{<portfolio>}:`` and one of these.

    ============================  ======  ======================================================
    key                           type    holds
    ============================  ======  ======================================================
    ``meta``                      hash    ``seq``, ``recorded_at``, ``control``, ``occurred``,
                                          ``layout``
    ``revisions``                 hash    symbol -> revision of its last event
    ``writers``                   hash    writer -> epoch of its newest run
    ``feed``                      stream  one small entry per commit: id ``<last seq>-<events>``
    ``events``                    stream  the events of the portfolio itself
    ``events:<symbol>``           stream  the events of a symbol
    ``ids:<bucket>``              hash    ids of commits, orders, positions and sessions ->
                                          sequence number
    ``snapshots``                 zset    the sequence numbers of the snapshots
    ``snapshot:<seq>``            string  a snapshot
    ``projections``               hash    of each version of the fold: its live state
    ``checkpoints``               hash    name -> sequence number of a reader that keeps it here
    ``groups``                    hash    group -> when it was made
    ``group:<name>``              hash    its settings, and the number of its last lease
    ``group:<name>:consumers``    hash    consumer -> its incarnation, when it may be relieved
    ``group:<name>:leases``       hash    symbol -> the number of its lease, and whose it is
    ``group:<name>:checkpoints``  hash    symbol -> ``<seq>-<revision>`` acknowledged last
    ``group:<name>:tries``        hash    symbol -> how often its next event was tried; when again
    ``group:<name>:parked``       hash    sequence number -> a parked event's attempts, error
    ``group:<name>:waiting``      hash    symbol -> the parked event that it waits behind
    ``group:<name>:retries``      hash    sequence number -> symbol, of what is to be tried again
    ============================  ======  ======================================================

    Raises:
        InvalidInput: The portfolio's name is not 1 to 64 letters, digits, dots, dashes.
    """

    def __init__(self, portfolio: str) -> None:
        if not _NAME.fullmatch(portfolio):
            raise InvalidInput(
                f"portfolio: {portfolio!r:.80} is not a name",
                hint="1 to 64 letters, digits, dots, dashes or underscores, such as main",
            )
        self.portfolio = portfolio
        self.base = f"{_PREFIX}{{{portfolio}}}:"
        self.meta = self.base + "meta"
        self.revisions = self.base + "revisions"
        self.writers = self.base + "writers"
        self.feed = self.base + "feed"
        self.snapshots = self.base + "snapshots"

    def stream(self, symbol: str) -> str:
        """The stream of a symbol, or with an empty symbol that of the portfolio itself."""
        return f"{self.base}events:{symbol}" if symbol else self.base + "events"

    def snapshot(self, seq: int) -> str:
        """The snapshot at a sequence number."""
        return f"{self.base}snapshot:{seq}"

    def bucket(self, field: str) -> str:
        """The hash that an id of the whole portfolio is kept in.

        65,536 buckets keep the hashes small enough for the server's packed form: an id costs about
        its own length and a few bytes, for good.
        """
        return f"{self.base}ids:{hashlib.sha1(field.encode()).hexdigest()[:4]}"  # noqa: S324

    def place_of_commit(self, commit_id: str) -> tuple[str, str]:
        """The bucket and the field of a commit's id.

        The ids that a writer numbers itself, ``<writer>:<epoch>:<number>``, share a hash in blocks
        of 128, which costs a few bytes each.
        """
        numbered = _NUMBERED.fullmatch(commit_id)
        if numbered is None:
            return self.bucket(f"c:{commit_id}"), f"c:{commit_id}"
        run, number = numbered[1], int(numbered[2])
        return f"{self.base}ids:{run}:{number // 128}", str(number % 128)

    @staticmethod
    def type_of(key: str) -> str | None:
        """The type of a portfolio's key, in the server's words; ``None`` where it is none."""
        if not key.startswith(_PREFIX):
            return None
        return _TYPES.get(key.partition("}:")[2].partition(":")[0])

    @staticmethod
    def pattern() -> str:
        """What the ``meta`` keys of all portfolios match."""
        return f"{_PREFIX}{{*}}:meta"

    @staticmethod
    def portfolio_of(meta_key: str) -> str:
        """The portfolio whose ``meta`` key this is."""
        return meta_key[len(_PREFIX) + 1 : -len("}:meta")]
