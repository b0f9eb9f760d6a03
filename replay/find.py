"""When a condition over the state became true, and when it ceased to be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import msgspec

from ledger import Event, LedgerDamaged, MissingRate, PortfolioState, Recorded, exact
from replay.expressions import Expression, parse_expression
from replay.figures import figures
from replay.frames import Rows
from replay.history import History, When
from replay.live import LiveState
from replay.money import PRICES, RESERVES
from replay.paths import unknown_figure

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
    if isinstance(condition, str):
        expression = parse_expression(condition, history.symbols)
        turns = _turns_of_expression(history.events(first=first, last=last), live, expression)
        _check_told(expression, live)
        return turns
    return _turns_of_function(history.events(first=first, last=last), live, condition)


def _turns_of_expression(
    events: Iterable[Recorded], live: LiveState, expression: Expression
) -> Rows[Turn]:
    evaluate, is_about_money = expression.evaluate, expression.is_about_money
    least = RESERVES if expression.asks_reserves else PRICES
    before = bool(evaluate(live))
    turns = _begun(live.seq, before)
    with exact():  # entered once, and not for every event; an expression computes with nothing else
        for recorded in events:
            live.evolve_exactly(recorded)
            if is_about_money:
                if live.moved < least:
                    continue
            elif not expression.may_change_by(recorded.event):
                continue
            now = bool(evaluate(live))
            if now is not before:
                turns.append(_turn(recorded, now))
                before = now
    return turns


def _turns_of_function(
    events: Iterable[Recorded], live: LiveState, condition: Callable[[PortfolioState], bool]
) -> Rows[Turn]:
    before = _holds(condition, live)
    turns = _begun(live.seq, before)
    for recorded in events:
        live.evolve(recorded)
        now = _holds(condition, live)
        if now is not before:
            turns.append(_turn(recorded, now))
            before = now
    return turns


def _begun(seq: int, is_true: bool) -> Rows[Turn]:
    return Rows([Turn(seq=seq, became=True)] if is_true else [])


def _holds(condition: Callable[[PortfolioState], bool], state: PortfolioState) -> bool:
    """Call a function of the state; where a total cannot be told, its condition does not hold."""
    try:
        return bool(condition(state))
    except (MissingRate, LedgerDamaged):
        return False


def _turn(recorded: Recorded, became: bool) -> Turn:
    return Turn(
        seq=recorded.seq,
        became=became,
        recorded_at=recorded.recorded_at,
        occurred_at=recorded.occurred_at,
        event=recorded.event,
    )


def _check_told(expression: Expression, last: LiveState) -> None:
    """Refuse an expression that asks for something this stretch knows nothing of."""
    for path in expression.paths:
        if path.text in expression.told or path.root in ("symbol", "plain", "seq"):
            continue
        if path.root == "total":
            path.read(last)  # raises what is missing, if it still is
            continue
        raise unknown_figure(path.text, figures(last), " at any moment of this stretch")
