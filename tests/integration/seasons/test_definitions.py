"""Seasons as objects: defined, changed under a precondition, read, listed; and what they refuse."""

from __future__ import annotations

import json
import threading
from typing import Any, Final

import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.periods import GRID, end_now, turn_all
from support.processes import Api, relaying, serving
from support.proxy import Proxy
from support.waiting import eventually
from support.world import World

DEFAULTS: Final = {
    "operator": "sum",
    "order": "desc",
    "columns": [],
    "ranking": "ordinal",
    "bounds": {"min": -(2**63), "max": 2**63 - 1},
    "opensAt": None,
    "schedule": None,
    "graceS": 0,
    "keepPeriods": None,
    "feeds": [],
    "segments": [],
    "title": "",
    "metadata": {},
    "display": {"unit": "", "decimals": 0, "format": "number"},
    "visibility": "private",
}
LAP: Final = {"operator": "best", "order": "asc", "title": "Best lap", "display": {"unit": "s", "decimals": 3}}


def change(http: Http, method: str, season: str, members: Any, **headers: str) -> Answer:
    """Send a definition or a patch; underscores in names of headers stand for hyphens."""
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.ask(method, base(season), json.dumps(members).encode(), {**JSON, **more})


def put(http: Http, season: str, **members: Any) -> Answer:
    return change(http, "PUT", season, members)


def score(http: Http, season: str, user: str, value: int) -> Answer:
    return http.post_raw(season, json.dumps({"userId": user, "score": value}).encode())


def shown(answer: Answer) -> dict[str, Any]:
    """The definition in an answer."""
    more = ("seasonId", "period", "nextEndsAt", "players")
    return {name: value for name, value in answer.json.items() if name not in more}


def test_put_creates_and_replaces_and_get_shows_it(http: Http, season: str) -> None:
    assert http.get(base(season)).json["code"] == "season-not-found"
    made = put(http, season, **LAP)
    assert made.status == 201
    display = {"unit": "s", "decimals": 3, "format": "number"}
    assert shown(made) == {**DEFAULTS, **LAP, "display": display}
    assert made.json["seasonId"] == season
    assert made.json["period"]["number"] == 1 and made.json["period"]["state"] == "open"
    read = http.get(base(season))
    assert (read.status, read.json) == (200, made.json)
    assert read.headers["etag"] == made.headers["etag"]
    again = put(http, season, title="Only this", operator="best")
    assert again.status == 200
    assert shown(again) == {**DEFAULTS, "operator": "best", "title": "Only this"}, "missing members became defaults"
    assert again.headers["etag"] != made.headers["etag"]


def test_answers_have_the_number_of_players_on_the_board(http: Http, season: str, api: Api) -> None:
    assert put(http, season, operator="best").json["players"] == 0
    for user, value in (("ada", 1), ("bob", 2), ("ada", 3)):
        assert score(http, season, user, value).status == 202
    eventually(lambda: http.get(base(season)).json["players"] == 2)
    assert change(http, "PATCH", season, {"title": "Two"}).json["players"] == 2
    listed = {one["seasonId"]: one["players"] for one in http.get("/v1/seasons?limit=1000").json["items"]}
    assert listed[season] == 2
    assert http.delete(season).status == 200
    assert http.get(base(season)).json["players"] == 0


def test_the_number_of_players_is_that_of_the_period_beside_it(world: World) -> None:
    """Redis shows the board of the period before until a relay has carried the turn."""
    world.define("s", schedule=GRID)
    world.submit_by_rule(("s", "ada", 1, False), ("s", "bob", 2, False))
    world.carry_everything()
    with serving(world) as api, api.client() as http:

        def told() -> list[tuple[int, int]]:
            one, (listed,) = http.get(base("s")).json, http.get("/v1/seasons").json["items"]
            return [(season["period"]["number"], season["players"]) for season in (one, listed)]

        assert told() == [(1, 2), (1, 2)]
        end_now(world, "s")
        assert turn_all(world) == 1
        world.submit_by_rule(("s", "cy", 1, False))
        assert told() == [(2, 0), (2, 0)]
        world.carry_everything()
        assert told() == [(2, 1), (2, 1)]


def test_a_season_can_be_read_while_redis_is_away(world: World, redis_proxy: Proxy) -> None:
    world.define("s", title="Spring")
    with serving(world, REDIS_URL=f"redis://127.0.0.1:{redis_proxy.port}/1") as api, api.client() as http:
        assert http.get(base("s")).json["players"] == 0
        redis_proxy.cut()
        eventually(lambda: http.get(base("s")).json["players"] is None)
        read = http.get(base("s"))
        assert (read.status, read.json["title"], read.json["players"]) == (200, "Spring", None)


def test_a_season_of_the_last_year_of_all_hides_no_other_one(http: Http, season: str) -> None:
    """Its first period ends with the calendar, and the next one never."""
    schedule = {"cron": "0 0 1 1 *", "timeZone": "UTC"}
    made = put(http, season, opensAt="9998-06-01T00:00:00Z", schedule=schedule)
    assert (made.status, made.json["nextEndsAt"]) == (201, None)
    assert made.json["period"]["endsAt"] == "9999-01-01T00:00:00Z"
    assert http.get("/v1/seasons?limit=1000").status == 200
    never = put(http, season, opensAt="9998-06-01T00:00:00Z", schedule={"cron": "0 0 29 2 *", "timeZone": "UTC"})
    assert (never.status, never.json["code"]) == (400, "invalid-season")


def test_a_season_of_a_time_zone_that_this_machine_lacks_hides_no_other_one(http: Http, season: str, api: Api) -> None:
    """Another host of this database may have newer zones."""
    cron = {"cron": "0 0 * * MON", "timeZone": "Europe/Berlin"}
    assert put(http, season, schedule=cron).json["nextEndsAt"] is not None
    api.world.execute(
        "UPDATE season_definition SET definition = replace(definition, 'Europe/Berlin', 'Mars/Olympus') "
        f"WHERE season_id = '{season}'"
    )
    read = http.get(base(season))
    assert (read.status, read.json["nextEndsAt"]) == (200, None), read.json
    assert read.json["period"]["endsAt"] is not None
    assert http.get("/v1/seasons?limit=1000").status == 200
    assert put(http, season, schedule=cron).json["nextEndsAt"] is not None, "it can be mended"


def test_a_season_that_only_got_scores_has_the_defaults(http: Http, season: str) -> None:
    assert http.post(season, "ada", 1).status == 202
    read = http.get(base(season))
    assert shown(read) == DEFAULTS
    assert put(http, season, title="Spring").status == 200, "it exists"
    assert http.post(season, "ada", 1).json["score"] == 2
    assert "previousScore" not in http.post(season, "ada", 1).json, "a plain season answers as ever"


def test_patch_merges_and_null_is_the_default(http: Http, season: str) -> None:
    put(http, season, title="A", metadata={"a": {"b": 1, "c": 2}}, bounds={"min": 1, "max": 5})
    merged = change(
        http, "PATCH", season, {"title": None, "metadata": {"a": {"b": None, "d": 3}}, "bounds": {"max": 7}}
    )
    assert merged.status == 200
    assert shown(merged) == {**DEFAULTS, "metadata": {"a": {"c": 2, "d": 3}}, "bounds": {"min": 1, "max": 7}}
    typed = {"Content-Type": "application/merge-patch+json; charset=utf-8"}
    assert http.ask("PATCH", base(season), b'{"title":"B"}', typed).json["title"] == "B"
    assert http.ask("PUT", base(season), b'{"title":"B"}', typed).status == 415
    assert change(http, "PATCH", season + " none", {"title": "B"}).json["code"] == "season-not-found"


def test_reads_survive_the_end_of_their_connection(http: Http, season: str, api: Api) -> None:
    put(http, season, title="kept")
    for _ in range(3):
        # One that meets the end itself is told to come again.
        eventually(lambda: http.get(base(season)).json.get("title") == "kept")
        api.world.terminate("leaderboard-seasons")
    eventually(lambda: http.get(base(season)).status == 200)


def test_a_change_on_a_stale_etag_is_refused(http: Http, season: str) -> None:
    first = put(http, season, title="1").headers["etag"]
    second = change(http, "PATCH", season, {"title": "2"}, If_Match=first).headers["etag"]
    for method in ("PUT", "PATCH"):
        for stale in (first, f"W/{second}", "nonsense", '"x", "y"', ""):
            refused = change(http, method, season, {"title": "3"}, If_Match=stale)
            assert (refused.status, refused.json["code"]) == (412, "precondition-failed"), stale
    assert http.get(base(season)).json["title"] == "2"
    assert change(http, "PUT", season, {"title": "4"}, If_Match=f'"x" , {second}').status == 200
    assert change(http, "PUT", season, {"title": "5"}, If_Match="*").status == 200
    other = season + " none"
    assert change(http, "PUT", other, {"title": "1"}, If_Match="*").status == 412
    assert http.get(base(other)).status == 404, "nothing was made"


def test_a_definition_is_made_only_where_there_is_none(http: Http, season: str) -> None:
    assert change(http, "PUT", season, {"title": "1"}, If_None_Match="*").status == 201
    for method in ("PUT", "PATCH"):
        refused = change(http, method, season, {"title": "2"}, If_None_Match="*")
        assert (refused.status, refused.json["code"]) == (412, "precondition-failed")
    tag = http.get(base(season)).headers["etag"]
    assert change(http, "PUT", season, {"title": "3"}, If_None_Match=tag).status == 412
    assert http.get(base(season)).json["title"] == "1"
    # Of another state: the change is made, and answered as such.
    made = change(http, "PUT", season, {"title": "4"}, If_None_Match='"7777"')
    assert (made.status, made.json["title"]) == (200, "4")
    same = change(http, "PUT", season, {"title": "4"}, If_None_Match='"7777"')
    assert (same.status, same.json["title"]) == (200, "4")


def test_of_two_who_change_the_same_state_one_is_told(season: str, api: Api) -> None:
    with api.client() as http:
        tag = put(http, season, title="0").headers["etag"]
    statuses: list[int] = []

    def write(number: int) -> None:
        with api.client() as mine:
            statuses.append(change(mine, "PATCH", season, {"title": str(number)}, If_Match=tag).status)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] + [412] * 5


@pytest.mark.parametrize(
    ("members", "code", "named"),
    [
        ({"operator": "max"}, "invalid-season", "operator"),
        ({"order": "up"}, "invalid-season", "order"),
        ({"bounds": {"min": 2, "max": 1}}, "invalid-season", "bounds"),
        ({"bounds": {"min": 2**63}}, "invalid-season", "min"),
        ({"bounds": {"low": 1}}, "invalid-season", "low"),
        ({"opensAt": "tomorrow"}, "invalid-season", "opensAt"),
        ({"opensAt": "2026-11-29T10:00:00"}, "invalid-season", "opensAt"),
        ({"title": "x" * 201}, "invalid-season", "title"),
        ({"title": "a\u0000b"}, "invalid-season", "title"),
        ({"metadata": []}, "invalid-season", "metadata"),
        ({"metadata": {"a": "\ud800"}}, "malformed-json", ""),
        ({"metadata": {"a": "x" * 1_020}}, "invalid-season", "metadata"),
        ({"metadata": {"a": [[[[[[[[]]]]]]]]}}, "invalid-season", "metadata"),
        ({"display": {"decimals": 19}}, "invalid-season", "decimals"),
        ({"display": {"format": "roman"}}, "invalid-season", "format"),
        ({"display": {"unit": "\n"}}, "invalid-season", "unit"),
        ({"visibility": "secret"}, "invalid-season", "visibility"),
        ({"columns": [{"name": "a b"}]}, "invalid-season", "columns"),
        ({"columns": [{"name": "time\n"}]}, "invalid-season", "columns"),
        ({"columns": [{"name": "time", "order": "up"}]}, "invalid-season", "columns"),
        ({"columns": [{"name": name} for name in "abcd"]}, "invalid-season", "columns"),
        ({"columns": [{"name": "a"}, {"name": "a", "order": "asc"}]}, "invalid-season", "columns"),
        ([], "invalid-body", ""),
    ],
)
def test_what_a_season_cannot_be_is_refused_with_the_member(
    http: Http, season: str, members: Any, code: str, named: str
) -> None:
    refused = change(http, "PUT", season, members)
    assert (refused.status, refused.json["code"]) == (400, code)
    assert named in refused.json["detail"]
    assert http.get(base(season)).status == 404
    if isinstance(members, dict):
        put(http, season, title="kept")
        refused = change(http, "PATCH", season, members)
        assert (refused.status, refused.json["code"]) == (400, code), "as in a PUT"
        assert named in refused.json["detail"]
        assert shown(http.get(base(season))) == {**DEFAULTS, "title": "kept"}


def test_a_member_twice_is_refused(http: Http, season: str) -> None:
    for method in ("PUT", "PATCH"):
        refused = http.ask(method, base(season), b'{"title":"a","title":"b"}', JSON)
        assert (refused.status, refused.json["code"]) == (400, "invalid-body")


def test_operator_and_order_are_fixed_while_there_are_submissions(http: Http, season: str, api: Api) -> None:
    put(http, season, operator="best")
    period = api.world.value("SELECT number FROM period WHERE season_id = %s", season)
    assert put(http, season, operator="best", order="asc").status == 200, "nobody has submitted yet"
    assert score(http, season, "ada", 100).status == 202
    for members in ({"operator": "last", "order": "asc"}, {"operator": "best"}, {}):
        refused = change(http, "PUT", season, members)
        assert (refused.status, refused.json["code"]) == (409, "setting-fixed")
    assert change(http, "PATCH", season, {"operator": "sum"}).json["code"] == "setting-fixed"
    assert change(http, "PATCH", season, {"title": "Lap", "bounds": {"min": 50}}).status == 200, "others may change"
    assert api.world.rows("SELECT number FROM period WHERE season_id = %s", season) == [(period,)]
    assert http.delete(season).status == 200
    assert http.get(base(season)).json["order"] == "asc", "a reset keeps the definition"
    assert score(http, season, "ada", 49).json["code"] == "score-out-of-bounds"
    assert score(http, season, "ada", 50).json["previousScore"] is None
    assert http.delete(season).status == 200
    assert put(http, season).status == 200, "an empty season may become another one"
    assert http.post(season, "ada", 3).json["score"] == 3
    eventually(lambda: http.top(season).json["items"] == [{"rank": 1, "userId": "ada", "score": 3}])


def test_submissions_and_a_change_of_the_rule_never_overlap(season: str, api: Api) -> None:
    """What counts was judged by the rule that the season had then; a period that has rows keeps its operator."""
    stop = threading.Event()
    statuses: list[tuple[int, str | None]] = []

    def submit(number: int) -> None:
        with api.client() as http:
            for n in range(1, 10_000):
                if stop.is_set():
                    return
                answer = http.post(season, f"p{number}", 1) if n % 2 else score(http, season, f"p{number}", n)
                statuses.append((answer.status, answer.json.get("code")))

    with api.client() as http:
        put(http, season, operator="best")
        threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for n in range(12):
            assert put(http, season, operator=("sum", "best")[n % 2]).status in (200, 409)
            assert http.delete(season).status == 200
        stop.set()
        for thread in threads:
            thread.join()
        operator = http.get(base(season)).json["operator"]
    assert set(statuses) <= {(202, None), (409, "wrong-operator")}
    rows = api.world.rows(
        "SELECT user_id, sum(delta), max(delta) FROM ledger JOIN season USING (period_id) "
        "WHERE season_id = %s GROUP BY 1",
        season,
    )
    held = {user: value for user, value, _ in api.world.expected(season)}
    assert held == {user: total if operator == "sum" else best for user, total, best in rows}
    eventually(lambda: api.world.board(season) == api.world.expected(season))


def test_seasons_are_listed_by_name_in_pages_and_by_state(world: World) -> None:
    with relaying(world, 1), serving(world) as api, api.client() as http:
        names = [f"s{n:02}" for n in range(7)] + ["é", "ż"]
        for name in names:
            assert put(http, name, title=name.upper()).status == 201
        put(http, "later", opensAt="2999-01-01T00:00:00+01:00")
        everything = sorted([*names, "later"], key=str.encode)
        found: list[str] = []
        path = "/v1/seasons?limit=4"
        while True:
            page = http.get(path).json
            found += [item["seasonId"] for item in page["items"]]
            assert len(page["items"]) <= 4
            if page["nextCursor"] is None:
                break
            path = f"/v1/seasons?limit=4&cursor={page['nextCursor']}"
        assert found == everything
        assert http.get("/v1/seasons").json["items"][0]["title"] == ""
        upcoming = http.get("/v1/seasons?state=upcoming").json
        assert [item["seasonId"] for item in upcoming["items"]] == ["later"] and upcoming["nextCursor"] is None
        period = {"number": 1, "startsAt": "2998-12-31T23:00:00Z", "endsAt": None, "state": "upcoming"}
        assert upcoming["items"][0]["period"] == period
        assert len(http.get("/v1/seasons?state=open&limit=1000").json["items"]) == 9
        for query, code in (
            ("cursor=%2B", "invalid-cursor"), ("cursor=", "invalid-cursor"), ("cursor=AA", "invalid-cursor"),
            ("state=shut", "invalid-state"), ("limit=0", "invalid-limit"), ("limit=1001", "invalid-limit"),
        ):  # fmt: skip
            answer = http.get(f"/v1/seasons?{query}")
            assert (answer.status, answer.json["code"]) == (400, code), query


def test_only_an_administrator_defines_and_readers_read(guarded: Api, season: str) -> None:
    body = b'{"operator":"best"}'
    keys = {scope: bearer(guarded.world.key(scope)) for scope in ("read", "submit", "admin")}
    last = guarded.world.key("read", "admin", seasons=["other"])
    guarded.until_known(last)
    limited = bearer(last)
    with guarded.client() as http:
        for scope in ("read", "submit"):
            for method in ("PUT", "PATCH"):
                answer = http.ask(method, base(season), body, {**JSON, **keys[scope]})
                assert (answer.status, answer.json["code"]) == (403, "scope-missing")
        assert http.ask("PUT", base(season), body, {**JSON, **limited}).json["code"] == "season-forbidden"
        assert http.ask("GET", "/v1/seasons", None, limited).json["code"] == "season-forbidden"
        assert http.ask("PUT", base(season), body, {**JSON, **keys["admin"]}).status == 201
        assert http.ask("GET", base(season), None, keys["read"]).json["operator"] == "best"
        assert http.ask("GET", base(season), None, keys["submit"]).status == 403


def test_only_defined_seasons_take_submissions_where_the_setting_says_so(world: World) -> None:
    world.submit(("old", "ada", 1))
    with relaying(world, 1), serving(world, LEADERBOARD_SEASONS="defined") as api, api.client() as http:
        for name in ("old", "new"):
            for answer in (http.post(name, "ada", 1), score(http, name, "ada", 1)):
                assert (answer.status, answer.json["code"]) == (404, "season-not-found")
        batch = json.dumps({"submissions": [{"userId": "ada", "delta": 1}]}).encode()
        results = http.ask("POST", f"{base('new')}/scores/batch", batch, JSON).json["results"]
        assert [one["code"] for one in results] == ["season-not-found"]
        assert world.rows("SELECT season_id FROM season") == [("old",)], "none was created"
        assert world.value("SELECT count(*) FROM ledger") == 1
        put(http, "old", title="now defined")
        put(http, "new", operator="best")
        assert http.post("old", "ada", 1).json["score"] == 2
        assert score(http, "new", "ada", 5).json["score"] == 5


def test_a_batch_finds_only_defined_seasons_where_the_setting_says_so(world: World) -> None:
    """With a player who is twice in it, which needs the long statement."""
    world.submit(("old", "ada", 1))
    batch = json.dumps({"submissions": [{"userId": "ada", "delta": 1}] * 2}).encode()
    with serving(world, LEADERBOARD_SEASONS="defined") as api, api.client() as http:
        results = http.ask("POST", f"{base('old')}/scores/batch", batch, JSON).json["results"]
    assert [one["code"] for one in results] == ["season-not-found"] * 2
    assert world.value("SELECT count(*) FROM ledger") == 1
