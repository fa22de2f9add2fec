"""The reports in bench/results: every figure of docs/ is that of a report, from a clean tree and an idle machine."""

from __future__ import annotations

import pytest

from bench import REPOSITORY
from bench.report import page
from bench.report.report import Report
from bench.system.machine import IDLE_LOAD
from bench.tools import evidence


@pytest.mark.parametrize(("target", "block", "name"), evidence.BLOCKS)
def test_a_block_of_a_page_is_what_its_report_says(target: str, block: str, name: str) -> None:
    text = (REPOSITORY / target).read_text(encoding="utf-8")
    file = REPOSITORY / evidence.report_file(name)
    assert page.replace_block(text, evidence.render(block, page.read_report(file), file), block) == text


@pytest.mark.parametrize("name", evidence.RUNS)
def test_a_report_is_of_a_commit_on_an_idle_machine(name: str) -> None:
    report = page.read_report(REPOSITORY / evidence.report_file(name))
    assert not report.commit.dirty
    assert report.machine.load <= IDLE_LOAD
    if isinstance(report, Report):
        assert report.complete and report.correct


@pytest.mark.parametrize("name", evidence.RUNS)
def test_a_report_has_its_plots_beside_it(name: str) -> None:
    plots = sorted((REPOSITORY / evidence.RESULTS / name).glob("*.svg"))
    assert plots
    for plot in plots:
        assert plot.read_text(encoding="utf-8").rstrip().endswith("</svg>"), plot
