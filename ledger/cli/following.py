"""Writing the stream out while watching the clock, the count, and the reader of the pipe."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import click

from ledger.cli.failures import TERMINATED, TIMED_OUT
from ledger.cli.lines import json_line, raw_line, short_lines
from ledger.cli.place import Place
from ledger.cli.screen import Screen
from ledger.cli.spans import Selection, Stretch
from ledger.event import Recorded
from ledger.store import AsyncConnection, arun
from ledger.sync_face import SyncLedger
from ledger.tail import TailCore

__all__ = ["Follower"]


class Follower:
    """Writes the events of a stretch, and of what comes after it where ``follow`` says so.

    Attributes:
        position: The sequence number up to which everything that is meant was written.
    """

    def __init__(
        self,
        screen: Screen,
        ledger: SyncLedger,
        stretch: Stretch,
        selection: Selection,
        *,
        follow: bool,
        place: Place | None,
    ) -> None:
        self.position = stretch.after
        self._screen = screen
        self._ledger = ledger
        self._selection = selection
        self._place = place
        self._follow = follow
        self._is_closed = False
        self._is_terminated = False
        self._core = TailCore(
            ledger.keys,
            selection.symbols,
            after=stretch.after,
            until=None if follow else stretch.until,
            follow=follow,
        )

    async def follow(self, count: int | None, longest: timedelta | None) -> None:
        """Write until the end, ``count`` events, or for ``longest``.

        Raises:
            BrokenPipeError: The reader of stdout has gone.
            click.exceptions.Exit: With code 124, after ``longest``.
        """
        seconds = longest.total_seconds() if longest else None
        connection = self._ledger.store.aconnection()
        with _closing_watched(asyncio.current_task(), self), _termination_watched(self):
            try:
                async with asyncio.timeout(seconds):
                    await self._write_pages(connection, count)
            except TimeoutError:
                self._screen.note(f"stopped after {seconds:g} s")
                raise click.exceptions.Exit(TIMED_OUT) from None
            except asyncio.CancelledError:
                if self._is_closed:
                    raise BrokenPipeError from None
                if self._is_terminated:
                    raise click.exceptions.Exit(TERMINATED) from None
                raise
            finally:
                await connection.aclose()

    async def _write_pages(self, connection: AsyncConnection, count: int | None) -> None:
        left = count
        while (page := await arun(self._core.page(), connection)) is not None:
            found = [recorded for recorded in page if self._selection.has(recorded)][:left]
            self._write(found)
            left = None if left is None else left - len(found)
            if left == 0:
                self._come_to(found[-1].seq if found else self.position)
                return
            self._come_to(max(page[-1].seq if page else 0, self.position))
            await asyncio.sleep(0)  # a page may be there at once; a signal must get its turn
        self._come_to(max(self._core.position, self.position))

    def _write(self, found: list[Recorded]) -> None:
        form = self._screen.form
        if form == "short":
            self._screen.lines(short_lines(found, self._screen))
        else:
            self._screen.lines(map(json_line if form == "json" else raw_line, found))
        sys.stdout.flush()

    def _come_to(self, seq: int) -> None:
        self.position = seq
        if self._place is not None:
            self._place.write(seq)

    def closed(self, task: asyncio.Task[None]) -> None:
        """Take note that the reader of stdout has gone, and stop."""
        self._is_closed = True
        task.cancel()

    def terminated(self, task: asyncio.Task[None]) -> None:
        """Take note of SIGTERM, and stop."""
        self._is_terminated = True
        task.cancel()

    def tell_where_to_resume(self) -> None:
        """Say on stderr from where another run goes on, unless nobody reads any more."""
        if not self._is_closed and not isinstance(sys.exc_info()[1], BrokenPipeError):
            self._screen.note(f"resume with --after '#{self.position}'")


@contextlib.contextmanager
def _closing_watched(task: asyncio.Task[None] | None, follower: Follower) -> Iterator[None]:
    """Notice when the reader of a pipe goes although nothing is being written."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = sys.stdout.fileno()
        is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
    except (OSError, io.UnsupportedOperation):
        is_pipe = False
    if task is None or not is_pipe:
        yield
        return

    def gone() -> None:
        loop.remove_reader(descriptor)
        follower.closed(task)

    loop.add_reader(descriptor, gone)  # the writing end is readable only when it has broken
    try:
        yield
    finally:
        loop.remove_reader(descriptor)


@contextlib.contextmanager
def _termination_watched(follower: Follower) -> Iterator[None]:
    """Hear SIGTERM in the loop: raised amid a task it would leave that task's own complaint."""
    task = asyncio.current_task()
    if task is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)
    loop.add_signal_handler(signal.SIGTERM, follower.terminated, task)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)
