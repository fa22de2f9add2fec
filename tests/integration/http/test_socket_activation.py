"""A socket that another process keeps open, as systemd does: connections during a restart wait and are answered."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

from support.processes import START_S
from support.repository import REPOSITORY
from support.world import World

# sd_listen_fds(3): the socket is number 3, and LISTEN_PID is the process that is to take it.
HAND_OVER = 'exec 3<&"$0"; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"'


@contextmanager
def serving(world: World, listener: socket.socket) -> Iterator[None]:
    host, port = listener.getsockname()
    process = subprocess.Popen(
        ["bash", "-c", HAND_OVER, str(listener.fileno()), sys.executable, "-m", "ctl", "serve", "--quiet"],
        env=world.environment(LEADERBOARD_BIND=f"{host}:{port}", LEADERBOARD_WORKERS="1"),
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        pass_fds=[listener.fileno()],
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(START_S) == 0


@contextmanager
def asked(listener: socket.socket) -> Iterator[http.client.HTTPConnection]:
    """A connection on which a request is on its way."""
    with closing(http.client.HTTPConnection(*listener.getsockname(), timeout=START_S)) as connection:
        connection.request("GET", "/readyz")
        yield connection


def test_a_restart_on_a_handed_socket_refuses_no_connection(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with serving(world, listener), asked(listener) as before:
            assert before.getresponse().status == 200
        with asked(listener) as meanwhile, serving(world, listener):
            assert meanwhile.getresponse().status == 200
