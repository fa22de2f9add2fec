"""A relay's state before a test."""

from __future__ import annotations

import pytest
from support.relays import S
from support.world import World

from relay.carrier import Carrier


@pytest.fixture
def carried(world: World) -> Carrier:
    """A carrier that has carried one board; one more hint waits."""
    world.submit(("s", "ada", 5))
    carrier = world.carrier()
    carrier.carry(S)
    world.submit(("s", "ada", 1))
    return carrier
