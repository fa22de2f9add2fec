"""Each check of the doctor fails where its subject is wrong, and passes where it is right.

PostgreSQL's state is tampered with by views and functions of the same names in the schema of the test, which the search
path has before `pg_catalog`.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

import msgspec
import pytest
from support.marks import thinned
from support.relays import S, write_watermark
from support.trouble import OwnRedis, snapshot
from support.world import World

from board.config.settings import Settings
from ctl.diagnosis import host
from ctl.diagnosis.examine import examine
from ctl.diagnosis.finding import Finding
from ctl.diagnosis.postgres import judge_buffers


def tampered(world: World) -> Settings:
    """Settings by which names of the world's schema come before those of PostgreSQL."""
    url, options = urlsplit(world.server_url), quote(f"-c search_path={world.name},pg_catalog")
    return msgspec.structs.replace(
        world.settings, database_url=f"postgresql://{world.name}@{url.path}?{url.query}&options={options}"
    )


def findings(settings: Settings) -> dict[str, Finding]:
    """What the doctor finds, by check."""
    return {finding.check: finding for finding in examine(settings)}


def setting(name: str, value: str) -> str:
    """SQL by which one setting of the server has another value."""
    return (
        "CREATE VIEW pg_settings AS SELECT name, "
        f"CASE name WHEN '{name}' THEN '{value}' WHEN 'fsync' THEN 'on' WHEN 'full_page_writes' THEN 'on' "
        "WHEN 'synchronous_commit' THEN 'on' WHEN 'data_checksums' THEN 'on' ELSE setting END AS setting "
        "FROM pg_catalog.pg_settings"
    )


def clients(number: str, age_s: float = 0.0) -> str:
    """SQL by which so many clients are connected, with a transaction of this age, besides relays."""
    return (
        "CREATE VIEW pg_stat_activity AS SELECT 0 AS pid, 'client backend' AS backend_type, "
        "current_database() AS datname, session_user AS usename, 'leaderboard-relay' AS application_name, "
        f"pg_catalog.clock_timestamp() - interval '{age_s} seconds' AS xact_start "
        f"FROM generate_series(1, {number})"
    )


def clock(late_s: float) -> str:
    """SQL by which PostgreSQL's clock is late."""
    return (
        "CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
        f"$$ SELECT pg_catalog.clock_timestamp() - interval '{late_s} seconds' $$"
    )


MOST = "current_setting('max_connections')::int"

POSTGRES: list[tuple[str, str, str]] = [
    ("PostgreSQL fsync", setting("fsync", "off"), "error"),
    ("PostgreSQL fsync", setting("fsync", "on"), "ok"),
    ("PostgreSQL full_page_writes", setting("full_page_writes", "off"), "error"),
    ("PostgreSQL synchronous_commit", setting("synchronous_commit", "off"), "error"),
    ("PostgreSQL synchronous_commit", setting("synchronous_commit", "local"), "error"),
    ("PostgreSQL synchronous_commit", setting("synchronous_commit", "remote_apply"), "ok"),
    ("PostgreSQL data_checksums", setting("data_checksums", "off"), "info"),
    ("PostgreSQL autovacuum", setting("autovacuum", "off"), "error"),
    ("clock", clock(-1.5), "warning"),
    ("clock", clock(1.5), "warning"),
    ("clock", clock(-0.5), "ok"),
    ("PostgreSQL connections", clients(f"{MOST} * 85 / 100"), "warning"),
    ("PostgreSQL connections", clients(f"{MOST} * 75 / 100"), "ok"),
    ("PostgreSQL transactions", clients("1", 305), "warning"),
    ("PostgreSQL transactions", clients("1", 290), "ok"),
    (
        "PostgreSQL role",
        "CREATE FUNCTION pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "error",
    ),
    ("relays", clients("0"), "error"),
    ("relays", clients("1"), "ok"),
    ("relays", clients("1").replace("session_user", "'another'::name"), "error"),
]


@pytest.mark.parametrize(("check", "state", "severity"), thinned(POSTGRES, 3))
def test_the_state_of_postgresql_is_judged(world: World, check: str, state: str, severity: str) -> None:
    world.execute(state)
    assert findings(tampered(world))[check].severity == severity


def test_what_waits_in_postgresql_is_judged(world: World) -> None:
    world.submit(("s", "ada", 1))
    assert findings(world.settings)["outbox"].severity == "ok"
    world.execute("UPDATE outbox SET queued_at = now() - interval '9 seconds'")
    assert findings(world.settings)["outbox"].severity == "ok"
    world.execute("UPDATE outbox SET queued_at = now() - interval '11 seconds' WHERE user_id = 'ada'")
    found = findings(world.settings)["outbox"]
    assert found.severity == "error" and found.found.startswith("2 hints, oldest 11.")


def test_a_season_set_aside_and_fences_that_differ_are_told(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.carry_everything()
    found = findings(world.settings)
    assert "season" not in found and "fences" not in found
    world.session().execute("set_aside", season="s", partition=S, reason="a test")
    held = world.fence("s")
    assert held is not None
    write_watermark(world, fence=held - 1)
    found = findings(world.settings)
    assert found["season"].severity == "error" and "'s' is set aside: a test" in found["season"].found
    assert found["fences"].severity == "warning" and found["fences"].found.startswith("1 partitions")
    world.terminate("leaderboard-relay")
    assert findings(world.settings)["fences"].severity == "error"
    write_watermark(world, fence=held, identity="1:00000001")
    assert findings(world.settings)["fences"].found.startswith("1 partitions")


def test_another_prefix_is_told(world: World) -> None:
    world.carry_everything()
    world.execute("UPDATE cluster SET redis_prefix = 'another'")
    assert findings(world.settings)["Redis prefix"].severity == "error"


def test_the_state_of_redis_is_judged(own_redis: OwnRedis) -> None:
    world = own_redis.world
    world.submit(("s", "ada", 1))
    world.carry_everything()
    settings = msgspec.structs.replace(world.settings, redis_url=world.socket)
    world.redis.config_set("maxmemory-policy", "noeviction")
    world.redis.config_set("appendonly", "yes")
    snapshot(world.redis, "ok")
    found = findings(settings)
    checks = {check: f.severity for check, f in found.items() if check.startswith("Redis ")}
    assert checks == {
        **{f"Redis {name}": "ok" for name in ("prefix", "maxmemory-policy", "disk", "appendonly", "keys")},
        "Redis memory": "info",
    }
    world.redis.config_set("maxmemory-policy", "allkeys-lru")
    world.redis.config_set("appendonly", "no")
    world.redis.config_set("maxmemory", int(world.redis.info("memory")["used_memory"] * 2))
    world.redis.set(world.keys.tag[S] + b"z:nobody", "x")
    found = findings(settings)
    assert found["Redis maxmemory-policy"].severity == "error"
    assert found["Redis appendonly"].severity == "info"
    assert found["Redis memory"].severity == "ok"
    assert found["Redis keys"].severity == "warning"
    world.redis.config_set("maxmemory", int(world.redis.info("memory")["used_memory"] / 0.9))
    assert findings(settings)["Redis memory"].severity == "warning"
    world.redis.config_set("maxmemory", 0)
    with own_redis.trouble("unsaved"):
        assert findings(settings)["Redis disk"].severity == "error"
    # The user of the processes may not ask for INFO: that is told, and no reason to stop.
    limited = findings(world.settings)
    assert limited["Redis INFO"].severity == "info" and "Redis keys" in limited


@pytest.mark.parametrize(("free", "severity"), [(9, "warning"), (11, "ok")])
def test_the_disk_is_judged(world: World, monkeypatch: pytest.MonkeyPatch, free: int, severity: str) -> None:
    monkeypatch.setattr(host.shutil, "disk_usage", lambda path: host.shutil._ntuple_diskusage(100, 100 - free, free))
    found = {finding.check: finding for finding in host.examine_host(world.settings)}
    assert found["disk"].severity == severity


def test_workers_are_judged_by_the_cores(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, "cpu_count", lambda: 2)
    for workers, severity in ((4, "ok"), (5, "info")):
        settings = msgspec.structs.replace(world.settings, workers=workers)
        found = {finding.check: finding for finding in host.examine_host(settings)}
        assert found["workers"].severity == severity


def test_memory_for_pages_is_judged_by_the_scores() -> None:
    assert judge_buffers(128 << 20, 128 << 20).severity == "ok"
    assert judge_buffers(128 << 20, (128 << 20) + 1).severity == "warning"
