"""Each event as postings: what it moves from where to where, summing to zero in every currency.

The chart of accounts, with the sign of a posting as the change of that account:

=============  ===================================================================================
``available``  money that is free; may be negative
``tied_up``    the entry cost of open positions
``reserved``   what working orders hold back
``external``   the world outside: minus what was deposited, plus what was withdrawn
``realized``   income: minus the realized PnL
``fees``       expense: plus the fees
``funding``    income: minus the funding received
=============  ===================================================================================

So the sum over all accounts is always zero, and ``available`` is what is left of the cash. The
postings are computed from the event and the state before it, not by the evolvers: that both come
to the same figures is what verification checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from ledger.accounts import Accounts, OrderEntry, PositionEntry, SymbolAccount
from ledger.amounts import ZERO, exact
from ledger.cost_basis import release
from ledger.event import Event
from ledger.events import (
    CashDeposited,
    CashWithdrawn,
    EventReversed,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
)
from ledger.orders import OrderSide

__all__ = ["CHART", "Posting", "changes_by_key", "postings"]

CHART: Final = ("available", "tied_up", "reserved", "external", "realized", "fees", "funding")
"""The accounts that are posted to."""


class Posting(NamedTuple):
    """A change of one account in one currency, by an event of ``symbol`` (empty: none)."""

    account: str
    currency: str
    amount: Decimal
    symbol: str


Changes = Iterable[tuple[str, str, Decimal]]
"""Account other than ``available``, currency, change; what balances them is ``available``."""


def postings(accounts_before: Accounts, event: Event) -> tuple[Posting, ...]:
    """Return the postings of an event that the state before it can take.

    They sum to zero per currency and may be none: a mark or a limit moves no money.

    Args:
        accounts_before: The accounts after the event before; nothing in them is changed.
        event: The event that comes next.
    """
    post = _POST.get(type(event))
    if post is None:
        return ()
    account = accounts_before.symbols.get(event.symbol) or SymbolAccount(symbol=event.symbol)
    found: list[Posting] = []
    with exact():
        for name, currency, change in post(event, account, accounts_before):
            if change:
                found.append(Posting(name, currency, change, event.symbol))
                found.append(Posting("available", currency, ZERO - change, event.symbol))
    return tuple(found)


def _deposited(event: CashDeposited, _account: SymbolAccount, _all: Accounts) -> Changes:
    return [("external", event.currency, ZERO - event.amount)]


def _withdrawn(event: CashWithdrawn, _account: SymbolAccount, _all: Accounts) -> Changes:
    return [("external", event.currency, event.amount)]


def _currency(account: SymbolAccount, accounts: Accounts) -> str:
    return account.currency or accounts.portfolio.base_currency or ""


def _reserve(account: SymbolAccount, order: OrderEntry | None) -> Decimal:
    """What one order holds back."""
    if order is None or not order.status.is_working:
        return ZERO
    return account.money(order.quantity - order.filled, order.reserve_price)


def _placed(event: OrderPlaced, account: SymbolAccount, accounts: Accounts) -> Changes:
    position = account.positions.get(event.position_id) if event.position_id else None
    if position is not None and position.side is event.side.opposite:
        return []
    price = account.mark if event.price is None else event.price
    reserve = account.money(event.quantity, price or ZERO)
    return [("reserved", _currency(account, accounts), reserve)]


def _filled(event: OrderFilled, account: SymbolAccount, accounts: Accounts) -> Changes:
    order = account.orders[event.order_id]
    currency = _currency(account, accounts)
    released = ZERO
    if order.status.is_working:
        released = account.money(event.quantity, order.reserve_price)
    return [
        ("reserved", currency, ZERO - released),
        ("fees", event.fee_currency or currency, event.fee or ZERO),
    ]


def _amended(event: OrderAmended, account: SymbolAccount, accounts: Accounts) -> Changes:
    order = account.orders[event.order_id]
    price = order.reserve_price if event.price is None else event.price
    quantity = order.quantity if event.quantity is None else event.quantity
    held = ZERO if order.is_closing else account.money(quantity - order.filled, price)
    return [("reserved", _currency(account, accounts), held - _reserve(account, order))]


def _over(
    event: OrderCancelled | OrderRejected | OrderExpired,
    account: SymbolAccount,
    accounts: Accounts,
) -> Changes:
    held = _reserve(account, account.orders[event.order_id])
    return [("reserved", _currency(account, accounts), ZERO - held)]


def _entered(
    event: PositionOpened | PositionIncreased, account: SymbolAccount, accounts: Accounts
) -> Changes:
    currency = _currency(account, accounts)
    return [
        ("tied_up", currency, account.money(event.quantity, event.entry_price)),
        ("fees", currency, event.fee or ZERO),
    ]


def _left(
    event: PositionReduced | PositionClosed, account: SymbolAccount, accounts: Accounts
) -> Changes:
    position = account.positions[event.position_id]
    quantity = position.quantity if isinstance(event, PositionClosed) else event.quantity
    cost, _ = release(position, quantity)
    earned = account.money(quantity, event.exit_price) - cost
    if position.side is OrderSide.SELL:
        earned = ZERO - earned
    currency = _currency(account, accounts)
    return [
        ("tied_up", currency, ZERO - cost),
        ("realized", currency, ZERO - earned),
        ("fees", currency, event.fee or ZERO),
    ]


def _adjusted(event: PositionAdjusted, account: SymbolAccount, accounts: Accounts) -> Changes:
    return [("funding", _currency(account, accounts), ZERO - (event.funding or ZERO))]


def _reversed(event: EventReversed, account: SymbolAccount, accounts: Accounts) -> Changes:
    """Post the opposite of what the original contributed, as the reversal carries it."""
    undo = event.undo or {}
    currency = _currency(account, accounts)
    changes = [("tied_up", currency, change) for change in _costs(undo, account)]
    changes += [("reserved", currency, change) for change in _reserves(undo, account)]
    changes.append(("realized", currency, Decimal(undo.get("realized_pnl", 0))))
    changes.append(("funding", currency, Decimal(undo.get("funding", 0))))
    for name, account_name, sign in _MAPS:
        for key, growth in undo.get(name, {}).items():
            changes.append((account_name, key, sign * Decimal(growth)))
    return changes


_MAPS: Final = (
    ("fees", "fees", Decimal(-1)),
    ("deposited", "external", Decimal(1)),
    ("withdrawn", "external", Decimal(-1)),
)


def _costs(undo: Mapping[str, Any], account: SymbolAccount) -> Iterable[Decimal]:
    """How much each position's cost changes when ``undo`` is taken back."""
    for key, change in changes_by_key(undo.get("positions")):
        entry = account.positions.get(key)
        earlier = _earlier(entry, change, PositionEntry)
        yield (earlier.cost if earlier else ZERO) - (entry.cost if entry else ZERO)


def _reserves(undo: Mapping[str, Any], account: SymbolAccount) -> Iterable[Decimal]:
    """How much each order's reserve changes when ``undo`` is taken back."""
    for key, change in changes_by_key(undo.get("orders")):
        entry = account.orders.get(key)
        earlier = _earlier(entry, change, OrderEntry)
        yield _reserve(account, earlier) - _reserve(account, entry)


def changes_by_key(change: Any) -> Iterable[tuple[str, Any]]:
    """Yield the change of each item of a map; a map that was or became empty changed as a whole."""
    if isinstance(change, list):
        before, after = (part or {} for part in change)
        return [(key, [before.get(key), after.get(key)]) for key in {**before, **after}]
    return [] if change is None else list(change.items())


def _earlier(entry: Any, change: Any, kind: type[Any]) -> Any:
    """Return an order or position as it was before the change: ``[before, after]``, by field."""
    if isinstance(change, list):
        return None if change[0] is None else msgspec.convert(change[0], kind)
    fields = msgspec.to_builtins(entry)
    for name, part in change.items():
        before = part[0] if isinstance(part, list) else None
        if before is None:
            fields.pop(name, None)  # a map of fills: no money depends on it
        else:
            fields[name] = before
    return msgspec.convert(fields, kind)


_POST: Final[dict[type[Event], Callable[[Any, SymbolAccount, Accounts], Changes]]] = {
    CashDeposited: _deposited,
    CashWithdrawn: _withdrawn,
    EventReversed: _reversed,
    OrderAmended: _amended,
    OrderCancelled: _over,
    OrderExpired: _over,
    OrderFilled: _filled,
    OrderPlaced: _placed,
    OrderRejected: _over,
    PositionAdjusted: _adjusted,
    PositionClosed: _left,
    PositionIncreased: _entered,
    PositionOpened: _entered,
    PositionReduced: _left,
}
