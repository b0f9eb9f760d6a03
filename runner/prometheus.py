"""The runner's figures as Prometheus metrics, over HTTP. Needs the extra ``metrics``.

A scrape reads the :class:`~runner.metrics.MetricsCollector`; nothing is counted a second time.
Every metric but the uptime and the health has the label ``symbol``, which is empty for what was
reported without one. The registry is our own: nothing else of the process is published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from ledger.errors import InvalidInput
from runner.figures import Count, Duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runner.figures import Figures
    from runner.metrics import MetricsCollector

__all__ = ["FiguresCollector", "Serving", "registry_of", "serve"]

LOOPBACK: Final = "127.0.0.1"

_COUNTS: Final = (
    (Count.EVENTS_APPENDED, "Events appended to the ledger."),
    (Count.REFUSALS, "Trades refused by the risk guard."),
    (Count.FAILURES, "Passes of the loop that failed."),
    (Count.RECONNECTS, "Connections to the store or an exchange that were made again."),
)


class FiguresCollector:
    """Turns the figures into metric families, each time the registry asks."""

    def __init__(self, metrics: MetricsCollector) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family with its samples."""
        by_symbol = self._metrics.figures_by_symbol()
        yield from _loop_families(by_symbol)
        yield from _ledger_families(by_symbol)
        yield from self._process_families()

    def _process_families(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "pledger_uptime_seconds",
            "Seconds since the runner started or its metrics were reset.",
            value=self._metrics.get_metrics()["uptime_seconds"],
        )
        health = GaugeMetricFamily(
            "pledger_health", "1 for the state the runner is in, else 0.", labels=["status"]
        )
        now = self._metrics.get_health()["status"]
        for status in ("ok", "degraded", "stalled"):
            health.add_metric([status], float(status == now))
        yield health


def _loop_families(by_symbol: dict[str, Figures]) -> Iterator[Metric]:
    loops = SummaryMetricFamily(
        "pledger_loop_seconds", "Duration of a pass of the loop.", labels=["symbol"]
    )
    for symbol, figures in by_symbol.items():
        loops.add_metric([symbol], figures["loop_count"], figures["loop_seconds_total"])
    yield loops
    yield _counter(
        "pledger_trades_opened",
        "Trades opened.",
        ((symbol, figures["trades_opened_total"]) for symbol, figures in by_symbol.items()),
    )
    yield _gauge(
        "pledger_spread_bps",
        "Spread the last pass saw, in basis points.",
        ((symbol, figures["spread_bps"]) for symbol, figures in by_symbol.items()),
    )
    yield _gauge(
        "pledger_ws_connected",
        "1 while the symbol's WebSocket connection stands, else 0.",
        ((symbol, figures["ws_connected"]) for symbol, figures in by_symbol.items()),
    )
    yield _counter(
        "pledger_ws_reconnects",
        "WebSocket connections made again; symbols on one connection report the same number.",
        ((symbol, figures["ws_reconnect_count"]) for symbol, figures in by_symbol.items()),
    )


def _ledger_families(by_symbol: dict[str, Figures]) -> Iterator[Metric]:
    for name, documentation in _COUNTS:
        yield _counter(
            f"pledger_{name}",
            documentation,
            [(symbol, figures["counts"][name]) for symbol, figures in by_symbol.items()],
        )
    appends = SummaryMetricFamily(
        "pledger_append_seconds", "Time the store took to answer an append.", labels=["symbol"]
    )
    for symbol, figures in by_symbol.items():
        timed = figures["durations"][Duration.APPEND]
        appends.add_metric([symbol], timed["count"], timed["seconds_total"])
    yield appends
    yield _gauge(
        "pledger_lag_seconds",
        "How old the last snapshot was when it was taken up.",
        (
            (symbol, figures["durations"][Duration.LAG]["seconds_last"])
            for symbol, figures in by_symbol.items()
        ),
    )


def _counter(name: str, documentation: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = CounterMetricFamily(name, documentation, labels=["symbol"])
    for symbol, value in values:
        family.add_metric([symbol], value)
    return family


def _gauge(name: str, documentation: str, values: Iterable[tuple[str, float]]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=["symbol"])
    for symbol, value in values:
        family.add_metric([symbol], value)
    return family


def registry_of(metrics: MetricsCollector) -> CollectorRegistry:
    """Return a registry of these figures alone, for whoever serves it otherwise."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(FiguresCollector(metrics))
    return registry


class Serving(NamedTuple):
    """A running metrics endpoint."""

    address: str
    """Where it listens, as ``host:port`` with the port it really has."""
    stop: Callable[[], None]
    """Stop serving and release the port; returns when both are done. Idempotent."""


def serve(metrics: MetricsCollector, address: str) -> Serving:
    """Serve the figures for Prometheus at ``http://address/metrics`` from a thread of its own.

    Args:
        metrics: What to publish.
        address: ``host:port``, ``[ipv6]:port``, or ``:port`` for the loopback interface alone;
            port 0 takes a free one.

    Raises:
        InvalidInput: The address is not of that form, or cannot be listened on.
    """
    host, port = _host_and_port(address)
    try:
        server, thread = start_http_server(port, addr=host, registry=registry_of(metrics))
    except OSError as error:
        raise InvalidInput(
            f"metrics address {address}: {error.strerror}",
            hint="choose another port, or port 0 for a free one",
        ) from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    shown = f"[{host}]" if ":" in host else host
    return Serving(f"{shown}:{server.server_port}", stop)


def _host_and_port(address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise InvalidInput(
            f"metrics address {address!r} is not host:port",
            hint="write it as 127.0.0.1:9100, or :9100 for the loopback interface",
        )
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)
