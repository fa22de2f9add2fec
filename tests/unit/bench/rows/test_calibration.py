"""Calibration: the figures that other programs print."""

from __future__ import annotations

import pytest

from bench.rows import calibration
from board.errors import ChildFailed

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
