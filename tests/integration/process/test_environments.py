"""Environments as they are: services called `leaderboard`, users without a name, no writable place, signals."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.absent import absent
from support.defects import plant
from support.http import free_port
from support.marks import walks
from support.processes import START_S, Command, answers, leaderboard, serving
from support.proxy import Proxy
from support.relays import equal
from support.repository import REPOSITORY
from support.submitting import clients
from support.waiting import eventually
from support.world import World

NAMELESS = (
    *("setpriv", "--reuid=1000650000", "--regid=0", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)
"""As a container platform runs it: a number without an account. It may read all files: the sources may be in a home."""
READ_ONLY = (
    *("unshare", "--mount", "sh", "-c"),
    'mount --make-rprivate / && tac /proc/self/mounts | while read -r _ at _; do mount -o remount,bind,ro "$at"; done '
    '2>/dev/null; ! touch "$0" 2>/dev/null && exec "$@"',
    str(REPOSITORY / "tests" / "written"),
)
"""Runs the command after it where no file can be written; it does not, if a file can."""


@pytest.fixture
def bare(world: World, postgres_proxy: Proxy, redis_proxy: Proxy) -> dict[str, str]:
    """An environment with nothing but what `leaderboard` needs: no HOME, no TMPDIR. Servers are reached over TCP."""
    settings = world.environment(
        DATABASE_URL=world.database_url(f"127.0.0.1:{postgres_proxy.port}"),
        REDIS_URL=f"redis://127.0.0.1:{redis_proxy.port}/1",
    )
    kept = {k: v for k, v in settings.items() if k.startswith("LEADERBOARD_") or k in ("DATABASE_URL", "REDIS_URL")}
    del kept["LEADERBOARD_DATA_DIR"]
    return {"PATH": os.environ["PATH"], **kept}


def wrapped(*through: str) -> tuple[str, ...]:
    """The wrapper, if this machine can do it."""
    if os.geteuid() != 0:
        absent("another user and a mount namespace need root")
    for program in ("setpriv", "unshare"):
        if shutil.which(program) is None:
            absent(f"{program} is not installed")
    tried = subprocess.run([*through, sys.executable, "-c", "import ctl.main"], cwd=REPOSITORY, capture_output=True)
    if tried.returncode:
        absent(f"{through[0]} does not run here: {tried.stderr.decode(errors='replace')[-300:]}")
    return through


@pytest.fixture(params=[*(pytest.param(one, marks=pytest.mark.walk) for one in ("no name", "read only")), "both"])
def through(request: pytest.FixtureRequest) -> Iterator[tuple[str, ...]]:
    kinds = {"no name": NAMELESS, "read only": READ_ONLY, "both": (*READ_ONLY, *NAMELESS)}
    yield wrapped(*kinds[request.param])
    assert not (REPOSITORY / "tests" / "written").exists()


def test_api_and_relays_need_neither_a_name_nor_a_home_nor_a_writable_place(
    world: World, bare: dict[str, str], through: tuple[str, ...]
) -> None:
    port, metrics = free_port(), free_port()
    env = {
        **bare,
        "LEADERBOARD_BIND": f"127.0.0.1:{port}",
        "LEADERBOARD_METRICS_BIND": f"127.0.0.1:{metrics}",
        "LEADERBOARD_WORKERS": "2",
    }
    with Command(["serve"], env, through=through) as api, Command(["relay"], env, through=through) as relay:
        api.until(lambda: answers(port, "/readyz"), START_S)
        api.until(lambda: answers(metrics, "/metrics"))
        assert world.submit(("s", "ada", 1))
        relay.until(lambda: equal(world), START_S)
        assert api.stop() == 0 and relay.stop() == 0


def test_a_user_without_a_home_has_a_default_for_its_data(bare: dict[str, str]) -> None:
    words = [*wrapped(*NAMELESS), sys.executable, "-m", "ctl", "settings"]
    done = subprocess.run(words, env=bare, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "/var/lib/leaderboard" in done.stdout


def test_variables_of_a_service_called_leaderboard_are_no_settings(world: World) -> None:
    injected = {
        "LEADERBOARD_SERVICE_HOST": "10.43.7.9",
        "LEADERBOARD_SERVICE_PORT": "8080",
        "LEADERBOARD_SERVICE_PORT_HTTP": "8080",
        "LEADERBOARD_PORT": "tcp://10.43.7.9:8080",
        "LEADERBOARD_PORT_8080_TCP": "tcp://10.43.7.9:8080",
        "LEADERBOARD_PORT_8080_TCP_PROTO": "tcp",
        "LEADERBOARD_PORT_8080_TCP_PORT": "8080",
        "LEADERBOARD_PORT_8080_TCP_ADDR": "10.43.7.9",
    }
    done = leaderboard(world, "status", **injected)
    assert done.returncode == 0, done.stderr
    refused = leaderboard(world, "status", **injected, LEADERBOARD_PORTS="8080")
    assert refused.returncode == 2 and "unknown setting LEADERBOARD_PORTS" in refused.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, *walks(signal.SIGQUIT)])
def test_a_signal_to_the_master_alone_ends_the_api_cleanly(world: World, number: signal.Signals) -> None:
    world.create("s")
    with serving(world, LEADERBOARD_WORKERS="2", LEADERBOARD_SHUTDOWN_GRACE_S="30") as api, ExitStack() as stack:
        many = stack.enter_context(clients(api, 3))
        assert many[0].get("/livez").status == 200, "a connection that stays open"
        with world.held("s"):
            many[1].send_post("s", "ada", 1)
            eventually(lambda: world.waiting() == 1)
            api.command.process.send_signal(number)
            api.command.until(lambda: "Handling signal" in api.command.text())
        # What is under way is finished, and the process ends long before the grace does.
        assert many[1].receive().status == 202
        assert api.command.process.wait(20) == 0
        assert "SIGKILL" not in api.command.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, *walks(signal.SIGQUIT)])
def test_a_worker_that_has_just_been_forked_hears_of_the_end(
    world: World, tmp_path: Path, number: signal.Signals
) -> None:
    fork = "    end_with_parent()\n    if os.getppid()"
    slow = f"    __import__('time').sleep(2 if worker.age == 2 else 0)\n{fork}"
    tree = plant(tmp_path / "tree", ("service/server.py", fork, slow))
    with serving(world, tree=tree, LEADERBOARD_WORKERS="2", LEADERBOARD_SHUTDOWN_GRACE_S="30") as api:
        api.command.until(lambda: api.command.text().count("Booting worker") == 2)
        api.command.process.send_signal(number)
        assert api.command.process.wait(20) == 0
        assert "SIGKILL" not in api.command.text()
