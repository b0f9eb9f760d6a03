"""Opening a session by its name, in a store or in an export."""

from __future__ import annotations

from datetime import UTC, tzinfo
from pathlib import Path

from ledger import DEFAULT_STORE, NotFound, SyncLedger
from replay.history import History
from replay.session import SessionView

__all__ = ["open_session", "view"]

_EXPORTS = (".ndjson", ".ndjson.gz", ".parquet", ".csv")


def open_session(
    name: str | Path | None = None,
    *,
    store: str = DEFAULT_STORE,
    portfolio: str | None = None,
    clock: str | None = None,
    tz: tzinfo = UTC,
) -> SessionView:
    """Open a session to look back on; use it in ``with``.

    Args:
        name: A session; or a portfolio, for its last session; or the path of an export. By
            default the last session of the portfolio.
        store: Where the ledger is, as :meth:`ledger.Ledger.connect` takes it.
        portfolio: The portfolio the session is in, by default ``main``.
        clock: ``recorded`` or ``occurred``: which time moments mean; by default what the session
            declared.
        tz: The zone that times without one are read in.

    Raises:
        NotFound: There is no such session, or the portfolio has no events.
        StoreError: The store cannot be reached.
    """
    if name is not None and str(name).endswith(_EXPORTS):
        return open_session(None, store=f"file:{name}", portfolio=portfolio, clock=clock, tz=tz)
    text = None if name is None else str(name)
    ledger = SyncLedger.connect(store, portfolio=portfolio or "main")
    try:
        return view(ledger, text, clock=clock, tz=tz)
    except NotFound:
        ledger.close()
        if text is None or portfolio is not None:
            raise
        return _as_portfolio(text, store, clock, tz)
    except BaseException:
        ledger.close()
        raise


def _as_portfolio(name: str, store: str, clock: str | None, tz: tzinfo) -> SessionView:
    ledger = SyncLedger.connect(store, portfolio=name)
    try:
        if not ledger.head().seq:
            raise NotFound(
                f"there is no session and no portfolio {name!r} in {store}",
                hint="pledger sessions lists them",
            )
        return view(ledger, clock=clock, tz=tz)
    except BaseException:
        ledger.close()
        raise


def view(
    ledger: SyncLedger,
    session: str | None = None,
    *,
    clock: str | None = None,
    tz: tzinfo = UTC,
) -> SessionView:
    """Look at a session of an open ledger, by default the last one.

    Raises:
        NotFound: There is no such session, or the portfolio has no events.
    """
    if not ledger.head().seq:
        raise NotFound(
            f"portfolio {ledger.portfolio} has no events", hint="pledger demo records a session"
        )
    found = ledger.sessions()
    if session is None:
        return SessionView(History(ledger, found[-1] if found else None, clock=clock, tz=tz))
    for known in found:
        if known.session == session:
            return SessionView(History(ledger, known, clock=clock, tz=tz))
    names = ", ".join(known.session for known in found) or "none"
    raise NotFound(f"there is no session {session!r}", hint=f"known sessions: {names}")
