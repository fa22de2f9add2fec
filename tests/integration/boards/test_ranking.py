"""`ranking: competition`: equal scores share a rank (1 2 2 4) on every read, and so it stays until it is changed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.http import JSON, Http, base
from support.processes import leaderboard, relaying, serving
from support.relays import S, write_watermark
from support.world import World

from board.partitions import partition_of
from relay.batch import relay_batch
from relay.rebuild import rebuild

OTHER = next(name for name in map(str, itertools.count()) if partition_of(name) == S)
"""A season of the same partition."""
SCORES = {"ada": 9, "bob": 7, "cy": 7, "dee": 7, "eve": 5, "fay": 5, "gus": 1}
RANKS = [1, 2, 2, 2, 5, 5, 7]


@pytest.fixture
def http(world: World) -> Iterator[Http]:
    """A server that keeps no list."""
    world.carry_everything()
    with serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as client:
        yield client


def fill(world: World, scores: dict[str, int], **members: Any) -> None:
    """A season with this definition and these players, carried."""
    world.define("s", **members)
    if members.get("order") == "asc":
        world.submit_by_rule(*(("s", user, score, False) for user, score in scores.items()))
    else:
        world.submit(*(("s", user, score) for user, score in scores.items()))
    carry(world)


def carry(world: World, *batch: tuple[str, str, int]) -> None:
    """Submit, and do a relay's work for the partition."""
    if batch:
        world.submit(*batch)
    relay_batch(world.session(), S)


def ranks(http: Http, query: str) -> list[int]:
    answer = http.get(f"{base('s')}/leaderboard/{query}")
    assert answer.status == 200, answer.body
    return [item["rank"] for item in answer.json["items"]]


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_equal_scores_share_a_rank_on_every_read(world: World, http: Http, order: str) -> None:
    turned = {user: score if order == "desc" else -score for user, score in SCORES.items()}
    fill(world, turned, ranking="competition", order=order)
    users = [*SCORES]
    assert [item["userId"] for item in http.top("s").json["items"]] == users, "the order is the same"
    for offset, limit in itertools.product(range(8), range(1, 9)):
        assert ranks(http, f"top?offset={offset}&limit={limit}") == RANKS[offset : offset + limit]
    for place, (user, rank) in enumerate(zip(users, RANKS, strict=True)):
        found = http.rank("s", user).json
        assert (found["rank"], found["score"]) == (rank, turned[user])
        assert found["percentile"] == 10_000 * (8 - rank) // 7 / 100
        assert ranks(http, f"around?userId={user}&range=0") == [rank]
        for side in range(1, 4):
            first = max(0, place - side)
            assert ranks(http, f"around?userId={user}&range={side}") == RANKS[first : place + side + 1]
            first = max(0, min(place - side, 7 - 2 * side - 1))
            filled = f"around?userId={user}&range={side}&fill=true"
            assert ranks(http, filled) == RANKS[first : first + 2 * side + 1]
        score = http.get(f"{base('s')}/leaderboard/score?rank={place + 1}").json
        assert (score["rank"], score["score"]) == (rank, turned[user])
        shown = http.get(f"{base('s')}/leaderboard/score?percentile={found['percentile']}").json
        assert (shown["rank"], shown["score"]) == (rank, turned[user])
    items = http.lookup("s", ["fay", "dee", "zoe", "bob"]).json["items"]
    assert [(item["position"], item["rank"], item["userId"]) for item in items] == [
        *((1, 2, "bob"), (2, 2, "dee"), (3, 5, "fay"))
    ]


def test_scores_that_share_a_double_share_no_rank(world: World, http: Http) -> None:
    edge = 2**60
    scores = {f"p{n}": edge + [40, 39, 38, 0, -1][n % 5] for n in range(100)}
    fill(world, scores, ranking="competition")
    order = sorted(scores.values(), reverse=True)
    for user, score in scores.items():
        assert http.rank("s", user).json["rank"] == order.index(score) + 1
    assert ranks(http, "top?limit=100") == [order.index(score) + 1 for score in order]
    found = http.lookup("s", [*scores]).json["items"]
    assert [item["rank"] for item in found] == [order.index(score) + 1 for score in order]


def test_a_ranking_may_change_at_any_time(world: World, http: Http) -> None:
    fill(world, SCORES)
    path, seen = base("s"), [http.top("s").json["asOf"]]
    assert http.get(path).json["ranking"] == "ordinal"
    for ranking, expected in (("competition", RANKS), ("ordinal", [*range(1, 8)]), ("competition", RANKS)):
        body = json.dumps({"ranking": ranking}).encode()
        assert http.ask("PATCH", path, body, JSON).json["ranking"] == ranking
        carry(world)
        assert ranks(http, "top") == expected
        seen.append(http.top("s").json["asOf"])
    assert len(set(seen)) == len(seen)
    assert http.ask("PATCH", path, body, JSON).status == 200
    assert world.value("SELECT count(*) FROM outbox") == 0, "the same ranking is no news for the board"
    assert http.ask("PUT", path, b"{}", JSON).json["ranking"] == "ordinal"
    carry(world)
    assert ranks(http, "top") == [*range(1, 8)]
    answer = http.ask("PATCH", path, b'{"ranking":"dense"}', JSON)
    assert (answer.status, answer.json["code"]) == (400, "invalid-season")


def test_a_ranking_outlives_resets_and_rebuilds(world: World, http: Http) -> None:
    fill(world, SCORES, ranking="competition")
    session = world.session()
    for only in ("s", None):
        rebuild(session, S, only=only)
        assert ranks(http, "top") == RANKS
    world.reset("s")
    carry(world, *(("s", user, score) for user, score in SCORES.items()))
    assert ranks(http, "top") == RANKS


def test_relays_of_a_release_without_rankings_change_none(world: World, http: Http) -> None:
    fill(world, SCORES, ranking="competition")
    world.define(OTHER, ranking="ordinal")
    carry(world, (OTHER, "ada", 1), (OTHER, "bob", 1))
    session = world.session()
    for write in (
        lambda: carry(world, (OTHER, "ada", 1)),
        lambda: rebuild(session, S, only=OTHER),
        lambda: carry(world, ("s", "gus", 0 + 1), ("s", "gus", -1)),
    ):
        # Such a relay leaves a later fence, and notes as they were.
        write_watermark(world, fence=world.value("SELECT nextval('fence')"))
        assert ranks(http, "top") == RANKS
        write()
        assert ranks(http, "top") == RANKS
        other = http.top(OTHER).json["items"]
        assert [item["rank"] for item in other] == [1, 2]


def test_a_board_that_was_told_no_ranking_is_rebuilt(world: World, http: Http) -> None:
    fill(world, SCORES, ranking="competition")
    note = world.redis.hget(world.keys.watermark[S], "n:s")
    assert note.endswith(b".c")
    assert leaderboard(world, "verify").returncode == 0
    write_watermark(world, **{"n:s": note.removesuffix(b".c")})
    verified = leaderboard(world, "verify")
    assert verified.returncode == 1 and "ranking" in verified.stdout + verified.stderr
    with relaying(world, 1, LEADERBOARD_RELAY_SAMPLE_MS="100") as relay:
        for told in (note.removesuffix(b".c"), None):
            write_watermark(world, **{"n:s": told})
            relay.until(lambda: ranks(http, "top") == RANKS)
