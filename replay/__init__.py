"""Looking back on a portfolio: any moment, any figure, explained by the events that made it.

::

    import replay

    with replay.open("demo") as session:
        session.at("14:32:05").equity
        session.explain("positions.AAPL.realized_pnl")
        session.find("equity < 99000")

Nothing here writes to a ledger. All figures come from the one fold of :mod:`ledger`.
"""

from __future__ import annotations

from replay.bisect import Divergence
from replay.diff import Change, Difference, applied, changes
from replay.equity import EquityPoint
from replay.explain import Contribution, Explanation
from replay.expressions import Expression, parse_expression
from replay.figures import Figure, figures
from replay.find import Turn
from replay.frames import Rows, row_from
from replay.history import History
from replay.live import LiveState
from replay.opening import open_session as open  # noqa: A004
from replay.opening import view
from replay.orders import OrderLife, OrderStep
from replay.paths import read_figure
from replay.pnl import PnlRow
from replay.session import SessionView
from replay.timeline import EventRows
from replay.trades import Exit, Trade
from replay.whatif import Refusal, WhatIf

__all__ = [
    "Change",
    "Contribution",
    "Difference",
    "Divergence",
    "EquityPoint",
    "EventRows",
    "Exit",
    "Explanation",
    "Expression",
    "Figure",
    "History",
    "LiveState",
    "OrderLife",
    "OrderStep",
    "PnlRow",
    "Refusal",
    "Rows",
    "SessionView",
    "Trade",
    "Turn",
    "WhatIf",
    "applied",
    "changes",
    "figures",
    "open",
    "parse_expression",
    "read_figure",
    "row_from",
    "view",
]
