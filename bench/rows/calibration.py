"""Calibration: the speed of PostgreSQL, Redis and nginx alone on this machine, in the same run."""

from __future__ import annotations

import csv
import re
import socket
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from bench.load import closed_loop
from bench.rows.figures import Measure, Results
from bench.system.programs import last_line, nginx_program, redis_benchmark
from bench.system.run_options import RunOptions
from bench.system.stack import Stack, free_port
from board.errors import ChildFailed
from board.process.children import spawn, terminate

NAMES: Final = ("pgbench", "zrevrank", "zrevrange", "nginx")
CLIENTS: Final = 50
MEMBERS: Final = 100_000
CHUNK: Final = 1_000

TABLES: Final = """
CREATE SCHEMA calibration;
CREATE TABLE calibration.ledger (
    id bigserial PRIMARY KEY, season_id text NOT NULL, user_id text NOT NULL, delta bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE calibration.outbox (
    id bigserial PRIMARY KEY, season_id text NOT NULL, user_id text NOT NULL, delta bigint NOT NULL,
    status text NOT NULL DEFAULT 'pending', created_at timestamptz NOT NULL DEFAULT now());
"""

TRANSACTION: Final = r"""
\set player random(1, 1000000000)
BEGIN;
INSERT INTO calibration.ledger (season_id, user_id, delta) VALUES ('season', 'player-' || :player::text, 7);
INSERT INTO calibration.outbox (season_id, user_id, delta) VALUES ('season', 'player-' || :player::text, 7);
COMMIT;
"""

NGINX: Final = """
daemon off;
worker_processes {workers};
pid {place}/nginx.pid;
error_log {place}/nginx.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type application/json; return 200 '{{"status":"ok"}}'; }}
    }}
}}
"""


def run_pgbench(stack: Stack, seconds: int) -> Measure:
    """``pgbench``: two inserts in one transaction, 50 clients, prepared statements. Raises `ChildFailed`."""
    stack.db.execute(TABLES)
    script = stack.settings.data_dir.parent / "transaction.sql"
    script.write_text(TRANSACTION)
    stack.checkpoint()
    how = ["--no-vacuum", "--protocol=prepared", f"--client={CLIENTS}", "--jobs=1", f"--time={seconds}"]
    text = run_program(["pgbench", *how, f"--file={script}", stack.settings.database_url])
    per_s, mean_ms, done = parse_pgbench(text)
    rows = stack.value("SELECT count(*) FROM calibration.ledger")
    faults = () if rows >= done else (f"pgbench counted {done} transactions, the table has {rows} rows",)
    return Measure({"per_s": per_s, "mean_ms": mean_ms}, (f"{done:,} transactions are in the table",), faults)


def parse_pgbench(text: str) -> tuple[float, float, int]:
    """Transactions per second, mean latency in ms, and number of transactions, from pgbench's output.

    Raises `ChildFailed` without these figures, or when transactions failed.
    """
    found = [
        re.search(pattern, text, re.MULTILINE)
        for pattern in (
            r"^tps = ([0-9.]+)",
            r"^latency average = ([0-9.]+) ms",
            r"^number of transactions actually processed: ([0-9]+)",
        )
    ]
    per_s, mean, done = found
    if per_s is None or mean is None or done is None:
        raise ChildFailed(f"pgbench printed no figures: {text.strip()[-300:]}")
    if failed := re.search(r"^number of failed transactions: ([1-9][0-9]*)", text, re.MULTILINE):
        raise ChildFailed(f"{failed[1]} transactions of pgbench failed")
    return float(per_s[1]), float(mean[1]), int(done[1])


def fill_redis(stack: Stack) -> None:
    """Create a sorted set whose members are the numbers that redis-benchmark draws."""
    for first in range(0, MEMBERS, CHUNK):
        pairs = (x for n in range(first, first + CHUNK) for x in (n, f"{n:012d}"))
        stack.redis.call("ZADD", "calibration", *pairs)


def run_redis_benchmark(stack: Stack, seconds: int, command: str) -> Measure:
    """``zrevrank``, ``zrevrange``: one command by redis-benchmark, 50 clients, no pipelining, over a Unix socket."""
    program = redis_benchmark() or "redis-benchmark"
    url = urlsplit(stack.settings.redis_url)
    base = [program, "-s", unquote(url.path), "-c", str(CLIENTS), "-r", str(MEMBERS), "--csv"]
    # redis-benchmark takes a number of requests: a short run tells how many fill the time.
    guess = parse_redis(run_program([*base, "-n", "20000", *command.split()]))["per_s"]
    figures = parse_redis(run_program([*base, "-n", str(max(20_000, round(guess * seconds))), *command.split()]))
    return Measure(figures)


def parse_redis(text: str) -> dict[str, float]:
    """Figures of the last line of ``redis-benchmark --csv``. Raises `ChildFailed` without figures."""
    rows = list(csv.reader(line for line in text.splitlines() if line.startswith('"')))
    try:
        row = dict(zip(rows[0], rows[-1], strict=True))
        return {
            "per_s": float(row["rps"]),
            "p50_ms": float(row["p50_latency_ms"]),
            "p99_ms": float(row["p99_latency_ms"]),
        }
    except (IndexError, KeyError, ValueError) as error:
        raise ChildFailed(f"redis-benchmark printed no figures: {text.strip()[-300:]}") from error


def run_nginx(stack: Stack, seconds: int, connections: int) -> Measure:
    """``nginx``: a constant answer, requested by the same wrk with the same connections."""
    with start_nginx(stack) as url:
        closed_loop.get(url, seconds=1, connections=connections)
        done = closed_loop.get(url, seconds=seconds, connections=connections)
    return Measure(done.figures(), faults=(f"{done.errors} errors from nginx",) if done.errors else ())


@contextmanager
def start_nginx(stack: Stack) -> Iterator[str]:
    """Run nginx with as many workers as the API; yields its address. Raises `ChildFailed`."""
    place = stack.settings.data_dir.parent
    port = free_port()
    config = place / "nginx.conf"
    config.write_text(NGINX.format(workers=stack.settings.workers, place=place, port=port))
    process = spawn([nginx_program() or "nginx", "-p", str(place), "-c", str(config)], stderr=subprocess.DEVNULL)

    def alive() -> None:
        if process.poll() is not None:
            raise ChildFailed(f"nginx ended with status {process.returncode}{last_log_line(place / 'nginx.log')}")

    try:
        stack.wait(lambda: is_listening(port), alive)
        yield f"http://127.0.0.1:{port}/"
    finally:
        terminate(process, timeout=5.0)


def last_log_line(path: Path) -> str:
    """The last line of a log after a colon; empty without one."""
    lines = path.read_text(errors="replace").strip().splitlines() if path.exists() else []
    return f": {lines[-1]}" if lines else ""


def is_listening(port: int) -> bool:
    """Whether a server listens on the loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def run_program(argv: list[str]) -> str:
    """Run a program to its end; returns its output. Raises `ChildFailed`."""
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    if done.returncode != 0:
        raise ChildFailed(f"{argv[0]} ended with status {done.returncode}: {last_line(done.stderr)}")
    return done.stdout


def measure(options: RunOptions, wanted: Collection[str]) -> Results:
    """The calibration rows in `wanted`, without API and relays."""
    with options.stack() as stack:
        if "pgbench" in wanted:
            yield "pgbench", run_pgbench(stack, options.seconds)
        if {"zrevrank", "zrevrange"} & set(wanted):
            fill_redis(stack)
        if "zrevrank" in wanted:
            yield "zrevrank", run_redis_benchmark(stack, options.seconds, "ZREVRANK calibration __rand_int__")
        if "zrevrange" in wanted:
            yield "zrevrange", run_redis_benchmark(stack, options.seconds, "ZREVRANGE calibration 0 99 WITHSCORES")
        if "nginx" in wanted:
            yield "nginx", run_nginx(stack, options.seconds, options.connections)
