"""Boards of segments: every read of them is that of a naive filter, again after each batch of changes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.http import JSON, Answer, Http, base
from support.naive import NaiveBoard
from support.processes import serving
from support.relays import Hand
from support.segments import attributes_of
from support.waiting import eventually
from support.world import World, world_on

from board.partitions import partition_of
from ctl.comparison.report import compare
from ctl.embedded import Embedded
from relay.rebuild import rebuild

pytestmark = pytest.mark.topology

PLAYERS = [f"p{n}" for n in range(8)] + ["J\u00f6rg", "a b", '"\\']
VALUES = ["KR", "GB", 'a "b\\":c', "\u00e9t\u00e9"]
numbers = itertools.count(1)

deltas = st.integers(-4, 4).filter(bool) | st.sampled_from([2**52, -(2**52), 2**53 + 1])
changes = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from(PLAYERS), deltas),
    st.tuples(st.just("name"), st.sampled_from(PLAYERS), st.sampled_from([*VALUES, None])),
    st.tuples(st.just("forget"), st.sampled_from(PLAYERS), st.none()),
    st.tuples(st.sampled_from(["reset", "rebuild", "rebuild season", "flush", "segments"]), st.none(), st.none()),
)
batches = st.lists(st.lists(changes, min_size=1, max_size=10), min_size=1, max_size=4)
Served = tuple[World, Http, Hand]


@pytest.fixture(scope="module")
def served(servers: Embedded) -> Iterator[Served]:
    """A server whose boards the test itself carries."""
    with world_on(servers, redis_db=4) as world, serving(world, LEADERBOARD_READ_CACHE_MS="0") as api:
        world.carry_everything()
        with api.client() as http:
            yield world, http, Hand(world)


def settle(world: World, hand: Hand) -> None:
    hand.relay.repairs.retry_set_aside(hand.session)
    hand.drain()


def change(world: World, hand: Hand, season: str, kind: str, user: str | None, value: Any) -> None:
    if kind == "submit":
        world.submit((season, str(user), value))
    elif kind == "name":
        world.name_player(str(user), "Name", **({} if value is None else {"country": value}))
    elif kind == "forget":
        world.name_player(str(user), None)
    elif kind == "reset":
        world.reset(season)
    elif kind == "segments":
        # Taken away, and set again.
        ranking = "competition" if partition_of(season) % 2 else "ordinal"
        world.define(season, ranking=ranking)
        settle(world, hand)
        world.define(season, ranking=ranking, segments=["country"])
    elif kind == "flush":
        world.redis.delete(world.keys.watermark[partition_of(season)])
    elif kind == "rebuild":
        rebuild(hand.session, partition_of(season))
    else:
        hand.relay.repairs.rebuild_season(hand.session, partition_of(season), season)


def check(expected: dict[str, Any], segment: str, answer: Answer) -> None:
    found = answer.json
    found.pop("nextCursor", None)
    for item in found.get("items", ()):
        item.pop("displayName", None)
    assert isinstance(found.pop("asOf", None), str), answer.body
    assert (answer.status, found) == (200, {**expected, "segment": segment}), answer.body


@settings(
    max_examples=5,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(batches=batches, limit=st.integers(1, 5), side=st.integers(0, 4))
def test_every_read_is_that_of_a_naive_filter(served: Served, batches: Any, limit: int, side: int) -> None:
    world, http, hand = served
    season = f"filtered {next(numbers)}"
    ranking: Any = "competition" if partition_of(season) % 2 else "ordinal"
    world.define(season, ranking=ranking, segments=["country"])
    for batch in batches:
        for kind, user, value in batch:
            change(world, hand, season, kind, user, value)
        settle(world, hand)
        attributes = attributes_of(world)
        for value in (*VALUES, "nowhere"):
            rows = [row for row in world.expected(season) if attributes.get(row[0], {}).get("country") == value]
            read_all(http, NaiveBoard(season, rows, ranking), f"country:{value}", limit, side)
    assert compare(world.settings, wait_s=0).equal


def read_all(http: Http, naive: NaiveBoard, segment: str, limit: int, side: int) -> None:
    board, asked = f"{base(naive.season)}/leaderboard", f"segment={quote(segment, safe='')}"
    check(naive.top(limit, 0), segment, http.get(f"{board}/top?limit={limit}&{asked}"))
    check(naive.top(limit, 2), segment, http.get(f"{board}/top?limit={limit}&offset=2&{asked}"))
    counted = {"seasonId": naive.season, "count": len(naive.rows)}
    check(counted, segment, http.get(f"{board}/count?{asked}"))
    body = json.dumps({"userIds": [*PLAYERS, "nobody"]}).encode()
    check(naive.lookup([*PLAYERS, "nobody"]), segment, http.ask("POST", f"{board}/lookup?{asked}", body, JSON))
    check(naive.place(1, side, False), segment, http.get(f"{board}/around?score=1&range={side}&{asked}"))
    parts = naive.histogram(naive.quantiles(limit)) if naive.rows else {"seasonId": naive.season, "buckets": []}
    check(parts, segment, http.get(f"{board}/histogram?by=quantile&buckets={limit}&{asked}"))
    for query, found in (("rank=2", naive.score(2)), ("percentile=50", naive.percentile(Fraction(50)))):
        answer = http.get(f"{board}/score?{query}&{asked}")
        if found is None:
            assert (answer.status, answer.json["code"]) == (404, "rank-not-found")
        else:
            check(found, segment, answer)
    walked: list[Any] = []
    cursor = ""
    while True:
        page = http.get(f"{board}/top?limit={limit}&{asked}{cursor}").json
        walked += [item["userId"] for item in page["items"]]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert walked == [user for user, _, _ in naive.rows]
    there = {user for user, _, _ in naive.rows}
    for user in PLAYERS[:6]:
        query = f"{urlencode({'userId': user})}&{asked}"
        rank, around = http.get(f"{board}/rank?{query}"), http.get(f"{board}/around?range={side}&fill=true&{query}")
        if user in there:
            check(naive.rank(user), segment, rank)
            check(naive.around(user, side, True), segment, around)
        else:
            assert (rank.status, rank.json["code"]) == (404, "player-not-found") == (around.status, around.json["code"])


def define(http: Http, season: str, **members: Any) -> Answer:
    return http.ask("PUT", base(season), json.dumps(members).encode(), JSON)


def test_a_player_moves_as_soon_as_the_attribute_changes(http: Http, season: str) -> None:
    assert define(http, season, segments=["country"]).json["segments"] == ["country"]
    for user in (f"{season} a", f"{season} b"):
        http.ask("PUT", f"/v1/players/{quote(user)}", b'{"attributes":{"country":"KR"}}', JSON)
        assert http.post(season, user, 5).status == 202
    board = f"{base(season)}/leaderboard"

    def players(value: str) -> list[str]:
        return [row["userId"] for row in http.get(f"{board}/top?segment=country:{value}").json.get("items", ())]

    eventually(lambda: players("KR") == [f"{season} a", f"{season} b"])
    body = json.dumps({"attributes": {"country": "e\u0301"}}).encode()
    assert http.ask("PATCH", f"/v1/players/{quote(f'{season} a')}", body, JSON).status == 200
    # In the query, too, all spellings of a text are one.
    eventually(lambda: players(quote("e\u0301")) == [f"{season} a"] == players(quote("\u00e9")))
    assert players("KR") == [f"{season} b"]
    answer = http.get(f"{board}/top?segment=country:KR")
    tag, state = answer.headers["etag"], answer.json["asOf"]
    assert http.ask("GET", f"{board}/top?segment=country:KR", headers={"If-None-Match": tag}).status == 304
    assert http.get(f"{board}/top?segment=country:KR&since={state}").status == 304
    # Segments may be set, and taken away, while there are players.
    assert http.ask("PATCH", base(season), b'{"segments":null}', JSON).json["segments"] == []
    eventually(lambda: http.get(f"{board}/count?segment=country:KR").json.get("code") == "no-segments")
    assert http.ask("PATCH", base(season), b'{"segments":["country"]}', JSON).status == 200
    eventually(lambda: players("KR") == [f"{season} b"])


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("segment=country", 400, "invalid-segment"),
        ("segment=country:", 400, "invalid-segment"),
        ("segment=:KR", 400, "invalid-segment"),
        ("segment=1country:KR", 400, "invalid-segment"),
        ("segment=country:a%0Ab", 400, "invalid-segment"),
        (f"segment=country:{'x' * 129}", 400, "invalid-segment"),
        ("segment=country:KR&period=1", 400, "segment-or-period"),
        ("segment=platform:pc", 400, "unknown-segment"),
        ("segment=countr:KR", 400, "unknown-segment"),
    ],
)
def test_a_segment_that_is_none_has_its_own_problem(http: Http, query: str, status: int, code: str) -> None:
    define(http, "asked for segments", segments=["country"])
    board = f"{base('asked for segments')}/leaderboard"
    eventually(lambda: http.get(f"{board}/count?segment=country:KR").status == 200)
    user, number = ("rank?userId=a&", "around?userId=a&"), ("around?score=1&", "score?rank=1&", "histogram?")
    for path in ("top?", "count?", *user, *number):
        answer = http.get(f"{board}/{path}{query}")
        assert (answer.status, answer.json["code"]) == (status, code), path
    answer = http.ask("POST", f"{board}/lookup?{query}", b'{"userIds":["a"]}', JSON)
    assert (answer.status, answer.json["code"]) == (status, code)


def test_a_season_without_segments_has_none(http: Http, season: str) -> None:
    assert http.post(season, "ada", 1).status == 202
    for of in (season, f"{season} unknown"):
        for path in ("top?", "rank?userId=ada&"):
            answer = http.get(f"{base(of)}/leaderboard/{path}segment=country:KR")
            assert (answer.status, answer.json["code"]) == (400, "no-segments")


@pytest.mark.parametrize("segments", [["country", "country"], ["1"], ["a", "b", "c"], "country", [""]])
def test_segments_of_a_definition_are_checked(http: Http, season: str, segments: Any) -> None:
    answer = define(http, season, segments=segments)
    assert answer.status == 400 and answer.json["code"] in ("invalid-season", "invalid-body")


def test_a_cursor_is_of_its_segment(http: Http, season: str) -> None:
    define(http, season, segments=["country"])
    for user in ("x1", "x2"):
        http.ask("PUT", f"/v1/players/{user}", b'{"attributes":{"country":"KR"}}', JSON)
        http.post(season, user, 5)
    top = f"{base(season)}/leaderboard/top?limit=1"
    eventually(lambda: http.get(f"{top}&segment=country:KR").json.get("total") == 2)
    cursor = http.get(f"{top}&segment=country:KR").json["nextCursor"]
    assert http.get(f"{top}&segment=country:KR&cursor={cursor}").json["items"][0]["userId"] == "x2"
    for query in ("", "&segment=country:GB"):
        assert http.get(f"{top}&cursor={cursor}{query}").json["code"] == "invalid-cursor"


def test_a_value_without_a_board_is_told(served: Served) -> None:
    world, http, hand = served
    world.define("crowded", segments=["country"])
    world.submit(("crowded", "ada", 1))
    settle(world, hand)
    # As after 1,001 values.
    world.execute(
        "INSERT INTO segment_value (period_id, attribute, value) SELECT period_id, 'country', '' FROM season "
        "WHERE season_id = 'crowded'"
    )
    world.name_player("ada", "Ada", country="late")
    hand.drain()
    board = f"{base('crowded')}/leaderboard"
    for path in ("top?", "rank?userId=ada&"):
        answer = http.get(f"{board}/{path}segment=country:late")
        assert (answer.status, answer.json["code"]) == (404, "segment-without-board")
    assert http.get(base("crowded")).json["fullSegments"] == ["country"]
    world.define("not crowded", segments=["country"])
    assert "fullSegments" not in http.get(base("not crowded")).json
