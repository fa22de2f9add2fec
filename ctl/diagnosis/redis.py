"""Checks of Redis: version, role, eviction, memory, persistence, keys of no season."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg

from board.partitions import partition_of
from board.pg.prefix import read_prefix
from board.redis.keyspace import Keyspace
from board.redis.masters import RedisStatus
from board.redis.node import HELLO, parse_hello
from board.redis.options import RedisOptions
from board.redis.replies import code_of, describe, parse_info
from board.redis.sync_node import SyncNode
from board.redis.sync_redis import ResponseError, SyncRedis
from board.redis.topology import LOCATE_TIMEOUT_S
from board.redis.topology.layout import SLOTS, Layout
from board.redis.topology.sentinel import EVEN, count_sentinels, look
from ctl.diagnosis.finding import Finding, judge

MEMORY_MOST: Final = 0.8
KEYS_MOST: Final = 1_000_000
SCAN_COUNT: Final = 1_000


def examine_redis(redis: SyncNode, name: str = "Redis") -> Iterator[Finding]:
    """The findings of HELLO and INFO; `name` is that of the node. Raises `BoardUnavailable`, `ResponseError`."""
    yield examine_node(redis, name)
    try:
        info = parse_info(redis.call("INFO"))
    except ResponseError as error:
        if code_of(error) != "NOPERM":
            raise
        unknown = "memory, eviction and persistence are not checked: allow this user INFO"
        yield Finding(f"{name} INFO", "info", describe(error), unknown)
        return
    policy = info.get("maxmemory_policy", "?")
    yield judge(
        f"{name} maxmemory-policy",
        policy,
        policy == "noeviction",
        "error",
        "Redis would evict boards when memory is short: set noeviction",
    )
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most:
        yield judge(
            f"{name} memory",
            f"{used / most:.0%} of maxmemory",
            used < MEMORY_MOST * most,
            "warning",
            "writes are refused at 100 %: raise maxmemory",
        )
    else:
        limit = "set a limit: it protects the rest of the machine"
        yield Finding(f"{name} memory", "info", f"{used / 2**20:.0f} MiB, no maxmemory", limit)
    states = [info.get(name, "ok") for name in ("rdb_last_bgsave_status", "aof_last_write_status")]
    yield judge(
        f"{name} disk",
        f"last snapshot {states[0]}, append-only file {states[1]}",
        states == ["ok", "ok"],
        "error",
        "Redis refuses writes (MISCONF) while it cannot save: free its disk",
    )
    saved = info.get("aof_enabled") == "1"
    yield judge(
        f"{name} appendonly",
        "yes" if saved else "no",
        saved,
        "info",
        "boards are rebuilt from PostgreSQL after a restart; appendonly yes saves that time",
    )


def examine_node(redis: SyncNode, name: str) -> Finding:
    """Version and role, which the connection has checked."""
    try:
        node = parse_hello(redis.call(*HELLO))
    except ResponseError as error:
        return Finding(name, "warning", describe(error), "version and role are not checked: allow this user HELLO")
    return Finding(name, "ok", f"{node.server} {node.version}, {node.role}")


def examine_cluster(layout: Layout) -> Finding:
    """The masters of a cluster, and whether every slot has one."""
    return judge(
        "Redis Cluster",
        f"{len(layout.masters)} masters, {len(layout.replicas)} replicas, {SLOTS - layout.missing} of {SLOTS} slots",
        not layout.missing,
        "error",
        "boards in slots without a master cannot be kept: assign them",
    )


def examine_sentinels(options: RedisOptions) -> Finding:
    """The number of Sentinels. Raises `BoardUnavailable`, `WrongNode`."""
    views = look(options, LOCATE_TIMEOUT_S)
    number = count_sentinels(views)
    found = f"{number}, of which REDIS_URL names {len(options.addresses)}; {len(views)} of these answer"
    return judge("Sentinels", found, number % 2 == 1, "warning", EVEN)


def examine_replicas(status: RedisStatus) -> Iterator[Finding]:
    """Whether each master behind Sentinels or in a cluster has a replica to be promoted. One Redis alone needs none."""
    for master in status.masters if status.kind != "standalone" else ():
        if master.replicas is not None:
            yield judge(
                f"Redis {master.address} replicas",
                f"{master.replicas}, {master.partitions} partitions",
                master.replicas > 0,
                "warning",
                "nothing takes its place if it ends: give it a replica",
            )


def examine_prefix(db: psycopg.Connection[Any], prefix: str) -> Finding:
    """Whether the boards of this database are kept under the prefix of the settings. Raises `psycopg.Error`."""
    recorded = read_prefix(db)
    fine = recorded in (None, prefix)
    found = f"{prefix!r}" if fine else f"{prefix!r} here, {recorded!r} in the database"
    return judge("Redis prefix", found, fine, "error", "set LEADERBOARD_REDIS_PREFIX to that of the database")


def examine_keys(redis: SyncRedis, prefix: str, seasons: Sequence[str]) -> Finding:
    """Keys of this prefix that belong to none of the seasons; looks at a million keys at most."""
    keys = Keyspace(prefix, cluster=redis.layout is not None)
    quotas = keys.limit(b"")
    known = {*keys.watermark, *keys.periods, *keys.temporary, keys.poke, keys.held}
    for season in seasons:
        partition = partition_of(season)
        known |= {keys.board(partition, season.encode()), keys.members(partition, season.encode())}
    orphans = seen = 0
    for key in redis.scan(prefix.encode() + b":*", SCAN_COUNT):
        seen += 1
        # The temporary keys of a rebuild are not orphans, nor are quotas, which expire.
        orphans += key not in known and b"}:t" not in key and not key.startswith(quotas)
        if seen > KEYS_MOST:
            break
    return judge(
        "Redis keys",
        f"{orphans:,} of {seen:,} belong to no season",
        not orphans,
        "warning",
        "another leaderboard with the same LEADERBOARD_REDIS_PREFIX? Nothing of this one reads them: UNLINK them",
    )
