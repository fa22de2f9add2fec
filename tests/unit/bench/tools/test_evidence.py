"""The evidence behind docs/: what is refused, and that pages name the report that their figures come from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from bench import REPOSITORY
from bench.report import anatomy, circumstances, page, report
from bench.report.anatomy import Anatomy, AnatomyReport
from bench.rows import catalog
from bench.rows.figures import Measure
from bench.system.machine import IDLE_LOAD, Commit, Machine
from bench.tools import evidence
from board.errors import UsageError

COMMIT = Commit("0" * 40, False)
PARTS = {"us": 10.0, "worker_us": 4.0, "postgres_us": 3.0, "redis_us": 2.0, "relay_us": 1.0, "generator_us": 9.0}


def a_machine(load: float = 0.2) -> Machine:
    return Machine("a processor", 2, 4.0, "6.1", "ext4", load)


def a_report(load: float = 0.2) -> report.Report:
    """With the rows that capacity needs."""
    measured = {
        "memory": [Measure({"bytes": 170.0})],
        "disk": [Measure({"bytes": 80.0, "wal_bytes": 600.0, "key_bytes": 140.0, "player_bytes": 190.0})],
        **{f"budget_{name}": [Measure(PARTS)] for name in ("post", "rank", "around", "top10")},
    }
    return report.Report(
        date="2026-01-01T00:00:00+00:00",
        command="python -m bench",
        commit=COMMIT,
        machine=a_machine(load),
        versions={"redis": "7.0.15 (system)"},
        settings={},
        options={"rounds": 1, "seconds": 10, "connections": 64, "workers": 2, "relays": 2},
        steal_percent=0.0,
        complete=True,
        correct=True,
        notes=[],
        rows=report.build_rows(catalog.ROWS, measured),
    )


def an_anatomy(request: str) -> AnatomyReport:
    found = Anatomy(request, 1_000.0, PARTS, {"worker": {"a.py f": 4.0}}, {"relay": 3.0}, {"zadd": (0.5, 2.0)})
    return AnatomyReport("2026-01-01T00:00:00+00:00", "python -m bench anatomy", COMMIT, a_machine(), found)


@pytest.mark.parametrize(("load", "expected"), [(0.2, "0.2: idle |"), (1.9, "1.9: not idle")])
def test_a_page_says_once_whether_the_machine_was_idle(load: float, expected: str) -> None:
    text = page.render(a_report(load))
    assert expected in text and text.count("idle") == (1 if load < 1 else 2), "not idle (idle is at most …)"


def test_a_machine_that_becomes_idle_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "POLL_S", 0.0)
    loads: Iterator[float] = iter([2.0, 0.9, 0.4])
    evidence.require_idle_machine(lambda: next(loads), wait_s=60.0)
    assert next(loads, None) is None
    with pytest.raises(UsageError, match="not idle"):
        evidence.require_idle_machine(lambda: 0.6)


def test_a_tree_with_changes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "read_head", lambda: "0" * 40)
    monkeypatch.setattr(evidence, "read_commit", lambda: Commit("0" * 40, True))
    with pytest.raises(UsageError, match="changes"):
        evidence.measure(anyway=False)


def test_every_block_is_in_its_page_and_has_a_run() -> None:
    for target, block, name in evidence.BLOCKS:
        text = (REPOSITORY / target).read_text(encoding="utf-8")
        assert page.replace_block(text, "x", block) != text
        assert name in evidence.RUNS


def test_pages_and_plots_are_written_from_the_reports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(evidence, "REPOSITORY", tmp_path)
    monkeypatch.setattr(circumstances, "REPOSITORY", tmp_path)
    monkeypatch.setattr(circumstances, "PAGES", tmp_path / "docs")
    for directory in ("docs", evidence.RESULTS):
        (tmp_path / directory).mkdir(parents=True)
    for target in {target for target, _, _ in evidence.BLOCKS}:
        (tmp_path / target).write_text((REPOSITORY / target).read_text(encoding="utf-8"), encoding="utf-8")
    for name in evidence.RUNS:
        content = an_anatomy(name.removeprefix("anatomy-")) if name.startswith("anatomy") else a_report()
        (tmp_path / evidence.report_file(name)).write_bytes(msgspec.json.encode(content))
    evidence.write_plots()
    evidence.write_pages()
    for target, _, name in evidence.BLOCKS:
        assert f"[bench/results/{name}.json](../bench/results/{name}.json), plots in" in (tmp_path / target).read_text()
        assert list((tmp_path / evidence.RESULTS / name).glob("*.svg"))


def test_a_report_elsewhere_is_named_without_its_directory(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    assert circumstances.describe_source(file) == "`mine.json`, not in the repository"
    assert str(tmp_path) not in anatomy.render(an_anatomy("post"), file)


# --- The reports in bench/results, and the pages made from them


@pytest.mark.parametrize(("target", "block", "name"), evidence.BLOCKS)
def test_a_block_of_a_page_is_what_its_report_says(target: str, block: str, name: str) -> None:
    text = (REPOSITORY / target).read_text(encoding="utf-8")
    file = REPOSITORY / evidence.report_file(name)
    assert page.replace_block(text, evidence.render(block, page.read_report(file), file), block) == text


@pytest.mark.parametrize("name", evidence.RUNS)
def test_a_report_is_of_a_commit_on_an_idle_machine(name: str) -> None:
    found = page.read_report(REPOSITORY / evidence.report_file(name))
    assert not found.commit.dirty
    assert found.machine.load <= IDLE_LOAD
    if isinstance(found, report.Report):
        assert found.complete and found.correct


@pytest.mark.parametrize("name", evidence.RUNS)
def test_a_report_has_its_plots_beside_it(name: str) -> None:
    plots = sorted((REPOSITORY / evidence.RESULTS / name).glob("*.svg"))
    assert plots
    for plot in plots:
        assert plot.read_text(encoding="utf-8").rstrip().endswith("</svg>"), plot
