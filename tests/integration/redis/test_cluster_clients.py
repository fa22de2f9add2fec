"""Both clients on a cluster, without the system around them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest
from support.topologies import Nodes, clustered, owner
from support.trouble import PASSWORD, RIGHTS, USER
from support.waiting import eventually
from support.world import World

from board.errors import BoardUnavailable
from board.partitions import PARTITIONS
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.redis.replies import NodeUnavailable, concerns_server
from board.redis.sync_redis import SyncRedis
from ctl.embedded import Prefer
from relay.session import RelaySession
from relay.watermarks import suspects, watermarks

APART_S: Final = 0.3
LONG_S: Final = 20.0


@pytest.fixture
def cluster(prefer_servers: Prefer, tmp_path: Path) -> Iterator[Nodes]:
    """Two masters, and no replicas: the slots of one that is away have no node."""
    with clustered(prefer_servers, tmp_path, masters=2, replicas=0) as nodes:
        for node in nodes.nodes:
            node.client.config_set("cluster-require-full-coverage", "no")
        yield nodes


def split(cluster: Nodes, keys: Keyspace) -> tuple[bytes, bytes]:
    """A key of each master."""
    first, second = cluster.nodes
    one = next(mark for mark in keys.watermark if owner(cluster, mark) is first)
    return one, next(mark for mark in keys.watermark if owner(cluster, mark) is second)


def test_a_relay_waits_once_for_a_node_that_hangs(cluster: Nodes) -> None:
    keys = Keyspace("lb")
    with closing(SyncRedis(cluster.url, "test", LONG_S, keys=keys, apart_s=APART_S)) as redis:
        redis.connect()
        hanging, other = split(cluster, keys)
        cluster.nodes[0].send(signal.SIGSTOP)
        with pytest.raises(NodeUnavailable) as refusal:
            redis.call("HGET", hanging, "fence")
        assert concerns_server(refusal.value), "no season is set aside for it"
        began = time.monotonic()
        with pytest.raises(NodeUnavailable):
            redis.call("HGET", hanging, "fence")
        replies = redis.pipeline(("HGET", hanging, "fence"), ("HGET", other, "fence"))
        assert isinstance(replies[0], NodeUnavailable) and replies[1] is None
        assert time.monotonic() - began < APART_S / 2
        cluster.nodes[0].send(signal.SIGCONT)

        def answers() -> bool:
            redis.follow()
            return not isinstance(redis.pipeline(("HGET", hanging, "fence"))[0], NodeUnavailable)

        eventually(answers)


def test_a_command_is_told_whom_it_fails(cluster: Nodes) -> None:
    keys = Keyspace("lb")
    with closing(SyncRedis(cluster.url, "test", 1.0, keys=keys)) as redis:
        redis.connect()
        gone, _ = split(cluster, keys)
        cluster.nodes[0].kill()
        with pytest.raises(BoardUnavailable, match="Redis does not answer"):
            redis.pipeline(("HGET", gone, "fence"))
        with pytest.raises(BoardUnavailable, match="Redis does not answer"):
            redis.connect()


def test_a_worker_keeps_commands_from_a_node_that_hangs(cluster: Nodes) -> None:
    keys = Keyspace("lb")

    async def use() -> None:
        redis = AsyncRedis(cluster.url, deadline_s=LONG_S, name="test", keys=keys)
        redis.start()
        await redis.first_try()
        hanging, other = split(cluster, keys)
        read = {key: pack((b"HGET", key, b"fence")) for key in (hanging, other)}
        assert len(redis.spread(keys.watermark)) == 2
        cluster.nodes[0].send(signal.SIGSTOP)
        first: Any = redis.send(read[hanging])
        async with asyncio.timeout(5.0):
            with pytest.raises(BoardUnavailable, match="did not answer in time"):
                while True:
                    redis.send(read[hanging])
                    await asyncio.sleep(0.01)
        assert await redis.ask(read[other]) is None
        cluster.nodes[0].send(signal.SIGCONT)
        assert await first is None
        assert await redis.ask(read[hanging]) is None
        await redis.stop()

    asyncio.run(asyncio.wait_for(use(), 60))


def test_watermarks_of_a_node_that_is_away_are_unknown_and_not_lost(world: World, cluster: Nodes) -> None:
    with cluster.under(world):
        world.carry_everything()
        session = RelaySession(
            world.settings.database_url, cluster.url, world.keys, limit=10, redis_timeout_s=LONG_S, apart_s=APART_S
        )
        with closing(session):
            assert len(watermarks(session)) == PARTITIONS and not suspects(session)
            cluster.nodes[0].kill()
            assert len(watermarks(session)) == PARTITIONS // 2 and not suspects(session)


def test_a_user_needs_three_commands_more_for_a_cluster(cluster: Nodes) -> None:
    more = ("+cluster|slots", "+cluster|info", "+asking")
    for node in cluster.nodes:
        node.client.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~lb:*", "-@all", *RIGHTS, *more)
    keys = Keyspace("lb")
    url = cluster.url.replace("redis://", f"redis://{USER}:{PASSWORD}@")
    with closing(SyncRedis(url, "test", keys=keys)) as redis:
        redis.connect()
        assert redis.call("HGET", keys.watermark[0], "fence") is None
        for node in cluster.nodes:
            node.client.execute_command("ACL", "SETUSER", USER, "-cluster|slots")
    with (
        closing(SyncRedis(url, "test", keys=keys)) as redis,
        pytest.raises(BoardUnavailable, match="does not tell its slots: NOPERM"),
    ):
        redis.connect()
