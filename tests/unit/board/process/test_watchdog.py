"""The sign of life: sent where it is wanted, as often as needed and no oftener, by one process only."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from board.process.watchdog import Watchdog


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Systemd's side: a datagram socket, and its name as in NOTIFY_SOCKET."""
    plain = str(tmp_path / "notify") if request.param == "path" else f"leaderboard-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(plain if request.param == "path" else "\0" + plain)
        server.setblocking(False)
        yield server, plain if request.param == "path" else "@" + plain


def signs(server: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(server.recv(100))
        except BlockingIOError:
            return found


def test_three_signs_a_period(listener: tuple[socket.socket, str]) -> None:
    server, name = listener
    now = 100.0
    watchdog = Watchdog({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"}, clock=lambda: now)
    for _ in range(60):
        watchdog.pat()
        now += 0.5
    assert signs(server) == [b"WATCHDOG=1"] * 3


def test_the_first_sign_and_each_one_that_is_due_are_sent(listener: tuple[socket.socket, str]) -> None:
    server, name = listener
    now = 0.0
    watchdog = Watchdog({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1500000"}, clock=lambda: now)
    assert watchdog.every_s == 0.5
    watchdog.pat()
    now = 0.5
    watchdog.pat()
    assert len(signs(server)) == 2


def test_the_first_sign_is_sent_wherever_the_clock_begins(listener: tuple[socket.socket, str]) -> None:
    server, name = listener
    Watchdog({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1500000"}, clock=lambda: -1e9).pat()
    assert signs(server) == [b"WATCHDOG=1"]


@pytest.mark.parametrize(
    "changed",
    [{"WATCHDOG_USEC": ""}, {"WATCHDOG_PID": "1"}, {"WATCHDOG_PID": "99999999"}, {"NOTIFY_SOCKET": ""}],
    ids=lambda changed: "=".join(*changed.items()),
)
def test_who_was_not_asked_says_nothing(listener: tuple[socket.socket, str], changed: dict[str, str]) -> None:
    server, name = listener
    asked = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    Watchdog(asked).pat()
    assert signs(server)
    silent = Watchdog(asked | changed)
    silent.pat()
    assert not signs(server) and silent.every_s == 0.0


def test_a_sign_that_cannot_be_given_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Watchdog({"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "30000000"}).pat()
    assert "no sign of life" in caplog.text


def test_a_listener_that_reads_nothing_holds_nothing_up(
    listener: tuple[socket.socket, str], caplog: pytest.LogCaptureFixture
) -> None:
    server, name = listener
    watchdog = Watchdog({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"}, clock=iter(range(0, 10**9, 100)).__next__)
    # The queue of a datagram socket has room for few.
    while "no sign of life" not in caplog.text:
        watchdog.pat()
    assert signs(server)
