"""Reports: the JSON keeps its schema; the page and the plots are whole, say what is wrong, and stand alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest

from bench.report import html, report, schema, svg
from bench.rows import catalog
from bench.rows.figures import Measure
from bench.system import machine


def a_report(*, faults: tuple[str, ...] = (), invalid: str = "") -> report.Report:
    curve = [(0.0, 0.5), (50.0, 1.0), (99.0, 9.0), (99.9, 20.0), (100.0, 30.0)]
    measured = {
        "pgbench": [Measure({"per_s": 11_000.0})],
        "post": [Measure({"per_s": 11_900.0, "p99_ms": 20.0}, faults=faults)],
        "mixed": [
            Measure(
                {"p99_ms": 9.0, "lag_p99_ms": 1.0}, curves={"latency <all>": curve}, hdr={"mixed": "x"}, invalid=invalid
            )
        ],
        "curve": [
            Measure({"per_s": 200.0}, curves={"p99 of POST by rate": [(100.0, 2.0), (150.0, None), (200.0, 40.0)]})
        ],
    }
    found = report.build_rows(catalog.ROWS, measured)
    return report.Report(
        date="2026-01-01T00:00:00+00:00",
        command="python -m bench --only '<post>'",
        commit=machine.Commit("0" * 40, False),
        machine=machine.Machine("a processor", 2, 4.0, "6.1", "ext4", 0.0),
        versions={"Python": "3.11"},
        settings={"postgresql fsync": "on"},
        options={"rounds": 1, "seed": 1},
        steal_percent=0.0,
        complete=True,
        correct=all(line.correct for line in found),
        notes=["a note"],
        rows=found,
    )


def encoded(value: report.Report) -> Any:
    return json.loads(msgspec.json.encode(value))


def test_the_schema_in_the_repository_is_that_of_the_code() -> None:
    assert schema.FILE.read_text(encoding="utf-8") == schema.render(), "python -m bench schema > …"


def test_a_report_keeps_the_schema() -> None:
    held = json.loads(schema.FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(held)
    jsonschema.validate(encoded(a_report()), held)


@pytest.mark.parametrize("name", ["commit", "machine", "versions", "settings", "options", "correct", "rows"])
def test_the_schema_misses_what_a_report_must_have(name: str) -> None:
    held = json.loads(schema.FILE.read_text(encoding="utf-8"))
    value = encoded(a_report())
    del value[name]
    with pytest.raises(jsonschema.ValidationError, match=name):
        jsonschema.validate(value, held)


def test_the_page_stands_alone() -> None:
    text = html.render(a_report())
    addresses = set(re.findall(r"https?://[^\"' <]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}, "a name, not an address that is loaded"
    assert "<script" not in text
    assert "&lt;post&gt;" in text
    assert "11,900 /s" in text
    assert "every check was passed" in text


@pytest.mark.parametrize("value", [a_report(faults=("a row is <lost>",)), a_report(invalid="the generator lagged")])
def test_the_page_says_what_is_wrong(value: report.Report) -> None:
    text = html.render(value)
    assert "not a valid run" in text
    assert "a row is &lt;lost&gt;" in text or "the generator lagged" in text


def test_every_plot_is_a_file_of_sound_xml(tmp_path: Path) -> None:
    files = html.write_files(a_report(), tmp_path)
    pictures = [file for file in files if file.suffix == ".svg"]
    assert {"ratio.svg", "rates.svg", "times.svg"} < {file.name for file in pictures}
    assert len(pictures) == 5
    for file in pictures:
        assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_a_bar_is_as_long_as_its_figure() -> None:
    root = ElementTree.fromstring(svg.draw_bars("t", "/s", [("a", 100.0, 90.0, 110.0), ("b", 50.0, 50.0, 50.0)]))
    widths = [
        float(r.attrib["width"]) for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.attrib["width"] != "100%"
    ]
    assert widths[0] == pytest.approx(2 * widths[1])


def test_a_line_rises_with_its_figures_and_does_without_any() -> None:
    root = ElementTree.fromstring(svg.draw_lines("t", "x", "y", [(1.0, 1.0), (2.0, 10.0), (3.0, 100.0)]))
    circles = [float(c.attrib["cy"]) for c in root.iter("{http://www.w3.org/2000/svg}circle")]
    assert circles == sorted(circles, reverse=True)
    assert circles[0] - circles[1] == pytest.approx(circles[1] - circles[2], abs=0.2), "the scale is logarithmic"
    assert "nothing to draw" in svg.draw_lines("t", "x", "y", [])


def test_a_step_that_was_left_out_is_a_gap_with_a_mark() -> None:
    """A line across it would show figures that nobody measured."""
    steps = [(1.0, 1.0), (2.0, 2.0), (3.0, None), (4.0, 100.0), (5.0, 200.0), (6.0, None)]
    root = ElementTree.fromstring(svg.draw_lines("t", "x", "y", steps))
    name = "{http://www.w3.org/2000/svg}"
    lines = [[point.split(",")[0] for point in line.attrib["points"].split()] for line in root.iter(f"{name}polyline")]
    assert [len(line) for line in lines] == [2, 2]
    marks = [float(line.attrib["x1"]) for line in root.iter(f"{name}line") if "stroke-dasharray" in line.attrib]
    assert len(marks) == 2
    assert float(lines[0][-1]) < marks[0] < float(lines[1][0]) < float(lines[1][-1]) < marks[1]
    assert [text.text for text in root.iter(f"{name}text")].count("invalid") == 2
    assert "nothing to draw" in svg.draw_lines("t", "x", "y", [(1.0, None)])


def test_the_page_says_what_the_original_is() -> None:
    text = html.render(a_report())
    assert "leaderboard-go" in text and "github.com/disfordave/leaderboard-go, commit 1f5f006" in text
    assert "estimates" in text
