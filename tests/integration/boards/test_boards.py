"""Reading boards while Redis is away, slow, empty or fresh: an error that says so, never half a board."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import msgspec
import pytest
from support.http import Answer, Http
from support.processes import Api, serving
from support.proxy import Proxy
from support.relays import carrying
from support.waiting import eventually
from support.world import World, world_on

from board.partitions import partition_of
from ctl.embedded import Embedded


@pytest.fixture
def behind_redis_proxy(world: World, redis_proxy: Proxy) -> World:
    """The world, with its processes behind a proxy to Redis."""
    world.settings = msgspec.structs.replace(
        world.settings, redis_url=f"redis://127.0.0.1:{redis_proxy.port}/1", read_deadline_ms=300, probe_deadline_ms=200
    )
    return world


READS: list[Callable[[Http], Answer]] = [
    lambda http: http.top("s"),
    lambda http: http.rank("s", "ada"),
    lambda http: http.around("s", "ada"),
    lambda http: http.get("/v1/seasons/%73/leaderboard/top"),
    lambda http: http.get("/v1/seasons/%73/leaderboard/rank?userId=ada"),
]


def refuse(http: Http, code: str) -> bool:
    """Whether every read is refused with this code, and politely."""
    for read in READS:
        answer = read(http)
        if answer.status != 503 or answer.json["code"] != code:
            return False
        assert answer.kind == "application/problem+json" and int(answer.headers["retry-after"]) >= 1
        assert answer.json["error"]
    return True


def work(http: Http) -> bool:
    """Whether every read is answered."""
    return all(read(http).status == 200 for read in READS)


def test_without_redis_submissions_go_on_and_reads_say_why_they_do_not(
    behind_redis_proxy: World, redis_proxy: Proxy
) -> None:
    world = behind_redis_proxy
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with serving(world, "/readyz") as api, api.client() as http:
        assert work(http)
        redis_proxy.cut()
        eventually(lambda: refuse(http, "board-unavailable"))
        assert http.post("s", "ada", 1).json["score"] == 2
        ready = http.get("/readyz")
        assert (ready.status, ready.json["redis"], ready.json["postgres"]) == (503, "down", "ok")
        redis_proxy.open()
        eventually(lambda: work(http))
        eventually(lambda: http.get("/readyz").status == 200)


def test_a_redis_that_hangs_is_given_up_in_time(behind_redis_proxy: World, redis_proxy: Proxy) -> None:
    world = behind_redis_proxy
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with serving(world, "/readyz") as api, api.client() as http:
        redis_proxy.freeze()
        for read in READS:
            began = time.monotonic()
            answer = read(http)
            assert (answer.status, answer.json["code"]) == (503, "board-unavailable")
            assert time.monotonic() - began < 1.5
        began = time.monotonic()
        assert http.get("/readyz").json["redis"] == "down"
        assert time.monotonic() - began < 1.5
        assert http.post("s", "ada", 1).status == 202
        redis_proxy.open()
        eventually(lambda: work(http))


def test_a_redis_that_comes_and_goes(behind_redis_proxy: World, redis_proxy: Proxy) -> None:
    world = behind_redis_proxy
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with serving(world) as api, api.client() as http:
        for _ in range(5):
            redis_proxy.cut()
            redis_proxy.open()
        eventually(lambda: work(http))


def test_a_redis_without_scripts_is_given_them_again(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with serving(world, "/readyz") as api, api.client() as http:
        assert work(http)
        for read in READS:
            world.redis.script_flush()
            assert read(http).status == 200
        world.redis.script_flush()
        world.submit(("s", "bob", 2))
        world.carry_everything()
        eventually(lambda: len(http.top("s").json["items"]) == 2)


def test_a_board_that_is_not_there_yet_is_never_shown_as_empty(world: World) -> None:
    world.submit(("s", "ada", 1))
    with serving(world) as api, api.client() as http:
        assert refuse(http, "board-rebuilding")
        with carrying(world):
            eventually(lambda: work(http))
        world.redis.delete(world.keys.watermark[partition_of("s")])
        eventually(lambda: refuse(http, "board-rebuilding"), 2)


def test_a_member_without_its_other_half_is_no_rank(world: World) -> None:
    # The board was altered by hand: better no answer than a wrong one.
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with serving(world, "/readyz") as api, api.client() as http:
        assert http.rank("s", "ada").status == 200
        world.redis.delete(world.keys.board(partition_of("s"), b"s"))
        assert http.rank("s", "ada").status == 503


def test_a_wrong_kind_of_key_is_an_error_of_that_board_alone(world: World) -> None:
    world.submit(("s", "ada", 1), ("t", "ada", 1))
    world.carry_everything()
    with serving(world, "/readyz") as api, api.client() as http:
        key = world.keys.board(partition_of("s"), b"s")
        world.redis.delete(key)
        world.redis.set(key, "nonsense")
        assert http.top("s").status == 503
        assert http.top("t").status == 200


@pytest.fixture(scope="session")
def cached_api(servers: Embedded) -> Iterator[Api]:
    """An API that keeps a rendered top list for a whole second."""
    with world_on(servers, redis_db=2) as made:
        made.submit(("s", "ada", 1))
        made.carry_everything()
        with serving(made, "/readyz", LEADERBOARD_READ_CACHE_MS="1000") as api:
            yield api


def test_a_kept_answer_is_never_older_than_told(cached_api: Api) -> None:
    world = cached_api.world
    with cached_api.client() as http:
        for score in (2, 3):
            asked = time.monotonic()
            http.top("s")
            world.submit(("s", "ada", 1))
            world.carry_everything()
            eventually(lambda score=score: http.top("s").json["items"][0]["score"] == score, 5)  # type: ignore[misc]
            assert time.monotonic() - asked < 2.5


def test_different_limits_are_different_answers(cached_api: Api) -> None:
    world = cached_api.world
    world.submit(*(("many", f"p{n}", n + 1) for n in range(9)))
    world.carry_everything()
    with cached_api.client() as http:
        assert [len(http.top("many", n).json["items"]) for n in (1, 9, 3, 1000, 1)] == [1, 9, 3, 9, 1]
