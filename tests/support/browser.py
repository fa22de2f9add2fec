"""A real Chromium, driven by lines of JavaScript (tests/clients/browser/driver.mjs)."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from support.absent import absent
from support.repository import REPOSITORY

PROJECT: Final = REPOSITORY / "tests" / "clients" / "browser"
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")


class Browser:
    """A browser with one page at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process: Final = process

    def run(self, script: str, **values: Any) -> Any:
        """Run the body of an asynchronous function, with these values in scope; its result."""
        names = "".join(f"const {name} = {json.dumps(value)};" for name, value in values.items())
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(names + script) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the browser has ended"
        result = json.loads(line)
        assert "error" not in result, result["error"]
        return result.get("value")

    def open(self, url: str, **options: Any) -> None:
        """Open a page in a fresh context with these options of playwright."""
        self.run("await open(options); await now().goto(url);", url=url, options=options)


@contextmanager
def browsing(directory: Path) -> Iterator[Browser]:
    """A browser, with the packages of its project installed in `directory`."""
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        absent("no Chromium (Debian: apt install chromium)")
    if not (shutil.which("node") and shutil.which("npm")):
        absent("node and npm are missing (Debian: nodejs npm)")
    project = directory / "browser"
    shutil.copytree(PROJECT, project, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(["npm", "ci"], cwd=project, capture_output=True, text=True, timeout=240)
    if done.returncode:
        absent(f"npm cannot install the packages of {PROJECT}: {done.stderr[-2000:]}")
    with subprocess.Popen(
        ["node", "driver.mjs", chromium], cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Browser(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
