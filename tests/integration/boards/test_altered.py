"""A board that was altered by hand is never shown: reads are refused, and a relay rebuilds it at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.http import Answer, Http
from support.processes import Command, relaying, serving
from support.relays import Hand, S, equal, write_watermark
from support.world import World

from board.season import FOLD_BITS, Rule, fold_of

PLAYERS = 30
NEVER = {"LEADERBOARD_RELAY_SAMPLE_MS": "3600000"}
"""The sampler, which would find any of this some day, does not run."""

Alteration = Callable[[World], Any]


def member(world: World, user: str) -> bytes:
    """A player's entry in the sorted set."""
    return bytes(world.redis.hget(world.keys.members(S, b"s"), user)) + user.encode()


def replace(world: World, key: bytes) -> None:
    """Put a key of another type in the place."""
    world.redis.delete(key)
    world.redis.set(key, "nonsense")


WHOLE: dict[str, Alteration] = {
    "board deleted": lambda w: w.redis.delete(w.keys.board(S, b"s")),
    "members deleted": lambda w: w.redis.delete(w.keys.members(S, b"s")),
    "both deleted": lambda w: w.redis.delete(w.keys.board(S, b"s"), w.keys.members(S, b"s")),
    "entry removed": lambda w: w.redis.zremrangebyrank(w.keys.board(S, b"s"), 3, 3),
    "entry added": lambda w: w.redis.zadd(w.keys.board(S, b"s"), {b"\0" * 10 + b"ghost": -5}),
    "prefix removed": lambda w: w.redis.hdel(w.keys.members(S, b"s"), "p4"),
    "player removed": lambda w: (
        w.redis.zrem(w.keys.board(S, b"s"), member(w, "p4")),
        w.redis.hdel(w.keys.members(S, b"s"), "p4"),
    ),
    "player added": lambda w: (
        w.redis.zadd(w.keys.board(S, b"s"), {b"\0" * 10 + b"ghost": -5}),
        w.redis.hset(w.keys.members(S, b"s"), "ghost", b"\0" * 10),
    ),
    "board of another type": lambda w: replace(w, w.keys.board(S, b"s")),
    "members of another type": lambda w: replace(w, w.keys.members(S, b"s")),
    "number altered": lambda w: w.redis.hset(w.keys.watermark[S], "n:s", "29:1:1.a"),
    "number of another form": lambda w: w.redis.hset(w.keys.watermark[S], "n:s", "x"),
    "number without a batch": lambda w: w.redis.hset(w.keys.watermark[S], "n:s", "30:1"),
}
"""The board does not agree with itself: no read of it is answered."""

READS: list[Callable[[Http], Answer]] = [
    lambda http: http.top("s"),
    lambda http: http.rank("s", "p7"),
    lambda http: http.around("s", "p7"),
    lambda http: http.get("/v1/seasons/s/leaderboard/count"),
    lambda http: http.lookup("s", ["p7", "p20"]),
    lambda http: http.get("/v1/seasons/s/leaderboard/score?rank=4"),
    lambda http: http.around("s", "p28", fill=True),
    lambda http: http.get("/v1/seasons/s/leaderboard/top?limit=5&offset=20"),
    lambda http: http.get("/v1/seasons/s/leaderboard/histogram?buckets=3"),
]


@pytest.fixture
def filled(world: World) -> World:
    """Thirty players, carried."""
    world.submit(*(("s", f"p{n}", n + 1) for n in range(PLAYERS)), ("t", "ada", 1))
    world.carry_everything()
    return world


def complete(http: Http) -> bool:
    """Whether every read is answered. An answer that shows a part of the board fails the test."""
    answers = [read(http) for read in READS]
    for answer in answers:
        assert answer.status == 200 or (answer.status, answer.json["code"]) == (503, "board-rebuilding"), answer.body
    top, rank, around, count, lookup, score, full, page, histogram = answers
    assert top.status != 200 or [item["score"] for item in top.json["items"]] == [*range(30, 20, -1)]
    assert rank.status != 200 or rank.json["rank"] == 23
    assert around.status != 200 or len(around.json["items"]) == 11
    assert count.status != 200 or count.json["count"] == PLAYERS
    assert lookup.status != 200 or [item["rank"] for item in lookup.json["items"]] == [10, 23]
    assert score.status != 200 or score.json["score"] == 27
    assert full.status != 200 or [item["rank"] for item in full.json["items"]] == [*range(1, 12)]
    assert page.status != 200 or [item["score"] for item in page.json["items"]] == [*range(10, 5, -1)]
    assert histogram.status != 200 or [bucket["count"] for bucket in histogram.json["buckets"]] == [10, 10, 10]
    return all(answer.status == 200 for answer in answers)


def test_no_read_of_it_is_answered(filled: World) -> None:
    hand = Hand(filled)
    with serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        for what, alter in WHOLE.items():
            assert complete(http), what
            alter(filled)
            for read in READS:
                answer = read(http)
                assert (answer.status, answer.json["code"]) == (503, "board-rebuilding"), (what, answer.body)
            assert http.top("t").status == 200, "another board of this Redis is well"
            hand.rebuild(S)


@pytest.mark.parametrize("zscore", [float("inf"), 1e300])
def test_an_entry_that_no_score_gives_costs_the_others_nothing(filled: World, zscore: float) -> None:
    filled.redis.zadd(filled.keys.board(S, b"s"), {member(filled, "p7"): zscore})
    with serving(filled, LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http, api.client() as other:
        for ask in (
            lambda: http.rank("s", "p7"),
            lambda: http.around("s", "p7"),
            lambda: http.lookup("s", ["p20", "p7"]),
            lambda: http.get("/v1/seasons/s/leaderboard/score?rank=30"),
            lambda: http.get("/v1/seasons/s/leaderboard/histogram?buckets=3"),
            lambda: http.get("/v1/seasons/s/leaderboard/top?limit=30"),
        ):
            answer = ask()
            assert (answer.status, answer.json["code"]) == (503, "board-rebuilding"), answer.body
            assert other.rank("s", "p20").json["rank"] == 10


def settle(world: World, relay: Command) -> None:
    """Wait until a relay has had its first turn, which looks at everything."""
    world.submit(("t", "bob", 1))
    relay.until(lambda: equal(world, "t"))


def test_a_relay_rebuilds_it_at_once(filled: World) -> None:
    with (
        serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api,
        relaying(filled, 1, **NEVER) as relay,
        api.client() as http,
    ):
        settle(filled, relay)
        for number, (what, alter) in enumerate(WHOLE.items(), 1):
            alter(filled)
            relay.until(lambda: complete(http), 5)
            assert equal(filled), what
            assert relay.text().count(": altered (") == number, (what, relay.text())


def test_a_player_without_an_entry_is_found_by_the_read_of_that_player(filled: World) -> None:
    with (
        serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api,
        relaying(filled, 1, **NEVER) as relay,
        api.client() as http,
    ):
        settle(filled, relay)
        filled.redis.hset(filled.keys.members(S, b"s"), "p4", b"\0" * 10)
        assert http.rank("s", "p7").status == http.lookup("s", ["p7", "p8"]).status == 200
        assert (refused := http.rank("s", "p4")).status == 503, refused.body
        relay.until(lambda: http.rank("s", "p4").status == 200, 5)
        assert equal(filled)


def test_a_player_without_an_entry_is_found_by_a_lookup_of_that_player(filled: World) -> None:
    with (
        serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api,
        relaying(filled, 1, **NEVER) as relay,
        api.client() as http,
    ):
        settle(filled, relay)
        filled.redis.hset(filled.keys.members(S, b"s"), "p4", b"\0" * 10)
        answer = http.lookup("s", ["p7", "nobody", "p4"])
        assert (answer.status, answer.json["code"]) == (503, "board-rebuilding")
        relay.until(lambda: http.lookup("s", ["p7", "nobody", "p4"]).status == 200, 5)
        assert equal(filled)


def test_reads_that_find_nothing_wrong_suspect_nothing(filled: World) -> None:
    with serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        assert complete(http)
        assert http.rank("s", "nobody").status == http.rank("nothing", "ada").status == 404
        assert http.top("nothing").status == 200
        filled.submit(("s", "new", 1))
        filled.correct("s", "p0", None)
        filled.carry_everything()
        assert http.top("s").status == 200
        filled.reset("s")
        filled.carry_everything()
        assert http.top("s").json["items"] == []
    assert filled.redis.zcard(filled.keys.poke) == 0


def test_suspicions_without_relays_are_few(filled: World) -> None:
    members = filled.keys.members(S, b"s")
    filled.redis.hset(members, mapping={f"p{n}": b"\0" * 10 for n in range(PLAYERS)})
    filled.redis.zadd(filled.keys.poke, {f"!{n}": 0 for n in range(250)})
    with serving(filled, "/readyz") as api, api.client() as http:
        for n in range(PLAYERS):
            assert http.rank("s", f"p{n}").status == 503
        api.command.until(lambda: filled.redis.zcard(filled.keys.poke) == 256)


def test_a_relay_of_a_release_that_does_not_count_is_no_hand(filled: World) -> None:
    # What such a relay leaves: a player more, a later fence, and the numbers of players as they were.
    board, members = filled.keys.board(S, b"s"), filled.keys.members(S, b"s")
    filled.redis.zadd(board, {b"\0" * 9 + b"\x01new": -99})
    filled.redis.hset(members, "new", b"\0" * 9 + b"\x01")
    write_watermark(filled, fence=filled.value("SELECT nextval('fence')"))
    period = filled.redis.hget(filled.keys.periods[S], "s")
    with serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        assert http.top("s").json["items"][0] == {"rank": 1, "userId": "new", "score": 99}
        # The period that stands beside the number is as old. That of such a relay tells the order of the scores.
        filled.redis.hset(filled.keys.periods[S], "s", fold_of(Rule(order="asc")) << FOLD_BITS)
        assert http.rank("s", "new").json["score"] == ~99
        filled.redis.hset(filled.keys.periods[S], "s", period)
        filled.submit(("s", "p0", 1))
        filled.carry_everything()
        assert http.rank("s", "new").json["rank"] == 1
        # From here on players are counted again.
        filled.redis.delete(board, members)
        assert http.top("s").status == 503


def test_a_board_that_lacks_an_entry_is_not_counted(filled: World) -> None:
    """The numbers of players were forgotten. Once the entry is back, the board is whole."""
    board, lost = filled.keys.board(S, b"s"), member(filled, "p5")
    zscore = filled.redis.zscore(board, lost)
    write_watermark(filled, fence=filled.value("SELECT nextval('fence')"))
    filled.redis.zrem(board, lost)
    filled.submit(("s", "p0", 1))
    filled.carry_everything()
    filled.redis.zadd(board, {lost: zscore})
    with serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        assert len(http.top("s", 100).json["items"]) == PLAYERS


def test_a_lost_period_loses_no_player(filled: World) -> None:
    for alteration in (
        lambda: filled.redis.hdel(filled.keys.periods[S], "s"),
        lambda: filled.redis.hset(filled.keys.periods[S], "s", 10**6),
    ):
        alteration()
        filled.submit(("s", "p0", 1))
        filled.carry_everything()
        assert equal(filled)
        assert int(filled.redis.hget(filled.keys.periods[S], "s")) == filled.value(
            "SELECT period_id FROM season WHERE season_id = 's'"
        )
