"""What holds of every history, whatever happened in it."""

from __future__ import annotations

import itertools
import re
from decimal import Decimal

import msgspec
import pytest
from histories import (
    PROPOSED_TYPES,
    SYMBOLS,
    accepted,
    copied,
    folded,
    histories,
    proposals,
    recorded,
    reversal_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import (
    EVENT_TYPES,
    Accounts,
    Event,
    Recorded,
    RuleViolation,
    add,
    fold,
    state_from_accounts,
)
from ledger.accounts import PortfolioAccount, SymbolAccount
from ledger.codec import decode_events, encode_events, event_from_line, line_from_recorded
from ledger.entry import Entry
from ledger.evolve import check, fold_chunks
from ledger.reading import Chunk
from ledger.snapshot import accounts_from_bytes, bytes_from_accounts

quick = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_every_event_type_is_proposed() -> None:
    """A new event type has to be added to the histories, or nothing here says anything about it."""
    assert set(EVENT_TYPES.values()) == PROPOSED_TYPES


@quick
@given(histories(), st.integers(0, 40))
def test_folding_in_two_parts_is_folding_at_once(history: list[Recorded], cut: int) -> None:
    parts = fold(history[cut:], fold(history[:cut]))
    assert parts.digest() == folded(history).digest()


@quick
@given(histories(), st.integers(0, 40))
def test_a_snapshot_anywhere_and_the_rest_is_the_whole(history: list[Recorded], cut: int) -> None:
    saved = accounts_from_bytes(bytes_from_accounts(fold(history[:cut])))
    assert saved is not None
    assert bytes_from_accounts(saved) == bytes_from_accounts(fold(history[:cut]))
    whole = folded(history)
    assert fold(history[cut:], saved).digest() == whole.digest()
    assert bytes_from_accounts(saved) == bytes_from_accounts(whole)


@quick
@given(histories())
def test_the_fast_fold_is_the_fold(history: list[Recorded]) -> None:
    """Chunks of one event each, and one per stretch of one symbol, give what events give."""
    chunks: list[Chunk] = []
    for symbol, stretch in itertools.groupby(history, lambda found: found.symbol):
        found = list(stretch)
        seqs, first = [each.seq for each in found], found[0].revision
        entry = Entry(symbol, seqs[-1], found[-1].revision, len(seqs), 0, "c", "w", seqs, b"")
        chunks.append(Chunk(seqs[0], first, seqs, [each.event for each in found], entry))
    accounts = Accounts()
    fold_chunks(accounts, chunks)
    accounts.seq = len(history)
    assert accounts.digest() == folded(history).digest()


@quick
@given(histories())
def test_what_was_appended_by_the_rules_is_folded_without_quarantine(
    history: list[Recorded],
) -> None:
    """The same rules hold at the append and in the fold."""
    state = state_from_accounts(folded(history))
    assert not state.quarantined
    assert state.seq == len(history)


@quick
@given(histories())
def test_decoding_what_was_encoded_gives_the_events(history: list[Recorded]) -> None:
    events = [found.event for found in history]
    payload = encode_events(events)
    assert decode_events(payload) == events
    assert encode_events(decode_events(payload)) == payload
    for found, written in zip(history, msgspec.json.decode(payload), strict=True):
        for name in found.event.__struct_fields__:
            if isinstance(getattr(found.event, name), Decimal):
                assert re.fullmatch(r"-?\d+(\.\d+)?", written[name]), "an amount has an exponent"


@quick
@given(histories())
def test_the_line_of_an_event_reads_back_as_the_event(history: list[Recorded]) -> None:
    assigned = ("seq", "revision", "recorded_at", "commit", "writer")
    for found in history:
        line = line_from_recorded(found)
        kept = {name: value for name, value in line.items() if name not in assigned}
        assert event_from_line(msgspec.json.encode(kept)) == found.event


@quick
@given(histories())
def test_the_views_of_positions_and_orders_never_disagree(history: list[Recorded]) -> None:
    accounts = Accounts()
    for found in history:
        fold([found], accounts)
        state = state_from_accounts(accounts, with_digest=False)
        for flat, by_symbol in (
            (state.positions, state.per_symbol_positions),
            (state.orders, state.per_symbol_orders),
        ):
            listed = {key: item for items in by_symbol.values() for key, item in items.items()}
            assert dict(flat) == listed
            assert len(flat) == sum(map(len, by_symbol.values()))
            for symbol, items in by_symbol.items():
                assert all(item.symbol == symbol for item in items.values())


@quick
@given(histories())
def test_tied_up_and_counts_agree_with_the_positions(history: list[Recorded]) -> None:
    accounts = folded(history)
    state = state_from_accounts(accounts, with_digest=False)
    for symbol, figures in state.symbols.items():
        positions = state.get_symbol_positions(symbol)
        assert figures.opened_count - figures.closed_count == len(positions)
        account = accounts.symbols[symbol]
        for entry in account.positions.values():
            assert entry.quantity > 0
            if entry.lots is not None:
                assert _total([lot.quantity for lot in entry.lots]) == entry.quantity
                assert _total([lot.cost for lot in entry.lots]) == entry.cost
        for order in account.orders.values():
            assert 0 <= order.filled <= order.quantity
        assert figures.reserved >= 0
    tied_up = _total([figures.tied_up for figures in state.symbols.values()])
    assert _total([balance.tied_up for balance in state.balances.values()]) == tied_up


def _total(values: list[Decimal]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = add(total, value)
    return total


_EVENTS = proposals().filter(lambda made: not isinstance(made, int))


@quick
@given(histories(), st.lists(_EVENTS, min_size=1))
def test_what_is_refused_leaves_no_trace(history: list[Recorded], tries: list[Event]) -> None:
    accounts = folded(history)
    digest, saved = accounts.digest(), bytes_from_accounts(accounts)
    for event in tries:
        if event.symbol and event.symbol not in accounts.symbols:
            continue
        try:
            check(copied(accounts), event, accounts.seq + 1)
        except RuleViolation:
            with pytest.raises(RuleViolation):
                check(accounts, event, accounts.seq + 1)
        assert bytes_from_accounts(accounts) == saved
        assert accounts.digest() == digest


@quick
@given(histories(), _EVENTS)
def test_a_fork_shares_nothing_that_an_event_changes(history: list[Recorded], event: Event) -> None:
    accounts = folded(history)
    saved = bytes_from_accounts(accounts)
    if event.symbol and event.symbol not in accounts.symbols:
        return
    forks = Accounts(portfolio=accounts.portfolio, symbols=dict(accounts.symbols))
    _put(forks, event.symbol, accounts.account(event.symbol).fork([event]))
    fold([recorded(accounts.seq + 1, 1, event)], forks)
    assert bytes_from_accounts(accounts) == saved


def _put(accounts: Accounts, name: str, account: PortfolioAccount | SymbolAccount) -> None:
    if isinstance(account, SymbolAccount):
        accounts.symbols[name] = account
    else:
        accounts.portfolio = account


def _rewritten(event: Event) -> Event:
    """Write every amount of an event another way."""
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    for name, value in fields.items():
        if isinstance(value, Decimal):
            text = format(value, "f")
            fields[name] = Decimal(text + ("000" if "." in text else ".000"))
    return type(event)(**fields)


@quick
@given(histories())
def test_the_digest_does_not_depend_on_how_amounts_are_written(history: list[Recorded]) -> None:
    other = [msgspec.structs.replace(found, event=_rewritten(found.event)) for found in history]
    assert folded(other).digest() == folded(history).digest()


@quick
@given(histories())
def test_a_symbol_folded_alone_is_its_account_of_the_whole(history: list[Recorded]) -> None:
    """No event changes two accounts: a consumer of one symbol needs no other symbol's events."""
    whole = folded(history)
    for symbol in SYMBOLS:
        alone = fold([found for found in history if found.symbol in ("", symbol)])
        assert alone.symbols.get(symbol) == whole.symbols.get(symbol)
        assert alone.portfolio == whole.portfolio


def _figures(accounts: Accounts) -> dict[str, object]:
    """Everything a user sees, apart from how many events there were."""
    state = state_from_accounts(accounts, with_digest=False)
    symbols = {}
    for name, figures in state.symbols.items():
        fees = {currency: fee for currency, fee in figures.fees.items() if fee}
        symbols[name] = msgspec.structs.replace(figures, revision=0, fees=fees)
    empty = {name for name, figures in symbols.items() if figures == type(figures)()}
    return {
        "positions": dict(state.positions),
        "orders": dict(state.orders),
        "balances": {k: v for k, v in state.balances.items() if v != type(v)()},
        "rates": state.rates,
        "limits": state.limits,
        "session": (state.session, state.is_halted, state.base_currency),
        "symbols": {name: figures for name, figures in symbols.items() if name not in empty},
    }


@quick
@given(histories(), st.integers(0, 40))
def test_a_reversal_makes_the_state_as_if_the_event_had_not_happened(
    history: list[Recorded], number: int
) -> None:
    if not history:
        return
    seq = number % len(history) + 1
    try:
        reversal = reversal_of(history, seq)
    except RuleViolation:
        return
    original = history[seq - 1]
    if original.type in ("CostBasisChosen", "SessionStarted"):
        return  # other streams keep what they took from it
    revision = folded(history).account(original.symbol).revision + 1
    with_it = folded([*history, recorded(len(history) + 1, revision, reversal)])
    without = folded([found for found in history if found.seq != seq])
    if not any(found.type == "EventReversed" for found in history):
        assert _figures(with_it) == _figures(without)
    assert not state_from_accounts(with_it, with_digest=False).quarantined


def test_histories_are_not_empty_talk() -> None:
    """The generator reaches every type, so that the properties speak of all of them."""
    seen: set[str] = set()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(histories())
    def collect(history: list[Recorded]) -> None:
        seen.update(found.type for found in history)

    collect()
    assert seen == set(EVENT_TYPES)


def test_a_refused_proposal_is_not_kept() -> None:
    assert accepted([EVENT_TYPES["OrderAccepted"](symbol="AAPL", order_id="x")]) == []
