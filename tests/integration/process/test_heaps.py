"""Processes that answer keep the objects of their start out of collections of garbage, which would stop them."""

from __future__ import annotations

import re

from support.processes import relaying, serving
from support.world import World

FROZEN = re.compile(r"(\d+) objects are left out of collections")
LEAST = 50_000
"""Fewer are not the modules of a worker or relay."""


def test_a_worker_freezes_its_heap(world: World) -> None:
    with serving(world, LEADERBOARD_LOG_LEVEL="debug", LEADERBOARD_WORKERS="2") as api:
        counts = api.command.until(lambda: len(found := FROZEN.findall(api.command.text())) == 2 and found)
    assert min(map(int, counts)) > LEAST


def test_a_relay_freezes_its_heap(world: World) -> None:
    with relaying(world, LEADERBOARD_LOG_LEVEL="debug") as relay:
        (count,) = relay.until(lambda: FROZEN.findall(relay.text()))
    assert int(count) > LEAST
