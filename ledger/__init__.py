"""An event-sourced portfolio ledger: exact, replayable, explainable.

Everything a program needs is here; the modules below are not a public interface.
"""

from __future__ import annotations

from ledger.accounts import (
    Accounts,
    OrderEntry,
    PortfolioAccount,
    PositionEntry,
    SymbolAccount,
)
from ledger.amounts import (
    Amount,
    add,
    amount,
    exact,
    multiply,
    plain,
    quotient,
    subtract,
)
from ledger.audit import (
    Audit,
    audit_log,
)
from ledger.audit_fold import (
    FoldAudit,
)
from ledger.audit_keys import (
    as_if_missing,
    check_keys,
)
from ledger.audit_reversals import (
    check_reversals,
)
from ledger.audit_snapshots import (
    check_snapshots,
)
from ledger.checkpoints import Checkpoint, FileCheckpoint, StoreCheckpoint
from ledger.clock import (
    Clock,
    utc_now,
)
from ledger.commit import (
    Commit,
)
from ledger.connect import (
    DEFAULT_STORE,
)
from ledger.errors import (
    AppendRefused,
    CommitMismatch,
    ExportDamaged,
    Fenced,
    InvalidAmount,
    InvalidEvent,
    InvalidInput,
    InvalidMoment,
    LedgerDamaged,
    LedgerError,
    MissingRate,
    NotFound,
    RevisionConflict,
    RuleViolation,
    SchemaTooNew,
    SnapshotDamaged,
    StoreError,
    StoreRefused,
    StoreUnavailable,
)
from ledger.event import (
    Event,
    Recorded,
)
from ledger.events import (
    EVENT_TYPES,
    CashDeposited,
    CashWithdrawn,
    CostBasisChosen,
    EventReversed,
    InstrumentRegistered,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderExpired,
    OrderFilled,
    OrderPlaced,
    OrderRejected,
    PositionAdjusted,
    PositionClosed,
    PositionIncreased,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    RateMarked,
    RiskLimitSet,
    SessionEnded,
    SessionHalted,
    SessionStarted,
    TradeRefused,
    split_ratio,
)
from ledger.evolve import (
    check,
    evolve,
    fold,
    step,
)
from ledger.export_format import Ending
from ledger.exporting import export_ledger
from ledger.face import Ledger
from ledger.group_status import ConsumerStatus, GroupStatus, Parked
from ledger.groups import Delivery, Group, SyncDelivery, SyncGroup
from ledger.holdings import (
    Balance,
    Order,
    Position,
    SymbolFigures,
)
from ledger.holds import Relieved
from ledger.importing import (
    Imported,
    import_ledger,
)
from ledger.lag import Lag
from ledger.moments import (
    Moment,
    parse_moment,
    parse_range,
)
from ledger.orders import (
    OrderSide,
    OrderStatus,
)
from ledger.postings import (
    Posting,
    postings,
)
from ledger.problem import (
    Problem,
    Problems,
)
from ledger.projector import Projector, SyncProjector
from ledger.snapshot import (
    snapshot_seqs,
)
from ledger.state import (
    PortfolioState,
)
from ledger.store import (
    Steps,
)
from ledger.sync_face import SyncLedger
from ledger.tails import SyncTail, Tail
from ledger.timeline import (
    Session,
)
from ledger.view import (
    FoldedState,
    order_from_entry,
    position_from_entry,
    state_from_accounts,
    symbol_balances,
    symbol_figures,
)
from ledger.writer import SyncWriter, Writer

__all__ = [
    "DEFAULT_STORE",
    "EVENT_TYPES",
    "Accounts",
    "Amount",
    "AppendRefused",
    "Audit",
    "Balance",
    "CashDeposited",
    "CashWithdrawn",
    "Checkpoint",
    "Clock",
    "Commit",
    "CommitMismatch",
    "ConsumerStatus",
    "CostBasisChosen",
    "Delivery",
    "Ending",
    "Event",
    "EventReversed",
    "ExportDamaged",
    "Fenced",
    "FileCheckpoint",
    "FoldAudit",
    "FoldedState",
    "Group",
    "GroupStatus",
    "Imported",
    "InstrumentRegistered",
    "InvalidAmount",
    "InvalidEvent",
    "InvalidInput",
    "InvalidMoment",
    "Lag",
    "Ledger",
    "LedgerDamaged",
    "LedgerError",
    "MissingRate",
    "Moment",
    "NotFound",
    "Order",
    "OrderAccepted",
    "OrderAmended",
    "OrderCancelled",
    "OrderEntry",
    "OrderExpired",
    "OrderFilled",
    "OrderPlaced",
    "OrderRejected",
    "OrderSide",
    "OrderStatus",
    "Parked",
    "PortfolioAccount",
    "PortfolioState",
    "Position",
    "PositionAdjusted",
    "PositionClosed",
    "PositionEntry",
    "PositionIncreased",
    "PositionOpened",
    "PositionReduced",
    "Posting",
    "PriceMarked",
    "Problem",
    "Problems",
    "Projector",
    "RateMarked",
    "Recorded",
    "Relieved",
    "RevisionConflict",
    "RiskLimitSet",
    "RuleViolation",
    "SchemaTooNew",
    "Session",
    "SessionEnded",
    "SessionHalted",
    "SessionStarted",
    "SnapshotDamaged",
    "Steps",
    "StoreCheckpoint",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
    "SymbolAccount",
    "SymbolFigures",
    "SyncDelivery",
    "SyncGroup",
    "SyncLedger",
    "SyncProjector",
    "SyncTail",
    "SyncWriter",
    "Tail",
    "TradeRefused",
    "Writer",
    "add",
    "amount",
    "as_if_missing",
    "audit_log",
    "check",
    "check_keys",
    "check_reversals",
    "check_snapshots",
    "evolve",
    "exact",
    "export_ledger",
    "fold",
    "import_ledger",
    "multiply",
    "order_from_entry",
    "parse_moment",
    "parse_range",
    "plain",
    "position_from_entry",
    "postings",
    "quotient",
    "snapshot_seqs",
    "split_ratio",
    "state_from_accounts",
    "step",
    "subtract",
    "symbol_balances",
    "symbol_figures",
    "utc_now",
]
