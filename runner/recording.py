"""What an exchange reports, as events: orders move by their reports, positions by their fills.

The functions here are pure. What is recorded already is seen from the accounts, so that reports
may come twice, late, or all over again after a restart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from ledger import (
    Accounts,
    Event,
    OrderAccepted,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderStatus,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    Recorded,
    TradeRefused,
    fold,
)
from ledger.amounts import subtract
from runner.exchange import Report, ReportKind

__all__ = ["events_from_reports", "strangers", "tried"]

_ENDINGS: Final[dict[ReportKind, type[OrderCancelled | OrderRejected | OrderExpired]]] = {
    ReportKind.CANCELLED: OrderCancelled,
    ReportKind.REJECTED: OrderRejected,
    ReportKind.EXPIRED: OrderExpired,
}
_ENDED: Final = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED}
)
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


def tried(accounts: Accounts, events: Sequence[Event]) -> Accounts:
    """Return accounts in which ``events`` have happened; those given stay as they are."""
    trial = Accounts(seq=accounts.seq, portfolio=accounts.portfolio, symbols=dict(accounts.symbols))
    for symbol in {event.symbol for event in events if event.symbol}:
        trial.account(symbol)  # a symbol never seen gets an empty account
        trial.symbols[symbol] = trial.symbols[symbol].fork(events)
    own = [event for event in events if event.symbol]
    return fold(
        (
            Recorded(
                seq=seq,
                revision=0,
                recorded_at=event.occurred_at or _LONG_AGO,
                event=event,
                commit="",
            )
            for seq, event in enumerate(own, start=accounts.seq + 1)
        ),
        trial,
    )


def strangers(accounts: Accounts, reports: Sequence[Report]) -> list[Report]:
    """Return the reports on orders that the accounts do not know, or no longer."""
    return [r for r in reports if _order_of(accounts, r) is None]


def events_from_reports(accounts: Accounts, reports: Sequence[Report]) -> list[Event]:
    """Return what the reports say that is not in the accounts yet, in their order.

    A fill moves its order, and in the next event the position that the order names: it opens,
    increases, reduces or closes it, and what is left of a fill that closes more than is open opens
    a position of its own. Fees stand on the fill.

    A report that the ledger's rules exclude, such as a fill of an order that was rejected, becomes
    a ``TradeRefused`` with the limit ``exchange-report`` and the rule it broke: it is to be seen,
    and must not keep the other reports out. Reports on unknown orders are left out; see
    :func:`strangers`.
    """
    found: list[Event] = []
    trial = accounts
    for report in reports:
        order = _order_of(trial, report)
        if order is None:
            continue
        events = list(_events(trial, report, order))
        after = tried(trial, events)
        broken = after.symbols[report.symbol].quarantine if events else None
        if broken is not None and trial.symbols[report.symbol].quarantine is None:
            events = [_refused(report, broken.message)]
            after = tried(trial, events)
        trial = after
        found += events
    return found


def _order_of(accounts: Accounts, report: Report) -> Any:
    account = accounts.symbols.get(report.symbol)
    return account.orders.get(report.client_order_id) if account else None


def _refused(report: Report, message: str) -> TradeRefused:
    return TradeRefused(
        symbol=report.symbol,
        occurred_at=report.occurred_at,
        trade_id=report.client_order_id,
        limit="exchange-report",
        reason=f"report {report.report_id} ({report.kind}) cannot be recorded: {message}",
    )


def _events(accounts: Accounts, report: Report, order: Any) -> Iterator[Event]:
    if report.kind is ReportKind.ACCEPTED:
        named = report.venue_order_id is not None and order.venue_order_id is None
        if order.status is OrderStatus.PENDING or (named and order.status is not _REJECTED):
            yield OrderAccepted(
                symbol=report.symbol,
                occurred_at=report.occurred_at,
                order_id=report.client_order_id,
                venue_order_id=report.venue_order_id,
            )
    elif report.kind is ReportKind.FILLED:
        if order.status is not OrderStatus.FILLED and report.trade_id not in order.fills:
            yield from _fill(accounts, report, order)
    elif order.status not in _ENDED:
        yield _ENDINGS[report.kind](
            symbol=report.symbol,
            occurred_at=report.occurred_at,
            order_id=report.client_order_id,
            reason=report.reason,
        )


_REJECTED: Final = OrderStatus.REJECTED


def _fill(accounts: Accounts, report: Report, order: Any) -> Iterator[Event]:
    if report.quantity is None or report.price is None or report.trade_id is None:
        raise TypeError(f"report {report.report_id} is not a fill")
    yield OrderFilled(
        symbol=report.symbol,
        occurred_at=report.occurred_at,
        order_id=report.client_order_id,
        trade_id=report.trade_id,
        quantity=report.quantity,
        price=report.price,
        fee=report.fee,
        fee_currency=report.fee_currency,
    )
    yield from _moves(accounts, report, order, report.quantity, report.price)


def _moves(
    accounts: Accounts, report: Report, order: Any, quantity: Decimal, price: Decimal
) -> Iterator[Event]:
    """Say what a fill does to the positions of its symbol."""
    account = accounts.symbols[report.symbol]
    position_id = order.position_id or report.client_order_id
    position = account.positions.get(position_id)
    stated: dict[str, Any] = {
        "symbol": report.symbol,
        "occurred_at": report.occurred_at,
        "order_id": report.client_order_id,
        "trade_id": order.trade_id,
    }
    if position is None:
        if position_id in account.closed:
            position_id = f"{report.client_order_id}.{report.trade_id}"
        opened = {**stated, "quantity": quantity, "entry_price": price, "side": order.side}
        yield PositionOpened(position_id=position_id, **opened)
    elif position.side is order.side:
        added = {**stated, "quantity": quantity, "entry_price": price}
        yield PositionIncreased(position_id=position_id, **added)
    elif quantity < position.quantity:
        reduced = {**stated, "quantity": quantity, "exit_price": price}
        yield PositionReduced(position_id=position_id, **reduced)
    else:
        yield PositionClosed(position_id=position_id, exit_price=price, **stated)
        rest = subtract(quantity, position.quantity)
        if rest:
            opened = {**stated, "quantity": rest, "entry_price": price, "side": order.side}
            turned = f"{report.client_order_id}.{report.trade_id}"
            yield PositionOpened(position_id=turned, **opened)
