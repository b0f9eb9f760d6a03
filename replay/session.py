"""A session to look back on: every question about the past, asked of one object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from ledger import Amount, Event, FoldedState, PortfolioState, Recorded
from replay.bisect import Divergence, bisect
from replay.diff import Difference, changes, diff
from replay.equity import EquityPoint, equity
from replay.explain import Explanation, explain, explanations
from replay.figures import figures
from replay.find import Condition, Turn, find
from replay.frames import Rows
from replay.history import History, When
from replay.notebook import html_from_state
from replay.orders import OrderLife, orders
from replay.pnl import PnlRow, pnl
from replay.timeline import EventRows, events, steps
from replay.trades import Trade, trades
from replay.verify import Verification, verify
from replay.whatif import CostBasis, WhatIf, what_if

__all__ = ["SessionView", "StateView"]


class StateView(FoldedState):
    """A :class:`ledger.PortfolioState` that shows itself in a notebook."""

    def _repr_html_(self) -> str:
        return html_from_state(self, figures(self))


class SessionView:
    """One session of a portfolio, or the whole log of one without sessions; only ever read.

    Moments are those of the grammar: ``"14:32:05"``, ``"-15m"``, ``"50%"``, ``"#1204"``, or a
    sequence number. A session that is still running reaches to the last event at each call.
    Use it in ``with``, or call :meth:`close`.
    """

    def __init__(self, history: History) -> None:
        self.history = history

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection; idempotent."""
        self.history.ledger.close()

    @property
    def name(self) -> str:
        """The session's name."""
        return self.history.name

    def __repr__(self) -> str:
        return f"<session {self.name}: #{self.history.first_seq} to #{self.history.last_seq}>"

    def at(self, when: When | None = None, *, seq: int | None = None) -> PortfolioState:
        """Return the state as of a moment (inclusive), by default the session's end.

        Raises:
            InvalidMoment: It is not a moment, or lies before the session's first event.
            NotFound: There is no such event.
        """
        state = self.history.state(self.history.seq(when if seq is None else seq))
        state.__class__ = StateView
        return state

    def step(self, when: When, by: int = 1) -> PortfolioState:
        """Return the state ``by`` events after a moment; before it, where ``by`` is negative."""
        return self.at(seq=self.history.seq(when) + by)

    def steps(
        self, since: When | None = None, until: When | None = None
    ) -> Iterator[tuple[Recorded, PortfolioState]]:
        """Go through a stretch event by event, each with the state after it.

        The state is the same object each time, for reading at once; ``frozen()`` gives one to keep.
        """
        return steps(self.history, since, until)

    def events(
        self,
        since: When | None = None,
        until: When | None = None,
        *,
        symbol: str | None = None,
        types: Iterable[str] = (),
        exclude_types: Iterable[str] = (),
    ) -> EventRows:
        """Return the events of a stretch, filtered; it knows how many there are without filter."""
        return events(
            self.history, since, until, symbol=symbol, types=types, exclude_types=exclude_types
        )

    def diff(
        self,
        a: When | SessionView | PortfolioState,
        b: When | SessionView | PortfolioState | None = None,
        *,
        with_events: bool = True,
    ) -> Difference:
        """Return what changed from ``a`` to ``b`` (by default the end), and by which events.

        Either may be a moment of this session, another session (its end), or a state. The events
        are named where both are moments of this session.
        """
        if not isinstance(a, (SessionView, PortfolioState)) and not isinstance(
            b, (SessionView, PortfolioState)
        ):
            return diff(self.history, a, b, with_events=with_events)
        before, after = self._state(a), self._state(b)
        return Difference(before=before, after=after, changes=Rows(changes(before, after)))

    def _state(self, what: When | SessionView | PortfolioState | None) -> PortfolioState:
        if isinstance(what, PortfolioState):
            return what
        return what.at() if isinstance(what, SessionView) else self.at(what)

    def explain(self, path: str, at: When | None = None) -> Explanation:
        """Return the events that made a figure; see :func:`replay.explain.explain`."""
        return explain(self.history, path, at)

    def explain_all(
        self, paths: Iterable[str] | None = None, at: When | None = None
    ) -> dict[str, Explanation]:
        """Explain many figures at once, by default all; see :func:`replay.explain.explanations`."""
        return explanations(self.history, paths, at)

    def find(
        self, condition: Condition, since: When | None = None, until: When | None = None
    ) -> Rows[Turn]:
        """Return each moment a condition became true or false; see :func:`replay.find.find`."""
        return find(self.history, condition, since, until)

    def what_if(
        self,
        *,
        drop: Iterable[int] = (),
        replace: Mapping[int, Event] | None = None,
        insert: Mapping[int, Event | Sequence[Event]] | None = None,
        cost_basis: CostBasis | None = None,
        fee_rate: Amount | None = None,
        until: When | None = None,
    ) -> WhatIf:
        """Fold anew with something changed; see :func:`replay.whatif.what_if`."""
        return what_if(
            self.history,
            drop=drop,
            replace=replace,
            insert=insert,
            cost_basis=cost_basis,
            fee_rate=fee_rate,
            until=until,
        )

    def bisect(self, other: SessionView) -> Divergence | None:
        """Return the first event after which the digests of two histories differ, if any."""
        return bisect(self.history, other.history)

    def verify(self, *, full: bool = False) -> Verification:
        """Prove the portfolio from its first event; see :func:`replay.verify.verify`."""
        return verify(self.history.ledger, full=full)

    def equity(
        self,
        every: str | None = None,
        *,
        points: int = 1_000,
        since: When | None = None,
        until: When | None = None,
    ) -> Rows[EquityPoint]:
        """Return the equity over time; see :func:`replay.equity.equity`."""
        return equity(self.history, every, points=points, since=since, until=until)

    def pnl(
        self,
        by: str = "symbol",
        *,
        every: str | None = None,
        since: When | None = None,
        until: When | None = None,
    ) -> Rows[PnlRow]:
        """Return what was earned, by bucket; see :func:`replay.pnl.pnl`."""
        return pnl(self.history, by, every=every, since=since, until=until)

    def trades(
        self, symbol: str | None = None, *, since: When | None = None, until: When | None = None
    ) -> Rows[Trade]:
        """Return the round trips; see :func:`replay.trades.trades`."""
        return trades(self.history, symbol, since=since, until=until)

    def orders(
        self,
        symbol: str | None = None,
        *,
        status: str | None = None,
        since: When | None = None,
        until: When | None = None,
    ) -> Rows[OrderLife]:
        """Return the orders with their life; see :func:`replay.orders.orders`."""
        return orders(self.history, symbol, status=status, since=since, until=until)
