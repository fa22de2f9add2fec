"""`Prefer: wait=N`: the answer comes with the rank, when the board shows the submission."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base
from support.operations import encoded
from support.processes import relaying, serving
from support.redis_calls import counting_calls
from support.submitting import clients, problem
from support.trouble import OwnRedis
from support.waiting import eventually
from support.world import World

from service.boards.board_watch import PAUSE_MOST_S
from service.boards.rank_reads import PLAYERS_MOST
from service.submissions.waiting import WAITING_MOST


def send(http: Http, season: str, prefer: str, headers: dict[str, str] | None = None, **members: Any) -> None:
    """The first half of `submit`."""
    body = json.dumps(members).encode()
    http.send("POST", f"{base(season)}/scores", body, {**JSON, "Prefer": prefer, **(headers or {})})


def submit(
    http: Http, season: str, prefer: str = "wait=5", headers: dict[str, str] | None = None, **members: Any
) -> Answer:
    """Submit with a preference."""
    send(http, season, prefer, headers, **members)
    return http.receive()


def ranks(answer: Answer) -> tuple[int, Any]:
    """The ranks of an answer that has waited."""
    assert answer.status == 200, answer.body
    return answer.json["rank"], answer.json["previousRank"]


def test_the_answer_has_the_rank_that_the_board_shows(http: Http, season: str) -> None:
    first = submit(http, season, userId="ada", delta=10)
    assert first.headers["preference-applied"] == "wait=5"
    assert first.json == {
        "seasonId": season, "userId": "ada", "queued": False, "score": 10,
        "version": first.json["version"], "rank": 1, "previousRank": None,
    }  # fmt: skip
    assert ranks(submit(http, season, userId="bob", delta=5)) == (2, None)
    assert ranks(submit(http, season, userId="cy", delta=3)) == (3, None)
    # No wait between the answer and the read: the board is there already.
    risen = submit(http, season, userId="cy", delta=9)
    assert ranks(risen) == (1, 3)
    shown = http.rank(season, "cy").json
    assert (shown["rank"], shown["score"], shown["version"]) == (1, 12, risen.json["version"])
    assert ranks(submit(http, season, userId="ada", delta=-9)) == (3, 2)


def test_a_score_that_changes_nothing_is_answered_with_both_ranks(http: Http, season: str) -> None:
    http.ask("PUT", base(season), b'{"operator":"best","order":"asc"}', JSON)
    for user, score, rank in (("ada", 50, 1), ("bob", 40, 1)):
        answer = submit(http, season, userId=user, score=score)
        assert ranks(answer) == (rank, None) and answer.json["previousScore"] is None
    worse = submit(http, season, userId="ada", score=60)
    assert ranks(worse) == (2, 2)
    assert (worse.json["score"], worse.json["previousScore"], worse.json["improved"]) == (50, 50, False)
    assert ranks(submit(http, season, userId="ada", score=0)) == (1, 2)


@pytest.mark.parametrize("prefer", ["wait=6", "wait=60", "wait=99999999999", "respond-async, Wait = 5"])
def test_a_longer_wish_is_cut_to_five_seconds(http: Http, season: str, prefer: str) -> None:
    answer = submit(http, season, prefer, userId="ada", delta=1)
    assert ranks(answer) == (1, None) and answer.headers["preference-applied"] == "wait=5"


@pytest.mark.parametrize("prefer", ["wait=0", "wait", "wait=x", "wait=-1", "respond-async", 'x="wait=5, wait=5"'])
def test_preferences_that_are_not_understood_are_ignored(http: Http, season: str, prefer: str) -> None:
    answer = submit(http, season, prefer, userId="ada", delta=1)
    assert answer.status == 202 and "preference-applied" not in answer.headers
    assert answer.json == {"seasonId": season, "userId": "ada", "queued": True, "score": 1,
                           "version": answer.json["version"]}  # fmt: skip


def test_both_paths_take_it(http: Http, season: str) -> None:
    name = season.replace(" ", "-")
    body, headers = b'{"userId":"ada","delta":1}', {**JSON, "Prefer": "wait=5"}
    for path in (name, encoded(name)):
        assert http.ask("POST", f"/v1/seasons/{path}/scores", body, headers).status == 200


def test_a_retry_has_the_first_score_and_the_ranks_of_its_own_time(http: Http, season: str) -> None:
    key = {"Idempotency-Key": '"one"'}
    first = submit(http, season, headers=key, userId="ada", delta=5)
    assert ranks(first) == (1, None)
    assert ranks(submit(http, season, userId="bob", delta=9)) == (1, None)
    again = submit(http, season, headers=key, userId="ada", delta=5)
    assert ranks(again) == (2, 2)
    assert (again.json["score"], again.json["version"]) == (5, first.json["version"])


def test_when_the_time_is_up_the_answer_is_the_ordinary_one(world: World) -> None:
    """No relay runs, so no board shows anything."""
    world.carry_everything()
    with serving(world) as api, api.client() as http:
        began = time.monotonic()
        answer = submit(http, "s", "wait=1", userId="ada", delta=1)
        took = time.monotonic() - began
        assert answer.status == 202 and "preference-applied" not in answer.headers
        version = world.value("SELECT reached FROM score")
        assert answer.json == {"seasonId": "s", "userId": "ada", "queued": True, "score": 1, "version": version}
        assert 1.0 <= took < 4.0
        assert [row[:2] for row in world.expected("s")] == [("ada", 1)]


def test_an_older_version_of_the_player_ends_no_wait(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with serving(world) as api, api.client() as http:
        assert submit(http, "s", "wait=1", userId="ada", delta=1).status == 202
        thread = threading.Timer(0.3, world.carry_everything)
        thread.start()
        assert ranks(submit(http, "s", userId="bob", delta=5)) == (1, None)
        thread.join()


def test_a_refused_submission_does_not_wait(world: World) -> None:
    with serving(world) as api, api.client() as http:
        began = time.monotonic()
        problem(submit(http, "s", userId="ada", delta=0), 400, "invalid-delta")
        problem(submit(http, "s", userId="ada", score=1), 409, "wrong-operator")
        assert time.monotonic() - began < 4.0


def test_a_board_that_cannot_be_read_costs_the_submission_nothing(own_redis: OwnRedis) -> None:
    world = own_redis.world
    world.carry_everything()
    with serving(world) as api, api.client() as http:
        world.redis.execute_command("ACL", "SETUSER", "lb", "-evalsha_ro")
        began = time.monotonic()
        assert submit(http, "s", userId="ada", delta=1).status == 202
        assert time.monotonic() - began < 4.0
        assert [row[:2] for row in world.expected("s")] == [("ada", 1)]


def test_a_board_that_is_lost_meanwhile_ends_the_wait(own_redis: OwnRedis) -> None:
    world = own_redis.world
    world.carry_everything()
    with serving(world) as api, api.client() as http:
        began = time.monotonic()
        send(http, "s", "wait=5", userId="ada", delta=1)
        eventually(lambda: world.expected("s") != [])
        world.redis.execute_command("ACL", "SETUSER", "lb", "-hget")
        assert http.receive().status == 202
        assert time.monotonic() - began < 4.5
        # All of its output is there when it has ended.
        http.connection.close()
        api.command.stop()
        assert "has failed" not in api.command.text()


def test_waiters_share_their_looks(world: World) -> None:
    """While nothing happens, many waiters cost Redis what one of them costs: a number of their partition."""
    many = 40
    world.carry_everything()
    with serving(world) as api, clients(api, many) as connections:
        assert connections[0].post("s", "u0", 1).status == 202
        with counting_calls(world) as calls:
            began = time.monotonic()
            for number, http in enumerate(connections):
                send(http, "s", "wait=4", userId=f"u{number}", delta=1)
            assert {http.receive().status for http in connections} == {202}
            took = time.monotonic() - began
            reads, looks = calls.count("evalsha_ro"), calls.count("hget")
    # Each is read before its submission, and twice after it, with a look at its board between the two.
    assert reads <= 4 * many < took / PAUSE_MOST_S
    # Looks are closest right after a waiter has come, or was told a state. Each on its own would look as often as all.
    assert looks <= took / PAUSE_MOST_S + 16 * many < many * took / PAUSE_MOST_S / 4
    assert many > 2 * PLAYERS_MOST, "more than fit into a call"


def test_many_waiters_of_several_boards_all_get_their_own_rank(world: World) -> None:
    world.carry_everything()
    with serving(world) as api, relaying(world):
        found: dict[tuple[str, str], int] = {}
        problems: list[Any] = []

        def play(number: int) -> None:
            with api.client() as http:
                for turn in range(10):
                    season, user = f"s{(number + turn) % 3}", f"u{number}"
                    answer = submit(http, season, userId=user, delta=number + 1)
                    if answer.status != 200:
                        problems.append(answer.body)
                    found[season, user] = answer.json["score"]

        threads = [threading.Thread(target=play, args=(number,)) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        # The answers have come, so the boards show all of them.
        for season in ("s0", "s1", "s2"):
            assert {user: score for user, score, _ in world.board(season)} == {
                user: score for (name, user), score in found.items() if name == season
            }


def test_a_reset_ends_no_wait_with_a_wrong_rank(world: World) -> None:
    """The player is gone from the board: the wait ends at its time, not with an older rank."""
    with serving(world) as api, api.client() as http:
        world.submit(("s", "ada", 1), ("s", "bob", 5))
        world.carry_everything()
        send(http, "s", "wait=1", userId="ada", delta=1)
        eventually(lambda: dict((user, score) for user, score, _ in world.expected("s"))["ada"] == 2)
        world.reset("s")
        world.carry_everything()
        assert http.receive().status == 202


def submit_batch(http: Http, season: str, *items: tuple[str, int], prefer: str = "wait=5") -> Answer:
    """Submit a batch of (user, delta) with a preference."""
    body = json.dumps({"submissions": [{"userId": user, "delta": delta} for user, delta in items]}).encode()
    return http.ask("POST", f"{base(season)}/scores/batch", body, {**JSON, "Prefer": prefer})


def test_each_result_of_a_batch_has_its_ranks(http: Http, season: str) -> None:
    assert ranks(submit(http, season, userId="ada", delta=10)) == (1, None)
    answer = submit_batch(http, season, ("bob", 7), ("eve", 0), ("ada", 1), ("cy", 99), ("bob", 1))
    assert answer.status == 200 and answer.headers["preference-applied"] == "wait=5"
    told = [
        (one["status"], one.get("score"), one.get("rank"), one.get("previousRank")) for one in answer.json["results"]
    ]
    # The board shows the last of a player's submissions: later ones end the wait of earlier ones.
    assert told == [(200, 7, 3, None), (400, None, None, None), (200, 11, 2, 1), (200, 99, 1, None), (200, 8, 3, None)]
    assert "previousRank" in answer.json["results"][0] and "rank" not in answer.json["results"][1]


def test_results_that_no_board_shows_in_time_are_the_ordinary_ones(world: World) -> None:
    world.carry_everything()
    with serving(world) as api, api.client() as http:
        answer = submit_batch(http, "s", ("ada", 1), ("bob", 1), prefer="wait=1")
        assert answer.status == 200 and "preference-applied" not in answer.headers
        assert [one["status"] for one in answer.json["results"]] == [202, 202]
        assert all("rank" not in one for one in answer.json["results"])


def test_a_large_batch_does_not_wait(world: World) -> None:
    """No relay runs: one that waited would take its seconds."""
    world.carry_everything()
    with serving(world) as api, api.client() as http:
        for number, waits in ((WAITING_MOST, True), (WAITING_MOST + 1, False)):
            began = time.monotonic()
            items = [(f"u{n}", 1) for n in range(number)]
            assert {one["status"] for one in submit_batch(http, "s", *items, prefer="wait=2").json["results"]} == {202}
            assert (time.monotonic() - began >= 2.0) is waits


def test_pages_may_send_it_and_read_what_was_applied(world: World) -> None:
    origin = {"Origin": "https://play.example"}
    world.carry_everything()
    with serving(world, LEADERBOARD_CORS_ORIGINS=origin["Origin"]) as api, relaying(world), api.client() as http:
        preflight = http.ask(
            "OPTIONS", "/v1/seasons/s/scores", headers={**origin, "Access-Control-Request-Method": "POST"}
        )
        assert "Prefer" in preflight.headers["access-control-allow-headers"].split(", ")
        answer = submit(http, "s", headers=origin, userId="ada", delta=1)
        assert answer.status == 200
        assert "Preference-Applied" in answer.headers["access-control-expose-headers"].split(", ")
