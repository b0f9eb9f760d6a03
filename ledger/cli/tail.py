"""``pledger tail``: the stream of events, to the head or as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import click

from ledger.cli.call import Call
from ledger.cli.events import require_symbols
from ledger.cli.following import Follower
from ledger.cli.group import command
from ledger.cli.parameters import DURATION, EVENT_TYPE, MOMENT, SEQUENCE_NUMBER, clock_option
from ledger.cli.place import Place
from ledger.cli.sharing import GroupFollower, refuse_odd_group
from ledger.cli.spans import Selection, Stretch, backwards, stretch_of
from ledger.moments import Moment, MomentRange
from ledger.sync_face import SyncLedger

__all__ = ["tail"]


@command(
    "tail",
    forms=("short", "json", "raw"),
    examples="""
    pledger tail -n 20
    pledger tail AAPL MSFT -f
    pledger tail -f -o json --type OrderFilled | head -3
    pledger tail --since -15m
    pledger tail -f --cursor-file risk.cursor --timeout 10m
    pledger tail -f --group risk --consumer risk-1 -o json
    """,
)
@click.argument("symbols", metavar="[SYMBOL]...", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Wait for more at the end, until stopped.")
@click.option("-n", "limit", type=click.IntRange(min=0), metavar="N", help="Begin at the last N.")
@click.option("--since", type=MOMENT, metavar="T", help="From this moment on.")
@click.option("--until", type=MOMENT, metavar="T", help="Up to this moment, without it.")
@click.option("--after", type=SEQUENCE_NUMBER, metavar="#N", help="Events after this one.")
@click.option(
    "--cursor-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="F",
    help="Begin where the last run with this file stopped, and keep it up to date.",
)
@click.option("--type", "types", type=EVENT_TYPE, multiple=True, help="Only this type; repeatable.")
@click.option("--group", metavar="G", help="Share the work with the other consumers of a group.")
@click.option("--consumer", metavar="C", help="This consumer's name in the group.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="Stop after N events.")
@click.option("--timeout", type=DURATION, metavar="D", help="Stop after 30s, 1m30s: exit code 124.")
@clock_option
def tail(
    call: Call,
    symbols: Sequence[str],
    follow: bool,
    limit: int | None,
    since: Moment | None,
    until: Moment | None,
    after: int | None,
    cursor_file: Path | None,
    types: Sequence[str],
    group: str | None,
    consumer: str | None,
    count: int | None,
    timeout: timedelta | None,
    clock: str | None,
) -> None:
    """Write events to stdout, merged over symbols in sequence order; of all symbols without one.

    It ends at the last event, or with -f goes on until it is stopped; then it says on stderr where
    to resume. Events are written at least once: a run that was killed may repeat the last ones.

    With --group, the group keeps the place: each event goes to one of its consumers, and counts as
    handled once it is written.
    """
    selection = Selection(frozenset(types), symbols=tuple(symbols))
    refuse_odd_group(group, consumer, since=since, until=until, limit=limit, file=cursor_file)
    if group is not None:
        with call.ledger() as ledger:
            sharing = GroupFollower(
                call.screen, ledger, group, consumer, selection, after=after or 0, follow=follow
            )
            return _run(sharing, count, timeout)
    _refuse_contradictions(follow, limit, since, until, after, cursor_file)
    place = None if cursor_file is None else Place(cursor_file, call.settings.portfolio)
    if place is not None:
        after = place.read(after)
    with call.ledger() as ledger:
        if not follow:
            require_symbols(symbols, ledger.head().symbols)
        stretch = stretch_of(call, ledger, MomentRange(since, until), clock=clock)
        stretch = Stretch(max(stretch.after, after or 0), stretch.until)
        if limit is not None:
            stretch = _last_of(ledger, stretch, selection, limit)
        follower = Follower(call.screen, ledger, stretch, selection, follow=follow, place=place)
        return _run(follower, count, timeout)


def _run(follower: Follower, count: int | None, timeout: timedelta | None) -> None:
    try:
        asyncio.run(follower.follow(count, timeout))
    finally:
        follower.tell_where_to_resume()


def _refuse_contradictions(
    follow: bool,
    limit: int | None,
    since: Moment | None,
    until: Moment | None,
    after: int | None,
    cursor_file: Path | None,
) -> None:
    context = click.get_current_context()
    if follow and until is not None:
        raise click.UsageError("--until ends the stream; leave it out, or -f", context)
    if since is not None and (after is not None or cursor_file is not None):
        other = "--after" if after is not None else "--cursor-file"
        raise click.UsageError(f"--since and {other} both say where to begin", context)
    if limit is not None and (after is not None or cursor_file is not None):
        other = "--after" if after is not None else "--cursor-file"
        raise click.UsageError(f"-n and {other} both say where to begin", context)


def _last_of(ledger: SyncLedger, stretch: Stretch, selection: Selection, limit: int) -> Stretch:
    """Shorten a stretch to the last events of a selection."""
    if limit == 0:
        return Stretch(stretch.until, stretch.until)
    if selection.is_everything:
        return Stretch(max(stretch.after, stretch.until - limit), stretch.until)
    left = limit
    for page in backwards(ledger, stretch, selection):
        if len(page) >= left:
            return Stretch(page[left - 1].seq - 1, stretch.until)
        left -= len(page)
    return stretch
