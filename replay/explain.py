"""Why a figure is what it is: the events that made it, and what each of them contributed.

There is no second arithmetic: the one fold is taken event by event, and what an event contributed
is the figure after it less the figure before it. The contributions add up to the figure exactly.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ledger import (
    LedgerDamaged,
    MissingRate,
    PortfolioState,
    Recorded,
    add,
    subtract,
)
from replay.figures import Figure
from replay.frames import Rows
from replay.history import History, When
from replay.live import LiveState
from replay.paths import FigurePath, Value, parse_path, read_figure

__all__ = ["Contribution", "Explanation", "explain"]

_ZERO = Decimal(0)


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """What one event did to a figure.

    Attributes:
        recorded: The event.
        amount: By how much it changed the figure; ``None`` where that is no number.
        before, after: The figure before and after it; ``None`` where there was none.
    """

    recorded: Recorded
    amount: Decimal | None
    before: Figure | None
    after: Figure | None

    @property
    def seq(self) -> int:
        """The event's sequence number."""
        return self.recorded.seq


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """A figure, and the events that made it in their order.

    Attributes:
        path: The figure's path.
        seq: The moment it is explained at.
        value: What it is then.
        contributions: For a number they add up to ``value``; otherwise they are the changes, and
            the last one is what made it what it is.
    """

    path: str
    seq: int
    value: Figure
    contributions: Rows[Contribution]

    @property
    def total(self) -> Decimal | None:
        """The sum of the contributions; ``None`` where the figure is no number."""
        if not is_number(self.value):
            return None
        total = _ZERO
        for contribution in self.contributions:
            total = add(total, contribution.amount or _ZERO)
        return total

    @property
    def made_by(self) -> Contribution | None:
        """The last event that changed it; ``None`` for a figure that no event has."""
        return self.contributions[-1] if self.contributions else None

    def _repr_html_(self) -> str:
        return self.contributions._repr_html_()


def is_number(value: object) -> bool:
    """Whether a figure is an amount or a count."""
    return isinstance(value, Decimal | int) and not isinstance(value, bool)


def explain(history: History, text: str, at: When | None = None) -> Explanation:
    """Explain one figure as of a moment, by default the end of the session.

    The contributions reach back to the first event of the portfolio. A total that could not be
    told for a while, because a rate was missing, takes up where it was last known.

    Raises:
        NotFound: There is no such figure at that moment; the hint names the nearest ones.
        MissingRate: The total needs a rate that is not recorded.
    """
    seq = history.seq(at)
    state = history.state(seq)
    value = read_figure(state, text)
    path = _located(parse_path(text, state.symbols.keys()), state)
    found = _contributions(history, path, seq)
    return Explanation(path=text, seq=seq, value=value, contributions=found)


def _located(path: FigurePath, state: PortfolioState) -> FigurePath:
    """Find the symbol of a position or order that was named by its id alone."""
    if path.symbol or not path.root.startswith("per_symbol"):
        return path
    by_symbol = getattr(state, path.root)
    return path._replace(symbol=next(name for name in by_symbol if path.key in by_symbol[name]))


def _contributions(history: History, path: FigurePath, seq: int) -> Rows[Contribution]:
    live = LiveState(history.accounts(0))
    is_money = path.root in ("total", "balances")
    found: Rows[Contribution] = Rows()
    before: Value = None
    for recorded in history.events(*path.streams, last=seq):
        live.evolve(recorded)
        if not (live.moved_money if is_money else path.may_change_by(recorded.event)):
            continue
        try:
            after = path.read(live)
        except (MissingRate, LedgerDamaged):
            continue  # it cannot be told here; what comes takes up where it was last known
        if after == before:
            continue
        made = _contribution(recorded, before, after)
        if made.amount is None or made.amount:  # that a figure began at 0 is no contribution
            found.append(made)
        before = after
    return found


def _contribution(recorded: Recorded, before: Value, after: Value) -> Contribution:
    amount = None
    if is_number(before) or is_number(after):
        amount = subtract(Decimal(after or 0), Decimal(before or 0))  # type: ignore[arg-type]
    return Contribution(recorded=recorded, amount=amount, before=before, after=after)
