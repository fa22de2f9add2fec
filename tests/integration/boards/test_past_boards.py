"""The live board of a period that is named: another period may take its place at any time."""

from __future__ import annotations

import asyncio
import json

import pytest
from support.periods import GRID
from support.world import World

from board.errors import BoardRebuilding
from board.partitions import partition_of
from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis
from service.boards.past_boards import PastBoards
from service.boards.run_metadata import RunMetadata
from service.contract.answers import Answer


@pytest.mark.parametrize("moment", ["before", "after", "never"])
def test_a_board_is_that_of_the_period_before_and_after_it_is_read(world: World, moment: str) -> None:
    """Redis shows it only from the first read on; or another one after it; or another one all the time."""
    world.define("s", schedule=GRID)
    period = world.value("SELECT period_id FROM season")
    key = world.keys.periods[partition_of("s")]
    reads = 0

    def show(number: int) -> None:
        world.redis.hset(key, "s", str(number))

    async def live() -> Answer:
        nonlocal reads
        reads += 1
        if moment == "before" or reads > 1:
            show(period)
        elif moment == "after":
            show(period + 1)
            asyncio.get_running_loop().call_later(0.05, show, period)
        return Answer(200, b'{"read":%d}' % reads)

    async def ask() -> Answer:
        redis = AsyncRedis(world.settings.redis_url, deadline_s=20.0, scripts=(), name="test")
        redis.start()
        await redis.first_try()
        connection = ReadConnection(world.settings.database_url, "test", 5.0)
        try:
            if moment == "before":
                asyncio.get_running_loop().call_later(0.05, show, period)
            return await PastBoards(connection, RunMetadata(connection), redis, world.keys, 1.0).read_count(
                "s", 1, live
            )
        finally:
            await connection.close()
            await redis.stop()

    show(period if moment == "after" else period + 1)
    if moment == "never":
        with pytest.raises(BoardRebuilding):
            asyncio.run(ask())
        assert reads == 0
        return
    answer = json.loads(asyncio.run(ask()).body)
    assert answer == {"read": 1 if moment == "before" else 2, "period": 1}
