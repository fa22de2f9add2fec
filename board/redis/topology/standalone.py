"""Several hosts of one Redis: the master among them, or the cluster that they are of."""

from __future__ import annotations

from typing import Final

from board.redis.node import HELLO, WrongNode, read_hello
from board.redis.options import Address, RedisOptions
from board.redis.topology import cluster
from board.redis.topology.asking import ask_all, raise_silence
from board.redis.topology.layout import Layout

BECAUSE: Final = "REDIS_URL must name hosts of one Redis"


def find(options: RedisOptions, timeout_s: float) -> Layout:
    """Ask every host for its role. Raises `BoardUnavailable`, `WrongNode`."""
    answers = ask_all(options, options.addresses, timeout_s, HELLO)
    raise_silence(answers)
    found = {address: read_hello(answer[0]) for address, answer in answers.items() if isinstance(answer, list)}
    modes: dict[str, Address] = {}
    for address, node in found.items():
        modes.setdefault("standalone" if node is None else node.mode, address)
    if "cluster" in modes and len(modes) > 1:
        (other,) = [address for mode, address in modes.items() if mode != "cluster"][:1]
        raise WrongNode(f"{modes['cluster']} is a node of a cluster and {other} is none; {BECAUSE}")
    if "cluster" in modes:
        return cluster.find(options, options.addresses, timeout_s)
    complaints = {address: node.complaint() if node is not None else "" for address, node in found.items()}
    masters = [address for address, complaint in complaints.items() if not complaint]
    if len(masters) > 1:
        raise WrongNode(f"{masters[0]} and {masters[1]} are both masters; {BECAUSE}: one master and its replicas")
    if not masters:
        silent = len(answers) - len(found)
        also = f"; {silent} more do not answer" if silent else ""
        raise WrongNode(f"{next(iter(complaints.values()))}{also}")
    return Layout("standalone", (masters[0],), replicas=tuple(address for address in found if address != masters[0]))
