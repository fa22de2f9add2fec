"""The bench on a server of which it knows only the address: it measures, checks, and finds what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.absent import absent
from support.processes import Api
from support.repository import REPOSITORY

from bench.rows import remote_server
from bench.system.stack import free_port
from bench.tools.options import make_parser, make_run_options
from ctl.http_client import Client


@pytest.fixture(autouse=True)
def without_settings_of_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bench takes every LEADERBOARD_ variable for a setting of the server."""
    for name in [name for name in os.environ if name.startswith("LEADERBOARD_TEST_")]:
        monkeypatch.delenv(name)


def run(*arguments: str, key: str = "") -> subprocess.CompletedProcess[str]:
    """The program as people call it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LEADERBOARD_")}
    env |= {"LEADERBOARD_KEY": key} if key else {}
    argv = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(argv, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=120)


@pytest.mark.walk
def test_every_row_is_measured_checked_and_cleaned_up(api: Api, tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        absent("wrk is not installed")
    file = tmp_path / "report.json"
    common = ("--seconds", "1", "--rounds", "1", "--connections", "4", "--seed", "5")
    done = run("--against", f"http://127.0.0.1:{api.port}", *common, "--json", str(file))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    report = json.loads(file.read_text())
    rows = {row["name"]: row for row in report["rows"]}
    assert tuple(rows) == remote_server.NAMES and report["correct"] and report["complete"]
    assert all(row["checks"] and row["figures"][row["main"]]["median"] > 0 for row in rows.values())
    assert rows["post"]["ratio"] is None, "nothing was calibrated"
    assert report["settings"] == {}, "those of this machine say nothing about that server"
    left = "SELECT count(*) FROM score JOIN season USING (period_id) WHERE season_id LIKE %s"
    assert api.world.value(left, "bench-5-%") == 0
    assert api.world.value("SELECT count(*) FROM season WHERE season_id LIKE %s", "bench-5-%") == 1


@pytest.mark.walk
def test_a_server_that_wants_a_key_gets_it_from_every_part_of_the_load(guarded: Api, tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        absent("wrk is not installed")
    file = tmp_path / "report.json"
    key = guarded.world.key("read", "submit")
    guarded.until_known(key)
    common = ("--seconds", "1", "--rounds", "1", "--connections", "4", "--seed", "6", "--json", str(file))
    url = f"http://127.0.0.1:{guarded.port}"
    done = run("--against", url, "--only", "post,rank,mixed", *common, key=key)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert json.loads(file.read_text())["correct"] and key not in file.read_text()
    without = run("--against", url, "--only", "post", *common)
    assert without.returncode == 2 and "LEADERBOARD_KEY" in without.stderr


def test_only_this_machine_is_loaded_unless_asked_twice() -> None:
    # 192.0.2.1 is an address of documentation (RFC 5737); no host has it, and nothing may be sent to it.
    done = run("--against", "http://192.0.2.1:8080", "--only", "post")
    assert done.returncode == 2 and "--yes-load-that-host" in done.stderr
    asked = ["--against", "http://192.0.2.1:8080", "--yes-load-that-host"]
    assert make_run_options(make_parser().parse_args(asked), 1).against == "http://192.0.2.1:8080"


def test_a_lost_submission_is_found(api: Api) -> None:
    url = f"http://127.0.0.1:{api.port}"
    client = Client(url)
    board = remote_server.RemoteBoard(make_run_options(make_parser().parse_args(["--against", url]), 9), client)
    checked = {"a": 0, "b": 0}
    assert board.post_checked(checked) == [] and checked == {"a": 1, "b": 2}
    assert remote_server.wait_until_right(lambda: board.find_wrong_sums(checked)) == []
    checked["b"] += 1
    assert board.find_wrong_sums(checked) == ["b has 2, accepted were 3"]
    client.connection.close()


def test_a_server_that_is_not_there() -> None:
    if shutil.which("wrk") is None:
        absent("wrk is not installed")
    done = run("--against", f"http://127.0.0.1:{free_port()}", "--only", "post", "--seconds", "1")
    assert done.returncode in (3, 70) and "bench: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--only", "drain"], ["--only", "pgbench"]])
def test_rows_that_need_more_than_http_are_refused(arguments: list[str]) -> None:
    done = run("--against", "http://127.0.0.1:1", *arguments)
    assert done.returncode == 2 and "only" in done.stderr


def ranks(first: int, *players: int) -> dict[str, Any]:
    items = [
        {"rank": first + at, "userId": f"player-{n}", "score": remote_server.expected_score(n)}
        for at, n in enumerate(players)
    ]
    return {"items": items}


def test_right_answers_are_accepted() -> None:
    # 250 players: 2 have the score 100, 2 have 99, …, and from 50 down there are 3 each.
    assert remote_server.check_answer("rank", 199, 250, {"score": 100, "rank": 2}) == ""
    assert remote_server.check_answer("rank", 49, 250, {"score": 50, "rank": 103}) == ""
    assert remote_server.check_answer("around", 98, 250, ranks(2, 199, 98, 198)) == ""
    assert remote_server.check_answer("top10", 0, 4, ranks(1, 3, 2, 1, 0)) == ""


def test_wrong_answers_are_not() -> None:
    assert "score" in remote_server.check_answer("rank", 199, 250, {"score": 99, "rank": 2})
    assert "rank" in remote_server.check_answer("rank", 199, 250, {"score": 100, "rank": 3})
    assert "order" in remote_server.check_answer("around", 98, 250, ranks(2, 98, 199))
    assert "not in the window" in remote_server.check_answer("around", 97, 250, ranks(2, 199, 98))
    assert "players instead" in remote_server.check_answer("top10", 0, 250, ranks(1, 199, 99))
    wrong = ranks(1, 3, 2, 1, 0)
    wrong["items"][3]["score"] = 0
    assert "not the one that was sent" in remote_server.check_answer("top10", 0, 4, wrong)
    wrong = ranks(2, 199, 98, 198)
    wrong["items"][2]["rank"] = 9
    assert "one after the other" in remote_server.check_answer("around", 98, 250, wrong)
