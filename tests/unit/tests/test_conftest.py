"""A test that hangs fails after its time limit, and the run goes on. CI runs what the default run leaves out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.repository import REPOSITORY

HANGS = """
import threading

def test_hangs():
    threading.Event().wait()

def test_afterwards():
    pass
"""


def test_a_hang_is_a_failure_and_not_the_end(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(HANGS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(REPOSITORY / "pyproject.toml")]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "--timeout=1", str(tmp_path)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout
    assert "Timeout" in done.stdout


def test_every_test_has_a_limit(request: pytest.FixtureRequest) -> None:
    assert 60 <= float(request.config.getini("timeout")) <= 600


def test_ci_runs_every_mark_that_the_default_run_leaves_out(request: pytest.FixtureRequest) -> None:
    left_out = re.findall(r"not (\w+)", " ".join(request.config.getini("addopts")))
    assert "walk" in left_out
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    ci = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    recipes = re.findall(r"^([a-z-]+):.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    for mark in left_out:
        targets = [target for target, recipe in recipes if re.search(rf" -m '?{mark}\b", recipe)]
        assert any(re.search(rf"^(\w+=\w+ )*make {target}\b", ci, re.MULTILINE) for target in targets), mark
