"""Results as data frames and in notebooks: no digit is lost on the way."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
import pytest

from ledger import CashDeposited, SessionStarted

LONG = "0.12345678901234567890123456789012345678901234"


def test_amounts_are_exact_decimals_in_polars(day):
    frame = day.pnl().to_polars()
    assert frame["realized_pnl"].to_list() == [Decimal(50), Decimal(0)]
    assert isinstance(frame.schema["realized_pnl"], pl.Decimal)
    assert frame["key"].to_list() == ["AAPL", "MSFT"]


def test_amounts_are_exact_decimals_in_arrow_and_pandas(day):
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    trades = day.trades()
    fees = [trade.fees for trade in trades]
    assert trades.to_arrow()["fees"].to_pylist() == fees
    assert list(trades.to_pandas()["fees"]) == fees
    assert trades.to_pandas()["exit_price"].dtype == object


def test_an_amount_with_more_digits_than_a_column_holds_becomes_text(told):
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        CashDeposited(currency="USD", amount=LONG),
    )
    assert session.events(types=["CashDeposited"]).to_polars()["amount"].to_list() == [LONG]
    assert session.events(types=["CashDeposited"]).to_arrow()["amount"].to_pylist() == [
        Decimal(LONG)
    ]


def test_events_have_their_own_fields_as_columns(day):
    columns = day.events(symbol="AAPL").columns()
    assert columns["seq"] == [3, 4, 5, 6, 8, 9, 10, 11, 14, 15]
    assert columns["price"][:4] == [100, 100, None, 90]
    assert len({len(column) for column in columns.values()}) == 1


def test_every_result_can_be_had_as_a_frame(day):
    for rows in (
        day.events(),
        day.equity(points=4),
        day.orders(),
        day.find("equity > 1"),
        day.explain("equity").contributions,
        day.diff("#3", "#9").changes,
        day.what_if(drop=[5]).refused,
    ):
        assert len(rows.to_polars()) == len(rows) > 0


def test_states_and_results_show_themselves_in_a_notebook(day):
    page = day.at(seq=8)._repr_html_()
    assert "positions.AAPL.realized_pnl" in page
    assert "100199" in page
    assert "2 of 2" in day.trades()._repr_html_()
    assert "<table>" in day.diff("#3", "#9")._repr_html_()
    assert "<table>" in day.explain("equity")._repr_html_()


def test_what_a_writer_named_is_text_in_a_notebook_and_never_markup(told):
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        CashDeposited(currency="USD", amount=1, reason="<script>alert(1)</script>"),
    )
    assert "&lt;script&gt;" in session.events()._repr_html_()
    assert "<script>" not in session.events()._repr_html_()
