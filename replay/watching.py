"""Watching figures while the fold goes on: which of them each event moved, and what they are now.

An event reaches few items: its own order, the positions of its symbol, one balance. Only those are
looked at, each is compared as a whole, and only where it differs its figures are. So an event costs
the same however many orders and symbols there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ledger import Accounts, Recorded, exact
from replay.figures import PLAIN, PORTFOLIO_MAPS
from replay.paths import FigurePath
from replay.valued import ValuedState
from replay.watched import Choice, Moved, WatchedFields
from replay.watched_money import WatchedMoney
from replay.watched_symbol import WatchedSymbol

__all__ = ["Watch"]


class Watch:
    """Watches figures while the fold goes on from some accounts.

    Args:
        accounts: The fold's accounts; from here on only this watch changes them.
        wanted: The figures to watch; by default all.
        before: The state that ``accounts`` stand for, over a twin of them: a figure moves when it
            is not what it was there. Without it, the first value of each figure counts as moved.

    Attributes:
        live: The state as it is now.
    """

    def __init__(
        self,
        accounts: Accounts,
        wanted: Iterable[FigurePath] | None = None,
        before: ValuedState | None = None,
    ) -> None:
        self._before = before
        self.live = ValuedState(accounts)
        self._choice = choice = Choice(wanted)
        maps = [name for name in PORTFOLIO_MAPS if choice.fields(name, (name,))]
        self._plain = (*choice.fields("plain", PLAIN), *maps)
        self._by_symbol = tuple(name for name in maps if name == "quarantined")
        self._counts = () if choice.is_all else choice.fields("seq", ("seq",))
        names = (*self._plain, *self._counts)
        known = {} if before is None else {name: getattr(before, name) for name in names}
        self._portfolio = WatchedFields("", maps, known)
        self._money = WatchedMoney(choice, before)
        self._symbols: dict[str, WatchedSymbol] = {}

    def follow(self, events: Iterable[Recorded], note: Callable[[Recorded, Moved], None]) -> None:
        """Go on by ``events``, and call ``note`` with each that moved a figure."""
        with exact():  # entered once, and not for every event
            for recorded in events:
                moved = self._evolved(recorded)
                if moved:
                    note(recorded, moved)

    def _evolved(self, recorded: Recorded) -> Moved:
        live, event = self.live, recorded.event
        symbol, quarantined = event.symbol, live.quarantined
        live.evolve_exactly(recorded)
        moved: Moved = {}
        if symbol and self._choice.has_symbol(symbol):
            own = self._symbols.get(symbol)
            if own is None:
                own = self._symbols[symbol] = WatchedSymbol(symbol, self._choice, self._before)
            own.see(live, event, moved)
        for name in self._by_symbol if symbol else self._plain:
            self._portfolio.see(name, getattr(live, name), moved)
        for name in self._counts:
            self._portfolio.see(name, live.seq, moved)
        if self._money.is_watched and live.moved_money:
            is_whole = not symbol or live.quarantined != quarantined
            self._money.see(live, event, moved, is_whole=is_whole)
        return moved
