"""Redis on several nodes, as real processes: a master with replicas, Sentinels, a cluster."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
import redis

from board.redis.topology.layout import SLOTS, slot_of, tag_of
from ctl.embedded import Prefer
from ctl.embedded.installations import find_redis
from support.http import free_port
from support.waiting import eventually
from support.world import World

NAME: Final = "boards"
"""The name by which Sentinels know the master."""
NODE_TIMEOUT_MS: Final = 1_000
"""The silence after which a node is taken for down, in tests that want this."""
CALM_MS: Final = 60_000
"""The same for the servers of all other tests: no replica takes over because the machine is busy."""
ALL: Final = -1
QUICK: Final = {"save": "", "appendonly": "no", "bind": "127.0.0.1", "repl-diskless-sync-delay": "0"}


class Node:
    """A server process with a port of its own. Its files are in a directory named after the port."""

    def __init__(
        self, program: Path, directory: Path, mode: str = "", lines: Sequence[str] = (), **settings: str | int
    ) -> None:
        self.port: Final = free_port()
        self.url: Final = f"redis://127.0.0.1:{self.port}"
        home = directory / str(self.port)
        home.mkdir()
        config = home / "node.conf"
        pairs: dict[str, str | int] = {"port": self.port, "dir": str(home), **settings}
        text = [f"{name.replace('_', '-')} {value if value != '' else chr(34) * 2}" for name, value in pairs.items()]
        config.write_text("\n".join([*text, *lines, ""]), encoding="utf-8")
        self._words: Final = [str(program), str(config), *([mode] if mode else [])]
        self._log: Final = home / "log"
        self.process: subprocess.Popen[bytes]
        self.client: Final[Any] = redis.Redis(port=self.port, decode_responses=True, socket_timeout=5)
        self.start()

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        with self._log.open("ab") as output:
            self.process = subprocess.Popen(self._words, stdout=output, stderr=output, cwd=self._log.parent)
        eventually(self._answers, tell=lambda: self._log.read_text(encoding="utf-8", errors="replace"))

    def _answers(self) -> bool:
        assert self.process.poll() is None, self._log.read_text(encoding="utf-8", errors="replace")
        try:
            return bool(self.client.ping())
        except redis.exceptions.RedisError:
            return False

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        """End the process at once, as a crash does."""
        self.process.kill()
        self.process.wait()

    @property
    def role(self) -> str:
        """`master` or `slave`."""
        return str(self.client.role()[0])

    def close(self) -> None:
        """End the process."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()


class Nodes(msgspec.Struct):
    """The nodes of one Redis, its URL, and a client of it for the test: it sees what a master holds."""

    url: str
    nodes: list[Node]
    sentinels: list[Node]
    make_client: Callable[[], Any]

    @property
    def masters(self) -> list[Node]:
        """The running nodes that are masters."""
        return [node for node in self.nodes if node.process.poll() is None and node.role == "master"]

    @contextmanager
    def under(self, world: World) -> Iterator[None]:
        """Let a world use this Redis."""
        settings, client = world.settings, world.redis
        world.settings = msgspec.structs.replace(settings, redis_url=self.url)
        world.redis = self.make_client()  # type: ignore[misc]
        world.keys.adopt(cluster=len(self.nodes) > 2)
        try:
            yield
        finally:
            world.keys.adopt(cluster=False)
            world.redis.close()
            world.settings = settings
            world.redis = client  # type: ignore[misc]


def program(prefer: Prefer) -> Path:
    """The server that nodes run."""
    return find_redis(prefer, None)[0].program


@contextmanager
def replicated(prefer: Prefer, directory: Path) -> Iterator[Nodes]:
    """A master and its replica."""
    with ExitStack() as stack:
        master = start(stack, prefer, directory, **QUICK)
        replica = start(stack, prefer, directory, replicaof=f"127.0.0.1 {master.port}", **QUICK)
        eventually(lambda: replica.client.role()[3] == "connected")
        url = f"redis://127.0.0.1:{master.port},127.0.0.1:{replica.port}"
        yield Nodes(url, [master, replica], [], lambda: redis.Redis.from_url(master.url))


@contextmanager
def guarded_by_sentinels(
    prefer: Prefer, directory: Path, *, node_timeout_ms: int = NODE_TIMEOUT_MS, number: int = 3
) -> Iterator[Nodes]:
    """A master and its replica, and three Sentinels that promote the replica after a time of silence."""
    with ExitStack() as stack:
        pair = stack.enter_context(replicated(prefer, directory))
        master = pair.nodes[0]
        lines = [
            f"sentinel monitor {NAME} 127.0.0.1 {master.port} 2",
            f"sentinel down-after-milliseconds {NAME} {node_timeout_ms}",
            f"sentinel failover-timeout {NAME} 5000",
        ]
        sentinels = [start(stack, prefer, directory, "--sentinel", lines, bind="127.0.0.1") for _ in range(number)]
        for one in sentinels:
            eventually(lambda one=one: sees(one, sentinels=number, replicas=1))
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in sentinels)
        known = redis.sentinel.Sentinel([("127.0.0.1", one.port) for one in sentinels])
        yield Nodes(f"redis+sentinel://{hosts}/{NAME}", pair.nodes, sentinels, lambda: known.master_for(NAME))


def sees(sentinel: Node, *, sentinels: int, replicas: int) -> bool:
    """Whether a Sentinel knows so many Sentinels, itself among them, and replicas: only then it can fail over."""
    state = sentinel.client.sentinel_master(NAME)
    return (state["num-other-sentinels"] + 1, state["num-slaves"]) == (sentinels, replicas)


@contextmanager
def clustered(
    prefer: Prefer,
    directory: Path,
    masters: int = 3,
    replicas: int = 3,
    *,
    node_timeout_ms: int = NODE_TIMEOUT_MS,
) -> Iterator[Nodes]:
    """A cluster with equal shares of the slots; the first nodes are masters, the next ones their replicas."""
    with ExitStack() as stack:
        nodes = [start_cluster_node(stack, prefer, directory, node_timeout_ms) for _ in range(masters + replicas)]
        join(nodes, masters)
        url = "redis://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes[:3])
        yield Nodes(url, nodes, [], lambda: redis.RedisCluster("127.0.0.1", nodes[0].port))


def start_cluster_node(
    stack: ExitStack, prefer: Prefer, directory: Path, node_timeout_ms: int = NODE_TIMEOUT_MS
) -> Node:
    """A node in cluster mode, which knows no other one yet."""
    return start(
        stack, prefer, directory, cluster_enabled="yes", cluster_port=free_port(), cluster_node_timeout=node_timeout_ms,
        cluster_replica_validity_factor=0,
        cluster_allow_replica_migration="no", **QUICK,
    )  # fmt: skip


def join(nodes: Sequence[Node], masters: int) -> None:
    """Make a cluster of the nodes, and wait until all of them agree."""
    first = nodes[0]
    for number, node in enumerate(nodes):
        node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        bus = node.client.config_get("cluster-port")["cluster-port"]
        if node is not first:
            first.client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)
    for number, node in enumerate(nodes[:masters]):
        last = SLOTS * (number + 1) // masters - 1
        node.client.execute_command("CLUSTER ADDSLOTSRANGE", SLOTS * number // masters, last)
    for node in nodes:
        eventually(lambda node=node: cluster_fact(node, "cluster_known_nodes") == str(len(nodes)))
    ids = [node.client.execute_command("CLUSTER MYID") for node in nodes]
    for number, node in enumerate(nodes[masters:]):
        node.client.execute_command("CLUSTER REPLICATE", ids[number % masters])
    for node in nodes:
        eventually(lambda node=node: cluster_fact(node, "cluster_state") == "ok")
    for node in nodes[masters:]:
        eventually(lambda node=node: node.client.role()[0] == "slave" and node.client.role()[3] == "connected")
    for node in nodes:
        eventually(lambda node=node: replicas_of(node) == len(nodes) - masters)


def owner(cluster: Nodes, key: bytes) -> Node:
    """The master of a key."""
    slot = slot_of(tag_of(key))
    for first, last, primary, *_ in cluster.masters[0].client.cluster("SLOTS"):
        if first <= slot <= last:
            return next(node for node in cluster.nodes if node.port == primary[1])
    raise AssertionError(f"slot {slot} has no master")


def admit(cluster: Nodes, node: Node) -> None:
    """Let a node join a cluster, as a master without slots."""
    first = cluster.nodes[0]
    bus = node.client.config_get("cluster-port")["cluster-port"]
    first.client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, bus)
    cluster.nodes.append(node)
    for one in cluster.nodes:
        eventually(lambda one=one: cluster_fact(one, "cluster_known_nodes") == str(len(cluster.nodes)))
    eventually(lambda: cluster_fact(node, "cluster_state") == "ok")


def move_slot(cluster: Nodes, slot: int, source: Node, target: Node, between: Callable[[int], None]) -> None:
    """Move a slot key by key, as `redis-cli --cluster reshard` does; `between` gets the number of keys moved so far.

    It gets `ALL` at the end, when the source still owns the slot, and has none of its keys.
    """
    ids = {node: node.client.execute_command("CLUSTER MYID") for node in (source, target)}
    target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
    source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
    moved = 0
    between(moved)
    while keys := source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
        source.client.execute_command("MIGRATE", "127.0.0.1", target.port, keys[0], 0, 5_000, "REPLACE")
        moved += 1
        between(moved)
    between(ALL)
    for node in (target, source, *cluster.masters):
        node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target])


def replicas_of(node: Node) -> int:
    """Number of replicas that a node of a cluster knows."""
    return sum("slave" in known["flags"] for known in node.client.cluster("NODES").values())


def cluster_fact(node: Node, name: str) -> str:
    """A fact of CLUSTER INFO."""
    return str(node.client.cluster("INFO")[name])


def start(
    stack: ExitStack, prefer: Prefer, directory: Path, mode: str = "", lines: Sequence[str] = (), **settings: str | int
) -> Node:
    """A node that ends with the block."""
    node = Node(program(prefer), directory, mode, lines, **settings)
    stack.callback(node.close)
    return node


TOPOLOGIES: Final = {
    "sentinel": partial(guarded_by_sentinels, node_timeout_ms=CALM_MS),
    "cluster": partial(clustered, node_timeout_ms=CALM_MS),
}
"""The kinds of Redis on which tests with the mark `topology` run."""
