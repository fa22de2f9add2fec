"""An address that systemd has opened for the service is not looked for a second time."""

from __future__ import annotations

import os
import socket

import pytest

from board.config.load import load
from board.errors import InvalidSetting, PortTaken
from service.server import check_bind


@pytest.mark.parametrize(
    ("variables", "taken"),
    [
        ({}, True),
        ({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}, False),
        # Inherited from somebody else, or empty: not ours.
        ({"LISTEN_FDS": "1", "LISTEN_PID": "1"}, True),
        ({"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())}, True),
    ],
)
def test_only_a_socket_handed_to_this_process_counts(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], taken: bool
) -> None:
    for name in ("LISTEN_FDS", "LISTEN_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = load(
            {
                "DATABASE_URL": "postgresql://x@localhost/x",
                "REDIS_URL": "redis://localhost",
                "LEADERBOARD_BIND": f"127.0.0.1:{other.getsockname()[1]}",
            }
        )
        if taken:
            with pytest.raises(PortTaken):
                check_bind(settings)
        else:
            check_bind(settings)


@pytest.mark.parametrize(
    ("host", "switch", "refused"),
    [("0.0.0.0", "", True), ("::", "", True), ("127.0.0.1", "", False), ("::1", "", False), ("0.0.0.0", "yes", False)],
)
def test_an_open_server_takes_no_socket_that_others_reach(
    monkeypatch: pytest.MonkeyPatch, host: str, switch: str, refused: bool
) -> None:
    """The settings may say loopback: systemd has opened what its own file says."""
    given = {"DATABASE_URL": "postgresql://x@localhost/x", "REDIS_URL": "redis://localhost"}
    given |= {"LEADERBOARD_AUTH": "open", "LEADERBOARD_BIND": "127.0.0.1:8080", "LEADERBOARD_OPEN_TO_THE_WORLD": switch}
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as opened:
        opened.bind((host, 0))
        monkeypatch.setattr("service.server.FIRST_INHERITED", opened.fileno())
        if refused:
            with pytest.raises(InvalidSetting, match="LEADERBOARD_OPEN_TO_THE_WORLD"):
                check_bind(load(given))
        else:
            check_bind(load(given))
        assert opened.getsockname()


def test_as_many_sockets_are_handed_over_as_there_are_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    given = {"DATABASE_URL": "postgresql://x@localhost/x", "REDIS_URL": "redis://localhost"}
    with pytest.raises(InvalidSetting, match="1 sockets for 2"):
        check_bind(load(given | {"LEADERBOARD_ADMIN_BIND": "127.0.0.1:8081"}))
