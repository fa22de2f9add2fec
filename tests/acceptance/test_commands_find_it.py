"""Beside `leaderboard run`, every command works as it is typed, with nothing in its environment."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from support.absent import absent
from support.house import House
from support.http import free_port
from support.marks import walks
from support.processes import START_S, answers, children_of, gone
from support.processes import Command as Process
from support.repository import REPOSITORY

from board.text import visible

pytestmark = pytest.mark.acceptance

SCRIPT: Final = Path(sys.executable).with_name("leaderboard")


def typed(house: House, *words: str | Path, status: int = 0, **settings: str) -> subprocess.CompletedProcess[str]:
    """Type a command in another terminal; only the data directory is set, since root's default is not the test's."""
    env = {"PATH": os.environ["PATH"], "LEADERBOARD_DATA_DIR": str(house.data), "COLUMNS": "200", **settings}
    done = subprocess.run(
        [SCRIPT, *words], env=env, cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=START_S,
    )  # fmt: skip
    assert done.returncode == status, (words, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


def parsed(house: House, *words: str, **settings: str) -> Any:
    return json.loads(typed(house, *words, "--json", **settings).stdout)


@pytest.mark.walk
def test_every_command_finds_the_running_system(house: House, tmp_path: Path) -> None:
    house.env |= {"LEADERBOARD_AUTH": "keys", "LEADERBOARD_REDIS_PREFIX": "other"}
    with house.start() as command:
        found = re.search(r"LEADERBOARD_KEY=(lb_\w+)", command.text())
        assert found is not None
        played = parsed(house, "demo", "--seconds", "1", LEADERBOARD_KEY=found[1])
        assert played["accepted"] > 0
        assert parsed(house, "verify")["equal"] is True
        assert parsed(house, "status")["seasons"] == 4
        assert parsed(house, "rebuild", "--all")["seasons"] == 4
        assert parsed(house, "migrate")["applied"] == []
        assert parsed(house, "settings")["LEADERBOARD_REDIS_PREFIX"] == "other"
        checks = {one["check"]: one for one in parsed(house, "doctor")["findings"]}
        assert {checks[name]["severity"] for name in ("PostgreSQL", "Redis", "relays", "Redis prefix")} == {"ok"}
        made = parsed(house, "key", "create", "--name", "game server", "--scopes", "read,submit")
        assert made["made"]["id"] in typed(house, "key", "list").stdout
        assert parsed(house, "key", "rotate", made["made"]["id"])["made"]["scopes"] == ["read", "submit"]
        assert parsed(house, "key", "revoke", made["made"]["id"])["revokedAt"]
        dump = tmp_path / "x.dump"
        assert parsed(house, "backup", str(dump))["bytes"] == dump.stat().st_size
        assert "stop the API and the relays first" in typed(house, "restore", dump, "--replace", status=2).stderr
        assert command.stop() == 0


@pytest.mark.walk
def test_settings_that_are_given_win(house: House) -> None:
    with house.start() as command:
        away = {"DATABASE_URL": "postgresql://127.0.0.1:1/x"}
        assert "PostgreSQL does not answer" in typed(house, "status", status=3, **away).stderr
        # Not half of the one system and half of the other.
        assert "REDIS_URL is empty" in typed(house, "doctor", status=2, **away).stderr
        assert "DATABASE_URL is empty" in typed(house, "verify", status=2, REDIS_URL="redis://127.0.0.1:1").stderr
        prefix = typed(house, "verify", status=2, LEADERBOARD_REDIS_PREFIX="other").stderr
        assert "LEADERBOARD_REDIS_PREFIX" in prefix
        elsewhere = f"127.0.0.1:{free_port()}"
        assert (
            f"no leaderboard at http://{elsewhere}" in typed(house, "demo", status=3, LEADERBOARD_BIND=elsewhere).stderr
        )
        for process in ("serve", "relay"):
            assert "DATABASE_URL is empty" in typed(house, process, status=2).stderr, "a service names its servers"
        assert command.stop() == 0


@pytest.mark.parametrize("number", walks(signal.SIGTERM, signal.SIGKILL))
def test_a_system_that_has_ended_is_not_found(house: House, number: signal.Signals) -> None:
    with house.start() as command:
        assert parsed(house, "status")["postgres"] == "ok"
        processes = children_of(command.process.pid)
        command.stop(number)
        done = typed(house, "status", "--json", status=2)
        assert json.loads(done.stdout)["code"] == "invalid-setting"
        assert "DATABASE_URL is empty" in done.stderr
        gone(processes)


@pytest.mark.walk
def test_another_user_is_told_whose_it_is(house: House) -> None:
    if os.geteuid() != 0:
        absent("needs a second user, so root")
    with house.start() as command:
        # The interpreter may be closed to others, so the user changes after the imports.
        drop = "os.setgroups([]); os.setresgid(*[65534] * 3); os.setresuid(*[65534] * 3)"
        as_nobody = [sys.executable, "-c", f"import os, sys, ctl.main; {drop}; sys.exit(ctl.main.main(['status']))"]
        env = {"PATH": os.environ["PATH"], "LEADERBOARD_DATA_DIR": str(house.data)}
        done = subprocess.run(as_nobody, env=env, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 2
        assert "belongs to root; run this command as root" in done.stderr
        assert command.stop() == 0


@pytest.mark.walk
def test_the_commands_that_the_start_names_can_be_typed_as_they_are(house: House) -> None:
    """In a shell beside it, in the same directory."""
    # As `make run` starts it: by the script's path, from the checkout.
    env = {name: value for name, value in house.env.items() if name != "PATH"} | {"PATH": "/usr/bin:/bin"}
    with Process(["run"], env) as command:
        command.until(lambda: answers(house.port, "/readyz"), START_S)
        command.until(lambda: "Ctrl-C stops everything" in command.text())
        lines = [line for line in re.findall(r"`([^`]*)`", command.text()) if "leaderboard " in line]
        lines = [f"{line} --seconds 1" if line.endswith(" demo") else line for line in lines]
        assert len(lines) == 3
        shell = {"PATH": "/usr/bin:/bin", "LEADERBOARD_DATA_DIR": str(house.data)}
        for line in lines:
            done = subprocess.run(line, shell=True, cwd=REPOSITORY, env=shell, capture_output=True, text=True)
            assert done.returncode == 0, (line, done.stderr)
        empty = {"PATH": "/usr/bin:/bin", "LEADERBOARD_DATA_DIR": "/nonexistent"}
        advice = subprocess.run([SCRIPT, "status"], cwd=REPOSITORY, env=empty, capture_output=True, text=True).stderr
        (line,) = re.findall(r"`([^`]*)`", advice)
        assert shlex.split(line)[0] == shlex.split(lines[0])[0] and visible(advice.strip()) == advice.strip()
        assert command.stop() == 0
