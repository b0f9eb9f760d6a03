"""Appending: checks every commit against the state of its streams, and settles races.

A writer keeps the accounts of the streams it touches, folded from what the store has confirmed. A
commit is tried on forks of them, sent with the revisions it was tried on, and folded in when the
store has taken it. If others appended first, the writer catches up, tries again on what is there
now, and sends again under the same id; runners of different symbols never meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

from ledger.accounts import Accounts
from ledger.amounts import exact
from ledger.commit import Commit, Draft, Expected
from ledger.errors import (
    AppendRefused,
    LedgerDamaged,
    NotFound,
    RevisionConflict,
    RuleViolation,
)
from ledger.event import Event, Recorded
from ledger.events import CostBasisChosen, EventReversed, SessionStarted
from ledger.evolve import check_all, step
from ledger.fields import checked_id
from ledger.folding import accounts_at, catch_up, read_events
from ledger.keys import Keys
from ledger.planning import check_own_ids, claimed, is_reversal, together
from ledger.reversing import filled_in, original_of
from ledger.store import Command, Steps

__all__ = ["WriterCore"]

_SHOWN_CONFLICTS: Final = 100
_PATIENCE: Final = 1_000


class WriterCore:
    """What the sync and the async writer share.

    Args:
        keys: The portfolio's keys.
        name: The writer's name, or an empty text for one that fences nobody.
        epoch: The number of this run of the writer; ``None`` without a name.
        clock: Tells ``occurred_at`` where it was left out.
        new_id: Makes ids for the commits of a writer without a name.
    """

    def __init__(
        self,
        keys: Keys,
        name: str,
        epoch: int | None,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self.keys = keys
        self.name = name
        self.epoch = epoch
        self._clock = clock
        self._new_id = new_id
        self._number = 0
        self._accounts = Accounts()
        self._loaded: set[str] = set()

    def draft(
        self, events: Sequence[Event], *, expected: Expected = None, commit_id: str | None = None
    ) -> Draft:
        """Make a draft with an id of its own.

        Raises:
            InvalidInput: It is no commit: empty, too many events, a missing symbol.
        """
        is_chosen = commit_id is not None
        if commit_id is None:
            commit_id = self._own_id()
        bucket, field = self.keys.place_of_commit(checked_id(commit_id, "commit_id"))
        return Draft(
            events,
            commit_id=commit_id,
            bucket=bucket,
            field=field,
            expected=expected,
            now=self._clock(),
            is_chosen=is_chosen,
        )

    def _own_id(self) -> str:
        if self.epoch is None:
            return self._new_id()
        self._number += 1
        return f"{self.name}:{self.epoch}:{self._number}"

    def append(self, drafts: Sequence[Draft]) -> Steps[None]:
        """Append drafts in order, sending as many at once as do not wait for each other.

        Sets each draft's outcome; only trouble with the store is raised.
        """
        left = list(drafts)
        for _ in range(_PATIENCE):
            if not left:
                return
            yield from self._append_apart(together(left))
            left = [draft for draft in left if draft.outcome is None]
        for draft in left:
            draft.outcome = RevisionConflict(f"commit {draft.id}: others were always first")

    def _append_apart(self, drafts: Sequence[Draft]) -> Steps[None]:
        """Append together, but let damage that one draft meets stop none of the others."""
        try:
            yield from self._append_together(drafts)
        except (LedgerDamaged, NotFound) as error:
            if len(drafts) == 1:
                drafts[0].outcome = error
                return
            for draft in drafts:
                if draft.outcome is None:
                    yield from self._append_apart([draft])

    def _append_together(self, drafts: Sequence[Draft]) -> Steps[None]:
        """One round: try, send, settle. What lost a race keeps no outcome."""
        yield from self._load({name for draft in drafts for name in draft.streams})
        if is_reversal(drafts[0]):
            yield from self._fill_in(drafts[0])
        commands, refused = self._plan(drafts)
        if refused and not is_reversal(drafts[0]):
            # Perhaps only we are behind: look again before refusing.
            yield from self._catch_up({name for draft in refused for name in draft.streams} | {""})
            commands, refused = self._plan(drafts)
        sent = [draft for draft in drafts if draft in commands]
        if sent:
            replies = yield [commands[draft] for draft in sent]
            for draft, reply in zip(sent, replies, strict=True):
                yield from self._settle(draft, reply)
        # A refusal that counted on a commit which then failed is no refusal yet: try again.
        if all(isinstance(draft.outcome, Commit) for draft in sent):
            for draft, error in refused.items():
                yield from self._refuse(draft, error)

    def _plan(
        self, drafts: Sequence[Draft]
    ) -> tuple[dict[Draft, Command], dict[Draft, AppendRefused]]:
        """Try drafts one after the other on forks; return the commands and the refusals."""
        trial = Accounts(seq=self._accounts.seq, portfolio=self._accounts.portfolio, symbols={})
        commands: dict[Draft, Command] = {}
        refused: dict[Draft, AppendRefused] = {}
        before: dict[str, str] = {}
        for draft in drafts:
            if draft.outcome is not None:
                continue
            try:
                commands[draft] = self._try(draft, trial, before)
                before |= dict.fromkeys(draft.streams, draft.id)
            except AppendRefused as error:
                refused[draft] = error
        return commands, refused

    def _try(self, draft: Draft, trial: Accounts, before: Mapping[str, str]) -> Command:
        """Evolve a draft's events on forks; keep them in ``trial`` if all were taken."""
        forks = Accounts(portfolio=trial.portfolio, symbols=dict(trial.symbols))
        revisions: dict[str, int] = {}
        for name in draft.streams:
            account = trial.symbols.get(name) or self._accounts.account(name)
            account = (account if name else trial.portfolio).fork(draft.events_of(name))
            revisions[name] = account.revision
            forks.put(account)
        self._check_expected(draft, revisions)
        check_own_ids(draft)
        check_all(forks, draft.events, trial.seq + 1)
        control = None if "" in draft.streams else self._accounts.portfolio.control_seq
        trial.portfolio, trial.symbols = forks.portfolio, forks.symbols
        draft.forks = [forks.account(name) for name in draft.streams]
        draft.tried_seq = trial.seq + 1
        trial.seq += len(draft.events)
        return draft.command(
            self.keys,
            writer=self.name,
            epoch=self.epoch,
            revisions=revisions,
            before=before,
            control=control,
        )

    def _check_expected(self, draft: Draft, revisions: dict[str, int]) -> None:
        if not isinstance(draft.expected, int) and draft.expected is not None:
            for name, revision in draft.expected.items():
                found = revisions.get(name)
                if found != revision:
                    raise RevisionConflict(
                        f"revision {revision} of {name or 'the portfolio'} was expected; "
                        f"it is at {found}"
                    )

    def _refuse(self, draft: Draft, error: AppendRefused) -> Steps[None]:
        """Refuse a draft, unless its commit was recorded before: then it has its outcome."""
        draft.outcome = error
        if draft.is_chosen and (yield from self._find_recorded(draft)):
            return
        if isinstance(error, RevisionConflict) and isinstance(draft.expected, Mapping):
            draft.outcome = yield from self._with_events(error, draft.expected)

    def _find_recorded(self, draft: Draft) -> Steps[bool]:
        (last,) = yield [("HGET", draft.bucket, draft.field)]
        if last is None:
            return False
        (found,) = yield [("XRANGE", self.keys.feed, last, last)]
        draft.settle([b"again", found[0]] if found else [b"recorded", last])
        return True

    def _with_events(
        self, error: RevisionConflict, expected: Mapping[str, int]
    ) -> Steps[RevisionConflict]:
        """Add to a conflict the events that stand after the expected revisions."""
        there: list[Recorded] = []
        for name, revision in expected.items():
            until = self._accounts.account(name).seq
            events = yield from read_events(self.keys, after=0, until=until, symbols=[name])
            there += [event for event in events if event.revision > revision]
        there.sort(key=lambda event: event.seq)
        return RevisionConflict(error.message, events=there[:_SHOWN_CONFLICTS])

    def _settle(self, draft: Draft, reply: object) -> Steps[None]:
        """Act on the script's answer to one draft."""
        word = draft.settle(reply)
        if word == "ok" and isinstance(draft.outcome, Commit):
            self._fold_in(draft, draft.outcome.first_seq)
        elif word == "conflict":
            yield from self._refuse_expected(draft)
        elif word == "claimed":
            draft.outcome = claimed(reply)
        if word != "ok":
            yield from self._catch_up({*draft.streams, ""})

    def _fold_in(self, draft: Draft, first_seq: int) -> None:
        """Fold a confirmed commit into the accounts."""
        if first_seq == draft.tried_seq:
            # Nobody came between: the forks hold just what a fold would make.
            for account in draft.forks:
                self._accounts.put(account)
            self._accounts.seq = first_seq + len(draft.events) - 1
            return
        with exact():
            for seq, event in enumerate(draft.events, start=first_seq):
                # A draft before it that was refused may have caught up beyond it already.
                if seq > self._accounts.account(event.symbol).seq:
                    step(self._accounts, event, seq)

    def _refuse_expected(self, draft: Draft) -> Steps[None]:
        expected = draft.expected if isinstance(draft.expected, int) else 0
        there = yield from read_events(self.keys, after=expected, until=expected + _SHOWN_CONFLICTS)
        last = there[-1].seq if there else expected
        draft.outcome = RevisionConflict(
            f"#{expected} was expected to be the last event; there are others up to #{last}"
            if there
            else f"#{expected} was expected to be the last event; the portfolio is not that far",
            events=there,
        )

    def _load(self, names: set[str]) -> Steps[None]:
        """Fold the accounts of streams that this writer touches for the first time."""
        missing = names - self._loaded
        if not missing and self._loaded:
            return
        symbols = missing - {""}
        loaded = yield from accounts_at(self.keys, symbols=symbols)
        if "" not in self._loaded:
            self._accounts.portfolio = loaded.portfolio
        self._accounts.symbols |= loaded.symbols
        self._accounts.seq = max(self._accounts.seq, loaded.seq)
        self._loaded |= missing | {""}

    def _catch_up(self, names: set[str]) -> Steps[None]:
        for name in sorted(names & self._loaded):
            yield from catch_up(self.keys, self._accounts, name)

    def _fill_in(self, draft: Draft) -> Steps[None]:
        """Give a reversal what it takes back, right for its stream as it is now."""
        reversal = draft.events[0]
        if not isinstance(reversal, EventReversed):
            return
        original = yield from original_of(self.keys, reversal.seq)
        yield from self._load({original.symbol})
        yield from self._catch_up({original.symbol})
        until = self._accounts.account(original.symbol).seq
        try:
            draft.take([(yield from filled_in(self.keys, reversal, original, until))])
            if isinstance(original.event, SessionStarted | CostBasisChosen):
                draft.expected = original.seq  # it was the last event; nobody may come between
        except RuleViolation as error:
            yield from self._refuse(draft, error)
