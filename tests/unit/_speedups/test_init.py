"""The choice of an implementation."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest


def run_python(code: str, wanted: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "LEADERBOARD_IMPL"}
    if wanted is not None:
        environment["LEADERBOARD_IMPL"] = wanted
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


SHOW = "import _speedups; print(_speedups.IMPLEMENTATION, _speedups.render_items.__module__)"
HIDE = "import sys; sys.modules['_speedups._c'] = None; "


@pytest.mark.parametrize("wanted", [None, "", "auto", "c"])
def test_the_compiled_kernels_are_taken_when_they_are_there(compiled: Any, wanted: str | None) -> None:
    assert run_python(SHOW, wanted).stdout == "c _speedups._c\n"


def test_the_twin_can_be_chosen() -> None:
    assert run_python(SHOW, "python").stdout == "python _speedups._py\n"


def test_without_compiled_kernels_the_twin_runs() -> None:
    assert run_python(HIDE + SHOW, None).stdout == "python _speedups._py\n"


def test_insisting_on_missing_kernels_is_a_clear_error() -> None:
    result = run_python(HIDE + SHOW, "c")
    assert result.returncode == 1
    assert "ImportError: LEADERBOARD_IMPL=c, but the compiled kernels cannot be loaded" in result.stderr


def test_an_unknown_choice_is_a_clear_error() -> None:
    result = run_python(SHOW, "fast")
    assert result.returncode == 1
    assert "ValueError: LEADERBOARD_IMPL must be auto, c or python, not 'fast'" in result.stderr
