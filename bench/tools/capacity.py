"""Computes the size of a machine from measured constants: ``python -m bench capacity REPORT``.

The report needs the rows `memory`, `disk` and `budget_…`. docs/capacity.md explains the formula; this command writes
its tables.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from bench.arguments import positive
from bench.report import page
from bench.report.circumstances import render_circumstances
from bench.report.report import Report
from bench.report.text import format_number
from board.errors import LeaderboardError, UsageError

BUSY: Final = 0.6
"""Utilisation of a core at the peak: above it, queues grow fast."""
PEAK_TO_MEAN: Final = 3.0
"""Ratio of the peak to the mean rate: most players are active in the evening."""
RESERVE: Final = 1.5
"""Factor for disk space that is not counted: rows that wait for vacuum, and room for a restore."""
REDIS_COPIES: Final = 2.0
"""Factor for Redis memory: a rebuilt board exists beside the old one, and a rewrite of Redis' file copies pages."""
READS: Final = {"rank": 0.6, "around": 0.2, "top10": 0.2}
"""Shares of reads."""
DAY_S: Final = 86_400
GIB: Final = 2**30
PARTS: Final = ("worker", "postgres", "redis", "relay")
BLOCK: Final = "capacity"
"""Name of the block of docs/capacity.md."""


class Constants(msgspec.Struct, frozen=True):
    """Bytes of a player, submission or key; microseconds of a POST and of each read, by kind of process."""

    redis_bytes: float
    player_bytes: float
    ledger_bytes: float
    wal_bytes: float
    key_bytes: float
    post: dict[str, float]
    reads: dict[str, dict[str, float]]


class Demand(msgspec.Struct, frozen=True):
    """A game: players of all seasons, submissions and reads per second at the peak, days of the ledger, and the share
    of submissions with an idempotency key."""

    name: str
    players: int
    writes: int
    reads: int
    days: int = 90
    keyed: float = 1.0


class Requirements(msgspec.Struct, frozen=True):
    """Cores at the peak by kind of process; GiB of memory and disk, and of write-ahead log per day."""

    cores: dict[str, float]
    redis_memory: float
    postgres_memory: float
    disk: float
    wal_a_day: float


SIZES: Final = (
    Demand("small", 100_000, 200, 1_000),
    Demand("medium", 1_000_000, 2_000, 10_000),
    Demand("large", 10_000_000, 10_000, 50_000),
)


def read_constants(report: Report) -> Constants:
    """The medians of a report. Raises `UsageError` when a row is missing or not correct."""
    rows = {row.name: row for row in report.rows if row.correct}

    def figure(row: str, name: str) -> float:
        if row not in rows:
            raise UsageError(f"the report has no correct row {row}; measure with --only budget,disk,memory")
        return rows[row].figures[name].median

    def parts(row: str) -> dict[str, float]:
        return {part: figure(row, f"{part}_us") for part in PARTS}

    return Constants(
        redis_bytes=figure("memory", "bytes"),
        player_bytes=figure("disk", "player_bytes"),
        ledger_bytes=figure("disk", "bytes"),
        wal_bytes=figure("disk", "wal_bytes"),
        key_bytes=figure("disk", "key_bytes"),
        post=parts("budget_post"),
        reads={name: parts(f"budget_{name}") for name in READS},
    )


def compute(c: Constants, w: Demand) -> Requirements:
    """Apply the formula of docs/capacity.md."""
    cores = {
        part: (w.writes * c.post[part] + w.reads * sum(share * c.reads[name][part] for name, share in READS.items()))
        / 1e6
        / BUSY
        for part in PARTS
    }
    mean = w.writes / PEAK_TO_MEAN * DAY_S
    rows = w.players * c.player_bytes
    return Requirements(
        cores=cores,
        redis_memory=w.players * c.redis_bytes * REDIS_COPIES / GIB,
        postgres_memory=rows / GIB,
        disk=RESERVE * (rows + mean * (w.days * c.ledger_bytes + w.keyed * c.key_bytes)) / GIB,
        wal_a_day=mean * c.wal_bytes / GIB,
    )


def render(report: Report, source: Path | None = None) -> str:
    """Circumstances, sizes and constants as Markdown tables. `source` is the file of the report."""
    c = read_constants(report)
    # Footnotes belong to rows that these tables do not have.
    notes = [f"- {note}" for note in report.notes if not note.startswith("*")]
    lines = [
        *render_circumstances(report.date, report.command, report.commit, report.machine, source, {}),
        *(["", *notes] if notes else []),
        "",
        "| | players | writes/s, reads/s at the peak | cores: workers, PostgreSQL, Redis, relays | sum "
        "| Redis memory | PostgreSQL memory | disk, 90 days | write-ahead log per day |",
        "|---|---|---|---|---|---|---|---|---|",
        *(render_size(w, compute(c, w)) for w in SIZES),
        "",
        "| constant | value |",
        "|---|---|",
        f"| Redis, per player | {c.redis_bytes:.0f} bytes |",
        f"| PostgreSQL, row of a player with index | {c.player_bytes:.0f} bytes |",
        f"| PostgreSQL, submission in the ledger | {c.ledger_bytes:.0f} bytes |",
        f"| PostgreSQL, idempotency key | {c.key_bytes:.0f} bytes |",
        f"| write-ahead log per submission | {c.wal_bytes:.0f} bytes |",
        *(render_times(name, found) for name, found in {"POST": c.post, **c.reads}.items()),
    ]
    return "\n".join(lines) + "\n"


def render_times(name: str, found: Mapping[str, float]) -> str:
    """The line of a request in the table of constants."""
    parts = ", ".join(f"{found[part]:.1f}" for part in PARTS)
    return f"| {name}, processor time of workers, PostgreSQL, Redis, relays | {parts} µs |"


def render_size(w: Demand, n: Requirements) -> str:
    """The line of a size."""
    cores = ", ".join(format_number(n.cores[part]) for part in PARTS)
    return (
        f"| {w.name} | {w.players:,} | {w.writes:,}, {w.reads:,} | {cores} | {math.ceil(sum(n.cores.values()))} "
        f"| {format_number(n.redis_memory)} GiB | {format_number(n.postgres_memory)} GiB | {format_number(n.disk)} GiB "
        f"| {format_number(n.wal_a_day)} GiB |"
    )


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m bench capacity",
        description="Compute cores, memory and disk from a report of `python -m bench --only budget,disk,memory`.",
    )
    add = made.add_argument
    add("report", type=Path, help="the report")
    add("--write", type=Path, metavar="PAGE", help="replace the tables of this page (docs/capacity.md)")
    add("--players", type=positive, metavar="N", help="compute for this many players, with --writes and --reads")
    add("--writes", type=positive, default=1, metavar="M", help="submissions per second at the peak")
    add("--reads", type=positive, default=1, metavar="R", help="reads per second at the peak")
    add("--days", type=positive, default=90, metavar="D", help="days of the ledger (%(default)s)")
    return made


def main(argv: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    args = make_parser().parse_args(argv)
    try:
        report = msgspec.json.decode(args.report.read_bytes(), type=Report)
        if args.players:
            w = Demand("yours", args.players, args.writes, args.reads, args.days)
            sys.stdout.buffer.write(
                msgspec.json.format(msgspec.json.encode(compute(read_constants(report), w))) + b"\n"
            )
        elif args.write:
            page.write_block(args.write, render(report, args.report), BLOCK)
        else:
            sys.stdout.write(render(report, args.report))
    except (OSError, ValueError, msgspec.DecodeError) as error:
        print(f"bench capacity: {error}", file=sys.stderr)
        return UsageError.exit_code
    except LeaderboardError as error:
        print(f"bench capacity: {error}", file=sys.stderr)
        return error.exit_code
    return 0
