"""Every way to ask a board, against a naive board that PostgreSQL's rows make, again after each batch of writes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.http import Answer, Http, base
from support.naive import NaiveBoard
from support.processes import serving
from support.world import World, world_on

from board.partitions import partition_of
from board.season import Ranking
from ctl.embedded import Embedded
from relay.batch import relay_batch
from relay.session import RelaySession

PLAYERS = [f"p{n}" for n in range(12)] + ["J\u00f6rg", "\U0001f600", "a b", '"\\', "d" * 128]
numbers = itertools.count(1)

deltas = st.integers(-4, 4).filter(bool) | st.sampled_from([2**52, -(2**52), 2**62, -(2**62), 2**53 + 1])
batch = st.lists(st.tuples(st.sampled_from(PLAYERS), deltas), min_size=1, max_size=12)
rankings: st.SearchStrategy[Ranking] = st.sampled_from(get_args(Ranking))
writes = st.lists(st.tuples(batch, rankings), min_size=1, max_size=4)
strangers = st.sampled_from([f"stranger{n}" for n in range(4)])


Served = tuple[World, Http, RelaySession]
Batches = list[tuple[list[tuple[str, int]], Ranking]]


@pytest.fixture(scope="module")
def served(servers: Embedded) -> Iterator[Served]:
    """A server whose boards the test itself carries, a batch at a time."""
    with world_on(servers, redis_db=4) as world, serving(world, LEADERBOARD_READ_CACHE_MS="0") as api:
        world.carry_everything()
        with api.client() as http:
            yield world, http, world.session()


def boards(served: Served, batches: Batches) -> Iterator[tuple[Http, NaiveBoard]]:
    """A season after each of these batches, and its naive board."""
    world, http, session = served
    season = f"naive {next(numbers)}"
    for batch, ranking in batches:
        # The ranking may change at any time.
        world.define(season, ranking=ranking)
        for user, delta in batch:
            # One at a time, as the intake does it near the edge of int64; a sum beyond it is refused.
            world.submit((season, user, delta))
        relay_batch(session, partition_of(season), check=True)
        yield http, NaiveBoard(season, world.expected(season), ranking)


def with_player(batches: Batches, user: str) -> Batches:
    """These batches, of which the first one has a submission of this player, too."""
    (first, ranking), *more = batches
    return [([*first, (user, 1)], ranking), *more]


def check(expected: dict[str, Any] | None, answer: Answer) -> None:
    """The answer is the expected one, of some state; without one, the board has no such rank."""
    if expected is None:
        assert (answer.status, answer.json["code"]) == (404, "rank-not-found"), answer.body
    else:
        found = answer.json
        found.pop("nextCursor", None)
        assert isinstance(found.pop("asOf", None), str) and (answer.status, found) == (200, expected), answer.body


exhaustive = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@exhaustive
@given(batches=writes, limit=st.integers(1, 20), offset=st.integers(0, 20))
def test_a_page_of_the_top_list_is_that_of_a_naive_board(
    served: Served, batches: Batches, limit: int, offset: int
) -> None:
    for http, naive in boards(served, batches):
        path = f"{base(naive.season)}/leaderboard/top?limit={limit}"
        for skipped, answer in ((offset, http.get(f"{path}&offset={offset}")), (0, http.get(path))):
            check(naive.top(limit, skipped), answer)
            assert (answer.json["nextCursor"] is None) == (skipped + limit >= len(naive.rows))


@exhaustive
@given(batches=writes, user=st.sampled_from(PLAYERS))
def test_a_rank_is_that_of_a_naive_board(served: Served, batches: Batches, user: str) -> None:
    for http, naive in boards(served, with_player(batches, user)):
        check(naive.rank(user), http.rank(naive.season, user))


@exhaustive
@given(batches=writes, users=st.lists(st.sampled_from(PLAYERS) | strangers, unique=True, max_size=12))
def test_a_lookup_is_that_of_a_naive_board(served: Served, batches: Batches, users: list[str]) -> None:
    for http, naive in boards(served, batches):
        check(naive.lookup(users), http.lookup(naive.season, users))


@exhaustive
@given(batches=writes, user=st.sampled_from(PLAYERS), side=st.integers(0, 9), fill=st.sampled_from([None, False, True]))
def test_the_neighbours_are_those_of_a_naive_board(
    served: Served, batches: Batches, user: str, side: int, fill: bool | None
) -> None:
    for http, naive in boards(served, with_player(batches, user)):
        check(naive.around(user, side, bool(fill)), http.around(naive.season, user, side, fill))


@exhaustive
@given(batches=writes, score=deltas | st.just(0), side=st.integers(0, 9), fill=st.booleans())
def test_the_place_of_a_score_is_that_of_a_naive_board(
    served: Served, batches: Batches, score: int, side: int, fill: bool
) -> None:
    for http, naive in boards(served, batches):
        path = f"{base(naive.season)}/leaderboard/around?score={score}&range={side}&fill={str(fill).lower()}"
        check(naive.place(score, side, fill), http.get(path))


@exhaustive
@given(
    batches=writes,
    rank=st.integers(1, 20),
    percentile=st.sampled_from(["0", "100", "50", "33.3333", "66.67", "95", "1e-20", "99.99999999999999999999"])
    | st.decimals(0, 100, places=2).map(str),
)
def test_the_score_of_a_rank_or_percentile_is_that_of_a_naive_board(
    served: Served, batches: Batches, rank: int, percentile: str
) -> None:
    for http, naive in boards(served, batches):
        path = f"{base(naive.season)}/leaderboard/score"
        check(naive.score(rank), http.get(f"{path}?rank={rank}"))
        check(naive.percentile(Fraction(percentile)), http.get(f"{path}?percentile={percentile}"))


@exhaustive
@given(batches=writes, buckets=st.integers(1, 100))
def test_a_histogram_by_score_is_that_of_a_naive_board(served: Served, batches: Batches, buckets: int) -> None:
    for http, naive in boards(served, batches):
        answer = http.get(f"{base(naive.season)}/leaderboard/histogram?buckets={buckets}")
        found = answer.json["buckets"]
        check(naive.histogram([bucket["from"] for bucket in found]), answer)
        scores = [score for _, score, _ in naive.rows]
        assert sum(bucket["count"] for bucket in found) == len(scores)
        if scores:
            assert (found[0]["from"], found[-1]["to"]) == (min(scores), max(scores))
            assert len(found) == min(buckets, max(scores) - min(scores) + 1)
            widths = {bucket["to"] - bucket["from"] for bucket in found}
            assert max(widths) - min(widths) <= 1


@exhaustive
@given(batches=writes, buckets=st.integers(1, 100))
def test_a_histogram_by_quantile_is_that_of_a_naive_board(served: Served, batches: Batches, buckets: int) -> None:
    for http, naive in boards(served, batches):
        answer = http.get(f"{base(naive.season)}/leaderboard/histogram?by=quantile&buckets={buckets}")
        check(naive.histogram(naive.quantiles(buckets)), answer)
        assert sum(bucket["count"] for bucket in answer.json["buckets"]) == len(naive.rows)
