"""A Sentinel, and a node of no cluster yet, in redis://: every start refuses them in one line."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.http import free_port
from support.processes import leaderboard
from support.waiting import eventually
from support.world import World

from ctl.embedded import Prefer
from ctl.embedded.installations import find_redis


@pytest.fixture(params=["cluster", "sentinel"])
def url(request: pytest.FixtureRequest, prefer_servers: Prefer, tmp_path: Path) -> Iterator[str]:
    """The URL of a node in this mode."""
    program, port = find_redis(prefer_servers, None)[0].program, free_port()
    config = tmp_path / "node.conf"
    config.write_text(f"port {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    more = (
        ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
        if request.param == "cluster"
        else ["--sentinel"]
    )
    with subprocess.Popen([program, config, *more], stdout=subprocess.DEVNULL, cwd=tmp_path) as process:
        try:
            eventually(lambda: process.poll() is not None or listens(port))
            assert process.poll() is None
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("command", [["serve", "--quiet"], ["relay"], ["verify"]])
def test_a_node_that_keeps_no_keys_is_refused(world: World, url: str, command: list[str]) -> None:
    done = leaderboard(world, *command, REDIS_URL=url, LEADERBOARD_BIND=f"127.0.0.1:{free_port()}")
    assert done.returncode == 3, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("leaderboard: ")]
    assert re.search(r"runs in sentinel mode|is a node of a cluster that has no slots", line)
    assert "Traceback" not in done.stderr
