"""What `verify` compares stands still: no relay writes to the partition, and PostgreSQL is read as of one moment."""

from __future__ import annotations

from contextlib import closing

from support.relays import Hand, S
from support.world import World

from ctl.comparison.sides import Sides
from relay.batch import relay_batch


def test_no_relay_writes_to_a_partition_that_is_compared(world: World) -> None:
    world.submit(("s", "ada", 1))
    session = world.session()
    with closing(Sides(world.settings, world.keys)) as sides:
        with sides.hold(S):
            assert relay_batch(session, S) is None
        assert relay_batch(session, S) is not None


def test_postgresql_is_read_as_of_one_moment(world: World) -> None:
    world.submit(("s", "ada", 1))
    Hand(world).drain()
    with closing(Sides(world.settings, world.keys)) as sides, sides.hold(S) as seasons:
        period = seasons["s"]
        assert [user for user, *_ in sides.postgres_entries(period)] == ["ada"]
        world.submit(("s", "bob", 1))
        assert sides.hinted_users(S, period) == set()
        assert [user for user, *_ in sides.postgres_entries(period)] == ["ada"]
