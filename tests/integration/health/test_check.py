"""The image's health check, on a real server: over TCP, on all addresses, and on a Unix socket."""

from __future__ import annotations

import subprocess
import sys
import tempfile

import pytest
from support.http import free_port
from support.processes import START_S, Command
from support.world import World


def status(bind: str) -> int:
    """The exit status of the check, called as the Dockerfile calls it."""
    argv = [sys.executable, "-I", "-m", "service.health.check"]
    return subprocess.run(argv, env={"LEADERBOARD_BIND": bind}, cwd="/", timeout=30).returncode


@pytest.mark.parametrize("kind", ["127.0.0.1:{port}", "0.0.0.0:{port}", "[::1]:{port}", "unix:{directory}/api.sock"])
def test_a_service_is_healthy_while_it_answers(world: World, kind: str) -> None:
    with tempfile.TemporaryDirectory(prefix="lb-test-") as directory:
        bind = kind.format(port=free_port(), directory=directory)
        assert status(bind) == 1
        env = world.environment(LEADERBOARD_BIND=bind, LEADERBOARD_WORKERS="1", LEADERBOARD_OPEN_TO_THE_WORLD="yes")
        with Command(["serve"], env) as command:
            command.until(lambda: status(bind) == 0, START_S)
            assert command.stop() == 0
        assert status(bind) == 1
