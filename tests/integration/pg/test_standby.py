"""DATABASE_URL leads to a standby: changes are refused until it is promoted, and then all work by itself."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from faults.infra import Standby
from support.embedded import start
from support.processes import leaderboard, relaying, serving
from support.submitting import problem
from support.waiting import eventually
from support.world import World, private

from ctl.embedded import Prefer
from ctl.embedded.account import choose_account
from ctl.embedded.data_directory import DataDirectory
from ctl.embedded.installations import find_postgres
from ctl.embedded.postgres import choose
from ctl.embedded.wheel_copies import make_usable


@contextmanager
def standby(world: World, prefer: Prefer) -> Iterator[str]:
    """The URL of a standby of a leaderboard with one score; no primary writes to it."""
    place = private(Path(tempfile.mkdtemp(prefix="lb-test-"))) / "data"
    try:
        with start(place, prefer, redis=False) as servers:
            assert servers.database_url is not None
            done = leaderboard(world, "migrate", DATABASE_URL=servers.database_url)
            assert done.returncode == 0, done.stderr
            with serving(world, DATABASE_URL=servers.database_url) as api, api.client() as http:
                assert http.post("s", "ada", 1).status == 202
        data = DataDirectory(place)
        account = choose_account(data.postgres)
        with data.lock(), data.sockets(account) as sockets:
            installation = choose(find_postgres(prefer, data.runtime, account), data.postgres)
            server = Standby(make_usable(installation, account, data.runtime), data, account, durable=False)
            (data.postgres / "standby.signal").touch()
            try:
                yield server.start(sockets, print)
            finally:
                server.stop()
    finally:
        shutil.rmtree(place.parent)


def test_changes_are_refused_until_the_promotion(world: World, prefer_servers: Prefer) -> None:
    with (
        standby(world, prefer_servers) as url,
        serving(world, DATABASE_URL=url) as api,
        api.client() as http,
    ):
        for _ in range(5):
            problem(http.post("s", "ada", 1), 503, "store-unavailable")
        problem(http.delete("s"), 503, "store-unavailable")
        done = leaderboard(world, "verify", DATABASE_URL=url)
        assert done.returncode == 3 and "accepts no changes" in done.stderr
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("SELECT pg_promote(true, 60)")
        eventually(lambda: http.post("s", "ada", 1).status == 202)
        with relaying(world, DATABASE_URL=url):
            eventually(lambda: http.top("s").json.get("items") == [{"rank": 1, "userId": "ada", "score": 2}])
        assert "Traceback" not in api.command.text()
