"""The command on real servers: verify finds every tampering, status tells, rebuild repairs, exit statuses hold."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from support.http import free_port
from support.marks import thinned
from support.processes import environment, leaderboard, relaying, run, serving
from support.relays import Hand
from support.waiting import eventually
from support.world import World

from board.partitions import partition_of
from ctl.board_rebuild import rebuild_boards
from ctl.comparison.report import Report, compare

S = partition_of("s")


@pytest.fixture
def settled(world: World) -> World:
    """A world with two seasons, everything carried, every partition checked."""
    world.submit(("s", "ada", 5), ("s", "bob", 7), ("s", "cy", 7), ("t", "ada", 2**60), ("t", "eve", -(2**60)))
    Hand(world).drain()
    return world


def look(world: World, **options: Any) -> Report:
    return compare(world.settings, wait_s=0.0, **options)


def test_equal(settled: World) -> None:
    report = look(settled)
    assert report.equal
    assert (report.partitions, report.seasons, report.players, report.unsettled) == (64, 2, 5, 0)


def test_equal_with_nothing_in_it(world: World) -> None:
    assert look(world).equal


def swap(world: World) -> None:
    """Two players with equal scores change places, in both halves of the board."""
    board, members = world.keys.board(S, b"s"), world.keys.members(S, b"s")
    bob, cy = (world.redis.hget(members, user) for user in ("bob", "cy"))
    score = world.redis.zscore(board, bob + b"bob")
    world.redis.zrem(board, bob + b"bob", cy + b"cy")
    world.redis.zadd(board, {cy + b"bob": score, bob + b"cy": score})
    world.redis.hset(members, mapping={"bob": cy, "cy": bob})


def add(world: World) -> None:
    member = b"\0\0" + (999).to_bytes(8, "big") + b"eve"
    world.redis.zadd(world.keys.board(S, b"s"), {member: -1})
    world.redis.hset(world.keys.members(S, b"s"), "eve", member[:10])


def restore_an_old_one(world: World) -> None:
    """A stale member beside the right one."""
    world.redis.zadd(world.keys.board(S, b"s"), {b"\0\0" + (1).to_bytes(8, "big") + b"cy": -3})


TAMPERING: dict[str, Callable[[World], Any]] = {
    "member removed": lambda w: w.redis.zremrangebyrank(w.keys.board(S, b"s"), 0, 0),
    "prefix removed": lambda w: w.redis.hdel(w.keys.members(S, b"s"), "ada"),
    "prefix changed": lambda w: w.redis.hset(w.keys.members(S, b"s"), "ada", b"\0" * 10),
    "prefix too many": lambda w: w.redis.hset(w.keys.members(S, b"s"), "ghost", b"\0" * 10),
    "score changed": lambda w: w.redis.zincrby(
        w.keys.board(S, b"s"), -1, w.redis.hget(w.keys.members(S, b"s"), "ada") + b"ada"
    ),
    "score changed by a fraction": lambda w: w.redis.zincrby(
        w.keys.board(S, b"s"), -0.25, w.redis.hget(w.keys.members(S, b"s"), "ada") + b"ada"
    ),
    "low bits changed": lambda w: tamper_low_bits(w),
    "order swapped": swap,
    "player added": add,
    "player twice": restore_an_old_one,
    "garbage member": lambda w: w.redis.zadd(w.keys.board(S, b"s"), {b"short": 0}),
    "garbage behind a difference": lambda w: (
        w.redis.zremrangebyrank(w.keys.board(S, b"s"), 0, 0),
        w.redis.zadd(w.keys.board(S, b"s"), {b"short": 0}),
    ),
    "garbage with no utf-8": lambda w: w.redis.zadd(w.keys.board(S, b"s"), {b"\0" * 10 + b"\xff": 0}),
    "board gone": lambda w: w.redis.delete(w.keys.board(S, b"s"), w.keys.members(S, b"s")),
    "board of another kind": lambda w: (
        w.redis.pipeline().delete(w.keys.board(S, b"s")).set(w.keys.board(S, b"s"), "x").execute()
    ),
    "stray board": lambda w: w.redis.zadd(w.keys.board(S, b"nobody"), {b"\0" * 10 + b"x": 0}),
    "stray key": lambda w: w.redis.set(w.keys.tag[3] + b"what", "x"),
    "stray key in an unused partition": lambda w: w.redis.set(w.keys.tag[63] + b"z:x", "x"),
    "season unknown to postgresql": lambda w: w.redis.hset(w.keys.periods[S], "ghost", 1),
    "season missing": lambda w: w.redis.hdel(w.keys.periods[S], "s"),
    "another period": lambda w: w.redis.hset(w.keys.periods[S], "s", 10**6),
    "period of another kind": lambda w: w.redis.hset(w.keys.periods[S], "s", "x"),
    "no watermark": lambda w: w.redis.delete(w.keys.watermark[S]),
    "no fence": lambda w: w.redis.hdel(w.keys.watermark[S], "fence"),
    "fence behind": lambda w: w.redis.hset(w.keys.watermark[S], "fence", 0),
    "fence of another kind": lambda w: w.redis.hset(w.keys.watermark[S], "fence", "x"),
    "another identity": lambda w: w.redis.hset(w.keys.watermark[S], "identity", "1:00000001"),
    "everything gone": lambda w: w.redis.flushdb(),
    "row changed without a hint": lambda w: w.rows("UPDATE score SET score = 1 WHERE user_id = 'bob' RETURNING 1"),
    "tie-break changed without a hint": lambda w: w.rows(
        "UPDATE score SET reached = 0 WHERE user_id = 'bob' RETURNING 1"
    ),
    "row removed without a hint": lambda w: w.rows("DELETE FROM score WHERE user_id = 'bob' RETURNING 1"),
    "hint lost": lambda w: (w.submit(("s", "new", 1)), w.rows("DELETE FROM outbox RETURNING 1")),
}


def tamper_low_bits(world: World) -> None:
    board = world.keys.board(partition_of("t"), b"t")
    ((member, score),) = world.redis.zrange(board, 0, 0, withscores=True)
    other = bytes([member[0], member[1] ^ 1]) + member[2:]
    world.redis.zrem(board, member)
    world.redis.zadd(board, {other: score})
    world.redis.hset(world.keys.members(partition_of("t"), b"t"), member[10:], other[:10])


@pytest.mark.parametrize("what", thinned(TAMPERING, 8))
def test_verify_finds_and_rebuild_repairs(settled: World, what: str) -> None:
    TAMPERING[what](settled)
    report = look(settled)
    assert not report.equal
    assert report.differences_found >= 1 and report.differences
    # A rebuild does not delete keys that belong to no season; the test does.
    settled.redis.delete(settled.keys.tag[3] + b"what", settled.keys.tag[63] + b"z:x", settled.keys.board(S, b"nobody"))
    result = rebuild_boards(settled.settings, quiet=True)
    assert (result.partitions, result.seasons) == (64, 2)
    assert look(settled).equal


def test_rebuild_command(settled: World) -> None:
    settled.redis.flushdb()
    done = leaderboard(settled, "rebuild", "--all")
    assert done.returncode == 0 and "rebuilt 2 seasons, 5 players" in done.stderr
    assert look(settled).equal


def test_verify_of_one_season(settled: World) -> None:
    settled.redis.delete(settled.keys.board(S, b"s"))
    assert not look(settled, season="s").equal
    assert look(settled, season="t").equal
    assert not look(settled, season="nobody").equal


def test_verify_counts_what_is_on_its_way_as_not_equal_yet(settled: World) -> None:
    settled.submit(("s", "ada", 1), ("new", "ada", 1))
    report = look(settled)
    assert not report.equal and report.unsettled and not report.differences_found
    with relaying(settled):
        assert compare(settled.settings, wait_s=20).equal


def test_verify_while_relays_and_players_are_at_work(world: World) -> None:
    world.create("s")
    with relaying(world, 2):
        for n in range(15):
            world.submit(*(("s", f"p{m}", n + m + 1) for m in range(30)))
            if n % 5 == 0:
                report = compare(world.settings, wait_s=20)
                assert report.equal, report.differences


def test_verify_command(settled: World) -> None:
    done = leaderboard(settled, "verify", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["equal"] is True
    people = leaderboard(settled, "verify")
    assert people.returncode == 0 and people.stdout.startswith("equal: 5 players in 2 seasons")
    settled.redis.zremrangebyrank(settled.keys.board(S, b"s"), 0, 0)
    done = leaderboard(settled, "verify", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["equal"] is False
    assert report["differences"][0] | {"what": ""} == {
        "season": "s", "user": "bob", "what": "", "postgres": 7, "redis": None,
    }  # fmt: skip
    people = leaderboard(settled, "verify", "--season", "s")
    assert people.returncode == 1
    assert "NOT equal" in people.stdout and "bob" in people.stdout
    assert leaderboard(settled, "verify", "--season", "t").returncode == 0


def test_verify_names_at_most_a_screenful_but_counts_all(world: World) -> None:
    world.submit(*(("s", f"p{n}", n + 1) for n in range(100)))
    Hand(world).drain()
    world.redis.zremrangebyrank(world.keys.board(S, b"s"), 0, 49)
    report = look(world)
    assert report.differences_found == 50 and len(report.differences) == 20


def test_status(settled: World) -> None:
    done = leaderboard(settled, "status", "--json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["postgres"], status["redis"], status["pending"], status["seasons"]) == ("ok", "ok", 0, 2)
    assert [p["partition"] for p in status["partitions"]] == list(range(64))
    mine = status["partitions"][S]
    assert mine["state"] == "ok" and mine["seasons"] == 1
    assert mine["fence"] == settled.value("SELECT fence FROM partition WHERE id = %s", S) <= mine["redis_fence"]
    settled.submit(("s", "ada", 1), ("s", "bob", 1))
    status = json.loads(leaderboard(settled, "status", "--json").stdout)
    assert (status["pending"], status["partitions"][S]["pending"]) == (2, 2)
    assert status["partitions"][S]["oldest_s"] > 0


def test_status_shows_what_is_wrong(settled: World) -> None:
    settled.redis.delete(settled.keys.watermark[S])
    settled.redis.hset(settled.keys.watermark[partition_of("t")], "identity", "1:00000001")
    status = json.loads(leaderboard(settled, "status", "--json").stdout)
    assert status["partitions"][S]["state"] == "behind"
    assert status["partitions"][S]["redis_fence"] is None
    assert status["partitions"][partition_of("t")]["state"] == "foreign"
    people = leaderboard(settled, "status")
    assert people.returncode == 0 and "behind" in people.stdout and "foreign" in people.stdout


def test_status_without_redis_is_3_and_still_tells(settled: World) -> None:
    done = leaderboard(settled, "status", "--json", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 3
    assert json.loads(done.stdout)["redis"] == "down"


def test_rebuild_of_one_season(settled: World) -> None:
    settled.redis.delete(settled.keys.board(S, b"s"))
    done = leaderboard(settled, "rebuild", "--season", "s", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["partitions"] == 1
    assert look(settled).equal


def test_rebuild_of_one_season_leaves_its_neighbours_alone(settled: World) -> None:
    neighbour = next(name for n in range(500) if partition_of(name := f"n{n}") == S)
    settled.submit((neighbour, "ada", 1))
    with relaying(settled):
        eventually(lambda: settled.board(neighbour))
    settled.redis.zadd(settled.keys.board(S, neighbour.encode()), {b"mark": 1})
    settled.redis.delete(settled.keys.board(S, b"s"))
    done = leaderboard(settled, "rebuild", "--season", "s", "--json")
    assert json.loads(done.stdout)["seasons"] == 1
    assert settled.board("s") == settled.expected("s")
    assert settled.redis.zscore(settled.keys.board(S, neighbour.encode()), b"mark") == 1


def test_rebuild_of_one_season_loads_all_where_the_partition_is_lost(settled: World) -> None:
    neighbour = next(name for n in range(500) if partition_of(name := f"n{n}") == S)
    settled.submit((neighbour, "ada", 1))
    settled.redis.flushdb()
    done = leaderboard(settled, "rebuild", "--season", "s", "--json")
    assert json.loads(done.stdout)["seasons"] == 2
    assert settled.board("s") == settled.expected("s") and settled.board(neighbour) == settled.expected(neighbour)


def test_rebuild_of_an_unknown_season(settled: World) -> None:
    fails(["rebuild", "--season", "nobody"], 2, env=settled.environment(), says="there is no season 'nobody'")


def test_rebuild_beside_relays(settled: World) -> None:
    with relaying(settled, 2):
        settled.submit(*(("s", f"p{n}", n + 1) for n in range(500)))
        assert leaderboard(settled, "rebuild", "--all").returncode == 0
        assert compare(settled.settings, wait_s=20).equal


# --- Exit statuses


def fails(arguments: list[str], status: int, *, env: dict[str, str], says: str) -> None:
    """The command ends with the status and one clear line."""
    done = run(arguments, env)
    assert done.returncode == status, (done.returncode, done.stderr)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("leaderboard: ") and says in last
    assert "Traceback" not in done.stderr


def test_usage_is_2() -> None:
    fails([], 2, env=environment(), says="required")
    fails(["dance"], 2, env=environment(), says="dance")
    fails(["rebuild"], 2, env=environment(), says="--season")
    fails(["demo", "--players", "0"], 2, env=environment(), says="--players")


def test_a_wrong_setting_is_2() -> None:
    fails(["settings"], 2, env=environment(LEADERBOARD_WORKER="2"), says="did you mean LEADERBOARD_WORKERS?")
    fails(["serve"], 2, env=environment(LEADERBOARD_WORKERS="none"), says="LEADERBOARD_WORKERS")
    fails(["serve", "--workers", "0"], 2, env=environment(), says="LEADERBOARD_WORKERS")
    fails(["verify"], 2, env=environment(), says="DATABASE_URL is empty")
    fails(["verify"], 2, env=environment(DATABASE_URL="postgresql://h?nonsense=1"), says="DATABASE_URL")


@pytest.mark.parametrize("command", [["serve"], ["relay"], ["migrate"], ["status"], ["verify"], ["rebuild", "--all"]])
def test_an_unreachable_postgresql_is_3(command: list[str]) -> None:
    env = environment(
        DATABASE_URL="postgresql://127.0.0.1:1/x",
        REDIS_URL="redis://127.0.0.1:1",
        LEADERBOARD_BIND=f"127.0.0.1:{free_port()}",
    )
    fails(command, 3, env=env, says="PostgreSQL does not answer")


@pytest.mark.parametrize("command", [["serve"], ["relay"], ["verify"], ["rebuild", "--all"]])
def test_an_unreachable_redis_is_3(world: World, command: list[str]) -> None:
    env = world.environment(REDIS_URL="redis://127.0.0.1:1", LEADERBOARD_BIND=f"127.0.0.1:{free_port()}")
    fails(command, 3, env=env, says="Redis does not answer")


def test_a_taken_port_is_5(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        fails(["serve"], 5, env=world.environment(LEADERBOARD_BIND=address), says=address)
        fails(["serve", "--bind", address], 5, env=world.environment(), says=address)
        fails(["run"], 5, env=world.environment(LEADERBOARD_BIND=address), says=address)


def test_errors_as_json() -> None:
    done = run(["verify", "--json"], environment(DATABASE_URL="postgresql://127.0.0.1:1/x"))
    assert done.returncode == 3
    error = json.loads(done.stdout)
    assert error["code"] == "server-unreachable" and error["error"]


def test_settings_command() -> None:
    env = environment(DATABASE_URL="postgresql://ada:hunter2@h/db", LEADERBOARD_WORKERS="7")
    done = run(["settings", "--json"], env)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["LEADERBOARD_WORKERS"] == "7"
    assert "hunter2" not in done.stdout
    people = run(["settings"], env)
    assert people.returncode == 0 and "LEADERBOARD_WORKERS" in people.stdout and "hunter2" not in people.stdout


def test_version_and_help() -> None:
    assert run(["--version"], environment()).stdout.startswith("leaderboard ")
    overview = run(["--help"], environment())
    assert overview.returncode == 0
    for command in ("run", "serve", "relay", "migrate", "status", "verify", "rebuild", "demo", "settings"):
        assert f"    {command} " in overview.stdout


def test_migrate_can_wait_for_postgresql(bare_world: World) -> None:
    assert leaderboard(bare_world, "migrate", "--wait", "10").returncode == 0


def test_demo_needs_a_server() -> None:
    fails(["demo", "--url", "http://127.0.0.1:1"], 3, env=environment(), says="no leaderboard at http://127.0.0.1:1")
    fails(["demo", "--url", "ftp://x"], 2, env=environment(), says="--url")


def test_demo_plays(world: World) -> None:
    with relaying(world), serving(world, "/readyz") as api:
        url = f"http://127.0.0.1:{api.port}"
        arguments = ["demo", "--url", url, "--seconds", "1", "--rate", "200", "--players", "9", "--seed", "4", "--json"]
        done = leaderboard(world, *arguments)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["seed"] == 4 and result["refused"] == 0
        assert result["accepted"] == world.value("SELECT count(*) FROM ledger") > 100
        assert result["seasons"] == ["demo", "demo-weekly", "demo-lap", "demo-cup"]
        for season in result["seasons"]:
            eventually(lambda season=season: world.board(season) == world.expected(season) != [])
        assert compare(world.settings, wait_s=10).equal
        folds = world.rows("SELECT fold, ranking, ends_at IS NOT NULL FROM season ORDER BY season_id")
        assert folds == [(0, 0, False), (68, 1, False), (67, 0, False), (66, 0, True)]


def test_demo_plays_what_the_key_and_the_seasons_allow(world: World) -> None:
    """A season of another rule is left out. A key that may not define seasons plays the plain one."""
    world.define("demo-lap", operator="sum")
    player, admin = world.key("read", "submit"), world.key()
    with relaying(world), serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api:
        words = ["demo", "--url", f"http://127.0.0.1:{api.port}", "--seconds", "0.5", "--json"]
        done = leaderboard(world, *words, LEADERBOARD_KEY=player)
        assert done.returncode == 0 and "scope admin" in done.stderr, done.stderr
        assert json.loads(done.stdout)["seasons"] == ["demo"]
        done = leaderboard(world, *words, LEADERBOARD_KEY=admin)
        assert done.returncode == 0 and "another rule: demo-lap" in done.stderr, done.stderr
        assert json.loads(done.stdout)["seasons"] == ["demo", "demo-weekly", "demo-cup"]
        again = leaderboard(world, *words, LEADERBOARD_KEY=player)
        assert json.loads(again.stdout)["seasons"] == ["demo", "demo-weekly", "demo-cup"], "they are there already"


def test_relays_stop_when_told(world: World) -> None:
    with relaying(world, 2) as relay:
        assert relay.stop() == 0
        assert "has stopped" in relay.text()
