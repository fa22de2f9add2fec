"""Several hosts in REDIS_URL, and Sentinels: the master is found, and followed; a wrong combination is one line."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http import free_port
from support.processes import leaderboard, relaying, serving
from support.topologies import NAME, Node, Nodes, guarded_by_sentinels, replicated
from support.waiting import eventually
from support.world import World

from board.errors import BoardUnavailable
from board.redis.async_redis import AsyncRedis
from board.redis.node import WrongNode
from board.redis.options import Address, parse_redis_url
from board.redis.sync_redis import SyncRedis
from board.redis.topology import Topology
from ctl.embedded import Prefer


@pytest.fixture
def pair(prefer_servers: Prefer, tmp_path: Path) -> Iterator[Nodes]:
    with replicated(prefer_servers, tmp_path) as nodes:
        yield nodes


@pytest.fixture
def guarded_pair(prefer_servers: Prefer, tmp_path: Path) -> Iterator[Nodes]:
    with guarded_by_sentinels(prefer_servers, tmp_path) as nodes:
        yield nodes


def connected_to(url: str) -> str:
    """The address at which a connection ends up."""
    redis = SyncRedis(url, "test", 2.0)
    redis.connect()
    redis.close()
    return str(redis.address)


def test_the_master_is_found_among_hosts_in_any_order(pair: Nodes) -> None:
    master, replica = (f"127.0.0.1:{node.port}" for node in pair.nodes)
    silent = f"127.0.0.1:{free_port()}"
    for hosts in ((master, replica), (replica, master), (silent, replica, master)):
        assert connected_to("redis://" + ",".join(hosts)) == master


def test_two_masters_are_refused_since_one_has_old_boards(pair: Nodes) -> None:
    pair.nodes[1].client.replicaof("NO", "ONE")
    with pytest.raises(WrongNode, match="are both masters; REDIS_URL must name hosts of one Redis"):
        connected_to(pair.url)


def test_replicas_alone_are_refused(pair: Nodes) -> None:
    with pytest.raises(WrongNode, match=r"is a replica; .*; 1 more do not answer"):
        connected_to(f"redis://127.0.0.1:{pair.nodes[1].port},127.0.0.1:{free_port()}")


def test_hosts_that_all_are_silent_are_named(pair: Nodes) -> None:
    hosts = [f"127.0.0.1:{free_port()}" for _ in range(2)]
    with pytest.raises(BoardUnavailable, match=f"Redis does not answer: {hosts[0]}"):
        connected_to("redis://" + ",".join(hosts))


def test_workers_and_relays_follow_the_master_among_hosts(world: World, pair: Nodes) -> None:
    with (
        pair.under(world),
        serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0") as api,
        relaying(world, 1, LEADERBOARD_REDIS_TIMEOUT_MS="500") as relays,
        api.client() as http,
    ):
        assert http.post("s", "ada", 1).status == 202
        eventually(lambda: http.rank("s", "ada").status == 200)
        pair.nodes[1].client.replicaof("NO", "ONE")
        pair.nodes[0].client.replicaof("127.0.0.1", pair.nodes[1].port)
        eventually(lambda: http.get("/readyz").status == 200 and http.post("s", "ada", 1).status == 202)
        eventually(lambda: http.rank("s", "ada").status == 200 and http.rank("s", "ada").json["score"] >= 2)
        assert pair.nodes[1].client.exists(world.keys.watermark[0])
        assert relays.running() and "Traceback" not in relays.text() + api.command.text()
        assert leaderboard(world, "verify").returncode == 0


def test_sentinels_lead_to_the_master(guarded_pair: Nodes) -> None:
    assert connected_to(guarded_pair.url) == f"127.0.0.1:{guarded_pair.nodes[0].port}"


@pytest.mark.parametrize(
    ("scheme", "name", "text"),
    [
        ("redis+sentinel", "others", "no Sentinel knows a master with the name 'others'"),
        ("redis", "", "runs in sentinel mode; write redis+sentinel://host:26379/NAME, with the name of the master"),
    ],
)
def test_a_wrong_address_of_sentinels_is_one_line(
    world: World, guarded_pair: Nodes, scheme: str, name: str, text: str
) -> None:
    hosts = guarded_pair.url.partition("://")[2].partition("/")[0]
    one = hosts.partition(",")[0]
    for hosts_of_url in (hosts, one):
        done = leaderboard(world, "relay", REDIS_URL=f"{scheme}://{hosts_of_url}/{name}")
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("leaderboard: ")]
        assert done.returncode == 3 and text in line


def test_redis_in_the_place_of_sentinels_is_one_line(world: World, pair: Nodes) -> None:
    done = leaderboard(world, "relay", REDIS_URL=f"redis+sentinel://127.0.0.1:{pair.nodes[0].port}/{NAME}")
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("leaderboard: ")]
    assert done.returncode == 3 and "is no Sentinel; redis+sentinel:// must name Sentinels, not Redis" in line


def move(sentinels: list[Node], port: int) -> None:
    """Let Sentinels take this node for the master, and tell no node."""
    for one in sentinels:
        one.client.sentinel_remove(NAME)
        one.client.sentinel_monitor(NAME, "127.0.0.1", port, 2)


def test_both_clients_leave_a_master_that_has_a_successor_and_does_not_know(guarded_pair: Nodes) -> None:
    successor = guarded_pair.nodes[1]
    synchronous = SyncRedis(guarded_pair.url, "test", 2.0)
    synchronous.connect()

    def left() -> bool:
        try:
            synchronous.follow()
        except BoardUnavailable as error:
            return "has another master" in str(error)
        return False

    async def use() -> None:
        asynchronous = AsyncRedis(guarded_pair.url, deadline_s=5.0, name="test")
        asynchronous.start()
        await asynchronous.first_try()
        successor.client.replicaof("NO", "ONE")
        await asyncio.to_thread(move, guarded_pair.sentinels, successor.port)
        while asynchronous.address is None or asynchronous.address.port != successor.port:
            await asyncio.sleep(0.01)
        await asynchronous.stop()

    asyncio.run(asyncio.wait_for(use(), 60))
    assert guarded_pair.nodes[0].role == "master", "it does not know"
    eventually(left)
    synchronous.connect()
    assert synchronous.address is not None and synchronous.address.port == successor.port
    synchronous.close()


def test_of_sentinels_that_differ_the_latest_one_is_believed(guarded_pair: Nodes) -> None:
    master, replica = guarded_pair.nodes
    first = guarded_pair.sentinels[0]
    first.client.execute_command("SENTINEL FAILOVER", NAME)
    for one in guarded_pair.sentinels:
        eventually(lambda one=one: one.client.sentinel_get_master_addr_by_name(NAME)[1] == replica.port)

    def differ() -> bool:
        # The others tell it of the later master every two seconds, so the moment may be missed.
        move([first], master.port)
        found = Topology(parse_redis_url(guarded_pair.url)).locate()
        told = (
            first.client.sentinel_get_master_addr_by_name(NAME)[1],
            first.client.sentinel_master(NAME)["config-epoch"],
        )
        if told[0] != master.port or told[1] >= found.epoch:
            return False
        assert found.masters == (Address("127.0.0.1", replica.port),)
        return True

    eventually(differ)


@pytest.mark.walk
@pytest.mark.parametrize("event", ["killed", "stopped"])
def test_a_failover_by_sentinels_loses_and_doubles_nothing(world: World, guarded_pair: Nodes, event: str) -> None:
    master, replica = guarded_pair.nodes
    accepted = 0
    with (
        guarded_pair.under(world),
        serving(world, "/readyz", LEADERBOARD_READ_CACHE_MS="0", LEADERBOARD_READ_DEADLINE_MS="300") as api,
        relaying(world, 2, LEADERBOARD_REDIS_TIMEOUT_MS="500") as relays,
        api.client() as http,
    ):

        def post() -> None:
            nonlocal accepted
            accepted += http.post(f"s{accepted % 20}", "ada", 1).status == 202

        for _ in range(100):
            post()
        if event == "killed":
            master.kill()
        else:
            master.send(signal.SIGSTOP)

        def promoted() -> bool:
            post()
            return replica.role == "master"

        eventually(promoted)
        if event == "stopped":
            # It still believes to be the master, until Sentinels tell it: nobody reads it, and nobody writes to it.
            master.send(signal.SIGCONT)
        for _ in range(100):
            post()
        assert accepted >= 200, "submissions need no Redis"
        eventually(lambda: not world.value("SELECT count(*) FROM outbox"))
        eventually(lambda: http.get("/readyz").status == 200)
        # The players' scores say how many submissions count.
        eventually(lambda: sum(http.rank(f"s{n}", "ada").json.get("score", 0) for n in range(20)) == accepted)
        assert relays.running() and "Traceback" not in relays.text() + api.command.text()
        assert world.value("SELECT sum(score)::int FROM score") == accepted
        # On a slow machine Sentinels may promote the first one again, which lacks the last changes; relays mend it.
        eventually(lambda: leaderboard(world, "verify").returncode == 0)
    if event == "stopped":
        eventually(lambda: sorted(node.role for node in guarded_pair.nodes) == ["master", "slave"])
