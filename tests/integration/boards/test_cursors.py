"""`top?cursor=`: whoever does not move meanwhile is on one page and no other, whatever the others do."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.http import Http, base
from support.marks import walks
from support.operations import SPELLING
from support.periods import GRID, end_now, keeper_of
from support.processes import relaying, serving
from support.waiting import eventually
from support.world import World, world_on

from board.partitions import partition_of
from board.pg.arrays import adapt_arrays
from ctl.embedded import Embedded
from relay.batch import relay_batch
from relay.session import RelaySession

numbers = itertools.count(1)
Served = tuple[World, Http, RelaySession]

SCORES: Final = st.integers(-3, 3) | st.sampled_from([2**52, -(2**52), 2**60 + 1, 2**60 + 2, 2**60 + 2050, -(2**63)])
STILL: Final = [f"s{n}" for n in range(6)] + ["Jörg", "d" * 128]
MOVING: Final = [f"m{n}" for n in range(6)] + ["a", "zz", "\U0001f600"]


@pytest.fixture(scope="module")
def served(servers: Embedded) -> Iterator[Served]:
    """A server whose boards the test itself carries, a batch at a time."""
    with world_on(servers, redis_db=4) as world, serving(world, LEADERBOARD_READ_CACHE_MS="0") as api:
        world.carry_everything()
        with api.client() as http:
            yield world, http, world.session()


def put_scores(world: World, session: RelaySession, season: str, batch: list[tuple[str, int]]) -> None:
    """Each player's last score counts; then a relay's work."""
    for user, score in batch:
        world.submit_by_rule((season, user, score, True))
    relay_batch(session, partition_of(season), check=True)


def page(http: Http, season: str, limit: int, cursor: str | None = None, query: str = "") -> dict[str, Any]:
    more = "" if cursor is None else f"&cursor={cursor}"
    answer = http.get(f"{base(season)}/leaderboard/top?limit={limit}{more}{query}")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json
    return found


def place(row: tuple[str, int, int]) -> tuple[int, int, bytes]:
    user, score, reached = row
    return -score, reached, user.encode()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)  # fmt: skip
@given(data=st.data(), order=st.sampled_from(["desc", "asc"]), ranking=st.sampled_from(["ordinal", "competition"]))
def test_a_player_who_does_not_move_is_on_one_page(
    served: Served, data: st.DataObject, order: str, ranking: str
) -> None:
    world, http, session = served
    season = f"pages {next(numbers)}"
    world.define(season, operator="last", order=order, ranking=ranking)
    put_scores(world, session, season, [(user, data.draw(SCORES)) for user in (*STILL, *MOVING[:4])])
    seen: list[str] = []
    cursor, behind = None, None
    while True:
        # `expected` has the rows as they are stored: the higher the better.
        rows = world.expected(season)
        left = rows if behind is None else [row for row in rows if place(row) > place(behind)]
        limit = data.draw(st.integers(1, 5))
        found = page(http, season, limit, cursor)
        stored = {user: score for user, score, _ in rows}
        shown = [row if order == "desc" else (row[0], ~row[1], row[2]) for row in left[:limit]]
        assert [(item["userId"], item["score"]) for item in found["items"]] == [row[:2] for row in shown]
        for item, (user, *_) in zip(found["items"], left, strict=False):
            ahead = [row for row in rows if row[1] > stored[user]]
            own = [row[0] for row in rows].index(user) + 1
            assert item["rank"] == (own if ranking == "ordinal" else len(ahead) + 1)
        assert found["total"] == len(rows)
        assert (found["nextCursor"] is None) == (len(left) <= limit)
        seen += [item["userId"] for item in found["items"]]
        if found["nextCursor"] is None:
            break
        cursor, behind = found["nextCursor"], left[limit - 1]
        moves = st.lists(st.tuples(st.sampled_from(MOVING), SCORES), max_size=4)
        put_scores(world, session, season, data.draw(moves))
    assert sorted(user for user in seen if user in STILL) == sorted(STILL)


def test_pages_fit_together_while_others_write(world: World) -> None:
    """Relays and a writer run beside the reader."""
    still = {f"still-{n:03}": 10 * n for n in range(300)}
    moving = [f"moving-{n:03}" for n in range(100)]
    world.submit(*(("s", user, score) for user, score in still.items()), *(("s", user, 1) for user in moving))
    stop, dice, batches = threading.Event(), random.Random(7), []

    def write() -> None:
        with psycopg.connect(world.settings.database_url, autocommit=True) as db:
            adapt_arrays(db)
            while not stop.is_set():
                users = dice.sample(moving, 20)
                world.submit(*(("s", user, dice.choice([-700, 700, 90, -90])) for user in users), db=db)
                batches.append(users)

    with relaying(world), serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        eventually(lambda: http.top("s").json["total"] == 400)
        writer = threading.Thread(target=write)
        writer.start()
        try:
            states, moved = set(), 0
            for limit, walks in zip(itertools.cycle((7, 20, 33)), range(500), strict=False):
                if walks >= 9 and len(states) > 20 and moved:
                    break
                walked: list[str] = []
                cursor = None
                while True:
                    found = page(http, "s", limit, cursor)
                    walked += [item["userId"] for item in found["items"]]
                    states.add(found["asOf"])
                    cursor = found["nextCursor"]
                    if cursor is None:
                        break
                assert sorted(user for user in walked if user in still) == sorted(still)
                moved += len(walked) != len({*walked}) or {*walked} != {*still, *moving}
        finally:
            stop.set()
            writer.join()
    assert len(states) > 20 and moved and len(batches) > 20, "the board moved while it was read"


@SPELLING
def test_a_cursor_goes_on_beyond_the_greatest_offset(served: Served, spelt: Callable[[str], str]) -> None:
    world, http, session = served
    season = f"long {next(numbers)}"
    world.submit(*((season, f"p{n:05}", 20_000 - n) for n in range(11_500)))
    while relay_batch(session, partition_of(season), check=True).hints:  # type: ignore[union-attr]
        pass
    offset = page(http, season, 1_000, query="&offset=10000")
    cursor, walked = None, []
    while True:
        found = page(http, season, 1_000, None if cursor is None else spelt(cursor))
        walked += [(item["rank"], item["userId"]) for item in found["items"]]
        if found["items"][0]["rank"] == 10_001:
            assert found == offset
        cursor = found["nextCursor"]
        if cursor is None:
            break
    assert walked == [(n + 1, f"p{n:05}") for n in range(11_500)]


@pytest.mark.parametrize(
    ("order", "stage"), [("desc", "closed"), ("asc", "final"), *walks(("asc", "closed"), ("desc", "final"))]
)
def test_a_cursor_goes_on_in_an_ended_period(world: World, order: str, stage: str) -> None:
    """Also one that was got before the end; its row has moved since."""
    with serving(world, "/livez", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as http:
        world.carry_everything()
        world.define("s", operator="last", order=order, schedule=GRID)
        dice = random.Random(3)
        session = world.session()
        put_scores(world, session, "s", [(f"p{n:02}", dice.choice([-4, 0, 3, 2**60, 2**60 + 1])) for n in range(40)])
        early = page(http, "s", 11, query="&period=1")
        for item in (early["items"][-1], early["items"][0]):
            put_scores(world, session, "s", [(item["userId"], 1)])
        end_now(world, "s")
        keeper = keeper_of(world)
        assert keeper.turn_seasons(world.db) == 1
        if stage == "final":
            assert keeper.close_periods(world.db) == 1
        whole = page(http, "s", 1_000, query="&period=1")
        assert whole["nextCursor"] is None and len(whole["items"]) == 40
        for limit in (1, 7, 40, 41):
            walked, cursor = [], None
            while True:
                found = page(http, "s", limit, cursor, "&period=1")
                walked += found["items"]
                cursor = found["nextCursor"]
                if cursor is None:
                    break
            assert walked == whole["items"]
        # Of the players behind the row: all who have not moved.
        after = page(http, "s", 1_000, early["nextCursor"], "&period=1")["items"]
        shown = {item["userId"] for item in early["items"]}
        assert [item for item in after if item["userId"] not in shown] == [
            item for item in whole["items"] if item["userId"] not in shown
        ]
        # The season's current period is another one now.
        world.carry_everything()
        refused = http.get(f"{base('s')}/leaderboard/top?cursor={early['nextCursor']}")
        assert (refused.status, refused.json["code"]) == (400, "invalid-cursor")
