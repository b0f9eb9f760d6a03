"""A paper exchange with a bad connection: requests and replies get lost, from a seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from ledger.errors import InvalidInput
from runner.exchange import ExchangeUnavailable, OrderRequest, Report
from runner.paper import PaperConfig, PaperExchange

__all__ = ["FaultyPaperExchange", "PaperFaults"]

T = TypeVar("T")


class PaperFaults(msgspec.Struct, frozen=True, kw_only=True):
    """What goes wrong between a runner and its paper exchange.

    Attributes:
        seed: Where the chance comes from; with the call, its order and its attempt it decides.
        lost_request_percent: Of how many calls in 100 the request never arrives.
        lost_reply_percent: Of how many calls in 100 the request arrives and the reply is lost.
        faults_per_call: How often the same call for the same order may fail; then it works.

    Raises:
        InvalidInput: A number is below 0, or the percentages are above 100 together.
    """

    seed: int = 0
    lost_request_percent: int = 0
    lost_reply_percent: int = 0
    faults_per_call: int = 1

    def __post_init__(self) -> None:
        """Refuse numbers that are no chance."""
        chances = (self.lost_request_percent, self.lost_reply_percent)
        if min(*chances, self.faults_per_call) < 0 or sum(chances) > 100:
            raise InvalidInput(
                f"faults: {chances[0]} and {chances[1]} in 100, {self.faults_per_call} per call:"
                " none may be below 0, nor the chances above 100 together"
            )


class FaultyPaperExchange(PaperExchange):
    """A paper exchange whose ``place``, ``cancel``, ``query`` and ``reports`` may fail.

    They raise :class:`~runner.exchange.ExchangeUnavailable`, before or after the account changed;
    which of the two, only the account tells. Attempts are counted anew in each process.
    """

    def __init__(
        self,
        config: PaperConfig,
        faults: PaperFaults,
        *,
        clock: Callable[[], datetime],
        path: str | Path | None = None,
        name: str = "paper",
    ) -> None:
        """Open the account as :class:`~runner.paper.PaperExchange` does."""
        super().__init__(config, clock=clock, path=path, name=name)
        self._faults = faults
        self._attempts: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    async def place(self, request: OrderRequest) -> Sequence[Report]:
        """Place an order, unless the request or its reply is lost."""
        place = super().place
        return await self._send(f"place:{request.client_order_id}", lambda: place(request))

    async def cancel(self, client_order_id: str) -> Sequence[Report]:
        """Cancel an order, unless the request or its reply is lost."""
        cancel = super().cancel
        return await self._send(f"cancel:{client_order_id}", lambda: cancel(client_order_id))

    async def query(self, client_order_id: str) -> Sequence[Report] | None:
        """Ask about an order, unless the request or its reply is lost."""
        query = super().query
        return await self._send(f"query:{client_order_id}", lambda: query(client_order_id))

    async def reports(self, after: int = 0) -> Sequence[Report]:
        """Return reports, unless the request or its reply is lost."""
        reports = super().reports
        return await self._send(f"reports:{after}", lambda: reports(after))

    async def _send(self, call: str, answer: Callable[[], Awaitable[T]]) -> T:
        drawn = self._draw(call)
        if drawn < self._faults.lost_request_percent:
            self._fail(call)
        reply = await answer()
        if drawn < self._faults.lost_request_percent + self._faults.lost_reply_percent:
            self._fail(call)
        return reply

    def _draw(self, call: str) -> int:
        """Return a number from 0 to 99, or 100 once the call has failed often enough."""
        self._attempts[call] += 1
        if self._failed[call] >= self._faults.faults_per_call:
            return 100
        text = f"{self._faults.seed}:{call}:{self._attempts[call]}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 100

    def _fail(self, call: str) -> None:
        self._failed[call] += 1
        raise ExchangeUnavailable(f"{self.name} did not answer {call}; it may have arrived or not")
