"""Histories for the benchmarks: real shapes, made up by a seed, valid in every rule."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ledger import (
    CashDeposited,
    Event,
    OrderAccepted,
    OrderFilled,
    OrderPlaced,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    SessionStarted,
)

START = datetime(2026, 11, 20, tzinfo=UTC)


def opening() -> list[Event]:
    """Return the commit that starts a session with money in it."""
    return [
        SessionStarted(
            session="bench",
            mode="paper",
            base_currency="USD",
            clock="occurred",
            occurred_at=START,
        ),
        CashDeposited(currency="USD", amount="1000000", occurred_at=START),
    ]


def trading(symbols: int, seed: int = 1) -> Iterator[list[Event]]:
    """Yield, without end, what one pass over one symbol appends: a mark, often a whole trade."""
    chance = random.Random(seed)
    held: dict[str, str] = {}
    number = 0
    while True:
        number += 1
        symbol = f"S{chance.randrange(symbols)}"
        at = START + timedelta(milliseconds=number)
        price = f"{100 + chance.randrange(1000) / 100:.2f}"
        events: list[Event] = [PriceMarked(symbol=symbol, price=price, occurred_at=at)]
        if chance.random() < 0.6:
            events += _trade(symbol, number, price, at, chance, held)
        yield events


def _trade(
    symbol: str,
    number: int,
    price: str,
    at: datetime,
    chance: random.Random,
    held: dict[str, str],
) -> list[Event]:
    position = held.get(symbol)
    order, quantity = f"o-{number}", 10 + chance.randrange(90)
    closes = position is not None and chance.random() < 0.4
    reduces = position is not None and not closes and chance.random() < 0.3
    if reduces:
        quantity = 1
    events: list[Event] = [
        OrderPlaced(
            symbol=symbol,
            order_id=order,
            side="sell" if closes or reduces else "buy",
            quantity=quantity,
            price=price,
            position_id=position,
            occurred_at=at,
        ),
        OrderAccepted(symbol=symbol, order_id=order, occurred_at=at),
        OrderFilled(
            symbol=symbol,
            order_id=order,
            trade_id=f"t-{number}",
            quantity=quantity,
            price=price,
            fee="0.05",
            occurred_at=at,
        ),
    ]
    if position is None:
        held[symbol] = f"p-{number}"
        moved: Event = PositionOpened(
            symbol=symbol,
            position_id=held[symbol],
            side="buy",
            quantity=quantity,
            entry_price=price,
            order_id=order,
            occurred_at=at,
        )
    elif closes:
        moved = PositionClosed(
            symbol=symbol, position_id=held.pop(symbol), exit_price=price, occurred_at=at
        )
    elif reduces:
        moved = PositionReduced(
            symbol=symbol,
            position_id=position,
            quantity=quantity,
            exit_price=price,
            order_id=order,
            occurred_at=at,
        )
    else:
        moved = PositionIncreased(
            symbol=symbol,
            position_id=position,
            quantity=quantity,
            entry_price=price,
            order_id=order,
            occurred_at=at,
        )
    return [*events, moved]


def commits(symbols: int, size: int, seed: int = 1) -> Iterator[list[Event]]:
    """Yield, without end, commits of exactly ``size`` events over up to ``symbols`` symbols."""
    waiting: list[Event] = []
    for events in trading(symbols, seed):
        waiting += events
        while len(waiting) >= size:
            yield waiting[:size]
            waiting = waiting[size:]
