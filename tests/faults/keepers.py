"""Faults of the keeper: periods of seasons of every kind end all the time, by their schedule and by hand."""

from __future__ import annotations

import os
import random
import signal
import time
import zlib
from typing import Any, Final

import psycopg
import redis
from support.keeper_points import POINTS
from support.processes import children_of, commandline
from support.waiting import eventually

from faults.generate import Generator
from faults.injections import FAULTS, STUCK, Fault, Inject, fault, moment, progress
from faults.kinds import KINDS
from faults.rig import Rig, kill, stopped

SHOWN_WITHIN_S: Final = 30.0
CACHED_S: Final = 0.05
"""A worker may answer with a top list that it has just read."""
NUMBER: Final = (1 << 56) - 1
"""The bits of a period's id that rise with each period."""


def end_period(rig: Any, season: str) -> bool:
    """Let the end of a period have come, by PostgreSQL's clock; True once Redis shows the next one.

    False where that is unknown, as while a server is down.
    """
    try:
        return end_at_once(rig, season)
    except (psycopg.OperationalError, redis.RedisError):
        return False


def let_end(rig: Any, season: str) -> list[Any]:
    """Let the end of a period have come, by PostgreSQL's clock; returns the row with the period, if it had not."""
    with rig.postgres_connection() as db:
        rows: list[Any] = db.execute(
            "UPDATE season SET ends_at = clock_timestamp() WHERE season_id = %s AND ends_at > clock_timestamp() "
            "RETURNING period_id",
            (season,),
        ).fetchall()
    return rows


def end_at_once(rig: Any, season: str) -> bool:
    """As `end_period`. Raises what the servers' clients raise."""
    rows = let_end(rig, season)
    if not rows:
        return False
    key = f"lb:{{{zlib.crc32(season.encode()) % 64}}}:p"
    until = time.monotonic() + SHOWN_WITHIN_S
    with rig.redis_connection() as client:
        while int(client.hget(key, season) or 0) & NUMBER <= rows[0][0] & NUMBER:
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
    time.sleep(CACHED_S)
    return True


def keepers(rig: Rig) -> list[int]:
    """Process ids of the keepers of the pool."""
    return [pid for pid in sorted(children_of(rig.process("relays").pid)) if b"keeper" in commandline(pid)]


def closed(rig: Rig) -> int:
    """The number of periods that are closed."""
    with rig.postgres_connection() as db:
        return int(db.execute("SELECT count(*) FROM event WHERE kind = 'period.closed'").fetchall()[0][0])


def go_on(rig: Rig, load: Generator, more: int = 3) -> None:
    """Wait until so many more periods are closed."""
    before = closed(rig)
    eventually(lambda: load.check() and closed(rig) >= before + more, 60)


@fault("keeper: kill -9", rounds=4, ends=True, seasons=len(KINDS))
def keeper_kill(rig: Rig, rng: random.Random, load: Generator) -> None:
    go_on(rig, load, 1)
    moment(rng)
    (victim,) = eventually(lambda: keepers(rig))
    kill(victim, signal.SIGKILL)
    eventually(lambda: set(keepers(rig)) - {victim}, 30)
    go_on(rig, load)


@fault("keeper: relay and keeper kill -9", rounds=3, ends=True, seasons=len(KINDS))
def keeper_and_relay_kill(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    for pid in (*keepers(rig), *rig.relays()):
        kill(pid, signal.SIGKILL)
    go_on(rig, load)


@fault("keeper: FLUSHALL while periods end", rounds=2, ends=True, seasons=len(KINDS))
def flush_while_periods_end(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    with rig.redis_connection() as client:
        client.flushall()
    go_on(rig, load)


@fault("keeper: postgres stop -m immediate", rounds=2, ends=True, seasons=len(KINDS))
def crash_while_periods_end(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    rig.crash_postgres()
    rig.start_postgres()
    go_on(rig, load)


def pointed(point: str, number: str) -> Inject:
    """A second keeper gets the lock, and dies at the point, or stands still there past a takeover and then goes on."""

    def inject(rig: Rig, rng: random.Random, load: Generator) -> None:
        # The pool's keeper stands still meanwhile, or it would be the one at work again.
        (still,) = eventually(lambda: keepers(rig))
        kill(still, signal.SIGSTOP)
        end_connections(rig)
        # Most seasons are turned by the workers whose submissions find them due.
        passes = 1 if "turn" in point else rng.randint(1, 200 if point.startswith("during") else 3)
        if "turn" in point:
            load.pause()
        rig.start("pointed keeper", ["-m", "support.keeper_points", point, number, str(passes)])
        process = rig.forget("pointed keeper")
        try:
            if "turn" in point:
                # A submission that finds the season due would turn it first.
                season = rng.choice(load.seasons)
                load.note_end(season)
                let_end(rig, season)
            if number == "SIGKILL":
                eventually(lambda: load.check() and process.poll() is not None, 60)
                load.resume()
                assert process.returncode == -signal.SIGKILL, (process.returncode, rig.report())
                kill(still, signal.SIGCONT)
                go_on(rig, load)
                return
            eventually(lambda: load.check() and stopped(process.pid), 60)
            load.resume()
            eventually(lambda: end_connections(rig, STUCK), 30)
            kill(still, signal.SIGCONT)
            go_on(rig, load)
            os.kill(process.pid, signal.SIGCONT)
            progress(load, 100)
        finally:
            load.resume()
            kill(still, signal.SIGCONT)
            if process.poll() is None:
                process.kill()
            process.wait()

    return inject


def end_connections(rig: Rig, condition: str = "") -> list[Any]:
    """Let PostgreSQL end connections of keepers."""
    with rig.postgres_connection() as db:
        text = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s " + condition
        return db.execute(text.encode(), ("leaderboard-keeper",)).fetchall()


for _point in POINTS:
    if "expire" not in _point:  # These seasons keep all periods.
        _name = f"keeper: kill -9 {_point}"
        FAULTS[_name] = Fault(_name, pointed(_point, "SIGKILL"), rounds=1, ends=True, seasons=len(KINDS))
for _point in ("uncommitted turn_season", "uncommitted finish_period"):
    _name = f"keeper: zombie {_point}"
    FAULTS[_name] = Fault(_name, pointed(_point, "SIGSTOP"), rounds=1, ends=True, seasons=len(KINDS))
