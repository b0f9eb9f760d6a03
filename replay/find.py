"""When a condition over the state became true, and when it ceased to be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from ledger import Event, LedgerDamaged, MissingRate, NotFound, PortfolioState, Recorded
from replay.expressions import Expression, parse_expression
from replay.frames import Rows
from replay.history import History, When
from replay.live import LiveState

__all__ = ["Condition", "Turn", "find"]

Condition = str | Callable[[PortfolioState], bool]
"""An expression, or a function of the state; a state it is given is for reading at once."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A moment at which a condition became true, or ceased to be.

    Attributes:
        seq: The event that made it so; for a condition that held from the beginning of the
            stretch, the event before the first.
        became: What it became.
        event: That event; ``None`` at the beginning.
    """

    seq: int
    became: bool
    recorded_at: datetime | None = None
    occurred_at: datetime | None = None
    event: Event | None = None


def find(
    history: History, condition: Condition, since: When | None = None, until: When | None = None
) -> Rows[Turn]:
    """Evaluate a condition after every event of a stretch; return each of its turns in order.

    The first turn is to true; from there on they alternate.

    Raises:
        InvalidInput: The expression is not one.
        NotFound: It asks for a figure that there is not, or that no state of the stretch has.
    """
    first, last = history.span(since, until)
    live = history.live(first - 1)
    expression = (
        parse_expression(condition, history.symbols) if isinstance(condition, str) else None
    )
    holds = _reading(condition) if expression is None else expression.holds
    before = holds(live)
    turns = Rows([Turn(seq=first - 1, became=True)] if before else [])
    for recorded in history.events(first=first, last=last):
        live.evolve(recorded)
        if expression is not None and _is_unmoved(expression, recorded, live):
            continue
        now = holds(live)
        if now != before:
            turns.append(_turn(recorded, now))
            before = now
    if expression is not None:
        _check_told(expression, live)
    return turns


def _is_unmoved(expression: Expression, recorded: Recorded, live: LiveState) -> bool:
    """Whether an event cannot have changed the value of an expression."""
    if expression.is_about_money:
        return not live.moved_money
    return not expression.may_change_by(recorded.event)


def _turn(recorded: Recorded, became: bool) -> Turn:
    return Turn(
        seq=recorded.seq,
        became=became,
        recorded_at=recorded.recorded_at,
        occurred_at=recorded.occurred_at,
        event=recorded.event,
    )


def _reading(condition: Condition) -> Callable[[PortfolioState], bool]:
    """Call a function of the state; where a total cannot be told, its condition does not hold."""

    def holds(state: PortfolioState) -> bool:
        if isinstance(condition, str):
            raise TypeError("an expression is parsed, not called")
        try:
            return bool(condition(state))
        except (MissingRate, LedgerDamaged):
            return False

    return holds


def _check_told(expression: Expression, last: LiveState) -> None:
    """Refuse an expression that asks for something this stretch knows nothing of."""
    for path in expression.paths:
        if path.text in expression.told or path.root in ("symbol", "plain", "seq"):
            continue
        if path.root == "total":
            path.read(last)  # raises what is missing, if it still is
            continue
        raise NotFound(
            f"there is no figure {path.text!r} at any moment of this stretch",
            hint=f"pledger state -o json names the figures there are at #{last.seq}",
        )
