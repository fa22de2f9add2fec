"""Clusters that REDIS_URL does not fit: one line at the start."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import leaderboard
from support.topologies import QUICK, Nodes, clustered, start, start_cluster_node
from support.world import World

from ctl.embedded import Prefer


@pytest.fixture
def small(prefer_servers: Prefer, tmp_path: Path) -> Iterator[Nodes]:
    with clustered(prefer_servers, tmp_path, masters=1, replicas=0) as nodes:
        yield nodes


def refusal(world: World, url: str) -> str:
    """The one line with which a start ends."""
    done = leaderboard(world, "relay", REDIS_URL=url)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("leaderboard: ")]
    assert done.returncode == 3 and "Traceback" not in done.stderr
    return line


def test_a_database_other_than_0_is_refused(world: World, small: Nodes) -> None:
    assert "cluster mode, which has database 0 only; REDIS_URL names database 3" in refusal(world, f"{small.url}/3")


def test_a_cluster_without_some_slots_is_refused_and_found_by_the_doctor(world: World, small: Nodes) -> None:
    small.nodes[0].client.execute_command("CLUSTER DELSLOTSRANGE", 0, 99)
    assert "100 of the 16384 slots of the cluster have no master" in refusal(world, small.url)
    done = leaderboard(world, "doctor", REDIS_URL=small.url)
    assert done.returncode == 1 and "16284 of 16384 slots" in done.stdout


def test_a_node_of_no_cluster_yet_is_refused(world: World, prefer_servers: Prefer, tmp_path: Path) -> None:
    with ExitStack() as stack:
        alone = start_cluster_node(stack, prefer_servers, tmp_path)
        assert "is a node of a cluster that has no slots" in refusal(world, alone.url)


def test_nodes_of_two_clusters_are_refused(world: World, small: Nodes, prefer_servers: Prefer, tmp_path: Path) -> None:
    with clustered(prefer_servers, tmp_path, masters=1, replicas=0) as other:
        line = refusal(world, f"{small.url},127.0.0.1:{other.nodes[0].port}")
        assert "are nodes of two clusters; REDIS_URL must name nodes of one" in line


def test_a_cluster_beside_one_redis_is_refused(
    world: World, small: Nodes, prefer_servers: Prefer, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        single = start(stack, prefer_servers, tmp_path, **QUICK)
        line = refusal(world, f"{small.url},127.0.0.1:{single.port}")
        assert "is a node of a cluster and" in line and "REDIS_URL must name hosts of one Redis" in line


def test_a_password_that_one_node_lacks_is_refused(
    world: World, small: Nodes, prefer_servers: Prefer, tmp_path: Path
) -> None:
    line = refusal(world, small.url.replace("redis://", "redis://:secret@"))
    assert "AUTH" in line and "password" in line
