"""What order events do: they move the order along its state machine, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from ledger import rules
from ledger.accounts import SETTLED_KEPT, Accounts, OrderEntry, SymbolAccount
from ledger.amounts import ZERO
from ledger.events import (
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
)
from ledger.evolver import EVOLVERS, add_to, evolves
from ledger.orders import OrderStatus

__all__: list[str] = []

# Naming a member of an Enum by its class is a Python call each time.
_FILLED: Final = OrderStatus.FILLED


@evolves(OrderPlaced)
def _(event: OrderPlaced, account: SymbolAccount, accounts: Accounts, seq: int) -> None:
    if event.order_id in account.orders:
        rules.new_order(event, account)
    if account.currency is None:
        account.currency = rules.currency_of(event, account, accounts)
    is_closing = _is_closing(event, account)
    account.orders[event.order_id] = OrderEntry(
        side=event.side,
        quantity=event.quantity,
        price=event.price,
        reserve_price=ZERO if is_closing else _price_of(event.price, account),
        placed_seq=seq,
        is_closing=is_closing,
        placed_at=event.occurred_at,
        venue=event.venue,
        position_id=event.position_id,
        trade_id=event.trade_id,
    )


def _is_closing(event: OrderPlaced, account: SymbolAccount) -> bool:
    """Whether an order reduces the position it names; such an order reserves nothing."""
    if event.position_id is None:
        return False
    position = account.positions.get(event.position_id)
    return position is not None and position.side is not event.side


def _price_of(price: Decimal | None, account: SymbolAccount) -> Decimal:
    """What one unit of an order reserves: its limit, or at market the mark where there is one."""
    return (account.mark if price is None else price) or ZERO


@evolves(OrderAccepted)
def _(event: OrderAccepted, account: SymbolAccount, _all: Accounts, _seq: int) -> None:
    order, status = rules.moved_order(event, event.order_id, account)
    order.status = status
    if event.venue_order_id:
        order.venue_order_id = event.venue_order_id


@evolves(OrderFilled)
def _(event: OrderFilled, account: SymbolAccount, _all: Accounts, seq: int) -> None:
    order_id, quantity = event.order_id, event.quantity
    order, status = rules.moved_order(event, order_id, account)
    filled = order.filled + quantity
    is_whole = filled == order.quantity
    if order.fills or not is_whole:  # one trade that fills all of an order is within it
        rules.within_order(event, order_id, order, event.trade_id, filled)
    order.filled = filled
    order.filled_value += account.money(quantity, event.price)
    if event.fee:
        add_to(account.fees, event.fee_currency or account.currency or "", event.fee)
    if is_whole:
        if order.fills:
            order.fills = {}  # no further fill can come, so none must be told apart any more
        status = _FILLED
    else:
        order.fills[event.trade_id] = quantity
    _become(account, order_id, order, status, seq)


@evolves(OrderAmended)
def _(event: OrderAmended, account: SymbolAccount, _all: Accounts, seq: int) -> None:
    order, status = rules.moved_order(event, event.order_id, account)
    rules.amendable(event, order)
    if event.quantity is not None:
        order.quantity = event.quantity
    if event.price is not None:
        order.price = event.price
        order.reserve_price = ZERO if order.is_closing else event.price
    if order.filled == order.quantity:
        status = _FILLED
    _become(account, event.order_id, order, status, seq)


def _end_order(
    event: OrderCancelled | OrderRejected | OrderExpired,
    account: SymbolAccount,
    _all: Accounts,
    seq: int,
) -> None:
    order, status = rules.moved_order(event, event.order_id, account)
    order.reason = event.reason
    _become(account, event.order_id, order, status, seq)


EVOLVERS[OrderCancelled] = EVOLVERS[OrderRejected] = EVOLVERS[OrderExpired] = _end_order


def _become(
    account: SymbolAccount, order_id: str, order: OrderEntry, status: OrderStatus, seq: int
) -> None:
    """Give an order its status; of those that are done, keep the latest few."""
    order.status = status
    done = account.done
    if status.is_working or order_id in done:
        return
    done[order_id] = seq
    if len(done) > SETTLED_KEPT:
        oldest = next(iter(done))
        del done[oldest], account.orders[oldest]
