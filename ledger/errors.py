"""What can go wrong, as one tree.

::

    LedgerError                   every error of the product; has .code, .exit_code and .hint
    ├── InvalidInput              a value that is not valid                        exit 2
    │   ├── InvalidAmount         not an exact finite number
    │   ├── InvalidEvent          a missing or surplus field, an unknown type
    │   ├── InvalidMoment         not a moment of the grammar
    │   ├── MissingRate           a figure needs a rate nobody has recorded
    │   └── BadMessage            of runner.dialects: a venue's message cannot be read
    ├── NotFound                  no such session, symbol, order or event          exit 3
    ├── LedgerDamaged             the log cannot be what was written               exit 4
    │   ├── ExportDamaged         an export is not what was written; names the line
    │   └── SnapshotDamaged       a snapshot is not what its digest says
    ├── StoreError                the store cannot be reached, or refuses us       exit 5
    │   ├── StoreUnavailable      no connection, or it broke
    │   └── StoreRefused          wrong password, missing right, read-only, full
    ├── SchemaTooNew              written by a newer build                         exit 6
    ├── AppendRefused             nothing of the commit was recorded               exit 7
    │   ├── RuleViolation         the state cannot take the event
    │   ├── RevisionConflict      others appended first; carries their events
    │   ├── Fenced                a newer run of this writer has taken over
    │   └── CommitMismatch        that commit id was used for other content
    ├── Relieved                  of ledger.holds: another consumer has taken over exit 7
    └── QueueStopped              of runner.metrics: an update came after its end  exit 1

Where a module is named, the class stands there; all others stand here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.event import Recorded

__all__ = [
    "AppendRefused",
    "CommitMismatch",
    "ExportDamaged",
    "Fenced",
    "InvalidAmount",
    "InvalidEvent",
    "InvalidInput",
    "InvalidMoment",
    "LedgerDamaged",
    "LedgerError",
    "MissingRate",
    "NotFound",
    "RevisionConflict",
    "RuleViolation",
    "SchemaTooNew",
    "SnapshotDamaged",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
]


class LedgerError(Exception):
    """An error of the product.

    Attributes:
        code: A stable word for scripts, such as ``conflict``.
        exit_code: What a command that meets this error ends with.
        hint: What to do about it; may be empty.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(LedgerError, ValueError):
    """A value that is not valid; the message names it and the rule it breaks."""

    code = "invalid"
    exit_code = 2


class InvalidAmount(InvalidInput):
    """A value that is not an exact finite decimal number; ``field`` names where it stood."""

    code = "invalid_amount"

    def __init__(self, field: str, value: object, rule: str) -> None:
        super().__init__(f"{field}: {value!r} {rule}", hint="write a decimal number such as 187.40")
        self.field = field


class InvalidEvent(InvalidInput):
    """Bytes or fields that are no event of the vocabulary."""

    code = "invalid_event"


class InvalidMoment(InvalidInput):
    """Text that is not a moment, or a moment that cannot be resolved here."""

    code = "invalid_moment"


class MissingRate(InvalidInput):
    """A figure in the base currency needs a rate that no event has recorded."""

    code = "missing_rate"

    def __init__(self, from_currency: str, to_currency: str) -> None:
        super().__init__(
            f"no rate is recorded from {from_currency} to {to_currency}",
            hint=f"append a RateMarked event from {from_currency} to {to_currency}",
        )
        self.pair = (from_currency, to_currency)


class NotFound(LedgerError, LookupError):
    """There is no such session, symbol, order or event."""

    code = "not_found"
    exit_code = 3


class LedgerDamaged(LedgerError):
    """The log is not what was written: something is missing, changed, or was put in.

    Attributes:
        seq: The sequence number of the first event found wrong, where one can be named.
    """

    code = "damaged"
    exit_code = 4

    def __init__(self, message: str, *, seq: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint or "pledger verify names every damaged part")
        self.seq = seq


class ExportDamaged(LedgerDamaged):
    """An export's file is not what was written; nothing of it was taken."""

    code = "export_damaged"


class SnapshotDamaged(LedgerDamaged):
    """A snapshot's bytes are not what its digest says."""

    code = "snapshot_damaged"


class StoreError(LedgerError):
    """The store cannot be reached, or refuses us."""

    code = "store"
    exit_code = 5


class StoreUnavailable(StoreError, ConnectionError):
    """No connection to the store could be had, or it broke."""

    code = "store_unavailable"


class StoreRefused(StoreError):
    """The store answered with a refusal: credentials, rights, memory, read-only."""

    code = "store_refused"


class SchemaTooNew(LedgerError):
    """An event or a store was written by a newer schema than this build knows."""

    code = "schema_too_new"
    exit_code = 6


class AppendRefused(LedgerError):
    """An append was refused; nothing of the commit was recorded."""

    code = "refused"
    exit_code = 7


class RuleViolation(AppendRefused):
    """The state cannot take an event.

    Attributes:
        rule: The name of the rule, such as ``order-unknown``.
        event_type: The type of the event that was refused.
        index: Which event of its commit that was, from 0; ``None`` where that is not known.
    """

    code = "rule"
    index: int | None = None

    def __init__(self, rule: str, message: str, *, hint: str = "", event_type: str = "") -> None:
        super().__init__(message, hint=hint)
        self.rule = rule
        self.event_type = event_type


class RevisionConflict(AppendRefused):
    """What the append expected is not what is there.

    Attributes:
        events: The events that were there, oldest first.
    """

    code = "conflict"

    def __init__(self, message: str, *, events: Sequence[Recorded] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint or "read what is there, decide again, and append anew")
        self.events = tuple(events)


class Fenced(AppendRefused):
    """A newer run of this writer has taken over; this run can append no more."""

    code = "fenced"


class CommitMismatch(AppendRefused):
    """A commit with this id is recorded, with other content."""

    code = "commit_mismatch"
