"""Connections that break, servers that refuse or go away: each ends as it should, and named."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from servers import Proxy, RedisProcess, until

from ledger import (
    Ledger,
    LedgerDamaged,
    OrderPlaced,
    PriceMarked,
    SessionStarted,
    StoreRefused,
    StoreUnavailable,
    embedded,
)

pytestmark = pytest.mark.skipif(RedisProcess.binary is None, reason="redis-server is not installed")

START = SessionStarted(session="s1", mode="paper", base_currency="USD", clock="recorded")


def mark(symbol: str, price: object) -> PriceMarked:
    return PriceMarked(symbol=symbol, price=price)


def order(order_id: str) -> OrderPlaced:
    return OrderPlaced(symbol="A", order_id=order_id, side="buy", quantity=1, price=10)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    """A server of the test's own, to be ill-treated."""
    with RedisProcess(tmp_path) as started:
        yield started


@pytest.fixture
def proxy(server: RedisProcess, tmp_path: Path) -> Iterator[Proxy]:
    with Proxy(tmp_path / "proxy.sock", server.socket) as between:
        yield between


@pytest.mark.parametrize("lose", ["request", "reply"])
def test_what_is_lost_on_the_way_is_sent_again_and_recorded_once(proxy: Proxy, lose: str) -> None:
    with Ledger.sync.connect(proxy.url) as ledger, ledger.writer("w") as writer:
        writer.append(START)
        for number in range(5):
            proxy.lose = lose
            commit = writer.append([order(f"o{number}"), mark("B", number)])
            assert commit.is_repeat == (lose == "reply")
            assert commit.seq == 3 + 2 * number
        assert proxy.lost_count == 5
        assert [found.seq for found in ledger.tail()] == list(range(1, 12))


@pytest.mark.parametrize("lose", ["request", "reply"])
async def test_many_commits_lost_together_are_recorded_once(proxy: Proxy, lose: str) -> None:
    async with Ledger.connect(proxy.url) as ledger, ledger.writer("w") as writer:
        await writer.append(START)
        proxy.lose = lose
        commits = await asyncio.gather(
            *(writer.append(order(f"o{number}")) for number in range(20))
        )
        assert proxy.lost_count == 1
        assert [commit.seq for commit in commits] == list(range(2, 22))
        placed = [found.event.order_id async for found in ledger.tail("A")]
        assert placed == [f"o{number}" for number in range(20)]


def test_the_script_is_loaded_again_where_the_server_forgot_it(server: RedisProcess) -> None:
    with (
        closing(server.client()) as client,
        Ledger.sync.connect(server.url) as ledger,
        ledger.writer("w") as writer,
    ):
        for number in range(3):
            client.script_flush()
            assert writer.append(mark("A", number)).seq == number + 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_writer_goes_on_by_itself_after_the_server_came_back(
    server: RedisProcess, number: int
) -> None:
    with Ledger.sync.connect(server.url) as ledger, ledger.writer("w") as writer:
        writer.append([START, mark("A", 1)])
        server.stop(number)
        back = threading.Thread(target=server.start)
        back.start()
        assert writer.append(mark("A", 2)).seq == 3
        back.join()
        assert [found.seq for found in ledger.tail()] == [1, 2, 3]


async def test_an_async_writer_and_a_follower_go_on_after_the_server_came_back(
    server: RedisProcess,
) -> None:
    async with Ledger.connect(server.url) as ledger, ledger.writer("w") as writer:
        await writer.append(START)
        following = ledger.tail(follow=True)
        assert (await anext(following)).seq == 1
        coming = asyncio.create_task(anext(following))
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        appended = asyncio.create_task(writer.append(mark("A", 1)))
        await asyncio.to_thread(server.start)
        assert (await appended).seq == 2
        assert (await coming).seq == 2
        await following.aclose()


def test_a_server_that_stays_away_is_reported_when_patience_is_over(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nobody.sock"
    with Ledger.sync.connect(url, patience=0.05) as ledger:
        for call in (ledger.state, ledger.head, lambda: ledger.append(START)):
            with pytest.raises(StoreUnavailable, match=r"nobody\.sock") as caught:
                call()
            assert caught.value.hint


async def test_the_async_face_reports_a_server_that_stays_away_alike(tmp_path: Path) -> None:
    async with Ledger.connect(f"unix://{tmp_path}/nobody.sock", patience=0.05) as ledger:
        with pytest.raises(StoreUnavailable, match=r"nobody\.sock"):
            await ledger.append(START)
        with pytest.raises(StoreUnavailable):
            await ledger.state()


def refusals(server: RedisProcess, how: str) -> tuple[str, Callable[[], None], str]:
    """Make the server refuse; return the URL, what ends it, and a word of the hint."""
    client = server.client()

    def mend() -> None:
        client.config_set("maxmemory", "0")
        client.execute_command("REPLICAOF", "NO", "ONE")
        client.close()

    path = server.socket
    if how == "OOM":
        client.config_set("maxmemory", "1")
        return server.url, mend, "maxmemory"
    if how == "READONLY":
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        return server.url, mend, "replica"
    if how == "NOPERM":
        client.acl_setuser(
            "reader", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@read", "+ping"]
        )
        return f"unix://reader:pw@{path}", mend, "pledger:*"
    if how == "no key":
        client.acl_setuser(
            "other", enabled=True, passwords=["+pw"], keys=["else:*"], commands=["+@all"]
        )
        return f"unix://other:pw@{path}", mend, "pledger:*"
    if how == "WRONGPASS":
        return f"unix://nobody:wrong@{path}", mend, "password"
    client.config_set("requirepass", "secret")
    return server.url, mend, "password"


@pytest.mark.parametrize("how", ["OOM", "READONLY", "NOPERM", "no key", "WRONGPASS", "NOAUTH"])
async def test_a_refusal_of_the_server_is_named_with_what_to_do(
    server: RedisProcess, how: str
) -> None:
    with Ledger.sync.connect(server.url) as ledger:
        ledger.append([START, mark("A", 1)])
    url, mend, word = refusals(server, how)
    try:
        with Ledger.sync.connect(url, patience=0.1) as ledger, pytest.raises(StoreRefused) as sync:
            ledger.append(mark("A", 2))
        async with Ledger.connect(url, patience=0.1) as aledger:
            with pytest.raises(StoreRefused) as caught:
                await aledger.append(mark("A", 2))
        for error in (sync.value, caught.value):
            assert word in error.hint
            assert "wrong@" not in error.message
            assert "secret" not in error.message
        assert sync.value.message == caught.value.message
        if how in ("OOM", "READONLY", "NOPERM"):
            with Ledger.sync.connect(url) as ledger:
                assert ledger.state().seq == 2  # reading goes on
    finally:
        mend()
    if how in ("OOM", "READONLY"):
        with Ledger.sync.connect(server.url) as ledger:
            assert ledger.append(mark("A", 2)).revisions == {"A": 2}
            assert ledger.state().seq == 3


def test_a_commit_that_may_not_write_everything_writes_nothing(server: RedisProcess) -> None:
    """A user who may add to streams but not to hashes leaves no half of a commit."""
    with Ledger.sync.connect(server.url) as ledger:
        ledger.append([START, mark("A", 1)])
    with closing(server.client()) as client:
        client.acl_setuser(
            "half",
            enabled=True,
            passwords=["+pw"],
            keys=["*"],
            commands=["+@all", "-hset"],
        )
    half = f"unix://half:pw@{server.socket}"
    with Ledger.sync.connect(half, patience=0.1) as ledger, pytest.raises(StoreRefused):
        ledger.append([mark("A", 2), mark("B", 2)])
    with Ledger.sync.connect(server.url) as ledger:
        assert ledger.state().seq == 2
        assert ledger.append([mark("A", 2), mark("B", 2)]).seq == 4


@pytest.mark.parametrize(
    "part", ["meta", "revisions", "feed", "events", "events:A", "events:B", "bucket", "claim"]
)
def test_a_key_of_another_type_is_damage_and_nothing_is_written(
    server: RedisProcess, part: str
) -> None:
    with closing(server.client()) as client, Ledger.sync.connect(server.url) as ledger:
        ledger.append([START, mark("A", 1)])
        keys = ledger.keys
        key = {"bucket": keys.bucket("c:mine"), "claim": keys.bucket("o:o1")}.get(
            part, keys.base + part
        )
        client.delete(key)
        client.set(key, "another program's")
        before = {name: client.dump(name) for name in client.scan_iter()}
        with pytest.raises((LedgerDamaged, StoreRefused)) as caught:
            ledger.append([mark("B", 1), order("o1"), mark("C", 1)], commit_id="mine")
        assert caught.value.hint
        assert {name: client.dump(name) for name in client.scan_iter()} == before


def test_the_embedded_server_killed_between_commits_loses_nothing(tmp_path: Path) -> None:
    url = f"embedded:{tmp_path}/store"
    with Ledger.sync.connect(url) as ledger, ledger.writer("w") as writer:
        writer.append(START)
        for number in range(3):
            pid = embedded.running(tmp_path / "store")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            commit = writer.append([order(f"o{number}"), mark("B", number)])
            assert commit.seq == 3 + 2 * number
            until(lambda: embedded.running(tmp_path / "store") is not None)
        assert [found.seq for found in ledger.tail()] == list(range(1, 8))
        assert ledger.state().digest == ledger.accounts(use_snapshots=False).digest()


async def test_the_embedded_server_killed_under_many_tasks_loses_nothing(tmp_path: Path) -> None:
    url = f"embedded:{tmp_path}/store"
    async with Ledger.connect(url) as ledger, ledger.writer("w") as writer:
        await writer.append(START)
        done: list[int] = []
        reached = {30: asyncio.Event(), 100: asyncio.Event()}

        async def work(number: int) -> None:
            for step in range(6):
                commit = await writer.append(order(f"o{number}-{step}"))
                done.append(commit.seq)
                if len(done) in reached:
                    reached[len(done)].set()

        async def kill() -> None:
            for event in reached.values():
                await event.wait()
                pid = embedded.running(tmp_path / "store")
                assert pid is not None
                os.kill(pid, signal.SIGKILL)

        await asyncio.gather(kill(), *map(work, range(30)))
        assert sorted(done) == list(range(2, 182))
        assert (await ledger.state()).seq == 181
