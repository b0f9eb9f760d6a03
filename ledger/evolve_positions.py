"""What position events do: what is open, what it cost, and what was earned."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from ledger import rules
from ledger.accounts import SETTLED_KEPT, Accounts, Lot, PositionEntry, SymbolAccount
from ledger.amounts import exact_quotient, plain, share, trimmed
from ledger.cost_basis import release
from ledger.events import (
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    split_ratio,
)
from ledger.evolver import add_to, evolves
from ledger.orders import OrderSide

__all__: list[str] = []

# Naming a member of an Enum by its class is a Python call each time.
_BUY: Final = OrderSide.BUY


@evolves(PositionOpened)
def _(event: PositionOpened, account: SymbolAccount, accounts: Accounts, seq: int) -> None:
    rules.new_position(event, account)
    if account.currency is None:
        account.currency = rules.currency_of(event, account, accounts)
    quantity = event.quantity
    _move(event, account, quantity)
    cost = account.money(quantity, event.entry_price)
    basis = accounts.portfolio.cost_basis
    account.positions[event.position_id] = PositionEntry(
        side=event.side,
        quantity=quantity,
        cost=cost,
        value=cost if account.mark is None else account.money(quantity, account.mark),
        opened_seq=seq,
        opened_at=event.occurred_at,
        lots=None if basis == "average" else [Lot(quantity, cost)],
        lifo=basis == "lifo",
        symbol_context=event.symbol_context,
        trade_id=event.trade_id,
    )
    account.opened_count += 1


@evolves(PositionIncreased)
def _(event: PositionIncreased, account: SymbolAccount, _all: Accounts, _seq: int) -> None:
    position = rules.open_position(event, event.position_id, account)
    _move(event, account, event.quantity)
    cost = account.money(event.quantity, event.entry_price)
    position.quantity = quantity = position.quantity + event.quantity
    position.cost += cost
    if account.mark is None:
        position.value += cost
    else:
        position.value = account.money(quantity, account.mark)
    if position.lots is not None:
        position.lots = [*position.lots, Lot(event.quantity, cost)]


@evolves(PositionReduced)
def _(event: PositionReduced, account: SymbolAccount, _all: Accounts, seq: int) -> None:
    position = rules.open_position(event, event.position_id, account)
    quantity = event.quantity
    rules.quantity_open(event, event.position_id, position, quantity)
    _move(event, account, quantity)
    _reduce(event, account, position, quantity, seq)


@evolves(PositionClosed)
def _(event: PositionClosed, account: SymbolAccount, _all: Accounts, seq: int) -> None:
    position = rules.open_position(event, event.position_id, account)
    _move(event, account, position.quantity)
    _reduce(event, account, position, position.quantity, seq)


def _reduce(
    event: PositionReduced | PositionClosed,
    account: SymbolAccount,
    position: PositionEntry,
    quantity: Decimal,
    seq: int,
) -> None:
    """Realize what ``quantity`` earned: its proceeds less its cost, or the reverse for a sell."""
    proceeds = account.money(quantity, event.exit_price)
    cost, lots = release(position, quantity)
    earned = proceeds - cost if position.side is _BUY else cost - proceeds
    total = account.realized_pnl + earned
    if quantity == position.quantity:
        # What was rounded off along the way is booked by now: mostly, only zeros are left of it.
        text = str(total)
        account.realized_pnl = trimmed(total) if text[-1] == "0" or "E" in text else total
        del account.positions[event.position_id]
        account.closed[event.position_id] = seq
        account.closed_count += 1
        if len(account.closed) > SETTLED_KEPT:
            del account.closed[next(iter(account.closed))]
        return
    account.realized_pnl = total
    if account.mark is None:
        # The share of the gain, not of the value: the lots that leave may have cost more or less.
        gain = position.value - position.cost
        position.value -= cost + share(gain, quantity, position.quantity)
    else:
        position.value = account.money(position.quantity - quantity, account.mark)
    position.quantity -= quantity
    position.cost -= cost
    position.lots = lots
    position.realized_pnl += earned


@evolves(PositionAdjusted)
def _(event: PositionAdjusted, account: SymbolAccount, _all: Accounts, _seq: int) -> None:
    position = rules.open_position(event, event.position_id, account)
    if event.split is not None:
        _split(event, event.split, position)
        # The old price is of the old share: whatever is opened next is valued at its own entry.
        account.mark = None
    if event.funding is not None:
        account.funding += event.funding
        position.funding += event.funding


def _split(event: PositionAdjusted, split: str, position: PositionEntry) -> None:
    """Multiply the quantity, lot by lot; cost and value are what they were."""
    new, old = map(Decimal, split_ratio(split))

    def after(quantity: Decimal) -> Decimal:
        result = exact_quotient(quantity * new, old)
        if result is None:
            raise rules.refuse(
                event,
                "split-inexact",
                f"{plain(quantity)} times {split} is not an exact quantity",
                hint="record what was paid for the fraction as a PositionReduced first",
            )
        return result

    lots = position.lots and [Lot(after(lot.quantity), lot.cost) for lot in position.lots]
    position.quantity = after(position.quantity)
    position.lots = lots


def _move(
    event: PositionOpened | PositionIncreased | PositionReduced | PositionClosed,
    account: SymbolAccount,
    quantity: Decimal,
) -> None:
    """Check a position event against its order's fills, and charge its fee."""
    order = account.orders.get(event.order_id) if event.order_id is not None else None
    if order is not None:
        order.moved = rules.within_fills(event, order, quantity)
    if event.fee:
        add_to(account.fees, account.currency or "", event.fee)
