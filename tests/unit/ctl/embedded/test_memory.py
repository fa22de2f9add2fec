"""How much memory there is, and what PostgreSQL gets of it; what the doctor says when that is too little."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctl.diagnosis.postgres import judge_buffers
from ctl.embedded.memory import choose_shared_buffers, read_total_bytes

GIB = 1 << 30


@pytest.mark.parametrize(("said", "least"), [("max\n", False), ("1073741824\n", True), ("999999999999999\n", False)])
def test_a_limit_of_the_container_counts_where_it_is_less(tmp_path: Path, said: str, least: bool) -> None:
    limit = tmp_path / "memory.max"
    limit.write_text(said)
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert read_total_bytes(limit) == (GIB if least else machine)
    assert read_total_bytes(tmp_path / "nothing") == machine


@pytest.mark.parametrize(("total", "mib"), [(0, 128), (GIB, 256), (8 * GIB, 2048), (64 * GIB, 4096)])
def test_postgresql_gets_a_quarter_within_bounds(total: int, mib: int) -> None:
    assert choose_shared_buffers(total) == f"{mib}MB"


@pytest.mark.parametrize(("scores", "severity"), [(0, "ok"), (GIB, "ok"), (GIB + 1, "warning")])
def test_the_doctor_tells_when_the_scores_outgrow_it(scores: int, severity: str) -> None:
    found = judge_buffers(GIB, scores)
    assert found.severity == severity
    assert ("a quarter of that host's memory" in found.advice) == (severity == "warning")
