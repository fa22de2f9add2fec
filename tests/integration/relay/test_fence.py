"""The fence: a Redis or a PostgreSQL that lost something is noticed, and its boards are rebuilt."""

from __future__ import annotations

import pytest
from support.relays import Hand, S, equal, write_watermark
from support.world import World

from board.errors import ServerUnreachable
from relay.batch import Refused, Verdict, relay_batch
from relay.session import RelaySession

pytestmark = pytest.mark.topology


def refusal(world: World, session: RelaySession) -> str:
    """The verdict when a batch is carried; it must have changed nothing on either side."""
    before = (world.board("s"), world.redis.hgetall(world.keys.watermark[S]), world.counts())
    committed = world.rows("SELECT fence, identity, low_xid::text FROM partition ORDER BY id")
    with pytest.raises(Refused) as caught:
        relay_batch(session, S, check=True)
    assert (world.board("s"), world.redis.hgetall(world.keys.watermark[S]), world.counts()) == before
    assert world.rows("SELECT fence, identity, low_xid::text FROM partition ORDER BY id") == committed
    return caught.value.verdict.word


def test_fence_lost_everything(world: World, carried: RelaySession) -> None:
    world.flush()
    assert refusal(world, carried) == "lost"


def test_fence_lost_the_latest(world: World, carried: RelaySession) -> None:
    held = world.fence("s")
    assert held is not None
    write_watermark(world, fence=held - 1)
    assert refusal(world, carried) == "lost"


def test_fence_that_is_no_number(world: World, carried: RelaySession) -> None:
    write_watermark(world, fence="x")
    assert refusal(world, carried) == "lost"
    world.redis.delete(world.keys.watermark[S])
    world.redis.set(world.keys.watermark[S], "x")
    with pytest.raises(Refused) as caught:
        relay_batch(carried, S, check=True)
    assert caught.value.verdict.word == "lost"


def test_fence_of_another_postgresql(world: World, carried: RelaySession) -> None:
    write_watermark(world, identity="1:00000001")
    assert refusal(world, carried) == "identity"
    write_watermark(world, identity=None)
    assert refusal(world, carried) == "identity"


def test_fence_ahead(world: World, carried: RelaySession) -> None:
    write_watermark(world, fence=10**15)
    assert refusal(world, carried) == "ahead"


def test_fence_between_is_a_crash_before_the_commit(world: World, carried: RelaySession) -> None:
    # Redis holds an attempt that PostgreSQL never committed: above the committed one, below the next.
    world.value("SELECT nextval('fence')")
    write_watermark(world, fence=world.value("SELECT nextval('fence')"))
    relay_batch(carried, S)
    assert equal(world)


def test_fence_never_committed_and_nothing_held(world: World) -> None:
    world.submit(("s", "ada", 5))
    relay_batch(world.session(), S)
    assert equal(world)


@pytest.mark.parametrize("loss", ["everything", "watermark", "board", "latest", "stale"])
def test_what_redis_lost_is_rebuilt(world: World, carried: RelaySession, loss: str) -> None:
    stale = {key: world.redis.dump(key) for key in world.redis.keys(f"{world.name}:*")}
    hand = Hand(world)
    if loss == "stale":
        # A failover to a replica that was behind: all of it is of one moment, but an old one.
        hand.serve(S)
        world.submit(("s", "bob", 9))
        hand.serve(S)
        world.flush()
        for key, value in stale.items():
            world.redis.restore(key, 0, value)
    elif loss == "everything":
        world.flush()
    elif loss == "watermark":
        world.redis.delete(world.keys.watermark[S])
    elif loss == "latest":
        write_watermark(world, fence=0)
    else:
        world.redis.delete(world.keys.board(S, b"s"), world.keys.members(S, b"s"), world.keys.watermark[S])
    hand.drain()
    assert equal(world)
    assert all(world.redis.hget(key, "fence") for key in world.keys.watermark)


def test_another_postgresql_is_rebuilt_unless_it_is_a_later_one(world: World, carried: RelaySession) -> None:
    system, _, timeline = carried.identity.partition(":")
    later = f"{system}:{int(timeline, 16) + 1:08X}"
    write_watermark(world, identity=later)
    hand = Hand(world)
    hand.serve(S)
    assert world.redis.hget(world.keys.watermark[S], "identity").decode() == later, "we are the past: hands off"
    with pytest.raises(ServerUnreachable, match="has been succeeded"):
        hand.relay.repairs.heal(hand.session, Refused(S, Verdict("identity", 1, later)))
    write_watermark(world, identity="1:00000009")
    hand.drain()
    assert equal(world)
    assert world.redis.hget(world.keys.watermark[S], "identity").decode() == carried.identity


def test_a_rebuild_from_before_a_failover_is_refused(world: World, carried: RelaySession) -> None:
    """A relay of the old timeline stood still in its rebuild while the new one wrote."""
    system, _, timeline = carried.identity.partition(":")
    later = f"{system}:{int(timeline, 16) + 1:08X}"
    hand = Hand(world)
    hand.start(lambda: hand.rebuild(S), "before swap")
    write_watermark(world, identity=later, fence=1)
    board = world.board("s")
    world.redis.zadd(world.keys.board(S, b"s"), {b"\0" * 10 + b"new": -9})
    newer = world.board("s")
    assert newer != board
    hand.go_on()
    assert world.board("s") == newer
    assert world.redis.hget(world.keys.watermark[S], "identity").decode() == later


def test_postgresql_that_lost_history_overtakes_redis(world: World, carried: RelaySession) -> None:
    # A restore in place: same identity, but the sequence has fallen behind what Redis has seen.
    write_watermark(world, fence=10**12)
    hand = Hand(world)
    hand.drain()
    assert equal(world)
    held = world.fence("s")
    assert held is not None and held > 10**12
    assert world.value("SELECT fence FROM partition WHERE id = %s", S) == held
    world.submit(("s", "ada", 1))
    hand.drain()
    assert equal(world)


def test_postgresql_that_went_back_is_noticed_on_every_board(world: World) -> None:
    """Also on boards without writes, and on those whose last lost batch is older than fences drawn since."""
    world.submit(("s", "ada", 5), ("t", "bob", 5), ("u", "cy", 5))
    hand = Hand(world)
    hand.drain()
    world.keep()
    world.submit(("t", "bob", 100))
    hand.drain()
    for _ in range(20):
        world.submit(("s", "ada", 1))
        hand.drain()
    world.go_back()
    hand.let_go()
    assert not equal(world, "s", "t")
    world.submit(("s", "ada", 1))
    hand.drain()
    assert equal(world, "s", "t", "u")
    assert world.value("SELECT last_value FROM fence") >= max(world.fence(season) or 0 for season in "stu")


@pytest.mark.parametrize("fence", [2**53, 2**63, 10**40])
def test_a_fence_that_no_relay_can_have_drawn_does_no_harm(world: World, carried: RelaySession, fence: int) -> None:
    write_watermark(world, fence=fence)
    hand = Hand(world)
    hand.drain()
    assert equal(world)
    assert world.fence("s") == world.value("SELECT fence FROM partition WHERE id = %s", S)
    assert world.value("SELECT last_value FROM fence") < 10**6
