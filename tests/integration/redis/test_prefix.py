"""One database has one prefix in Redis: a process with another one is refused, and a change is made on purpose."""

from __future__ import annotations

import pytest
from support.processes import leaderboard, relaying, serving
from support.relays import equal
from support.waiting import eventually
from support.world import World

from board.pg.prefix import read_prefix

OTHER = {"LEADERBOARD_REDIS_PREFIX": "other"}
COMMANDS = (["serve", "--quiet"], ["relay"], ["verify"], ["rebuild", "--all"])


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_another_prefix_is_refused_in_one_line(world: World, command: list[str]) -> None:
    with relaying(world):
        assert read_prefix(world.db) == world.name
        done = leaderboard(world, *command, **OTHER)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("leaderboard: ")]
    assert f"LEADERBOARD_REDIS_PREFIX is 'other', but the boards of this database are under '{world.name}'" in line
    assert "Traceback" not in done.stderr
    assert read_prefix(world.db) == world.name
    assert list(world.redis.scan_iter("other:*")) == []


def test_the_first_process_of_any_kind_records_it(world: World) -> None:
    assert read_prefix(world.db) is None
    leaderboard(world, "verify", **OTHER)
    assert read_prefix(world.db) is None, "a look is no start"
    with serving(world, "/readyz"):
        assert read_prefix(world.db) == world.name
        assert leaderboard(world, "relay", **OTHER).returncode == 2


def test_the_doctor_names_it(world: World) -> None:
    with relaying(world):
        done = leaderboard(world, "doctor", **OTHER)
    assert done.returncode == 1
    assert "LEADERBOARD_REDIS_PREFIX" in done.stdout


def test_it_is_changed_on_purpose(world: World) -> None:
    world.submit(("s", "ada", 1))
    with relaying(world):
        eventually(lambda: equal(world))
        refused = leaderboard(world, "migrate", "--adopt-prefix", **OTHER)
        assert refused.returncode == 2 and "stop the API and the relays first" in refused.stderr
    eventually(lambda: not world.connections("leaderboard-relay"))
    assert leaderboard(world, "migrate", "--adopt-prefix", **OTHER).returncode == 0
    assert read_prefix(world.db) == "other"
    try:
        assert leaderboard(world, "rebuild", "--all", **OTHER).returncode == 0
        assert leaderboard(world, "verify", **OTHER).returncode == 0
        assert leaderboard(world, "verify").returncode == 2
    finally:
        world.redis.delete(*world.redis.scan_iter("other:*"))
