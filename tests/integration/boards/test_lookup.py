"""Lookups: many players at one instant, best first; each kind of bad input has its own problem."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from support.http import JSON, Http, base, bearer
from support.processes import Api, relaying, serving
from support.waiting import eventually
from support.world import World


def ask_raw(http: Http, season: str, body: bytes) -> Any:
    return http.ask("POST", f"{base(season)}/leaderboard/lookup", body, JSON)


def test_players_come_best_first_and_the_others_as_they_were_asked_for(http: Http, season: str) -> None:
    for user, delta in (("ada", 5), ("bob", 9), ("cy", 7), ("dee", 8)):
        assert http.post(season, user, delta).status == 202
    eventually(lambda: http.get(f"{base(season)}/leaderboard/count").json["count"] == 4)
    answer = http.lookup(season, ["zoe", "ada", "cy", "bob", "yan"])
    versions = {user: http.rank(season, user).json["version"] for user in ("ada", "bob", "cy")}
    assert answer.status == 200 and answer.json == {
        "seasonId": season,
        "items": [
            {"rank": 1, "position": 1, "userId": "bob", "score": 9, "version": versions["bob"]},
            {"rank": 3, "position": 2, "userId": "cy", "score": 7, "version": versions["cy"]},
            {"rank": 4, "position": 3, "userId": "ada", "score": 5, "version": versions["ada"]},
        ],
        "notFound": ["zoe", "yan"],
        "asOf": http.rank(season, "ada").json["asOf"],
    }


def test_a_season_without_a_submission_has_none_of_them(http: Http) -> None:
    answer = http.lookup("never-submitted-to", ["ada", "bob"])
    assert (answer.status, answer.json["items"], answer.json["notFound"]) == (200, [], ["ada", "bob"])
    assert http.lookup("never-submitted-to", []).json["notFound"] == []


def test_a_board_that_redis_does_not_have_has_no_players_to_find(world: World) -> None:
    world.submit(("s", "ada", 1))
    with serving(world, "/livez") as api, api.client() as http:
        answer = http.lookup("s", ["ada", "bob"])
        assert (answer.status, answer.json["code"]) == (503, "board-rebuilding")
        world.carry_everything()
        assert [item["userId"] for item in http.lookup("s", ["ada", "bob"]).json["items"]] == ["ada"]


def test_a_thousand_of_the_longest_ids_fit_in_any_spelling(http: Http, season: str) -> None:
    users = [f"{n:04}" + "\U0001f600" * 124 for n in range(1000)]
    assert http.post(season, users[7], 1).status == 202
    eventually(lambda: http.rank(season, users[7]).status == 200)
    for spelt in (True, False):
        answer = ask_raw(http, season, json.dumps({"userIds": users}, ensure_ascii=spelt).encode())
        assert answer.status == 200, answer.body[:300]
        assert [item["userId"] for item in answer.json["items"]] == [users[7]]
        assert answer.json["notFound"] == users[:7] + users[8:]


BAD: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "malformed-json"),
    "not json": (b"userIds=ada", 400, "malformed-json"),
    "not utf-8": (b'{"userIds":["\xff"]}', 400, "malformed-json"),
    "a lone surrogate": (b'{"userIds":["\\ud800"]}', 400, "malformed-json"),
    "cut short": (b'{"userIds":["ada"]', 400, "malformed-json"),
    "a list": (b'["ada"]', 400, "invalid-body"),
    "no ids": (b"{}", 400, "invalid-body"),
    "ids are a text": (b'{"userIds":"ada"}', 400, "invalid-body"),
    "an unknown member": (b'{"userIds":[],"x":1}', 400, "invalid-body"),
    "a member twice": (b'{"userIds":["ada"],"userIds":["bob"]}', 400, "invalid-body"),
    "a number": (b'{"userIds":["ada",5]}', 400, "invalid-user-id"),
    "null": (b'{"userIds":[null]}', 400, "invalid-user-id"),
    "deep nesting": (b'{"userIds":' + b"[" * 100_000, 400, "invalid-user-id"),
    "an empty id": (b'{"userIds":["ada",""]}', 400, "invalid-user-id"),
    "an id that is too long": (json.dumps({"userIds": ["x" * 129]}).encode(), 400, "invalid-user-id"),
    "a control character": (b'{"userIds":["a\\u0000b"]}', 400, "invalid-user-id"),
    "the same id twice": (b'{"userIds":["ada","bob","ada"]}', 400, "duplicate-user-id"),
    "the same id in another spelling": (b'{"userIds":["ada","bob","\\u0061da"]}', 400, "duplicate-user-id"),
    "an id more": (json.dumps({"userIds": [*map(str, range(1001))]}).encode(), 400, "too-many-user-ids"),
    "a body that is too large": (b'{"userIds":["' + b"x" * 2**21 + b'"]}', 413, "body-too-large"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_its_own_problem(http: Http, name: str) -> None:
    body, status, code = BAD[name]
    answer = ask_raw(http, "s", body)
    assert (answer.status, answer.json["code"], answer.kind) == (status, code, "application/problem+json")


def test_the_detail_names_the_place(http: Http) -> None:
    assert http.lookup("s", ["ada", "bob", "a\n"]).json["detail"].startswith("userIds[2]: ")
    assert http.lookup("s", ["ada", "bob", "ada"]).json["detail"].startswith("userIds[0] and userIds[2] ")


def test_a_key_that_reads_looks_up_and_one_that_submits_does_not(guarded: Api) -> None:
    reads, submits = guarded.world.key("read"), guarded.world.key("submit")
    guarded.until_known(submits)
    path, body = f"{base('s')}/leaderboard/lookup", b'{"userIds":["ada"]}'
    with guarded.client() as http:
        answers = [http.ask("POST", path, body, JSON | bearer(key)) for key in (reads, submits)]
    assert [answer.status for answer in answers] == [200, 403]


def test_all_players_are_read_at_one_instant(world: World) -> None:
    """Each batch gives all players one point at once, so no lookup may show two different scores."""
    users = [f"p{n}" for n in range(300)]
    world.submit(*(("s", user, 1) for user in users))
    world.carry_everything()
    seen: list[set[int]] = []
    with relaying(world) as relay, serving(world, "/readyz") as api, api.client() as http:
        done = threading.Event()

        def ask() -> None:
            while not done.is_set():
                items = http.lookup("s", users).json["items"]
                assert [item["rank"] for item in items] == list(range(1, 301))
                seen.append({item["score"] for item in items})

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            for score in range(2, 30):
                world.submit(*(("s", user, 1) for user in users))
                relay.until(lambda score=score: seen and score in seen[-1])  # type: ignore[misc]
        finally:
            done.set()
            asking.join()
    assert all(len(scores) == 1 for scores in seen)
    assert len({score for scores in seen for score in scores}) > 20
