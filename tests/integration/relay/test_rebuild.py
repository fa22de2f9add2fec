"""A rebuild: the same board as by hints, nothing left behind, refused to a fenced relay."""

from __future__ import annotations

import pytest
from support.relays import Hand, S, equal, write_watermark
from support.world import World

from board.partitions import partition_of
from relay.batch import Refused, relay_batch
from relay.rebuild import rebuild
from relay.session import RelaySession

pytestmark = pytest.mark.topology


def test_a_rebuild_is_identical_to_what_the_relay_made(world: World) -> None:
    rows = [("s", f"p{n}", (n * 7919) % 1000 - 500) for n in range(1, 2_500) if (n * 7919) % 1000 != 500]
    world.submit(*rows, ("s", "top", 2**63 - 1), ("s", "low", -(2**63)))
    session = world.session()
    while (done := relay_batch(session, S)) is not None and done.more:
        pass
    key, members = world.keys.board(S, b"s"), world.keys.members(S, b"s")
    before = (world.redis.zrange(key, 0, -1, withscores=True), world.redis.hgetall(members))
    rebuilt = rebuild(session, S)
    assert rebuilt is not None and (rebuilt.seasons, rebuilt.players) == (1, len(world.expected("s")))
    assert (world.redis.zrange(key, 0, -1, withscores=True), world.redis.hgetall(members)) == before
    assert equal(world)
    assert world.redis.keys(f"{world.name}:*t[zh]:*") == []


def test_a_rebuild_keeps_hints_for_afterwards(world: World) -> None:
    world.submit(("s", "ada", 5))
    session = world.session()
    rebuild(session, S)
    # One more lets the next batch tell of the board's first player.
    assert equal(world) and world.counts()["outbox"] == 2 + 1
    world.submit(("s", "ada", 1))
    relay_batch(session, S)
    assert equal(world) and world.counts()["outbox"] == 0


def test_a_rebuild_takes_away_seasons_that_are_no_more(world: World, carried: RelaySession) -> None:
    ghost = next(name for n in range(500) if partition_of(name := f"ghost{n}") == S)
    world.redis.hset(world.keys.periods[S], ghost, 1)
    world.redis.zadd(world.keys.board(S, ghost.encode()), {b"x" * 12: 1})
    world.redis.hset(world.keys.members(S, ghost.encode()), "ada", "x")
    rebuild(carried, S)
    assert world.redis.hkeys(world.keys.periods[S]) == [b"s"]
    assert not world.redis.exists(world.keys.board(S, ghost.encode()), world.keys.members(S, ghost.encode()))


def test_what_a_dead_rebuild_left_is_cleared(world: World, carried: RelaySession) -> None:
    loaded = world.keys.loaded_board(S, b"s")
    world.redis.zadd(loaded, {b"y" * 12: 1})
    world.redis.sadd(world.keys.temporary[S], loaded)
    rebuild(carried, S)
    assert equal(world)
    assert not world.redis.exists(loaded, world.keys.temporary[S])


def test_a_rebuild_of_an_emptied_season(world: World, carried: RelaySession) -> None:
    relay_batch(carried, S)
    world.reset("s")
    assert rebuild(carried, S) is not None
    assert world.board("s") == []
    assert int(world.redis.hget(world.keys.periods[S], "s")) == world.value("SELECT period_id FROM season")


def test_a_zombies_rebuild_is_refused(world: World, carried: RelaySession) -> None:
    write_watermark(world, fence=10**12)
    with pytest.raises(Refused) as caught:
        rebuild(carried, S)
    assert caught.value.verdict.word == "ahead"


NEIGHBOUR = next(name for n in range(500) if partition_of(name := f"n{n}") == S)
"""Another season of the same partition."""


def refused_season(world: World, session: RelaySession) -> str:
    """The verdict when one season is rebuilt; nothing may have changed in Redis."""

    def held() -> dict[bytes, bytes]:
        keys = world.redis.scan_iter(match=f"{world.name}:*", count=1_000)
        return {key: world.redis.dump(key) for key in keys if b"}:t" not in key}

    before = held()
    with pytest.raises(Refused) as caught:
        rebuild(session, S, only="s")
    assert held() == before
    return caught.value.verdict.word


def test_one_season_is_not_rebuilt_where_its_neighbours_are_lost_too(world: World, carried: RelaySession) -> None:
    """Its new fence would hide that the partition lost its latest batches."""
    held = world.fence("s")
    assert held is not None
    write_watermark(world, fence=held - 1)
    assert refused_season(world, carried) == "lost"
    write_watermark(world, fence=held, identity="1:00000009")
    assert refused_season(world, carried) == "lost"
    world.redis.delete(world.keys.watermark[S])
    assert refused_season(world, carried) == "lost"
    write_watermark(world, fence=10**12, identity=carried.identity)
    assert refused_season(world, carried) == "ahead"


@pytest.mark.parametrize("lost", ["watermark", "periods", "identity"])
def test_one_season_is_not_rebuilt_where_all_is_lost_meanwhile(world: World, carried: RelaySession, lost: str) -> None:
    relay_batch(carried, S)
    hand = Hand(world)
    verdicts: list[str] = []

    def work() -> None:
        with pytest.raises(Refused) as caught:
            rebuild(hand.session, S, only="s")
        verdicts.append(caught.value.verdict.word)

    hand.start(work, "before swap")
    if lost == "watermark":
        world.redis.delete(world.keys.watermark[S])
    elif lost == "periods":
        world.redis.delete(world.keys.periods[S])
        world.redis.set(world.keys.periods[S], "nonsense")
    else:
        write_watermark(world, identity="1:00000009")
    hand.go_on()
    assert verdicts == ["identity" if lost == "identity" else "lost"]


def test_a_rebuilt_season_leaves_its_neighbours_aside(world: World) -> None:
    world.submit(("s", "ada", 5), (NEIGHBOUR, "bob", 1))
    session = world.session()
    relay_batch(session, S)
    for season in ("s", NEIGHBOUR):
        session.execute("set_aside", season=season, partition=S, reason="a test")
    rebuild(session, S, only="s")
    assert world.rows("SELECT season_id FROM ailing") == [(NEIGHBOUR,)]
    assert world.value("SELECT rebuilt_at FROM partition WHERE id = %s", S) is None
    assert world.value("SELECT fence FROM partition WHERE id = %s", S) == world.fence("s")
    rebuild(session, S)
    assert world.rows("SELECT season_id FROM ailing") == []
    assert world.value("SELECT rebuilt_at FROM partition WHERE id = %s", S) is not None


@pytest.mark.parametrize("half", ["loaded_board", "loaded_members"])
def test_an_incomplete_load_is_not_put_in_place(world: World, carried: RelaySession, half: str) -> None:
    relay_batch(carried, S)
    before = world.board("s")
    hand = Hand(world)
    verdicts: list[str] = []

    def work() -> None:
        with pytest.raises(Refused) as caught:
            rebuild(hand.session, S)
        verdicts.append(caught.value.verdict.word)

    hand.start(work, "before swap")
    world.redis.delete(getattr(world.keys, half)(S, b"s"))
    hand.go_on()
    assert verdicts == ["short"] and world.board("s") == before
