"""What came of each session."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.accounts import Accounts
from ledger.errors import LedgerDamaged, MissingRate
from ledger.sync_face import SyncLedger
from ledger.timeline import Session
from replay.history import History
from replay.pnl import PnlRow, pnl

__all__ = ["Result", "results_of"]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A session and what it came to, in the base currency.

    Attributes:
        symbols: Those that had an event in it.
        figures: What it earned; ``None`` where that cannot be told.
        digest: Of the state at its end.
    """

    session: Session
    symbols: list[str]
    figures: PnlRow | None
    digest: str


def results_of(ledger: SyncLedger) -> tuple[list[Result], str]:
    """Return every session, and why figures cannot be told, if so.

    Raises:
        LedgerDamaged: Something that had to be read is not what was written.
    """
    found = ledger.sessions()
    rows, unknown = _figures(ledger)
    results = []
    for number, session in enumerate(found):
        before, after = ledger.accounts(session.first_seq - 1), ledger.accounts(session.last_seq)
        result = Result(
            session=session,
            symbols=_touched(before, after),
            figures=rows[number] if number < len(rows) else None,
            digest=after.digest(),
        )
        results.append(result)
    return results, unknown


def _figures(ledger: SyncLedger) -> tuple[Sequence[PnlRow], str]:
    try:
        return pnl(History(ledger, None), "session"), ""
    except MissingRate as error:
        return [], f"{error.message}; {error.hint}"
    except LedgerDamaged as error:
        if not ledger.state(with_digest=False).quarantined:
            raise
        return [], f"{error.message}; {error.hint}"


def _touched(before: Accounts, after: Accounts) -> list[str]:
    def revision(accounts: Accounts, name: str) -> int:
        return accounts.symbols[name].revision if name in accounts.symbols else 0

    return sorted(name for name in after.symbols if revision(after, name) != revision(before, name))
