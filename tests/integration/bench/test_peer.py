"""The bench beside the original: both sides are measured in turn, checked, and compared.

A small program with its contract and storage stands for the original's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support import original
from support.absent import absent
from support.repository import REPOSITORY

from bench.rows import beside_original
from bench.system.stack import free_port

SHORT = ("--seconds", "1", "--rounds", "1", "--connections", "4", "--players", "1200", "--servers", "wheel")


@pytest.fixture(autouse=True)
def programs() -> None:
    """The loads come from wrk, the scales from pgbench and redis-benchmark."""
    for name in ("wrk", "pgbench", "redis-benchmark"):
        if shutil.which(name) is None:
            absent(f"{name} is not installed")


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """The program, with its schema beside it."""
    program = tmp_path / "peer"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P "{original.__file__}"\n')
    program.chmod(0o755)
    (tmp_path / "schema.sql").write_text(original.SCHEMA)
    return program


def run(peer: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The bench as people call it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("LEADERBOARD_")} | more
    argv = [sys.executable, "-m", "bench", "--peer", str(peer), "--peer-port", str(free_port()), *SHORT, *arguments]
    return subprocess.run(argv, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=240)


@pytest.mark.walk
def test_both_sides_are_measured_and_compared(peer: Path, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    done = run(peer, "--json", str(file))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    report = json.loads(file.read_text())
    rows: dict[str, Any] = {row["name"]: row for row in report["rows"] if row["peer"]}
    assert tuple(rows) == beside_original.NAMES and report["correct"] and report["complete"]
    for name, row in rows.items():
        ours, theirs = (figures["per_s"]["median"] for figures in (row["figures"], row["peer"]))
        assert row["measured_ratio"]["median"] == pytest.approx(ours / theirs) and row["ratio"] is not None, name
        assert row["figures"]["errors"]["median"] == row["peer"]["errors"]["median"] == 0
        assert 0 < row["peer"]["generator_cores"]["median"] < 2
    assert report["options"]["peer"] == str(peer)


@pytest.mark.walk
def test_a_wrong_answer_of_the_other_side_is_a_fault(peer: Path) -> None:
    done = run(peer, "--only", "rank", LIES="1")
    assert done.returncode != 0 and "the board could not be filled" in done.stderr and "rank" in done.stderr


@pytest.mark.walk
def test_a_program_that_is_none_and_one_without_its_schema_are_named(peer: Path, tmp_path: Path) -> None:
    done = run(tmp_path / "nothing", "--only", "top10")
    assert done.returncode == 2 and "is no program" in done.stderr and "bench/README.md" in done.stderr
    (tmp_path / "schema.sql").unlink()
    done = run(peer, "--only", "top10")
    assert done.returncode == 2 and "schema.sql is missing" in done.stderr
    assert run(peer, "--only", "drain_1").returncode == 2
