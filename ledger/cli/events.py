"""``pledger events``: the events of a range, of some types, of a symbol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import click

from ledger.cli.call import Call
from ledger.cli.figures import counted
from ledger.cli.group import command
from ledger.cli.lines import EVENT_COLUMNS, event_row, json_line, moment_line, short_lines
from ledger.cli.parameters import EVENT_TYPE, RANGE, clock_option
from ledger.cli.spans import Selection, Stretch, backwards, stretch_of
from ledger.errors import NotFound
from ledger.event import Recorded
from ledger.moments import MomentRange
from ledger.sync_face import SyncLedger

__all__ = ["events", "require_symbols", "write_events"]

_PAGE = 1_000


@command(
    "events",
    examples="""
    pledger events
    pledger events -n 20 -r
    pledger events -15m.. --symbol AAPL
    pledger events '#1200..#1300' -o json
    pledger events 25%..50% --type OrderFilled --type PositionClosed
    """,
)
@click.argument("moments", metavar="[A..B]", type=RANGE, required=False)
@click.option("--type", "types", type=EVENT_TYPE, multiple=True, help="Only this type; repeatable.")
@click.option(
    "--exclude-type", type=EVENT_TYPE, multiple=True, help="All but this type; repeatable."
)
@click.option("--symbol", "symbols", multiple=True, metavar="X", help="Only it; repeatable.")
@click.option("--session", metavar="NAME", help="Of this session; moments are resolved in it.")
@click.option("-n", "limit", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
@click.option("-r", "reverse", is_flag=True, help="The newest first.")
@clock_option
def events(
    call: Call,
    moments: MomentRange | None,
    types: Sequence[str],
    exclude_type: Sequence[str],
    symbols: Sequence[str],
    session: str | None,
    limit: int | None,
    reverse: bool,
    clock: str | None,
) -> None:
    """List events in the order they were recorded.

    A range A..B is half-open: B is the first moment left out. Without one, all events are listed.
    How many of how many were shown stands on stderr, with the moment the answer stands for.
    """
    selection = Selection(frozenset(types), frozenset(exclude_type), tuple(symbols))
    with call.ledger() as ledger:
        last = ledger.head()
        require_symbols(symbols, last.symbols)
        whole = moments or MomentRange(None, None)
        stretch = stretch_of(call, ledger, whole, session=session, clock=clock)
        count = _Count()
        write_events(call, _selected(ledger, stretch, selection, limit, reverse, count))
        call.screen.note(count.told(last.seq, limit))
        call.screen.note(moment_line(ledger.state(stretch.until), call.screen))


class _Count:
    """How many events matched, and how many of them were shown."""

    def __init__(self) -> None:
        self.matching = 0
        self.shown = 0

    def told(self, total: int, limit: int | None) -> str:
        """Say it, as in ``412 of 12,431 events``."""
        text = f"{self.shown:,} of {counted(total, 'event')}"
        cut = self.shown < self.matching
        return f"{text} ({self.matching:,} match, -n {limit:,})" if cut and limit else text


def _selected(
    ledger: SyncLedger,
    stretch: Stretch,
    selection: Selection,
    limit: int | None,
    reverse: bool,
    count: _Count,
) -> Iterator[Recorded]:
    """Yield what is to be shown, and count everything that matches."""
    found = _forwards(ledger, stretch, selection)
    if reverse or limit is not None:
        found = (r for page in backwards(ledger, stretch, selection) for r in page)
    kept: Iterator[Recorded] = islice(found, limit)
    if limit is not None and not reverse:
        kept = iter(list(kept)[::-1])
    for recorded in kept:
        count.shown += 1
        yield recorded
    if selection.is_everything:
        count.matching = stretch.event_count
    else:
        count.matching = count.shown + sum(1 for _ in found)


def _forwards(ledger: SyncLedger, stretch: Stretch, selection: Selection) -> Iterator[Recorded]:
    page = ledger.tail(*selection.symbols, after=stretch.after, until=stretch.until)
    return (recorded for recorded in page if selection.has(recorded))


def require_symbols(asked: Iterable[str], known: Sequence[str]) -> None:
    """Refuse a symbol that the portfolio has no event of.

    Raises:
        NotFound: Names it, and those there are.
    """
    for symbol in asked:
        if symbol not in known:
            shown = ", ".join(known[:10]) + (", …" if len(known) > 10 else "")
            raise NotFound(
                f"there is no symbol {symbol!r:.80} in this portfolio",
                hint=f"known symbols: {shown or 'none'}",
            )


def write_events(call: Call, found: Iterable[Recorded]) -> None:
    """Write events in the form that was asked for, page by page."""
    screen = call.screen
    if screen.form == "csv":
        screen.csv(EVENT_COLUMNS, map(event_row, found))
        return
    rest = iter(found)
    while page := list(islice(rest, _PAGE)):
        is_json = screen.form == "json"
        screen.lines(map(json_line, page) if is_json else short_lines(page, screen))
