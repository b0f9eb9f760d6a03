"""What portfolio-wide events, limits, refusals, reversals, instruments and prices do."""

from __future__ import annotations

from ledger import rules
from ledger.accounts import Accounts, PortfolioAccount, SessionEntry, SymbolAccount
from ledger.amounts import ONE
from ledger.errors import InvalidEvent
from ledger.events import (
    CashDeposited,
    CashWithdrawn,
    CostBasisChosen,
    EventReversed,
    InstrumentRegistered,
    PriceMarked,
    RateMarked,
    RiskLimitSet,
    SessionEnded,
    SessionHalted,
    SessionStarted,
    TradeRefused,
)
from ledger.evolver import add_to, evolves
from ledger.reversal import take_back

__all__: list[str] = []


@evolves(SessionStarted)
def _(event: SessionStarted, account: PortfolioAccount, _all: Accounts, seq: int) -> None:
    rules.new_session(event, account)
    account.control_seq = seq
    account.base_currency = event.base_currency
    account.session_count += 1
    account.session = SessionEntry(
        session=event.session, mode=event.mode, clock=event.clock, started_seq=seq
    )


@evolves(SessionEnded)
def _(event: SessionEnded, account: PortfolioAccount, _all: Accounts, seq: int) -> None:
    rules.session_open(event, event.session, account)
    account.control_seq = seq
    account.session = None


@evolves(SessionHalted)
def _(event: SessionHalted, account: PortfolioAccount, _all: Accounts, seq: int) -> None:
    rules.session_open(event, event.session, account)
    account.session = rules.halted(event, account)
    account.control_seq = seq


@evolves(CostBasisChosen)
def _(event: CostBasisChosen, account: PortfolioAccount, _all: Accounts, seq: int) -> None:
    account.control_seq = seq
    # Positions keep the method under which they were opened.
    account.cost_basis = event.method


@evolves(CashDeposited)
def _(event: CashDeposited, account: PortfolioAccount, _all: Accounts, _seq: int) -> None:
    add_to(account.deposited, event.currency, event.amount)


@evolves(CashWithdrawn)
def _(event: CashWithdrawn, account: PortfolioAccount, _all: Accounts, _seq: int) -> None:
    add_to(account.withdrawn, event.currency, event.amount)


@evolves(RateMarked)
def _(event: RateMarked, account: PortfolioAccount, _all: Accounts, _seq: int) -> None:
    rules.two_currencies(event)
    account.rates[f"{event.from_currency}/{event.to_currency}"] = event.rate


@evolves(RiskLimitSet)
def _(event: RiskLimitSet, account: SymbolAccount, _all: Accounts, _seq: int) -> None:
    if event.value is None:
        account.limits.pop(event.limit, None)
    else:
        account.limits[event.limit] = event.value


@evolves(TradeRefused)
def _(_event: TradeRefused, account: SymbolAccount, _all: Accounts, _seq: int) -> None:
    account.refused_count += 1


@evolves(EventReversed)
def _(event: EventReversed, account: SymbolAccount, accounts: Accounts, seq: int) -> None:
    undo = rules.undo_of(event)
    try:
        take_back(account, undo)
    except InvalidEvent as error:
        raise rules.refuse(event, "undo-unfit", error.message) from None
    if not event.symbol:
        accounts.portfolio.control_seq = seq


@evolves(InstrumentRegistered)
def _(event: InstrumentRegistered, account: SymbolAccount, _all: Accounts, _seq: int) -> None:
    rules.same_instrument(event, account)
    account.registered = True
    account.currency = event.quote_currency
    account.base_currency = event.base_currency
    account.tick_size = event.tick_size
    account.lot_size = event.lot_size
    account.multiplier = event.multiplier


@evolves(PriceMarked)
def _(event: PriceMarked, account: SymbolAccount, _all: Accounts, _seq: int) -> None:
    account.mark = price = event.price
    if account.positions:
        unit = price if account.multiplier is None else account.money(ONE, price)
        for position in account.positions.values():
            position.value = position.quantity * unit
