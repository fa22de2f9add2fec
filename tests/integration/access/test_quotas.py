"""Limits of keys and players: never more than a quota over all workers; nothing done and nothing spent beyond it."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.operations import SPELLING, ask, encoded
from support.processes import Api, serving
from support.proxy import Proxy
from support.relays import carrying
from support.waiting import eventually
from support.world import World, world_on

from ctl.embedded import Embedded
from service.contract.operation import Operation
from service.contract.scopes import PUBLIC
from service.routes import OPERATIONS

KEY, PLAYER, WINDOW = 6, 3, 3_600
SETTINGS = {
    "LEADERBOARD_AUTH": "keys",
    "LEADERBOARD_LIMIT_KEY": str(KEY),
    "LEADERBOARD_LIMIT_PLAYER": str(PLAYER),
    # So long that nothing comes back while a test runs.
    "LEADERBOARD_LIMIT_WINDOW_S": str(WINDOW),
    "LEADERBOARD_LIMIT_DEADLINE_MS": "5000",
}
TOP = "/v1/seasons/s/leaderboard/top"


class Limited:
    """A server with limits, unused keys, and players without a submission."""

    def __init__(self, api: Api, keys: list[str]) -> None:
        self.api = api
        self.world = api.world
        self._keys = iter(keys)
        self._count = itertools.count(1)

    def key(self) -> str:
        return next(self._keys)

    def user(self) -> str:
        return f"user-{next(self._count)}"


@pytest.fixture(scope="session")
def limited(servers: Embedded) -> Iterator[Limited]:
    with world_on(servers, redis_db=2) as world:
        # Made before the start: to ask whether a key is known yet would spend of its quota.
        keys = [world.key() for _ in range(60 + 2 * len(OPERATIONS))]
        with (
            carrying(world, calm=True),
            serving(world, "/readyz", LEADERBOARD_WORKERS="2", **SETTINGS) as api,
        ):
            yield Limited(api, keys)


@pytest.fixture
def http(limited: Limited) -> Iterator[Http]:
    with limited.api.client() as client:
        yield client


def post(http: Http, key: str, user: str, delta: Any = 1, season: str = "s") -> Answer:
    body = json.dumps({"userId": user, "delta": delta}).encode()
    return http.ask("POST", f"/v1/seasons/{season}/scores", body, {**JSON, **bearer(key)})


def batch(http: Http, key: str, *items: Any) -> Answer:
    made = [{"userId": i, "delta": 1} if isinstance(i, str) else i for i in items]
    return http.ask("POST", f"{base('s')}/scores/batch", json.dumps({"submissions": made}).encode(), JSON | bearer(key))


def left(answer: Answer) -> dict[str, int]:
    """What the headers say is left of each quota."""
    policies = re.findall(r'"(\w+)";q=(\d+);w=(\d+)', answer.headers["ratelimit-policy"])
    states = re.findall(r'"(\w+)";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert [name for name, *_ in policies] == [name for name, *_ in states]
    for name, units, window in policies:
        assert (int(units), int(window)) == ({"key": KEY, "player": PLAYER}[name], WINDOW)
    assert all(0 < int(wait) <= WINDOW for _, _, wait in states)
    return {name: int(rest) for name, rest, _ in states}


def refused(answer: Answer, whose: str) -> None:
    """The answer names the key or the player that has to wait, and how long."""
    assert (answer.status, answer.json["code"], answer.kind) == (429, "rate-limited", "application/problem+json")
    assert answer.json["detail"].startswith(whose)
    assert 0 < int(answer.headers["retry-after"]) <= WINDOW
    assert list(left(answer)) == [{"T": "key", "P": "player"}[whose[0]]]


def written(world: World, user: str) -> int:
    return int(world.value("SELECT count(*) FROM ledger WHERE user_id = %s", user))


@pytest.mark.parametrize("op", [op for op in OPERATIONS if op.scope not in (PUBLIC, "submit")], ids=lambda op: op.name)
@SPELLING
def test_every_operation_counts_as_one(
    limited: Limited, http: Http, op: Operation, spelt: Callable[[str], str]
) -> None:
    key, other = limited.key(), limited.key()
    for n in range(KEY):
        answer = ask(http, op, spelt("own"), bearer(key))
        assert answer.status != 429
        assert left(answer) == {"key": KEY - 1 - n}
    before = limited.world.value("SELECT version FROM access"), limited.world.counts()
    refused(ask(http, op, spelt("own"), bearer(key)), "The key")
    assert (limited.world.value("SELECT version FROM access"), limited.world.counts()) == before
    assert ask(http, op, spelt("own"), bearer(other)).status != 429


@pytest.mark.parametrize("season", ["s", encoded("s")], ids=["fast path", "ordinary path"])
def test_a_player_counts_whoever_submits(limited: Limited, http: Http, season: str) -> None:
    user, keys = limited.user(), [limited.key(), limited.key()]
    for n in range(PLAYER):
        answer = post(http, keys[n % 2], user, season=season)
        assert answer.status == 202
        assert left(answer) == {"key": KEY - 1 - n // 2, "player": PLAYER - 1 - n}
    for key in keys:
        refused(post(http, key, user, season=season), f"Player {user}")
    assert written(limited.world, user) == PLAYER
    # What was refused for the player was not taken from the key either.
    assert left(post(http, keys[1], limited.user(), season=season))["key"] == KEY - 2


@pytest.mark.parametrize("season", ["s", encoded("s")], ids=["fast path", "ordinary path"])
def test_a_submission_that_is_refused_for_what_it_is_counts_too(limited: Limited, http: Http, season: str) -> None:
    key, path = limited.key(), f"/v1/seasons/{season}/scores"
    bodies = [b"", b"{", b"[]", b'{"userId": 5}', b'{"userId": "\\ud800", "delta": 1}', b'{"userId":"\xff"}']
    for n, body in enumerate(bodies[:KEY]):
        answer = http.ask("POST", path, body, {**JSON, **bearer(key)})
        assert answer.status == 400, body
        assert left(answer) == {"key": KEY - 1 - n}
    refused(http.ask("POST", path, b"{", {**JSON, **bearer(key)}), "The key")


def test_a_body_that_is_too_long_counts_too(limited: Limited, http: Http) -> None:
    key = limited.key()
    for path, most in (("scores", 1024**2), ("scores/batch", 4 * 1024**2)):
        with limited.api.client() as own:
            answer = own.ask("POST", f"{base('s')}/{path}", b" " * (most + 1), {**JSON, **bearer(key)})
        assert answer.status == 413
    assert left(http.ask("GET", TOP, None, bearer(key))) == {"key": KEY - 3}


def test_both_paths_tell_the_same(limited: Limited, http: Http) -> None:
    answers = []
    for season in ("s", encoded("s")):
        key, user = limited.key(), limited.user()
        answers.append([post(http, key, user, season=season) for _ in range(PLAYER + 1)])
    for one, other in zip(*answers, strict=True):
        assert set(one.headers) == set(other.headers)
        assert [one.headers[name] for name in ("ratelimit-policy", "ratelimit")] == [
            other.headers[name] for name in ("ratelimit-policy", "ratelimit")
        ]


def test_a_batch_counts_as_what_is_in_it(limited: Limited, http: Http) -> None:
    key, (one, other, third) = limited.key(), (limited.user() for _ in range(3))
    answer = batch(http, key, one, one, other, {"userId": 7, "delta": 1})
    assert [result["status"] for result in answer.json["results"]] == [202, 202, 202, 400]
    assert left(answer) == {"key": KEY - 4, "player": PLAYER - 2}
    # One player's quota is one short: no submission is written, nothing is spent.
    refused(batch(http, key, one, one), f"Player {one}")
    refused(batch(http, key, third, third, third), "The key")
    assert [written(limited.world, user) for user in (one, other, third)] == [2, 1, 0]
    assert left(batch(http, key, one, third)) == {"key": 0, "player": 0}


def test_a_batch_that_no_quota_allows_is_told_so(limited: Limited, http: Http) -> None:
    key, user = limited.key(), limited.user()
    for items, whose in (((user,) * (PLAYER + 1), f"Player {user}"), ((limited.user(),) * (KEY + 1), "The key")):
        answer = batch(http, key, *items)
        assert (answer.status, answer.json["code"]) == (413, "batch-over-limit")
        assert answer.json["detail"].startswith(whose)
        assert "retry-after" not in answer.headers
    assert written(limited.world, user) == 0
    assert left(http.ask("GET", TOP, None, bearer(key))) == {"key": KEY - 1}


def test_who_may_not_is_told_that_and_spends_nothing(limited: Limited, http: Http) -> None:
    key = limited.key()
    for headers in ({}, bearer(key[:-1] + "!"), {"Authorization": key}):
        answer = http.ask("GET", TOP, None, headers)
        assert answer.status == 401 and "ratelimit" not in answer.headers
    assert left(http.ask("GET", TOP, None, bearer(key))) == {"key": KEY - 1}
    assert "ratelimit" not in http.get("/livez").headers


def test_many_at_once_get_no_more_than_one_after_the_other(limited: Limited) -> None:
    key = limited.key()
    statuses: list[int] = []

    def client() -> None:
        with limited.api.client() as own:
            statuses.extend(own.ask("GET", TOP, None, bearer(key)).status for _ in range(5))

    threads = [threading.Thread(target=client) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 60
    assert statuses.count(429) == 60 - KEY


def test_quotas_leave_redis_by_themselves(limited: Limited, http: Http) -> None:
    world, user, key = limited.world, limited.user(), limited.key()
    before = {*world.redis.scan_iter(match=f"{world.name}:{{limits}}:*", count=1_000)}
    assert post(http, key, user).status == 202
    # Other tests leave quotas of their own.
    found = {*world.redis.scan_iter(match=f"{world.name}:{{limits}}:*", count=1_000)} - before
    assert found == {f"{world.name}:{{limits}}:{of}".encode() for of in (f"u:{user}", f"k:{key.split('_')[1]}")}
    for name in found:
        assert 0 < world.redis.pttl(name) <= WINDOW * 1_000


def test_a_clock_that_was_set_back_locks_nobody_out(limited: Limited, http: Http) -> None:
    key = limited.key()
    world, name = limited.world, f"{limited.world.name}:{{limits}}:k:{key.split('_')[1]}"
    seconds, micros = world.redis.time()
    # Full in a thousand windows: then it is empty now, and full in one.
    world.redis.set(name, (seconds + 1_000 * WINDOW) * 1_000_000 + micros)
    answer = http.ask("GET", TOP, None, bearer(key))
    refused(answer, "The key")
    assert int(answer.headers["retry-after"]) <= WINDOW // KEY


def test_a_quota_comes_back(world: World) -> None:
    key = world.key()
    settings = {**SETTINGS, "LEADERBOARD_LIMIT_KEY": "2", "LEADERBOARD_LIMIT_WINDOW_S": "2"}
    with carrying(world), serving(world, "/readyz", **settings) as api, api.client() as http:
        statuses = [http.ask("GET", TOP, None, bearer(key)).status for _ in range(3)]
        assert statuses == [200, 200, 429]
        eventually(lambda: http.ask("GET", TOP, None, bearer(key)).status == 200, 3)


def test_without_limits_nothing_is_told_and_nothing_kept(guarded: Api) -> None:
    world = guarded.world
    key = world.key()
    with guarded.client() as http:
        eventually(lambda: http.ask("GET", TOP, None, bearer(key)).status != 401)
        assert not {"ratelimit", "ratelimit-policy"} & set(post(http, key, "ada").headers)
    assert not list(world.redis.scan_iter(match=f"{world.name}:{{limits}}:*", count=1_000))


@pytest.fixture
def behind_redis_proxy(world: World, redis_proxy: Proxy) -> World:
    """The world, with its processes behind a proxy to Redis."""
    world.settings = msgspec.structs.replace(world.settings, redis_url=f"redis://127.0.0.1:{redis_proxy.port}/1")
    return world


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_without_redis_submissions_go_on(behind_redis_proxy: World, redis_proxy: Proxy, fault: str) -> None:
    world = behind_redis_proxy
    key = world.key()
    settings = {**SETTINGS, "LEADERBOARD_LIMIT_DEADLINE_MS": "100"}
    with serving(world, "/readyz", **settings) as api, api.client() as http:
        assert left(post(http, key, "ada")) == {"key": KEY - 1, "player": PLAYER - 1}
        getattr(redis_proxy, fault)()
        eventually(lambda: "ratelimit" not in post(http, key, "bob").headers)
        for n in range(KEY + 1):
            began = time.monotonic()
            answer = post(http, key, f"player {n}")
            assert answer.status == 202 and "ratelimit" not in answer.headers
            assert time.monotonic() - began < 3, "the quota's deadline, not that of reads"
        redis_proxy.open()
        eventually(lambda: "ratelimit" in post(http, key, "cyd").headers)
        assert "quotas are not enforced, requests are let through" in api.command.text()
        assert "quotas are enforced again" in api.command.text()


@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_or_nothing_goes_if_that_is_wanted(behind_redis_proxy: World, redis_proxy: Proxy, fault: str) -> None:
    world = behind_redis_proxy
    key = world.key()
    settings = {**SETTINGS, "LEADERBOARD_LIMIT_DEADLINE_MS": "100", "LEADERBOARD_LIMIT_FAIL": "closed"}
    with serving(world, "/readyz", **settings) as api, api.client() as http:
        assert post(http, key, "ada").status == 202
        getattr(redis_proxy, fault)()
        eventually(lambda: post(http, key, "bob").status == 503)
        before = world.counts()
        for season in ("s", encoded("s")):
            answer = post(http, key, "cyd", season=season)
            assert (answer.status, answer.json["code"]) == (503, "limits-unavailable")
            assert int(answer.headers["retry-after"]) >= 1
        assert world.counts() == before
        redis_proxy.open()
        eventually(lambda: post(http, key, "dan").status == 202)
