"""The stores that tests run on: one of each kind for the whole session, a portfolio for each."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import (
    RedisProcess,
    ServedStore,
    cluster_store,
    memory_store,
    valkey_store,
)

STORES = ["memory", "redis", "valkey"]


@pytest.fixture(scope="session")
def _opened() -> Iterator[tuple[contextlib.ExitStack, dict[str, ServedStore]]]:
    with contextlib.ExitStack() as stack:
        yield stack, {}


@pytest.fixture(scope="session")
def served(
    _opened: tuple[contextlib.ExitStack, dict[str, ServedStore]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], ServedStore]:
    """Return the store of a kind, started when it is first asked for."""
    stack, known = _opened

    def store_of(kind: str) -> ServedStore:
        if kind not in known:
            home = tmp_path_factory.mktemp(kind)
            known[kind] = _start(stack, kind, home)
        return known[kind]

    return store_of


def _start(stack: contextlib.ExitStack, kind: str, home: Path) -> ServedStore:
    if kind == "memory":
        store = memory_store(uuid.uuid4().hex)
        stack.enter_context(store.client)
        return store
    if kind == "valkey":
        return stack.enter_context(valkey_store(home / "store"))
    if RedisProcess.binary is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    if kind == "cluster":
        return stack.enter_context(cluster_store(home))
    server = stack.enter_context(RedisProcess(home))
    return ServedStore(kind, server.url, stack.enter_context(server.client()))


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, served: Callable[[str], ServedStore]) -> ServedStore:
    """Each kind of store in turn."""
    return served(request.param)


@pytest.fixture(params=[*STORES, "cluster"])
def any_store(request: pytest.FixtureRequest, served: Callable[[str], ServedStore]) -> ServedStore:
    """Each kind of store in turn, a cluster among them."""
    return served(request.param)


@pytest.fixture
def store_url(store: ServedStore) -> str:
    """The URL of each kind of store in turn."""
    return store.url


@pytest.fixture
def portfolio() -> str:
    """The name of a portfolio that nobody else uses."""
    return f"p{uuid.uuid4().hex[:12]}"
