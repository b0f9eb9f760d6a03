"""Playing a session back: wherever one goes, the state is that of the fold."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time

import pytest

from ledger import InvalidInput, InvalidMoment, PriceMarked, export_ledger
from replay.play import Player


def figures_of(player):
    return player.seq, player.live.frozen().digest, [event.seq for event in player.recent]


def test_every_way_to_a_place_leads_to_the_same_state(day):
    player = Player(day.history)
    assert (player.seq, player.event, player.live.equity) == (0, None, 0)
    player.move(11)
    stepped = figures_of(player)
    assert stepped[1] == day.at(seq=11).digest
    player.move(4)
    player.move(-4)
    assert figures_of(player) == stepped
    player.go_to("#11")
    assert figures_of(player) == stepped
    assert figures_of(Player(day.history, "#11")) == stepped


def test_it_stops_at_both_ends(day):
    player = Player(day.history)
    player.move(-5)
    assert player.seq == 0
    player.move(10_000)
    assert (player.seq, player.event.type) == (16, "SessionEnded")
    player.move(1)
    assert player.seq == 16


def test_the_next_event_of_a_type_is_found(day):
    player = Player(day.history)
    assert [player.next_of_type("OrderFilled") and player.seq for _ in range(3)] == [4, 10, 14]
    assert not player.next_of_type("orderfilled")
    assert player.seq == 14
    assert player.next_of_type("closed")
    assert player.seq == 15
    with pytest.raises(InvalidInput, match="no event type 'nothing'"):
        player.next_of_type("nothing")
    with pytest.raises(InvalidInput, match="no event type 'order'"):
        player.next_of_type("order")


def test_search_goes_to_the_next_event_that_says_it(day):
    player = Player(day.history, "#7")
    assert player.search("price=55")
    assert player.seq == 13
    assert not player.search("price=90")
    assert player.seq == 13


def test_what_is_no_moment_leaves_it_where_it_is(day):
    player = Player(day.history, "#7")
    with pytest.raises(InvalidMoment):
        player.go_to("noon")
    assert player.seq == 7


def test_a_session_that_runs_can_be_followed(day, ledger):
    player = Player(day.history, "end")
    ledger.append(PriceMarked(symbol="AAPL", price=7))
    player.move(1)
    assert player.seq == 16  # the session has ended; this one is after it


def told_by(terminal, wanted, deadline_s=20.0):
    """Read from a terminal until it shows something."""
    end = time.monotonic() + deadline_s
    seen = b""
    while wanted not in seen:
        assert time.monotonic() < end, seen[-3000:].decode(errors="replace")
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65_536)
    return seen


def test_keys_move_it_in_a_real_terminal(day, tmp_path):
    path = tmp_path / "day.csv"
    export_ledger(day.history.ledger, path)
    mine, its = pty.openpty()
    command = [sys.executable, "-m", "ledger", "play", "--speed", "100", "--store", f"file:{path}"]
    env = os.environ | {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=env) as process:
        os.close(its)
        try:
            told_by(mine, b"before the first event")
            os.write(mine, b"\x1b[C")
            told_by(mine, b"#1 of #16")
            os.write(mine, b"tfilled\r")
            told_by(mine, b"#4 of #16")
            os.write(mine, b"gnoon\r")
            told_by(mine, b"is not a moment")
            os.write(mine, b" ")
            told_by(mine, b"#16 of #16")
            os.write(mine, b"q")
            assert process.wait(20) == 0
        finally:
            process.kill()
            os.close(mine)
