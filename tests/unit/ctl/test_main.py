"""A process imports what it needs: the start of a command is most of its time, and modules are most of its memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.repository import REPOSITORY

API = {"falcon", "gunicorn", "uvicorn", "jwt", "service.app"}


@pytest.mark.parametrize(
    ("module", "spared"),
    [
        ("ctl.main", API),
        ("relay.__main__", API | {"redis", "relay.actor", "relay.exporter"}),
        ("relay.janitor", API | {"redis"}),
    ],
)
def test_modules_that_a_process_does_not_need_are_not_imported(module: str, spared: set[str]) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert module in done.stdout.split() and not spared & {*done.stdout.split()}
