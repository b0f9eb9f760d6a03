"""What an engine is: it looks at a snapshot and at the ledger's accounts, and says what to trade.

An engine remembers nothing that the ledger knows. What it needs of earlier prices it takes in
from ``observe``, so that after a restart it decides as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from ledger import Accounts
from runner.market import Snapshot

__all__ = ["Cancel", "Engine", "Leg", "Purpose", "Trade"]


class Purpose(StrEnum):
    """What a trade does to the positions of a portfolio."""

    OPEN = "open"
    INCREASE = "increase"
    REDUCE = "reduce"
    CLOSE = "close"

    @property
    def is_exit(self) -> bool:
        """Whether it only takes risk away: such a trade passes every limit, and a halt."""
        return self in (Purpose.REDUCE, Purpose.CLOSE)


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One order of a trade.

    Attributes:
        venue: Where to trade; ``None`` where the runner has one exchange.
        price: The limit; ``None`` at market.
        position_id: The open position that it changes; empty where it opens one.
    """

    symbol: str
    side: str  # "buy" or "sell"
    quantity: Decimal
    price: Decimal | None = None
    venue: str | None = None
    position_id: str = ""


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine wants traded, together: the next leg goes out when the one before has.

    Attributes:
        trade_id: The round trip it goes on with; empty where it opens one.
    """

    purpose: Purpose
    legs: tuple[Leg, ...]
    reason: str = ""
    trade_id: str = ""


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """A working order that an engine wants withdrawn."""

    symbol: str
    order_id: str


class Engine(Protocol):
    """Decides. It reads the accounts and changes nothing in them."""

    def observe(self, snapshot: Snapshot) -> None:
        """Take in a snapshot of the past without deciding on it."""

    def process_snapshot(self, snapshot: Snapshot, accounts: Accounts) -> Sequence[Trade | Cancel]:
        """Take in a snapshot and say what to do on it, in that order; often nothing."""
