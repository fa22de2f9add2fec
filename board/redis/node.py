"""The node of Redis behind a connection: its version, its mode and its role, which HELLO tells.

HELLO needs no more rights than a connection (https://redis.io/docs/latest/commands/hello/), unlike INFO and ROLE.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from board.errors import BoardUnavailable
from board.redis.replies import ErrorReply, code_of, describe

OLDEST: Final = (7, 0)
"""EVALSHA_RO, and the codes of errors inside scripts, came with this version. All versions of Valkey are later."""
HELLO: Final = ("HELLO",)


class WrongNode(BoardUnavailable):
    """The node is too old, or is not a master of the kind of Redis that is looked for."""


class ClusterNode(WrongNode):
    """The node is of a cluster: keys have to be sent to the masters of their slots."""


class Node(msgspec.Struct, frozen=True):
    """A node's own description: for example `redis`, `7.2.4`, `standalone`, `master`."""

    server: str
    version: str
    mode: str
    role: str

    def complaint(self, *, cluster: bool = False) -> str:
        """The reason for which boards cannot be kept here; empty if they can. With `cluster` a part of one is fine."""
        name = self.server.capitalize()
        found = re.match(r"(\d+)\.(\d+)", self.version)
        if found is not None and (int(found[1]), int(found[2])) < OLDEST:
            return f"{name} is version {self.version}; {OLDEST[0]}.{OLDEST[1]} is the oldest supported version"
        if self.mode == "cluster" and not cluster:
            return f"{name} runs in cluster mode"
        if self.mode == "sentinel":
            return f"{name} runs in sentinel mode; write redis+sentinel://host:26379/NAME, with the name of the master"
        if cluster and self.mode != "cluster":
            return f"{name} runs in {self.mode} mode, and was a node of a cluster before"
        if self.role in ("replica", "slave"):
            return f"{name} is a replica; REDIS_URL must lead to the master"
        return ""


def parse_hello(reply: Sequence[Any]) -> Node:
    """The node of a reply to HELLO: names and values in turn."""
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in reply]
    found = dict(zip(texts[::2], texts[1::2], strict=False))
    return Node(*(found.get(name, "?") for name in Node.__struct_fields__))


def read_hello(reply: Any) -> Node | None:
    """The node of a reply to HELLO, which may be an error reply. Raises `WrongNode` for an error.

    Returns None if the user may not run HELLO: then nothing is known.
    """
    if not isinstance(reply, ErrorReply):
        return parse_hello(reply)
    if code_of(reply) == "NOPERM":
        return None
    if code_of(reply) == "ERR":
        oldest = f"{OLDEST[0]}.{OLDEST[1]} is the oldest supported version"
        raise WrongNode(f"Redis does not know HELLO, so it is older than 6.0; {oldest}")
    raise WrongNode(f"Redis refused HELLO: {describe(reply)}")


def check_hello(reply: Any, *, cluster: bool = False) -> Node | None:
    """Check the reply to HELLO: the node has to be a master, with `cluster` one of a cluster.

    Returns the node; None if nothing is known of it: then nothing is refused. Raises `WrongNode`, and `ClusterNode` for
    a node of a cluster where none is looked for.
    """
    node = read_hello(reply)
    if node is not None and (complaint := node.complaint(cluster=cluster)):
        # The age is complained of first.
        raise (ClusterNode if complaint.endswith("runs in cluster mode") else WrongNode)(complaint)
    return node
