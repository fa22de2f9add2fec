"""Processes that stand still are replaced, and a process that takes a port for a moment ends nothing."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

import pytest
from support.http import free_port
from support.processes import Api, Command, alive, children_of, commandline, relaying, serving
from support.relays import equal
from support.scrape import scrape
from support.waiting import eventually
from support.world import World

from board.process.beats import SILENCE_S

REPLACED_S = 3 * SILENCE_S
"""The bound, and time for a busy machine."""


def process_of(command: Command, *words: bytes) -> int | None:
    """The process below a command whose command line has all these words."""
    found = [pid for pid in children_of(command.process.pid) if set(words) <= set(commandline(pid).split(b"\0"))]
    return max(found) if found else None


def the_process_of(command: Command, *words: bytes) -> int:
    pid = command.until(lambda: process_of(command, *words))
    assert isinstance(pid, int)
    return pid


def exporter_of(api: Api) -> int:
    return the_process_of(api.command, b"service.telemetry.exporter")


@pytest.mark.walk
def test_relays_janitor_keeper_and_exporters_that_stand_still_are_replaced(world: World) -> None:
    relay_port, api_port = free_port(), free_port()
    with (
        relaying(world, LEADERBOARD_RELAY_METRICS_BIND=f"127.0.0.1:{relay_port}") as relay,
        serving(world, LEADERBOARD_METRICS_BIND=f"127.0.0.1:{api_port}") as api,
    ):
        eventually(lambda: scrape(relay_port) and scrape(api_port))
        world.submit(("s", "ada", 1))
        relay.until(lambda: equal(world))
        stopped = {
            "relay 1": the_process_of(relay, b"carry"),
            "janitor": the_process_of(relay, b"janitor"),
            "keeper": the_process_of(relay, b"keeper"),
            "metrics": the_process_of(relay, b"metrics"),
            "the metrics of the API": exporter_of(api),
        }
        for pid in stopped.values():
            os.kill(pid, signal.SIGSTOP)
        world.submit(("s", "bob", 2))
        relay.until(lambda: not alive(set(stopped.values())), REPLACED_S)
        # Each one has a successor, which works.
        relay.until(lambda: equal(world))
        assert the_process_of(relay, b"janitor") != stopped["janitor"]
        eventually(lambda: scrape(relay_port) and scrape(api_port))
        for name in ("relay 1", "janitor", "keeper", "metrics"):
            assert f"{name} (pid {stopped[name]}) has given no sign of life for 3" in relay.text()
        gone = stopped["the metrics of the API"]
        assert f"metrics (pid {gone}) has given no sign of life for 30 s and is killed" in api.command.text()
        assert relay.stop() == 0 and api.command.stop() == 0


def take(port: int) -> socket.socket | None:
    """Listen on a port, if it is free."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


def steal(port: int, pid: int, say: Callable[[], str], what: str) -> None:
    """Kill an exporter, listen in its place, wait until its successor has found the port taken, and go."""
    os.kill(pid, signal.SIGKILL)
    with eventually(lambda: take(port)):
        eventually(lambda: what in say())


def test_another_process_that_takes_a_metrics_port_for_a_moment_ends_nothing(world: World) -> None:
    relay_port, api_port = free_port(), free_port()
    with (
        relaying(world, LEADERBOARD_RELAY_METRICS_BIND=f"127.0.0.1:{relay_port}") as relay,
        serving(world, LEADERBOARD_METRICS_BIND=f"127.0.0.1:{api_port}") as api,
    ):
        eventually(lambda: scrape(relay_port) and scrape(api_port))
        steal(relay_port, the_process_of(relay, b"metrics"), relay.text, "ended with exit status 5, again in")
        steal(api_port, exporter_of(api), api.command.text, f"cannot show metrics on 127.0.0.1:{api_port}")
        relay.until(lambda: scrape(relay_port))
        api.command.until(lambda: scrape(api_port))
        world.submit(("s", "ada", 1))
        relay.until(lambda: equal(world))
        assert relay.stop() == 0 and api.command.stop() == 0
