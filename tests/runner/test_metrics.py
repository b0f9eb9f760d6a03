"""The runner's figures: what is counted, per symbol and over all, and how they are published."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger.errors import InvalidAmount, InvalidInput
from runner.figures import HealthLimits
from runner.metrics import Count, Duration, MetricsCollector, QueueStopped
from runner.prometheus import serve

DOCUMENTED = {
    "loop_time_ms",
    "loop_time_avg_ms",
    "loop_time_max_ms",
    "loop_time_min_ms",
    "trades_opened_total",
    "trades_opened_recent",
    "spread_bps",
    "spread_avg_bps",
    "data_source",
    "ws_connected",
    "ws_reconnect_count",
    "uptime_seconds",
    "buffer_size",
    "buffer_usage",
}


class Clock:
    """A monotonic clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def metrics(clock):
    return MetricsCollector(monotonic=clock)


async def until_counted(metrics):
    async with asyncio.timeout(5):
        while metrics.get_metrics()["loop_count"] == 0:  # noqa: ASYNC110 (nothing to wait on)
            await asyncio.sleep(0)


def chosen(figures, *names):
    return tuple(figures[name] for name in names)


def test_update_loop_metrics_with_symbol(metrics):
    """Each symbol has figures of its own, and all of them go into the overall ones."""
    metrics.update_loop_metrics(10.0, 1, 25.0, "ws", True, 2, symbol="KRW-BTC")
    metrics.update_loop_metrics(30.0, 0, 35.0, "ws", True, 3, symbol="KRW-BTC")
    metrics.update_loop_metrics(50.0, 2, -9.0, "rest", symbol="KRW-ETH")

    everything = metrics.get_metrics()
    assert set(everything["per_symbol"]) == {"KRW-BTC", "KRW-ETH"}
    bitcoin, ether = everything["per_symbol"]["KRW-BTC"], everything["per_symbol"]["KRW-ETH"]
    names = ("loop_time_ms", "loop_time_avg_ms", "trades_opened_total", "spread_bps", "data_source")
    assert chosen(bitcoin, *names) == (30.0, 20.0, 1, 35.0, "ws")
    assert chosen(ether, *names) == (50.0, 50.0, 2, -9.0, "rest")
    assert chosen(everything, *names) == (50.0, 30.0, 3, -9.0, "rest")
    assert chosen(bitcoin, "ws_connected", "ws_reconnect_count", "buffer_size") == (True, 3, 2)
    assert chosen(ether, "ws_connected", "ws_reconnect_count", "buffer_size") == (False, 0, 1)
    assert metrics.get_metrics(symbol="KRW-BTC") == bitcoin


async def test_aupdate_loop_metrics_with_symbol(metrics, clock):
    """The async form takes the same arguments and leaves the same figures, at once."""
    twin = MetricsCollector(monotonic=clock)
    for collected in (
        (10.0, 1, 25.0, "ws", True, 2, "KRW-BTC"),
        (Decimal("30.5"), 2, Decimal("35.25"), "rest", False, 0, "KRW-ETH"),
    ):
        await metrics.aupdate_loop_metrics(*collected)
        twin.update_loop_metrics(*collected)

    assert metrics.get_metrics("KRW-BTC")["trades_opened_total"] == 1
    assert metrics.get_metrics("KRW-ETH")["spread_bps"] == 35.25
    assert metrics.get_metrics() == twin.get_metrics()


def test_metrics_collector_backward_compatible(metrics, clock):
    """Called without a symbol, every documented key is there and right, and no symbol appears."""
    metrics.update_loop_metrics(12.0, 1, 30.0, "rest")
    metrics.update_loop_metrics(
        loop_time_ms=4.0,
        trades_opened=0,
        spread_bps=20.0,
        data_source="ws",
        ws_connected=True,
        ws_reconnects=7,
    )
    clock.now += 2.5

    figures = metrics.get_metrics()
    assert set(figures) >= DOCUMENTED
    assert {name: figures[name] for name in DOCUMENTED} == {
        "loop_time_ms": 4.0,
        "loop_time_avg_ms": 8.0,
        "loop_time_max_ms": 12.0,
        "loop_time_min_ms": 4.0,
        "trades_opened_total": 1,
        "trades_opened_recent": 1,
        "spread_bps": 20.0,
        "spread_avg_bps": 25.0,
        "data_source": "ws",
        "ws_connected": True,
        "ws_reconnect_count": 7,
        "uptime_seconds": 2.5,
        "buffer_size": 2,
        "buffer_usage": 0.002,
    }
    assert figures["per_symbol"] == {}


def test_before_the_first_update_every_number_is_zero(metrics):
    figures = metrics.get_metrics()

    assert {figures[name] for name in DOCUMENTED} == {0, None}
    never_seen = metrics.get_metrics("KRW-BTC")
    assert {never_seen[name] for name in DOCUMENTED} == {0, None}
    assert metrics.get_metrics()["per_symbol"] == {}, "asking for a symbol does not create it"


def test_recent_trades_are_those_of_the_last_60_updates(metrics):
    for opened in [5, *[1] * 60]:
        metrics.update_loop_metrics(1.0, opened, 0.0, "csv", symbol="AAPL")

    assert chosen(metrics.get_metrics(), "trades_opened_total", "trades_opened_recent") == (65, 60)
    assert metrics.get_metrics("AAPL")["trades_opened_recent"] == 60


def test_averages_and_extremes_are_exact_over_the_buffer_and_totals_over_everything(clock):
    metrics = MetricsCollector(buffer_capacity=60, monotonic=clock)
    for number in range(1, 101):
        metrics.update_loop_metrics(float(number), 1, number / 10, "csv", symbol="AAPL")

    for figures in (metrics.get_metrics(), metrics.get_metrics("AAPL")):
        assert chosen(figures, "loop_time_min_ms", "loop_time_max_ms") == (41.0, 100.0)
        assert chosen(figures, "loop_time_avg_ms", "spread_avg_bps") == (70.5, 7.05)
        assert chosen(figures, "buffer_size", "buffer_capacity", "buffer_usage") == (60, 60, 1.0)
        assert chosen(figures, "loop_count", "trades_opened_total") == (100, 100)
        assert figures["loop_seconds_total"] == pytest.approx(5.05)


def test_a_buffer_too_small_for_the_recent_figures_is_refused():
    with pytest.raises(InvalidInput, match="59 is below 60"):
        MetricsCollector(buffer_capacity=59)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("loop_time_ms", float("nan")),
        ("loop_time_ms", -0.1),
        ("spread_bps", Decimal("Infinity")),
        ("trades_opened", -1),
        ("ws_reconnects", -1),
    ],
)
async def test_a_figure_that_would_spoil_the_averages_is_refused_whole(metrics, field, value):
    given = {"loop_time_ms": 1.0, "trades_opened": 1, "spread_bps": 2.0, "data_source": "csv"}
    with pytest.raises(InvalidAmount, match=field):
        metrics.update_loop_metrics(**given | {field: value})
    with pytest.raises(InvalidAmount, match=field):
        await metrics.aqueue_metrics(**given | {field: value})
    await metrics.astop_queue_processing()

    assert metrics.get_metrics()["loop_count"] == 0


def test_counts_and_durations_are_kept_per_symbol_and_over_all(metrics):
    metrics.count(Count.EVENTS_APPENDED, "AAPL", 3)
    metrics.count(Count.EVENTS_APPENDED, "MSFT")
    metrics.count(Count.EVENTS_APPENDED)
    metrics.observe(Duration.APPEND, 0.5, "AAPL")
    metrics.observe(Duration.APPEND, 0.25, "AAPL")

    everything = metrics.get_metrics()
    assert everything["counts"] == {
        "events_appended": 5,
        "refusals": 0,
        "failures": 0,
        "reconnects": 0,
    }
    assert everything["per_symbol"]["AAPL"]["counts"]["events_appended"] == 3
    timed = {"count": 2, "seconds_total": 0.75, "seconds_max": 0.5, "seconds_last": 0.25}
    assert everything["durations"]["append"] == timed
    assert everything["per_symbol"]["AAPL"]["durations"]["append"] == timed
    assert everything["per_symbol"]["MSFT"]["durations"]["append"]["count"] == 0
    with pytest.raises(InvalidAmount, match="amount"):
        metrics.count(Count.FAILURES, "AAPL", -1)
    with pytest.raises(InvalidAmount, match="seconds"):
        metrics.observe(Duration.LAG, float("inf"))


def test_figures_handed_out_are_the_callers_own(metrics):
    metrics.observe(Duration.LAG, 1.0, "AAPL")
    figures = metrics.get_metrics()
    figures["durations"]["lag"]["seconds_last"] = 99.0
    figures["counts"]["failures"] = 99
    figures["per_symbol"].clear()

    kept = metrics.get_metrics()
    assert kept["durations"]["lag"]["seconds_last"] == 1.0
    assert kept["counts"]["failures"] == 0
    assert set(kept["per_symbol"]) == {"AAPL"}


def test_reset_forgets_every_figure_and_starts_the_uptime_anew(metrics, clock):
    metrics.update_loop_metrics(5.0, 1, 2.0, "csv", symbol="AAPL")
    metrics.count(Count.FAILURES, "AAPL")
    clock.now += 30
    metrics.reset()
    fresh = MetricsCollector(monotonic=clock)
    clock.now += 1

    assert metrics.get_metrics() == fresh.get_metrics()
    assert metrics.get_metrics()["uptime_seconds"] == 1
    assert metrics.get_health() == {"status": "ok", "reasons": []}


def test_updates_from_many_threads_are_all_counted(metrics):
    def work(symbol):
        for _ in range(500):
            metrics.update_loop_metrics(1.0, 1, 1.0, "csv", symbol=symbol)
            metrics.count(Count.EVENTS_APPENDED, symbol)
            metrics.get_health()

    threads = [threading.Thread(target=work, args=(symbol,)) for symbol in ("A", "B", "A", "B")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    everything = metrics.get_metrics()
    assert everything["trades_opened_total"] == 2000
    assert everything["counts"]["events_appended"] == 2000
    assert [each["loop_count"] for each in everything["per_symbol"].values()] == [1000, 1000]


class TestHealth:
    """Whether the runner is well, and why not."""

    @pytest.fixture
    def metrics(self, clock):
        return MetricsCollector(
            health_limits=HealthLimits(
                stalled_after_seconds=10,
                slow_loop_ms=100,
                max_lag_seconds=5,
                failure_window_seconds=20,
            ),
            monotonic=clock,
        )

    def test_a_runner_is_given_time_for_its_first_pass(self, metrics, clock):
        clock.now += 9.9
        assert metrics.get_health() == {"status": "ok", "reasons": []}
        clock.now += 0.1
        assert metrics.get_health() == {
            "status": "stalled",
            "reasons": ["no update for 10.0 s (limit 10 s)"],
        }

    def test_one_silent_symbol_degrades_and_all_silent_stall(self, metrics, clock):
        metrics.update_loop_metrics(1.0, 0, 0.0, "csv", symbol="AAPL")
        clock.now += 8
        metrics.update_loop_metrics(1.0, 0, 0.0, "csv", symbol="MSFT")
        clock.now += 2
        assert metrics.get_health() == {
            "status": "degraded",
            "reasons": ["AAPL: no update for 10.0 s (limit 10 s)"],
        }
        clock.now += 8
        assert metrics.get_health()["status"] == "stalled"
        metrics.update_loop_metrics(1.0, 0, 0.0, "csv", symbol="AAPL")
        metrics.update_loop_metrics(1.0, 0, 0.0, "csv", symbol="MSFT")
        assert metrics.get_health()["status"] == "ok"

    def test_a_slow_symbol_degrades_until_its_recent_loops_are_fast(self, metrics):
        metrics.update_loop_metrics(150.0, 0, 0.0, "csv", symbol="AAPL")
        assert metrics.get_health()["reasons"] == ["AAPL: a loop takes 150.0 ms (limit 100 ms)"]
        for _ in range(60):
            metrics.update_loop_metrics(100.0, 0, 0.0, "csv", symbol="AAPL")
        assert metrics.get_health()["status"] == "ok"

    def test_lag_degrades_until_it_is_caught_up(self, metrics):
        metrics.observe(Duration.LAG, 5.5, "AAPL")
        assert metrics.get_health()["reasons"] == ["AAPL: lags 5.5 s (limit 5 s)"]
        metrics.observe(Duration.LAG, 5.0, "AAPL")
        assert metrics.get_health()["status"] == "ok"

    def test_a_failure_degrades_for_a_while(self, metrics, clock):
        metrics.count(Count.FAILURES, "AAPL")
        clock.now += 5
        assert metrics.get_health()["reasons"] == ["AAPL: failed 5.0 s ago"]
        clock.now += 15
        metrics.update_loop_metrics(1.0, 0, 0.0, "csv", symbol="MSFT")
        assert metrics.get_health()["status"] == "ok"

    def test_a_lost_websocket_degrades_and_one_never_used_does_not(self, metrics):
        metrics.update_loop_metrics(1.0, 0, 0.0, "csv", symbol="AAPL")
        metrics.update_loop_metrics(1.0, 0, 0.0, "ws", ws_connected=True, symbol="KRW-BTC")
        assert metrics.get_health()["status"] == "ok"
        metrics.update_loop_metrics(1.0, 0, 0.0, "ws", ws_connected=False, symbol="KRW-BTC")
        assert metrics.get_health() == {
            "status": "degraded",
            "reasons": ["KRW-BTC: the WebSocket connection is lost"],
        }


class TestQueue:
    """Updates may be queued; none that was taken is ever lost."""

    async def test_the_queue_is_counted_while_it_runs(self, metrics):
        await metrics.astart_queue_processing()
        await metrics.astart_queue_processing()
        await asyncio.sleep(0)  # the worker now waits for the first
        await metrics.aqueue_metrics(10.0, 1, 25.0, "ws", True, 2, "KRW-BTC")
        await until_counted(metrics)

        figures = metrics.get_metrics("KRW-BTC")
        assert chosen(figures, "loop_time_ms", "ws_reconnect_count") == (10.0, 2)
        await metrics.astop_queue_processing()

    async def test_what_is_queued_before_the_start_waits_for_it(self, metrics):
        await metrics.aqueue_metrics(1.0, 1, 0.0, "csv", symbol="AAPL")
        await asyncio.sleep(0)
        assert metrics.get_metrics()["loop_count"] == 0

        await metrics.astart_queue_processing()
        await until_counted(metrics)
        await metrics.astop_queue_processing()
        assert metrics.get_metrics("AAPL")["trades_opened_total"] == 1

    @pytest.mark.parametrize("is_started", [True, False])
    async def test_a_stop_counts_everything_that_was_queued(self, metrics, is_started):
        if is_started:
            await metrics.astart_queue_processing()
        for number in range(500):
            await metrics.aqueue_metrics(1.0, 1, float(number), "csv", symbol="AAPL")
        await metrics.astop_queue_processing()
        await metrics.astop_queue_processing()

        figures = metrics.get_metrics("AAPL")
        assert chosen(figures, "trades_opened_total", "spread_bps") == (500, 499.0)

    async def test_after_the_stop_nothing_is_taken_until_it_is_started_again(self, metrics):
        await metrics.astart_queue_processing()
        await metrics.astop_queue_processing()
        with pytest.raises(QueueStopped, match="AAPL were queued after the queue was stopped"):
            await metrics.aqueue_metrics(1.0, 1, 0.0, "csv", symbol="AAPL")

        await metrics.astart_queue_processing()
        await metrics.aqueue_metrics(1.0, 1, 0.0, "csv", symbol="AAPL")
        await metrics.astop_queue_processing()
        assert metrics.get_metrics("AAPL")["trades_opened_total"] == 1

    def test_an_event_loop_that_ended_without_a_stop_loses_nothing(self, metrics):
        async def queue_and_leave():
            await metrics.astart_queue_processing()
            await metrics.aqueue_metrics(1.0, 1, 0.0, "csv", symbol="AAPL")

        asyncio.run(queue_and_leave())
        asyncio.run(metrics.astop_queue_processing())

        assert metrics.get_metrics("AAPL")["trades_opened_total"] == 1


class TestPrometheus:
    """What Prometheus scrapes is what the collector says."""

    @pytest.fixture
    def scrape(self, metrics):
        serving = serve(metrics, ":0")

        def scrape():
            connection = HTTPConnection(serving.address, timeout=5)
            try:
                connection.request("GET", "/metrics")
                text = connection.getresponse().read().decode()
            finally:
                connection.close()
            return {family.name: family for family in text_string_to_metric_families(text)}

        yield scrape
        serving.stop()

    def test_every_figure_is_scraped_with_its_symbol(self, metrics, scrape, clock):
        metrics.update_loop_metrics(250.0, 2, 31.5, "ws", True, 4, symbol="KRW-BTC")
        metrics.update_loop_metrics(500.0, 1, 30.5, "ws", True, 5, symbol="KRW-BTC")
        metrics.update_loop_metrics(10.0, 0, 0.0, "csv")
        metrics.count(Count.EVENTS_APPENDED, "KRW-BTC", 7)
        metrics.count(Count.REFUSALS, 'an "odd"\nsymbol\\')
        metrics.observe(Duration.APPEND, 0.125, "KRW-BTC")
        metrics.observe(Duration.LAG, 0.5, "KRW-BTC")
        clock.now += 12

        families = scrape()
        samples = {
            sample.name: sample.value
            for family in families.values()
            for sample in family.samples
            if sample.labels.get("symbol") == "KRW-BTC"
        }
        assert samples == {
            "pledger_loop_seconds_count": 2,
            "pledger_loop_seconds_sum": 0.75,
            "pledger_trades_opened_total": 3,
            "pledger_spread_bps": 30.5,
            "pledger_ws_connected": 1,
            "pledger_ws_reconnects_total": 5,
            "pledger_events_appended_total": 7,
            "pledger_refusals_total": 0,
            "pledger_failures_total": 0,
            "pledger_reconnects_total": 0,
            "pledger_append_seconds_count": 1,
            "pledger_append_seconds_sum": 0.125,
            "pledger_lag_seconds": 0.5,
        }
        refusals = {s.labels["symbol"]: s.value for s in families["pledger_refusals"].samples}
        assert refusals == {"KRW-BTC": 0, "": 0, 'an "odd"\nsymbol\\': 1}
        assert families["pledger_uptime_seconds"].samples[0].value == 12
        health = {s.labels["status"]: s.value for s in families["pledger_health"].samples}
        assert health == {"ok": 1, "degraded": 0, "stalled": 0}

    def test_every_metric_says_what_it_is_and_nothing_else_of_the_process_shows(self, scrape):
        families = scrape()

        assert all(name.startswith("pledger_") for name in families)
        assert all(family.documentation for family in families.values())
        assert families["pledger_events_appended"].type == "counter"
        assert families["pledger_loop_seconds"].type == "summary"

    def test_a_scrape_reads_the_collector_and_keeps_nothing(self, metrics, scrape):
        metrics.count(Count.FAILURES, "AAPL")
        assert scrape()["pledger_failures"].samples[0].value == 1
        metrics.reset()
        assert scrape()["pledger_failures"].samples == []

    def test_the_port_is_free_again_after_the_stop(self, metrics):
        first = serve(metrics, "127.0.0.1:0")
        first.stop()
        first.stop()
        again = serve(metrics, first.address)
        assert again.address == first.address
        again.stop()

    def test_a_port_in_use_is_refused_with_what_to_do(self, metrics):
        serving = serve(metrics, ":0")
        try:
            with pytest.raises(InvalidInput, match=f"{serving.address}: Address already in use"):
                serve(metrics, serving.address)
        finally:
            serving.stop()

    @pytest.mark.parametrize("address", ["", "9100", "localhost", "localhost:http", ":65536"])
    def test_an_address_without_a_port_is_refused(self, metrics, address):
        with pytest.raises(InvalidInput, match="not host:port"):
            serve(metrics, address)
