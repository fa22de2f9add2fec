"""How often a world's Redis is asked for boards."""

from __future__ import annotations

from support.waiting import eventually
from support.world import World


def looks(world: World) -> int:
    """How often Redis has been asked for a board or a fence so far."""
    stats = world.redis.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("evalsha_ro", "hget"))


def wait_for_looks(world: World, number: int = 3) -> None:
    """Until Redis has been asked some more times."""
    before = looks(world)
    eventually(lambda: looks(world) >= before + number)
