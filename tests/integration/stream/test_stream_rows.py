"""A feed reads as many rows as its listeners ask for: the one with the longest list decides, whenever it comes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.processes import Api, serving
from support.redis_calls import wait_for_looks
from support.relays import carrying
from support.sse import EventStream
from support.waiting import eventually
from support.world import World


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """A server over a board of thirty players."""
    world.submit(*(("s", f"p{n:02}", 100 - n) for n in range(30)))
    world.carry_everything()
    with carrying(world), serving(world, "/readyz") as made:
        yield made


def move(world: World, user: str, delta: int) -> None:
    """Change a player's score; the board shows it when this returns."""
    world.submit(("s", user, delta))
    eventually(lambda: world.board("s") == world.expected("s"))


def expected(world: World, limit: int) -> list[tuple[int, str, int]]:
    return [(rank, user, score) for rank, (user, score, _) in enumerate(world.expected("s"), 1)][:limit]


def test_a_longer_list_that_comes_later_is_whole_and_disturbs_nobody(api: Api) -> None:
    with EventStream(api.port, "s", "limit=2") as short:
        short.take()
        # The feed waits for a change by now; the longer list does not wait for one.
        wait_for_looks(api.world, 8)
        with EventStream(api.port, "s", "limit=25") as long, EventStream(api.port, "s", "limit=10") as middle:
            long.take()
            middle.take()
            assert (long.list, middle.list) == (expected(api.world, 25), expected(api.world, 10))
            for n in range(3):
                move(api.world, f"p{20 + n}", 1_000 * (n + 1))
                for one, limit in ((short, 2), (long, 25), (middle, 10)):
                    wanted = expected(api.world, limit)
                    one.until(lambda one=one, wanted=wanted: one.list == wanted)
            assert [event.name for event in long.events].count("snapshot") == 1
        # It was sent its list and the changes of the board, and nothing when others came.
        assert [event.name for event in short.events] == ["snapshot", "change", "change", "change"]


def test_a_list_that_grows_between_two_streams_begins_anew(api: Api) -> None:
    with EventStream(api.port, "s", "limit=2") as stream:
        stream.take()
        known = stream.id
    move(api.world, "p25", 1_000)
    headers = (f"Last-Event-ID: {known}",)
    with EventStream(api.port, "s", "limit=20", headers=headers) as stream:
        event = stream.take()
        assert event is not None and event.name == "snapshot" and stream.list == expected(api.world, 20)
    with EventStream(api.port, "s", "limit=2", headers=headers) as stream:
        event = stream.take()
        assert event is not None and event.name == "change"


def test_no_more_rows_are_read_than_are_asked_for(api: Api) -> None:
    last_ranks = set()
    with EventStream(api.port, "s", "limit=3") as one, EventStream(api.port, "s", "limit=7") as other:
        one.take()
        other.take()
        with api.world.redis.monitor() as monitor:
            move(api.world, "p29", 1_000)
            one.until(lambda: one.list == expected(api.world, 3))
            other.until(lambda: other.list == expected(api.world, 7))
            api.world.redis.echo("over")
            for told in monitor.listen():
                words = told["command"].split()
                if words[0].upper() == "EVALSHA_RO" and len(words) == 9:
                    last_ranks.add(words[-1])
                if words == ["ECHO", "over"]:
                    break
    assert last_ranks == {"6"}
