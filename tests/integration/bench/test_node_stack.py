"""The nodes on which the bench compares topologies: a single Redis, and a cluster with equal shares."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.system.node_stack import NodeStack
from bench.system.processor_time import find_processes
from board.config.load import load
from board.partitions import PARTITIONS
from board.redis.masters import read_masters
from board.redis.options import parse_redis_url
from board.redis.topology import Topology
from ctl.embedded import Prefer


@pytest.mark.walk
@pytest.mark.parametrize("masters", [0, 1, 2])
def test_masters_have_equal_shares_and_their_processes_are_known(prefer_servers: Prefer, masters: int) -> None:
    with NodeStack(load({}), parent=Path("/var/tmp"), prefer=prefer_servers, masters=masters) as stack:
        status = read_masters(Topology(parse_redis_url(stack.settings.redis_url)), "lb")
        assert status.kind == ("cluster" if masters else "standalone") and status.away == 0
        assert [one.partitions for one in status.masters] == [PARTITIONS // max(1, masters)] * max(1, masters)
        assert len(find_processes(stack)["redis"]) == max(1, masters)
