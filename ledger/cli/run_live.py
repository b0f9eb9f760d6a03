"""What ``pledger run --feed ws`` adds: where live books come from, and what is told of the feed."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ledger.cli.call import Call
from ledger.cli.trading import Stop
from ledger.errors import InvalidInput
from ledger.face import Ledger
from runner.clock import utc_now
from runner.config import RunnerConfig
from runner.dialects import BinanceDialect, Dialect, NeutralDialect, UpbitDialect
from runner.live_session import FeedState, LiveMarket, LiveProgress, run_live_session
from runner.paper_session import PaperTerms, SessionSummary

if TYPE_CHECKING:
    from ledger.cli.screen import Screen
    from runner.websocket import WebSocketProvider

__all__ = ["DIALECTS", "LiveSource", "live_source", "show_feed", "trade_live"]

_STALE_AFTER: Final = timedelta(seconds=5)
_LONGEST_DELAY: Final = timedelta(seconds=10)
_LONGEST_CONNECT: Final = timedelta(seconds=5)
_TOLD_EVERY_SECONDS: Final = 60.0


class _Venue(NamedTuple):
    """How a dialect's venue speaks, and which symbols are quoted in the currency we count in."""

    dialect: Callable[[], Dialect]
    market: LiveMarket
    is_quoted: Callable[[str], bool]


DIALECTS: Final = {
    "neutral": _Venue(NeutralDialect, LiveMarket(), bool),
    "binance": _Venue(
        BinanceDialect, LiveMarket(currency="USDT"), lambda symbol: symbol.endswith("USDT")
    ),
    "upbit": _Venue(
        UpbitDialect,
        LiveMarket(currency="KRW", scale=Decimal(1000)),
        lambda symbol: symbol.startswith("KRW-"),
    ),
}


class LiveSource(NamedTuple):
    """Where live books come from, of which symbols, and for how long."""

    url: str
    venue: _Venue
    symbols: tuple[str, ...]
    max_runtime: timedelta | None

    def provider(self) -> WebSocketProvider:
        """Return the feed, not started.

        Raises:
            InvalidInput: The URL is none, the venue writes its symbols otherwise, or the extra
                ``websocket`` is not installed.
        """
        try:
            from runner.websocket import WebSocketProvider
        except ImportError:
            raise InvalidInput(
                "--feed ws: live books need websockets, which is not installed",
                hint="pip install 'portfolio-ledger[websocket]'",
            ) from None
        return WebSocketProvider(
            self.url,
            self.symbols,
            self.venue.dialect(),
            clock=utc_now,
            stale_after=_STALE_AFTER,
            max_delay=_LONGEST_DELAY,
            connect_timeout=_LONGEST_CONNECT,
            jitter=random.Random(),  # noqa: S311  # spreads reconnects, guards nothing
        )


def live_source(
    feed: str | None,
    url: str | None,
    dialect: str | None,
    symbols: Sequence[str] | None,
    max_runtime: timedelta | None,
    speed: str | None,
) -> LiveSource | None:
    """Return where live books come from, or ``None`` where the feed is recorded.

    Raises:
        InvalidInput: The flags do not fit together; the message says which.
    """
    named = feed if feed is not None and feed.startswith(("ws://", "wss://")) else None
    if feed != "ws" and named is None:
        _refuse_with_recorded({"--url": url, "--dialect": dialect, "--for": max_runtime})
        return None
    if speed is not None:
        raise InvalidInput(
            f"--speed {speed}: live books come at their own pace", hint="leave it out"
        )
    if url is not None and named is not None:
        raise InvalidInput("--url: --feed has named a URL already", hint="give only one of the two")
    address = named or url
    if address is None:
        raise InvalidInput("--url is missing: --feed ws needs it", hint="such as wss://host/path")
    if not symbols:
        raise InvalidInput(
            "--symbols is missing: live books come only of what was asked for",
            hint="write --symbols AAA,BBB as the venue writes them",
        )
    venue = DIALECTS[dialect or "neutral"]
    foreign = [symbol for symbol in symbols if not venue.is_quoted(symbol)]
    if foreign:
        raise InvalidInput(
            f"--symbols: {', '.join(foreign)} is not quoted in {venue.market.currency}",
            hint="a session on paper counts in one currency",
        )
    return LiveSource(address, venue, tuple(dict.fromkeys(symbols)), max_runtime)


def _refuse_with_recorded(given: dict[str, Any]) -> None:
    for flag, value in given.items():
        if value is not None:
            raise InvalidInput(
                f"{flag} goes with live books only", hint="add --feed ws, or leave it out"
            )


async def trade_live(
    call: Call,
    source: LiveSource,
    provider: WebSocketProvider,
    stop: Stop,
    **how: Any,
) -> SessionSummary:
    """Trade on paper until a stop is wanted or the time is over; ``how`` is for the session."""
    settings, limit = call.settings, source.max_runtime
    async with Ledger.connect(
        settings.store, portfolio=settings.portfolio, patience=settings.patience
    ) as ledger:
        return await run_live_session(
            ledger,
            provider,
            RunnerConfig(
                name=PaperTerms().name,
                symbols=source.symbols,
                max_runtime_seconds=None if limit is None else limit.total_seconds(),
            ),
            market=source.venue.market,
            stale_after=_STALE_AFTER.total_seconds(),
            progress=show_feed(call.screen, source.url),
            should_stop=stop.is_wanted,
            **how,
        )


def show_feed(screen: Screen, url: str) -> Callable[[LiveProgress], None]:
    """Return what tells on stderr how the feed stands, when that changes, and how far it is."""
    told: Any = None
    due = 1.0 if screen.is_watched else _TOLD_EVERY_SECONDS

    def show(progress: LiveProgress) -> None:
        nonlocal told, due
        if progress.feed != told:
            told = progress.feed
            start = "\r\033[K" if screen.is_watched else ""
            screen.note(start + _sentence(progress, url))
        if progress.seconds < due:
            return
        due = progress.seconds + (1.0 if screen.is_watched else _TOLD_EVERY_SECONDS)
        line = f"{progress.seconds:.0f} s  {progress.pass_count:,} passes  #{progress.seq:,}"
        if screen.is_watched:
            screen.say(f"\r{line}   ", end="")
        else:
            screen.note(line)

    return show


def _sentence(progress: LiveProgress, url: str) -> str:
    state, stale, count = progress.feed
    match state:
        case FeedState.CONNECTING:
            return f"connecting to {url}; nothing is traded until it answers"
        case FeedState.RECONNECTING:
            return f"reconnecting to {url}; nothing is traded meanwhile"
        case FeedState.STALE:
            return f"stale: no fresh book of {', '.join(stale)}; nothing is traded there meanwhile"
        case FeedState.CONNECTED:
            return f"connected to {url}" + (f", reconnected {count} times" if count else "")
