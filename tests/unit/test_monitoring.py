"""Rules, runbook, dashboard: expressions are valid and of metrics that exist, alerts can fire and have a page."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.absent import absent
from support.marks import walks
from support.repository import REPOSITORY

import relay.metrics
import service.telemetry.metrics
from board.observe.exporter import BUILD
from board.observe.metrics import Metric

MONITORING = REPOSITORY / "monitoring"
RUNBOOK = REPOSITORY / "docs" / "ops" / "runbook"
METRICS = (*service.telemetry.metrics.REGISTRY.metrics, *relay.metrics.REGISTRY.metrics, *relay.metrics.GAUGES, BUILD)
RULES = (MONITORING / "rules.yml").read_text(encoding="utf-8")
RECORDED = set(re.findall(r"- record: (\S+)", RULES))
ALERTS = re.findall(r"- alert: (\S+)", RULES)
EXPRESSIONS = [json.loads(text) for text in re.findall(r"expr: (\".*\")", RULES)]
PANELS = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))["panels"]
SHOWN = [target["expr"] for panel in PANELS for target in panel["targets"]]


def series(metric: Metric) -> set[str]:
    """The names under which a metric is stored."""
    if metric.kind != "histogram":
        return {metric.name}
    return {f"{metric.name}_{part}" for part in ("bucket", "sum", "count")}


EXIST = {name for metric in METRICS for name in series(metric)} | RECORDED


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("promtool") is None:
        absent("promtool (Debian: prometheus) is not installed")
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, cwd=MONITORING)


def test_metrics_are_named_as_prometheus_wants_them() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    for metric in METRICS:
        assert re.fullmatch(r"leaderboard_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert bool(metric.bounds) == (metric.kind == "histogram") and sorted(metric.bounds) == list(metric.bounds)


@pytest.mark.parametrize("expression", [*EXPRESSIONS, *SHOWN])
def test_expressions_use_metrics_that_exist(expression: str) -> None:
    used = set(re.findall(r"\bleaderboard[_:][a-z0-9_:]+", re.sub(r'"[^"]*"', '""', expression)))
    assert used <= EXIST
    assert used or "up{" in expression


def test_every_metric_is_on_the_dashboard_or_in_a_rule() -> None:
    text = " ".join([*EXPRESSIONS, *SHOWN])
    assert {m.name for m in METRICS if m.name not in text} <= {"leaderboard_build_info", "leaderboard_seasons"}


def test_the_dashboards_expressions_are_valid(tmp_path: Path) -> None:
    rules = "groups:\n- name: g\n  rules:\n" + "".join(
        f"  - record: panel:{at}\n    expr: {json.dumps(text.replace('$__rate_interval', '1m'))}\n"
        for at, text in enumerate(SHOWN)
    )
    (tmp_path / "panels.yml").write_text(rules)
    done = promtool("check", "rules", str(tmp_path / "panels.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words", ["check rules rules.yml", *walks("test rules rules.test.yml")])
def test_the_rules_do_what_they_promise(words: str) -> None:
    done = promtool(*words.split())
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_a_test_and_has_a_page() -> None:
    tests = (MONITORING / "rules.test.yml").read_text(encoding="utf-8")
    fired = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n", tests))
    assert fired == set(ALERTS)
    pages = re.findall(r"runbook: docs/ops/runbook/(\S+)\.md", RULES)
    assert sorted(pages) == sorted(path.stem for path in RUNBOOK.glob("*.md"))
    for alert, page in zip(ALERTS, pages, strict=True):
        text = (RUNBOOK / f"{page}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {alert}\n") and "## Look" in text and "## Do" in text


def test_the_guide_lists_every_metric() -> None:
    text = (REPOSITORY / "docs" / "ops" / "monitor.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(leaderboard_\w+)` \| (\w+) \| .* \| (.*) \|$", text, re.M)
    assert listed == [(metric.name, metric.kind, metric.text) for metric in METRICS]
