"""Profiles on the rows of boards: joined at the read, on every board, and on none where there are none."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from support.http import JSON, Http, base
from support.processes import serving
from support.relays import Hand, carrying
from support.waiting import eventually
from support.world import World

from board.partitions import partition_of

Row = dict[str, Any]


def put(http: Http, user: str, **members: Any) -> None:
    answer = http.ask("PUT", f"/v1/players/{quote(user, safe='')}", json.dumps(members).encode(), JSON)
    assert answer.status in (200, 201), answer.body


def name(http: Http, user: str, text: str) -> None:
    put(http, user, displayName=text)


def fill(http: Http, season: str) -> list[str]:
    """A board of four players, best first; the names of the first two are those of this season."""
    users = [f"{season} {n}" for n in range(3)] + [f'{season}","score":"\\']
    for at, user in enumerate(users):
        assert http.post(season, user, 100 - at).status == 202
    eventually(lambda: http.get(f"{base(season)}/leaderboard/count").json["count"] == 4)
    return users


def shown(rows: list[Row]) -> list[tuple[str, str | None, dict[str, str] | None]]:
    return [(row["userId"], row.get("displayName"), row.get("attributes")) for row in rows]


@pytest.mark.parametrize(
    "rule", [{}, {"operator": "best", "order": "asc"}, {"operator": "best", "ranking": "competition"}]
)
def test_every_list_of_rows_shows_the_profiles(http: Http, season: str, rule: dict[str, str]) -> None:
    assert http.ask("PUT", base(season), json.dumps(rule).encode(), JSON).status == 201
    users = [f"{season} {n}" for n in range(3)] + [f'{season}","score":"\\']
    for at, user in enumerate(users):
        number = {"delta": 100 - at} if not rule else {"score": at if "order" in rule else -at}
        sent = http.post_raw(season, json.dumps({"userId": user, **number}).encode())
        assert sent.status == 202
    put(http, users[0], displayName='Ada "L"', attributes={"country": "KR", "platform": "pc"})
    put(http, users[2], attributes={"platform": "mac"})
    put(http, users[3], displayName="Zoë\\", attributes={"avatar": "7"})
    wanted = [(users[0], 'Ada "L"', None), (users[1], None, None), (users[2], None, None), (users[3], "Zoë\\", None)]
    top = f"{base(season)}/leaderboard/top?limit=10"
    # The attributes that are asked for, in that order, and of those who have them.
    asked = [
        (users[0], 'Ada "L"', {"platform": "pc", "country": "KR"}),
        (users[1], None, None),
        (users[2], None, {"platform": "mac"}),
        (users[3], "Zoë\\", None),
    ]
    query = "attributes=platform,country"
    eventually(lambda: shown(http.get(f"{top}&{query}").json["items"]) == asked)
    around = f"{base(season)}/leaderboard/around?userId={quote(users[1])}"
    assert shown(http.get(top).json["items"]) == wanted
    assert shown(http.get(around).json["items"]) == wanted
    assert shown(http.get(f"{around}&fill=true&range=1").json["items"]) == wanted[:3]
    assert shown(http.get(f"{base(season)}/leaderboard/top?offset=3").json["items"]) == wanted[3:]
    assert shown(http.lookup(season, [*reversed(users), "nobody"]).json["items"]) == wanted
    assert b'"attributes":{"platform":"pc","country":"KR"},"score"' in http.get(f"{top}&{query}").body
    assert shown(http.get(f"{around}&{query}").json["items"]) == asked
    body = json.dumps({"userIds": users}).encode()
    looked_up = http.ask("POST", f"{base(season)}/leaderboard/lookup?{query}", body, JSON)
    assert shown(looked_up.json["items"]) == asked
    # Everything else is as it was.
    plain = [{k: v for k, v in row.items() if k != "displayName"} for row in http.get(top).json["items"]]
    assert [row["rank"] for row in plain] == [1, 2, 3, 4] and all(
        {*row} == {"rank", "userId", "score"} for row in plain
    )


@pytest.mark.topology
def test_a_rename_is_shown_everywhere_within_a_second(http: Http, season: str) -> None:
    seasons = [season, f"{season} too"]
    users = fill(http, season)
    fill(http, seasons[1])
    assert http.post(seasons[1], users[0], 1000).status == 202
    name(http, users[0], "Ada")
    eventually(lambda: all(http.top(one).json["items"][0].get("displayName") == "Ada" for one in seasons))
    ranks = [http.top(one).json["items"] for one in seasons]

    def shows(text: str) -> bool:
        # Several connections: more than one worker answers.
        answers = []
        for _ in range(4):
            with Http(http.port) as other:
                answers += [other.top(one) for one in seasons] + [other.around(season, users[0])]
        return all(answer.json["items"][0].get("displayName") == text for answer in answers)

    for text in ("Ada L.", "Ada", "Countess"):
        name(http, users[0], text)
        began = time.monotonic()
        eventually(partial(shows, text))
        assert time.monotonic() - began < 1.0
    assert [[row["userId"] for row in http.top(one).json["items"]] for one in seasons] == [
        [row["userId"] for row in rows] for rows in ranks
    ]


def test_an_entity_tag_names_the_profiles_that_are_shown(http: Http, season: str) -> None:
    users = fill(http, season)
    top = f"{base(season)}/leaderboard/top"
    around = f"{base(season)}/leaderboard/around?userId={quote(users[0])}&range=1"
    put(http, users[1], displayName="Ada", attributes={"country": "KR"})
    eventually(lambda: http.get(top).json["items"][1].get("displayName") == "Ada")
    for path in (top, f"{top}?attributes=country", around):
        tag = http.get(path).headers["etag"]
        assert http.ask("GET", path, None, {"If-None-Match": tag}).status == 304
        before = http.get(path).json
        put(http, users[1], displayName="Bob", attributes={"country": "KR"})
        eventually(lambda path=path: http.get(path).json["items"][1]["displayName"] == "Bob")
        changed = http.ask("GET", path, None, {"If-None-Match": tag})
        assert changed.status == 200 and changed.json["asOf"] == before["asOf"]
        # What is not shown does not count.
        tag = changed.headers["etag"]
        put(http, users[1], displayName="Bob", attributes={"country": "KR", "platform": "pc"})
        put(http, users[1], displayName="Ada", attributes={"country": "KR"})
        eventually(lambda path=path: http.get(path).json["items"][1]["displayName"] == "Ada")
        assert http.get(path).headers["etag"] not in (tag,)


def test_a_deleted_profile_is_shown_no_more(http: Http, season: str) -> None:
    users = fill(http, season)
    name(http, users[0], "Ada")
    eventually(lambda: http.top(season).json["items"][0].get("displayName") == "Ada")
    assert http.ask("DELETE", f"/v1/players/{quote(users[0], safe='')}/profile").status == 200
    eventually(lambda: "displayName" not in http.top(season).json["items"][0])


def test_periods_that_have_ended_show_the_names_of_today(http: Http, season: str) -> None:
    users = fill(http, season)
    assert http.ask("POST", f"{base(season)}/reset").status == 200
    assert http.post(season, users[2], 1).status == 202
    put(http, users[0], displayName="Ada", attributes={"country": "KR"})
    put(http, users[2], displayName="Cy")
    past = f"{base(season)}/leaderboard/top?period=1&attributes=country"
    wanted = [(users[0], "Ada", {"country": "KR"}), (users[1], None, None), (users[2], "Cy", None)]
    eventually(lambda: shown(http.get(past).json["items"])[:3] == wanted)
    tag = http.get(past).headers["etag"]
    around = http.get(f"{base(season)}/leaderboard/around?period=1&userId={quote(users[1])}&range=1&attributes=country")
    assert shown(around.json["items"]) == wanted
    now = http.get(f"{base(season)}/leaderboard/top?period=2").json
    assert (now["period"], shown(now["items"])) == (2, [(users[2], "Cy", None)])
    now = http.get(f"{base(season)}/leaderboard/around?period=2&userId={quote(users[2])}").json
    assert (now["period"], shown(now["items"])) == (2, [(users[2], "Cy", None)])
    name(http, users[0], "Grace")
    eventually(lambda: http.get(past).json["items"][0]["displayName"] == "Grace")
    assert http.get(past).headers["etag"] != tag


@pytest.mark.parametrize("text", ["", "a,", "a,,b", "a,a", "1a", "a b", ",".join(f"a{n}" for n in range(9)), "a" * 33])
def test_names_of_attributes_that_nobody_can_have_are_refused(http: Http, season: str, text: str) -> None:
    for path in ("top?", "around?userId=a&"):
        answer = http.get(f"{base(season)}/leaderboard/{path}attributes={quote(text)}")
        assert (answer.status, answer.json["code"]) == (400, "invalid-attributes")


def test_the_first_profile_of_all_is_shown_soon(world: World) -> None:
    """A worker that knows of no profile learns of the first one."""
    world.submit(("s", "ada", 5))
    with carrying(world), serving(world, "/readyz") as api, api.client() as http:
        eventually(lambda: http.top("s").json.get("total") == 1)
        for _ in range(3):
            assert shown(http.around("s", "ada").json["items"]) == [("ada", None, None)]
        name(http, "ada", "Ada")
        began = time.monotonic()
        # The top list, whose reads look too, is not asked for.
        eventually(lambda: shown(http.around("s", "ada").json["items"]) == [("ada", "Ada", None)])
        assert time.monotonic() - began < 1.0
        assert shown(http.top("s").json["items"]) == [("ada", "Ada", None)]


def test_no_row_shows_half_of_what_redis_has_lost(world: World) -> None:
    """While the player's partition is rebuilt, a worker shows the name that it knows, or none of the rows."""
    hand = Hand(world)
    world.submit(("s", "ada", 5))
    with serving(world, "/livez") as api, api.client() as http:
        name(http, "ada", "Ada")
        hand.drain()
        world.flush()
        hand.drain()
        (partition,) = world.rows("SELECT partition FROM player")[0]
        world.redis.delete(world.keys.watermark[partition], world.keys.profiles[partition])
        # This worker has not read a name yet.
        answer = http.top("s")
        assert (answer.status, answer.json["code"]) == (503, "board-rebuilding")
        hand.drain()
        eventually(lambda: http.top("s").status == 200)
        # The worker looks several times in a second.
        for _ in range(2):
            until = time.monotonic() + 1.0
            while time.monotonic() < until:
                assert shown(http.top("s").json["items"]) == [("ada", "Ada", None)]
            world.redis.delete(world.keys.watermark[partition], world.keys.profiles[partition])


def test_a_reader_that_finds_profiles_altered_shows_none_of_them(world: World) -> None:
    world.submit(("s", "ada", 5))
    Hand(world).drain()
    with serving(world, "/livez") as api, api.client() as http:
        name(http, "ada", "Ada")
        hand = Hand(world)
        hand.drain()
        world.redis.delete(world.keys.profiles[partition_of("ada")])
        answer = http.top("s")
        assert (answer.status, answer.json["code"]) == (503, "board-rebuilding")
        # A relay that is woken by the reader loads them; none looks by itself before.
        eventually(lambda: world.redis.zscore(world.keys.poke, f"!\0{partition_of('ada')}") is not None)
        with carrying(world):
            eventually(lambda: http.top("s").status == 200)
            assert shown(http.top("s").json["items"]) == [("ada", "Ada", None)]


def test_without_any_profile_a_partition_that_is_rebuilt_holds_up_no_other(world: World) -> None:
    hand = Hand(world)
    world.submit(("s", "ada", 5))
    hand.drain()
    assert partition_of("ada") != partition_of("s")
    world.redis.delete(world.keys.watermark[partition_of("ada")])
    with serving(world, "/livez") as api, api.client() as http:
        assert shown(http.top("s").json["items"]) == [("ada", None, None)]
