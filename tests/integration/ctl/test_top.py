"""`leaderboard top`: the board once, and as it changes."""

from __future__ import annotations

import json
import signal

from support.http import free_port
from support.processes import Command, leaderboard, serving
from support.relays import carrying
from support.world import World


def test_it_shows_the_board_once(world: World) -> None:
    world.submit(("s", "ada", 3_000), ("s", "bob \u202e", 2), ("s", "cy", 1))
    world.carry_everything()
    with serving(world, "/readyz") as api:
        url = f"http://127.0.0.1:{api.port}"
        done = leaderboard(world, "top", "s", "--limit", "2", "--url", url)
        assert done.returncode == 0, done.stderr
        assert "3,000" in done.stdout and "ada" in done.stdout and "3 players" in done.stdout
        assert "cy" not in done.stdout and "\u202e" not in done.stdout
        done = leaderboard(world, "top", "s", "--json", "--url", url)
        assert [row["userId"] for row in json.loads(done.stdout)["items"]] == ["ada", "bob \u202e", "cy"]


def test_live_it_shows_each_change(world: World) -> None:
    world.submit(("s", "ada", 3))
    world.carry_everything()
    with carrying(world), serving(world, "/readyz") as api:
        words = ["top", "s", "--live", "--json", "--url", f"http://127.0.0.1:{api.port}"]
        with Command(words, world.environment()) as command:
            command.until(lambda: '"ada"' in command.text())
            for score in (5, 6):
                world.submit(("s", "bob", score))
                command.until(lambda: json.loads(command.lines()[-1])["items"][0]["userId"] == "bob")
            command.until(lambda: json.loads(command.lines()[-1])["items"][0]["score"] == 11)
            assert command.stop(signal.SIGINT) == 0


def test_live_it_waits_for_a_server_that_is_away(world: World) -> None:
    world.submit(("s", "ada", 3))
    world.carry_everything()
    with serving(world, "/readyz") as api:
        words = ["top", "s", "--live", "--json", "--url", f"http://127.0.0.1:{api.port}"]
        command = Command(words, world.environment())
        command.until(lambda: '"ada"' in command.text())
    with command:
        assert command.running()
        assert command.stop(signal.SIGINT) == 0


def test_what_it_cannot_show_is_one_line(world: World) -> None:
    done = leaderboard(world, "top", "s", "--url", f"http://127.0.0.1:{free_port()}")
    assert done.returncode > 0
    assert "no leaderboard at" in done.stderr and "Traceback" not in done.stderr
    done = leaderboard(world, "top", "s", "--limit", "0")
    assert done.returncode == 2 and "--limit" in done.stderr
    with serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api:
        done = leaderboard(world, "top", "s", "--url", f"http://127.0.0.1:{api.port}")
        assert done.returncode == 2 and "credential-missing" in done.stderr and "{" not in done.stderr
        done = leaderboard(world, "top", "s", "--url", f"http://127.0.0.1:{api.port}", LEADERBOARD_KEY="ключ")
        assert done.returncode == 2 and "LEADERBOARD_KEY is no key" in done.stderr
    for url in ("http://127.0.0.1:port", "http://127.0.0.1:99999", "http://[::1", "http://", "ftp://127.0.0.1"):
        done = leaderboard(world, "top", "s", "--url", url)
        assert done.returncode == 2 and "--url must be http://host:port" in done.stderr
