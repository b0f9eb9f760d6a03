"""What came of each session: folded from the log, in one pass over it."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from ledger.accounts import Accounts, SymbolAccount
from ledger.amounts import ZERO, add, exact, subtract
from ledger.cli.state_fields import figure, unknown_figures
from ledger.event import Recorded
from ledger.evolve import step
from ledger.holdings import Balance
from ledger.state import PortfolioState
from ledger.sync_face import SyncLedger
from ledger.timeline import Session
from ledger.view import state_from_accounts

__all__ = ["Result", "results_of"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A session and its figures, in the base currency; ``None`` for what cannot be told.

    Attributes:
        symbols: Those that had an event in it.
        realized_pnl, fees: What the session added.
        unrealized_pnl: As of its end.
        drawdown: The largest fall of what was earned from its highest point; not negative.
        digest: Of the state at its end.
        unknown: Why figures cannot be told.
    """

    session: Session
    symbols: list[str]
    realized_pnl: Decimal | None
    unrealized_pnl: Decimal | None
    fees: Decimal | None
    drawdown: Decimal | None
    digest: str
    unknown: list[str]


def results_of(ledger: SyncLedger) -> list[Result]:
    """Fold every session of a portfolio.

    Raises:
        LedgerDamaged: Something that had to be read is not what was written.
    """
    return [_result(ledger, session) for session in ledger.sessions()]


def _result(ledger: SyncLedger, session: Session) -> Result:
    accounts = ledger.accounts(session.first_seq - 1)
    before = state_from_accounts(accounts, with_digest=False)
    curve = _Curve(accounts)
    symbols: set[str] = set()
    commit = ""
    with exact():
        for recorded in ledger.tail(after=session.first_seq - 1, until=session.last_seq):
            if recorded.commit != commit:
                curve.look()
                commit = recorded.commit
            step(accounts, recorded.event, recorded.seq)
            curve.changed(recorded)
            symbols.add(recorded.symbol)
        curve.look()
    after = state_from_accounts(accounts)
    unknown = unknown_figures(after)
    return Result(
        session=session,
        symbols=sorted(symbols - {""}),
        realized_pnl=_added(before, after, "realized_pnl"),
        unrealized_pnl=figure(after, "unrealized_pnl"),
        fees=_added(before, after, "fees"),
        drawdown=curve.drawdown,
        digest=after.digest,
        unknown=list(dict.fromkeys(unknown.values())),
    )


def _added(before: PortfolioState, after: PortfolioState, name: str) -> Decimal | None:
    first, last = figure(before, name), figure(after, name)
    return None if first is None or last is None else subtract(last, first)


class _Curve:
    """What was earned so far, kept up to date by the one account that an event changes.

    Attributes:
        drawdown: The largest fall so far; ``None`` once it could not be told.
    """

    def __init__(self, accounts: Accounts) -> None:
        self.drawdown: Decimal | None = ZERO
        self._accounts = accounts
        self._peak: Decimal | None = None
        self._totals: dict[str, Decimal] = {}
        self._earned: dict[str, dict[str, Decimal]] = {}
        for account in accounts.symbols.values():
            self._take(account)

    def changed(self, recorded: Recorded) -> None:
        """Take over the account of an event; inside ``exact()``."""
        if recorded.symbol:
            self._take(self._accounts.symbols[recorded.symbol])

    def _take(self, account: SymbolAccount) -> None:
        earned = {currency: ZERO - fee for currency, fee in account.fees.items()}
        if account.currency is not None:
            with exact():
                gained = account.realized_pnl + account.funding + account.unrealized_pnl
            earned[account.currency] = add(earned.get(account.currency, ZERO), gained)
        for currency, value in self._earned.get(account.symbol, {}).items():
            self._totals[currency] = subtract(self._totals[currency], value)
        for currency, value in earned.items():
            self._totals[currency] = add(self._totals.get(currency, ZERO), value)
        self._earned[account.symbol] = earned

    def look(self) -> None:
        """Look at the curve between two commits, where all of its figures belong together."""
        earned = self._in_base()
        if earned is None or self.drawdown is None:
            self.drawdown = None
            return
        if self._peak is None or earned > self._peak:
            self._peak = earned
        self.drawdown = max(self.drawdown, subtract(self._peak, earned))

    def _in_base(self) -> Decimal | None:
        portfolio = self._accounts.portfolio
        if not any(self._totals.values()):
            return ZERO
        if len(self._totals) == 1 and portfolio.base_currency in self._totals:
            return self._totals[portfolio.base_currency]
        return _converted(self._totals, self._accounts)


def _converted(totals: dict[str, Decimal], accounts: Accounts) -> Decimal | None:
    """Convert as the state does, by being one: what was earned as the cash of each currency."""
    state = state_from_accounts(Accounts(portfolio=accounts.portfolio), with_digest=False)
    state.balances = {name: Balance(deposited=value) for name, value in totals.items()}
    return figure(state, "total_balance")
