"""What ``pledger play`` draws: the figures, positions and last events at one place."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ledger.cli.figures import grouped
from ledger.cli.screen import Screen
from ledger.errors import LedgerDamaged, MissingRate
from replay.figures import TOTALS
from replay.play import Player
from replay.report_steps import described

__all__ = ["drawn"]

_SHOWN = ("equity", "total_balance", "available_balance", "net_pnl", "unrealized_pnl", "fees")
_NAMES = {"total_balance": "cash", "available_balance": "available", "net_pnl": "net"}
_SIGNED = ("net_pnl", "unrealized_pnl")
_KEYS = "space play · ←→ 1 · ↑↓ 100 · +- speed · g go to · t type · / search · n again · q quit"


def drawn(
    player: Player, screen: Screen, *, pace: str, prompt: str, said: str, height: int
) -> RenderableType:
    """Draw a place in a session.

    Args:
        player: Where it stands.
        screen: Whose time zone is shown.
        pace: How quickly it plays, or that it does not.
        prompt: What is being typed; empty for nothing.
        said: A message to the user.
        height: How many lines there are.
    """
    positions = _positions(player)
    room = max(height - 10 - positions.row_count, 3)
    footer = Text(prompt or said or _KEYS, style="bold" if prompt or said else "dim")
    return Group(
        _head(player, screen, pace),
        _bar(player),
        Text(),
        _totals(player),
        Text(),
        positions if positions.row_count else Text("nothing is held", style="dim"),
        Text(),
        _events(player, screen, room),
        Text(),
        footer,
    )


def _head(player: Player, screen: Screen, pace: str) -> Text:
    event = player.event
    at = "before the first event" if event is None else screen.moment(player.history.time_of(event))
    return Text.assemble(
        (player.history.name, "bold"),
        f"  #{player.seq:,} of #{player.last_seq:,}  {at}  ",
        (pace, "bold cyan"),
    )


def _bar(player: Player, width: int = 60) -> Text:
    length = max(player.last_seq - player.first_seq + 1, 1)
    done = width * (player.seq - player.first_seq + 1) // length
    return Text.assemble(("━" * done, "cyan"), ("─" * (width - done), "dim"))


def _totals(player: Player) -> Table:
    table = Table.grid(padding=(0, 3))
    cells = []
    for name in (name for name in _SHOWN if name in TOTALS):
        try:
            value = getattr(player.live, name)
        except (MissingRate, LedgerDamaged):
            value = None
        text = grouped(value, signed=name in _SIGNED)
        tone = "" if name not in _SIGNED or not value else "green" if value > 0 else "red"
        cells.append(Text.assemble((f"{_NAMES.get(name, name)}\n", "dim"), (text, f"bold {tone}")))
    table.add_row(*cells)
    return table


def _positions(player: Player) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("symbol")
    table.add_column("side")
    for name in ("quantity", "entry", "mark", "value", "unrealized"):
        table.add_column(name, justify="right")
    for symbol, own in player.live.per_symbol_positions.items():
        for position in own.values():
            gain = position.unrealized_pnl
            table.add_row(
                symbol,
                position.side,
                *(
                    grouped(value)
                    for value in (
                        position.quantity,
                        position.entry_price,
                        position.current_price,
                        position.value,
                    )
                ),
                Text(grouped(gain, signed=True), "green" if gain and gain > 0 else "red"),
            )
    return table


def _events(player: Player, screen: Screen, room: int) -> RenderableType:
    lines = []
    for recorded in list(player.recent)[-room:]:
        is_last = recorded is player.event
        lines.append(
            Text.assemble(
                (f"#{recorded.seq:<8,}", "bold" if is_last else "dim"),
                (f"{screen.second(player.history.time_of(recorded))}  ", "dim"),
                (f"{recorded.type} {recorded.symbol} ", "bold" if is_last else "cyan"),
                described(recorded),
                no_wrap=True,
                overflow="ellipsis",
            )
        )
    return Group(*lines)
