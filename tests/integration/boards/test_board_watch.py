"""Waiting for boards: of those in one partition only the ones that a batch has touched are asked for their state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.relays import carrying
from support.world import World

from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis
from board.redis.poke import Poker
from service.boards.board_watch import COUNT, BoardWatch
from service.boards.calls import BoardCalls, read_state
from service.boards.long_polls import LongPolls
from service.contract.answers import Answer
from service.contract.leaving import Leaving

NEIGHBOURS = [name for n in range(2_000) if partition_of(name := f"n{n}") == partition_of("n0")][:20]
"""Seasons of one partition."""


class Watched:
    """A watch over the boards of a world."""

    def __init__(self, world: World, redis: AsyncRedis) -> None:
        self.world = world
        self.calls = BoardCalls(redis, world.keys, Poker(redis, world.keys))
        self.watch = BoardWatch(self.calls, redis, world.keys)

    def asked(self) -> int:
        """How often a board was asked for its state."""
        stats = self.world.redis.info("commandstats")
        return int(stats.get("cmdstat_evalsha_ro", {"calls": 0})["calls"])

    async def state(self, season: str) -> str:
        return read_state(await self.calls.call(COUNT, season)).as_of

    async def looked(self, number: int = 3) -> None:
        """Until some more looks are over."""
        stats = self.world.redis.info
        before = stats("commandstats")["cmdstat_hget"]["calls"]
        while stats("commandstats")["cmdstat_hget"]["calls"] < before + number:
            await asyncio.sleep(0.002)


def watching(world: World, work: Callable[[Watched], Awaitable[None]]) -> None:
    async def main() -> None:
        redis = AsyncRedis(world.settings.redis_url, deadline_s=20.0, scripts=(COUNT,), name="test")
        redis.start()
        await redis.first_try()
        try:
            async with asyncio.timeout(40):
                await work(Watched(world, redis))
        finally:
            await redis.stop()

    world.submit(*((season, "ada", 1) for season in NEIGHBOURS))
    world.carry_everything()
    asyncio.run(main())


def test_a_batch_costs_those_who_wait_for_other_boards_nothing(world: World) -> None:
    async def work(watched: Watched) -> None:
        states = {season: await watched.state(season) for season in NEIGHBOURS}
        waits = {season: watched.watch.ask_state(season, state) for season, state in states.items()}
        await watched.looked()
        before = watched.asked()
        for n in range(10):
            world.submit((NEIGHBOURS[0], "bob", n + 1))
            world.carry_everything()
            await asyncio.wait_for(waits[NEIGHBOURS[0]], 20)
            states[NEIGHBOURS[0]] = waits[NEIGHBOURS[0]].result()
            await watched.looked()
            waits[NEIGHBOURS[0]] = watched.watch.ask_state(NEIGHBOURS[0], states[NEIGHBOURS[0]])
            await watched.looked()
        # The one that was touched when it is, and when it is waited for anew: not twenty of them in each of ten rounds.
        # On a busy machine a look at all of them, which comes from time to time, may fall between.
        assert watched.asked() - before <= 100
        assert not any(wait.done() for season, wait in waits.items() if season != NEIGHBOURS[0])

    watching(world, work)


@pytest.mark.parametrize("change", ["submission", "reset", "rebuild"])
def test_each_board_that_changes_is_told(world: World, change: str) -> None:
    async def work(watched: Watched) -> None:
        for _ in range(3):
            states = {season: await watched.state(season) for season in NEIGHBOURS}
            waits = {season: watched.watch.ask_state(season, state) for season, state in states.items()}
            await watched.looked()
            changed = NEIGHBOURS[3:7]
            if change == "rebuild":
                world.drop_keys()
            if change == "reset":
                for season in changed:
                    world.reset(season)
            world.submit(*((season, "bob", 2) for season in changed))
            for season in changed:
                assert await waits[season] != states[season]
            while any(world.board(season) != world.expected(season) for season in changed):
                await asyncio.sleep(0.01)
            async with asyncio.timeout(20):
                for season in changed:
                    # Between the two looks another batch may have touched the board, with the same rows.
                    while await watched.watch.ask_state(season, states[season]) != await watched.state(season):
                        pass
            for wait in waits.values():
                wait.cancel()

    with carrying(world):
        watching(world, work)


def test_boards_are_told_after_a_batch_that_left_no_marks(world: World) -> None:
    async def work(watched: Watched) -> None:
        # As a release without marks leaves it: the fence has moved, the number of the last batch with marks has not.
        world.redis.hincrby(world.keys.watermark[partition_of(NEIGHBOURS[0])], "fence", 1)
        waits = [watched.watch.ask_state(season) for season in NEIGHBOURS[:2]]
        told = await asyncio.wait_for(asyncio.gather(*waits), 20)
        assert told == [await watched.state(season) for season in NEIGHBOURS[:2]]

    watching(world, work)


def test_reads_beyond_the_number_that_may_wait_are_answered_at_once(world: World) -> None:
    async def work(watched: Watched) -> None:
        polls = LongPolls(watched.watch, Leaving(), 2)
        season = NEIGHBOURS[0]
        state = await watched.state(season)

        async def read() -> Answer:
            reply = await watched.calls.call(COUNT, season)
            return read_state(reply).make_answer(b"{}")

        loop = asyncio.get_running_loop()
        waiting = [loop.create_task(polls.poll(season, state, 25, read)) for _ in range(2)]
        while polls.count < 2:
            await asyncio.sleep(0.002)
        answer = await polls.poll(season, state, 25, read)
        assert (answer.status, answer.headers, polls.count) == (304, (), 2)
        world.submit((season, "bob", 5))
        world.carry_everything()
        answers = await asyncio.gather(*waiting)
        assert [(one.status, one.headers) for one in answers] == [(200, (("preference-applied", "wait=25"),))] * 2
        assert polls.count == 0

    watching(world, work)
