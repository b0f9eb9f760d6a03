"""What a runner is told: its name and pace, and the session it works in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, tzinfo
from decimal import Decimal
from typing import Literal

import msgspec

from ledger.errors import InvalidInput

__all__ = ["RunnerConfig", "SessionConfig"]


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The session a runner joins or starts.

    Attributes:
        session: The name of a session that is started; ``-2``, ``-3``, … is added where the
            portfolio has had one of that name.
        start: ``resume`` joins the open session, whatever its name, and starts one only where none
            is open; ``clean`` ends the open session and starts another. Positions belong to the
            portfolio: both go on with those that are open.
        cash: What is deposited by currency when the session is started and the portfolio has never
            seen a deposit in that currency.
        currencies: The quote currency of the symbols that are not in the base currency; registered
            when the session is started.
        rates: What one unit of the first currency is worth in the second, by ``"USDT/KRW"``;
            recorded when the session is started.
        limits: The risk limits that are set when the session is started, by symbol and name; those
            of the portfolio stand under ``""``.
    """

    session: str = "main"
    mode: Literal["paper", "live"] = "paper"
    base_currency: str = "USD"
    clock: Literal["recorded", "occurred"] = "recorded"
    start: Literal["resume", "clean"] = "resume"
    cash: Mapping[str, Decimal] = {}
    currencies: Mapping[str, str] = {}
    rates: Mapping[str, Decimal] = {}
    limits: Mapping[str, Mapping[str, Decimal]] = {}


class RunnerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a runner works.

    Attributes:
        name: The writer's name: a second runner of the same name locks this one out.
        symbols: What :meth:`~runner.live.LiveRunner.run_once` and ``run_forever`` work on.
        poll_interval_seconds: The pause of a symbol's loop after each pass.
        symbol_intervals: The pause of single symbols that keep another pace.
        max_runtime_seconds: After how long the loops end; ``None``: when they are stopped.
        day_zone: Where a trading day begins and ends, for the daily loss.
        place_attempts: How often a pass asks an exchange that does not answer.
        backoff_seconds: The pause before the second time; it doubles each time after.

    Raises:
        InvalidInput: No name, no symbol, or a number that makes no sense.
    """

    name: str
    symbols: tuple[str, ...]
    poll_interval_seconds: float = 1.0
    symbol_intervals: Mapping[str, float] = {}
    max_runtime_seconds: float | None = None
    day_zone: tzinfo = UTC
    place_attempts: int = 4
    backoff_seconds: float = 0.05

    def __post_init__(self) -> None:
        """Refuse what no runner can work by."""
        if not self.name or not self.symbols:
            raise InvalidInput("a runner needs a name, and at least one symbol to work on")
        if self.place_attempts < 1:
            raise InvalidInput(f"place_attempts: {self.place_attempts} is below 1")
        for field in ("poll_interval_seconds", "backoff_seconds"):
            if getattr(self, field) < 0:
                raise InvalidInput(f"{field}: {getattr(self, field)} is below 0")

    def interval(self, symbol: str) -> float:
        """Return the pause of a symbol's loop, in seconds."""
        return self.symbol_intervals.get(symbol, self.poll_interval_seconds)
