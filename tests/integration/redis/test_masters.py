"""The masters of Redis in `leaderboard status` and in the gauges of the relay pool: up, partitions, replicas, lag."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from support.http import free_port
from support.processes import leaderboard
from support.topologies import Nodes, clustered, guarded_by_sentinels, move_slot, owner, replicated
from support.waiting import eventually
from support.world import World

from board.partitions import PARTITIONS
from board.redis.keyspace import Keyspace
from board.redis.masters import RedisStatus, read_masters
from board.redis.options import parse_redis_url
from board.redis.topology import Topology
from board.redis.topology.layout import slot_of, tag_of
from board.redis.topology.sentinel import EVEN
from ctl.commands.status import REPLICA_LAG, describe_nodes
from ctl.embedded import Embedded, Prefer
from ctl.postgres_tools import find_program
from ctl.status_reader import Standby, read_status
from relay.exporter import Masters
from relay.metrics import AWAY, MASTERS


@pytest.fixture
def cluster(prefer_servers: Prefer, tmp_path: Path) -> Iterator[Nodes]:
    with clustered(prefer_servers, tmp_path) as nodes:
        eventually(lambda: [one.replicas for one in ask(nodes).masters] == [1, 1, 1])
        yield nodes


@pytest.fixture
def pair(prefer_servers: Prefer, tmp_path: Path) -> Iterator[Nodes]:
    with replicated(prefer_servers, tmp_path) as nodes:
        eventually(lambda: [one.replicas for one in ask(nodes).masters] == [1])
        yield nodes


def ask(nodes: Nodes) -> RedisStatus:
    return read_masters(Topology(parse_redis_url(nodes.url)), "lb")


def address(port: int) -> str:
    return f"127.0.0.1:{port}"


def gauges(world: World) -> dict[tuple[str, ...], float]:
    """The gauges of Redis by name and label."""
    return {(metric.name, *one.values): one.value for metric, found in Masters(world.settings)() for one in found}


def test_a_cluster_has_the_partitions_of_each_master_and_a_master_that_is_gone_takes_its_own_along(
    world: World, cluster: Nodes
) -> None:
    keys = Keyspace("lb", cluster=True)
    shares = {address(node.port): 0 for node in cluster.masters}
    for key in keys.watermark:
        shares[address(owner(cluster, key).port)] += 1
    found = ask(cluster)
    assert (found.kind, found.away) == ("cluster", 0)
    assert {one.address: one.partitions for one in found.masters} == shares and sum(shares.values()) == PARTITIONS
    assert all(one.up and one.replicas == 1 and one.used_bytes for one in found.masters)

    # Without replicas nobody takes the place of the master.
    for node in cluster.nodes[3:]:
        node.kill()
    gone = cluster.nodes[1]
    eventually(lambda: all(one.replicas == 0 for one in ask(cluster).masters))
    gone.kill()
    found = ask(cluster)
    share = shares[address(gone.port)]
    (dead,) = [one for one in found.masters if not one.up]
    assert (dead.address, dead.partitions, dead.replicas, found.away) == (address(gone.port), share, None, share)

    with cluster.under(world):
        shown = gauges(world)
        assert shown[AWAY.name,] == share
        assert shown[MASTERS["up"].name, dead.address] == 0
        assert (MASTERS["used_bytes"].name, dead.address) not in shown
        done = leaderboard(world, "status")
        assert f"Redis {dead.address}: {share} partitions, does not answer" in done.stdout
        assert f"the boards of {share} partitions cannot be read now" in done.stdout


def test_a_slot_that_moves_takes_its_partition_along(cluster: Nodes) -> None:
    key = Keyspace("lb", cluster=True).watermark[0]
    source = owner(cluster, key)
    target = next(node for node in cluster.masters if node is not source)
    before = {one.address: one.partitions for one in ask(cluster).masters}
    move_slot(cluster, slot_of(tag_of(key)), source, target, lambda _: None)
    moved = {**before, address(source.port): before[address(source.port)] - 1}
    moved[address(target.port)] += 1
    eventually(lambda: {one.address: one.partitions for one in ask(cluster).masters} == moved)


def test_a_partition_without_a_master_is_away(cluster: Nodes) -> None:
    key = Keyspace("lb", cluster=True).watermark[0]
    for node in cluster.nodes:
        node.client.execute_command("CLUSTER DELSLOTS", slot_of(tag_of(key)))
    eventually(lambda: ask(cluster).away == 1)


def test_a_replica_that_has_gone_is_not_counted(world: World, pair: Nodes) -> None:
    master, replica = pair.nodes
    (one,) = ask(pair).masters
    assert (one.address, one.partitions, one.replicas) == (address(master.port), PARTITIONS, 1)
    replica.client.execute_command("REPLICAOF", *address(free_port()).split(":"))
    eventually(lambda: ask(pair).masters[0].replicas == 0)
    with pair.under(world):
        assert f"Redis {one.address}" not in leaderboard(world, "status").stdout, "a single Redis without replicas"


def test_how_far_a_replica_is_behind_is_the_masters_offset_less_its_own(pair: Nodes) -> None:
    master, replica = pair.nodes
    replica.send(signal.SIGSTOP)
    master.client.set("x", "y" * 100_000)
    found = eventually(lambda: ask(pair).masters[0].lag_bytes)
    assert 100_000 <= found < 200_000


def test_sentinels_name_the_master_and_nobody_means_that_all_is_away(
    world: World, prefer_servers: Prefer, tmp_path: Path
) -> None:
    with guarded_by_sentinels(prefer_servers, tmp_path) as nodes, nodes.under(world):
        found = ask(nodes)
        assert (found.kind, found.away) == ("sentinel", 0)
        assert [(one.address, one.partitions) for one in found.masters] == [(address(nodes.nodes[0].port), PARTITIONS)]
        for node in nodes.sentinels:
            node.kill()
        assert gauges(world) == {(AWAY.name,): PARTITIONS}
        status = json.loads(leaderboard(world, "status", "--json").stdout)
        assert (status["kind"], status["away"], status["masters"]) == ("unknown", PARTITIONS, [])


def test_a_user_who_may_not_ask_for_info_sees_the_masters(world: World, pair: Nodes) -> None:
    pair.nodes[0].client.execute_command("ACL SETUSER poor on >secret ~* &* +@all -info")
    url = f"redis://poor:secret@{address(pair.nodes[0].port)}"
    (one,) = read_masters(Topology(parse_redis_url(url)), "lb").masters
    assert (one.up, one.partitions, one.replicas, one.used_bytes) == (True, PARTITIONS, None, None)


def lines(world: World, **changed: Any) -> list[tuple[str, bool]]:
    """The lines of a status with changed members."""
    return describe_nodes(msgspec.structs.replace(read_status(world.settings), **changed))


def test_lines_are_red_where_an_alert_would_fire(world: World, pair: Nodes) -> None:
    (one,) = ask(pair).masters
    late = msgspec.structs.replace(one, lag_bytes=REPLICA_LAG, used_bytes=3 * 2**30, limit_bytes=2**32)
    text = f"Redis {one.address}: 64 partitions, 1 replicas, 64.0 MiB behind, 3.0 GiB of 4.0 GiB"
    assert lines(world, masters=(late,)) == [(text, True)]
    alone = msgspec.structs.replace(one, replicas=0, used_bytes=1_500, limit_bytes=0)
    bare = f"Redis {one.address}: 64 partitions, 0 replicas, 1.5 KiB"
    assert lines(world, masters=(alone, alone), kind="cluster") == [(bare, True)] * 2
    assert lines(world, masters=(alone, alone)) == [(bare, False)] * 2
    standbys = [Standby("s1", "streaming", "sync", 5), Standby("s2", "streaming", "async", 2**28)]
    assert lines(world, standbys=[*standbys, Standby("?", "unknown", "unknown", None)]) == [
        ("PostgreSQL standby s1: streaming, sync, 5 bytes behind", False),
        ("PostgreSQL standby s2: streaming, async, 256.0 MiB behind", True),
        ("PostgreSQL standby ?: unknown, unknown, unknown behind", False),
    ]


def test_what_replicates_from_postgresql_is_listed(world: World, servers: Embedded, tmp_path: Path) -> None:
    assert servers.database_url is not None
    with psycopg.connect(servers.database_url) as db:
        program = find_program("pg_receivewal", db.info.server_version // 10_000)
    # It takes WAL as a standby does, and replays none.
    url = psycopg.conninfo.make_conninfo(servers.database_url, application_name="archive")
    argv = [program, "--dbname", url, "--directory", str(tmp_path), "--no-loop"]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as receiver:
        try:
            (found,) = eventually(lambda: read_status(world.settings).standbys)
            assert found == Standby("archive", "unknown", "unknown", None), "a role without the rights of pg_monitor"
            with psycopg.connect(servers.database_url, autocommit=True) as admin:
                admin.execute(f'GRANT pg_monitor TO "{world.name}"'.encode())
            known = [Standby("archive", "streaming", "async", None)]
            assert eventually(lambda: read_status(world.settings).standbys == known)
        finally:
            receiver.send_signal(signal.SIGINT)
    assert eventually(lambda: read_status(world.settings).standbys == [])


def test_the_doctor_warns_of_a_master_without_a_replica(
    world: World, prefer_servers: Prefer, tmp_path: Path, pair: Nodes
) -> None:
    with clustered(prefer_servers, tmp_path, masters=1, replicas=0) as alone:
        done = leaderboard(world, "doctor", REDIS_URL=alone.url)
        assert f"Redis {address(alone.nodes[0].port)} replicas" in done.stdout
        assert "0, 64 partitions" in done.stdout and "give it a replica" in " ".join(done.stdout.split())
    assert "replicas" not in leaderboard(world, "doctor", REDIS_URL=pair.url).stdout


@pytest.mark.parametrize(("number", "is_even"), [(2, True), (3, False)])
def test_an_even_number_of_sentinels_is_told(
    number: int, is_even: bool, world: World, prefer_servers: Prefer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with guarded_by_sentinels(prefer_servers, tmp_path, number=number) as nodes:
        done = json.loads(leaderboard(world, "doctor", "--json", REDIS_URL=nodes.url).stdout)
        (one,) = (finding for finding in done["findings"] if finding["check"] == "Sentinels")
        assert one["severity"] == ("warning" if is_even else "ok")
        assert one["found"] == f"{number}, of which REDIS_URL names {number}; {number} of these answer"
        topology = Topology(parse_redis_url(nodes.url))
        for _ in range(2):
            topology.locate()
        assert [record.getMessage() for record in caplog.records].count(EVEN) == is_even
