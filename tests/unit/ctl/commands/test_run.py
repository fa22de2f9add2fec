"""`leaderboard run` is open on loopback only, and only where neither a setting nor a limit asks for keys."""

from __future__ import annotations

import pytest

from board.config.load import load
from ctl.commands.run import open_on_loopback


@pytest.mark.parametrize(
    ("env", "auth"),
    [
        ({}, "open"),
        ({"LEADERBOARD_AUTH": " "}, "open"),
        ({"LEADERBOARD_AUTH": "keys"}, "keys"),
        ({"LEADERBOARD_BIND": "0.0.0.0:8080"}, "keys"),
        ({"LEADERBOARD_LIMIT_KEY": "10"}, "keys"),
        ({"LEADERBOARD_LIMIT_PLAYER": "10"}, "keys"),
    ],
)
def test_run_is_open_only_for_this_machine_and_only_by_default(env: dict[str, str], auth: str) -> None:
    assert open_on_loopback(load(env), env).auth == auth
