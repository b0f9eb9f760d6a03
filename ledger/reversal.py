"""Taking an event back: what it contributed, what depends on it, and how an account forgets it.

The contribution of an event is the difference between its account without and with it, as plain
JSON: totals as amounts to subtract again, everything else as ``[without, with]``. It is stored in
the :class:`~ledger.events.EventReversed`, so that folding a reversal needs no look back.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final

import msgspec

from ledger.accounts import PortfolioAccount, SymbolAccount
from ledger.amounts import ZERO, plain, subtract
from ledger.errors import InvalidEvent
from ledger.event import Event, Recorded
from ledger.events import EventReversed

__all__ = ["contribution", "dependents", "take_back"]

_TOTALS: Final = frozenset(
    {
        "realized_pnl",
        "funding",
        "fees",
        "deposited",
        "withdrawn",
        "opened_count",
        "closed_count",
        "refused_count",
        "session_count",
    }
)
_OWN: Final = frozenset({"seq", "revision", "quarantine", "control_seq"})


def contribution(
    before: PortfolioAccount | SymbolAccount, after: PortfolioAccount | SymbolAccount
) -> dict[str, Any]:
    """Return what makes ``after`` out of ``before``, as plain JSON."""
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(after)
    changed: dict[str, Any] = {}
    for name in sorted({*old, *new} - _OWN):
        first, last = old.get(name), new.get(name)
        if first == last:
            continue
        if name in _TOTALS:
            changed[name] = _growth(first, last)
        else:
            changed[name] = _difference(first, last)
    return changed


def _growth(first: Any, last: Any) -> Any:
    """How much a total, or each of a map of totals, grew."""
    if isinstance(first, dict) or isinstance(last, dict):
        first, last = first or {}, last or {}
        return {
            key: _growth(first.get(key), last.get(key))
            for key in sorted({*first, *last})
            if first.get(key) != last.get(key)
        }
    if isinstance(first, int) or isinstance(last, int):
        return (last or 0) - (first or 0)
    return plain(subtract(Decimal(last or 0), Decimal(first or 0)))


def _difference(first: Any, last: Any) -> Any:
    """``[before, after]`` of a value, or such pairs for each key of a map that differs."""
    if isinstance(first, dict) and isinstance(last, dict):
        return {
            key: _difference(first.get(key), last.get(key))
            for key in sorted({*first, *last})
            if first.get(key) != last.get(key)
        }
    return [first, last]


def take_back(account: PortfolioAccount | SymbolAccount, undo: dict[str, Any]) -> None:
    """Change ``account`` in place to what it would be had the event not happened.

    Raises:
        InvalidEvent: ``undo`` is no contribution to this account, which is left as it was.
    """
    if strange := undo.keys() - set(account.__struct_fields__) | undo.keys() & _OWN:
        raise InvalidEvent(f"undo: an account has no {min(strange)!r:.80} to take back")
    plain_account = msgspec.to_builtins(account)
    try:
        for name, change in undo.items():
            back = _shrunk if name in _TOTALS else _restored
            _set(plain_account, name, back(plain_account.get(name), change))
        restored = msgspec.convert(plain_account, type(account))
    except (msgspec.ValidationError, ArithmeticError, LookupError, TypeError) as error:
        raise InvalidEvent(f"undo: it does not fit the account: {error}") from None
    for name in undo:
        value = getattr(restored, name)
        # What is over is forgotten in the order in which it ended.
        setattr(account, name, _by_seq(value) if name in ("done", "closed") else value)


def _by_seq(ended: dict[str, int]) -> dict[str, int]:
    return dict(sorted(ended.items(), key=itemgetter(1)))


def _set(mapping: dict[str, Any], key: str, value: Any) -> None:
    """Put a value, or leave the key out where there is none, as encoding does."""
    if value is None or value == {}:
        mapping.pop(key, None)
    else:
        mapping[key] = value


def _shrunk(total: Any, growth: Any) -> Any:
    if isinstance(growth, dict):
        result = dict(total or {})
        for key, part in growth.items():
            left = _shrunk(result.get(key), part)
            _set(result, key, None if Decimal(left) == ZERO else left)
        return result
    if isinstance(growth, int):
        return (total or 0) - growth
    return plain(subtract(Decimal(total or 0), Decimal(growth)))


def _restored(current: Any, change: Any) -> Any:
    if isinstance(change, list):
        return change[0]
    result = dict(current or {})
    for key, part in change.items():
        _set(result, key, _restored(result.get(key), part))
    return result


# What an event is about. A later event about the same thing depends on it: it was decided on a
# state that the earlier one made.
_SUBJECT: Final = ("order_id", "position_id", "session")


def _subjects(event: Event) -> set[tuple[str, str]]:
    return {(name, value) for name in _SUBJECT if (value := getattr(event, name, None)) is not None}


def dependents(original: Event, later: Iterable[Recorded]) -> list[int]:
    """Return the sequence numbers of the events of the same stream that depend on ``original``.

    ``later`` are the events of its stream after it. What was itself reversed does not count.
    """
    events = list(later)
    gone = {found.event.seq for found in events if isinstance(found.event, EventReversed)}
    subjects = _subjects(original)
    return [
        recorded.seq
        for recorded in events
        if recorded.seq not in gone
        and recorded.type != "EventReversed"
        and (
            subjects & _subjects(recorded.event)
            or original.type in ("InstrumentRegistered", "SessionStarted")
        )
    ]
