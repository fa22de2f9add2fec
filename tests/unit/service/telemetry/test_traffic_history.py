"""The traffic of a server: rates between samples, percentiles of buckets, and honest about what it does not know."""

from __future__ import annotations

import datetime

import pytest

from board.observe.metrics import Sheet
from service.admin.types import Latency
from service.telemetry.metrics import BATCH, LATENCY, LISTENERS, REGISTRY, REQUESTS, WORKERS
from service.telemetry.traffic_history import (
    KEPT_S,
    LATEST_S,
    LEAST_S,
    NS,
    POINTS_MOST,
    READING,
    SLOTS,
    STEP_S,
    Sample,
    TrafficHistory,
    compare,
    find_quantile,
)

BEGAN = 1_800_000_000
BOARDS = [
    (name, "read")
    for name in ("getTop", "getRank", "getAround", "getCount", "lookUpPlayers", "getScore", "getHistogram")
]


class Server:
    """Two workers, and a master whose clock a test turns."""

    def __init__(self, kept: int = 1_000) -> None:
        self.seconds = 0.0
        sheet = Sheet.create(REGISTRY, 2)
        self.rows = [sheet.row(0), sheet.row(1)]
        self.history = TrafficHistory(sheet, self.clocks, kept=kept)

    def clocks(self) -> tuple[int, int]:
        # The monotonic clock begins anywhere.
        return 1_234_567_890_123 + int(self.seconds * NS), BEGAN * NS + int(self.seconds * NS)

    def step(self, submissions: int = 0, reads: int = 0, failures: int = 0, read_ms: float = 2.5) -> None:
        """The time until the next sample, with so much traffic in each worker."""
        for row in self.rows:
            if submissions:
                row.observe(BATCH, submissions, "scores")
                row.observe(LATENCY, 4_000_000, "submitScore")
            row.add(REQUESTS, "getTop", "200", by=reads)
            row.add(REQUESTS, "getTop", "503", by=failures)
            for _ in range(reads):
                row.observe(LATENCY, int(read_ms * 1_000_000), "getTop")
        self.seconds += STEP_S
        self.history.keep_sampling()


def test_six_hours_are_kept_and_reads_are_those_of_boards() -> None:
    assert (STEP_S, KEPT_S, LEAST_S, LATEST_S, POINTS_MOST, NS) == (5.0, 21_600, 4, 30, 120, 1_000_000_000)
    assert [name for name, _ in BOARDS] == [*READING]
    assert TrafficHistory(Sheet.create(REGISTRY, 1))._kept * STEP_S == KEPT_S


def test_right_after_a_start_nothing_is_known() -> None:
    server = Server()
    traffic = server.history.read(3_600)
    assert (traffic.since, traffic.latest, traffic.points) == (None, None, [])
    server.history.keep_sampling()
    traffic = server.history.read(3_600)
    assert traffic.since == datetime.datetime.fromtimestamp(BEGAN, datetime.UTC)
    assert (traffic.latest, traffic.points) == (None, [])


def test_rates_are_those_of_all_workers_between_two_samples() -> None:
    server = Server()
    server.history.keep_sampling()
    server.step(submissions=100, reads=50, failures=5)
    server.step()
    busy, quiet = server.history.read(3_600).points
    assert (busy.submissions_per_s, busy.reads_per_s, busy.failures_per_s) == (40.0, 20.0, 2.0)
    assert (busy.seconds, busy.at.timestamp()) == (STEP_S, BEGAN + STEP_S)
    assert (quiet.submissions_per_s, quiet.reads_per_s, quiet.submission, quiet.read) == (0.0, 0.0, None, None)


def test_the_latest_seconds_are_counted_up_to_now() -> None:
    server = Server()
    server.history.keep_sampling()
    server.step()
    server.step(submissions=100)
    server.seconds += 4
    server.rows[0].observe(BATCH, 60, "batch")
    latest = server.history.read(3_600).latest
    assert latest is not None and (latest.seconds, latest.submissions_per_s) == (4.0, 15.0)
    server.seconds -= 0.001
    latest = server.history.read(3_600).latest
    assert latest is not None and latest.seconds == 8.999, "less than four seconds tell too little"


def test_a_master_that_takes_no_samples_knows_nothing_of_the_present() -> None:
    server = Server()
    server.history.keep_sampling()
    server.step()
    server.seconds += 30
    latest = server.history.read(3_600).latest
    assert latest is not None and latest.seconds == 30.0
    server.seconds += 0.001
    assert server.history.read(3_600).latest is None


@pytest.mark.parametrize(("samples", "points"), [(1, 0), (2, 1), (120, 119), (121, 60), (240, 119), (241, 80)])
def test_points_are_at_equal_distances_up_to_the_last_sample(samples: int, points: int) -> None:
    server = Server()
    for _ in range(samples):
        server.step()
    found = [point.at.timestamp() - BEGAN for point in server.history.read(3_600).points]
    step = -(-samples // POINTS_MOST)
    assert found == [STEP_S * (samples - step * back) for back in reversed(range(points))]


@pytest.mark.parametrize(("name", "kind"), [("submitScore", "submission"), ("submitScores", "submission"), *BOARDS])
def test_an_answer_is_in_the_bucket_of_its_latency(name: str, kind: str) -> None:
    server = Server()
    server.history.keep_sampling()
    for bound in LATENCY.bounds:
        server.rows[1].observe(LATENCY, round(bound * NS), name)
        server.step()
    points = server.history.read(3_600).points
    for low, point in zip((0.0, *LATENCY.bounds), points, strict=False):
        shown = {"submission": point.submission, "read": point.read}
        found = shown.pop(kind)
        assert [*shown.values()] == [None]
        assert found is not None and 1_000 * low < found.p50_ms < found.p99_ms


def counts(submissions: int, reads: int, failures: int, *buckets: int) -> list[int]:
    """The counts of a sample; the same buckets of both kinds of latency, and all others empty."""
    some = [*buckets, *[0] * ((len(SLOTS) - 3) // 2 - len(buckets))]
    return [submissions, reads, failures, *some, *some]


def test_rates_have_three_decimals_and_an_instant_milliseconds() -> None:
    before = Sample(7 * NS, 0, counts(5, 5, 5, 1, 1))
    after = Sample(10 * NS + 1_400_000, BEGAN * NS + 123_456_789, counts(15, 25, 6, 1, 1))
    point = compare(before, after)
    assert (point.seconds, point.submissions_per_s, point.reads_per_s, point.failures_per_s) == (
        3.001, 3.332, 6.664, 0.333,
    )  # fmt: skip
    assert point.at == datetime.datetime(2027, 1, 15, 8, 0, 0, 123_000, datetime.UTC)
    assert (point.submission, point.read) == (None, None)


def test_a_count_that_was_greater_before_is_nothing() -> None:
    point = compare(Sample(0, 0, counts(9, 9, 9, 2, 2)), Sample(NS, NS, counts(8, 8, 8, 1, 1)))
    assert (point.submissions_per_s, point.reads_per_s, point.failures_per_s) == (0.0, 0.0, 0.0)
    assert (point.submission, point.read) == (None, None)
    with pytest.raises(ValueError, match="zip"):
        compare(Sample(0, 0, counts(1, 1, 1)), Sample(NS, NS, [1, 1, 1]))


@pytest.mark.parametrize(
    ("buckets", "share", "ms"),
    [
        ([4], 0.5, 0.125),
        ([4], 0.75, 0.188),
        ([0, 10, 0, 10], 0.5, 0.5),
        ([0, 10, 0, 10], 0.51, 1.01),
        ([0, 10, 0, 10], 0.99, 1.49),
        ([1, 3], 0.5, 0.333),
        ([0] * 17 + [1, 1], 0.5, 1_500.0),
        ([0] * 17 + [1, 1], 0.51, 1_500.0),
        ([0] * 17 + [1, 0], 0.5, 1_150.0),
    ],
)
def test_a_quantile_lies_on_a_line_through_its_bucket(buckets: list[int], share: float, ms: float) -> None:
    assert find_quantile(buckets, share, LATENCY) == ms


def test_a_sample_never_changes() -> None:
    with pytest.raises(AttributeError):
        Sample(0, 0, []).clock = 1  # type: ignore[misc]


def test_percentiles_lie_in_their_bucket_and_never_beyond_the_last_bound() -> None:
    server = Server()
    server.history.keep_sampling()
    for _ in range(3):
        server.step(reads=99, read_ms=2.5)
        server.step(reads=10, read_ms=20_000)
        server.step(reads=10, read_ms=20_000)
    found = [point.read for point in server.history.read(3_600).points]
    # The bucket is 2 to 3 ms; the line through it is that of 198 answers.
    first, slow = Latency(2.5, 2.99), Latency(1_500.0, 1_500.0)
    assert found == [first, slow, slow] * 3


def test_old_samples_give_way_and_a_chart_has_a_bounded_number_of_points() -> None:
    server = Server(kept=299)
    for n in range(1_000):
        server.step(submissions=n)
    traffic = server.history.read(6 * 3_600)
    assert 0 < len(traffic.points) <= POINTS_MOST
    assert traffic.since is not None and traffic.since.timestamp() == BEGAN + 702 * STEP_S
    assert traffic.points[-1].at.timestamp() == BEGAN + 1_000 * STEP_S
    gaps = {b.at.timestamp() - a.at.timestamp() for a, b in zip(traffic.points, traffic.points[1:], strict=False)}
    assert gaps == {3 * STEP_S}
    assert [point.submissions_per_s for point in traffic.points[-1:]] == [2 * (997 + 998 + 999) / (3 * STEP_S)]


@pytest.mark.parametrize("minutes", [1, 5])
def test_no_point_is_older_than_asked_for(minutes: int) -> None:
    server = Server()
    for _ in range(200):
        server.step(submissions=1)
    points = server.history.read(60 * minutes).points
    assert len(points) == minutes * 12 and points[0].at.timestamp() > BEGAN + 1_000 - 60 * minutes


def test_a_worker_that_is_replaced_takes_no_counts_along() -> None:
    server = Server()
    server.history.keep_sampling()
    server.step(submissions=100)
    server.rows[1].forget_gauges()
    server.step(submissions=100)
    assert [point.submissions_per_s for point in server.history.read(60).points] == [40.0, 40.0]


def test_samples_are_taken_when_they_are_due() -> None:
    server = Server()
    for _ in range(5):
        server.history.keep_sampling()
        server.seconds += 0.25 * STEP_S
    assert len(server.history.read(60).points) == 1


def test_the_gauges_are_those_of_the_moment() -> None:
    server = Server()
    for row in server.rows:
        row.put(WORKERS, 1)
        row.put(LISTENERS, 3, "streams")
        row.put(LISTENERS, 2, "long_polls")
    traffic = server.history.read(60)
    assert (traffic.workers, traffic.streams, traffic.long_polls) == (2, 6, 4)
