"""The runner's hold on the ledger: it appends, and keeps the accounts as the ledger has them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from time import monotonic
from typing import TypeVar

import msgspec

from ledger import (
    Accounts,
    Clock,
    Commit,
    Event,
    Ledger,
    Recorded,
    StoreUnavailable,
    Writer,
    fold,
)
from runner.figures import Count, Duration
from runner.metrics import MetricsCollector

__all__ = ["Journal"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_PAUSE_SECONDS = 0.5


class Journal:
    """One run of a writer, and the accounts of the portfolio as of its last confirmed commit.

    The accounts are folded from the ledger once, at the start, and then by each commit; what
    others appended in between shows as a gap in the sequence numbers and is read from the ledger.
    """

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        *,
        clock: Clock,
        metrics: MetricsCollector,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.ledger = ledger
        self.clock = clock
        self.accounts = Accounts()
        self._name = name
        self.metrics = metrics
        self._sleep = sleep
        self._stack = AsyncExitStack()
        self._writer: Writer | None = None
        self._number = 0
        self._applying = asyncio.Lock()

    async def open(self) -> None:
        """Take over the writer's name, which locks out its older runs, then fold the portfolio."""
        self._writer = await self._stack.enter_async_context(self.ledger.writer(self._name))
        self.accounts = await self.ledger.accounts()

    async def close(self) -> None:
        """Wait for what is being appended; idempotent."""
        await self._stack.aclose()

    async def append(self, events: Sequence[Event], *, commit_id: str | None = None) -> Commit:
        """Append one commit and evolve the accounts by it.

        While the store is away this waits and says so: the same commit is sent until the store
        has answered, so that it is recorded once.

        Raises:
            AppendRefused: A rule of the ledger excludes it, or a newer run has taken over.
            StoreRefused: The store does not let us.
        """
        if self._writer is None:
            raise RuntimeError("the journal is not open")
        now = self.clock()
        stated = [
            event if event.occurred_at else msgspec.structs.replace(event, occurred_at=now)
            for event in events
        ]
        if commit_id is None:
            self._number += 1
            commit_id = f"{self._name}/{self._writer.epoch}/{self._number}"
        began = monotonic()
        writer = self._writer
        commit = await self.insist(
            lambda: writer.append(stated, commit_id=commit_id), f"take commit {commit_id}"
        )
        self.metrics.observe(Duration.APPEND, monotonic() - began)
        self.metrics.count(Count.EVENTS_APPENDED, stated[0].symbol or None, len(stated))
        async with self._applying:
            await self._apply(commit, stated)
        return commit

    async def insist(self, call: Callable[[], Awaitable[T]], what: str) -> T:
        """Call the ledger until the store is there to answer, and say that we wait."""
        while True:
            try:
                return await call()
            except StoreUnavailable as error:
                log.warning("waiting for the store to %s: %s", what, error)
                self.metrics.count(Count.RECONNECTS)
                await self._sleep(_PAUSE_SECONDS)

    async def catch_up(self) -> None:
        """Take in what others have appended, such as a limit or a halt."""
        head = await self.insist(self.ledger.head, "say how far it is")
        async with self._applying:
            await self._read_up_to(head.seq)

    async def _read_up_to(self, seq: int) -> None:
        while seq > self.accounts.seq:
            await self.insist(lambda: self._read(seq), f"read up to #{seq}")

    async def _read(self, seq: int) -> None:
        async for recorded in self.ledger.tail(after=self.accounts.seq, until=seq):
            fold([recorded], self.accounts)

    async def _apply(self, commit: Commit, events: list[Event]) -> None:
        if commit.first_seq != self.accounts.seq + 1:
            await self._read_up_to(commit.seq)
            return
        taken = (
            Recorded(
                seq=seq,
                revision=0,
                recorded_at=commit.recorded_at,
                event=event,
                commit=commit.id,
                writer=self._name,
            )
            for seq, event in enumerate(events, start=commit.first_seq)
        )
        fold(taken, self.accounts)
