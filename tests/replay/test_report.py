"""A report is one file that shows, in a real browser and without a network, what the fold says."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import shutil
import subprocess
from decimal import Decimal

import pytest

from ledger import (
    CashDeposited,
    PositionClosed,
    PositionOpened,
    PriceMarked,
    SessionEnded,
    SessionStarted,
    TradeRefused,
    plain,
)
from replay.report import html_from_history, write_report
from replay.report_steps import steps_of

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=4000", "--dump-dom"),
)


@pytest.fixture
def shown(tmp_path):
    """Open a page in a browser and return what it has become; its scripts have run by then."""
    if BROWSER is None:
        pytest.skip("no chromium is installed: apt-get install chromium")

    def show(page: str, moment: str = "") -> str:
        file = tmp_path / "report.html"
        file.write_text(page, "utf-8")
        command = [BROWSER, *FLAGS, f"--user-data-dir={tmp_path / 'profile'}"]
        address = file.as_uri() + (f"#event={moment}" if moment else "")
        done = subprocess.run(
            [*command, address], capture_output=True, text=True, timeout=60, check=False
        )
        assert 'data-ready="yes"' in done.stdout, done.stderr[-2000:]
        return done.stdout

    return show


def totals_in(page: str) -> dict[str, str]:
    """The totals that are on screen, digit for digit."""
    (box,) = re.findall(r'<div id="totals">(.*?)</div></div>', page, re.DOTALL)
    found = re.findall(r"<span>([^<]*)</span><b[^>]*title=\"([^\"]*)\"", box)
    return dict(found)


def test_the_slider_shows_what_the_fold_says_at_any_event(day, shown):
    page = html_from_history(day.history)
    for seq in (2, 11):
        totals = totals_in(shown(page, str(seq)))
        state = day.at(seq=seq)
        assert totals["equity"] == plain(state.equity)
        assert totals["cash"] == plain(state.total_balance)
        assert totals["available"] == plain(state.available_balance)
        assert totals["net"] == plain(state.net_pnl)
        assert totals["fees"] == plain(state.fees)


def test_the_browser_draws_tables_and_curves(day, shown):
    page = shown(html_from_history(day.history))
    assert page.count('class="line"') == 1
    for text in ("SessionEnded", "Per minute", "p-1", "o-2", "#15", "No order is working."):
        assert text in page


PRESSED = """
<script>
window.onerror = (text) => { document.body.dataset.error = text; };
const seen = [];
const note = () => seen.push(document.querySelector("#event .number").textContent);
const typed = (key) => new KeyboardEvent("keydown", {key, bubbles: true});
const press = (key) => document.body.dispatchEvent(typed(key));
const wait = setInterval(() => {
  if (!document.body.dataset.ready) return;
  clearInterval(wait);
  press("ArrowLeft"); note();
  press("Home"); press("ArrowRight"); press("ArrowRight"); note();
  const type = $("type"); type.value = "OrderFilled";
  type.dispatchEvent(new Event("change")); note();
  $("slider").value = "7"; $("slider").dispatchEvent(new Event("input")); note();
  $("to").value = "2026-01-05 14:31:35"; $("jump").requestSubmit(); note();
  $("to").value = "2026-01-05"; $("jump").requestSubmit(); note();
  $("to").value = "#12"; $("jump").requestSubmit(); note();
  document.querySelector("#trades td button").click(); note();
  const sort = document.querySelectorAll("#orders th button")[1]; sort.click(); sort.click();
  seen.push(document.querySelector("#orders td button").textContent);
  press("Home"); press(" ");
  const over = setInterval(() => {
    if ($("slider").value !== "15") return;
    clearInterval(over);
    note();
    document.body.dataset.seen = seen.join(" ");
  }, 20);
}, 20);
</script></body>"""


def test_keys_buttons_and_fields_lead_to_their_moments(day, shown):
    page = shown(html_from_history(day.history).replace("</body>", PRESSED))
    assert "data-error" not in page
    assert re.findall(r'data-seen="([^"]*)"', page) == [
        "#15 #2 #4 #8 #10 #16 #12 #5 #9 #16",
    ]


def test_a_session_reports_what_it_added(told, ledger):
    """Not what the portfolio had earned before it; so tiles and tables agree."""
    start = {"mode": "paper", "base_currency": "USD", "clock": "occurred"}
    bought = {"symbol": "AAPL", "side": "buy", "quantity": 1, "entry_price": 10}
    told(
        SessionStarted(session="first", **start),
        PositionOpened(position_id="p-1", **bought),
        PositionClosed(symbol="AAPL", position_id="p-1", exit_price=15),
        SessionEnded(session="first"),
    )
    session = told(
        SessionStarted(session="second", **start),
        PositionOpened(position_id="p-2", **bought, fee=2),
        PositionClosed(symbol="AAPL", position_id="p-2", exit_price=11),
    )
    figures = figures_in(html_from_history(session.history))
    tiles = {name: text for name, text, _ in figures["tiles"]}
    assert (tiles["Net PnL"], tiles["Realized"], tiles["Fees"]) == ("-1", "1", "2")
    assert figures["by_symbol"]["rows"][0][:3] == ["AAPL", "-1", "1"]
    assert tiles["Closed trades"] == "1"


def figures_in(page: str) -> dict:
    return json.loads(re.findall(r'id="figures">(.*?)</script>', page)[0])


def steps_in(page: str) -> dict:
    (packed,) = re.findall(r'<script type="text/plain" id="steps">(.*?)</script>', page)
    return json.loads(gzip.decompress(base64.b64decode(packed)))


def test_the_changes_lead_to_the_figures_of_the_fold_after_every_event(generated):
    steps = steps_in(html_from_history(generated.history))
    shown = dict(steps["start"])
    assert steps["seqs"] == list(range(1, generated.history.last_seq + 1))
    for seq, changes in zip(steps["seqs"], steps["changes"], strict=True):
        for path, text in zip(changes[::2], changes[1::2], strict=True):
            if text is None:
                del shown[steps["paths"][path]]
            else:
                shown[steps["paths"][path]] = text
        if seq % 29 and seq != steps["seqs"][-1]:
            continue
        state = generated.at(seq=seq)
        positions = {
            f"p|{symbol}|{key}|quantity": plain(position.quantity)
            for symbol, own in state.per_symbol_positions.items()
            for key, position in own.items()
        }
        working = {
            f"o|{symbol}|{key}|filled_quantity": plain(order.filled_quantity)
            for symbol, own in state.per_symbol_orders.items()
            for key, order in own.items()
            if order.status.is_working
        }
        assert shown["total_balance"] == plain(state.total_balance)
        assert shown["equity"] == plain(state.equity)
        assert {p: t for p, t in shown.items() if p.endswith("|quantity") and p[0] == "p"} == (
            positions
        )
        assert {p: t for p, t in shown.items() if p.endswith("|filled_quantity")} == working


def test_a_long_session_stops_every_so_many_events_and_ends_at_the_last(day):
    steps = steps_of(day.history, at_most=5)
    assert steps.every == 4
    assert steps.seqs == [4, 8, 12, 16]
    shown = dict(steps.start)
    for changes in steps.changes:
        shown |= zip((steps.paths[i] for i in changes[::2]), changes[1::2], strict=True)
    assert shown["equity"] == plain(day.at().equity)


def test_nothing_in_an_event_ends_up_as_markup(told, shown):
    """Reasons are free text, and a page must not run what somebody wrote into one."""
    hostile = "</script><script>document.title='taken'</script><img src=x onerror=alert(1)>@steps@"
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        CashDeposited(currency="USD", amount=1),
        TradeRefused(symbol="AAPL", trade_id="t-1", limit="max", reason=hostile),
    )
    page = shown(html_from_history(session.history), "3")
    assert "<title>s · session report</title>" in page
    assert "<img" not in page
    assert html.escape(hostile, quote=False) in page


def test_the_file_names_nothing_to_load(day, tmp_path):
    path = write_report(day.history, tmp_path / "day.html")
    page = path.read_text("utf-8")
    assert not re.findall(r"(?:src|href)=\"(?!#)", page)
    assert not re.findall(r"url\(|@import|fetch\(|XMLHttpRequest|WebSocket", page)
    assert "default-src 'none'" in page
    addresses = set(re.findall(r"https?://[^\"'\s]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not a place
    assert "/" not in steps_in(page)["paths"]


def test_a_missing_rate_is_told_and_all_else_is_shown(told):
    session = told(
        SessionStarted(session="s", mode="paper", base_currency="USD", clock="occurred"),
        CashDeposited(currency="EUR", amount=5),
        PriceMarked(symbol="AAPL", price=5),
    )
    page = html_from_history(session.history)
    assert "no rate is recorded from EUR to USD" in page
    steps = steps_in(page)
    equity = steps["paths"].index("equity")
    found = [dict(zip(row[::2], row[1::2], strict=True)) for row in steps["changes"]]
    assert [row.get(equity, "same") for row in found] == ["same", None, "same"]


def test_the_deepest_drawdown_is_that_of_every_event_not_of_the_points(day):
    page = html_from_history(day.history)
    figures = figures_in(page)
    tiles = {name: text for name, text, _ in figures["tiles"]}
    deepest = max(point.drawdown for point in day.equity(points=1))
    assert Decimal(tiles["Deepest drawdown"]) == deepest
