"""What would have been: a fold of the same events with something changed. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import structs

from ledger import (
    Accounts,
    Amount,
    CostBasisChosen,
    Event,
    EventReversed,
    NotFound,
    OrderFilled,
    PortfolioState,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    Recorded,
    RuleViolation,
    SymbolAccount,
    amount,
    check,
    exact,
    multiply,
    state_from_accounts,
)
from replay.diff import Change, changes
from replay.frames import Rows
from replay.history import History, When

__all__ = ["Refusal", "WhatIf", "what_if"]

CostBasis: TypeAlias = Literal["average", "fifo", "lifo"]

_MOVES: Final = (PositionOpened, PositionIncreased, PositionReduced, PositionClosed)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An event that is not possible any more, and was left out: which, and why."""

    seq: int
    type: str
    symbol: str
    rule: str
    reason: str


class WhatIf(msgspec.Struct, kw_only=True):
    """What happened, what would have been, and in what they differ.

    Attributes:
        before: The state as it was.
        after: The state as it would have been.
        changes: Every figure in which they differ.
        refused: The events that would not have been possible, in their order.
    """

    before: PortfolioState
    after: PortfolioState
    changes: Rows[Change]
    refused: Rows[Refusal]


def what_if(
    history: History,
    *,
    drop: Iterable[int] = (),
    replace: Mapping[int, Event] | None = None,
    insert: Mapping[int, Event | Sequence[Event]] | None = None,
    cost_basis: CostBasis | None = None,
    fee_rate: Amount | None = None,
    until: When | None = None,
) -> WhatIf:
    """Fold the history anew with something changed, up to a moment.

    Args:
        history: The history; it is only read.
        drop: Sequence numbers of events that did not happen.
        replace: By sequence number, what happened instead.
        insert: By sequence number, what happened right after it as well; 0 is before the first.
        cost_basis: The cost-basis method from the first event on.
        fee_rate: What every trade costs as a part of its value (``"0.001"`` is 10 basis points),
            in place of the fees that were paid.
        until: Up to which event; by default the end of the session.

    Raises:
        NotFound: There is no event with one of the numbers.
    """
    seq = history.seq(until)
    inserted = {at: _many(events) for at, events in (insert or {}).items()}
    for number in (*drop, *(replace or {}), *inserted):
        if not (number == 0 and number in inserted) and not 1 <= number <= seq:
            raise NotFound(f"there is no event #{number}", hint=f"name one from #1 to #{seq}")
    left_out = _left_out(history, {*drop}, {*(replace or {})}, seq)
    refold = _Refold(None if fee_rate is None else amount(fee_rate, "fee_rate"))
    start = [] if cost_basis is None else [CostBasisChosen(method=cost_basis)]
    for event in (*start, *inserted.get(0, ())):
        refold.take(0, event)
    last: Recorded | None = None
    for last in history.events(last=seq):
        is_chosen = cost_basis is not None and isinstance(last.event, CostBasisChosen)
        if last.seq not in left_out and not is_chosen:
            refold.take(last.seq, (replace or {}).get(last.seq, last.event))
        for event in inserted.get(last.seq, ()):
            refold.take(last.seq, event)
    return _compared(history.state(seq), refold, last)


def _left_out(history: History, dropped: set[int], replaced: set[int], seq: int) -> set[int]:
    """What was dropped; and what was reversed, with its reversal, as if it had not happened."""
    left_out = set(dropped)
    for recorded in history.events(last=seq):
        reversal = recorded.event
        if isinstance(reversal, EventReversed) and recorded.seq not in dropped | replaced:
            left_out |= {reversal.seq, recorded.seq}
    return left_out


def _compared(before: PortfolioState, refold: _Refold, last: Recorded | None) -> WhatIf:
    after = state_from_accounts(
        refold.accounts,
        recorded_at=last.recorded_at if last else None,
        occurred_at=last.occurred_at if last else None,
    )
    found = Rows(changes(before, after))
    return WhatIf(before=before, after=after, changes=found, refused=refold.refused)


def _many(events: Event | Sequence[Event]) -> list[Event]:
    return [events] if isinstance(events, Event) else list(events)


class _Refold:
    """Folds events that may not fit, and keeps which did not."""

    def __init__(self, fee_rate: Decimal | None) -> None:
        self.accounts = Accounts()
        self.refused: Rows[Refusal] = Rows()
        self._fee_rate = fee_rate

    def take(self, seq: int, event: Event) -> None:
        """Fold one event, or note why it is not possible."""
        try:
            check(self.accounts, self._charged(event), seq)
        except RuleViolation as refusal:
            self.refused.append(
                Refusal(
                    seq=seq,
                    type=event.type,
                    symbol=event.symbol,
                    rule=refusal.rule,
                    reason=refusal.message,
                )
            )

    def _charged(self, event: Event) -> Event:
        """Put the fee that the rate makes in place of the one that was paid."""
        if self._fee_rate is None or not isinstance(event, (OrderFilled, *_MOVES)):
            return event
        account = self.accounts.symbols.get(event.symbol) or SymbolAccount(symbol=event.symbol)
        if isinstance(event, OrderFilled):
            value = _value(account, event.quantity, event.price)
            return structs.replace(event, fee=multiply(value, self._fee_rate), fee_currency=None)
        order = account.orders.get(event.order_id or "")
        if order is not None and order.filled:
            return structs.replace(event, fee=None)  # the fill has paid
        value = _value(account, *_moved(event, account))
        return structs.replace(event, fee=multiply(value, self._fee_rate))


def _value(account: SymbolAccount, quantity: Decimal, price: Decimal) -> Decimal:
    with exact():
        return account.money(quantity, price)


def _moved(
    event: PositionOpened | PositionIncreased | PositionReduced | PositionClosed,
    account: SymbolAccount,
) -> tuple[Decimal, Decimal]:
    """The quantity and the price that a position moved by."""
    if isinstance(event, PositionClosed):
        position = account.positions.get(event.position_id)
        return (position.quantity if position else Decimal(0)), event.exit_price
    price = event.exit_price if isinstance(event, PositionReduced) else event.entry_price
    return event.quantity, price
