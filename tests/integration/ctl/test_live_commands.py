"""Commands that go on in the terminal: `status --watch`, `top --live` and `demo`, on a running system."""

from __future__ import annotations

import json
import re
import signal
import time

from support.http import base
from support.processes import Command, leaderboard, serving
from support.proxy import Proxy
from support.relays import carrying
from support.world import World

from ctl.commands.top import WAIT_S

TERMINAL = {"FORCE_COLOR": "1", "COLUMNS": "120", "LINES": "50"}
"""For rich it is a terminal then, and each refresh is written."""


def is_idle(text: str) -> bool:
    """Whether a status says that no hint waits."""
    return re.search(r"(?<![\d,])0 hints pending", text) is not None


def test_status_goes_on_while_servers_are_away(world: World, redis_proxy: Proxy, postgres_proxy: Proxy) -> None:
    world.submit(("s", "ada", 1))
    settings = {
        "REDIS_URL": f"redis://127.0.0.1:{redis_proxy.port}/1",
        "DATABASE_URL": world.database_url(f"127.0.0.1:{postgres_proxy.port}"),
    }
    with Command(["status", "--watch"], world.environment(**TERMINAL, **settings)) as command:
        command.until(lambda: "2 hints pending" in command.text() and "Redis ok" in command.text())
        world.carry_everything()
        command.until(lambda: is_idle(command.text()))
        redis_proxy.cut()
        command.until(lambda: "Redis down" in command.text())
        redis_proxy.open()
        postgres_proxy.cut()
        command.until(lambda: "PostgreSQL does not answer" in command.text())
        postgres_proxy.open()
        # The connection is lost amid a statement.
        postgres_proxy.cut_request(lambda data: b"outbox" in data, 20)
        command.until(lambda: "the connection to PostgreSQL is lost" in command.text())
        seen = len(command.text())
        command.until(lambda: is_idle(command.text()[seen:]))
        assert command.stop(signal.SIGINT) == 130
        assert "Traceback" not in command.text()


def test_status_as_json_is_a_line_each_time(world: World) -> None:
    world.submit(("s", "ada", 1))
    with Command(["status", "--watch", "--json"], world.environment()) as command:
        command.until(lambda: len(command.lines()) >= 2)
        world.carry_everything()
        command.until(lambda: json.loads(command.lines()[-1])["pending"] == 0)
        assert json.loads(command.lines()[0])["pending"] == 2


def test_totals_are_above_the_table_which_a_terminal_may_cut_off(world: World) -> None:
    world.submit(*((f"season {n}", "ada", 1) for n in range(40)))
    small = {**TERMINAL, "COLUMNS": "80", "LINES": "12"}
    with Command(["status", "--watch"], world.environment(**small)) as command:
        command.until(lambda: "hints pending" in command.text() and "\u250f" in command.text())
        assert command.text().index("hints pending") < command.text().index("\u250f")


def test_a_pipe_gets_each_status_below_the_one_before(world: World) -> None:
    with Command(["status", "--watch"], world.environment()) as command:
        command.until(lambda: command.text().count("hints pending") >= 3)
        assert "\x1b" not in command.text()


def test_a_pipe_gets_each_state_of_a_board_once(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.carry_everything()
    with carrying(world), serving(world, "/readyz") as api:
        url = f"http://127.0.0.1:{api.port}"
        with Command(["top", "s", "--live", "--url", url], world.environment()) as top:
            top.until(lambda: "ada" in top.text())
            # Longer than one wait for a change.
            again = time.monotonic() + WAIT_S + 1
            top.until(lambda: time.monotonic() > again)
            assert top.text().count("season s") == 1
            world.submit(("s", "bob", 2))
            top.until(lambda: "bob" in top.text())
            assert top.text().count("season s") == 2
            assert top.stop(signal.SIGINT) == 0


def test_a_status_that_cannot_be_read_at_first_is_an_error(world: World) -> None:
    settings = {"DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    done = leaderboard(world, "status", "--watch", **settings)
    assert done.returncode == 3 and "Traceback" not in done.stderr


def test_the_demo_moves_what_top_and_streams_show(world: World) -> None:
    with carrying(world), serving(world, "/readyz") as api:
        url = f"http://127.0.0.1:{api.port}"
        playing = ["demo", "--url", url, "--rate", "100", "--players", "12", "--seed", "4", "--json"]
        with (
            Command(playing, world.environment()) as demo,
            Command(["top", "demo", "--live", "--url", url], world.environment(**TERMINAL)) as top,
        ):
            demo.until(lambda: top.text().count("season demo") >= 4)
            with api.client() as http:
                leader = http.get(f"{base('demo')}/leaderboard/top?limit=1").json["items"][0]["userId"]
            top.until(lambda: leader in top.text())
            assert top.stop(signal.SIGINT) == 0
            assert demo.stop(signal.SIGINT) == 0
