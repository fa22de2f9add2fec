"""A user of Redis with exactly the commands that docs/ops/managed.md lists: all works, and none of them is spare."""

from __future__ import annotations

import json
import re
from typing import Final

import msgspec
import pytest
from support.http import bearer
from support.processes import leaderboard, relaying, serving
from support.repository import REPOSITORY
from support.trouble import OwnRedis
from support.waiting import eventually
from support.walk import walk
from support.world import World

PAGE: Final = (REPOSITORY / "docs" / "ops" / "managed.md").read_text(encoding="utf-8")
LIMITS: Final = {
    "LEADERBOARD_AUTH": "keys",
    "LEADERBOARD_LIMIT_KEY": "10000",
    "LEADERBOARD_LIMIT_PLAYER": "10000",
    "LEADERBOARD_LIMIT_WINDOW_S": "3600",
    "LEADERBOARD_LIMIT_DEADLINE_MS": "5000",
}
SETINFO: Final = "client|setinfo"
"""redis-py tells Redis its name where it may; its refusal is ignored, and Redis 7.0 does not know it."""


def rights_of_page() -> list[str]:
    """The rights in the page's line, for the prefix `lb`."""
    (line,) = re.findall(r"^ACL SETUSER leaderboard on >PASSWORD (.*(?:\n    .*)*)$", PAGE, re.MULTILINE)
    return str(line).split()


@pytest.fixture
def limited(own_redis: OwnRedis) -> World:
    """A world whose processes are a user of Redis as the page makes it."""
    world = own_redis.world
    rights = [right.replace("~lb:", f"~{world.name}:") for right in rights_of_page()]
    world.redis.execute_command("ACL", "SETUSER", "leaderboard", "on", ">PASSWORD", *rights)
    path = world.settings.redis_url.rpartition("@")[2]
    url = f"unix://leaderboard:PASSWORD@{path.partition('?')[0]}?db=0"
    world.settings = msgspec.structs.replace(world.settings, redis_url=url)
    world.redis.config_resetstat()
    return world


def test_the_commands_of_the_page_are_enough_and_all_needed(limited: World) -> None:
    world = limited
    with (
        relaying(world, LEADERBOARD_RELAY_SAMPLE_MS="100"),
        serving(world, "/readyz", **LIMITS) as api,
        api.client() as http,
    ):
        headers = bearer(world.key())
        api.until_known(headers["Authorization"].removeprefix("Bearer "))

        def settled() -> None:
            eventually(lambda: world.board("s") == world.expected("s"))

        walk(http, headers, "s", settled)
        world.correct("s", "ada", None)
        settled()
        assert world.submit(("s", "grace", 2))
        settled()
        # A board that was altered by hand is found by a reader, and loaded anew.
        world.redis.delete(world.keys.members(world.value("SELECT partition FROM season"), b"s"))
        path = "/v1/seasons/s/leaderboard/top"
        eventually(lambda: http.ask("GET", path, None, headers).status == 200)
        settled()
        for command in (["verify"], ["rebuild", "--all"], ["status"]):
            done = leaderboard(world, *command)
            assert done.returncode == 0, done.stdout + done.stderr
        findings = json.loads(leaderboard(world, "doctor", "--json").stdout)["findings"]
        severities = {found["check"]: found["severity"] for found in findings}
        assert severities["Redis"] == severities["Redis keys"] == "ok" and severities["Redis INFO"] == "info"
    denied = {entry["object"] for entry in world.redis.acl_log()}
    assert denied - {SETINFO} == {"info"}, "the doctor's, which the page leaves out"
    used = {name.removeprefix("cmdstat_") for name in world.redis.info("commandstats")}
    listed = {right.removeprefix("+") for right in rights_of_page() if right.startswith("+")}
    assert listed - used == set(), "rights that nothing needs"


def test_only_quotas_expire(limited: World) -> None:
    """So an eviction policy for keys with an expiry leaves boards alone, and one for all keys does not."""
    world = limited
    # A request keeps the quota's key for 3.6 s more.
    limits = {**LIMITS, "LEADERBOARD_LIMIT_KEY": "1000"}
    with relaying(world), serving(world, "/readyz", **limits) as api, api.client() as http:
        headers = bearer(world.key())
        api.until_known(headers["Authorization"].removeprefix("Bearer "))
        walk(http, headers, "s", lambda: eventually(lambda: world.board("s") == world.expected("s")))
    expiring = {key for key in world.redis.scan_iter(match=f"{world.name}:*") if world.redis.ttl(key) != -1}
    assert expiring and all(b"{limits}" in key for key in expiring)
