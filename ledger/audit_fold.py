"""Folding the log from nothing, and checking at every event what must hold of the figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from ledger.accounts import Accounts, OrderEntry, PortfolioAccount, Quarantine, SymbolAccount
from ledger.amounts import ZERO, exact, plain
from ledger.audit_positions import PositionAudit
from ledger.entry import Run
from ledger.errors import InvalidInput
from ledger.event import Event
from ledger.events import EventReversed
from ledger.evolve import step
from ledger.postings import Posting, postings
from ledger.problem import Problems
from ledger.view import state_from_accounts

__all__ = ["FoldAudit"]

# What an event that was never checked by an append can make of a computation.
_IMPOSSIBLE: Final = (
    LookupError,
    ArithmeticError,
    ValueError,
    TypeError,
    AttributeError,
    msgspec.MsgspecError,
)

Sums = dict[tuple[str, str], Decimal]
"""By account of the chart and currency."""


class FoldAudit:
    """Follows the runs of an audit in total order.

    The figures are compared after every event where ``is_full``, else at the end only.

    Args:
        problems: Where to put what is wrong.
        is_full: Whether to compare after every event.
        marks: The sequence numbers at which to note the digest.

    Attributes:
        accounts: As folded so far.
        digests: The digests at ``marks``.
        reversals: The reversals met, with their sequence numbers.
        posting_count: How many postings were made.
    """

    def __init__(
        self, problems: Problems, *, is_full: bool = False, marks: Iterable[int] = ()
    ) -> None:
        self._problems = problems
        self._is_full = is_full
        self._marks = set(marks)
        self._sums: dict[str, Sums] = {}
        self._positions = PositionAudit(problems)
        self.accounts = Accounts()
        self.digests: dict[int, str] = {}
        self.reversals: list[tuple[int, EventReversed]] = []
        self.posting_count = 0

    def take(self, runs: Sequence[Run]) -> None:
        """Fold the next events, and check."""
        with exact():
            for run in runs:
                for seq, event in enumerate(run.events, start=run.first_seq):
                    self._event(event, seq)
        if self._is_full and runs:
            self._check_views(self.accounts.seq)

    def close(self) -> None:
        """Compare all figures as they are at the end."""
        seq = self.accounts.seq
        with exact():
            self._check_account(self.accounts.portfolio, seq, {})
            for account in self.accounts.symbols.values():
                self._check_account(account, seq, account.orders)
        self._check_views(seq, is_last=True)
        self._check_balances(seq)

    def _event(self, event: Event, seq: int) -> None:
        accounts = self.accounts
        account = accounts.account(event.symbol)
        was_quarantined = account.quarantine is not None
        if not was_quarantined and (refusal := _refusal(event)):
            account.quarantine = Quarantine(seq=seq, type=event.type, rule="field", message=refusal)
        posted = self._posted(event) if account.quarantine is None else None
        self._fold(event, account, seq)
        if account.quarantine is not None:
            if not was_quarantined:
                reason = account.quarantine
                told = reason.message
                message = told if told.startswith(reason.type) else f"{reason.type}: {told}"
                self._problems.found(reason.rule, message, seq=seq, symbol=event.symbol)
        elif posted is None:
            message = f"{event.type} cannot be posted to the state before it"
            self._problems.found("posting", message, seq=seq, symbol=event.symbol)
        else:
            self._accept(event, account, posted, seq)
        if seq in self._marks:
            self.digests[seq] = accounts.digest()

    def _posted(self, event: Event) -> tuple[Posting, ...] | None:
        """The event's postings; ``None`` where the state before it allows for none."""
        try:
            return postings(self.accounts, event)
        except _IMPOSSIBLE:
            return None

    def _fold(self, event: Event, account: PortfolioAccount | SymbolAccount, seq: int) -> None:
        try:
            step(self.accounts, event, seq)
        except _IMPOSSIBLE as error:
            message = f"the event cannot be folded: {type(error).__name__}: {error}"
            account.quarantine = Quarantine(
                seq=seq, type=event.type, rule="unfoldable", message=message
            )
            step(self.accounts, event, seq)

    def _accept(
        self,
        event: Event,
        account: PortfolioAccount | SymbolAccount,
        posted: Sequence[Posting],
        seq: int,
    ) -> None:
        """Book the postings of an event that was folded, and compare."""
        if posted:
            self._book(event, posted, seq)
        if isinstance(event, EventReversed):
            self.reversals.append((seq, event))
        if isinstance(account, SymbolAccount):
            self._positions.take(event, account, seq)
        if self._is_full:
            self._check_account(account, seq, _orders_of(event, account))

    def _book(self, event: Event, posted: Sequence[Posting], seq: int) -> None:
        sums = self._sums.setdefault(event.symbol, {})
        totals: dict[str, Decimal] = {}
        for posting in posted:
            key = posting.account, posting.currency
            sums[key] = sums.get(key, ZERO) + posting.amount
            totals[posting.currency] = totals.get(posting.currency, ZERO) + posting.amount
        self.posting_count += len(posted)
        for currency, total in totals.items():
            if total:
                message = f"{event.type}: its postings sum to {plain(total)} {currency}, not 0"
                self._problems.found("posting", message, seq=seq, symbol=event.symbol)

    def _check_account(
        self,
        account: PortfolioAccount | SymbolAccount,
        seq: int,
        orders: Mapping[str, OrderEntry],
    ) -> None:
        """What was posted is what the fold has; inside ``exact()``."""
        if account.quarantine is not None:
            return
        symbol = account.symbol if isinstance(account, SymbolAccount) else ""
        figures = _figures(account)
        sums = self._sums.get(symbol, {})
        for key in {*figures, *sums}:
            if key[0] != "available" and figures.get(key, ZERO) != sums.get(key, ZERO):
                folded, posted = figures.get(key, ZERO), sums.get(key, ZERO)
                message = f"{key[0]} in {key[1]} is {plain(folded)}; its postings say"
                self._problems.found("figure", f"{message} {plain(posted)}", seq=seq, symbol=symbol)
        if isinstance(account, SymbolAccount):
            self._positions.check(account, orders, seq)
            for message in _impossible(account, orders):
                self._problems.found("negative", message, seq=seq, symbol=symbol)

    def _check_views(self, seq: int, *, is_last: bool = False) -> None:
        """The positions by id and by symbol are the same ones, and so are the orders."""
        state = state_from_accounts(self.accounts, with_digest=False)
        for what, flat, by_symbol in (
            ("positions", state.positions, state.per_symbol_positions),
            ("orders", state.orders, state.per_symbol_orders),
        ):
            pairs = [pair for items in by_symbol.values() for pair in items.items()]
            same = list(flat) == [key for key, _ in pairs] and len(dict(pairs)) == len(pairs)
            if not same or (is_last and any(flat[key] != item for key, item in pairs)):
                message = f"the two views of the {what} disagree: an id stands in two symbols"
                self._problems.found("view", message, seq=seq)

    def _check_balances(self, seq: int) -> None:
        """What is available is what the postings leave, and the cash is what they sum to."""
        state = state_from_accounts(self.accounts, with_digest=False)
        if state.quarantined:
            return  # their streams stand still, and no total is right
        left: dict[str, Decimal] = {}
        with exact():
            for sums in self._sums.values():
                for (name, currency), total in sums.items():
                    if name == "available":
                        left[currency] = left.get(currency, ZERO) + total
        for currency in sorted({*left, *state.balances}):
            balance = state.balances.get(currency)
            shown = balance.available if balance else ZERO
            if shown != left.get(currency, ZERO):
                message = f"available in {currency} is {plain(shown)}; its postings say "
                message += plain(left.get(currency, ZERO))
                self._problems.found("figure", message, seq=seq)


def _refusal(event: Event) -> str:
    """Why an event of these fields could not be made; empty where it could.

    Decoding trusts what was checked when it was appended, and so do the figures.
    """
    try:
        type(event)(**{name: getattr(event, name) for name in event.__struct_fields__})
    except InvalidInput as error:
        return error.message
    return ""


def _orders_of(event: Event, account: PortfolioAccount | SymbolAccount) -> Mapping[str, OrderEntry]:
    """The orders that an event can have changed: the one it names, or by a reversal any."""
    if not isinstance(account, SymbolAccount):
        return {}
    if isinstance(event, EventReversed):
        return account.orders
    order_id = getattr(event, "order_id", None)
    return {order_id: account.orders[order_id]} if order_id in account.orders else {}


def _figures(account: PortfolioAccount | SymbolAccount) -> Sums:
    """The figures of an account with the signs of the chart; inside ``exact()``."""
    if isinstance(account, PortfolioAccount):
        moved = {("external", currency): value for currency, value in account.withdrawn.items()}
        for currency, value in account.deposited.items():
            moved["external", currency] = moved.get(("external", currency), ZERO) - value
        return moved
    figures = {("fees", currency): value for currency, value in account.fees.items()}
    currency = account.currency or ""
    figures["tied_up", currency] = account.tied_up
    figures["reserved", currency] = account.reserved
    figures["realized", currency] = ZERO - account.realized_pnl
    figures["funding", currency] = ZERO - account.funding
    return figures


def _impossible(account: SymbolAccount, orders: Mapping[str, OrderEntry]) -> Iterable[str]:
    """Name what is negative and cannot be, and lots that are not their position's."""
    for key, entry in account.positions.items():
        if entry.quantity <= 0 or entry.cost < 0 or entry.value < 0:
            yield (
                f"position {key}: quantity {plain(entry.quantity)}, cost {plain(entry.cost)}, "
                f"value {plain(entry.value)}"
            )
        if entry.lots is not None:
            quantity = sum((lot.quantity for lot in entry.lots), ZERO)
            cost = sum((lot.cost for lot in entry.lots), ZERO)
            if (quantity, cost) != (entry.quantity, entry.cost):
                yield f"position {key}: its lots are {plain(quantity)} at a cost of {plain(cost)}"
    for key, order in orders.items():
        if not 0 <= order.filled <= order.quantity or order.reserve_price < 0:
            yield f"order {key}: {plain(order.filled)} of {plain(order.quantity)} is filled"
