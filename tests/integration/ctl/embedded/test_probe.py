"""A probe of an embedded server never waits: it counts answers of one that works, and none of one that stands still."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from support.embedded import heads, start
from support.waiting import eventually

from ctl.embedded import Embedded, Prefer
from ctl.embedded.probe import ASK_EVERY_S, Probe
from ctl.embedded.server_process import ServerProcess


class Watched:
    """A server's own probe, on a clock that passes as fast as the server answers."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self.now = 0.0
        server._probe = Probe(server._probe._question)

    def answers(self, more: int) -> bool:
        """Whether so many more answers came."""
        before = self.server._probe.read(0)
        eventually(lambda: self.look() >= before + more)
        return True

    def look(self) -> int:
        """Look once, as a supervisor does, `ASK_EVERY_S` after the last time; the answers so far."""
        self.now += ASK_EVERY_S / 4
        began = time.monotonic()
        self.server._probe.look(self.server.socket_path, self.now)
        assert time.monotonic() - began < 1
        return self.server._probe.read(0)


def servers_of(servers: Embedded) -> list[ServerProcess]:
    return servers._servers


def test_servers_that_work_answer_and_those_that_stand_still_do_not(place: Path, prefer: Prefer) -> None:
    data = place / "data"
    with start(data, prefer) as servers:
        watched = [Watched(server) for server in servers_of(servers)]
        assert all(one.answers(5) for one in watched)
        stopped = heads(data)
        try:
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            for one in watched:
                seen = one.look()
                # An answer of the time before may still be on its way.
                for _ in range(2_000):
                    last = one.look()
                assert last <= seen + 1
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        assert all(one.answers(5) for one in watched)
        assert "packet" not in (data / "log" / "postgres.log").read_text()


def test_a_postgres_without_a_free_connection_answers(place: Path, prefer: Prefer) -> None:
    with ExitStack() as stack, start(place / "data", prefer, redis=False) as servers:
        assert servers.database_url is not None
        with pytest.raises(psycopg.OperationalError, match="too many clients"):
            while True:
                stack.enter_context(closing(psycopg.connect(servers.database_url)))
        (server,) = servers_of(servers)
        assert Watched(server).answers(5)
