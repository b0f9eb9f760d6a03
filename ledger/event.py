"""What every event has, and what the store adds when it records one."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

import msgspec

from ledger.fields import ABSENT, CheckedMeta, Id, Symbol, When

__all__ = ["Event", "PortfolioEvent", "Recorded", "SymbolEvent"]


class Event(
    msgspec.Struct,
    metaclass=CheckedMeta,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="type",
    gc=False,
):
    """What every event has.

    Raises:
        InvalidEvent, InvalidAmount: On construction, naming the field, its value and the rule.
    """

    schema: ClassVar[int] = 1
    """The shape of this type's fields; older shapes are upcast when they are read."""

    symbol: Symbol = ""
    occurred_at: When = ABSENT
    cause: Id | None = None

    @property
    def type(self) -> str:
        """The name of the event's type, such as ``OrderFilled``."""
        return type(self).__name__


class PortfolioEvent(Event, frozen=True, kw_only=True, gc=False):
    """An event that concerns the whole portfolio; it has no symbol."""


class SymbolEvent(Event, frozen=True, kw_only=True, gc=False):
    """An event in one symbol's stream; ``symbol`` must be given."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An event with where and when the store recorded it.

    Attributes:
        seq: Its ordinal over the portfolio, from 1, without gaps.
        revision: Its ordinal within its symbol's stream, from 1, without gaps.
        recorded_at: When the store took it, in UTC; never runs backwards within a portfolio.
        commit: The id of the commit it was appended with.
        writer: Who appended it, or an empty text.
    """

    seq: int
    revision: int
    recorded_at: datetime
    event: Event
    commit: str
    writer: str = ""

    @property
    def symbol(self) -> str:
        """The symbol of the event; empty for one that concerns the whole portfolio."""
        return self.event.symbol

    @property
    def type(self) -> str:
        """The name of the event's type."""
        return self.event.type

    @property
    def occurred_at(self) -> datetime:
        """When it happened by the writer's clock; the recorded time where that was not said."""
        return self.event.occurred_at or self.recorded_at
