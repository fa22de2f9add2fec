"""The benchmark's own arithmetic: what it reads from other programs, how it scales, what it calls correct."""

from __future__ import annotations

import io
import math
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from bench.load import closed_loop, generator
from bench.report import page, report, terminal, text
from bench.report.original import PGBENCH, READ_LINES, ratio, read_scale, write_scale
from bench.rows import calibration, catalog, read
from bench.rows.figures import Measure, percentile, summarize_measures, summarize_rounds
from bench.system import machine
from bench.system.totals import Totals, audit
from board.errors import ChildFailed, UsageError

PGBENCH_TEXT = """\
pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: /tmp/transaction.sql
number of clients: 50
number of transactions actually processed: 21987
number of failed transactions: 0 (0.000%)
latency average = 4.546 ms
initial connection time = 93.150 ms
tps = 10998.700361 (without initial connection time)
"""

REDIS_TEXT = """\
"test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","p99_latency_ms","max_latency_ms"
"ZREVRANGE board 0 99 WITHSCORES","47021.33","0.98","0.10","0.871","1.63","2.255","12.25"
"""

WRK_LINE = (
    b'RESULT {"answers":10100,"refused":90,"broken":7,"late":3,"duration_us":3000000,'
    b'"p50_us":4100,"p90_us":8200,"p99_us":16400,"max_us":50000,"mean_us":20000.0}'
)


def test_pgbench_figures_are_read() -> None:
    assert calibration.parse_pgbench(PGBENCH_TEXT) == (10998.700361, 4.546, 21987)


@pytest.mark.parametrize(
    "text",
    [
        "pgbench: error: connection failed",
        PGBENCH_TEXT.replace("tps = ", "tpm = "),
        PGBENCH_TEXT.replace("failed transactions: 0 (0.000%)", "failed transactions: 3 (0.014%)"),
    ],
)
def test_pgbench_without_sound_figures_is_an_error(text: str) -> None:
    with pytest.raises(ChildFailed):
        calibration.parse_pgbench(text)


def test_redis_figures_are_read() -> None:
    assert calibration.parse_redis(REDIS_TEXT) == {"per_s": 47021.33, "p50_ms": 0.871, "p99_ms": 2.255}


@pytest.mark.parametrize("text", ["", "Could not connect", REDIS_TEXT.replace("47021.33", "ERR")])
def test_redis_without_figures_is_an_error(text: str) -> None:
    with pytest.raises(ChildFailed):
        calibration.parse_redis(text)


def test_only_good_answers_make_the_rate() -> None:
    found = closed_loop.parse(WRK_LINE)
    assert found.accepted == 10_010
    assert found.errors == 100
    figures = found.figures()
    assert figures["per_s"] == pytest.approx(10_010 / 3)
    assert (figures["p50_ms"], figures["p90_ms"], figures["p99_ms"]) == (4.1, 8.2, 16.4)


def test_silence_after_the_last_submission_is_not_in_the_rate() -> None:
    assert closed_loop.parse(WRK_LINE).figures(2)["per_s"] == pytest.approx(10_010 / 2.02)


def test_wrk_without_figures_is_an_error() -> None:
    with pytest.raises(ChildFailed):
        closed_loop.parse(b"RESULT nan")


@pytest.mark.parametrize("count", [1, 2, 3, 10, 89, 1_000, 99_991])
def test_a_stride_visits_every_player_once(count: int) -> None:
    step = closed_loop.stride(count)
    assert {step * n % count for n in range(count)} == set(range(count))


def test_percentile_is_the_nearest_rank() -> None:
    values = [float(n) for n in range(200, 0, -1)]
    assert [percentile(values, p) for p in (50, 90, 99, 100)] == [100, 180, 198, 200]
    assert percentile([7.0], 50) == percentile([7.0], 99) == 7


def test_a_spread_is_median_and_extremes() -> None:
    found = summarize_rounds([3.0, 9.0, 1.0])
    assert (found.median, found.low, found.high, found.rounds) == (3, 1, 9, (3, 9, 1))


def test_spreads_take_a_figure_from_the_rounds_that_have_it() -> None:
    found = summarize_measures([Measure({"per_s": 1.0}), Measure({"per_s": 3.0, "errors": 2.0})])
    assert found["per_s"].rounds == (1, 3)
    assert found["errors"].rounds == (2,)


def test_the_machine_of_the_original_has_scale_one() -> None:
    assert write_scale({"pgbench": PGBENCH}) == 1
    assert read_scale(READ_LINES) == pytest.approx(1)


def test_reads_scale_by_the_geometric_mean_of_three_lines() -> None:
    lines = {"zrevrank": 80_000.0, "zrevrange": 47_000.0, "nginx": 700_000.0}
    assert read_scale(lines) == pytest.approx((0.5 * 1 * 4) ** (1 / 3))


def test_reads_scale_without_nginx_but_not_without_redis() -> None:
    assert read_scale({"zrevrank": 80_000.0, "zrevrange": 94_000.0}) == pytest.approx(1)
    assert read_scale({"zrevrank": 80_000.0, "nginx": 175_000.0}) is None
    assert write_scale({"zrevrank": 80_000.0}) is None


def test_a_ratio_above_one_is_better_for_rates_and_for_times() -> None:
    assert ratio(200, 100) == 2
    assert ratio(5, 10, lower_is_better=True) == 2


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


def test_all_rows_are_chosen_by_default_and_calibration_comes_first() -> None:
    assert catalog.select_rows([]) == list(catalog.ROWS)
    assert [r.family for r in catalog.ROWS[:4]] == ["calibration"] * 4


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["post"], ["pgbench", "post"]),
        (["rank"], ["zrevrank", "zrevrange", "nginx", "rank"]),
        (["drain"], ["drain_1", "drain_1000"]),
        (["visible_busy", "rebuild"], ["rebuild", "visible_busy"]),
    ],
)
def test_chosen_rows_bring_the_calibration_they_are_compared_by(only: list[str], expected: list[str]) -> None:
    assert [r.name for r in catalog.select_rows(only)] == expected


def test_an_unknown_row_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="psot"):
        catalog.select_rows(["post", "psot"])


def test_books_that_agree_have_no_fault() -> None:
    assert audit(Totals(1_000, 5_000, 1_000, 5_000), 1_000, 0) == []


@pytest.mark.parametrize(
    ("held", "accepted", "errors"),
    [
        (Totals(999, 5_000, 999, 5_000), 1_000, 0),  # An acknowledged submission is lost.
        (Totals(1_001, 5_000, 1_001, 5_000), 1_000, 0),  # One counts twice.
        (Totals(1_000, 5_000, 999, 5_000), 1_000, 0),  # A score misses a submission.
        (Totals(1_000, 5_000, 1_000, 5_001), 1_000, 0),  # A score is not the sum of its deltas.
        (Totals(1_000, 5_000, 1_000, 5_000), 1_000, 1),  # Somebody got an error.
        (Totals(0, 0, 0, 0), 0, 0),  # Nothing was measured.
    ],
)
def test_books_that_disagree_are_a_fault(held: Totals, accepted: int, errors: int) -> None:
    assert audit(held, accepted, errors)


ORDER = [(f"player-{n}", 1_000 - n // 2) for n in range(200)]
TRUTH = read.ExpectedOrder(ORDER, {user: at for at, (user, _) in enumerate(ORDER)})


def top(count: int) -> dict[str, object]:
    return {"items": [{"userId": user, "score": score} for user, score in ORDER[:count]]}


def window(first: int, end: int) -> dict[str, object]:
    items = [{"rank": n + 1, "userId": ORDER[n][0], "score": ORDER[n][1]} for n in range(first, end)]
    return {"userId": "player-3", "range": 5, "items": items}


def test_right_answers_are_accepted() -> None:
    assert read.check_top(TRUTH, "", top(100)) == ""
    assert read.check_rank(TRUTH, "player-3", {"userId": "player-3", "rank": 4, "score": 999}) == ""
    assert read.check_around(TRUTH, "player-3", window(0, 9)) == ""
    assert read.check_around(TRUTH, "player-199", window(194, 200)) == ""


def test_wrong_answers_are_not() -> None:
    swapped = top(10)
    swapped["items"] = [{"userId": user, "score": score} for user, score in [*ORDER[1::-1], *ORDER[2:10]]]
    assert read.check_top(TRUTH, "", swapped)
    assert read.check_top(TRUTH, "", top(9))
    assert read.check_rank(TRUTH, "player-3", {"userId": "player-3", "rank": 5, "score": 999})
    assert read.check_rank(TRUTH, "player-3", {"userId": "player-3", "rank": 4, "score": 998})
    assert read.check_around(TRUTH, "player-3", window(0, 8))


def test_the_pacer_waits_for_a_whole_answer() -> None:
    whole = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\nContent-Length: 4\r\n\r\nabcd"
    assert generator.parse_status(whole) == 202
    assert [generator.parse_status(whole[:cut]) for cut in (10, 40, len(whole) - 1)] == [None, None, None]


def test_the_file_system_is_that_of_the_longest_mount_point() -> None:
    mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /var tmpfs rw 0 0\n/dev/vdb /var/tmp/data xfs rw 0 0\n"
    assert machine.find_file_system(Path("/var/tmp"), mounts) == "tmpfs"
    assert machine.find_file_system(Path("/var/tmp/data/1"), mounts) == "xfs"
    assert machine.find_file_system(Path("/vary"), mounts) == "ext4"


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
