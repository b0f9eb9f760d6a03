"""The state that users see: money by currency, rates, views, and symbols in quarantine."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from ledger import (
    Accounts,
    CashDeposited,
    CashWithdrawn,
    Event,
    InstrumentRegistered,
    InvalidInput,
    LedgerDamaged,
    MissingRate,
    Order,
    OrderFilled,
    OrderPlaced,
    OrderStatus,
    PortfolioState,
    Position,
    PositionAdjusted,
    PositionClosed,
    PositionOpened,
    PriceMarked,
    RateMarked,
    Recorded,
    SessionEnded,
    SessionHalted,
    SessionStarted,
    SnapshotDamaged,
    fold,
    state_from_accounts,
)
from ledger.snapshot import accounts_from_bytes, bytes_from_accounts

MOMENT = datetime(2026, 1, 5, tzinfo=UTC)
S = SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded")
KOREAN = InstrumentRegistered(symbol="KRW-BTC", quote_currency="KRW", base_currency="BTC")


def history(*events: Event) -> list[Recorded]:
    revisions: dict[str, int] = {}
    found = []
    for seq, event in enumerate(events, start=1):
        revisions[event.symbol] = revision = revisions.get(event.symbol, 0) + 1
        found.append(
            Recorded(seq=seq, revision=revision, recorded_at=MOMENT, event=event, commit=f"c{seq}")
        )
    return found


def after(*events: Event) -> PortfolioState:
    return state_from_accounts(fold(history(*events)))


def deposit(currency: str, amount: object) -> Event:
    return CashDeposited(currency=currency, amount=amount)


def rate(from_currency: str, to_currency: str, value: object) -> Event:
    return RateMarked(from_currency=from_currency, to_currency=to_currency, rate=value)


def opened(symbol: str, price: object, position: str = "p", quantity: object = 1) -> Event:
    return PositionOpened(
        symbol=symbol, position_id=position, side="buy", quantity=quantity, entry_price=price
    )


def placed(symbol: str, order: str) -> Event:
    return OrderPlaced(symbol=symbol, order_id=order, side="buy", quantity=2, price=3)


def mark(symbol: str, price: object) -> Event:
    return PriceMarked(symbol=symbol, price=price)


def test_currencies_are_never_added_together() -> None:
    state = after(S, deposit("USD", 100), deposit("KRW", 1_300_000), KOREAN, opened("KRW-BTC", 500))
    assert list(state.balances) == ["KRW", "USD"]
    assert state.balances["KRW"].cash == 1_300_000
    assert state.balances["KRW"].available == 1_300_000 - 500
    assert state.balances["USD"].available == 100


@pytest.mark.parametrize(
    "figure",
    ["total_balance", "available_balance", "total_position_value", "equity", "utilization_rate"],
)
def test_a_missing_rate_is_an_error_that_names_the_pair(figure: str) -> None:
    state = after(S, deposit("KRW", 1_300_000), KOREAN, opened("KRW-BTC", 500))
    with pytest.raises(MissingRate, match="from KRW to USD") as caught:
        getattr(state, figure)
    assert caught.value.pair == ("KRW", "USD")
    assert "RateMarked" in caught.value.hint


def test_a_rate_serves_in_both_directions() -> None:
    money = (S, deposit("USD", 100), deposit("KRW", 1_300_000))
    assert after(*money, rate("KRW", "USD", "0.001")).total_balance == 1_400
    assert after(*money, rate("USD", "KRW", 1300)).total_balance == 1_100
    # Where both are recorded, the direct one counts, however old it is.
    both = after(*money, rate("KRW", "USD", "0.001"), rate("USD", "KRW", 1300))
    assert both.total_balance == 1_400


def test_the_latest_rate_counts() -> None:
    state = after(S, deposit("KRW", 1000), rate("KRW", "USD", 1), rate("KRW", "USD", "0.5"))
    assert state.total_balance == 500


def test_a_rate_that_is_not_needed_is_not_asked_for() -> None:
    state = after(S, deposit("KRW", 5), CashWithdrawn(currency="KRW", amount=5), deposit("USD", 1))
    assert state.total_balance == 1


def test_rates_are_not_chained() -> None:
    """KRW to USD by way of EUR would be a guess at a rate nobody recorded."""
    state = after(S, deposit("KRW", 1), rate("KRW", "EUR", 1), rate("EUR", "USD", 1))
    with pytest.raises(MissingRate, match="from KRW to USD"):
        _ = state.total_balance


def test_without_a_session_there_is_no_base_currency() -> None:
    state = after(deposit("KRW", 1))
    assert state.base_currency is None
    with pytest.raises(MissingRate, match="from KRW to a base currency"):
        _ = state.total_balance


def test_the_figures_are_what_the_contract_says() -> None:
    """Cash, what is tied up and reserved, equity and net PnL, with every kind of event in them."""
    fee = OrderFilled(symbol="A", order_id="o", trade_id="t", quantity=4, price=10, fee=1)
    state = after(
        S,
        deposit("USD", 1000),
        CashWithdrawn(currency="USD", amount=100),
        OrderPlaced(symbol="A", order_id="o", side="buy", quantity=10, price=10),
        fee,
        opened("A", 10, "p", 4),
        opened("B", 50, "q", 2),
        PositionAdjusted(symbol="B", position_id="q", funding=-5),
        PositionClosed(symbol="B", position_id="q", exit_price=60, fee="0.5"),
        mark("A", 12),
    )
    usd = state.balances["USD"]
    assert (usd.deposited, usd.withdrawn, usd.realized_pnl) == (1000, 100, 20)
    assert (usd.fees, usd.funding) == (Decimal("1.5"), -5)
    assert state.total_balance == usd.cash == Decimal("913.5")
    assert (usd.tied_up, usd.reserved) == (40, 60)
    assert state.available_balance == usd.available == Decimal("813.5")
    assert state.unrealized_pnl == 8
    assert state.equity == usd.equity == Decimal("921.5")
    assert state.net_pnl == usd.net_pnl == Decimal("13.5")
    assert state.total_position_value == usd.market_value == 48
    assert state.positions["p"].pnl == 8


def test_a_negative_available_balance_is_shown_as_it_is() -> None:
    assert after(S, opened("A", 10)).available_balance == -10


def test_a_halted_session_shows() -> None:
    state = after(S, SessionHalted(session="s"))
    assert (state.session, state.is_halted) == ("s", True)
    ended = after(S, SessionHalted(session="s"), SessionEnded(session="s"))
    assert (ended.session, ended.is_halted, ended.base_currency) == (None, False, "USD")


def test_the_state_shares_nothing_with_the_accounts() -> None:
    accounts = fold(history(S, deposit("USD", 10), opened("A", 1)))
    saved = bytes_from_accounts(accounts)
    state = state_from_accounts(accounts)
    state.positions["p"].quantity = Decimal(99)
    del state.positions["p"]
    state.symbols["A"].fees["USD"] = Decimal(1)
    state.balances["USD"].deposited = Decimal(0)
    state.rates["x"] = Decimal(1)
    state.total_balance = 7
    assert bytes_from_accounts(accounts) == saved
    assert state.total_balance == 7
    assert state_from_accounts(accounts).total_balance == 10


def test_what_is_made_when_it_is_asked_for_is_what_is_made_at_once() -> None:
    events = history(S, deposit("USD", 10), opened("A", 1), placed("A", "o"))
    at_once = state_from_accounts(fold(events))
    later = state_from_accounts(fold(events), is_own=True)
    assert "digest" not in vars(later)
    assert later == at_once
    assert (later.digest, list(later.orders)) == (fold(events).digest(), ["o"])


def test_a_state_stays_what_it_was_while_its_accounts_go_on() -> None:
    accounts = fold(history(S, opened("A", 1), placed("A", "o")))
    state, digest = state_from_accounts(accounts), accounts.digest()
    everything = history(S, opened("A", 1), placed("A", "o"), placed("A", "p"))
    assert fold(everything[3:], accounts).digest() != digest
    assert (state.digest, list(state.orders)) == (digest, ["o"])


def test_views_agree_however_they_are_changed() -> None:
    state = PortfolioState()
    first, second = (Position(name, 1, 1, 1, "buy") for name in ("A", "B"))
    state.positions["p"] = first
    state.positions["p"] = second  # the same id, now in another symbol
    assert state.per_symbol_positions == {"A": {}, "B": {"p": second}}
    assert dict(state.positions) == {"p": second}
    assert (len(state.positions), "p" in state.positions) == (1, True)
    state.per_symbol_positions["C"] = {"q": Position("C", 2, 2, 2, "sell")}
    assert state.total_position_value == 1 + 4
    with pytest.raises(KeyError):
        del state.positions["missing"]
    state.positions.clear()
    assert state.total_position_value == 0
    assert state.positions == {}


def test_contradicting_views_are_refused_when_a_state_is_built() -> None:
    first, other = Position("A", 1, 1, 1, "buy"), Position("A", 2, 1, 1, "buy")
    with pytest.raises(InvalidInput, match="position p is given twice, and differently"):
        PortfolioState(positions={"p": first}, per_symbol_positions={"A": {"p": other}})
    with pytest.raises(InvalidInput, match="position p is of A but stands under B"):
        PortfolioState(per_symbol_positions={"B": {"p": first}})
    order = Order("o", None, "A", "buy", 1, 1, OrderStatus.PENDING)
    other_order = Order("o", None, "B", "buy", 1, 1, OrderStatus.PENDING)
    with pytest.raises(InvalidInput, match="order o stands under"):
        PortfolioState(per_symbol_orders={"A": {"o": order}, "B": {"o": other_order}})
    given = PortfolioState(positions={"p": first}, per_symbol_positions={"A": {"p": first}})
    assert given.positions == {"p": first}


def test_the_maps_that_were_passed_are_not_kept() -> None:
    maps: dict[str, dict[str, Position]] = {"A": {"p": Position("A", 1, 1, 1, "buy")}}
    state = PortfolioState(per_symbol_positions=maps)
    maps["A"].clear()
    assert len(state.positions) == 1


FORGED: dict[str, Event] = {
    "position-unknown": PositionClosed(symbol="A", position_id="ghost", exit_price=1),
    "position-exists": opened("A", 1),
    "order-unknown": OrderFilled(symbol="A", order_id="x", trade_id="t", quantity=1, price=1),
}


@pytest.mark.parametrize(("rule", "event"), FORGED.items(), ids=FORGED)
def test_an_impossible_event_quarantines_its_symbol_and_the_others_go_on(
    rule: str, event: Event
) -> None:
    """Nothing was appended like this; it was put into the stream behind the ledger's back."""
    accounts = fold(
        history(S, deposit("USD", 10), opened("A", 5), event, mark("A", 9), opened("B", 3, "q"))
    )
    found = accounts.symbols["A"].quarantine
    assert found is not None
    assert (found.seq, found.type, found.rule) == (4, event.type, rule)
    state = state_from_accounts(accounts)
    assert state.quarantined.keys() == {"A"}
    assert state.quarantined["A"].startswith(f"#4: {event.type} in A: ")
    # A stays as it was before the event; B goes on; both are counted to the end.
    assert state.positions["p"].current_price == 5
    assert state.symbols["B"].tied_up == 3
    assert (accounts.symbols["A"].revision, accounts.symbols["A"].seq, state.seq) == (3, 5, 6)


@pytest.mark.parametrize(
    "figure",
    ["total_balance", "available_balance", "equity", "unrealized_pnl", "realized_pnl", "net_pnl"],
)
def test_no_total_is_shown_over_a_symbol_in_quarantine(figure: str) -> None:
    state = after(S, opened("A", 5), opened("A", 5), opened("B", 3, "q"))
    with pytest.raises(LedgerDamaged, match="no total over all symbols: in quarantine is A"):
        getattr(state, figure)


def test_an_impossible_event_of_the_portfolio_names_the_portfolio() -> None:
    state = after(S, S, opened("A", 1))
    assert state.quarantined.keys() == {""}
    assert state.symbols["A"].tied_up == 1
    with pytest.raises(LedgerDamaged, match="in quarantine is the portfolio"):
        _ = state.total_balance


def test_quarantine_survives_a_snapshot_and_shows_in_the_digest() -> None:
    events = history(S, opened("A", 5), opened("A", 5), mark("A", 7))
    accounts = fold(events)
    saved = accounts_from_bytes(bytes_from_accounts(accounts))
    assert saved == accounts
    healthy = fold([events[0], events[1]])
    assert healthy.digest() != fold(events[2:3], fold(events[:2])).digest()


def test_a_compressed_snapshot_is_the_snapshot_and_each_changed_byte_shows() -> None:
    accounts = fold(history(S, deposit("USD", 10), *(placed("A", f"o-{n}") for n in range(30))))
    plain, small = bytes_from_accounts(accounts), bytes_from_accounts(accounts, compressed=True)
    assert len(small) < len(plain) / 2
    assert accounts_from_bytes(small) == accounts_from_bytes(plain) == accounts
    for at in range(0, len(small), 7):
        changed = small[:at] + bytes([small[at] ^ 1]) + small[at + 1 :]
        try:
            assert accounts_from_bytes(changed) is None  # the version of the fold was changed
        except SnapshotDamaged:
            continue


def test_the_digest_tells_every_figure_apart() -> None:
    variants: list[list[Any]] = [
        [S],
        [S, deposit("USD", 1)],
        [S, deposit("USD", 2)],
        [S, deposit("KRW", 1)],
        [S, opened("A", 1)],
        [S, opened("A", 1, "q")],
        [S, opened("B", 1)],
        [S, opened("A", 1, "p", 2)],
        [S, mark("A", 1)],
        [S, mark("A", "1.01")],
    ]
    assert len({after(*events).digest for events in variants}) == len(variants)
    assert after(S, mark("A", "1.00")).digest == after(S, mark("A", 1)).digest
    assert len(Accounts().digest()) == 64
