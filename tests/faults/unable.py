"""Faults of parts that are there and cannot do their work: relays that stand still, servers that accept no changes."""

from __future__ import annotations

import random
import signal
import time

import psycopg
from support.http import Http, base
from support.processes import alive, answers, children_of
from support.waiting import eventually

from faults.generate import Generator
from faults.infra import admin_url
from faults.injections import LOST, fault, progress
from faults.rig import APP, Rig, follow, kill

REPLACED_WITHIN_S = 100.0
"""A silent relay is given 30 seconds, and as many as Redis may take for a reply. Its successor starts at once."""


@fault("relay: SIGSTOP of both", rounds=1)
def relays_hang(rig: Rig, rng: random.Random, load: Generator) -> None:
    hung = set(eventually(lambda: both_up(rig)))
    for pid in hung:
        kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    progress(load, 100)
    assert alive(hung) == hung, "submissions go on while nobody carries"
    eventually(lambda: load.check() and not alive(hung) and len(rig.relays()) == 2, REPLACED_WITHIN_S)
    load.measure("relays that stand still are replaced after, s", round(time.monotonic() - began, 1))


def both_up(rig: Rig) -> list[int]:
    """Both relays, once both are at work: one that starts is given more time."""
    text = rig.log.read_text(errors="replace")
    relays = rig.relays()
    return relays if len(relays) == 2 and all(f"[{pid}] relay is up" in text for pid in relays) else []


@fault("postgres: read-only for a while", rounds=2)
def read_only(rig: Rig, rng: random.Random, load: Generator) -> None:
    """New sessions accept no changes, and the present ones end: a failover that leads to a standby looks like it."""
    pool = rig.process("relays").pid
    before = children_of(pool)
    with psycopg.connect(admin_url(rig.sockets), autocommit=True) as db:
        db.execute(f"ALTER DATABASE {APP} SET default_transaction_read_only = on".encode())
        try:
            db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (APP,))
            refused = load.refused
            eventually(lambda: load.check() and load.refused >= refused + 40, 60)
            eventually(lambda: answers(rig.port, "/readyz", 503), 10)
            accepted = load.acknowledged
            eventually(lambda: load.check() and load.refused >= refused + 80, 60)
            assert load.acknowledged == accepted, "a submission was accepted by a database that accepts no changes"
        finally:
            db.execute(f"ALTER DATABASE {APP} RESET default_transaction_read_only".encode())
    assert before <= children_of(pool), f"relays or janitor have ended\n{rig.report()}"


@fault("redis: master demoted, follows a stale server", rounds=2, excuses=LOST | {"I8": LOST["I4"]})
def demoted(rig: Rig, rng: random.Random, load: Generator) -> None:
    """The master in use copies a server that is behind. Nobody reads it until it is a master again."""
    stale, path = rig.start_second_redis(f"stale{rng.randrange(10**6)}")
    try:
        with rig.redis_at(path) as other, rig.redis_connection() as used:
            follow(other, rig.proxy(rig.redis_socket).port)
            progress(load, 50)
            other.replicaof("NO", "ONE")
            progress(load, 200)
            follow(used, rig.proxy(path).port)
            season = load.seasons[0]
            eventually(lambda: load.check() and refuses_reads(rig.port, season), 10)
            progress(load, 50)
            assert refuses_reads(rig.port, season), "a demoted master is read"
            assert answers(rig.port, "/readyz", 503)
            assert used.info("replication")["role"] == "slave"
            used.replicaof("NO", "ONE")
    finally:
        stale.stop()


def refuses_reads(port: int, season: str) -> bool:
    """Whether boards are refused, on so many connections that every worker is asked."""
    for _ in range(20):
        with Http(port) as http:
            if http.get(f"{base(season)}/leaderboard/top").status != 503:
                return False
    return True
