"""Real servers for the whole run, and a world of its own for every test.

`LEADERBOARD_TEST_SERVERS` chooses them: `wheel` (the default) or `system`. `LEADERBOARD_IMPL` chooses the kernels.
`LEADERBOARD_TEST_TOPOLOGY` chooses the kind of Redis for tests with the mark `topology`: `sentinel` or `cluster`.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import cast

import hypothesis
import msgspec
import pytest
from support.http import Http
from support.processes import CALM, Api, Command, relaying, serving
from support.proxy import Proxy
from support.relays import until_visited
from support.topologies import TOPOLOGIES
from support.trouble import PASSWORD, USER, OwnRedis, admit_user
from support.world import World, private, socket_directory, world_on
from support.worlds import Worlds

from ctl.embedded import Embedded, Prefer

LONGEST_PATHS = {Path(__file__).with_name(folder) for folder in ("upgrade", "acceptance")}
"""Folders whose tests take many seconds each."""


LONG_S = 3_600
"""The time limit of a test that boots hosts, or runs many faults."""


def pytest_configure() -> None:
    """What the tests start gets Ctrl-C, also where the run itself is in the background of a script.

    A busy machine is no reason for an example of Hypothesis to fail.
    """
    hypothesis.settings.register_profile("suite", hypothesis.settings.default, deadline=None)
    hypothesis.settings.load_profile("suite")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, so that no process of the run is left with one of them at the end."""
    items.sort(key=lambda item: not LONGEST_PATHS & {*item.path.parents})
    for item in items:
        if item.get_closest_marker("deploy") or item.get_closest_marker("faults"):
            item.add_marker(pytest.mark.timeout(LONG_S))


shared: list[Command] = []
"""The running processes that several tests use."""


@contextmanager
def shown(*commands: Command) -> Iterator[None]:
    """Show the output of these processes with failures, as long as it is there."""
    shared.extend(commands)
    try:
        yield
    finally:
        for command in commands:
            shared.remove(command)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test that uses shared processes shows the end of their output."""
    report = yield
    if report.failed and {"api", "guarded", "lone_api"} & {*getattr(item, "fixturenames", ())}:
        report.sections += [("shared process", command.tail()) for command in shared]
    return report


@pytest.fixture(scope="session")
def prefer_servers() -> Prefer:
    """The servers of this run: from wheels or of this machine."""
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
            wanted = os.environ.get("LEADERBOARD_TEST_TOPOLOGY")
            if wanted is None:
                yield running
                return
            # Tests with the mark `topology` run on this Redis instead.
            with TOPOLOGIES[wanted](prefer_servers, directory) as nodes:
                running.redis_url = nodes.url
                yield running
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def worlds(servers: Embedded) -> Iterator[Worlds]:
    """The worlds of single tests."""
    with closing(Worlds(servers)) as made:
        yield made


@pytest.fixture
def world(worlds: Worlds) -> Iterator[World]:
    """A migrated world in Redis database 1, which no other test uses at the same time."""
    with worlds.borrow() as made:
        made.flush()
        yield made


@pytest.fixture
def new_world(servers: Embedded) -> Iterator[World]:
    """The same, with tables that never had a row: for a test of plans and pages."""
    with world_on(servers) as made:
        made.flush()
        yield made


@pytest.fixture
def bare_world(servers: Embedded) -> Iterator[World]:
    """A world whose schema is still empty."""
    with world_on(servers, migrate=False) as made:
        yield made


@pytest.fixture(scope="session")
def api(servers: Embedded) -> Iterator[Api]:
    """The real API and a real relay pool, kept for the whole run. Tests keep apart by their seasons."""
    with (
        world_on(servers, redis_db=0) as made,
        relaying(made, 2, **CALM) as relays,
        serving(made, "/readyz", LEADERBOARD_WORKERS="2") as api,
    ):
        until_visited(made)
        with shown(relays, api.command):
            yield api


@pytest.fixture(scope="session")
def guarded(servers: Embedded) -> Iterator[Api]:
    """The same, but requests need credentials."""
    with world_on(servers, redis_db=2) as made, relaying(made, 1, **CALM) as relays:
        # Where a key exists, the first start makes none.
        made.key("read", life_s=1)
        with serving(made, "/readyz", LEADERBOARD_AUTH="keys") as api:
            until_visited(made)
            with shown(relays, api.command):
                yield api


@pytest.fixture(scope="session")
def lone_api(servers: Embedded) -> Iterator[Api]:
    """One worker, so that a test decides what is in a batch, and the season "s"."""
    with world_on(servers, redis_db=2) as made:
        made.create("s")
        with serving(made) as api, shown(api.command):
            yield api


@pytest.fixture
def http(api: Api) -> Iterator[Http]:
    """A connection to the API of the whole run."""
    with api.client() as client:
        yield client


@pytest.fixture
def own_redis(servers: Embedded, prefer_servers: Prefer) -> Iterator[OwnRedis]:
    """A world with a Redis to break. Its processes have a user with the rights that they need."""
    directory = private(Path(tempfile.mkdtemp(prefix="lb-test-")))
    try:
        with Embedded(
            directory / "data", postgres=False, redis=True, report=print, prefer=prefer_servers, durable=False
        ) as own:
            assert servers.database_url is not None and own.redis_url is not None
            with World(servers.database_url, own.redis_url, redis_db=0) as made:
                admit_user(made.redis, made.name)
                path = own.redis_url.removeprefix("unix://")
                url = f"unix://{USER}:{PASSWORD}@{path}"
                made.settings = msgspec.structs.replace(made.settings, redis_url=url)
                yield OwnRedis(made, directory / "data" / "redis")
    finally:
        shutil.rmtree(directory)


season_numbers = itertools.count(1)


@pytest.fixture
def season() -> str:
    """A season that no other test uses."""
    return f"season {next(season_numbers)}"


@pytest.fixture
def postgres_proxy(servers: Embedded) -> Iterator[Proxy]:
    """A network in front of PostgreSQL."""
    with Proxy(f"{socket_directory(servers)}/.s.PGSQL.5432") as proxy:
        yield proxy


@pytest.fixture
def redis_proxy(servers: Embedded) -> Iterator[Proxy]:
    """A network in front of Redis."""
    with Proxy(f"{socket_directory(servers)}/redis.sock") as proxy:
        yield proxy


@pytest.fixture
def on_exit() -> Iterator[Callable[[Callable[[], object]], object]]:
    """Register work for after the test, whether it passes or fails."""
    with ExitStack() as stack:
        yield lambda undo: stack.callback(undo)
