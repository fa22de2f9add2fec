"""Real servers for the whole run, and a world of its own for every test.

`LEADERBOARD_TEST_SERVERS` chooses them: `wheel` (the default) or `system`. `LEADERBOARD_IMPL` chooses the kernels.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest
from support.http import Http
from support.processes import Api, relaying, serving
from support.proxy import Proxy
from support.world import World, private

from ctl.embedded import Embedded, Prefer


@pytest.fixture(scope="session")
def prefer_servers() -> Prefer:
    """Which servers this run uses."""
    wanted = os.environ.get("LEADERBOARD_TEST_SERVERS", "wheel")
    assert wanted in ("wheel", "system"), "LEADERBOARD_TEST_SERVERS must be wheel or system"
    return cast(Prefer, wanted)


@pytest.fixture(scope="session")
def servers(prefer_servers: Prefer) -> Iterator[Embedded]:
    """PostgreSQL and Redis or Valkey, started once."""
    directory = private(Path(tempfile.mkdtemp(prefix="lb-test-")))
    try:
        with Embedded(
            directory / "data", postgres=True, redis=True, report=print, prefer=prefer_servers, durable=False
        ) as running:
            yield running
    finally:
        shutil.rmtree(directory)


def _world(servers: Embedded, **options: int | bool) -> World:
    assert servers.database_url is not None and servers.redis_url is not None
    return World(servers.database_url, servers.redis_url, **options)  # type: ignore[arg-type]


@pytest.fixture
def world(servers: Embedded) -> Iterator[World]:
    """A migrated world in Redis database 1, which no other test uses at the same time."""
    made = _world(servers)
    made.redis.flushdb()
    yield made
    made.close()


@pytest.fixture
def bare_world(servers: Embedded) -> Iterator[World]:
    """A world whose schema is still empty."""
    made = _world(servers, migrate=False)
    yield made
    made.close()


@pytest.fixture(scope="session")
def api(servers: Embedded) -> Iterator[Api]:
    """The real API and a real relay pool, kept for the whole run. Tests keep apart by their seasons."""
    with ExitStack() as stack:
        made = _world(servers, redis_db=0)
        stack.callback(made.close)
        stack.enter_context(relaying(made, 2))
        yield stack.enter_context(serving(made, "/readyz", LEADERBOARD_WORKERS="2"))


@pytest.fixture(scope="session")
def guarded(servers: Embedded) -> Iterator[Api]:
    """The same, but it wants credentials."""
    with ExitStack() as stack:
        made = _world(servers, redis_db=2)
        stack.callback(made.close)
        stack.enter_context(relaying(made, 1))
        # Whoever makes the first key himself sees none made at the first start.
        made.key("read", life_s=1)
        yield stack.enter_context(serving(made, "/readyz", LEADERBOARD_AUTH="keys"))


@pytest.fixture
def http(api: Api) -> Iterator[Http]:
    """A connection to the API of the whole run."""
    with api.client() as client:
        yield client


_seasons = itertools.count(1)


@pytest.fixture
def season() -> str:
    """A season nobody else uses."""
    return f"season {next(_seasons)}"


@pytest.fixture
def postgres_door(servers: Embedded) -> Iterator[Proxy]:
    """A network in front of PostgreSQL."""
    with Proxy(f"{socket_directory(servers)}/.s.PGSQL.5432") as proxy:
        yield proxy


@pytest.fixture
def redis_door(servers: Embedded) -> Iterator[Proxy]:
    """A network in front of Redis."""
    with Proxy(f"{socket_directory(servers)}/redis.sock") as proxy:
        yield proxy


def socket_directory(servers: Embedded) -> str:
    """Where both servers' sockets are."""
    assert servers.redis_url is not None
    return servers.redis_url.removeprefix("unix://").rpartition("/")[0]


@pytest.fixture
def on_exit() -> Iterator[Callable[[Callable[[], object]], object]]:
    """Register something to be done after the test, whatever happens."""
    with ExitStack() as stack:
        yield lambda undo: stack.callback(undo)
