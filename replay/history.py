"""A history to look back on: the events of a portfolio, and the session that moments refer to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from itertools import chain
from typing import TypeAlias

from ledger import (
    Accounts,
    InvalidMoment,
    Moment,
    NotFound,
    PortfolioState,
    Recorded,
    Session,
    SyncLedger,
    evolve,
    parse_moment,
)
from replay.live import LiveState

__all__ = ["History", "When"]

When: TypeAlias = Moment | str | int
"""A moment of the grammar, such as ``"14:32:05"`` or ``"50%"``; a whole number is a sequence
number."""


class History:
    """The events of one portfolio, seen from one of its sessions.

    Args:
        ledger: An open ledger; it is only read.
        session: The session that moments refer to; ``None`` for the whole log of a portfolio
            that has none.
        clock: ``recorded`` or ``occurred``: which time moments mean. By default what the session
            declared.
        tz: The zone that times without one are read in.
    """

    def __init__(
        self,
        ledger: SyncLedger,
        session: Session | None,
        *,
        clock: str | None = None,
        tz: tzinfo = UTC,
    ) -> None:
        self.ledger = ledger
        self.tz = tz
        self._session = session
        self._clock = clock

    @property
    def session(self) -> Session | None:
        """The session as it is now: one that is still running reaches to the last event."""
        if self._session is not None and self._session.state != "ended":
            name = self._session.session
            self._session = next(s for s in self.ledger.sessions() if s.session == name)
        return self._session

    @property
    def name(self) -> str:
        """The session's name, or the portfolio's where there is no session."""
        return self.ledger.portfolio if self._session is None else self._session.session

    @property
    def clock(self) -> str:
        """Which time moments mean, ``recorded`` or ``occurred``."""
        declared = "recorded" if self._session is None else self._session.clock
        return self._clock or declared

    @property
    def first_seq(self) -> int:
        """The first event of the session."""
        return 1 if self._session is None else self._session.first_seq

    @property
    def last_seq(self) -> int:
        """The last event of the session, as of now."""
        session = self.session
        return self.ledger.head().seq if session is None else session.last_seq

    @property
    def symbols(self) -> list[str]:
        """The symbols that have events."""
        return sorted(name for name in self.ledger.head().symbols if name)

    def seq(self, when: When | None, *, default: int | None = None) -> int:
        """Return the sequence number that a moment stands for; by default the session's end.

        Raises:
            InvalidMoment: It is not a moment, or lies before the first event.
            NotFound: There is no such event.
        """
        if when is None:
            return self.last_seq if default is None else default
        if isinstance(when, int):
            return self._checked(when)
        moment = parse_moment(when) if isinstance(when, str) else when
        session = None if self._session is None else self._session.session
        found = self.ledger.resolve(moment, session=session, clock=self._clock, tz=self.tz)
        if found < self.first_seq and not str(moment).startswith("#"):
            raise InvalidMoment(
                f"{moment} is before the first event of {self.name}, #{self.first_seq}",
                hint=f"ask from {self._began()} on, or for #{found}",
            )
        return found

    def _checked(self, seq: int) -> int:
        last = self.ledger.head().seq
        if not 0 <= seq <= last:
            raise NotFound(
                f"there is no event #{seq}; the last one is #{last}",
                hint=f"name a sequence number from #0 to #{last}",
            )
        return seq

    def _began(self) -> str:
        session = self._session
        if session is None:
            return "#1"
        recorded = self.clock == "recorded"
        at = session.recorded_from if recorded else session.occurred_from
        return at.astimezone(self.tz).isoformat()

    def span(self, since: When | None, until: When | None) -> tuple[int, int]:
        """Return the first and the last event of a stretch; both moments belong to it.

        Raises:
            InvalidMoment: It runs backwards.
        """
        first = self.first_seq if since is None else max(self.seq(since), 1)
        last = self.seq(until)
        if first > last + 1:
            raise InvalidMoment(f"the stretch #{first} to #{last} runs backwards")
        return first, last

    def time_of(self, recorded: Recorded) -> datetime:
        """When an event was, by the clock that is meant."""
        return recorded.recorded_at if self.clock == "recorded" else recorded.occurred_at

    def events(self, *streams: str, first: int = 1, last: int | None = None) -> Iterator[Recorded]:
        """Read the events ``first`` to ``last`` of some streams, or of all, in the total order."""
        end = self.last_seq if last is None else last
        if first > end:
            return iter(())
        return chain.from_iterable(self.ledger.tail(*streams, after=first - 1, until=end).pages())

    def state(self, seq: int) -> PortfolioState:
        """Return the state after an event."""
        return self.ledger.state(seq)

    def accounts(self, seq: int, *streams: str) -> Accounts:
        """Return the fold's accounts after an event; of some streams only, from nothing."""
        if not streams:
            return self.ledger.accounts(seq)
        accounts = Accounts()
        for recorded in self.events(*streams, last=seq):
            evolve(accounts, recorded)
        return accounts

    def live(self, seq: int) -> LiveState:
        """Return a state after an event that can be taken on, event by event."""
        return LiveState(self.ledger.accounts(seq))
