"""While a server is looked for that hangs, the event loop goes on with everything else."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from ledger import Ledger, StoreRefused, StoreUnavailable
from ledger.locators import ServerLocator
from ledger.redis_store import AsyncRedisConnection


async def test_a_node_that_never_answers_does_not_stop_the_loop() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        url = f"redis+cluster://127.0.0.1:{listening.getsockname()[1]}"
        async with Ledger.connect(url, patience=0) as ledger:
            asked = asyncio.create_task(ledger.head())
            node, _ = await loop.sock_accept(listening)
            with node:
                while b"SLOTS" not in (received := await loop.sock_recv(node, 1000)):
                    await loop.sock_sendall(node, b"+OK\r\n" * received.count(b"SETINFO"))
                before = time.monotonic()
                for _ in range(100):
                    await asyncio.sleep(0)
                assert time.monotonic() - before < 2
                assert not asked.done()
                # The node is still waited for: an answer by this very loop reaches the lookup.
                await loop.sock_sendall(node, b"-NOAUTH Authentication required.\r\n")
                with pytest.raises(StoreRefused, match="NOAUTH"):
                    await asked


async def test_a_server_that_is_slow_to_start_again_does_not_stop_the_loop() -> None:
    ticked, was_free = threading.Event(), False

    def revive() -> None:
        nonlocal was_free
        loop.call_soon_threadsafe(ticked.set)
        was_free = ticked.wait(5)

    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    connection = AsyncRedisConnection(
        ServerLocator(f"redis://127.0.0.1:{port}", revive=revive), 0.01
    )
    with pytest.raises(StoreUnavailable):
        await connection.exchange([("PING",)])
    assert was_free
    await connection.aclose()
