"""Figures of a report as text, for all its forms."""

from __future__ import annotations

from typing import Final

from bench.report.report import RowResult
from bench.rows.figures import Spread

PERCENTILES: Final = ("p50_ms", "p90_ms", "p99_ms")


def describe_others(row: RowResult) -> str:
    """The figures of a row besides its main figure and percentiles."""
    texts = {
        "errors": "{} errors",
        "backlog": "backlog {} hints",
        "empty_ms": "empty after {} ms",
        "seconds": "took {} s",
        "post_p50_ms": "POST p50 {} ms",
        "offered_per_s": "offered {}/s",
        "peak_per_s": "closed loop {}/s",
        "read_p99_ms": "reads p99 {} ms",
        "write_p99_ms": "writes p99 {} ms",
        "answer_p99_ms": "answer p99 {} ms",
        "post_max_ms": "longest POST {} ms",
        "lag_p99_ms": "generator lag p99 {} ms",
        "worker_us": "workers {} µs",
        "postgres_us": "PostgreSQL {} µs",
        "redis_us": "Redis {} µs",
        "relay_us": "relays {} µs",
        "generator_us": "generator {} µs",
        "generator_cores": "generator {} cores",
        "wal_bytes": "write-ahead log {} bytes",
        "key_bytes": "idempotency key {} bytes",
        "player_bytes": "row of a player with index {} bytes",
        "small_per_s": "small board {}/s",
        "alone_per_s": "{}/s without",
        "share": "share {}",
        "listener_cores": "listeners {} cores",
    }
    return ", ".join(
        text.format(format_median(row.figures[name])) for name, text in texts.items() if name in row.figures
    )


def format_median(figure: Spread | None) -> str:
    """The median of a figure; a dash without one."""
    return "-" if figure is None else format_number(figure.median)


def format_number(value: float) -> str:
    """A number with the digits that matter: 12,345 or 12.3 or 0.12."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
