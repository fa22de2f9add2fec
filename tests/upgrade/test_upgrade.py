"""The previous release on the schema of this one, under load: no request fails, and no score is lost.

`previous` names the commit of the release before this one: change it when a release is made.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
from faults.connection import Connection, Unanswered
from support.absent import absent
from support.http import JSON, Http
from support.processes import Command, alive, children_of, commandline
from support.proxy import Proxy
from support.releases import PREVIOUS, Release, git
from support.repository import REPOSITORY
from support.waiting import eventually
from support.world import World

from board.pg.schema import migrations

MIGRATIONS: Final = "board/pg/migrations"
MIGRATION: Final = re.compile(r"/migrations/\w+\.sql$")
SEASONS: Final = ("spring", "summer", "autumn")
CLIENTS: Final = 8
REST_S: Final = 0.02
"""A client's pause after an answer: the load never stops, and the releases still have a processor to start on."""
STEP: Final = 100
"""Requests that must be answered between two steps of an upgrade."""


class Load:
    """Clients that submit and read, all the time. `failures` has each request with a wrong answer, or with none."""

    def __init__(self, port: int) -> None:
        self.port: Final = port
        self.answered = 0
        self.accepted: Final[Counter[tuple[str, str]]] = Counter()
        self.failures: Final[list[str]] = []
        self._stop = False
        self._thread: Final = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop when every client has its last answer."""
        self._stop = True
        self._thread.join()

    def goes_on(self) -> None:
        """Wait for a number of further answers."""
        until = self.answered + STEP
        eventually(lambda: self.failures or self.answered >= until, 60)
        assert not self.failures

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(random.Random(number)) for number in range(CLIENTS)))

    async def _one(self, rng: random.Random) -> None:
        connection = Connection(self.port)
        while not self._stop:
            season, user = rng.choice(SEASONS), f"p{rng.randrange(40)}"
            traced = f"traceparent: 00-{rng.getrandbits(128) | 1:032x}-{rng.getrandbits(64) | 1:016x}-01\r\n"
            body = json.dumps({"userId": user, "delta": 1}).encode()
            if await self._ask(connection, 202, "POST", f"/v1/seasons/{season}/scores", body, traced):
                self.accepted[season, user] += 1
            await self._ask(connection, 200, "GET", f"/v1/seasons/{season}/leaderboard/top")
        connection.drop()

    async def _ask(self, connection: Connection, wanted: int, *request: Any) -> bool:
        try:
            await connection.send(*request)
            status, body = await connection.receive()
        except (OSError, Unanswered) as error:
            self.failures.append(f"{request[:2]}: {error!r}")
            return False
        self.answered += 1
        await asyncio.sleep(REST_S)
        if status != wanted:
            self.failures.append(f"{request[:2]}: {status} {body}")
        return status == wanted


def kill_one(command: Command, word: bytes) -> None:
    """Kill one of a command's processes, and wait until another has replaced it."""
    before = {pid for pid in children_of(command.process.pid) if word in commandline(pid)}
    gone = min(before)
    os.kill(gone, signal.SIGKILL)
    eventually(lambda: gone not in alive(before))
    eventually(lambda: len({p for p in children_of(command.process.pid) if word in commandline(p)}) == len(before))


@pytest.mark.walk
def test_an_upgrade_and_the_way_back_under_load(bare_world: World, older: Path, sockets: Path) -> None:
    world = bare_world
    previous = Release(world, older, sockets, LEADERBOARD_IMPL="python")
    this = Release(world, REPOSITORY, sockets, LEADERBOARD_TRACES="log")
    previous.run("migrate")
    had = world.value("SELECT max(version) FROM schema_migration")
    with ExitStack() as stack:
        old_relays, old_api = stack.enter_context(previous.relay()), stack.enter_context(previous.serve())
        proxy = stack.enter_context(Proxy(str(previous.socket)))
        with Http(proxy.port) as http:
            eventually(lambda: all(http.top(season).status == 200 for season in SEASONS))
        load = stack.enter_context(Load(proxy.port))
        load.goes_on()

        this.run("migrate", "--stage", "pre", "--wait", "5")
        load.goes_on()
        # A host of the previous release may crash, and come back, at any time of an upgrade.
        kill_one(old_relays, b"carry")
        load.goes_on()

        new_relays, new_api = stack.enter_context(this.relay()), stack.enter_context(this.serve())
        load.goes_on()
        proxy.target = str(this.socket)
        assert old_api.stop() == 0
        load.goes_on()
        assert old_relays.stop() == 0
        load.goes_on()

        # The new release is rejected: back, with the schema as it is.
        old_relays, old_api = stack.enter_context(previous.relay()), stack.enter_context(previous.serve())
        proxy.target = str(previous.socket)
        assert new_api.stop() == 0
        assert new_relays.stop() == 0
        load.goes_on()

        # Forward again.
        new_relays, new_api = stack.enter_context(this.relay()), stack.enter_context(this.serve())
        proxy.target = str(this.socket)
        assert old_api.stop() == 0
        assert old_relays.stop() == 0
        this.run("migrate", "--stage", "post")
        load.goes_on()
        load.stop()
        assert load.failures == []
        verified = json.loads(this.run("verify", "--wait", "30", "--json"))
        assert verified["equal"], verified
    assert had <= world.value("SELECT max(version) FROM schema_migration") == max(m.version for m in migrations())
    assert {(s, u): score for s in SEASONS for u, score, _ in world.expected(s)} == dict(load.accepted)
    assert world.value("SELECT count(*) FROM ledger") == load.accepted.total() > 5 * STEP / 2


@pytest.mark.walk
def test_the_previous_release_keeps_off_rows_of_seasons_with_a_rule(
    bare_world: World, older: Path, sockets: Path
) -> None:
    """Its relays carry them like all others; its API, which only adds up, is refused, and spoils no batch-mate."""
    world = bare_world
    previous = Release(world, older, sockets, LEADERBOARD_IMPL="python")
    this = Release(world, REPOSITORY, sockets)
    previous.run("migrate")
    this.run("migrate", "--stage", "pre")
    runs = {"ada": 83_211, "bob": 81_950}
    board = [{"userId": "bob", "score": 81_950}, {"userId": "ada", "score": 83_211}]
    with ExitStack() as stack:
        for command in (previous.relay(), previous.serve(), this.serve()):
            stack.enter_context(command)
        old, new = (
            stack.enter_context(Http(stack.enter_context(Proxy(str(release.socket))).port))
            for release in (previous, this)
        )
        for name, order in (("lap", "asc"), ("high", "desc")):
            definition = json.dumps({"operator": "best", "order": order}).encode()
            assert new.ask("PUT", f"/v1/seasons/{name}", definition, JSON).status == 201
            for user, score in runs.items():
                body = json.dumps({"userId": user, "score": score}).encode()
                assert new.post_raw(name, body).json["improved"] is True
        ranked = [{"rank": rank, **item} for rank, item in enumerate(board, 1)]
        eventually(lambda: new.top("lap").json["items"] == ranked)
        eventually(lambda: old.top("high").json["items"] == board[::-1])
        rows = world.rows("SELECT user_id, score, reached FROM score ORDER BY 1, 2")
        for user in ("ada", "carol"):
            assert old.post("lap", user, 1).status == 500
            batch = json.dumps({"submissions": [{"userId": user, "delta": 1}] * 3}).encode()
            assert old.ask("POST", "/v1/seasons/lap/scores/batch", batch, JSON).status == 500
        assert world.rows("SELECT user_id, score, reached FROM score ORDER BY 1, 2") == rows
        assert old.delete("lap").status == 503, "a period that it begins would not tell its order"
        assert old.post("plain", "ada", 1).status == 202
        assert new.post("plain", "ada", 1).json["score"] == 2
        assert new.delete("lap").status == 200
        assert new.post_raw("lap", b'{"userId":"ada","score":5}').json["previousScore"] is None
        eventually(lambda: new.top("lap").json["items"] == [{"rank": 1, "userId": "ada", "score": 5}])
        assert json.loads(this.run("verify", "--wait", "30", "--json"))["equal"]
        # The old janitor has the rows of the period that has ended.
        eventually(lambda: world.value("SELECT count(*) FROM period WHERE ended_at IS NOT NULL") == 0)


@pytest.mark.walk
def test_the_previous_release_keeps_off_seasons_with_a_schedule(bare_world: World, older: Path, sockets: Path) -> None:
    """Its API is refused, its relays carry each period, and its janitor leaves the rows of ended periods alone."""
    world = bare_world
    previous = Release(world, older, sockets, LEADERBOARD_IMPL="python")
    this = Release(world, REPOSITORY, sockets)
    previous.run("migrate")
    this.run("migrate", "--stage", "pre")
    with ExitStack() as stack:
        for command in (previous.relay(), previous.serve(), this.serve()):
            stack.enter_context(command)
        old, new = (
            stack.enter_context(Http(stack.enter_context(Proxy(str(release.socket))).port))
            for release in (previous, this)
        )
        assert old.post("grown", "ada", 1).status == 202
        definition = json.dumps({"schedule": {"every": "P7D", "startsAt": "2026-01-05T00:00:00Z"}}).encode()
        for name, status in (("weekly", 201), ("grown", 200)):
            assert new.ask("PUT", f"/v1/seasons/{name}", definition, JSON).status == status
            assert new.post(name, "ada", 4).json["period"] == 1
        assert old.post("weekly", "ada", 1).status == 500
        for name in ("weekly", "grown"):
            assert old.delete(name).status == 503, "a period that it begins would have no number"
        # Nobody but a submission turns the season: the keeper is of this release.
        world.execute("UPDATE season SET ends_at = now() - interval '1 second'")
        for name in ("weekly", "grown"):
            assert new.post(name, "bob", 2).json["period"] == 2
            assert old.post(name, "bob", 1).status == 500
            eventually(lambda name=name: old.top(name).json["items"] == [{"userId": "bob", "score": 2}])
        assert new.delete("weekly").status == 200
        eventually(lambda: world.value("SELECT count(*) FROM period WHERE ended_at IS NOT NULL") == 0)
        kept = world.rows("SELECT season_id, number, score FROM score JOIN period USING (period_id) ORDER BY 1, 2")
        assert kept == [("grown", 1, 5), ("grown", 2, 2), ("weekly", 1, 4)]
        assert json.loads(this.run("verify", "--wait", "30", "--json"))["equal"]


@pytest.mark.walk
def test_the_previous_release_keeps_off_seasons_with_columns(bare_world: World, older: Path, sockets: Path) -> None:
    """Its relays refuse rows with columns, which they would write without them, and leave the hints to others.

    Its API shows nothing wrong: it cannot read the members.
    """
    world = bare_world
    previous = Release(world, older, sockets, LEADERBOARD_IMPL="python")
    this = Release(world, REPOSITORY, sockets)
    previous.run("migrate")
    this.run("migrate", "--stage", "pre")
    with ExitStack() as stack:
        for command in (previous.relay(), previous.serve(), this.serve()):
            stack.enter_context(command)
        old, new = (
            stack.enter_context(Http(stack.enter_context(Proxy(str(release.socket))).port))
            for release in (previous, this)
        )
        assert old.post("plain", "ada", 1).status == 202
        columns = [{"name": "time", "order": "asc"}, {"name": "moves"}]
        definition = json.dumps({"operator": "best", "columns": columns}).encode()
        assert new.ask("PUT", "/v1/seasons/lap", definition, JSON).status == 201
        runs = {"ada": (5, 8), "bob": (4, 0), "cy": (5, 9)}
        for user, (time, moves) in runs.items():
            body = json.dumps({"userId": user, "score": 7, "columns": {"time": time, "moves": moves}}).encode()
            assert new.post_raw("lap", body).status == 202
        assert old.post("lap", "ada", 1).status == 500
        # Without a relay of this release the hints stay.
        eventually(lambda: world.value("SELECT count(*) FROM outbox WHERE user_id IS NOT NULL") == len(runs))
        stack.enter_context(this.relay())
        ranked = [("bob", 4, 0), ("cy", 5, 9), ("ada", 5, 8)]
        wanted = [
            {"rank": rank, "userId": user, "score": 7, "columns": {"time": time, "moves": moves}}
            for rank, (user, time, moves) in enumerate(ranked, 1)
        ]
        eventually(lambda: new.top("lap").json.get("items") == wanted)
        for number in range(20):
            # The old relays write to other seasons, and meet these rows again and again.
            assert old.post(f"plain {number}", "ada", 1).status == 202
            body = json.dumps({"userId": "dee", "score": number, "columns": {"time": 9, "moves": number}}).encode()
            assert new.post_raw("lap", body).status == 202
            assert old.top("lap").status >= 500
        eventually(lambda: all(old.top(f"plain {number}").status == 200 for number in range(20)))
        dee = {"userId": "dee", "score": 19, "columns": {"time": 9, "moves": 19}}
        items = [dee, *({name: item[name] for name in ("userId", "score", "columns")} for item in wanted)]
        ranks = [{"rank": rank, **item} for rank, item in enumerate(items, 1)]
        eventually(lambda: new.top("lap").json.get("items") == ranks)
        assert json.loads(this.run("verify", "--wait", "30", "--json"))["equal"]


def test_no_migration_of_the_previous_release_was_changed() -> None:
    """Files are compared by name: a release may keep them in another folder."""
    try:
        names = git("ls-tree", "-r", "--name-only", PREVIOUS, "board/").decode().split()
    except subprocess.CalledProcessError as error:
        absent(f"the commit of the previous release is not in this clone: {error.stderr.decode().strip()}")
    texts = {Path(name).name: git("show", f"{PREVIOUS}:{name}") for name in names if MIGRATION.search(name)}
    assert "0001_pre_initial.sql" in texts
    for name, text in texts.items():
        assert (REPOSITORY / MIGRATIONS / name).read_bytes() == text, f"{name} was released: write another migration"
