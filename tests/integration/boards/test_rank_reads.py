"""Rank reads: ranks asked in one turn of the loop are one call of a script, and each caller gets its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.redis_calls import counting_calls
from support.world import World

from board.errors import BoardRebuilding, BoardUnavailable
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis
from service.boards.rank_reads import PLAYERS_MOST, RANK, PlayerNotFound, RankReads, SeasonNotFound

pytestmark = pytest.mark.topology

PLAYERS = 100


@pytest.fixture
def filled(world: World) -> World:
    """A hundred players; p0 is the best, and the last of them has one point."""
    world.submit(*(("s", f"p{n}", PLAYERS - n) for n in range(PLAYERS)))
    world.carry_everything()
    return world


def asked(world: World, ask: Callable[[RankReads], Awaitable[Any]], url: str | None = None) -> Any:
    """What `ask` returns, on a connection of its own."""

    async def main() -> Any:
        pipe = AsyncRedis(url or world.settings.redis_url, deadline_s=5.0, scripts=(RANK,), name="test")
        pipe.start()
        await pipe.first_try()
        try:
            return await ask(RankReads(pipe, world.keys))
        finally:
            await pipe.stop()

    return asyncio.run(main())


def same(window: Any) -> Any:
    """The window itself in place of an answer."""
    return window


def together(*wanted: tuple[str, str, int]) -> Callable[[RankReads], Awaitable[list[Any]]]:
    """All in one turn; an exception stands where it was raised."""

    async def ask(windows: RankReads) -> list[Any]:
        return await asyncio.gather(*(windows.ask(*one, same) for one in wanted), return_exceptions=True)

    return ask


def test_each_gets_the_own_rank(filled: World) -> None:
    with counting_calls(filled) as calls:
        ranks = asked(filled, together(*(("s", f"p{n}", 0) for n in range(PLAYERS))))
        assert [(rank, member[10:]) for rank, member, *_ in ranks] == [(n, b"p%d" % n) for n in range(PLAYERS)]
        assert calls.count("evalsha_ro") == -(-PLAYERS // PLAYERS_MOST)


def test_a_window_ends_at_both_ends_of_the_board(filled: World) -> None:
    best, last = asked(filled, together(("s", "p1", 3), ("s", f"p{PLAYERS - 2}", 3)))
    assert (best[0], best[1]) == (1, 0)
    assert [member[10:] for member in best[2][::2]] == [b"p%d" % n for n in range(5)]
    assert (last[0], last[1]) == (PLAYERS - 2, PLAYERS - 5)
    assert [member[10:] for member in last[2][::2]] == [b"p%d" % n for n in range(PLAYERS - 5, PLAYERS)]


def test_reads_of_one_width_are_asked_together(filled: World) -> None:
    with counting_calls(filled) as calls:
        windows = asked(filled, together(*(("s", f"p{n}", side) for n in (0, 50, 99) for side in (1, 20))))
        assert calls.count("evalsha_ro") == 2
    assert [(rank, first, len(items) // 2) for rank, first, items, _ in windows] == [
        *((0, 0, 2), (0, 0, 21)),
        *((50, 49, 3), (50, 30, 41)),
        *((99, 98, 2), (99, 79, 21)),
    ]


def test_wide_reads_are_not_all_asked_at_once(filled: World) -> None:
    with counting_calls(filled) as calls:
        windows = asked(filled, together(*(("s", f"p{n}", 100) for n in range(10))))
        assert [rank for rank, *_ in windows] == list(range(10))
        assert calls.count("evalsha_ro") == 4


def test_each_gets_the_own_error(filled: World) -> None:
    found = asked(
        filled, together(("s", "p3", 0), ("s", "nobody", 0), ("s", "p4", 0), ("other", "p3", 0), ("s", "nobody", 5))
    )
    assert [window[0] for window in (found[0], found[2])] == [3, 4]
    assert [type(found[n]) for n in (1, 3, 4)] == [PlayerNotFound, SeasonNotFound, PlayerNotFound]


def test_a_player_who_was_altered_by_hand_is_alone_without_an_answer(filled: World) -> None:
    members = filled.keys.members(partition_of("s"), b"s")
    filled.redis.hset(members, "p3", b"\0" * 10)
    for side in (0, 2):
        found = asked(filled, together(*(("s", f"p{n}", side) for n in range(5))))
        assert [type(one) for one in found] == [*[tuple] * 3, BoardRebuilding, tuple]


def test_a_board_that_has_lost_an_entry_gives_no_answer_at_all(filled: World) -> None:
    board = filled.keys.board(partition_of("s"), b"s")
    filled.redis.zremrangebyrank(board, 3, 3)
    for side in (0, 2):
        found = asked(filled, together(*(("s", f"p{n}", side) for n in range(5))))
        assert [type(one) for one in found] == [BoardRebuilding] * 5


def test_no_read_is_answered_while_the_board_is_rebuilt(filled: World) -> None:
    filled.redis.delete(filled.keys.watermark[partition_of("s")])
    found = asked(filled, together(*(("s", f"p{n}", 0) for n in range(3))))
    assert [type(one) for one in found] == [BoardRebuilding] * 3


def test_a_redis_that_lost_the_script_is_given_it_again(filled: World) -> None:
    async def ask(windows: RankReads) -> list[Any]:
        filled.redis.script_flush()
        return await together(*(("s", f"p{n}", n % 2) for n in range(10)))(windows)

    assert [window[0] for window in asked(filled, ask)] == list(range(10))


def test_without_a_connection_all_are_told(filled: World) -> None:
    found = asked(filled, together(*(("s", f"p{n}", 0) for n in range(40))), url="redis://127.0.0.1:1")
    assert [type(one) for one in found] == [BoardUnavailable] * 40


def test_an_error_of_redis_goes_to_all(filled: World) -> None:
    board = filled.keys.board(partition_of("s"), b"s")
    filled.redis.set(board, "no board")
    found = asked(filled, together(*(("s", f"p{n}", 0) for n in range(3))))
    assert [type(one) for one in found] == [BoardRebuilding] * 3
    assert "WRONGTYPE" in str(found[0])


def test_a_cancelled_read_takes_nothing_from_the_others(filled: World) -> None:
    async def ask(windows: RankReads) -> list[Any]:
        futures = [windows.ask("s", f"p{n}", 0, same) for n in range(3)]
        futures[1].cancel()
        return [await futures[0], await futures[2]]

    assert [window[0] for window in asked(filled, ask)] == [0, 2]


def test_an_entry_that_nobody_can_read_spoils_no_other_answer(filled: World) -> None:
    def unreadable(window: Any) -> Any:
        raise OverflowError(f"no score gives {window[1]!r}")

    async def ask(windows: RankReads) -> list[Any]:
        shows = (same, unreadable, same)
        futures = [windows.ask("s", f"p{n}", 0, show) for n, show in enumerate(shows)]
        return await asyncio.gather(*futures, return_exceptions=True)

    first, second, third = asked(filled, ask)
    assert (first[0], third[0]) == (0, 2)
    assert isinstance(second, BoardRebuilding)
