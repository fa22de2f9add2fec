"""The tutorial: its blocks are its two programs, its commands print what it shows, and its retries count once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Final

import pytest
from support.absent import absent
from support.processes import Api, serving
from support.proxy import Proxy
from support.relays import carrying
from support.repository import REPOSITORY
from support.world import World, world_on

from ctl.embedded import Embedded

PAGE: Final = (REPOSITORY / "docs" / "tutorial.md").read_text(encoding="utf-8")
FOLDER: Final = REPOSITORY / "docs" / "tutorial"
BLOCKS: Final = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHOWN: Final = "".join(text for language, text in BLOCKS if language == "text")
PROGRAMS: Final = {"python": (sys.executable, "game.py"), "javascript": ("node", "game.mjs")}
LONG: Final = 9_007_199_254_740_993
"""2^53 + 1, the first whole number that no double has."""
BOARD: Final = [("edsger", LONG), ("grace", 300), ("ada", 210), ("linus", -15)]
"""The board after `play matches.jsonl`."""


@pytest.fixture(params=["python", pytest.param("javascript", marks=pytest.mark.walk)])
def program(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The interpreter and the file of one language."""
    interpreter, file = PROGRAMS[request.param]
    found = which(interpreter)
    if found is None:
        absent(f"{interpreter} is not installed")
    return found, file


@pytest.fixture(scope="session")
def server(servers: Embedded) -> Iterator[Api]:
    with (
        world_on(servers, redis_db=2) as world,
        carrying(world, calm=True),
        serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api,
    ):
        yield api


@pytest.fixture
def api(server: Api) -> Api:
    """The server without any submission yet."""
    server.world.forget_submissions()
    return server


def environment(api: Api, port: int | None = None, **keys: str) -> dict[str, str]:
    """That of a program: the address of the API, or of a proxy in front of it, and keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LEADERBOARD_", "GAME_"))}
    return {**kept, **keys, "LEADERBOARD_URL": f"http://127.0.0.1:{port or api.port}"}


def run(program: tuple[str, str], *words: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """One command of the tutorial."""
    return subprocess.run([*program, *words], cwd=FOLDER, env=env, capture_output=True, text=True, timeout=120)


def keyed(api: Api, *scopes: str) -> str:
    """A new key that the server knows."""
    key = api.world.key(*scopes)
    api.until_known(key)
    return key


def scores(world: World) -> list[tuple[str, int]]:
    return [(user, score) for user, score, _ in world.expected("spring")]


def requests_seen(seen: list[bytes], method: bytes) -> int:
    return sum(piece.startswith(method + b" ") for piece in seen)


@pytest.mark.parametrize(("language", "file"), [("python", "game.py"), ("javascript", "game.mjs")])
def test_the_blocks_of_the_page_are_the_program(language: str, file: str) -> None:
    written = (FOLDER / file).read_text(encoding="utf-8")
    shown = "\n".join(text for kind, text in BLOCKS if kind == language)
    assert [line for line in shown.splitlines() if line] == [line for line in written.splitlines() if line]


def test_every_command_of_the_page_prints_what_the_page_shows(
    api: Api, program: tuple[str, str], tmp_path: Path
) -> None:
    if which("curl") is None:
        absent("curl is not installed")
    commands = [text for kind, text in BLOCKS if kind == "sh"]
    assert len(commands) == 7
    script = "\n".join(["set -eu -o pipefail", *commands])
    script = script.replace("python3 game.py", " ".join([program[0], str(FOLDER / program[1])]))
    (tmp_path / "matches.jsonl").write_bytes((FOLDER / "matches.jsonl").read_bytes())
    env = environment(api, ADMIN_KEY=keyed(api))
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == SHOWN
    assert scores(api.world) == []
    counted = api.world.rows("SELECT user_id, sum(delta)::bigint FROM ledger GROUP BY user_id ORDER BY user_id")
    assert counted == [("ada", 315), ("edsger", LONG), ("grace", 300), ("linus", -15)]


def test_a_lost_answer_is_asked_for_again_and_counts_once(api: Api, program: tuple[str, str]) -> None:
    seen: list[bytes] = []
    with Proxy(("127.0.0.1", api.port), watch=seen.append) as proxy:
        proxy.lose_reply(lambda reply: b" 202 " in reply)
        env = environment(api, proxy.port, GAME_KEY=keyed(api, "read", "submit"))
        done = run(program, "play", "matches.jsonl", env=env)
        assert done.returncode == 0, done.stderr
        assert proxy.sprung.is_set() and requests_seen(seen, b"POST") == 6
    assert scores(api.world) == BOARD


def test_a_batch_without_an_answer_is_sent_again_and_counts_once(api: Api, program: tuple[str, str]) -> None:
    with Proxy(("127.0.0.1", api.port)) as proxy:
        proxy.lose_reply(lambda reply: b" 200 " in reply)
        env = environment(api, proxy.port, GAME_KEY=keyed(api, "read", "submit"))
        done = run(program, "import", "matches.jsonl", env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == f"m3-edsger: {LONG}" and proxy.sprung.is_set()
    assert scores(api.world) == BOARD


def test_a_reset_with_an_unknown_outcome_is_not_sent_again(api: Api, program: tuple[str, str]) -> None:
    seen: list[bytes] = []
    with Proxy(("127.0.0.1", api.port), watch=seen.append) as proxy:
        proxy.lose_reply(lambda reply: True)
        done = run(program, "new-season", env=environment(api, proxy.port, ADMIN_KEY=keyed(api)))
        assert done.returncode == 1 and done.stderr.strip() == "the leaderboard answered 0 no-answer"
        assert requests_seen(seen, b"DELETE") == 1


def test_a_quota_is_waited_for(world: World, program: tuple[str, str]) -> None:
    limits = {"LEADERBOARD_LIMIT_KEY": "2", "LEADERBOARD_LIMIT_WINDOW_S": "2", "LEADERBOARD_LIMIT_DEADLINE_MS": "5000"}
    seen: list[bytes] = []
    with (
        carrying(world, calm=True),
        serving(world, "/readyz", LEADERBOARD_AUTH="keys", **limits) as api,
        Proxy(("127.0.0.1", api.port), watch=seen.append) as proxy,
    ):
        env = environment(api, proxy.port, GAME_KEY=keyed(api, "read", "submit"))
        done = run(program, "play", "matches.jsonl", env=env)
        assert done.returncode == 0, done.stderr
        assert requests_seen(seen, b"POST") > 5
    assert scores(world) == BOARD


def test_a_database_that_is_away_is_waited_for(world: World, postgres_proxy: Proxy, program: tuple[str, str]) -> None:
    seen: list[bytes] = []

    def watch(piece: bytes) -> None:
        seen.append(piece)
        if requests_seen(seen, b"POST") == 2:
            postgres_proxy.open()

    database = world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    with (
        carrying(world, calm=True),
        serving(world, "/readyz", LEADERBOARD_AUTH="keys", DATABASE_URL=database) as api,
        Proxy(("127.0.0.1", api.port), watch=watch) as proxy,
    ):
        env = environment(api, proxy.port, GAME_KEY=keyed(api, "read", "submit"))
        postgres_proxy.cut()
        done = run(program, "play", "matches.jsonl", env=env)
        assert done.returncode == 0, done.stderr
        assert requests_seen(seen, b"POST") > 5
    assert scores(world) == BOARD


def test_a_refused_request_is_not_sent_again(api: Api, program: tuple[str, str]) -> None:
    seen: list[bytes] = []
    with Proxy(("127.0.0.1", api.port), watch=seen.append) as proxy:
        done = run(program, "play", "matches.jsonl", env=environment(api, proxy.port, GAME_KEY=keyed(api, "read")))
        assert done.returncode == 1 and done.stderr.strip() == "the leaderboard answered 403 scope-missing"
        assert requests_seen(seen, b"POST") == 1


def test_the_results_of_the_page_are_beyond_a_double() -> None:
    results = [json.loads(line) for line in (FOLDER / "matches.jsonl").read_text(encoding="utf-8").splitlines()]
    assert LONG in [result["points"] for result in results] and int(float(LONG)) != LONG
