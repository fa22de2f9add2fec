"""The state of each master of Redis: whether it answers, its partitions, its replicas, and its memory."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final

import msgspec

from board.errors import BoardUnavailable
from board.redis.keyspace import Keyspace
from board.redis.node import HELLO, read_hello
from board.redis.replies import ErrorReply, parse_info
from board.redis.topology import LOCATE_TIMEOUT_S, Topology
from board.redis.topology.asking import ask_all
from board.redis.topology.layout import NOBODY, Layout, slot_of, tag_of

QUESTIONS: Final = (HELLO, ("INFO", "replication"), ("INFO", "memory"))
REPLICA: Final = re.compile(r"slave\d+")


class MasterStatus(msgspec.Struct, frozen=True):
    """One master: its address, whether it answers, and the number of partitions whose boards it has.

    `replicas` counts those that are connected, `lag_bytes` is how far the last of them is behind. `used_bytes` is its
    memory, `limit_bytes` its maxmemory, 0 for none. All four are None if it does not answer, or refuses INFO.
    """

    address: str
    up: bool
    partitions: int
    replicas: int | None = None
    lag_bytes: int | None = None
    used_bytes: int | None = None
    limit_bytes: int | None = None


class RedisStatus(msgspec.Struct, frozen=True):
    """The kind of Redis, its masters, and the number of partitions that no master serves now."""

    kind: str
    masters: tuple[MasterStatus, ...]
    away: int


def read_masters(topology: Topology, prefix: str, timeout_s: float = LOCATE_TIMEOUT_S) -> RedisStatus:
    """Ask all masters at once. A silent one is part of the result. Raises `BoardUnavailable`, `WrongNode`."""
    layout = topology.locate(timeout_s)
    answers = ask_all(topology.options, layout.masters, timeout_s, *QUESTIONS)
    if layout.kind == "standalone" and any(_is_of_a_cluster(answer) for answer in answers.values()):
        layout = topology.locate_cluster(timeout_s=timeout_s)
        answers = ask_all(topology.options, layout.masters, timeout_s, *QUESTIONS)
    counts = count_partitions(layout, prefix)
    masters = tuple(
        read_master(str(address), counts[at], answers[address]) for at, address in enumerate(layout.masters)
    )
    return RedisStatus(layout.kind, masters, counts[NOBODY] + sum(one.partitions for one in masters if not one.up))


def count_partitions(layout: Layout, prefix: str) -> Counter[int]:
    """Number of partitions by place of their master in the layout; those without a master under `NOBODY`."""
    watermarks = Keyspace(prefix, cluster=layout.kind == "cluster").watermark
    if layout.kind != "cluster":
        return Counter({0: len(watermarks)})
    return Counter(layout.owners[slot_of(tag_of(key))] for key in watermarks)


def read_master(address: str, partitions: int, answer: Any) -> MasterStatus:
    """The state of a master from its replies to `QUESTIONS`, or from the error of one that does not answer."""
    if isinstance(answer, BoardUnavailable):
        return MasterStatus(address, False, partitions)
    _, replication, memory = answer
    if isinstance(replication, ErrorReply) or isinstance(memory, ErrorReply):
        return MasterStatus(address, True, partitions)
    facts, used = parse_info(replication), parse_info(memory)
    offset = int(facts.get("master_repl_offset", 0))
    # slave0:ip=127.0.0.1,port=7004,state=online,offset=42,lag=0
    replicas = [
        dict(pair.partition("=")[::2] for pair in value.split(","))
        for name, value in facts.items()
        if REPLICA.fullmatch(name)
    ]
    behind = [offset - int(one["offset"]) for one in replicas if one.get("state") == "online"]
    return MasterStatus(
        address,
        True,
        partitions,
        len(behind),
        max(behind, default=0),
        int(used.get("used_memory", 0)),
        int(used.get("maxmemory", 0)),
    )


def _is_of_a_cluster(answer: Any) -> bool:
    """Whether a node that answered is of a cluster. Raises `WrongNode`."""
    if isinstance(answer, BoardUnavailable):
        return False
    node = read_hello(answer[0])
    return node is not None and node.mode == "cluster"
