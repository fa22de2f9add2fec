"""What to buy: the formula, on round numbers."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.repository import REPOSITORY

from bench.report import page, report
from bench.rows import catalog
from bench.rows.figures import Measure
from bench.system import machine
from bench.tools import capacity
from bench.tools.capacity import Constants, Demand, compute
from board.errors import UsageError

GIB = 2**30
C = Constants(
    redis_bytes=100.0,
    player_bytes=200.0,
    ledger_bytes=80.0,
    wal_bytes=600.0,
    key_bytes=140.0,
    post={"worker": 60.0, "postgres": 30.0, "redis": 6.0, "relay": 12.0},
    reads={name: {"worker": 30.0, "postgres": 0.0, "redis": 9.0, "relay": 0.0} for name in capacity.READS},
)


def a_report(*without: str, faults: tuple[str, ...] = ()) -> report.Report:
    parts = {"us": 10.0, "worker_us": 4.0, "postgres_us": 3.0, "redis_us": 2.0, "relay_us": 1.0, "generator_us": 9.0}
    measured = {
        "memory": [Measure({"bytes": 170.0})],
        "disk": [Measure({"bytes": 80.0, "wal_bytes": 600.0, "key_bytes": 140.0, "player_bytes": 190.0}, (), faults)],
        **{f"budget_{name}": [Measure(parts)] for name in ("post", *capacity.READS)},
    }
    found = report.build_rows(catalog.ROWS, {name: value for name, value in measured.items() if name not in without})
    return report.Report(
        date="2026-01-01T00:00:00+00:00",
        command="python -m bench --only budget,disk,memory",
        commit=machine.Commit("0" * 40, False),
        machine=machine.Machine("a processor", 2, 4.0, "6.1", "ext4", 0.0),
        versions={},
        settings={},
        options={},
        steal_percent=0.0,
        complete=True,
        correct=True,
        notes=[],
        rows=found,
    )


def test_cores_follow_the_rates_and_leave_room_at_the_peak() -> None:
    found = compute(C, Demand("x", 1, writes=10_000, reads=20_000))
    assert found.cores == pytest.approx({"worker": 2.0, "postgres": 0.5, "redis": 0.4, "relay": 0.2})
    assert compute(C, Demand("x", 1, 20_000, 40_000)).cores["worker"] == pytest.approx(4.0)


def test_memory_follows_the_players() -> None:
    found = compute(C, Demand("x", GIB // 100, 1, 1))
    assert found.redis_memory == pytest.approx(2.0, rel=1e-6)
    assert found.postgres_memory == pytest.approx(2.0, rel=1e-6)


def test_disk_follows_submissions_days_and_keys() -> None:
    quiet = compute(C, Demand("x", 1, 300, 1, days=10, keyed=0.0))
    a_day = 100 * 86_400
    assert quiet.disk == pytest.approx(1.5 * a_day * 10 * 80 / GIB, rel=1e-4)
    assert quiet.wal_a_day == pytest.approx(a_day * 600 / GIB)
    keyed = compute(C, Demand("x", 1, 300, 1, days=10, keyed=0.5))
    assert keyed.disk - quiet.disk == pytest.approx(1.5 * a_day * 0.5 * 140 / GIB)


def test_the_shares_of_reads_are_a_whole() -> None:
    assert sum(capacity.READS.values()) == pytest.approx(1.0)


def test_constants_come_from_correct_rows_only() -> None:
    found = capacity.read_constants(a_report())
    assert (found.redis_bytes, found.player_bytes, found.post["relay"]) == (170.0, 190.0, 1.0)
    for broken in (a_report("memory"), a_report("budget_rank"), a_report(faults=("a row is missing",))):
        with pytest.raises(UsageError, match="no correct row"):
            capacity.read_constants(broken)


def test_the_page_is_written_and_a_question_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, text = tmp_path / "report.json", tmp_path / "page.md"
    file.write_bytes(msgspec.json.encode(a_report()))
    text.write_text("# Title\n<!-- capacity: begin -->\nold\n<!-- capacity: end -->\nrest\n")
    assert capacity.main([str(file), "--write", str(text)]) == 0
    assert "old" not in text.read_text() and "| Redis, per player | 170 bytes |" in text.read_text()
    assert all(f"| {size.name} |" in text.read_text() for size in capacity.SIZES)
    assert capacity.main([str(file), "--players", "1000", "--writes", "10"]) == 0
    assert msgspec.json.decode(capsys.readouterr().out, type=capacity.Requirements).cores["worker"] > 0


def test_the_documents_have_the_blocks_that_programs_write() -> None:
    docs = REPOSITORY / "docs"
    blocks = {"capacity.md": ("capacity", "scale"), "performance.md": ("anatomy-post", "anatomy-rank")}
    for name, found in blocks.items():
        text = (docs / name).read_text(encoding="utf-8")
        for block in found:
            assert page.replace_block(text, "x", block) != text, f"{name}: {block}"


def test_what_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.json"
    file.write_text("{}")
    assert capacity.main([str(file)]) == 2
    assert capacity.main([str(tmp_path / "none.json")]) == 2
    assert capsys.readouterr().err.count("bench capacity: ") == 2
