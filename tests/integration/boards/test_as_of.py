"""`asOf` names the state of a board: it changes with each batch that touches the board, and with nothing else."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from support.http import Answer, Http, base
from support.processes import relaying, serving
from support.relays import Hand, S, write_watermark
from support.world import World

from board.partitions import partition_of
from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis
from board.redis.poke import Poker
from board.redis.scripts import Script
from relay.batch import relay_batch
from relay.rebuild import rebuild
from service.boards.calls import BoardCalls
from service.boards.histogram import Histograms
from service.boards.past_boards import PastBoards
from service.boards.reader import SCRIPTS
from service.boards.run_metadata import RunMetadata

OTHER = next(name for name in map(str, itertools.count()) if partition_of(name) == S)
"""A season of the same partition."""
READS: dict[str, Callable[[Http, str], Answer]] = {
    "top": lambda http, season: http.top(season),
    "page": lambda http, season: http.get(f"{base(season)}/leaderboard/top?limit=5&offset=2"),
    "rank": lambda http, season: http.rank(season, "p3"),
    "around": lambda http, season: http.around(season, "p3", 2),
    "count": lambda http, season: http.get(f"{base(season)}/leaderboard/count"),
    "lookup": lambda http, season: http.lookup(season, ["p1", "p4", "zoe"]),
    "score": lambda http, season: http.get(f"{base(season)}/leaderboard/score?percentile=50"),
    "histogram": lambda http, season: http.get(f"{base(season)}/leaderboard/histogram?buckets=4"),
    "quantiles": lambda http, season: http.get(f"{base(season)}/leaderboard/histogram?buckets=4&by=quantile"),
}


@pytest.fixture
def filled(world: World) -> World:
    """Six players, carried, and a board beside them."""
    world.submit(*(("s", f"p{n}", n + 1) for n in range(6)), (OTHER, "ada", 1))
    world.carry_everything()
    return world


@pytest.fixture
def http(filled: World) -> Iterator[Http]:
    """A server that keeps no list."""
    with serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api, api.client() as client:
        yield client


def as_of(http: Http, season: str = "s") -> str:
    """The state of a board, which all reads of it name alike. (A board without a player has no rank.)"""
    answers = [read(http, season) for read in READS.values()]
    found = {answer.json["asOf"] for answer in answers if answer.status == 200}
    assert len(found) == 1, found
    (state,) = found
    assert isinstance(state, str) and state
    return state


def carry(world: World, *batch: tuple[str, str, int]) -> None:
    """Submit, and do a relay's work for the partition."""
    world.submit(*batch)
    relay_batch(world.session(), S)


def touch(world: World) -> None:
    """A hint without a change."""
    world.rows(
        "INSERT INTO outbox (partition, period_id, user_id) SELECT partition, period_id, 'p1' FROM season "
        "WHERE season_id = 's' RETURNING 1"
    )
    relay_batch(world.session(), S)


def reset(world: World) -> None:
    world.reset("s")
    relay_batch(world.session(), S)


def test_each_batch_that_touches_the_board_changes_it(filled: World, http: Http) -> None:
    session = filled.session()
    seen = [as_of(http)]
    for change in (
        lambda: carry(filled, ("s", "p1", 1)),
        lambda: carry(filled, ("s", "new", 1)),
        lambda: touch(filled),
        lambda: rebuild(session, S, only="s"),
        lambda: rebuild(session, S),
        lambda: reset(filled),
        lambda: carry(filled, ("s", "p3", 1)),
    ):
        change()
        seen.append(as_of(http))
    assert len(set(seen)) == len(seen), seen


def test_nothing_else_changes_it(filled: World, http: Http) -> None:
    session = filled.session()
    before, beside = as_of(http), as_of(http, OTHER)
    assert before != beside, "two boards of one batch are not one board"
    for _ in range(3):
        carry(filled, (OTHER, "ada", 1))
        relay_batch(session, S, check=True)
        rebuild(session, S, only=OTHER)
        assert as_of(http) == before != as_of(http, OTHER) != beside
        beside = as_of(http, OTHER)


def test_a_season_without_a_player_has_one_too(filled: World, http: Http) -> None:
    unknown = as_of(http, "never-submitted-to")
    carry(filled, (OTHER, "ada", 1))
    assert as_of(http, "never-submitted-to") == unknown
    filled.define("never-submitted-to")
    filled.carry_everything()
    reset(filled)
    assert len({unknown, as_of(http, "never-submitted-to"), as_of(http)}) == 3


def test_relays_of_a_release_that_leaves_no_marks_leave_no_two_states_alike(filled: World, http: Http) -> None:
    # Such a relay writes a later fence, and leaves the marks as they were.
    board, members = filled.keys.board(S, b"s"), filled.keys.members(S, b"s")
    seen = [as_of(http)]
    for number in range(1, 4):
        for player in range(2):
            prefix = b"\0" * 8 + bytes([number, player])
            filled.redis.zadd(board, {prefix + b"old%d%d" % (number, player): -99})
            filled.redis.hset(members, f"old{number}{player}", prefix)
            write_watermark(filled, fence=filled.value("SELECT nextval('fence')"))
            seen.append(as_of(http))
        # A relay of this release writes, to another board.
        carry(filled, (OTHER, "ada", 1))
        seen.append(as_of(http))
        carry(filled, (OTHER, "ada", 1))
        assert as_of(http) == seen[-1]
    write_watermark(filled, fence=filled.value("SELECT nextval('fence')"))
    rebuild(filled.session(), S, only=OTHER)
    seen.append(as_of(http))
    carry(filled, ("s", "p1", 1))
    assert len({*seen, as_of(http)}) == len(seen) + 1, seen


def test_another_postgresql_with_the_same_fences_has_other_states(filled: World, http: Http) -> None:
    session = filled.session()
    rebuild(session, S)
    before, fence = as_of(http), int(filled.redis.hget(filled.keys.watermark[S], "fence"))
    # A copy of the database from before this rebuild, and a Redis that is empty.
    filled.redis.delete(filled.keys.watermark[S])
    session.identity = f"1{session.identity}"  # type: ignore[misc]
    filled.rows("SELECT setval('fence', %s, false)", fence)
    rebuild(session, S)
    assert int(filled.redis.hget(filled.keys.watermark[S], "fence")) == fence
    assert as_of(http) != before


class Between(BoardCalls):
    """Calls, after each of which the next thing of a list happens."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.next: list[Callable[[], None]] = []

    async def call(self, script: Script, season: str, *arguments: bytes) -> Any:
        reply = await super().call(script, season, *arguments)
        if self.next:
            self.next.pop(0)()
        return reply


def test_a_histogram_of_two_states_is_no_answer_of_the_second(filled: World) -> None:
    async def main() -> list[dict[str, Any]]:
        redis = AsyncRedis(filled.settings.redis_url, deadline_s=20.0, scripts=SCRIPTS, name="test")
        redis.start()
        await redis.first_try()
        calls = Between(redis, filled.keys, Poker(redis, filled.keys))
        calls.next.append(lambda: carry(filled, ("s", "p5", 50)))
        connection = ReadConnection(filled.settings.database_url, "test", 5.0)
        past = PastBoards(connection, RunMetadata(connection), redis, filled.keys, 5.0)
        try:
            answers = [await Histograms(calls, past).read_histogram("s", 3, "score") for _ in range(3)]
        finally:
            await redis.stop()
        return [msgspec.json.decode(answer.body) for answer in answers]

    torn, whole, again = asyncio.run(main())
    assert whole == again and torn["buckets"] != whole["buckets"]
    assert torn["asOf"] != whole["asOf"]


def test_equal_states_are_equal_answers_under_writes(filled: World) -> None:
    """Readers and relays at work: whatever is read twice in one state is the same both times."""
    known: dict[tuple[str, str], bytes] = {}
    wrong: list[Any] = []
    with (
        relaying(filled, 2) as relay,
        serving(filled, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api,
    ):
        done = threading.Event()

        def ask(name: str) -> None:
            with api.client() as client:
                while not done.is_set():
                    answer = READS[name](client, "s")
                    if answer.status != 200:
                        wrong.append((name, answer.status, answer.body))
                        continue
                    before = known.setdefault((name, answer.json["asOf"]), answer.body)
                    if before != answer.body:
                        wrong.append((name, before, answer.body))

        asking = [threading.Thread(target=ask, args=(name,)) for name in READS]
        for thread in asking:
            thread.start()
        try:
            for number in range(60):
                filled.submit(*(("s", f"p{n}", (n * number) % 7 - 3 or 1) for n in range(6 + number // 10)))
                relay.until(lambda: not filled.value("SELECT count(*) FROM outbox"))
        finally:
            done.set()
            for thread in asking:
                thread.join()
    assert not wrong, wrong[:3]
    assert min(sum(1 for name, _ in known if name == read) for read in READS) > 10


def test_a_rebuild_by_a_relay_changes_it(filled: World, http: Http) -> None:
    before = as_of(http)
    hand = Hand(filled)
    hand.rebuild(S)
    hand.let_go()
    assert as_of(http) != before
