"""Pages of the documentation, walked: each command is run as it stands, and answers as the page shows."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any, Final

from support.processes import relaying, serving
from support.repository import REPOSITORY
from support.waiting import eventually
from support.world import World

ANY: Final = "…"


def walk_page(world: World, name: str, least: int) -> None:
    """Run the commands of a page of ``docs``, of which there are `least` at least, each with its answer."""
    page = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    steps = re.findall(r"^```sh\n(.*?)^```\n```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(steps) == page.count("```sh") == page.count("```json") >= least
    with relaying(world), serving(world, "/readyz") as api:
        for command, answer in steps:
            shown = json.loads(answer)
            if "/leaderboard/" in command:
                eventually(
                    lambda command=command, shown=shown: fits(run(command, api.port), shown),
                    tell=lambda command=command: f": {command} answers {run(command, api.port)}",
                )
            else:
                found = run(command, api.port)
                assert fits(found, shown), (command, found)


def run(command: str, port: int) -> Any:
    """The answer to a command of a page."""
    script = f"URL=http://127.0.0.1:{port}\n{command}"
    done = subprocess.run(["bash", "-eu", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fits(found: Any, shown: Any) -> bool:
    """Whether an answer is the one of the page, where dots stand for any text."""
    if isinstance(shown, dict):
        return found.keys() == shown.keys() and all(fits(found[name], shown[name]) for name in shown)
    if isinstance(shown, list):
        return len(found) == len(shown) and all(map(fits, found, shown))
    return bool(found == shown) or (shown == ANY and isinstance(found, str))
