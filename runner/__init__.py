"""Acts in the world and records what came of it: the runner, its engines, feeds and exchanges."""

from __future__ import annotations

from runner.config import RunnerConfig, SessionConfig
from runner.engine import Cancel, Engine, Leg, Purpose, Trade
from runner.exchange import Exchange, ExchangeUnavailable, OrderRequest, Report, ReportKind
from runner.figures import Count, Duration, HealthLimits
from runner.live import LiveRunner
from runner.market import Book, MarketDataProvider, Snapshot
from runner.metrics import MetricsCollector
from runner.pair import PairEngine
from runner.pairs import PairProvider
from runner.paper import PaperAccount, PaperConfig, PaperExchange, read_account
from runner.paper_faults import FaultyPaperExchange, PaperFaults
from runner.paper_session import PaperTerms, Progress, SessionSummary, run_paper_session
from runner.recorded import RecordedProvider, shipped_prices
from runner.risk import Refusal, refusal_of
from runner.spread import SpreadConfig
from runner.synthetic import SyntheticProvider
from runner.trend import TrendConfig, TrendEngine

__all__ = [
    "Book",
    "Cancel",
    "Count",
    "Duration",
    "Engine",
    "Exchange",
    "ExchangeUnavailable",
    "FaultyPaperExchange",
    "HealthLimits",
    "Leg",
    "LiveRunner",
    "MarketDataProvider",
    "MetricsCollector",
    "OrderRequest",
    "PairEngine",
    "PairProvider",
    "PaperAccount",
    "PaperConfig",
    "PaperExchange",
    "PaperFaults",
    "PaperTerms",
    "Progress",
    "Purpose",
    "RecordedProvider",
    "Refusal",
    "Report",
    "ReportKind",
    "RunnerConfig",
    "SessionConfig",
    "SessionSummary",
    "Snapshot",
    "SpreadConfig",
    "SyntheticProvider",
    "Trade",
    "TrendConfig",
    "TrendEngine",
    "read_account",
    "refusal_of",
    "run_paper_session",
    "shipped_prices",
]
