"""`top?since=` with `Prefer: wait=N`: the answer comes as soon as anything on the board changes, and else is 304."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.http import Answer, Http
from support.processes import Api, serving
from support.redis_calls import LOOKS, counting_calls, wait_for_looks
from support.relays import carrying
from support.waiting import eventually
from support.world import World


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """A server over a board of three players."""
    world.submit(*(("s", user, score) for user, score in (("ada", 3), ("bob", 2), ("cy", 1))))
    world.carry_everything()
    with serving(world, "/readyz") as made:
        yield made


TOP_OF_KR = "/v1/seasons/s/leaderboard/top?segment=country:KR"


def target(since: str, limit: int = 10, season: str = "s") -> str:
    return f"/v1/seasons/{season}/leaderboard/top?limit={limit}&since={since}"


def send(http: Http, since: str, wait: str | None, **asked: int | str) -> None:
    http.send("GET", target(since, **asked), headers={} if wait is None else {"Prefer": wait})  # type: ignore[arg-type]


def ask(http: Http, since: str, wait: str | None = None) -> Answer:
    send(http, since, wait)
    return http.receive()


def test_a_change_below_the_list_is_told_as_well(api: Api) -> None:
    world = api.world
    with api.client() as http:
        shown = http.top("s", 1).json
        send(http, shown["asOf"], "wait=25", limit=1)
        wait_for_looks(world)
        world.submit(("s", "cy", 1))
        world.carry_everything()
        answer = http.receive()
        assert answer.status == 200
        assert answer.headers["preference-applied"] == "wait=25"
        assert answer.json["items"] == shown["items"]
        assert answer.json["asOf"] != shown["asOf"]
        assert answer.json == http.top("s", 1).json


def test_another_state_is_answered_at_once(api: Api) -> None:
    with api.client() as http:
        for since in ("0", "1.2.abc", "%7E"):
            began = time.monotonic()
            answer = ask(http, since, "wait=25")
            assert (answer.status, [row["userId"] for row in answer.json["items"]]) == (200, ["ada", "bob", "cy"])
            assert time.monotonic() - began < 5


def test_without_a_wait_it_is_304_at_once(api: Api) -> None:
    with api.client() as http:
        shown = http.top("s")
        for wait in (None, "wait=0", "wait", "respond-async"):
            began = time.monotonic()
            answer = ask(http, shown.json["asOf"], wait)
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", shown.headers["etag"])
            assert "preference-applied" not in answer.headers
            assert time.monotonic() - began < 5


def test_the_wait_ends_with_304_and_not_before(api: Api) -> None:
    with api.client() as http:
        since = http.top("s").json["asOf"]
        began = time.monotonic()
        answer = ask(http, since, "wait=1")
        assert (answer.status, answer.headers["preference-applied"]) == (304, "wait=1")
        assert 0.9 < time.monotonic() - began < 6


def test_a_longer_wish_is_cut(api: Api) -> None:
    with api.client() as http:
        since = http.top("s").json["asOf"]
        send(http, since, "wait=86400")
        wait_for_looks(api.world)
        api.world.submit(("s", "ada", 1))
        api.world.carry_everything()
        assert http.receive().headers["preference-applied"] == "wait=25"


def test_a_board_that_does_not_exist_may_come(api: Api) -> None:
    with api.client() as http:
        since = http.top("t").json["asOf"]
        send(http, since, "wait=25", season="t")
        wait_for_looks(api.world)
        api.world.submit(("t", "new", 7))
        api.world.carry_everything()
        assert http.receive().json["items"] == [{"rank": 1, "userId": "new", "score": 7}]


def count_looks(world: World, seconds: float) -> float:
    """Looks of a second, counted for a while."""
    with counting_calls(world) as calls:
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > seconds)
        return calls.count(*LOOKS) / (time.monotonic() - began)


def test_many_who_wait_cost_little_and_all_learn_of_a_change(api: Api) -> None:
    world = api.world
    with ExitStack() as stack:
        clients = [stack.enter_context(api.client()) for _ in range(100)]
        since = clients[0].top("s").json["asOf"]
        for http in clients:
            send(http, since, "wait=25")
        wait_for_looks(world)
        # Ten a second where nothing changes, however many wait; more until the last one has come.
        eventually(lambda: count_looks(world, 1) < 30)
        world.submit(("s", "ada", 1))
        world.carry_everything()
        assert {http.receive().body for http in clients} == {clients[0].top("s").body}


def test_a_stop_does_not_wait_for_it(api: Api) -> None:
    with api.client() as http:
        since = http.top("s").json["asOf"]
        send(http, since, "wait=25")
        wait_for_looks(api.world)
        began = time.monotonic()
        api.command.process.send_signal(signal.SIGTERM)
        assert http.receive().status == 304
        assert api.command.stop() == 0
        assert time.monotonic() - began < 8


def test_what_is_no_state_is_refused_by_name(api: Api) -> None:
    with api.client() as http:
        for query, code in (
            ("since=", "invalid-since"),
            ("since=" + "x" * 129, "invalid-since"),
            ("since=a%0Ab", "invalid-since"),
            ("since=a&since=b", "invalid-since"),
            ("since=a&period=1", "since-or-period"),
        ):
            answer = http.get(f"/v1/seasons/s/leaderboard/top?{query}")
            assert (answer.status, answer.json["code"]) == (400, code), query


def test_a_page_behind_a_cursor_is_not_waited_for(api: Api) -> None:
    with api.client() as http:
        page = http.top("s", 1).json
        answer = http.get(f"{target(page['asOf'])}&cursor={page['nextCursor']}")
        assert (answer.status, answer.json["code"]) == (400, "since-or-period")


def test_a_segment_that_is_taken_away_is_told_and_disturbs_no_other_wait(world: World) -> None:
    world.define("s", segments=["country"])
    world.name_player("ada", "Ada", country="KR")
    world.submit(("s", "ada", 3), ("t", "bob", 1))
    world.carry_everything()
    with carrying(world), serving(world, "/readyz") as api, api.client() as http, api.client() as other:
        eventually(lambda: len(http.get(TOP_OF_KR).json.get("items", [])) == 1)
        since = http.get(TOP_OF_KR).json["asOf"]
        send(other, other.top("t").json["asOf"], "wait=25", season="t")
        wait_of_segment = {"Prefer": "wait=25"}
        http.send("GET", f"{TOP_OF_KR}&since={since}", headers=wait_of_segment)
        wait_for_looks(world)
        began = time.monotonic()
        world.define("s")
        # The board may have another state, or be rebuilt, before it is gone.
        while (answer := http.receive()).status in (200, 503):
            since = answer.json.get("asOf", since)
            http.send("GET", f"{TOP_OF_KR}&since={since}", headers=wait_of_segment)
        assert (answer.status, answer.json["code"]) == (400, "no-segments")
        world.submit(("t", "bob", 1))
        assert other.receive().json["items"][0]["score"] == 2
        assert time.monotonic() - began < 20, "neither has waited until its end"
