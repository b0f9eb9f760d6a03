"""Why a figure is what it is: the events that made it, and what each of them contributed.

There is no second arithmetic: the one fold is taken event by event, and what an event contributed
is the figure after it less the figure before it. The contributions add up to the figure exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from ledger import PortfolioState, Recorded, add, subtract
from ledger.amounts import trimmed
from replay.figures import TOTALS, Figure, figures
from replay.frames import Rows
from replay.history import History, When
from replay.paths import FigurePath, Value, parse_path, read_figure
from replay.watched import Moved
from replay.watching import Watch

__all__ = ["Contribution", "Explanation", "explain", "explanations"]

_ZERO = Decimal(0)


class Contribution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
        return trimmed(total)

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
    return explanations(history, [text], at)[text]


def explanations(
    history: History, paths: Iterable[str] | None = None, at: When | None = None
) -> dict[str, Explanation]:
    """Explain many figures as of a moment, by default all, in one pass of the fold.

    Args:
        history: The history.
        paths: The figures; by default all that the state has then.
        at: The moment; by default the end of the session.

    Returns:
        What :func:`explain` returns for each, by its path as it was given.

    Raises:
        NotFound, MissingRate: As :func:`explain`.
    """
    seq = history.seq(at)
    state = history.ledger.state(seq, with_digest=False)
    if paths is None:
        wanted, values = None, figures(state)
        found = _Contributions(values)
    else:
        values = {text: read_figure(state, text) for text in paths}
        wanted = [_located(parse_path(text, state.symbols.keys()), state) for text in values]
        found = _Contributions(path.canonical for path in wanted)
    Watch(history.accounts(0), wanted).follow(_events(history, wanted, seq), found.note)
    made = [*found.rows] if wanted is None else [path.canonical for path in wanted]
    return {
        text: Explanation(path=text, seq=seq, value=value, contributions=found.rows[path])
        for (text, value), path in zip(values.items(), made, strict=True)
    }


def _located(path: FigurePath, state: PortfolioState) -> FigurePath:
    """Find the symbol of a position or order that was named by its id alone."""
    if path.symbol or not path.root.startswith("per_symbol"):
        return path
    by_symbol = getattr(state, path.root)
    return path._replace(symbol=next(name for name in by_symbol if path.key in by_symbol[name]))


def _events(history: History, wanted: Iterable[FigurePath] | None, seq: int) -> Iterator[Recorded]:
    """Read the events that some figures are folded from."""
    streams = [path.streams for path in wanted or ()]
    if not all(streams):
        streams = []  # some figure is folded from all
    return history.events(*sorted({name for names in streams for name in names}), last=seq)


class _Contributions:
    """Gathers what the events contributed to each of some figures."""

    def __init__(self, paths: Iterable[str]) -> None:
        self.rows: dict[str, Rows[Contribution]] = {path: Rows() for path in paths}
        self._known: dict[str, Value] = {}

    def note(self, recorded: Recorded, moved: Moved) -> None:
        """Note what an event did."""
        for path, after in moved.items():
            rows = self.rows.get(path)
            if rows is None or (after is None and path in TOTALS):
                continue  # a total that cannot be told takes up later where it was last known
            before = self._known.get(path)
            if after == before:
                continue
            self._known[path] = after
            made = _contribution(recorded, before, after)
            if made.amount is None or made.amount:  # that a figure began at 0 is no contribution
                rows.append(made)


def _contribution(recorded: Recorded, before: Value, after: Value) -> Contribution:
    amount = None
    if is_number(before) or is_number(after):
        amount = trimmed(subtract(Decimal(after or 0), Decimal(before or 0)))  # type: ignore[arg-type]
    return Contribution(
        recorded=recorded, amount=amount, before=_shown(before), after=_shown(after)
    )


def _shown(value: Value) -> Value:
    return trimmed(value) if isinstance(value, Decimal) else value
