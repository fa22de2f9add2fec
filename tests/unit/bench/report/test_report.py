"""The report: ratios, verdicts, and the ways it is shown."""

from __future__ import annotations

import io
import math

import msgspec
import pytest
from rich.console import Console

from bench.report import page, report, terminal, text
from bench.rows import catalog
from bench.rows.figures import Measure
from bench.system import machine


def row(name: str) -> catalog.Row:
    return next(row for row in catalog.ROWS if row.name == name)


def test_ratios_are_paired_with_the_calibration_of_their_round() -> None:
    measured = {
        "pgbench": [Measure({"per_s": 11_000.0}), Measure({"per_s": 5_500.0})],
        "post": [Measure({"per_s": 11_900.0}), Measure({"per_s": 5_950.0})],
    }
    found = report.build_row(row("post"), measured)
    assert found.scaled is not None
    assert found.scaled.rounds == (5_950, 2_975)
    assert found.ratio is not None
    assert found.ratio.rounds == (2, 2)


def test_no_ratio_without_calibration_or_without_an_original() -> None:
    one = [Measure({"per_s": 1.0})]
    assert report.build_row(row("post"), {"post": one}).ratio is None
    assert report.build_row(row("post_hot"), {"post_hot": one, "pgbench": one}).ratio is None


def test_time_to_visible_is_compared_unscaled() -> None:
    found = report.build_row(row("visible_idle"), {"visible_idle": [Measure({"p50_ms": 8.6})]})
    assert found.ratio is not None
    assert found.ratio.median == pytest.approx(10)


def test_one_fault_in_one_round_makes_a_row_wrong() -> None:
    good = Measure({"per_s": 1.0}, checks=("all is equal",))
    found = report.build_row(row("post"), {"post": [good, Measure({"per_s": 2.0}, faults=("a row is lost",)), good]})
    assert not found.correct
    assert found.faults == ["round 2: a row is lost"]
    assert found.checks == []


@pytest.mark.parametrize(("value", "expected"), [(0, "0"), (0.1234, "0.12"), (12.34, "12.3"), (12_345.6, "12,346")])
def test_numbers_are_written_with_what_matters(value: float, expected: str) -> None:
    assert text.format_number(value) == expected


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ({"postgresql": "15.18 (system)", "redis": "7.0.15 (system)"}, ""),
        ({"postgresql": "18.6 (wheel)", "redis": "7.0.15 (system)"}, "postgresql 18.6 (wheel)"),
        ({"postgresql": "15.18 (system)", "valkey": "9.1.2 (wheel)"}, "valkey 9.1.2 (wheel)"),
    ],
)
def test_other_servers_than_those_of_the_original_are_named(versions: dict[str, str], expected: str) -> None:
    assert report.name_other_servers(versions) == expected


def a_report(*, faults: tuple[str, ...] = ()) -> report.Report:
    measured = {
        "pgbench": [Measure({"per_s": 11_000.0})],
        "post": [Measure({"per_s": 11_900.0, "p99_ms": 20.0, "errors": 0.0, "backlog": 75.0}, faults=faults)],
    }
    found = report.build_rows(catalog.ROWS, measured)
    here = machine.Machine("a processor", 2, 4.0, "6.1", "ext4", 3.0)
    return report.Report(
        date="2026-01-01T00:00:00+00:00",
        command="python -m bench",
        commit=machine.Commit("0" * 40, False),
        machine=here,
        versions={"Python": "3.11"},
        settings={"postgresql fsync": "on"},
        options={"rounds": 1, "seconds": 10, "connections": 64, "workers": 2, "relays": 2},
        steal_percent=0.0,
        complete=True,
        correct=all(line.correct for line in found),
        notes=report.make_notes(here, machine.RAM_DISKS, catalog.ROWS, {"nginx": "none", "kernels": "c"}),
        rows=found,
    )


def shown(value: report.Report) -> str:
    out = io.StringIO()
    terminal.print_report(value, Console(file=out, width=120))
    return out.getvalue()


def test_the_table_shows_figure_ratio_and_verdict() -> None:
    text = shown(a_report())
    line = next(line for line in text.splitlines() if line.strip().startswith("post ") and "/s" in line)
    assert "11,900 /s" in line
    assert "5,950" in line
    assert "2.00" in line
    assert "backlog 75.0 hints" in text
    assert "every check was passed" in text
    assert "not idle" in text
    assert "nginx is not installed" in text


def test_the_table_shows_faults() -> None:
    value = a_report(faults=("a row is lost",))
    assert not value.correct
    assert "WRONG: round 1: a row is lost" in shown(value)
    assert "CHECKS FAILED" in shown(value)


def test_the_json_holds_every_round() -> None:
    value = msgspec.json.decode(msgspec.json.encode(a_report()))
    post = next(line for line in value["rows"] if line["name"] == "post")
    assert post["figures"]["per_s"] == {"median": 11900.0, "low": 11900.0, "high": 11900.0, "rounds": [11900.0]}
    assert math.isclose(post["ratio"]["median"], 2)


def test_the_page_gets_the_figures_between_its_marks() -> None:
    text = page.render(a_report())
    begin, end = "<!-- figures: begin -->", "<!-- figures: end -->"
    before, after = f"# Title\n{begin}\nold\n{end}", "\nthe rest\n"
    assert page.replace_block(before + after, text) == f"# Title\n{begin}\n{text}{end}{after}"
    assert "| `post` | **11,900 /s** (11,900 - 11,900) | - / - / 20.0 | 5,950 | **2.00** (2.00 - 2.00) |" in text
    with pytest.raises(ValueError, match="begin"):
        page.replace_block("# Title\n", text)


def test_the_page_shows_that_a_run_is_not_valid() -> None:
    text = page.render(a_report(faults=("a row is lost",)))
    assert "`post` **WRONG**" in text
    assert "not a valid run" in text
