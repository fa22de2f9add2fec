"""A test that hangs fails after its time limit, and the run goes on."""

from __future__ import annotations

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
