"""The traffic of a server: rates between samples, percentiles of buckets, and honest about what it does not know."""

from __future__ import annotations

import datetime

import pytest

from board.observe.metrics import Sheet
from service.admin.types import Latency
from service.telemetry.metrics import BATCH, LATENCY, LISTENERS, REGISTRY, REQUESTS, WORKERS
from service.telemetry.traffic_history import NS, POINTS_MOST, STEP_S, TrafficHistory

BEGAN = 1_800_000_000


class Server:
    """Two workers, and a master whose clock a test turns."""

    def __init__(self, kept: int = 1_000) -> None:
        self.seconds = 0.0
        sheet = Sheet.create(REGISTRY, 2)
        self.rows = [sheet.row(0), sheet.row(1)]
        self.history = TrafficHistory(sheet, self.clocks, kept=kept)

    def clocks(self) -> tuple[int, int]:
        return int(self.seconds * NS), BEGAN * NS + int(self.seconds * NS)

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
    server.step(submissions=100)
    server.seconds += 4
    server.rows[0].observe(BATCH, 60, "batch")
    latest = server.history.read(3_600).latest
    assert latest is not None and (latest.seconds, latest.submissions_per_s) == (4.0, 15.0)
    server.seconds += 60
    assert server.history.read(3_600).latest is None, "a master that takes no samples knows nothing of the present"


def test_percentiles_lie_in_their_bucket_and_never_beyond_the_last_bound() -> None:
    server = Server()
    server.history.keep_sampling()
    server.step(reads=99, read_ms=2.5)
    server.step(reads=10, read_ms=20_000)
    first, slow = (point.read for point in server.history.read(3_600).points)
    # The bucket is 2 to 3 ms; the line through it is that of 198 answers.
    assert first == Latency(2.5, 2.99)
    assert slow == Latency(1_500.0, 1_500.0)


def test_old_samples_give_way_and_a_chart_has_a_bounded_number_of_points() -> None:
    server = Server(kept=300)
    for n in range(1_000):
        server.step(submissions=n)
    traffic = server.history.read(6 * 3_600)
    assert 0 < len(traffic.points) <= POINTS_MOST
    assert traffic.since is not None and traffic.since.timestamp() == BEGAN + 701 * STEP_S
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
        row.put(LISTENERS, 1, "long_polls")
    traffic = server.history.read(60)
    assert (traffic.workers, traffic.streams, traffic.long_polls) == (2, 6, 2)
