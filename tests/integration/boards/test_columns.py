"""Boards of seasons with columns: every read, live and of ended periods, against the rule's model."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from support.http import JSON, Answer, Http, base
from support.naive import NaiveBoard
from support.periods import keeper_of, put
from support.processes import serving
from support.world import World, world_on

from board.audit import Act
from board.partitions import partition_of
from board.season import INT64_MAX, INT64_MIN, OPERATORS, Row, Rule, Submission, accept, parse_rule, rank_rows
from ctl.embedded import Embedded
from relay.batch import relay_batch
from service.seasons.store import SeasonStore

PLAYERS: Final = ["ada", "bob", "cy", "J\u00f6rg", "\U0001f600", "d" * 128]
NAMES: Final = ("time", "moves", "_1")
numbers = itertools.count(1)

ORDERS: Final = st.sampled_from(("desc", "asc"))
EDGES: Final = (INT64_MIN, INT64_MIN + 1, -(2**52) - 1, -1, 0, 1, 2**53 + 1, INT64_MAX - 1, INT64_MAX)
COLUMN: Final = st.sampled_from((0, 1, INT64_MIN, INT64_MAX)) | st.sampled_from(EDGES)
SCORE: Final = st.sampled_from((2**60, 2**60 + 1, 7)) | st.sampled_from(EDGES)

Served = tuple[World, Http]
Runs = list[tuple[str, int, tuple[int, ...]]]


@st.composite
def seasons(draw: st.DrawFn) -> tuple[dict[str, Any], list[Runs]]:
    """The members of a season, and batches of runs. Few values, so that many are equal."""
    columns = [{"name": name, "order": draw(ORDERS)} for name in NAMES[: draw(st.integers(1, 3))]]
    operator = draw(st.sampled_from(tuple(OPERATORS)))
    ranking = draw(st.sampled_from(("ordinal", "competition")))
    members = {"operator": operator, "order": draw(ORDERS), "columns": columns, "ranking": ranking}
    number = st.sampled_from((-1, 1, 2**53)) if operator == "sum" else SCORE
    run = st.tuples(st.sampled_from(PLAYERS), number, st.tuples(*(COLUMN for _ in columns)))
    return members, draw(st.lists(st.lists(run, min_size=1, max_size=12), min_size=1, max_size=3))


@pytest.fixture(scope="module")
def served(servers: Embedded) -> Iterator[Served]:
    """A server whose boards the test itself carries, a batch at a time."""
    with world_on(servers, redis_db=4) as world, serving(world, LEADERBOARD_READ_CACHE_MS="0") as api:
        world.carry_everything()
        with api.client() as http:
            yield world, http


def send(http: Http, season: str, rule: Rule, runs: Runs) -> list[dict[str, Any]]:
    """Submit a batch; the results."""
    member = "delta" if rule.operator == "sum" else "score"
    names = [column.name for column in rule.columns]
    items = [
        {"userId": user, member: value, "columns": dict(zip(names, values, strict=True))}
        for user, value, values in runs
    ]
    answer = http.ask("POST", f"{base(season)}/scores/batch", json.dumps({"submissions": items}).encode(), JSON)
    results: list[dict[str, Any]] = answer.json["results"]
    assert {result["status"] for result in results} == {202}, results
    return results


def naive(season: str, rule: Rule, rows: dict[str, Row]) -> NaiveBoard:
    ranked = rank_rows(rule, rows)
    names = [column.name for column in rule.columns]
    return NaiveBoard(
        season,
        [(user, row.score, row.reached) for _, user, row in ranked],
        columns=[dict(zip(names, row.columns, strict=True)) for _, _, row in ranked],
        ranks=[rank for rank, _, _ in ranked],
    )


def shown(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return {name: value for name, value in answer.json.items() if name not in ("asOf", "period", "nextCursor")}


def check(http: Http, board: NaiveBoard, period: str) -> None:
    """Ask a board in every way. `period` is empty for the current one."""
    path = f"{base(board.season)}/leaderboard"
    for limit, offset in ((100, 0), (2, 1), (1, 3)):
        assert shown(http.get(f"{path}/top?limit={limit}&offset={offset}{period}")) == board.top(limit, offset)
    for user, _, _ in board.rows:
        query = f"userId={quoted(user)}{period}"
        assert shown(http.get(f"{path}/rank?{query}")) == board.rank(user)
        for side, fill in ((0, False), (1, False), (2, True)):
            answer = http.get(f"{path}/around?{query}&range={side}&fill={str(fill).lower()}")
            assert shown(answer) == board.around(user, side, fill)
        if not period:
            assert http.get(f"{path}/rank?{query}&minVersion={board.rank(user)['version']}").status == 200
    if not period:
        assert shown(http.lookup(board.season, [*reversed(PLAYERS), "x"])) == board.lookup([*reversed(PLAYERS), "x"])
        for rank in range(1, len(board.rows) + 1):
            assert shown(http.get(f"{path}/score?rank={rank}")) == board.score(rank)
        buckets = http.get(f"{path}/histogram?by=quantile").json["buckets"]
        assert sum(bucket["count"] for bucket in buckets) == len(board.rows)


def quoted(user: str) -> str:
    return "".join(f"%{byte:02X}" for byte in user.encode())


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(drawn=seasons())
def test_every_read_shows_the_rows_of_the_rule(served: Served, drawn: tuple[dict[str, Any], list[Runs]]) -> None:
    """Live, then of the ended period before it has standings, and from its standings."""
    world, http = served
    members, batches = drawn
    season, rule = f"columns {next(numbers)}", parse_rule(drawn[0])
    assert put(http, season, **members).json["columns"] == members["columns"]
    rows: dict[str, Row] = {}
    for runs in batches:
        first = world.value("SELECT last_value + is_called::int FROM submission")
        results = send(http, season, rule, runs)
        # The first batch is sent again once the columns are known: with other numbers, in the same order.
        first = world.value("SELECT last_value + 1 FROM submission") - len(runs) if runs is batches[0] else first
        for at, ((user, value, values), result) in enumerate(zip(runs, results, strict=True)):
            change = accept(rule, rows.get(user), Submission(first + at, value, values))
            rows[user] = change.row
            assert result["score"] == change.row.score
            assert result.get("improved", change.improved) == change.improved
        relay_batch(world.session(), partition_of(season), check=True)
        check(http, naive(season, rule, rows), "")
    # The answer to a reset over HTTP waits for a relay.
    assert asyncio.run(SeasonStore(world.settings.database_url, 10.0).end_period(season, Act())) is not None
    check(http, naive(season, rule, rows), "&period=1")
    assert keeper_of(world).close_periods(world.db) == 1
    check(http, naive(season, rule, rows), "&period=1")
    (top,) = world.rows(
        "SELECT data::jsonb -> 'top' FROM event WHERE season_id = %s AND kind = 'period.closed'", season
    )
    assert top[0] == naive(season, rule, rows).items()[:10]


def test_a_member_of_another_rule_is_never_read_wrong(served: Served) -> None:
    """An entry as another release would write it: the reads answer that the board is being rebuilt."""
    world, http = served
    season = f"columns {next(numbers)}"
    put(http, season, operator="best", columns=[{"name": "time"}])
    rule = parse_rule({"operator": "best", "columns": [{"name": "time"}]})
    long = "ada" * 9
    send(http, season, rule, [(long, 5, (1,)), ("bob", 5, (2,))])
    relay_batch(world.session(), partition_of(season))
    assert [item["userId"] for item in http.top(season).json["items"]] == ["bob", long]
    partition, name = partition_of(season), season.encode()
    board, members = world.keys.board(partition, name), world.keys.members(partition, name)
    prefix = world.redis.hget(members, long)
    short = prefix[:2] + prefix[-8:]
    world.redis.zrem(board, prefix + long.encode())
    world.redis.zadd(board, {short + long.encode(): -5})
    world.redis.hset(members, long, short)
    for answer in (http.top(season), http.rank(season, long), http.around(season, "bob"), http.lookup(season, [long])):
        assert answer.json["code"] == "board-rebuilding"
    assert http.rank(season, "bob").status == 200
    # Without the names of its columns a board cannot be read, either.
    note = world.redis.hget(world.keys.watermark[partition], f"n:{season}")
    world.redis.hset(world.keys.watermark[partition], f"n:{season}", note.replace(b">time", b""))
    assert http.rank(season, "bob").json["code"] == "board-rebuilding"


def test_a_relay_of_a_release_without_columns_that_writes_to_the_partition_takes_no_names(served: Served) -> None:
    """It leaves a fence without a count: numbers and marks of its partition are forgotten, names of columns are not."""
    world, http = served
    season = f"columns {next(numbers)}"
    put(http, season, operator="best", columns=[{"name": "time"}], ranking="competition")
    rule = parse_rule({"operator": "best", "columns": [{"name": "time"}]})
    send(http, season, rule, [("ada", 5, (1,)), ("bob", 5, (1,))])
    partition = partition_of(season)
    relay_batch(world.session(), partition)
    wanted = http.top(season).json["items"]
    assert [(item["rank"], item["columns"]) for item in wanted] == [(1, {"time": 1})] * 2
    seen = {http.top(season).json["asOf"]}
    mark = world.keys.watermark[partition]
    for _ in range(2):
        world.redis.hset(mark, "fence", world.value("SELECT nextval('fence')"))
        world.execute(f"UPDATE partition SET fence = {int(world.redis.hget(mark, 'fence'))} WHERE id = {partition}")
        assert http.top(season).json["items"] == wanted
        seen.add(http.top(season).json["asOf"])
        relay_batch(world.session(), partition, check=True)
        assert http.top(season).json["items"] == wanted
        seen.add(http.top(season).json["asOf"])
    assert len(seen) == 5 and not any("time" in as_of for as_of in seen)
