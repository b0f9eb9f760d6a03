"""A state as tables."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from ledger.cli.figures import counted, grouped
from ledger.cli.lines import moment_line
from ledger.cli.screen import Screen
from ledger.cli.state_fields import figure
from ledger.cli.tables import AMOUNT, PNL, WORD, Fitted, drawn_table, pnl_text
from ledger.holdings import Order, Position
from ledger.orders import OrderSide
from ledger.state import PortfolioState

__all__ = ["state_parts"]

_BALANCES: Final = (
    ("currency", WORD),
    ("cash", AMOUNT),
    ("tied up", AMOUNT),
    ("reserved", AMOUNT),
    ("available", AMOUNT),
    ("realized", PNL),
    ("unrealized", PNL),
    ("fees", AMOUNT),
    ("funding", PNL),
    ("equity", AMOUNT),
)
_POSITIONS: Final = (
    ("symbol", WORD),
    ("position", WORD),
    ("side", WORD),
    ("quantity", AMOUNT),
    ("entry", AMOUNT),
    ("mark", AMOUNT),
    ("value", AMOUNT),
    ("unrealized", PNL),
    ("", WORD),
)
_ORDERS: Final = (
    ("symbol", WORD),
    ("order", WORD),
    ("side", WORD),
    ("quantity", AMOUNT),
    ("filled", AMOUNT),
    ("price", AMOUNT),
    ("status", WORD),
)
_TOTALS: Final = (
    ("equity", "equity", False),
    ("cash", "total_balance", False),
    ("available", "available_balance", False),
    ("realized", "realized_pnl", True),
    ("unrealized", "unrealized_pnl", True),
    ("fees", "fees", False),
    ("net", "net_pnl", True),
)


def state_parts(
    state: PortfolioState, portfolio: str, symbol: str | None, screen: Screen
) -> list[RenderableType]:
    """Return what is drawn for a state: its moment, totals, balances, positions, orders."""
    parts: list[RenderableType] = [
        Text(_title(state, portfolio), style="bold"),
        Text(moment_line(state, screen), style="dim", overflow="fold"),
        Text(),
        _totals(state),
        Text(),
    ]
    if state.balances:
        parts += [_balances(state), Text()]
    positions = _positions(state, symbol)
    where = f" in {symbol}" if symbol else ""
    if positions:
        parts += [drawn_table("Positions", _POSITIONS, positions), Text()]
    else:
        parts.append(Text(f"no open positions{where}", style="dim"))
    return parts + _order_parts(state, symbol, where)


def _order_parts(state: PortfolioState, symbol: str | None, where: str) -> list[RenderableType]:
    found = [
        order
        for name, orders in sorted(state.per_symbol_orders.items())
        for order in orders.values()
        if symbol in (None, name)
    ]
    working = [order for order in found if order.status.is_working]
    done = len(found) - len(working)
    also = f"{counted(done, 'order')} done lately; -o json shows them" if done else ""
    if working:
        parts: list[RenderableType] = [
            drawn_table("Working orders", _ORDERS, [_order_row(order) for order in working])
        ]
        return [*parts, Text(also, style="dim")] if also else parts
    return [Text(f"no working orders{where}{f' ({also})' if also else ''}", style="dim")]


def _title(state: PortfolioState, portfolio: str) -> str:
    words = [f"portfolio {portfolio}"]
    if state.session is not None:
        words.append(f"session {state.session} ({'halted' if state.is_halted else 'open'})")
    elif state.seq:
        words.append("no open session")
    if state.base_currency is not None:
        words.append(f"in {state.base_currency}")
    return " · ".join(words)


def _totals(state: PortfolioState) -> RenderableType:
    """The totals side by side, each under its name."""
    table = Table.grid(padding=(0, 3))
    shown = [
        (name, grouped(figure(state, field), signed=signed), signed)
        for name, field, signed in _TOTALS
    ]
    for _ in shown:
        table.add_column(justify="right", no_wrap=True)
    cells = [pnl_text(text) if is_pnl else Text(text) for _, text, is_pnl in shown]
    table.add_row(*(Text(name, style="dim") for name, _, _ in shown))
    table.add_row(*cells)
    return Fitted("", table, [name for name, _, _ in shown], [[cell] for cell in cells])


def _balances(state: PortfolioState) -> RenderableType:
    rows = [
        [
            currency,
            grouped(balance.cash),
            grouped(balance.tied_up),
            grouped(balance.reserved),
            grouped(balance.available),
            grouped(balance.realized_pnl, signed=True),
            grouped(balance.unrealized_pnl, signed=True),
            grouped(balance.fees),
            grouped(balance.funding, signed=True),
            grouped(balance.equity),
        ]
        for currency, balance in state.balances.items()
    ]
    return drawn_table("Balances", _BALANCES, rows)


def _positions(state: PortfolioState, symbol: str | None) -> list[list[str]]:
    rows = []
    for name, positions in sorted(state.per_symbol_positions.items()):
        if symbol in (None, name):
            currency = state.symbols[name].currency if name in state.symbols else None
            rows += [_position_row(key, item, currency) for key, item in positions.items()]
    return rows


def _position_row(key: str, position: Position, currency: str | None) -> list[str]:
    unrealized: Decimal | None = position.unrealized_pnl
    return [
        position.symbol,
        key,
        "long" if position.side is OrderSide.BUY else "short",
        grouped(position.quantity),
        grouped(position.entry_price),
        grouped(position.current_price),
        grouped(position.value),
        grouped(unrealized, signed=True),
        currency or "",
    ]


def _order_row(order: Order) -> list[str]:
    return [
        order.symbol,
        order.order_id,
        str(order.side.value),
        grouped(order.quantity),
        grouped(order.filled_quantity),
        "market" if order.price is None else grouped(order.price),
        str(order.status.value),
    ]
