"""Segments in seasons of every rule: operators, orders, columns and shared ranks, against a naive filter."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.http import JSON, Answer, Http, base
from support.naive import NaiveBoard
from support.periods import put
from support.processes import serving
from support.relays import Hand
from support.segments import attributes_of
from support.world import World, world_on

from board.partitions import partition_of
from board.season import INT64_MAX, INT64_MIN, OPERATORS, Row, Rule, Submission, accept, parse_rule, rank_rows
from ctl.comparison.report import compare
from ctl.embedded import Embedded
from relay.rebuild import rebuild

pytestmark = pytest.mark.topology

PLAYERS: Final = ["ada", "bob", "cy", "J\u00f6rg", "\U0001f600", "d" * 128]
NAMES: Final = ("time", "moves", "_1")
VALUES: Final = ("KR", "GB", None)
numbers = itertools.count(1)

ORDERS: Final = st.sampled_from(("desc", "asc"))
NUMBER: Final = st.sampled_from((0, 1, 7, 2**53 + 1, 2**60, 2**60 + 1, -(2**52) - 1, INT64_MIN, INT64_MAX))
Served = tuple[World, Http, Hand]
Run = tuple[str, int, tuple[int, ...]]
Moves = dict[str, str | None]


@st.composite
def seasons(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[Moves, list[Run]]]]:
    """The members of a season; then batches of moves and runs. Few values, so that many are equal."""
    columns = [{"name": name, "order": draw(ORDERS)} for name in NAMES[: draw(st.integers(0, 3))]]
    operator = draw(st.sampled_from(tuple(OPERATORS)))
    ranking = draw(st.sampled_from(("ordinal", "competition")))
    members = {"operator": operator, "order": draw(ORDERS), "ranking": ranking, "segments": ["country"]}
    number = st.sampled_from((-1, 1, 2**53)) if operator == "sum" else NUMBER
    run = st.tuples(st.sampled_from(PLAYERS), number, st.tuples(*(NUMBER for _ in columns)))
    moves = st.dictionaries(st.sampled_from(PLAYERS), st.sampled_from(VALUES), max_size=4)
    batch = st.tuples(moves, st.lists(run, min_size=1, max_size=12))
    return {**members, **({"columns": columns} if columns else {})}, draw(st.lists(batch, min_size=1, max_size=3))


@pytest.fixture(scope="module")
def served(servers: Embedded) -> Iterator[Served]:
    """A server whose boards the test itself carries."""
    with world_on(servers, redis_db=4) as world, serving(world, LEADERBOARD_READ_CACHE_MS="0") as api:
        world.carry_everything()
        with api.client() as http:
            yield world, http, Hand(world)


def send(http: Http, season: str, rule: Rule, runs: list[Run]) -> list[dict[str, Any]]:
    member = "delta" if rule.operator == "sum" else "score"
    names = [column.name for column in rule.columns]
    items = [
        {"userId": user, member: value, **({"columns": dict(zip(names, values, strict=True))} if names else {})}
        for user, value, values in runs
    ]
    answer = http.ask("POST", f"{base(season)}/scores/batch", json.dumps({"submissions": items}).encode(), JSON)
    results: list[dict[str, Any]] = answer.json["results"]
    assert {result["status"] for result in results} == {202}, results
    return results


def naive(season: str, rule: Rule, rows: dict[str, Row], users: set[str]) -> NaiveBoard:
    """The board of these players only: their ranks are those among them."""
    ranked = rank_rows(rule, {user: row for user, row in rows.items() if user in users})
    names = [column.name for column in rule.columns]
    return NaiveBoard(
        season,
        [(user, row.score, row.reached) for _, user, row in ranked],
        columns=[dict(zip(names, row.columns, strict=True)) for _, _, row in ranked] if names else None,
        ranks=[rank for rank, _, _ in ranked],
    )


def shown(answer: Answer, segment: str) -> Any:
    assert (answer.status, answer.json.get("segment")) == (200, segment), answer.body
    return {name: value for name, value in answer.json.items() if name not in ("asOf", "segment", "nextCursor")}


def check(http: Http, board: NaiveBoard, segment: str) -> None:
    path, asked = f"{base(board.season)}/leaderboard", f"segment={quote(segment, safe='')}"
    for limit, offset in ((100, 0), (2, 1)):
        assert shown(http.get(f"{path}/top?limit={limit}&offset={offset}&{asked}"), segment) == board.top(limit, offset)
    assert http.get(f"{path}/count?{asked}").json["count"] == len(board.rows)
    body = json.dumps({"userIds": [*reversed(PLAYERS), "x"]}).encode()
    answer = http.ask("POST", f"{path}/lookup?{asked}", body, JSON)
    assert shown(answer, segment) == board.lookup([*reversed(PLAYERS), "x"])
    there = {user for user, _, _ in board.rows}
    for user in PLAYERS:
        query = f"{urlencode({'userId': user})}&{asked}"
        if user not in there:
            assert http.get(f"{path}/rank?{query}").json["code"] == "player-not-found"
            continue
        assert shown(http.get(f"{path}/rank?{query}"), segment) == board.rank(user)
        for side, fill in ((0, False), (1, False), (2, True)):
            answer = http.get(f"{path}/around?{query}&range={side}&fill={str(fill).lower()}")
            assert shown(answer, segment) == board.around(user, side, fill)
    walked, cursor = [], ""
    while True:
        page = http.get(f"{path}/top?limit=2&{asked}{cursor}").json
        walked += page["items"]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert walked == board.items()


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(drawn=seasons())
@pytest.mark.walk
def test_every_read_is_that_of_a_naive_filter_whatever_the_rule(served: Served, drawn: Any) -> None:
    """After each batch, and after boards were loaded whole."""
    world, http, hand = served
    members, batches = drawn
    season = f"runs {next(numbers)}"
    rule = parse_rule({name: value for name, value in members.items() if name != "segments"})
    assert put(http, season, **members).json["segments"] == ["country"]
    rows: dict[str, Row] = {}
    for moves, runs in batches:
        for user, value in moves.items():
            world.name_player(user, None)
            world.name_player(user, "", **({} if value is None else {"country": value}))
        last = world.value("SELECT last_value FROM submission")
        results = send(http, season, rule, runs)
        # A batch may be sent again once the rule is known: with other numbers, in the same order.
        first = max(last, world.value("SELECT last_value FROM submission") - len(runs)) + 1
        for at, ((user, value, values), result) in enumerate(zip(runs, results, strict=True)):
            rows[user] = (change := accept(rule, rows.get(user), Submission(first + at, value, values))).row
            assert result["score"] == change.row.score
        hand.relay.repairs.retry_set_aside(hand.session)
        hand.drain()
        attributes = attributes_of(world)
        for value in ("KR", "GB"):
            users = {user for user in rows if attributes.get(user, {}).get("country") == value}
            check(http, naive(season, rule, rows, users), f"country:{value}")
    assert compare(world.settings, wait_s=0).equal
    rebuild(hand.session, partition_of(season))
    assert compare(world.settings, wait_s=0).equal
    for value in ("KR", "GB"):
        users = {user for user in rows if attributes.get(user, {}).get("country") == value}
        check(http, naive(season, rule, rows, users), f"country:{value}")
