"""The faults. Each breaks something for real, at a random moment or at a named point, and puts it right again.

A fault is a function of the rig, a source of randomness and the generator under whose load it happens. It returns when
what it broke has been put right (by itself where the product is to heal alone); the runner then measures how long the
service takes to be whole. `excuses` names the invariants that a fault suspends while it lasts, and why; they hold for
nothing else.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
import redis
from support.processes import alive, answers, children_of
from support.waiting import eventually

from faults.generate import Generator
from faults.pointed import POINTS
from faults.rig import Rig, kill, stopped

Inject = Callable[[Any, random.Random, Generator], None]
"""Gets the rig; or that of `leaderboard run` (`faults.under_run`), where the fault says `under_run`."""


class Fault(msgspec.Struct, frozen=True):
    """What is broken, how often in one run, which invariants it suspends meanwhile, what the load looks like."""

    name: str
    inject: Inject
    rounds: int = 3
    excuses: dict[str, str] = {}
    no_failure: bool = False
    """True where not one request may fail: planned restarts."""
    no_refusal: bool = False
    """True where not one request may be refused: what a few clients do to their own requests."""
    resets: bool = False
    ends: bool = False
    """True where all seasons have a schedule, and periods end all the time."""
    listeners: bool = False
    """True where streams and long polls of the seasons under load go on all the time."""
    seasons: int = 4
    """The first ones of `faults.kinds`: by default those of which one feeds all others."""
    under_run: bool = False
    """Whether the load goes to a system that `leaderboard run` has started, with its own servers."""
    needs: str = ""
    """What a machine must have for it: root, compiler, history (of git)."""


FAULTS: Final[dict[str, Fault]] = {}


def fault(name: str, **options: Any) -> Callable[[Inject], Inject]:
    """Register a fault."""

    def register(inject: Inject) -> Inject:
        FAULTS[name] = Fault(name, inject, **options)
        return inject

    return register


def progress(load: Generator, more: int = 30) -> None:
    """Wait until so many more submissions have been acknowledged."""
    wanted = load.acknowledged + more
    eventually(lambda: load.check() and load.acknowledged >= wanted, 60)


def moment(rng: random.Random, most_s: float = 0.3) -> None:
    """A random moment passes: that is what is being tried, not something that is waited for."""
    time.sleep(rng.uniform(0, most_s))


# --- relays


@fault("relay: kill -9", rounds=6)
def relay_kill(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    victim = rng.choice(eventually(rig.relays))
    kill(victim, signal.SIGKILL)
    eventually(lambda: len(set(rig.relays()) - {victim}) >= 2, 30)


def pointed(point: str, number: str) -> Inject:
    """A third relay dies at the point (or stands still there past a takeover, and then goes on)."""

    def inject(rig: Rig, rng: random.Random, load: Generator) -> None:
        name = "pointed"
        rig.start(name, ["-m", "faults.pointed", point, number, str(rng.randint(1, 12))])
        process = rig.forget(name)
        try:
            if number == "SIGKILL":
                eventually(lambda: process.poll() is not None, 60)
                assert process.returncode == -signal.SIGKILL, (process.returncode, rig.report())
                return
            eventually(lambda: stopped(process.pid), 60)
            # Its connection to PostgreSQL is lost, and with it the claim; the others take over and go on. Only then
            # does it wake up, and what it still has to say to Redis is old.
            with rig.postgres_connection() as db:
                # What is old then differs from what is there: the players of the batch go on, too.
                load.repeat(db.execute(WAITING).fetchall())
                ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s " + STUCK
                eventually(lambda: db.execute(ended.encode(), ("leaderboard-relay",)).fetchall(), 30)
            progress(load, 200)
            load.pause()
            settled(rig)
            before = rig.log.read_text(errors="replace").count("connection lost")
            os.kill(process.pid, signal.SIGCONT)
            eventually(lambda: rig.log.read_text(errors="replace").count("connection lost") > before, 30)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    return inject


WAITING: Final = (
    "SELECT s.season_id, o.user_id FROM outbox o JOIN season s USING (period_id) WHERE o.user_id IS NOT NULL"
)
"""Hints that no relay has committed: those of the batch in hand among them."""

STUCK: Final = "AND state LIKE 'idle in transaction%%' AND clock_timestamp() - state_change > interval '300 ms'"
"""A relay's transaction is over within milliseconds, unless the relay stands still."""


def settled(rig: Rig) -> None:
    """Wait until the relays have nothing left to do."""
    with rig.postgres_connection() as db:
        eventually(lambda: not db.execute("SELECT FROM outbox LIMIT 1").fetchall(), 60)


for _point in POINTS[:5]:
    FAULTS[f"relay: kill -9 {_point}"] = Fault(f"relay: kill -9 {_point}", pointed(_point, "SIGKILL"), rounds=3)
for _point in ("after-take", "after-script", "before-commit"):
    FAULTS[f"relay: zombie {_point}"] = Fault(f"relay: zombie {_point}", pointed(_point, "SIGSTOP"), rounds=2)


# --- the service


@fault("api: kill -9 of a worker", rounds=4)
def worker_kill(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    victim = rng.choice(eventually(rig.workers))
    kill(victim, signal.SIGKILL)
    eventually(lambda: len(set(rig.workers()) - {victim}) >= 2, 30)


@fault("api: kill -9 of the master", rounds=2)
def master_kill(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    victim = rig.process("api")
    kill(victim.pid, signal.SIGKILL)
    eventually(lambda: rig.process("api") is not victim and answers(rig.port, "/readyz"), 60)


@fault("api: SIGTERM, restarted", rounds=2)
def api_restart(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    victim = rig.process("api")
    kill(victim.pid, signal.SIGTERM)
    eventually(lambda: rig.process("api") is not victim and answers(rig.port, "/readyz"), 60)


@fault("api: HUP", rounds=3, no_failure=True)
def api_reload(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    old = set(rig.workers())
    kill(rig.process("api").pid, signal.SIGHUP)
    eventually(lambda: not alive(old) and len(rig.workers()) >= 2, 60)


@fault("api: SIGTERM of a worker", rounds=3, no_failure=True)
def worker_term(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    victim = rng.choice(eventually(rig.workers))
    kill(victim, signal.SIGTERM)
    eventually(lambda: len(set(rig.workers()) - {victim}) >= 2, 60)


@fault("api: max_requests", rounds=2, no_failure=True)
def worker_max_requests(rig: Rig, rng: random.Random, load: Generator) -> None:
    load.pause()
    rig.restart("api", LEADERBOARD_MAX_REQUESTS="400")
    eventually(lambda: answers(rig.port, "/readyz"), 60)
    load.resume()
    old = set(rig.workers())
    eventually(lambda: load.check() and not alive(old), 60)
    load.pause()
    rig.restart("api")
    eventually(lambda: answers(rig.port, "/readyz"), 60)


@fault("api: clients reset after sending", rounds=3, no_refusal=True)
def clients_reset(rig: Rig, rng: random.Random, load: Generator) -> None:
    load.hang_ups = 0.3
    progress(load, 200)
    load.hang_ups = 0.01


@fault("relay: scaled up and down", rounds=3, no_failure=True)
def relay_scale(rig: Rig, rng: random.Random, load: Generator) -> None:
    rig.start("more relays", ["-m", "ctl", "relay", "--processes", "2"])
    more = rig.process("more relays")
    eventually(lambda: len(children_of(more.pid)) >= 3, 30)
    progress(load, 100)
    rig.stop_service(rng.choice(("relays", "more relays")))
    progress(load, 100)
    if "relays" not in rig.names():
        rig.start("relays", ["-m", "ctl", "relay", "--processes", "2"])
        rig.stop_service("more relays")


@fault("reset: seasons reset under load", rounds=3, resets=True)
def season_resets(rig: Rig, rng: random.Random, load: Generator) -> None:
    progress(load, 300)


@fault("reset: relay kill -9 while seasons are reset", rounds=4, resets=True)
def season_resets_and_kills(rig: Rig, rng: random.Random, load: Generator) -> None:
    relay_kill(rig, rng, load)
    progress(load, 50)


@fault("reset: relays stand still meanwhile", rounds=2, resets=True)
def resets_without_relays(rig: Rig, rng: random.Random, load: Generator) -> None:
    """What was accepted before a reset is still a hint when the reset comes; then the relays find both.

    No reset follows until the judge has looked: it would clear away what an old hint has left on a board.
    """
    load.resetting = True
    still = eventually(rig.relays)
    for pid in still:
        kill(pid, signal.SIGSTOP)
    try:
        begun = load.resets_sent
        eventually(lambda: load.check() and load.resets_sent >= begun + 3, 60)
        progress(load, 50)
        load.resetting = False
    finally:
        for pid in still:
            kill(pid, signal.SIGCONT)


@fault("many seasons: relay kill -9 after-script", rounds=2, seasons=300)
def many_seasons(rig: Rig, rng: random.Random, load: Generator) -> None:
    pointed("after-script", "SIGKILL")(rig, rng, load)


# --- PostgreSQL


@fault("postgres: stop -m immediate", rounds=2)
def postgres_immediate(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    rig.crash_postgres()
    rig.start_postgres()


@fault("postgres: kill -9 of a backend", rounds=2)
def postgres_backend_kill(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    with rig.postgres_connection() as db:
        name = rng.choice(("leaderboard-intake", "leaderboard-relay"))
        pids = db.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", (name,)).fetchall()
    if pids:
        kill(rng.choice(pids)[0], signal.SIGKILL)


@fault("postgres: pg_terminate_backend storm", rounds=2)
def postgres_storm(rig: Rig, rng: random.Random, load: Generator) -> None:
    with rig.postgres_connection() as db:
        for _ in range(15):
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'leaderboard-%'"
            )
            moment(rng, 0.1)


@fault("postgres: connection cut during COMMIT", rounds=8)
def postgres_commit_cut(rig: Rig, rng: random.Random, load: Generator) -> None:
    # The answer to a batch: rows, and the word that the implicit transaction is committed.
    proxy = rig.proxies["api-pg"]
    proxy.lose_reply(lambda data: len(data) > 60 and b"SELECT" in data[-40:])
    eventually(proxy.sprung.is_set, 30)


@fault("postgres: connection cut in mid-statement", rounds=6)
def postgres_request_cut(rig: Rig, rng: random.Random, load: Generator) -> None:
    proxy = rig.proxies["api-pg"]
    proxy.cut_request(lambda data: len(data) > 150, rng.randint(1, 140))
    eventually(proxy.sprung.is_set, 30)


@fault("postgres: network frozen", rounds=2)
def postgres_frozen(rig: Rig, rng: random.Random, load: Generator) -> None:
    for name in ("api-pg", "relay-pg"):
        rig.proxies[name].freeze()
    moment(rng, 3.0)
    for name in ("api-pg", "relay-pg"):
        rig.proxies[name].open()


# --- Redis

LOST: Final = {"I4": "Redis itself went back: until a relay looks at the partition, readers see the older copy"}
ALTERED: Final = {
    "I8": "players were deleted from Redis by hand: readers miss them until the sampler finds them",
    "I4": "a board altered by hand is what readers see until the sampler finds it",
}


@fault("redis: answer lost after it was applied", rounds=6)
def redis_answer_lost(rig: Rig, rng: random.Random, load: Generator) -> None:
    proxy = rig.proxies["relay-redis"]
    proxy.lose_reply(lambda data: re.match(rb"\*\d+\r\n\$2\r\nok", data) is not None)
    eventually(proxy.sprung.is_set, 30)


@fault("redis: payload cut", rounds=6)
def redis_payload_cut(rig: Rig, rng: random.Random, load: Generator) -> None:
    proxy = rig.proxies["relay-redis"]
    proxy.cut_request(lambda data: b"EVALSHA" in data and len(data) > 300, rng.randint(1, 290))
    eventually(proxy.sprung.is_set, 30)


@fault("redis: kill -9, restarted empty", rounds=2)
def redis_empty(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    rig.kill_redis()
    rig.wipe_redis()
    rig.start_redis()


@fault("redis: kill -9, restarted with old data", rounds=2, excuses=LOST | {"I8": LOST["I4"]})
def redis_old(rig: Rig, rng: random.Random, load: Generator) -> None:
    kept = rig.root / "redis-kept"
    shutil.rmtree(kept, ignore_errors=True)
    with rig.redis_connection() as client:
        client.bgrewriteaof()
        eventually(lambda: not client.info("persistence")["aof_rewrite_in_progress"], 30)
        shutil.copytree(rig.redis_files, kept)
    progress(load, 300)
    rig.kill_redis()
    rig.wipe_redis()
    shutil.copytree(kept, rig.redis_files, dirs_exist_ok=True)
    rig.give(rig.redis_files)
    rig.start_redis()


@fault("redis: stands still", rounds=2)
def redis_still(rig: Rig, rng: random.Random, load: Generator) -> None:
    pid = rig.redis.pid
    kill(pid, signal.SIGSTOP)
    moment(rng, 3.0)
    kill(pid, signal.SIGCONT)


@fault("redis: busy with a foreign script", rounds=2)
def redis_busy(rig: Rig, rng: random.Random, load: Generator) -> None:
    with rig.redis_connection() as client, suppress(redis.ResponseError):
        # What DEBUG SLEEP does, without needing it to be enabled: the one thread is busy for a second or two.
        millis = rng.randint(500, 2_000)
        client.eval(
            "local t = redis.call('TIME') local began = t[1] * 1000 + t[2] / 1000 "
            "repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 - began > tonumber(ARGV[1])",
            0,
            millis,
        )


@fault("redis: maxmemory reached", rounds=2)
def redis_full(rig: Rig, rng: random.Random, load: Generator) -> None:
    with rig.redis_connection() as client:
        client.config_set("maxmemory", "1mb")
        progress(load, 100)
        client.config_set("maxmemory", "0")


@fault("redis: network frozen", rounds=2)
def redis_frozen(rig: Rig, rng: random.Random, load: Generator) -> None:
    for name in ("api-redis", "relay-redis"):
        rig.proxies[name].freeze()
    progress(load, 50)
    for name in ("api-redis", "relay-redis"):
        rig.proxies[name].open()


@fault("redis: FLUSHALL", rounds=3)
def redis_flush(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    with rig.redis_connection() as client:
        client.flushall()


def keys_of(client: Any, part: bytes) -> list[bytes]:
    """Keys of one kind: z boards, h members, w watermarks, p periods."""
    return sorted(
        key
        for key in client.scan_iter(match="lb:*", count=1000)
        if key.startswith(b"lb:{") and key.split(b":")[2] == part
    )


@fault("redis: DEL of one key", rounds=3, excuses=ALTERED)
def redis_del(rig: Rig, rng: random.Random, load: Generator) -> None:
    with rig.redis_connection() as client:
        eventually(lambda: keys_of(client, b"z"))
        client.delete(rng.choice(keys_of(client, rng.choice((b"z", b"h", b"w", b"p")))))


@fault("redis: ZREM of random members", rounds=3, excuses=ALTERED)
def redis_zrem(rig: Rig, rng: random.Random, load: Generator) -> None:
    with rig.redis_connection() as client:
        board = rng.choice(eventually(lambda: keys_of(client, b"z")))
        for member in client.zrandmember(board, 5):
            client.zrem(board, member)


@fault("rebuild: relay kill -9 before the swap", rounds=2)
def rebuild_before_swap(rig: Rig, rng: random.Random, load: Generator) -> None:
    rebuild_crash(rig, "before-swap")


@fault("rebuild: relay kill -9 after the swap", rounds=2)
def rebuild_after_swap(rig: Rig, rng: random.Random, load: Generator) -> None:
    rebuild_crash(rig, "after-swap")


def rebuild_crash(rig: Rig, point: str) -> None:
    """Redis is flushed, and the one relay there is dies while it rebuilds; then the pool comes back."""
    rig.stop_service("relays")
    with rig.redis_connection() as client:
        client.flushall()
    rig.start("pointed", ["-m", "faults.pointed", point, "SIGKILL", "3"])
    process = rig.forget("pointed")
    eventually(lambda: process.poll() is not None, 60)
    assert process.returncode == -signal.SIGKILL
    rig.start("relays", ["-m", "ctl", "relay", "--processes", "2"])
