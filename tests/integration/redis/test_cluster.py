"""A cluster of three masters and their replicas: the whole system on it, and each way in which a node can go."""

from __future__ import annotations

import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from support.http import Http
from support.processes import Api, Command, leaderboard, relaying, serving
from support.topologies import ALL, Nodes, admit, clustered, move_slot, owner, start_cluster_node
from support.waiting import eventually
from support.world import World

from board.partitions import partition_of
from board.redis.topology.layout import SLOTS, slot_of, tag_of
from ctl.embedded import Prefer

SEASONS = [f"s{n}" for n in range(24)]


@pytest.fixture
def cluster(prefer_servers: Prefer, tmp_path: Path) -> Iterator[Nodes]:
    with clustered(prefer_servers, tmp_path) as nodes:
        yield nodes


class Running(NamedTuple):
    """The whole system on a cluster, and the submissions that were accepted."""

    world: World
    api: Api
    http: Http
    relays: Command
    accepted: Counter[str]

    def post(self, season: str) -> None:
        assert self.http.post(season, "ada", 1).status == 202
        self.accepted[season] += 1

    def post_until(self, look: Callable[[], Any]) -> None:
        """Submit to all seasons in turn, and read, until something is true."""

        def further() -> Any:
            for season in SEASONS:
                self.post(season)
                self.http.rank(season, "ada")
            return look()

        eventually(further, 60, tell=self.relays.tail)

    def shows_all(self) -> bool:
        """Whether the boards show every submission, once."""
        return all(self.http.rank(s, "ada").json.get("score") == count for s, count in self.accepted.items())


@contextmanager
def running(world: World, cluster: Nodes) -> Iterator[Running]:
    """The system under test; at the end nothing is lost and nothing doubled, and no relay has ended."""
    fast = {"LEADERBOARD_READ_CACHE_MS": "0", "LEADERBOARD_READ_DEADLINE_MS": "300"}
    with (
        cluster.under(world),
        serving(world, "/readyz", **fast) as api,
        relaying(world, 2) as relays,
        api.client() as http,
    ):
        system = Running(world, api, http, relays, Counter())
        system.post_until(lambda: True)
        eventually(system.shows_all, 30, tell=relays.tail)
        yield system
        eventually(system.shows_all, 30, tell=relays.tail)
        assert world.value("SELECT sum(score)::int FROM score JOIN season USING (period_id)") == sum(
            system.accepted.values()
        )
        assert world.value("SELECT count(*) FROM ailing") == 0
        done = leaderboard(world, "verify")
        assert done.returncode == 0, done.stdout
        assert "Traceback" not in relays.text() + api.command.text()
        assert relays.text().count("relay is up") == 2, "no relay has started anew"


@pytest.mark.walk
def test_the_whole_system_runs_on_a_cluster(world: World, cluster: Nodes) -> None:
    with running(world, cluster) as system:
        for node in cluster.masters:
            share = sum(owner(cluster, mark) is node for mark in world.keys.watermark)
            assert 20 <= share <= 22, "the partitions are shared evenly"
        owner(cluster, world.keys.watermark[partition_of("s0")]).client.flushall()
        system.post("s0")
        eventually(system.shows_all)
        for words in (["status"], ["rebuild", "--all"], ["rebuild", "--season", "s1"]):
            done = leaderboard(world, *words)
            assert done.returncode == 0, done.stdout + done.stderr
        found = leaderboard(world, "doctor").stdout
        assert "3 masters, 3 replicas, 16384 of 16384 slots" in found
        assert re.search(r"Redis keys +│ ok", found), "every key is known"


def test_scripts_that_every_node_has_forgotten_are_sent_again(world: World, cluster: Nodes) -> None:
    with running(world, cluster) as system:
        for node in cluster.masters:
            node.client.script_flush()
        assert all(system.http.rank(season, "ada").status == 200 for season in SEASONS)
        system.post_until(lambda: True)


@pytest.mark.walk
def test_slots_that_move_key_by_key_to_a_new_node_and_back_are_followed(
    world: World, cluster: Nodes, prefer_servers: Prefer, tmp_path: Path
) -> None:
    """3 masters, 4, and 3 again; with a rebuild and a reset while half of the keys have moved."""
    with running(world, cluster) as system, system.api.client() as other, ExitStack() as stack:
        partition = partition_of("s0")
        mark = world.keys.watermark[partition]
        source, slot = owner(cluster, mark), slot_of(tag_of(mark))
        target = start_cluster_node(stack, prefer_servers, tmp_path)
        admit(cluster, target)

        def between(moved: int) -> None:
            system.post("s1" if moved else "s0")
            system.http.rank("s0", "ada")
            if moved == 1:
                leaderboard(world, "rebuild", "--season", "s0")
                other.send("DELETE", "/v1/seasons/s0")

        move_slot(cluster, slot, source, target, between)
        assert owner(cluster, mark) is target
        assert other.receive().status == 200
        system.accepted["s0"] = 0
        system.post("s0")
        eventually(system.shows_all, tell=system.relays.tail)
        source.client.script_flush()

        def back(moved: int) -> None:
            system.post("s0")
            if moved == ALL:
                # The board can be reached by ASK alone, at a node that has forgotten the scripts.
                eventually(system.shows_all, tell=system.relays.tail)

        move_slot(cluster, slot, target, source, back)
        eventually(system.shows_all, tell=system.relays.tail)
        cluster.nodes.remove(target)
        target.close()
        system.post_until(lambda: True)


def test_slots_that_the_cluster_moves_by_itself_are_followed(world: World, cluster: Nodes) -> None:
    first, second = cluster.nodes[:2]
    if first.client.info("server").get("server_name") != "valkey":
        pytest.skip("CLUSTER MIGRATESLOTS came with Valkey 9.0")
    with running(world, cluster) as system:
        to = second.client.execute_command("CLUSTER MYID")
        first.client.execute_command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", 0, SLOTS // 6, "NODE", to)
        system.post_until(lambda: owner(cluster, world.keys.watermark[0]) is second)


@pytest.mark.walk
@pytest.mark.parametrize("which", ["boards", "queue"])
@pytest.mark.parametrize("event", ["killed", "stopped"])
def test_a_master_that_goes_costs_its_own_boards_until_its_replica_is_promoted(
    world: World, cluster: Nodes, event: str, which: str
) -> None:
    key = world.keys.watermark[0]
    with running(world, cluster) as system:
        key = world.keys.poke if which == "queue" else world.keys.watermark[partition_of("s0")]
        gone = owner(cluster, key)
        mine = [s for s in SEASONS if owner(cluster, world.keys.watermark[partition_of(s)]) is gone]
        assert 0 < len(mine) < len(SEASONS)
        gone.send(signal.SIGKILL if event == "killed" else signal.SIGSTOP)
        others = [s for s in SEASONS if s not in mine]
        for season in others:
            system.post(season)
        assert all(system.http.rank(season, "ada").status == 200 for season in others)
        assert system.http.get("/readyz").status == 200, "the other boards can be served"
        successor = cluster.nodes[cluster.nodes.index(gone) + 3]
        system.post_until(lambda: successor.role == "master")
        eventually(lambda: all(system.http.rank(season, "ada").status == 200 for season in mine))
        if event == "stopped":
            gone.send(signal.SIGCONT)
            system.post_until(lambda: gone.role == "slave")
