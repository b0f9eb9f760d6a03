"""The first event at which two histories, or two builds of the fold, part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, zip_longest
from typing import Final, TypeAlias

import msgspec

from ledger import Accounts, Recorded, evolve
from replay.history import History

__all__ = ["Divergence", "bisect"]

Step: TypeAlias = Callable[[Accounts, Recorded], None]

_TOGETHER: Final = 2_000


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where two histories part.

    Attributes:
        seq: The first event after which their digests differ.
        a, b: That event in each; ``None`` in a history that ends before it.
        digest_a, digest_b: The digests after it.
    """

    seq: int
    a: Recorded | None
    b: Recorded | None
    digest_a: str
    digest_b: str


def bisect(a: History, b: History, *, step: Step = evolve) -> Divergence | None:
    """Return the first event after which the digests of two histories differ, if any does.

    Stretches in which both have the same events are compared at their ends only; the others, and
    those that end differently, event by event.

    Args:
        a, b: Two histories; the same one twice compares two builds of the fold.
        step: The fold of ``b``: evolves accounts in place by one event.
    """
    accounts_a, accounts_b = Accounts(), Accounts()
    events_a, events_b = a.events(), b.events()
    while True:
        page_a, page_b = _page(events_a), _page(events_b)
        if not page_a and not page_b:
            return None
        start_a, start_b = _copied(accounts_a), _copied(accounts_b)
        for recorded in page_a:
            evolve(accounts_a, recorded)
        for recorded in page_b:
            step(accounts_b, recorded)
        if not _are_same(page_a, page_b) or accounts_a.digest() != accounts_b.digest():
            found = _first_apart(start_a, start_b, page_a, page_b, step)
            if found is not None:
                return found


def _page(events: Iterator[Recorded]) -> list[Recorded]:
    return list(islice(events, _TOGETHER))


def _copied(accounts: Accounts) -> Accounts:
    return msgspec.json.decode(msgspec.json.encode(accounts), type=Accounts)


def _are_same(a: Sequence[Recorded], b: Sequence[Recorded]) -> bool:
    return len(a) == len(b) and all(x.event == y.event for x, y in zip(a, b, strict=True))


def _first_apart(
    accounts_a: Accounts,
    accounts_b: Accounts,
    page_a: Sequence[Recorded],
    page_b: Sequence[Recorded],
    step: Step,
) -> Divergence | None:
    for a, b in zip_longest(page_a, page_b):
        if a is not None:
            evolve(accounts_a, a)
        if b is not None:
            step(accounts_b, b)
        digest_a, digest_b = accounts_a.digest(), accounts_b.digest()
        if digest_a != digest_b:
            seq = a.seq if a is not None else b.seq
            return Divergence(seq=seq, a=a, b=b, digest_a=digest_a, digest_b=digest_b)
    return None
