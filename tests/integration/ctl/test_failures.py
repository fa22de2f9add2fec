"""Each command on real servers that refuse: one line with advice, the right exit status, JSON, never a traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest
from support.marks import thinned
from support.processes import environment, leaderboard, run
from support.relays import Hand
from support.repository import REPOSITORY
from support.trouble import OwnRedis
from support.world import World

from board.errors import InvalidSetting, LeaderboardError
from board.partitions import partition_of
from board.text import visible
from ctl import failures
from ctl.embedded import Embedded

DUMP: Final = "x.dump"
COMMANDS: Final = (
    ["status"],
    ["verify", "--wait", "0"],
    ["rebuild", "--all"],
    ["migrate"],
    ["backup", DUMP],
    ["restore", "--replace", DUMP],
    ["key", "list"],
    ["key", "create", "--name", "x", "--scopes", "read"],
    ["key", "rotate", "4fT9s0aKqZ"],
    ["key", "revoke", "4fT9s0aKqZ"],
)


def check(
    words: list[str], env: dict[str, str], statuses: set[int], says: str | tuple[str, ...], cwd: Path = REPOSITORY
) -> None:
    """The command, with `--json`, ends with one line of error, and prints a document that says the same."""
    done = call([*words, "--json"], env, cwd)
    assert "Traceback" not in done.stderr, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("leaderboard: ")]
    assert len(errors) == 1 and done.stderr.rstrip().endswith(errors[0]), done.stderr
    assert done.returncode in statuses, (words, done.returncode, errors)
    assert any(text in errors[0] for text in ([says] if isinstance(says, str) else says)), errors
    assert visible(errors[0]) == errors[0]
    document = json.loads(done.stdout)
    assert document["error"] == errors[0].removeprefix("leaderboard: ") and document["code"] != "internal"


def call(words: list[str], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a directory, in which it finds files by their names."""
    return run(words, env, cwd=cwd)


@pytest.fixture
def dump(world: World, tmp_path: Path) -> Path:
    """A directory with a good backup of the world."""
    world.submit(("s", "ada", 1))
    assert leaderboard(world, "backup", str(tmp_path / DUMP)).returncode == 0
    return tmp_path


@pytest.fixture
def stranger(world: World, servers: Embedded) -> Iterator[dict[str, str]]:
    """The environment of a role that sees the schema, and has no right on what is in it."""
    role = f"{world.name}_stranger"
    assert servers.database_url is not None
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(f'CREATE ROLE "{role}" LOGIN'.encode())
        admin.execute(f'GRANT USAGE ON SCHEMA "{world.name}" TO "{role}"'.encode())
        yield world.environment(DATABASE_URL=world.settings.database_url.replace(f"//{world.name}@", f"//{role}@"))
        admin.execute(f'DROP OWNED BY "{role}"'.encode())
        admin.execute(f'DROP ROLE "{role}"'.encode())


@pytest.mark.parametrize("words", thinned(COMMANDS, 3), ids=" ".join)
def test_a_role_without_rights(stranger: dict[str, str], dump: Path, words: list[str]) -> None:
    check(words, stranger, {3}, ("permission denied", "must be owner"), dump)


@pytest.mark.parametrize("words", thinned(COMMANDS, 3), ids=" ".join)
def test_a_role_that_may_only_read(world: World, dump: Path, words: list[str]) -> None:
    world.execute(f'ALTER ROLE "{world.name}" SET default_transaction_read_only = on')
    if words[0] in ("backup", "status", "verify") or words == ["key", "list"]:
        done = call(words, world.environment(), dump)
        assert "Traceback" not in done.stderr and done.returncode in (0, 1, 3), done.stderr
        return
    check(words, world.environment(), {2, 3}, ("accepts no changes", "read-only", "no key has the id"), dump)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_schema_without_tables(bare_world: World, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / DUMP).write_bytes(b"no dump")
    if words != ["migrate"]:
        check(words, bare_world.environment(), {2, 4}, ("migrate", "is no backup"), tmp_path)


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] in ("verify", "rebuild")], ids=" ".join)
def test_a_user_of_redis_without_rights(own_redis: OwnRedis, words: list[str]) -> None:
    own_redis.world.submit(("s", "ada", 1))
    own_redis.world.redis.execute_command("ACL", "SETUSER", "lb", "-@all", "+ping", "+hello", "+client")
    check(words, own_redis.world.environment(), {3}, "the rights that docs/ops/install.md names")


@pytest.mark.parametrize("trouble", ["out of memory", "demoted"])
def test_a_redis_that_refuses_writes(own_redis: OwnRedis, trouble: str) -> None:
    own_redis.world.submit(("s", "ada", 1))
    with own_redis.trouble(trouble):
        check(["rebuild", "--all"], own_redis.world.environment(), {3}, ("raise maxmemory", "master"))


def test_files_that_cannot_be_used(world: World, tmp_path: Path) -> None:
    env = world.environment()
    check(["backup", str(tmp_path / "none" / "x")], env, {74}, "No such file or directory")
    check(["backup", "/proc/x"], env, {74}, "/proc/x")
    (tmp_path / "file").write_text("x")
    check(["backup", str(tmp_path / "file" / "x")], env, {74}, "Not a directory")
    check(["restore", str(tmp_path / "none")], env, {2}, "there is no file")
    check(
        ["restore", "--replace", str(tmp_path / "file")],
        env,
        {2},
        "pg_restore ended with status 1: pg_restore: error: input file",
    )


@pytest.mark.parametrize(
    "words", [["status"], ["status", "--json"], ["settings"], ["settings", "--json"]], ids=" ".join
)
def test_an_output_without_room(world: World, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ctl", *words], env=world.environment(), cwd=REPOSITORY, stdout=full,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 74
    assert done.stderr == "leaderboard: No space left on device; free space there\n"


def test_a_terminal_without_the_characters(world: World) -> None:
    world.submit(("s", "\u0141uk \U0001f3c6", 1))
    Hand(world).drain()
    world.redis.delete(world.keys.board(partition_of("s"), b"s"))
    done = leaderboard(world, "verify", "--wait", "0", PYTHONIOENCODING="ascii")
    assert done.returncode == 1 and r"\u0141uk" in done.stdout, done.stderr


def test_wrong_usage_is_json_too() -> None:
    check(["status", "--dance"], environment(), {2}, "unrecognized arguments: --dance")
    check(["dance"], environment(), {2}, "invalid choice: 'dance'")


@pytest.mark.parametrize("words", [["rebuild", "--season"], ["key", "create", "--scopes", "read", "--name"]])
def test_arguments_that_are_no_utf8(world: World, words: list[str]) -> None:
    check([*words, os.fsdecode(b"\xff")], world.environment(), {2}, "must be valid UTF-8")


def test_a_restore_says_what_the_tool_said(world: World, dump: Path) -> None:
    """The file is damaged in its data, behind its table of contents."""
    damaged = bytearray((dump / DUMP).read_bytes())
    damaged[-100:] = bytes(100)
    (dump / DUMP).write_bytes(bytes(damaged))
    check(["restore", "--replace", DUMP], world.environment(), {3}, "pg_restore: error: ", dump)


@pytest.mark.parametrize("eighth", thinned(range(1, 8), 3))
def test_a_damaged_file_is_refused_however_the_tool_ends(world: World, dump: Path, eighth: int) -> None:
    """A table of contents with a hole makes pg_restore say an error, or crash without a word, by what the hole hits."""
    damaged = bytearray((dump / DUMP).read_bytes())
    at = len(damaged) * eighth // 8
    damaged[at : at + 200] = bytes(200)
    (dump / DUMP).write_bytes(bytes(damaged))
    says = (
        "pg_restore ended with status 1: pg_restore: error: ",
        "pg_restore ended with signal SIG",
        "has no leaderboard",
    )
    check(["restore", "--replace", DUMP], world.environment(), {2, 3}, says, dump)


def test_a_defect_is_one_line_with_its_place() -> None:
    code = "import ctl.main as m; m.check_texts = lambda arguments: {}['defect']; m.entry()"
    for debug in (False, True):
        env = environment(**({"LEADERBOARD_LOG_LEVEL": "debug"} if debug else {}))
        done = subprocess.run(
            [sys.executable, "-c", code, "settings"], env=env, cwd=REPOSITORY, capture_output=True, text=True
        )
        assert done.returncode == 70
        assert ("Traceback" in done.stderr) == debug
        line = done.stderr.splitlines()[-1]
        assert line.startswith("leaderboard: internal error: KeyError: 'defect' (<string>:1); ")


def test_advice_does_not_hide_the_cause() -> None:
    plain = failures.explain(InvalidSetting("DATABASE_URL is empty"))
    assert plain == ("DATABASE_URL is empty", "invalid-setting", 2)
    assert all(issubclass(cause.kind, LeaderboardError) and cause.advice for cause in failures.POSTGRES)
    assert run(["settings"], environment(LEADERBOARD_WORKERS="\x1b[1m")).stderr.isascii()
