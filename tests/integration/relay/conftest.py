"""A relay's state before a test."""

from __future__ import annotations

import pytest
from support.relays import S
from support.world import World

from relay.batch import relay_batch
from relay.session import RelaySession


@pytest.fixture
def carried(world: World) -> RelaySession:
    """A session that has carried one board; one more hint waits."""
    world.submit(("s", "ada", 5))
    session = world.session()
    relay_batch(session, S)
    world.submit(("s", "ada", 1))
    return session
