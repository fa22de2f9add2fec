"""The epoch: a restart or a failover of PostgreSQL rebuilds what differs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from support.relays import Hand, S, equal, write_watermark
from support.world import World

from board.partitions import PARTITIONS
from relay.batch import Refused, relay_batch
from relay.rebuild import rebuild
from relay.session import RelaySession

pytestmark = pytest.mark.topology

SEASONS = tuple(f"s{n}" for n in range(8))


@pytest.fixture
def hand(world: World) -> Hand:
    """A relay that has written every partition, in the first epoch."""
    for season in ("s", *SEASONS):
        world.submit((season, "ada", 5))
    made = Hand(world)
    made.drain()
    return made


def begin(hand: Hand, epoch: str, **attributes: Any) -> RelaySession:
    """A new session of the relay, with another run of PostgreSQL."""
    hand.let_go()
    session = hand.session
    for name, value in {"epoch": epoch, **attributes}.items():
        setattr(session, name, value)
    return session


def rebuilt(hand: Hand) -> int:
    """Number of partitions that were rebuilt."""
    return int(hand.world.value("SELECT count(*) FROM partition WHERE rebuilt_at IS NOT NULL"))


def stamps(world: World) -> set[str]:
    """The epochs in Redis."""
    return {world.redis.hget(mark, "stamp").decode().partition(".")[2] for mark in world.keys.watermark}


def test_the_epoch_is_one_run_of_the_server(world: World) -> None:
    first, second = world.session(), world.session()
    assert first.epoch == second.epoch and first.epoch.isdigit()
    started = world.value("SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text")
    assert first.epoch == started


def test_after_a_restart_equal_partitions_are_stamped_and_not_rebuilt(hand: Hand) -> None:
    world = hand.world
    world.submit(("s", "bob", 7))
    begin(hand, "2")
    hand.drain()
    assert stamps(world) == {"2"} and not rebuilt(hand)
    assert equal(world, "s", *SEASONS)
    assert world.value("SELECT count(*) FROM partition WHERE stamp = fence || '.2'") == PARTITIONS


def test_after_a_failover_equal_partitions_are_stamped_and_the_predecessor_is_refused(hand: Hand) -> None:
    world = hand.world
    system, _, timeline = hand.session.identity.partition(":")
    before = hand.session.identity, hand.session.epoch
    later = f"{system}:{int(timeline, 16) + 1:08X}"
    # The standby lacks the last batch of one partition, which Redis has.
    write_watermark(world, fence=world.value("SELECT nextval('fence')"))
    begin(hand, "2", identity=later)
    hand.drain()
    assert stamps(world) == {"2"} and rebuilt(hand) == 1
    assert equal(world, "s", *SEASONS)
    assert {world.redis.hget(mark, "identity").decode() for mark in world.keys.watermark} == {later}
    # The old primary still runs, and has the rows that it had.
    world.rows("UPDATE partition SET identity = %s, stamp = fence || '.' || %s RETURNING id", *before)
    session = begin(hand, before[1], identity=before[0])
    with pytest.raises(Refused, match="identity"):
        relay_batch(session, S, check=True)


def test_a_batch_that_postgresql_does_not_know_is_rebuilt_in_another_epoch(hand: Hand) -> None:
    world = hand.world
    epoch = hand.session.epoch
    fence = world.value("SELECT nextval('fence')")
    write_watermark(world, fence=fence, stamp=f"{fence}.{epoch}")
    begin(hand, "2")
    hand.drain()
    assert stamps(world) == {"2"} and rebuilt(hand) == 1


def test_set_back_is_noticed_on_a_node_that_was_away_meanwhile(hand: Hand) -> None:
    """Its fences are below those that were drawn when it is back: by them alone it looks like a crash."""
    world = hand.world
    world.keep()
    world.submit(("s", "eve", 9))
    hand.serve(S)
    assert ("eve", 9) in {(user, score) for user, score, _ in world.board("s")}
    world.go_back()
    # Relays have found the other nodes set back, and have drawn fences above theirs.
    world.value("SELECT setval('fence', 1000000)")
    begin(hand, "2")
    hand.drain()
    assert equal(world, "s", *SEASONS) and "eve" not in {user for user, _, _ in world.board("s")}


def test_where_a_release_without_stamps_has_written_the_fence_decides_alone(hand: Hand) -> None:
    world = hand.world
    held = world.fence("s")
    assert held is not None
    # Its batch: fence and identity on both sides, and the stamps as they were.
    write_watermark(world, fence=held + 1)
    world.rows("UPDATE partition SET fence = %s WHERE id = %s RETURNING id", held + 1, S)
    world.value("SELECT setval('fence', 1000000)")
    begin(hand, "2")
    hand.drain()
    assert not rebuilt(hand)
    world.submit(("s", "bob", 7))
    hand.drain()
    assert not rebuilt(hand) and stamps(world) == {"2"} and equal(world, "s", *SEASONS)


def test_one_season_is_not_swapped_into_a_partition_of_another_epoch(hand: Hand) -> None:
    session = begin(hand, "2")
    with pytest.raises(Refused, match="lost"):
        rebuild(session, S, only="s")
    hand.drain()
    rebuilt_one = rebuild(hand.session, S, only="s")
    assert rebuilt_one is not None and rebuilt_one.seasons == 1
