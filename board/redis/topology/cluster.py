"""Redis Cluster or Valkey Cluster: the slots and their masters, as the node with the latest view tells them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from board.errors import BoardUnavailable
from board.redis.node import WrongNode
from board.redis.options import Address, RedisOptions
from board.redis.replies import ErrorReply, describe, parse_info
from board.redis.topology.asking import ask_all, raise_silence
from board.redis.topology.layout import NOBODY, SLOTS, Layout

QUESTIONS: Final = (("CLUSTER", "SLOTS"), ("CLUSTER", "INFO"))


class ClusterView(msgspec.Struct, frozen=True):
    """One node's view: the layout, the ids of all nodes that have slots or copies of them, and whether it serves."""

    layout: Layout
    ids: frozenset[bytes]
    serves: bool


def find(options: RedisOptions, addresses: Sequence[Address], timeout_s: float, *, known: bool = False) -> Layout:
    """Ask nodes for the slots, and believe the one with the latest epoch.

    Raises `BoardUnavailable`, `WrongNode`; the latter also for nodes of two clusters, unless the addresses are `known`
    from an earlier layout: a node may have left the cluster since.
    """
    if options.db:
        raise WrongNode(f"Redis runs in cluster mode, which has database 0 only; REDIS_URL names database {options.db}")
    answers = ask_all(options, addresses, timeout_s, *QUESTIONS)
    raise_silence(answers)
    views: dict[Address, ClusterView] = {}
    for address, answer in answers.items():
        if isinstance(answer, BoardUnavailable):
            continue
        for reply in answer:
            if isinstance(reply, ErrorReply):
                raise WrongNode(f"{address} does not tell its slots: {describe(reply)}")
        views[address] = read_view(address, *answer)
    address, best = max(views.items(), key=lambda item: (item[1].serves, item[1].layout.epoch))
    if not best.layout.masters:
        raise WrongNode(f"{address} is a node of a cluster that has no slots")
    for other, view in views.items():
        if not known and view.ids and not view.ids & best.ids:
            raise WrongNode(f"{address} and {other} are nodes of two clusters; REDIS_URL must name nodes of one")
    return best.layout


def read_view(address: Address, slots: Any, info: Any) -> ClusterView:
    """The view in the replies of a node at `address` to CLUSTER SLOTS and CLUSTER INFO."""
    facts = parse_info(info)
    masters: dict[Address, int] = {}
    replicas: dict[Address, None] = {}
    ids: set[bytes] = set()
    owners = array("h", [NOBODY]) * SLOTS
    for first, last, *nodes in slots:
        # A node may leave out its host: it is then the one by which it was reached.
        places = [Address(node[0].decode() if node[0] and node[0] != b"?" else address.host, node[1]) for node in nodes]
        ids.update(node[2] for node in nodes)
        owner = masters.setdefault(places[0], len(masters))
        replicas.update(dict.fromkeys(places[1:]))
        owners[first : last + 1] = array("h", [owner]) * (last + 1 - first)
    layout = Layout(
        "cluster",
        tuple(masters),
        owners,
        tuple(replicas),
        int(facts.get("cluster_current_epoch", 0)),
    )
    return ClusterView(layout, frozenset(ids), facts.get("cluster_state") == "ok")
