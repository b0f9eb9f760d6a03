"""A session played back: where it stands, and the ways to move through it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from ledger import EVENT_TYPES, InvalidInput, Recorded
from replay.history import History, When
from replay.live import LiveState
from replay.report_steps import described

__all__ = ["Player"]

_RECENT: Final = 50


class Player:
    """A place in a session that can be moved, with the state there.

    Args:
        history: The history; the player moves within its session.
        when: Where to begin; by default before the first event.

    Attributes:
        live: The state at the place; for reading only, and overtaken by the next move.
        recent: The last events up to the place, oldest first.
        last_seq: The last event of the session, as far as it had come when that was last needed.
    """

    def __init__(self, history: History, when: When | None = None) -> None:
        self.history = history
        self.first_seq = history.first_seq
        self.live: LiveState
        self.recent: deque[Recorded]
        self._ahead: Iterator[Recorded]
        self._stand(self.first_seq - 1 if when is None else history.seq(when))

    @property
    def seq(self) -> int:
        """The last event that has happened; one before the first where none has."""
        return self.live.seq

    @property
    def event(self) -> Recorded | None:
        """The last event that has happened."""
        return self.recent[-1] if self.recent else None

    def go_to(self, when: When) -> None:
        """Go to a moment; one outside of the session is brought to its nearer end.

        Raises:
            InvalidMoment, NotFound: It is none, or lies before the first event.
        """
        self._stand(self.history.seq(when))

    def move(self, by: int) -> None:
        """Go on by so many events, or back where that is negative; no further than the ends."""
        if by < 0:
            self._stand(self.seq + by)
            return
        for _ in range(by):
            recorded = next(self._ahead, None)
            if recorded is None:
                self.last_seq = self.history.last_seq  # one that runs may have come further
                self._ahead = self._events_ahead()
                recorded = next(self._ahead, None)
            if recorded is None:
                return
            self.live.evolve(recorded)
            self.recent.append(recorded)

    def next_of_type(self, name: str) -> bool:
        """Go to the next event of a type; tell whether there is one, and else stay.

        Raises:
            InvalidInput: There is no event type of that name.
        """
        known = {kind.lower(): kind for kind in EVENT_TYPES}
        wanted = known.get(name.lower())
        if wanted is None:
            near = [kind for low, kind in known.items() if name.lower() in low]
            if len(near) != 1:
                hint = f"one of: {', '.join(near or EVENT_TYPES)}"
                raise InvalidInput(f"there is no event type {name!r:.40}", hint=hint)
            wanted = near[0]
        return self._next(lambda found: found.type == wanted)

    def search(self, text: str) -> bool:
        """Go to the next event that says ``text``; tell whether there is one, and else stay."""
        wanted = text.lower()
        return self._next(
            lambda found: wanted in f"{found.type} {found.symbol} {described(found)}".lower()
        )

    def _next(self, is_wanted: Callable[[Recorded], bool]) -> bool:
        for recorded in self._events_ahead():
            if is_wanted(recorded):
                self._stand(recorded.seq)
                return True
        return False

    def _events_ahead(self) -> Iterator[Recorded]:
        return self.history.events(first=self.seq + 1, last=self.last_seq)

    def _stand(self, seq: int) -> None:
        self.last_seq = self.history.last_seq
        place = max(self.first_seq - 1, min(seq, self.last_seq))
        self.live = self.history.live(place)
        first = max(self.first_seq, place - _RECENT + 1)
        self.recent = deque(self.history.events(first=first, last=place), maxlen=_RECENT)
        self._ahead = self._events_ahead()
