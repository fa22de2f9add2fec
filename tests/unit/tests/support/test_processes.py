"""Commands under test: a start that fails says why."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from support.forks import BASE, can_be_forked
from support.processes import Command, environment, run


def test_a_process_that_ends_instead_of_starting_fails_at_once_and_shows_its_output() -> None:
    began = time.monotonic()
    with (
        Command(["no-such-command"], environment()) as command,
        pytest.raises(AssertionError, match=r"(?s)ended with 2.*no-such-command.*invalid choice"),
    ):
        command.until(lambda: False, 600)
    assert time.monotonic() - began < 300


def test_a_process_that_is_not_up_in_time_shows_its_output() -> None:
    with Command(["settings"], environment()) as command:
        command.process.wait()
        command.running = lambda: True  # type: ignore[method-assign]  # it has written all, and seems to go on
        with pytest.raises(AssertionError, match=r"(?s)not within 0 s.*the end of the output of ctl settings.*\n"):
            command.until(lambda: False, 0)
        del command.running
        assert command.stop(signal.SIGTERM) in (0, 2)


def test_a_forked_command_is_the_command() -> None:
    """It has the status, both streams and the settings of one with an interpreter of its own."""
    for words in (["settings", "--json"], ["no-such-command"], ["status", "--json"]):
        env = environment(LEADERBOARD_WORKERS="3")
        assert can_be_forked(env)
        forked = run(words, env)
        started = subprocess.run(
            [sys.executable, "-m", "ctl", *words], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        assert (forked.returncode, forked.stdout) == (started.returncode, started.stdout)
        assert forked.stderr == started.stderr
    assert json.loads(run(["settings", "--json"], environment(LEADERBOARD_WORKERS="4")).stdout)["LEADERBOARD_WORKERS"]


def test_commands_are_forked_beside_each_other() -> None:
    """None waits for another one, and each has its own output."""
    found: dict[int, str] = {}

    def show(workers: int) -> None:
        done = run(["settings", "--json"], environment(LEADERBOARD_WORKERS=str(workers)))
        found[workers] = json.loads(done.stdout)["LEADERBOARD_WORKERS"]

    threads = [threading.Thread(target=show, args=(workers,)) for workers in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {workers: str(workers) for workers in range(1, 9)}


def test_a_forked_command_that_goes_on_is_killed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        here = f"127.0.0.1:{mute.getsockname()[1]}"
        env = environment(LEADERBOARD_AUTH="open", DATABASE_URL=f"postgresql://{here}/x", REDIS_URL=f"redis://{here}")
        with pytest.raises(subprocess.TimeoutExpired):
            run(["status"], env, within_s=0.01)


def test_an_environment_that_is_read_at_the_import_is_no_fork() -> None:
    assert can_be_forked(BASE)
    assert not can_be_forked({**BASE, "LC_ALL": "xx"}) and not can_be_forked({"PATH": "/usr/bin"})
