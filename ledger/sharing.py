"""How the symbols of a group are shared: leases, reading from own checkpoints, settling.

A consumer holds a lease on each of its symbols and is the only one that handles their events. The
store's script gives leases out, a fair share to every consumer it hears of, and takes
acknowledgements only from who holds the lease. This module is the consumer's side, as steps.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Final

import msgspec

from ledger.entry import entry_from_reply, recorded_from_entry
from ledger.errors import InvalidInput, LedgerDamaged
from ledger.holds import GroupSettings, Handout, Hold, Relieved, group_keys
from ledger.keys import Keys
from ledger.live import LAST, entries_by_key
from ledger.store import GROUP, Command, Reply, Steps

__all__ = ["SharingCore"]

_ENTRIES: Final = 32
_RENEW_SECONDS: Final = 1.0
_OUTSTANDING_MS: Final = 10
_ENDED: Final = "its consumer ended while it handled the event"


class SharingCore:
    """A consumer of a group; what both faces share.

    Args:
        keys: The portfolio's keys.
        name: The group's name.
        consumer: The consumer's name; another process that takes it relieves this one.
        settings: How the group behaves.
        follow: Whether to wait for more events.
    """

    def __init__(
        self, keys: Keys, name: str, consumer: str, settings: GroupSettings, *, follow: bool
    ) -> None:
        self._stream = keys.stream
        self._keys = group_keys(keys, name)
        self._idle_key = self._keys[0] + ":idle"
        self._name = name
        self._consumer = consumer
        self._settings = settings
        self._follow = follow
        self._incarnation = ""
        self._after = 0
        self._renewed_at = -math.inf
        self._settled_count = 0
        self._holds: dict[str, Hold] = {}

    @property
    def symbols(self) -> list[str]:
        """The symbols that it holds now, sorted."""
        return sorted(self._holds)

    @property
    def is_idle(self) -> bool:
        """Whether nothing that it holds is under way."""
        return not any(hold.events or hold.in_hand for hold in self._holds.values())

    def _call(self, *arguments: str | int) -> Command:
        return (GROUP, len(self._keys), *self._keys, *arguments)

    def join(self) -> Steps[None]:
        """Enter the group, making it where it is new.

        Raises:
            InvalidInput: The group was made with other symbols.
        """
        wanted = self._settings
        symbols = "" if wanted.symbols is None else "\n".join(sorted(set(wanted.symbols)))
        lease, delay = round(wanted.lease_seconds * 1000), round(wanted.retry_seconds * 1000)
        skip = "1" if wanted.skip else ""
        options = (symbols, wanted.after, wanted.attempts, skip, lease, delay, self._name)
        (reply,) = yield [self._call("join", self._consumer, *options)]
        word, *rest = (part.decode() for part in reply)
        if word == "other":
            known = "all symbols" if rest[0] == "*" else ", ".join(rest[0].split("\n"))
            raise InvalidInput(
                f"group {self._name} shares {known}; other symbols were asked for",
                hint="leave the symbols out, or give the group another name",
            )
        self._incarnation, self._after = rest[0], int(rest[1])

    def leave(self, *, has_failed: bool) -> Steps[None]:
        """Give everything back; ``has_failed`` counts what is in hand as an attempt."""
        pairs: list[str | int] = []
        for symbol, hold in self._holds.items():
            if has_failed and hold.in_hand is not None and not hold.in_hand.is_retry:
                pairs += [symbol, hold.in_hand.attempt]
        self._holds = {}
        yield [self._call("leave", self._consumer, self._incarnation, *pairs)]

    def next(self) -> Steps[Handout | None]:
        """Return the next event to handle; ``None`` where there is none for now.

        Raises:
            Relieved: Another process has joined under this consumer's name.
            LedgerDamaged: An event is missing or was changed.
        """
        if time.monotonic() - self._renewed_at >= self._renew_seconds:
            yield from self._renew()
        task = yield from self._ready_task()
        if task is None:
            yield from self._read()
            task = yield from self._ready_task()
        return task

    @property
    def _renew_seconds(self) -> float:
        return min(self._settings.lease_seconds / 3, _RENEW_SECONDS)

    def _renew(self) -> Steps[None]:
        """Say that we live, take our share of the symbols and give up what is above it."""
        count = self._settled_count
        idle = [symbol for symbol, hold in self._holds.items() if hold.in_hand is None]
        self._renewed_at = time.monotonic()
        (reply,) = yield [self._call("renew", self._consumer, self._incarnation, *idle)]
        if reply[0] == b"relieved":
            raise self._relieved()
        kept: dict[str, Hold] = {}
        for parts in reply[1:]:
            symbol, token, checkpoint, tries, pause, waits, retries = (p.decode() for p in parts)
            hold = self._holds.get(symbol)
            is_released = hold is not None and hold.waits_for and not waits
            if hold is not None and hold.token == token and is_released:
                # What was decided meanwhile by us may not be known to this reply yet.
                hold = None if count == self._settled_count else hold
            if hold is None or hold.token != token:
                hold = Hold(symbol, token, checkpoint, self._after, tries)
                hold.due = time.monotonic() + int(pause) / 1000
                hold.waits_for = waits
            hold.retries = [int(seq) for seq in retries.split()]
            kept[symbol] = hold
        self._holds = kept

    def _relieved(self) -> Relieved:
        return Relieved(
            f"another process has joined group {self._name} as consumer {self._consumer}",
            hint="give every consumer of a group a name of its own",
        )

    def _ready_task(self) -> Steps[Handout | None]:
        """Take the earliest event that may be handed out now, or one that is to be retried."""
        for hold in self._holds.values():
            if hold.retries and hold.in_hand is None:
                return (yield from self._retried(hold))
        while ready := [hold for hold in self._holds.values() if hold.is_ready]:
            hold = min(ready, key=_next_seq)
            task = Handout(recorded=hold.events[0], token=hold.token, attempt=(hold.tries or 0) + 1)
            hold.in_hand = task
            if hold.tries is None or (yield from self._begin(hold, task)):
                hold.events.pop(0)
                return task
        return None

    def _begin(self, hold: Hold, task: Handout) -> Steps[bool]:
        """Note an attempt beforehand: should it end this process, it is known to be the reason."""
        (reply,) = yield [
            self._call("begin", self._consumer, hold.symbol, hold.token, task.attempt)
        ]
        if reply[0] == b"ok":
            return True
        if reply[0] == b"relieved":
            self._holds.pop(hold.symbol, None)
            return False
        hold.events.pop(0)
        hold.in_hand = spent = msgspec.structs.replace(task, attempt=task.attempt - 1)
        with contextlib.suppress(Relieved):  # then it is parked, or tried, where it is now
            yield from self.fail(spent, _ENDED)
        return False

    def _retried(self, hold: Hold) -> Steps[Handout | None]:
        seq = hold.retries.pop(0)
        (found,) = yield [("XRANGE", self._stream(hold.symbol), seq, "+", "COUNT", 1)]
        for reply in found:
            entry = entry_from_reply(hold.symbol, reply)
            for recorded in recorded_from_entry(entry):
                if recorded.seq == seq:
                    hold.in_hand = Handout(
                        recorded=recorded, token=hold.token, attempt=1, is_retry=True
                    )
                    return hold.in_hand
        raise LedgerDamaged(f"the log is damaged: parked event #{seq} is missing", seq=seq)

    def _read(self) -> Steps[None]:
        """Read on where nothing is left, waiting for events where there are none."""
        wanted = [hold for hold in self._holds.values() if hold.is_readable]
        streams = [self._stream(hold.symbol) for hold in wanted] or [self._idle_key]
        since = [f"{hold.read_seq}-{LAST}" for hold in wanted] or ["0-0"]
        wait = ("BLOCK", self._pause_ms())
        (reply,) = yield [("XREAD", "COUNT", _ENTRIES, *wait, "STREAMS", *streams, *since)]
        found = entries_by_key(reply)
        for hold in wanted:
            entries = found.get(self._stream(hold.symbol), ())
            if entries and self._holds.get(hold.symbol) is hold:
                hold.add(entries)

    def _pause_ms(self) -> int:
        """How long a read may wait: until the next renewal, or until a pause is over."""
        if not self._follow:
            return 1
        now = time.monotonic()
        moments = [self._renewed_at + self._renew_seconds]
        moments += [hold.due for hold in self._holds.values() if hold.events and hold.due > now]
        pause = max(1, int((min(moments) - now) * 1000) + 1)
        has_outstanding = any(hold.in_hand for hold in self._holds.values())
        return min(pause, _OUTSTANDING_MS) if has_outstanding else pause

    def ack(self, task: Handout) -> Steps[None]:
        """Acknowledge an event: its symbol moves on.

        Raises:
            Relieved: Another consumer has taken over; the event is handled there.
        """
        reply = yield from self._settle("ack", task)
        self._need_lease(reply, task)

    def fail(self, task: Handout, error: str) -> Steps[bool]:
        """Say that an event could not be handled; return whether it was parked for that.

        Raises:
            Relieved: Another consumer has taken over; the event is handled there.
        """
        kind = task.recorded.type
        reply = yield from self._settle("fail", task, task.attempt, kind, error[:2_000])
        hold = self._need_lease(reply, task)
        is_parked: bool = reply[0] == b"parked"
        if hold is None or task.is_retry:
            return is_parked
        if not is_parked:
            hold.events.insert(0, task.recorded)
            hold.tries = task.attempt
            hold.due = time.monotonic() + int(reply[1]) / 1000
        elif not self._settings.skip:
            hold.events = []
            hold.waits_for = str(task.recorded.seq)
        return is_parked

    def _settle(self, word: str, task: Handout, *more: str | int) -> Steps[Reply]:
        recorded = task.recorded
        place = (recorded.symbol, task.token, recorded.seq, recorded.revision)
        retried = "1" if task.is_retry else ""
        (reply,) = yield [self._call(word, self._consumer, *place, retried, *more)]
        self._settled_count += 1
        return reply

    def _need_lease(self, reply: Reply, task: Handout) -> Hold | None:
        """Return the hold that a settled event belonged to, with nothing in hand any more."""
        symbol = task.recorded.symbol
        hold = self._holds.get(symbol)
        if hold is not None and hold.in_hand is task:
            hold.in_hand = None
            if not task.is_retry:
                hold.tries = None
        else:
            hold = None
        if reply[0] == b"relieved":
            if hold is not None:
                del self._holds[symbol]
            raise Relieved(
                f"#{task.recorded.seq} of {symbol or 'the portfolio'} was not acknowledged: "
                f"another consumer of group {self._name} has taken over",
                hint="go on with the next; a lease must be longer than the longest handling",
            )
        return hold


def _next_seq(hold: Hold) -> int:
    return hold.events[0].seq
