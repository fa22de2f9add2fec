"""Public seasons: their reads need no credential, and nothing else does without one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from support.http import JSON, Http, base, bearer
from support.operations import SPELLING, ask, books, encoded
from support.processes import Api, serving
from support.waiting import eventually
from support.world import World, world_on

from ctl.embedded import Embedded
from service.contract.operation import Operation
from service.contract.scopes import SCOPES
from service.routes import OPERATIONS

PUBLIC, PRIVATE = "public-season", "private-season"
WITHIN_S = 2.0
"""The promise of docs/api.md."""
GUARDED_OPS = pytest.mark.parametrize("op", [op for op in OPERATIONS if op.scope], ids=lambda op: op.name)


class Own:
    """A server with keys, a public season and a private one, and keys of each scope, limited to another season."""

    def __init__(self, world: World, api: Api, keys: dict[str, str], expired: str) -> None:
        self.world = world
        self.api = api
        self.keys = keys
        self.expired = expired


@pytest.fixture(scope="module")
def own(servers: Embedded) -> Iterator[Own]:
    with world_on(servers, redis_db=3) as world:
        world.define(PUBLIC, visibility="public")
        # A text that only looks like a public season.
        world.define(PRIVATE, metadata={"visibility": "public"}, title='"visibility":"public"')
        world.submit(*((season, user, 5) for season in (PUBLIC, PRIVATE) for user in ("ada", "bob")))
        world.carry_everything()
        keys: dict[str, str] = {scope: world.key(scope, seasons=["elsewhere"]) for scope in SCOPES}
        expired = world.key(life_s=1)
        world.execute("UPDATE api_key SET expires_at = now() WHERE expires_at IS NOT NULL")
        with serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api:
            yield Own(world, api, keys, expired)


@pytest.fixture
def http(own: Own) -> Iterator[Http]:
    with own.api.client() as client:
        yield client


def is_open(op: Operation) -> bool:
    return op.scope == "read" and "{sid}" in op.path


def test_these_operations_read_a_season() -> None:
    names = {op.name for op in OPERATIONS if is_open(op)}
    boards = {"getTop", "getRank", "getAround", "getCount", "lookUpPlayers", "getScore", "getHistogram"}
    assert names == {op.name for op in OPERATIONS if op.reads_season} >= boards | {"getSeason", "listPeriods"}


@GUARDED_OPS
@SPELLING
def test_without_a_credential_a_public_season_is_read_and_nothing_else(
    own: Own, http: Http, op: Operation, spelt: Callable[[str], str]
) -> None:
    before = books(own.world)
    for season in (PUBLIC, PRIVATE):
        answer = ask(http, op, spelt(season), {})
        if is_open(op) and season == PUBLIC:
            assert answer.status == 200, answer.body
        else:
            assert (answer.status, answer.json["code"]) == (401, "credential-missing")
    assert books(own.world) == before


@GUARDED_OPS
@SPELLING
def test_a_credential_that_is_not_valid_is_refused_there_too(
    own: Own, http: Http, op: Operation, spelt: Callable[[str], str]
) -> None:
    before = books(own.world)
    for headers, code in (
        (bearer(own.expired), "credential-expired"),
        (bearer(own.expired[:-1]), "credential-malformed"),
        ({"Authorization": ""}, "credential-malformed"),
    ):
        answer = ask(http, op, spelt(PUBLIC), headers)
        assert (answer.status, answer.json["code"]) == (401, code)
    assert books(own.world) == before


@GUARDED_OPS
@SPELLING
def test_a_valid_key_reads_a_public_season_and_does_no_more_than_elsewhere(
    own: Own, http: Http, op: Operation, spelt: Callable[[str], str]
) -> None:
    before = books(own.world)
    for scope, key in own.keys.items():
        for season in (PUBLIC, PRIVATE):
            answer = ask(http, op, spelt(season), bearer(key))
            if is_open(op) and season == PUBLIC:
                assert answer.status == 200, answer.body
            else:
                code = "season-forbidden" if op.scope == scope else "scope-missing"
                assert (answer.status, answer.json["code"]) == (403, code)
    assert books(own.world) == before


@SPELLING
def test_shared_caches_may_keep_what_is_public(own: Own, http: Http, spelt: Callable[[str], str]) -> None:
    key = own.world.key("read")
    own.api.until_known(key)
    for season, kept in ((PUBLIC, "public, no-cache"), (PRIVATE, "private, no-cache")):
        path = f"/v1/seasons/{spelt(season)}/leaderboard"
        for read in ("top", "rank?userId=ada", "around?userId=ada", "count", "score?rank=1", "histogram"):
            answer = http.ask("GET", f"{path}/{read}", None, bearer(key))
            assert (answer.status, answer.headers["cache-control"]) == (200, kept)
            held = {**bearer(key), "If-None-Match": answer.headers["etag"]}
            same = http.ask("GET", f"{path}/{read}", None, held)
            assert (same.status, same.headers["cache-control"]) == (304, kept)
        missing = http.ask("GET", f"{path}/rank?userId=nobody", None, bearer(key))
        assert (missing.status, missing.headers["cache-control"]) == (404, "no-store")


@pytest.mark.parametrize("away", ["by the store", "by a request"])
def test_a_change_takes_effect_in_every_worker_in_time(world: World, away: str) -> None:
    """By a command, of which no worker is told; and by a request to one of them."""
    admin = world.key("admin")
    world.create("s")
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_AUTH="keys", LEADERBOARD_WORKERS="2") as api:
        clients = [api.client() for _ in range(12)]
        try:
            for visibility, status in (("public", 200), ("private", 401)) * 2:
                if away == "by a request":
                    body = json.dumps({"visibility": visibility}).encode()
                    changed = clients[0].ask("PATCH", base("s"), body, {**JSON, **bearer(admin)})
                    assert (changed.status, changed.json["visibility"]) == (200, visibility)
                else:
                    world.define("s", visibility=visibility)
                since = time.monotonic()
                for http in clients:
                    eventually(lambda http=http, status=status: http.top("s").status == status)
                assert time.monotonic() - since < WITHIN_S
                for http in clients * 3:
                    assert http.top("s").status == http.get(f"/v1/seasons/{encoded('s')}").status == status
        finally:
            for http in clients:
                http.connection.close()


def test_another_definition_leaves_the_keys_as_they_are(world: World) -> None:
    world.define("s", visibility="public")
    version = world.value("SELECT version FROM access")
    world.define("s", visibility="public", title="another")
    world.define("t", title="private")
    assert world.value("SELECT version FROM access") == version
    world.define("t", visibility="public")
    assert world.value("SELECT version FROM access") == version + 1


def test_requests_without_a_credential_have_no_quota(world: World) -> None:
    """They spend of no key's."""
    world.define("s", visibility="public")
    world.submit(("s", "ada", 1))
    world.carry_everything()
    key = world.key()
    limits = {"LEADERBOARD_LIMIT_KEY": "3", "LEADERBOARD_LIMIT_WINDOW_S": "3600"}
    with serving(world, "/readyz", LEADERBOARD_AUTH="keys", **limits) as api, api.client() as http:
        for _ in range(9):
            answer = http.top("s")
            assert answer.status == 200 and "ratelimit" not in answer.headers
        answer = http.ask("GET", f"{base('s')}/leaderboard/top", None, bearer(key))
        assert answer.headers["ratelimit"].startswith('"key";r=2')
        # No key in Redis but that one's.
        assert len(list(world.redis.scan_iter(match=f"{world.name}:{{limits}}:*", count=1_000))) == 1
