"""A cluster's primary is killed and its replica takes over: nobody who uses the ledger is lost."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
import redis
from redis.crc import key_slot
from servers import RedisProcess, until

from ledger import (
    InvalidInput,
    Ledger,
    LedgerDamaged,
    PriceMarked,
    SessionStarted,
    StoreUnavailable,
)
from ledger.keys import Keys
from ledger.locators import ClusterLocator
from replay.verify import verify

pytestmark = pytest.mark.skipif(
    RedisProcess.binary is None,
    reason="redis-server is not installed: apt-get install redis-server",
)

SLOT_COUNT = 16_384
SLOT = key_slot(Keys("main").meta.encode())
SYMBOLS = ("AAA", "BBB", "CCC")
COMMITS = 60


class Node(NamedTuple):
    place: str
    process: RedisProcess
    client: redis.Redis


class Cluster:
    """Three primaries, the first of which holds the portfolio, and a replica of that one."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        ports = free_ports(8)
        self._bus = dict(zip(ports[:4], ports[4:], strict=True))
        nodes = [self._started(home / str(port), port, stack) for port in ports[:4]]
        self.primary, *self.others, self.replica = nodes
        bounds = [SLOT, *(SLOT + SLOT_COUNT * part // 3 for part in (1, 2)), SLOT + SLOT_COUNT]
        for epoch, node in enumerate(nodes[:3], 1):
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
            slots = [slot % SLOT_COUNT for slot in range(*bounds[epoch - 1 : epoch + 1])]
            node.client.execute_command("CLUSTER ADDSLOTS", *slots)
        for node in nodes[1:]:
            node.client.execute_command("CLUSTER MEET", "127.0.0.1", ports[0], ports[4])
        until(lambda: all(len(known(node)) == 4 for node in nodes))
        leader = self.primary.client.execute_command("CLUSTER MYID")
        self.replica.client.execute_command("CLUSTER REPLICATE", leader)
        until(lambda: replication(self.replica)["master_link_status"] == "up")
        for node in nodes:
            until(lambda node=node: is_whole(node, self.replica.place))

    def _started(self, home: Path, port: int, stack: ExitStack) -> Node:
        home.mkdir()
        process = RedisProcess(
            home,
            port=str(port),
            bind="127.0.0.1",
            cluster_enabled="yes",
            cluster_port=str(self._bus[port]),
            cluster_node_timeout="5000",
            # Only the test says who takes over, and when: a busy machine is no dead primary.
            cluster_replica_no_failover="yes",
            cluster_require_full_coverage="no",
            repl_diskless_sync_delay="0",
            appendfsync="no",
        )
        stack.enter_context(process)
        return Node(f"127.0.0.1:{port}", process, stack.enter_context(process.client()))

    @property
    def url(self) -> str:
        """The cluster by the one node that will die."""
        return f"redis+cluster://{self.primary.place}"

    @property
    def safe_url(self) -> str:
        """The cluster by that node and another."""
        return f"{self.url},{self.others[0].place}"

    def replicate(self) -> None:
        """Wait until the replica has all that the primary has now."""
        reached = replication(self.primary)["master_repl_offset"]
        until(lambda: replication(self.replica)["slave_repl_offset"] >= reached)

    def cut(self) -> None:
        """Keep what is written from now on from the replica."""
        self.replica.client.config_set("masterauth", "unknown")
        self.primary.client.execute_command("CLIENT KILL TYPE replica")
        until(lambda: replication(self.replica)["master_link_status"] == "down")

    def kill_primary(self) -> None:
        self.primary.process.stop(signal.SIGKILL)

    def take_over(self) -> None:
        self.replica.client.execute_command("CLUSTER FAILOVER TAKEOVER")
        until(lambda: replication(self.replica)["role"] == "master")


def free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        listening = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in listening:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in listening]


def known(node: Node) -> list[str]:
    """Return the lines of the nodes that a node is connected to, itself among them."""
    lines = node.client.execute_command("CLUSTER NODES")
    return [place for place, told in lines.items() if told["connected"]]


def replication(node: Node) -> dict:
    return node.client.info("replication")


def is_whole(node: Node, replica: str) -> bool:
    """Whether a node serves, and knows of the replica."""
    state = node.client.execute_command("CLUSTER INFO")["cluster_state"]
    told = node.client.execute_command("CLUSTER NODES")
    return state == "ok" and "slave" in told[replica]["flags"].split(",")


@pytest.fixture
def cluster(tmp_path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        yield Cluster(tmp_path, stack)


def begin(ledger) -> None:
    ledger.append(SessionStarted(session="s", mode="paper", base_currency="USD", clock="recorded"))


def write(ledger, half: threading.Event, go: threading.Event) -> list[int]:
    """Append commits of three events, with a pause in the middle; return their last numbers."""
    seqs = []
    with ledger.writer("w") as writer:
        for number in range(1, COMMITS + 1):
            seqs.append(writer.append([PriceMarked(symbol=s, price=number) for s in SYMBOLS]).seq)
            if number == COMMITS // 2:
                half.set()
                assert go.wait(30)
    return seqs


def follow(ledger, seen: list, count: int) -> None:
    with ledger.tail(follow=True) as tail:
        for recorded in tail:
            seen.append(recorded)
            if len(seen) == count:
                return


async def afollow(url: str, seen: list, count: int) -> None:
    async with Ledger.connect(url, patience=30) as ledger, ledger.tail(follow=True) as tail:
        async for recorded in tail:
            seen.append(recorded)
            if len(seen) == count:
                return


def handle(ledger, handled: list, count: int) -> None:
    with ledger.group("risk", consumer="risk-1") as group:
        for delivery in group:
            with delivery as recorded:
                handled.append(recorded.seq)
            if len(set(handled)) == count:
                return


def test_writer_tails_and_group_go_on_by_themselves_when_a_replica_takes_over(cluster):
    count = 1 + COMMITS * len(SYMBOLS)
    half, go = threading.Event(), threading.Event()
    seen, aseen, handled = [], [], []
    with Ledger.sync.connect(cluster.url, patience=30) as ledger, ThreadPoolExecutor(4) as pool:
        begin(ledger)
        running = [
            pool.submit(write, ledger, half, go),
            pool.submit(follow, ledger, seen, count),
            pool.submit(asyncio.run, afollow(cluster.url, aseen, count)),
            pool.submit(handle, ledger, handled, count),
        ]
        until(half.is_set)
        reached = 1 + COMMITS // 2 * len(SYMBOLS)
        until(lambda: len(seen) == len(aseen) == reached and handled)
        cluster.replicate()
        cluster.kill_primary()
        go.set()
        cluster.take_over()
        seqs, *_ = [each.result(30) for each in running]
    assert seqs == list(range(4, count + 1, 3))
    assert [recorded.seq for recorded in seen] == list(range(1, count + 1))
    assert aseen == seen
    prices = [int(recorded.event.price) for recorded in seen[1:]]
    assert prices == [number for number in range(1, COMMITS + 1) for _ in SYMBOLS]
    assert set(handled) == set(range(1, count + 1))
    with Ledger.sync.connect(cluster.safe_url) as ledger:
        verification = verify(ledger, full=True)
    assert (verification.ok, verification.event_count) == (True, count)


def test_tail_and_writer_say_so_when_the_replica_had_not_got_what_was_acknowledged(cluster):
    with Ledger.sync.connect(cluster.url, patience=30) as ledger:
        begin(ledger)
        with ledger.tail(follow=True) as tail:
            assert next(tail).seq == 1
            cluster.replicate()
            cluster.cut()
            lost = ledger.append([PriceMarked(symbol="AAA", price=n) for n in (1, 2)])
            assert [next(tail).seq, next(tail).seq] == [2, lost.seq]
            cluster.kill_primary()
            cluster.take_over()
            with pytest.raises(LedgerDamaged, match="lost events: #3 was read, its last one is #1"):
                next(tail)
        with pytest.raises(LedgerDamaged, match="lost events: #3 was read, its last one is #1"):
            ledger.append(PriceMarked(symbol="AAA", price=3))
    with Ledger.sync.connect(cluster.safe_url) as ledger:
        assert ledger.append(PriceMarked(symbol="AAA", price=3)).seq == 2
        assert verify(ledger, full=True).ok


def test_a_cluster_is_looked_for_as_long_as_patience_lasts():
    (port,) = free_ports(1)
    url = f"redis+cluster://:secret@127.0.0.1:{port}"
    with (
        Ledger.sync.connect(url, patience=0.05) as ledger,
        pytest.raises(StoreUnavailable, match=r"\*\*\*@127.*tried for 0.05 s") as caught,
    ):
        ledger.head()
    assert "secret" not in str(caught.value)


def test_every_node_in_the_url_is_checked():
    with pytest.raises(InvalidInput):
        ClusterLocator("redis+cluster://127.0.0.1:7000,127.0.0.1:port", Keys("main").meta)
