"""Corrections that are refused: each has a problem of its own, and nothing is written."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.correcting import PATH, applied, correct, read, stored, undone
from support.http import JSON, Http, bearer
from support.periods import keeper_of, put, submit
from support.processes import serving
from support.world import World

from board import correction_steps
from board.pg.read_connection import ReadConnection
from board.season import INT64_MAX
from service.access.caller import ANONYMOUS
from service.corrections.manage import Corrections, decode_correction


@pytest.fixture
def http(world: World) -> Iterator[Http]:
    """A server without relays, and a player with two submissions."""
    with serving(world) as api, api.client() as client:
        put(client, "b", operator="best", bounds={"min": -10, "max": 1000})
        for score in (5, 7):
            submit(client, "b", "ada", score=score)
            submit(client, "plain", "ada", delta=score)
        yield client


def refused(http: Http, world: World, status: int, code: str, body: Any) -> str:
    """The detail of the problem; of a correction and of its preview."""
    before = stored(world, "b"), stored(world, "plain")
    for query in ("", "?preview=true"):
        answer = http.ask("POST", PATH + query, body if isinstance(body, bytes) else json.dumps(body).encode(), JSON)
        if answer.status == 200 and query:
            continue
        assert answer.kind == "application/problem+json", answer.body
        assert (answer.status, answer.json["code"]) == (status, code), answer.body
    assert (stored(world, "b"), stored(world, "plain")) == before
    assert [world.value(f"SELECT count(*) FROM {table}") for table in ("correction", "correction_item")] == [0, 0]
    assert world.rows("SELECT FROM audit WHERE target_type = 'correction'") == []
    return str(answer.json.get("detail"))


GOOD = {"seasonId": "b", "reason": "x", "filter": {"userId": "ada"}, "action": "void"}


def test_what_is_no_correction(http: Http, world: World) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"filter": {}}, "empty"),
        ({"filter": {"user": "ada"}}, "user"),
        ({"filter": {"userId": 7}}, "filter.userId"),
        ({"filter": {"userId": ""}}, "filter.userId"),
        ({"filter": {"keyId": ["x"]}}, "filter.keyId"),
        ({"filter": {"clientVersion": "x" * 65}}, "filter.clientVersion"),
        ({"filter": {"from": "2026-11-30"}}, "filter.from"),
        ({"filter": {"from": "2026-11-30T10:00:00"}}, "filter.from"),
        ({"filter": {"to": "0001-01-01T00:00:00Z"}}, "out of range"),
        ({"filter": {"from": "2026-11-30T10:00:00Z", "to": "2026-11-29T10:00:00Z"}}, "from is after"),
        ({"action": "drop"}, "action"),
        ({"action": "set"}, "value"),
        ({"action": "void", "value": 1}, "value"),
        ({"action": "set", "value": 2**63}, "value"),
        ({"action": "set", "value": 1.5}, "value"),
        ({"action": "set", "value": True}, "value"),
        ({"action": "set", "value": 1001}, "bounds"),
        ({"reason": ""}, "reason"),
        ({"seasonId": 7}, "seasonId"),
        ({"confirm": -1}, "confirm"),
        ({"more": 1}, "more"),
    ]
    for members, named in wrong:
        detail = refused(http, world, 400, "invalid-correction", GOOD | members)
        assert named in detail, detail
    for missing in GOOD:
        body = {name: value for name, value in GOOD.items() if name != missing}
        assert missing in refused(http, world, 400, "invalid-correction", body)
    refused(http, world, 400, "malformed-json", b"{")
    refused(http, world, 400, "invalid-body", b'{"seasonId":"b","seasonId":"b"}')
    refused(http, world, 404, "season-not-found", GOOD | {"seasonId": "none"})
    refused(http, world, 409, "correction-empty", GOOD | {"filter": {"userId": "nobody"}})
    refused(http, world, 409, "correction-empty", GOOD | {"filter": {"keyId": "none"}})
    assert http.ask("POST", f"{PATH}?preview=yes", json.dumps(GOOD).encode(), JSON).json["code"] == "invalid-preview"


def test_a_number_that_is_not_confirmed(http: Http, world: World) -> None:
    detail = refused(http, world, 409, "confirm-count", GOOD | {"confirm": 1})
    assert "2 submissions" in detail or detail == "None"
    world.submit(*(("many", f"p{n}", 1) for n in range(correction_steps.CONFIRM_ABOVE + 1)))
    body = GOOD | {"seasonId": "many", "filter": {"from": "2020-01-01T00:00:00Z"}}
    refused(http, world, 409, "confirm-count", body)
    answer = http.ask("POST", PATH, json.dumps(body | {"confirm": correction_steps.CONFIRM_ABOVE + 1}).encode(), JSON)
    assert answer.status == 202, answer.body
    keeper_of(world).correct(world.db)
    assert world.value("SELECT count(*) FROM score JOIN season USING (period_id) WHERE season_id = 'many'") == 0


def test_a_sum_that_would_leave_its_range(http: Http, world: World) -> None:
    body = GOOD | {"seasonId": "plain", "action": "set", "value": INT64_MAX}
    for query in ("", "?preview=true"):
        answer = http.ask("POST", PATH + query, json.dumps(body).encode(), JSON)
        assert (answer.status, answer.json["code"]) == (409, "sum-out-of-range")
    assert world.rows("SELECT FROM correction") == []
    # One that has grown out of it meanwhile is refused as a whole when it is applied.
    submit(http, "plain", "bob", delta=1)
    submit(http, "plain", "eve", delta=1)
    users = correct(http, "plain", "set", 2**62, from_="2020-01-01T00:00:00Z", to="2100-01-01T00:00:00Z")
    assert users.json["code"] == "sum-out-of-range", "ada has two submissions"
    waiting = correct(http, "plain", "set", INT64_MAX, userId="bob").json["id"]
    submit(http, "plain", "bob", delta=1)
    before = stored(world, "plain")
    keeper_of(world).correct(world.db)
    assert stored(world, "plain") == before
    found = read(http, waiting)
    assert (found["state"], found["problem"], found["appliedAt"]) == ("refused", "sum-out-of-range", None)
    assert http.ask("DELETE", f"{PATH}/{waiting}").json["code"] == "correction-undone"


def test_an_undoing_that_would_take_a_sum_out_of_its_range_leaves_the_correction(http: Http, world: World) -> None:
    submit(http, "plain", "bob", delta=2**62)
    number = applied(http, world, "plain", userId="bob")
    submit(http, "plain", "bob", delta=2**62)
    undone(http, world, number)
    found = read(http, number)
    assert (found["state"], found["problem"]) in (("running", "sum-out-of-range"), ("applied", "sum-out-of-range"))
    assert world.rows("SELECT score FROM score WHERE user_id = 'bob'") == [(2**62,)]
    submit(http, "plain", "bob", delta=-(2**62))
    undone(http, world, number)
    assert world.rows("SELECT score FROM score WHERE user_id = 'bob'") == [(2**62,)]


def test_days_of_the_ledger_that_are_gone(http: Http, world: World) -> None:
    kept = applied(http, world, "b", userId="ada", from_="2020-01-01T00:00:00Z")
    submit(http, "b", "ada", score=3)
    world.execute("UPDATE period SET started_at = started_at - interval '30 days'")
    before = stored(world, "b")
    for query in ("", "?preview=true"):
        answer = correct(http, "b", userId="ada", query=query)
        assert (answer.status, answer.json["code"]) == (409, "history-expired")
    # A sum takes the difference. Nobody knows whether it was all: the player stays.
    number = applied(http, world, "plain", userId="ada")
    assert (
        world.rows("SELECT score, reached FROM score JOIN season USING (period_id) WHERE season_id = 'plain'")[0][0]
        == 0
    )
    undone(http, world, number)
    # The row has changed since, and cannot be made anew: it stays, and the answer tells.
    undone(http, world, kept)
    assert stored(world, "b") == before
    world.carry_everything()
    assert read(http, kept)["changed"] == [{"userId": "ada", "period": 1}]


def test_more_than_a_request_may_look_through_or_find(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.submit(*(("s", f"p{n}", 1) for n in range(5)))
    wanted = decode_correction(json.dumps(GOOD | {"seasonId": "s", "filter": {"to": "2100-01-01T00:00:00Z"}}).encode())

    async def ask() -> Any:
        reads = ReadConnection(world.settings.database_url, "a test", 20.0)
        answer = await Corrections(world.settings.database_url, reads).create(False, wanted, ANONYMOUS)
        await reads.close()
        return answer.status, json.loads(answer.body).get("code")

    for name, most in (("ITEMS_MOST", 4), ("PLAYERS_MOST", 4), ("BLOCKS_MOST", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(correction_steps, name, most)
            assert asyncio.run(ask()) == (409, "correction-too-large"), name
    assert asyncio.run(ask()) == (202, None)


def test_what_is_undone_and_what_is_not_there(http: Http, world: World) -> None:
    number = applied(http, world, "b", userId="ada")
    undone(http, world, number)
    for path, status, code in (
        (f"{PATH}/{number}", 409, "correction-undone"),
        (f"{PATH}/{number + 1}", 404, "correction-not-found"),
        (f"{PATH}/x", 404, "correction-not-found"),
    ):
        answer = http.ask("DELETE", path)
        assert (answer.status, answer.json["code"]) == (status, code)
    assert http.get(f"{PATH}/{number + 1}").json["code"] == "correction-not-found"
    acts = world.rows("SELECT action, target, reason, before, after FROM audit ORDER BY number")
    made, unmade = [act for act in acts if act[1] == str(number)]
    assert made[:3] == ("correction.create", str(number), "a test")
    assert json.loads(made[4]) == {"seasonId": "b", "filter": {}, "action": "void", "affected": 2}
    assert unmade[0] == "correction.undo" and json.loads(unmade[3]) == {"state": "applied"}


def test_corrections_are_listed_by_season(http: Http, world: World) -> None:
    numbers = [correct(http, season, userId="ada").json["id"] for season in ("b", "plain", "b")]
    page = http.get(f"{PATH}?limit=2").json
    assert [one["id"] for one in page["items"]] == numbers[:0:-1]
    rest = http.get(f"{PATH}?cursor={page['nextCursor']}").json
    assert [one["id"] for one in rest["items"]] == numbers[:1] and rest["nextCursor"] is None
    assert [one["id"] for one in http.get(f"{PATH}?season=b").json["items"]] == [numbers[2], numbers[0]]
    assert http.get(f"{PATH}?cursor=x").json["code"] == "invalid-cursor"
    first = http.get(f"{PATH}/{numbers[0]}").json
    assert first["filter"] == {"userId": "ada"} and first["state"] == "running" and first["progress"]["done"] == 0


def test_a_preview_shows_a_hundred_players(http: Http, world: World) -> None:
    world.submit(*(("many", f"p{n:03}", 1000 - n) for n in range(150)))
    preview = correct(http, "many", query="?preview=true", from_="2020-01-01T00:00:00Z").json
    assert preview["affected"] == 150 and len(preview["changes"]) == 100
    assert preview["changes"][99] == {"userId": "p099", "period": 1, "rankBefore": 100, "rankAfter": None}


def test_submissions_of_one_key(world: World) -> None:
    keys = [world.key("read", "submit", "admin"), world.key("submit"), world.key("moderate")]
    with serving(world, LEADERBOARD_AUTH="keys") as api, api.client() as http:
        api.until_known(keys[2], http)

        def ask(key: str, method: str, path: str, body: Any) -> Any:
            answer = http.ask(method, path, json.dumps(body).encode(), {**bearer(key), **JSON})
            assert answer.status in (201, 202), answer.body
            return answer.json

        ask(keys[0], "PUT", "/v1/seasons/b", {"operator": "best"})
        for key, user, score in ((keys[0], "ada", 5), (keys[1], "ada", 9), (keys[1], "bob", 7)):
            ask(key, "POST", "/v1/seasons/b/scores", {"userId": user, "score": score})
        begun = ask(keys[2], "POST", PATH, GOOD | {"filter": {"keyId": keys[1].split("_")[1]}})
        assert begun == {"id": 1, "state": "running", "affected": 2}
        keeper_of(world).correct(world.db)
        assert world.rows("SELECT user_id, score FROM score") == [("ada", 5)]
        actor = world.value("SELECT actor FROM audit WHERE action = 'correction.create'")
        assert actor == keys[2].split("_")[1]


def test_corrections_need_their_own_scope(world: World) -> None:
    admin, moderator = world.key("read", "submit", "admin"), world.key("moderate")
    with serving(world, LEADERBOARD_AUTH="keys") as api, api.client() as http:
        api.until_known(moderator, http)
        for method, path in (("POST", PATH), ("GET", PATH), ("GET", f"{PATH}/1"), ("DELETE", f"{PATH}/1")):
            body = json.dumps(GOOD).encode() if method == "POST" else None
            assert http.ask(method, path, body, {**bearer(admin), **JSON}).json["code"] == "scope-missing"
            assert http.ask(method, path, body, {**bearer(moderator), **JSON}).status in (200, 404)
