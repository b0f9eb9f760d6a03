"""Which cost leaves a position when some of its quantity does."""

from __future__ import annotations

from decimal import Decimal

from ledger.accounts import Lot, PositionEntry
from ledger.amounts import ZERO, share

__all__ = ["release"]


def release(position: PositionEntry, quantity: Decimal) -> tuple[Decimal, list[Lot] | None]:
    """Return the cost that ``quantity`` takes with it, and the lots that remain.

    Average cost takes its share of the whole; FIFO takes the oldest lots first and LIFO the newest,
    and only a lot that is taken in part is divided. Nothing is changed. ``quantity`` must not be
    above the position's. Call inside ``exact()``.
    """
    if position.lots is None:
        return share(position.cost, quantity, position.quantity), None
    released, left = ZERO, quantity
    lots = list(reversed(position.lots)) if position.lifo else list(position.lots)
    while left:
        lot = lots.pop(0)
        taken = min(lot.quantity, left)
        cost = share(lot.cost, taken, lot.quantity)
        released, left = released + cost, left - taken
        if taken < lot.quantity:
            lots.insert(0, Lot(lot.quantity - taken, lot.cost - cost))
    return released, list(reversed(lots)) if position.lifo else lots
