"""A defect in a lasting task of a worker: it is logged, waiting clients are answered, and the worker is replaced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.defects import plant_strike
from support.marks import thinned
from support.processes import Api, alive, children_of, serving
from support.submitting import clients, problem, read_by_now
from support.waiting import eventually
from support.world import World

STATEMENTS = {
    "intake-0": ("service/submissions/outcomes.py", "rows = await writer.submit(batch)"),
    "metrics": ("service/telemetry/metrics.py", "row.put(REDIS_WAITING, redis.waiting)"),
    "redis": (
        "board/redis/async_node.py",
        "await asyncio.wait([protocol.lost], timeout=min(self._deadline_s, LOOK_EVERY_S))",
    ),
    "keyring": ("service/access/keyring.py", 'await changes.execute(self._ask, {"seen": self._version})'),
}
"""Each task, and a statement of it that runs again and again."""


def until_replaced(api: Api, task: str, worker: set[int]) -> None:
    """Wait until the worker has told of the defect, with its trace, and another one is in its place."""
    api.command.until(lambda: not alive(worker))
    line = re.search(rf"CRITICAL \S+ the task {task} has failed; .*", api.command.text())
    assert line is not None and "RuntimeError: planted" in line[0]
    api.command.until(lambda: children_of(api.command.process.pid) - worker)


@pytest.mark.parametrize("task", thinned(STATEMENTS, 3))
def test_a_worker_with_a_failed_task_is_replaced(world: World, tmp_path: Path, task: str) -> None:
    tree = plant_strike(tmp_path, *STATEMENTS[task], word="now")
    settings = {"LEADERBOARD_READ_DEADLINE_MS": "1000"}
    if task == "keyring":
        world.key("read")
        settings["LEADERBOARD_AUTH"] = "keys"
    with serving(world, tree=tree, **settings) as api:
        worker = children_of(api.command.process.pid)
        (tree / "now").touch()
        with api.client() as http:
            if task == "intake-0":
                problem(http.post("s", "ada", 1), 504, "outcome-unknown")
        until_replaced(api, task, worker)
        with api.client() as http:
            eventually(lambda: http.get("/livez").status == 200)


def test_submissions_that_wait_for_a_failed_intake_are_answered(world: World, tmp_path: Path) -> None:
    world.create("s")
    tree = plant_strike(tmp_path, *STATEMENTS["intake-0"], word="now")
    with serving(world, tree=tree) as api, clients(api, 5) as many:
        worker = children_of(api.command.process.pid)
        with world.held("s"):
            many[0].send_post("s", "u0", 1)
            eventually(lambda: world.waiting() == 1)
            for n, http in enumerate(many[1:], 1):
                http.send_post("s", f"u{n}", 1)
            read_by_now(api)
            (tree / "now").touch()
        # The commit under way is none of the defect's; the next one has all the others.
        assert many[0].receive().status == 202
        for http in many[1:]:
            problem(http.receive(), 504, "outcome-unknown")
        until_replaced(api, "intake-0", worker)
        with api.client() as http:
            eventually(lambda: http.post("s", "later", 1).status == 202)
    assert {user for user, _, _ in world.expected("s")} == {"u0", "later"}
