"""What venues say on a WebSocket, turned into books: one dialect per venue, all pure.

A dialect knows how to ask for symbols and how to read what comes back. It opens no connection,
reads no clock, and keeps nothing between two messages. Prices and sizes are taken exactly as the
venue wrote them, whether it wrote strings or JSON numbers; no float is ever involved.
"""

from __future__ import annotations

from runner.dialects.base import BadMessage, Dialect, SequencedBook
from runner.dialects.binance import BinanceDialect
from runner.dialects.neutral import NeutralDialect
from runner.dialects.upbit import UpbitDialect

__all__ = [
    "BadMessage",
    "BinanceDialect",
    "Dialect",
    "NeutralDialect",
    "SequencedBook",
    "UpbitDialect",
]
