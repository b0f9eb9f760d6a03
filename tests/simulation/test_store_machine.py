"""The store against a model of it in plain Python that is driven by the same calls.

The model knows the log as a list, the commits by their ids, the newest run of each writer, and what
the rules allow of orders and positions. Every call must end as the model says, on every server.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from servers import ServedStore

from ledger import (
    CashDeposited,
    Commit,
    CommitMismatch,
    Event,
    Fenced,
    Ledger,
    LedgerError,
    OrderCancelled,
    OrderPlaced,
    PositionClosed,
    PositionOpened,
    PositionReduced,
    PriceMarked,
    RevisionConflict,
    RuleViolation,
    SessionEnded,
    SessionStarted,
    SyncLedger,
)

SYMBOLS = ("A", "B", "C")
WRITERS = ("v", "w")
IDS = ("1", "2", "3", "4")

symbols = st.sampled_from(SYMBOLS)
ids = st.sampled_from(IDS)
events = st.one_of(
    st.builds(lambda s, p: PriceMarked(symbol=s, price=p), symbols, st.integers(1, 99)),
    st.builds(
        lambda s, i: OrderPlaced(symbol=s, order_id=i, side="buy", quantity=1, price=5),
        symbols,
        ids,
    ),
    st.builds(lambda s, i: OrderCancelled(symbol=s, order_id=i), symbols, ids),
    st.builds(
        lambda s, i: PositionOpened(
            symbol=s, position_id=i, side="buy", quantity=3, entry_price=10
        ),
        symbols,
        ids,
    ),
    st.builds(
        lambda s, i, q: PositionReduced(symbol=s, position_id=i, quantity=q, exit_price=11),
        symbols,
        ids,
        st.integers(1, 2),
    ),
    st.builds(lambda s, i: PositionClosed(symbol=s, position_id=i, exit_price=12), symbols, ids),
    st.builds(lambda a: CashDeposited(currency="USD", amount=a), st.integers(1, 9)),
    st.builds(lambda i: SessionEnded(session=i), ids),
    st.builds(
        lambda i: SessionStarted(session=i, mode="paper", base_currency="USD", clock="recorded"),
        ids,
    ),
)
commits = st.lists(events, min_size=1, max_size=3)


class Logged(NamedTuple):
    """An event as the model keeps it."""

    seq: int
    revision: int
    commit: str
    event: Event


class Refused(Exception):
    """The model's rules do not allow an event."""


class Book:
    """What the rules look at, after some events."""

    def __init__(self, log: list[Logged]) -> None:
        self.session: str | None = None
        self.has_currency = False
        self.orders: dict[str, tuple[str, bool]] = {}
        self.positions: dict[str, tuple[str, int]] = {}
        self.sessions: set[str] = set()
        for each in log:
            self.take(each.event)

    def take(self, event: Event) -> None:
        """Take an event, or refuse it."""
        words = re.sub(r"(?<!^)([A-Z])", r"_\1", event.type).lower()
        getattr(self, f"_take_{words}")(event)

    def _require(self, allowed: bool) -> None:
        if not allowed:
            raise Refused

    def _take_price_marked(self, event: PriceMarked) -> None: ...

    def _take_cash_deposited(self, event: CashDeposited) -> None: ...

    def _take_order_placed(self, event: OrderPlaced) -> None:
        self._require(self.has_currency and event.order_id not in self.orders)
        self.orders[event.order_id] = (event.symbol, True)

    def _take_order_cancelled(self, event: OrderCancelled) -> None:
        self._require(self.orders.get(event.order_id) == (event.symbol, True))
        self.orders[event.order_id] = (event.symbol, False)

    def _take_position_opened(self, event: PositionOpened) -> None:
        self._require(self.has_currency and event.position_id not in self.positions)
        self.positions[event.position_id] = (event.symbol, 3)

    def _take_position_reduced(self, event: PositionReduced) -> None:
        symbol, quantity = self.positions.get(event.position_id, ("", 0))
        self._require(symbol == event.symbol and quantity >= int(event.quantity))
        self.positions[event.position_id] = (symbol, quantity - int(event.quantity))

    def _take_position_closed(self, event: PositionClosed) -> None:
        symbol, quantity = self.positions.get(event.position_id, ("", 0))
        self._require(symbol == event.symbol and quantity > 0)
        self.positions[event.position_id] = (symbol, 0)

    def _take_session_started(self, event: SessionStarted) -> None:
        self._require(self.session is None and event.session not in self.sessions)
        self.session, self.has_currency = event.session, True
        self.sessions.add(event.session)

    def _take_session_ended(self, event: SessionEnded) -> None:
        self._require(self.session == event.session)
        self.session = None


class StoreMachine(RuleBasedStateMachine):
    """Two runs of two writers, and one who has no name."""

    store: ClassVar[ServedStore]

    def __init__(self) -> None:
        super().__init__()
        self.portfolio = f"m{uuid.uuid4().hex[:12]}"
        self.log: list[Logged] = []
        self.commits: dict[str, tuple[list[Event], int, int]] = {}
        self.epochs = dict.fromkeys(WRITERS, 0)
        self.ledgers: list[SyncLedger] = []
        self.runs: list[tuple[str, int, Any]] = []
        self.contexts: list[Any] = []

    @initialize(has_session=st.sampled_from([True, True, True, False]))
    def open(self, has_session: bool) -> None:
        """Two connections, one run of each writer, and mostly an open session."""
        self.ledgers = [self._ledger(), self._ledger()]
        for name in WRITERS:
            self.new_run(name, 0)
        if has_session:
            start = SessionStarted(session="1", mode="paper", base_currency="USD", clock="recorded")
            self._append([start], 0, "x", None)

    def _ledger(self) -> SyncLedger:
        return Ledger.sync.connect(self.store.url, portfolio=self.portfolio, patience=5)

    def teardown(self) -> None:
        """Close what is open, and compare the whole once more."""
        for context in self.contexts:
            context.__exit__(None, None, None)
        for ledger in self.ledgers:
            ledger.close()
        with self._ledger() as fresh:
            self._compare_log(fresh)

    @rule(name=st.sampled_from(WRITERS), connection=st.integers(0, 1))
    def new_run(self, name: str, connection: int) -> None:
        """A newer run of a writer fences the one before."""
        context = self.ledgers[connection].writer(name)
        writer = context.__enter__()
        self.contexts.append(context)
        self.epochs[name] += 1
        assert writer.epoch == self.epochs[name]
        self.runs.append((name, self.epochs[name], writer))

    @rule(batch=commits, who=st.integers(0, 5), named=st.sampled_from([None, "x", "y", "z"]))
    def append(self, batch: list[Event], who: int, named: str | None) -> None:
        """Append anything, with or without an id of one's own."""
        self._append(batch, who, named, None)

    @rule(batch=commits, who=st.integers(0, 5), off=st.integers(-2, 1))
    def append_at_seq(self, batch: list[Event], who: int, off: int) -> None:
        """Demand a sequence number that may be wrong."""
        self._append(batch, who, None, max(len(self.log) + off, 0))

    @rule(batch=commits, who=st.integers(0, 5), off=st.integers(-1, 1))
    def append_at_revision(self, batch: list[Event], who: int, off: int) -> None:
        """Demand revisions that may be wrong."""
        wanted = {each.symbol: max(self._revision(each.symbol) + off, 0) for each in batch}
        self._append(batch, who, None, wanted)

    @rule(which=st.integers(0, 40), who=st.integers(0, 5))
    def resend(self, which: int, who: int) -> None:
        """Send a commit with a known id and its content again."""
        if self.commits:
            name = sorted(self.commits)[which % len(self.commits)]
            self._append(self.commits[name][0], who, name, None)

    def _append(self, batch: list[Event], who: int, named: str | None, expected: Any) -> None:
        name, epoch, target = [("", 0, self.ledgers[0]), *self.runs][who % (len(self.runs) + 1)]
        allowed = self._allowed(batch, name, epoch, named, expected)
        before = len(self.log)
        commit: Commit | LedgerError
        try:
            commit = target.append(batch, commit_id=named, expected=expected)
        except LedgerError as error:
            commit = error
        assert type(commit) in allowed, (commit, allowed)
        if isinstance(commit, RevisionConflict):
            self._check_conflict(commit, expected)
        if not isinstance(commit, Commit):
            return
        if named in self.commits:
            _, first, last = self.commits[named]
            assert (commit.first_seq, commit.seq, commit.is_repeat) == (first, last, True)
            return
        assert (commit.first_seq, commit.seq) == (before + 1, before + len(batch))
        assert not commit.is_repeat
        for seq, event in enumerate(batch, start=before + 1):
            self.log.append(Logged(seq, self._revision(event.symbol) + 1, commit.id, event))
        assert commit.revisions == {each.symbol: self._revision(each.symbol) for each in batch}
        if named is not None:
            self.commits[named] = (batch, commit.first_seq, commit.seq)

    def _allowed(
        self, batch: list[Event], name: str, epoch: int, named: str | None, expected: Any
    ) -> set[type]:
        """How the call may end; where several things are wrong, any of them may be told."""
        if named in self.commits:
            return {Commit} if self.commits[named][0] == batch else {CommitMismatch}
        wrong: set[type] = set()
        if name and self.epochs[name] != epoch:
            wrong.add(Fenced)
        if isinstance(expected, int) and expected != len(self.log):
            wrong.add(RevisionConflict)
        demanded = expected.items() if isinstance(expected, dict) else ()
        if any(self._revision(each) != wanted for each, wanted in demanded):
            wrong.add(RevisionConflict)
        book = Book(self.log)
        try:
            for event in batch:
                book.take(event)
        except Refused:
            wrong.add(RuleViolation)
        return wrong or {Commit}

    def _check_conflict(self, error: RevisionConflict, expected: Any) -> None:
        if isinstance(expected, int):
            there = [each.seq for each in self.log if each.seq > expected]
        else:
            there = [
                each.seq
                for each in self.log
                if each.revision > expected.get(each.event.symbol, len(self.log))
            ]
        assert [found.seq for found in error.events] == there

    def _revision(self, symbol: str) -> int:
        return sum(each.event.symbol == symbol for each in self.log)

    @rule(after=st.integers(0, 60), length=st.integers(0, 60), only=st.sets(symbols))
    def read(self, after: int, length: int, only: set[str]) -> None:
        """Read any stretch of any streams."""
        after = min(after, len(self.log))
        until = min(after + length, len(self.log))
        found = self.ledgers[1].tail(*sorted(only), after=after, until=until)
        part = [each for each in self.log[after:until] if not only or each.event.symbol in only]
        assert [(each.seq, each.revision, each.commit) for each in found] == [
            (each.seq, each.revision, each.commit) for each in part
        ]

    @rule(seq=st.integers(0, 60), with_snapshot=st.booleans())
    def state(self, seq: int, with_snapshot: bool) -> None:
        """The state at any number has what the model has."""
        if with_snapshot:
            self.ledgers[0].snapshot()
        seq = min(seq, len(self.log))
        state, book = self.ledgers[1].state(seq), Book(self.log[:seq])
        held = {each: (p.symbol, int(p.quantity)) for each, p in state.positions.items()}
        assert held == {each: p for each, p in book.positions.items() if p[1]}
        orders = {each: (o.symbol, o.status.is_working) for each, o in state.orders.items()}
        assert orders == book.orders
        assert state.seq == seq

    @invariant()
    def head_is_the_models(self) -> None:
        """How far the portfolio has come is known to everybody at once."""
        if self.ledgers:
            found = self.ledgers[1].head()
            assert found.seq == len(self.log)
            names = {each.event.symbol for each in self.log}
            assert found.revisions == {name: self._revision(name) for name in names}

    def _compare_log(self, ledger: SyncLedger) -> None:
        found = [(each.seq, each.revision, each.commit, each.type) for each in ledger.tail()]
        assert found == [
            (each.seq, each.revision, each.commit, each.event.type) for each in self.log
        ]
        accounts = ledger.accounts(use_snapshots=False)
        assert accounts.digest() == ledger.state().digest
        assert not any(each.quarantine for each in accounts.symbols.values())


def test_the_store_does_what_its_model_does(
    served: Callable[[str], ServedStore], kind: str
) -> None:
    machine = type("Machine", (StoreMachine,), {"store": served(kind)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=20,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture(params=["memory", "redis", "valkey"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each server in turn."""
    return request.param
