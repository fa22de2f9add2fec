"""Ids and names that look like markup, or steer a terminal: every command that prints data shows them escaped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from support.marks import walks
from support.processes import leaderboard, serving
from support.relays import Hand, carrying
from support.world import World

from board.partitions import partition_of
from board.text import visible
from ctl.main import COMMANDS
from service.access.key_text import make_key

HOSTILE = (
    "[/u]x",
    "[bold red]x[/]",
    ":apple:",
    "\x1b[2Jgone",
    "\x9b31mred",
    "\u202egnp.exe",
    "two\nlines\rone",
    "\u200bhidden",
)
FEW: Final = ("[bold red]x[/]", "\x1b[2Jgone", "two\nlines\rone")
NAMES: Final = [*FEW, *walks(*(name for name in HOSTILE if name not in FEW))]
Run = subprocess.CompletedProcess[str]


def shows(done: Run, name: str, *statuses: int) -> None:
    """The command ended as it should, and wrote the name escaped, and nothing that steers a terminal."""
    text = done.stdout + done.stderr
    assert done.returncode in (statuses or (0,)), text
    assert "Traceback" not in text
    assert visible(text, keep="\n") == text
    assert visible(name) in text or repr(name) in text, text


def keep(done: Run, find: Callable[[Any], Any], name: str) -> None:
    """The document has the exact name, and nothing that steers a terminal."""
    assert visible(done.stdout, keep="\n") == done.stdout
    assert find(json.loads(done.stdout)) == name


@pytest.mark.parametrize("name", NAMES)
def test_verify(world: World, name: str) -> None:
    world.submit((name, name, 1))
    Hand(world).drain()
    partition = partition_of(name)
    world.redis.delete(world.keys.board(partition, name.encode()), world.keys.members(partition, name.encode()))
    shows(leaderboard(world, "verify"), name, 1)
    keep(leaderboard(world, "verify", "--json"), lambda found: found["differences"][0]["season"], name)


@pytest.mark.parametrize("name", NAMES)
def test_seasons_set_aside(world: World, name: str) -> None:
    world.submit((name, "ada", 1))
    world.db.execute(
        "INSERT INTO ailing (season_id, partition, reason, retry_at) VALUES (%s, %s, %s, now())",
        (name, partition_of(name), f"ERR {name}"),
    )
    shows(leaderboard(world, "status"), name)
    keep(leaderboard(world, "status", "--json"), lambda found: found["ailing"][0]["season"], name)
    shows(leaderboard(world, "doctor"), name, 1)
    leaderboard(world, "doctor", "--json")


@pytest.mark.parametrize("name", NAMES)
def test_keys(world: World, name: str) -> None:
    _, parts = make_key()
    # The API refuses control characters; a row of another release, or of a person, may have them.
    world.db.execute(
        "INSERT INTO api_key (id, name, digest, scopes, seasons) VALUES (%s, %s, %s, %s, %s)",
        (parts.id, name, parts.digest, ["read"], [name]),
    )
    shows(leaderboard(world, "key", "list"), name)
    keep(leaderboard(world, "key", "list", "--json"), lambda found: found["keys"][0]["name"], name)
    shows(leaderboard(world, "key", "rotate", parts.id), name)
    shows(leaderboard(world, "key", "revoke", parts.id), name)


@pytest.mark.parametrize("name", NAMES)
def test_seasons(world: World, name: str) -> None:
    # The API refuses control characters; a row of another release, or of a person, may have them.
    world.define(name)
    text = json.dumps({"title": name, "display": {"unit": name}, "metadata": {name: name}})
    world.db.execute("UPDATE season_definition SET definition = %s WHERE season_id = %s", (text, name))
    shows(leaderboard(world, "season", "list"), name)
    keep(leaderboard(world, "season", "list", "--json"), lambda found: found["items"][0]["seasonId"], name)
    shows(leaderboard(world, "season", "show", name), name)
    keep(leaderboard(world, "season", "show", name, "--json"), lambda found: found["title"], name)
    shows(leaderboard(world, "season", "show", f"{name}!"), f"{name}!", 2)


@pytest.mark.parametrize("name", NAMES)
def test_acts_and_erasures(world: World, tmp_path: Path, name: str) -> None:
    world.db.execute(
        "INSERT INTO audit (actor_type, actor, request_id, action, target_type, target, reason, before, after)"
        " VALUES ('command', %(name)s, %(name)s, 'season.define', 'season', %(name)s, %(name)s, %(state)s, NULL)",
        {"name": name, "state": json.dumps({"title": name})},
    )
    shows(leaderboard(world, "audit"), name)
    keep(leaderboard(world, "audit", "--json"), lambda acts: acts["items"][0]["target"]["id"], name)
    shows(leaderboard(world, "erase", "--replay", str(tmp_path / name)), name, 74)
    done = leaderboard(world, "erase", name)
    assert done.returncode in (0, 2) and visible(done.stderr, keep="\n") == done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_names_in_arguments_and_settings(world: World, tmp_path: Path, name: str) -> None:
    shows(leaderboard(world, "rebuild", "--season", name), name, 2)
    done = leaderboard(world, "rebuild", "--season", name, "--json")
    assert visible(done.stdout, keep="\n") == done.stdout and json.loads(done.stdout)["code"] == "usage"
    shows(leaderboard(world, "key", "revoke", name), name, 2)
    shows(leaderboard(world, "dance", name), "dance", 2)
    shows(leaderboard(world, "status", f"--{name}"), name, 2)
    shows(leaderboard(world, "settings", LEADERBOARD_TOKEN_JWKS=""), "LEADERBOARD_TOKEN_JWKS")
    shows(leaderboard(world, "settings", LEADERBOARD_DATA_DIR=f"/nowhere/{name}"), name)
    shows(leaderboard(world, "restore", str(tmp_path / name)), name, 2)
    dump = tmp_path / name.replace("/", "")
    shows(leaderboard(world, "backup", str(dump)), dump.name)
    assert dump.exists()


def test_top(world: World) -> None:
    world.submit(*(("s", name, n) for n, name in enumerate(HOSTILE, 1)))
    world.carry_everything()
    with serving(world, "/readyz") as api:
        url = f"http://127.0.0.1:{api.port}"
        done = leaderboard(world, "top", "s", "--url", url)
        for name in HOSTILE:
            shows(done, name)
        keep(leaderboard(world, "top", "s", "--url", url, "--json"), lambda top: top["items"][-1]["userId"], HOSTILE[0])
        # The server refuses control characters in ids of seasons.
        shows(leaderboard(world, "top", ":apple:", "--url", url), ":apple:")


def test_demo(world: World) -> None:
    with carrying(world), serving(world, "/readyz") as api:
        best = 10**9
        for n, name in enumerate(HOSTILE):
            world.submit(("[bold]demo", name, best + n))
        done = leaderboard(
            world, "demo", "--url", f"http://127.0.0.1:{api.port}", "--season", "[bold]demo", "--seconds", "2"
        )
        for name in (*HOSTILE, "[bold]demo"):
            shows(done, name)


def test_no_command_is_forgotten() -> None:
    """A new command that prints data of others belongs into this file."""
    shown = {"verify", "status", "top", "doctor", "key", "season", "rebuild", "settings", "restore", "backup", "demo"}
    shown |= {"audit", "erase"}
    others = {"run", "serve", "relay", "migrate", "completion"}
    assert {command.name for command in COMMANDS} == shown | others
