"""This release and the previous one, side by side on one world.

`tests/upgrade/previous` names the commit of the release before this one: change it when a release is made.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from support.absent import absent
from support.processes import Command, run
from support.repository import REPOSITORY
from support.world import World

PREVIOUS: Final = (REPOSITORY / "tests/upgrade/previous").read_text(encoding="utf-8").strip()


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True).stdout


def unpack_previous(tree: Path) -> Path:
    """Put the sources of the previous release into a directory, without compiled kernels."""
    try:
        archive = git("archive", PREVIOUS)
    except subprocess.CalledProcessError as error:
        absent(f"the commit of the previous release is not in this clone: {error.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    return tree


class Release:
    """A release and its processes. It gets only the settings that it knows."""

    def __init__(self, world: World, tree: Path, sockets: Path, **more: str) -> None:
        self.tree: Final = tree
        self.socket: Final = sockets / ("this" if tree == REPOSITORY else "previous")
        env = {**world.environment(), "LEADERBOARD_BIND": f"unix:{self.socket}", "LEADERBOARD_WORKERS": "1"}
        bare = {k: v for k, v in env.items() if not k.startswith("LEADERBOARD_")}
        known = json.loads(run(["settings", "--json"], bare, tree=tree).stdout)
        self.env: Final = {k: v for k, v in env.items() if not k.startswith("LEADERBOARD_") or k in known} | more

    def run(self, *arguments: str) -> str:
        """Run a command, which must succeed; return its output."""
        done = run(arguments, self.env, tree=self.tree)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def serve(self) -> Iterator[Command]:
        """The API, once it answers."""
        with Command(["serve"], self.env, self.tree) as command:
            command.until(lambda: "worker is up" in command.text(), 60)
            yield command

    @contextmanager
    def relay(self) -> Iterator[Command]:
        """A relay, once it is up."""
        with Command(["relay", "--processes", "1"], self.env, self.tree) as command:
            command.until(lambda: "relay is up" in command.text(), 60)
            yield command
