"""Submissions of banned players: seasons that there are not yet, batches, keys, feeds, profiles and segments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base
from support.moderation import act, hint, restrict
from support.periods import put, submit
from support.processes import leaderboard, relaying, serving
from support.waiting import eventually
from support.world import World

from board.pg.erasure import erase_rest, list_open

FOREVER = {"reason": "speed hack"}


@pytest.fixture
def running(world: World) -> Iterator[Http]:
    with serving(world, "/readyz") as api, relaying(world), api.client() as http:
        yield http


def done(http: Http, verb: str, user: str = "ada", **members: Any) -> None:
    answer = act(http, verb, user, {**FOREVER, **members} if verb == "ban" else None)
    assert answer.status == 200, answer.body


def codes(answer: Answer) -> tuple[int, str | None]:
    return answer.status, answer.json.get("code")


BANNED = (403, "player-banned")


def batch(http: Http, season: str, *items: dict[str, Any]) -> list[Any]:
    """The codes of the results of a batch; None: written."""
    answer = http.ask("POST", f"{base(season)}/scores/batch", json.dumps({"submissions": items}).encode(), JSON)
    assert answer.status in (200, 202, 207), answer.body
    return [one.get("code") or one.get("error", {}).get("code") for one in answer.json["results"]]


@pytest.mark.parametrize("more", [{}, {"Idempotency-Key": "k1"}])
@pytest.mark.parametrize("members", [{}, {"metadata": {"a": "b"}}, {"clientVersion": "1"}])
def test_a_banned_player_makes_no_season(world: World, more: dict[str, str], members: dict[str, Any]) -> None:
    """Neither with the first text that the worker sends, nor with that of a worker that knows of bans."""
    with serving(world) as api, api.client() as http:
        restrict(world, "ban", "ada")
        body = json.dumps({"userId": "ada", "delta": 1, **members}).encode()
        for n in range(3):
            headers = {**JSON, **{name: f"{value}-{n}" for name, value in more.items()}}
            assert codes(http.post_raw(f"new-{n}", body, headers)) == BANNED
        assert batch(http, "new-3", {"userId": "ada", "delta": 1}) == ["player-banned"]
        assert world.value("SELECT count(*) FROM season") == 0
        # A mate in the batch makes it; and so does somebody else.
        assert batch(http, "both", {"userId": "ada", "delta": 1}, {"userId": "bob", "delta": 1}) == [
            "player-banned",
            None,
        ]
        assert submit(http, "new-0", "bob", delta=1).status == 202
        assert world.rows("SELECT season_id FROM season ORDER BY 1") == [("both",), ("new-0",)]


def test_a_player_who_is_banned_elsewhere_makes_a_season(world: World) -> None:
    world.create("here")
    with serving(world) as api, api.client() as http:
        restrict(world, "ban", "ada", ["here"])
        assert submit(http, "new", "ada", delta=1).status == 202
        assert codes(submit(http, "here", "ada", delta=1)) == BANNED


def test_batches_with_one_player_many_times(running: Http) -> None:
    put(running, "best", operator="best")
    submit(running, "sum", "bob", delta=1)
    done(running, "ban")
    for _ in range(2):
        for season, number in (("sum", "delta"), ("best", "score")):
            items = [{"userId": user, number: n} for n, user in enumerate(("ada", "bob", "ada", "bob", "ada"), 1)]
            assert batch(running, season, *items) == [BANNED[1], None, BANNED[1], None, BANNED[1]]
            keyed = [{**item, "submissionId": f"{season}-{n % 2}"} for n, item in enumerate(items[:1] * 3)]
            assert batch(running, season, *keyed) == [BANNED[1]] * 3
    eventually(lambda: running.rank("sum", "bob").json["score"] == 13)
    # Keys of refused submissions are free.
    done(running, "unban")
    assert submit(running, "sum", "ada", key="sum-0", delta=3).json["score"] == 3


def test_a_key_gets_its_first_answer_during_a_ban(running: Http) -> None:
    put(running, "fed", operator="best")
    put(running, "main", feeds=["fed"])
    put(running, "best", operator="best")
    first = {
        (season, key): submit(running, season, "ada", key=key, **number)
        for season, number in (("sum", {"delta": 2}), ("main", {"delta": 2}), ("best", {"score": 2}))
        for key in ("a", "b")
    }
    for verb, members in (("ban", {}), ("ban", {"seasons": ["fed"]}), ("hide", {})):
        done(running, verb, **members)
        for (season, key), answer in first.items():
            number = {"score": 2} if season == "best" else {"delta": 2}
            again = submit(running, season, "ada", key=key, **number)
            assert (again.status, again.body) == (answer.status, answer.body), (season, again.body)
            other = {name: 3 for name in number}
            assert submit(running, season, "ada", key=key, **other).status in (409, 422), (season, key)


def test_segments_and_names_follow_a_player_who_is_not_shown(running: Http, world: World) -> None:
    def profile(name: str, country: str) -> None:
        body = json.dumps({"displayName": name, "attributes": {"country": country}}).encode()
        assert running.ask("PUT", "/v1/players/ada", body, JSON).status in (200, 201)

    def listed(query: str = "") -> list[tuple[int, str, str | None]]:
        answer = running.get(f"{base('s')}/leaderboard/top{query}")
        return [(item["rank"], item["userId"], item.get("displayName")) for item in answer.json.get("items", [])]

    put(running, "s", operator="best", segments=["country"])
    assert running.ask("PUT", "/v1/players/bob", b'{"attributes":{"country":"GB"}}', JSON).status == 201
    profile("Ada", "GB")
    for n, user in enumerate(("bob", "ada")):
        submit(running, "s", user, score=n)
    eventually(lambda: len(listed("?segment=country:GB")) == 2)
    for verb, back, country, name in (("ban", "unban", "NZ", "Lady"), ("hide", "show", "FR", "Countess")):
        done(running, verb)
        profile(name, country)
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        assert listed() == listed("?segment=country:GB") == [(1, "bob", None)]
        assert listed(f"?segment=country:{country}") == []
        assert running.get("/v1/players/ada").json["displayName"] == name
        assert leaderboard(world, "verify").returncode == 0
        done(running, back)
        assert listed() == [(1, "ada", name), (2, "bob", None)]
        assert listed("?segment=country:GB") == [(1, "bob", None)]
        assert listed(f"?segment=country:{country}") == [(1, "ada", name)]
        assert leaderboard(world, "verify").returncode == 0


def test_a_hidden_player_feeds_and_waits_in_vain(running: Http) -> None:
    put(running, "fed", operator="best")
    put(running, "main", feeds=["fed"])
    for user in ("ada", "bob"):
        submit(running, "main", user, delta=1)
    done(running, "hide")
    body = b'{"userId":"ada","delta":4}'
    answer = running.post_raw("main", body, {**JSON, "Prefer": "wait=1"})
    assert answer.status in (200, 202) and answer.json.get("rank") is None, answer.body
    body = b'{"submissions":[{"userId":"ada","delta":1},{"userId":"bob","delta":1}]}'
    answer = running.ask("POST", f"{base('main')}/scores/batch", body, {**JSON, "Prefer": "wait=1"})
    assert answer.status in (200, 202, 207) and "player-banned" not in str(answer.json), answer.body
    for season in ("main", "fed"):
        eventually(
            lambda season=season: running.rank(season, "bob").json.get("score") == (2 if season == "main" else 1)
        )
        assert [item["userId"] for item in running.top(season).json["items"]] == ["bob"]
    done(running, "show")
    assert running.rank("main", "ada").json["score"] == 6 and running.rank("fed", "ada").json["score"] == 4


def test_an_erased_player_who_submits_again_is_shown(world: World) -> None:
    """Erasing ends the hiding: boards show what was submitted since the erasure was asked for, and no relay is told
    of that by a later submission."""
    world.submit(("s", "ada", 1), ("s", "bob", 1))
    restrict(world, "hide", "ada")
    hint(world, "ada")
    world.carry_everything()
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="1000") as api, api.client() as http:
        assert http.ask("DELETE", "/v1/players/ada").status in (202, 503)
        world.carry_everything()
        assert submit(http, "s", "ada", delta=7).status == 202
    world.carry_everything()
    assert [user for user, _, _ in world.board("s")] == ["bob"]
    number = world.value("SELECT number FROM restriction_changes")
    for wanted in list_open(world.db):
        assert erase_rest(world.db, wanted, 1, lambda: True) is not None
    world.carry_everything()
    assert world.value("SELECT count(*) FROM restriction") == 0
    assert world.board("s") == world.expected("s") and len(world.board("s")) == 2
    # Workers forget which positions of past boards are hidden.
    assert world.value("SELECT number FROM restriction_changes") > number
