"""Faults of live boards: under each of them streams and long polls go on, and end with the board that there is."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

from support.http import JSON, Http
from support.processes import alive, answers, resident
from support.waiting import eventually

from faults import injections
from faults.audience import SMALL, Audience, Heard
from faults.clients import MB, Watch
from faults.generate import Generator
from faults.injections import LOST, fault, moment, progress
from faults.rig import Rig, kill

LEFT_WITHIN_S: Final = 5.0
"""A worker that stops waits for nobody who listens: `LEADERBOARD_SHUTDOWN_GRACE_S` of the rig is 8."""
NEVER: Final = 80
"""Clients that never read."""
SEND_S: Final = 12
FILLED: Final = 24
"""So many changes of some 17 KB are more than the buffers of a connection, and the rest is shorter than `SEND_S`."""
GROWN_MOST: Final = 20 * MB
"""The buffers of the clients that never read, and 64 states of the board, for one worker."""
IDLE: Final = int(os.environ.get("IDLE_LISTENERS", "10000"))
FILES_KEPT: Final = 512
SETTLED_WITHIN_S: Final = 60.0


@fault("live: redis away and back", rounds=2, listeners=True)
def redis_away(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    rig.kill_redis()
    progress(load, 50)
    rig.start_redis()


@fault("live: redis restarted empty", rounds=2, listeners=True)
def redis_empty(rig: Rig, rng: random.Random, load: Generator) -> None:
    injections.redis_empty(rig, rng, load)


@fault("live: redis network frozen", rounds=2, listeners=True)
def redis_frozen(rig: Rig, rng: random.Random, load: Generator) -> None:
    injections.redis_frozen(rig, rng, load)


@fault("live: relay kill -9", rounds=3, listeners=True)
def relay_kill(rig: Rig, rng: random.Random, load: Generator) -> None:
    injections.relay_kill(rig, rng, load)


@fault("live: kill -9 of a worker", rounds=3, listeners=True)
def worker_kill(rig: Rig, rng: random.Random, load: Generator) -> None:
    injections.worker_kill(rig, rng, load)


@fault("live: SIGTERM of a worker", rounds=3, listeners=True, no_failure=True)
def worker_term(rig: Rig, rng: random.Random, load: Generator) -> None:
    moment(rng)
    victim = rng.choice(eventually(rig.workers))
    kill(victim, signal.SIGTERM)
    eventually(lambda: not alive({victim}), LEFT_WITHIN_S)
    eventually(lambda: len(rig.workers()) >= 2, 60)


@fault("live: server restarted", rounds=2, listeners=True)
def server_restart(rig: Rig, rng: random.Random, load: Generator) -> None:
    injections.api_restart(rig, rng, load)


@fault("live: seasons reset under load", rounds=2, listeners=True, resets=True)
def season_resets(rig: Rig, rng: random.Random, load: Generator) -> None:
    progress(load, 200)


@fault("live: redis goes back in time", rounds=1, listeners=True, excuses=LOST | {"I8": LOST["I4"]})
def redis_old(rig: Rig, rng: random.Random, load: Generator) -> None:
    injections.redis_old(rig, rng, load)


@fault("live: listeners that never read", rounds=1)
def never_read(rig: Rig, rng: random.Random, load: Generator) -> None:
    """They cost a worker their buffers and no more, and are given up; others that rest for a while catch up."""
    restart(rig, load, LEADERBOARD_SEND_S=str(SEND_S))
    season = f"{load.seasons[0]}-wide{rng.randrange(10**6)}~probe"
    churn(rig, season, rng)
    watch = Watch(rig)
    with ExitStack() as stack:
        # Of different lists: what is the same for all of them is held once.
        clients = [stack.enter_context(never_reading(rig.port, season, 100 - n % 50)) for n in range(NEVER)]
        audience = stack.enter_context(Audience(rig.port, [season], streams=8, polls=2, resting=4, limit=100))
        quick = audience.heard[4:]
        eventually(lambda: audience.check() and all(one.as_of for one in audience.heard))
        audience.rest.set()
        for _ in range(FILLED):
            churn(rig, season, rng, quick)
            watch.look()
        apart = audience.settle(SETTLED_WITHIN_S)
        assert not apart, apart[0].describe()
        began = time.monotonic()
        while clients := [client for client in clients if not has_ended(client)]:
            assert time.monotonic() < began + 60, f"{len(clients)} clients that do not read are still connected"
            churn(rig, season, rng, quick)
            watch.look()
            load.check()
        load.measure("listeners that never read are given up after, s", round(time.monotonic() - began, 1))
        apart = audience.settle(SETTLED_WITHIN_S)
        assert not apart, apart[0].describe()
    grown = max(most - before for most, before in zip(watch.most, watch.before, strict=True))
    load.measure("memory that a worker has grown by beside them, MB", round(grown / MB, 1))
    assert grown < GROWN_MOST, f"a worker has grown by {grown / MB:.0f} MB"
    assert not watch.silent, f"{watch.silent} probes were not answered"
    restart(rig, load)


def never_reading(port: int, season: str, limit: int) -> socket.socket:
    """A client that asks for a stream, and reads nothing of it."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    client.connect(("127.0.0.1", port))
    client.sendall(f"GET /v1/seasons/{season}/leaderboard/stream?limit={limit} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
    return client


def has_ended(client: socket.socket) -> bool:
    """Whether the server has reset the connection; true once. Nothing is read."""
    return bool(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def churn(rig: Rig, season: str, rng: random.Random, quick: Sequence[Heard] = ()) -> None:
    """Change all rows of a list of a hundred players with long names, and wait until the `quick` know of it."""
    before = [one.as_of for one in quick]
    items = [{"userId": f"{'x' * 100}{n}", "delta": rng.randrange(1, 10**6)} for n in range(100)]
    body = json.dumps({"submissions": items}).encode()

    def accepted() -> bool:
        with Http(rig.port) as http:
            return http.ask("POST", f"/v1/seasons/{season}/scores/batch", body, JSON).status == 200

    eventually(accepted)
    eventually(lambda: all(one.as_of != old for one, old in zip(quick, before, strict=True)))


def restart(rig: Rig, load: Generator, **settings: str) -> None:
    """Restart the service with other settings (none: the usual ones), while nobody submits."""
    load.pause()
    rig.restart("api", **settings)
    eventually(lambda: answers(rig.port, "/readyz") and len(rig.workers()) == 2, 60)
    load.resume()


@fault("live: idle listeners, a worker is replaced", rounds=1)
def idle_listeners(rig: Rig, rng: random.Random, load: Generator) -> None:
    """As many as a host takes (IDLE_LISTENERS, 10,000) listen to a board that rests. Each gets what comes at last."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(IDLE, IDLE if hard == resource.RLIM_INFINITY else hard - FILES_KEPT)
    if number < IDLE:
        print(f"    the limit of {hard:,} open files allows {number:,} listeners, not {IDLE:,}", flush=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    restart(rig, load, LEADERBOARD_STREAMS=str(number), LEADERBOARD_CONNECTIONS=str(2 * number))
    season = f"{load.seasons[0]}-idle{rng.randrange(10**6)}~probe"
    submit(rig, season, 1)
    before = sum(map(resident, rig.workers()))
    with Audience(rig.port, [season], streams=number, polls=0) as audience:
        eventually(lambda: load.check() and audience.check() and all(one.as_of for one in audience.heard), 180)
        grown = sum(map(resident, rig.workers())) - before
        load.measure(f"idle: bytes of a worker for each of {number:,} listeners", round(grown / number))
        submit(rig, season, 2)
        apart = audience.settle(SETTLED_WITHIN_S)
        assert not apart, f"{len(apart)} of {number} listeners: {apart[0].describe()}"
        # One worker dies with its streams: the other one, and the next, take them.
        victim = rng.choice(rig.workers())
        kill(victim, signal.SIGKILL)
        eventually(lambda: len(set(rig.workers()) - {victim}) >= 2, 60)
        submit(rig, season, 3)
        apart = audience.settle(SETTLED_WITHIN_S)
        assert not apart, f"{len(apart)} of {number} listeners: {apart[0].describe()}"
    assert grown / number < 25_000, f"{grown / number:.0f} bytes for a listener"
    # All are gone, and others find room.
    with Audience(rig.port, [season], streams=number, polls=0) as audience:
        eventually(lambda: load.check() and audience.check() and all(one.as_of for one in audience.heard), 180)
    restart(rig, load)


def submit(rig: Rig, season: str, delta: int) -> None:
    """One submission to a season that no client plays."""

    def accepted() -> Any:
        with Http(rig.port) as http:
            body = b'{"userId":"ada","delta":%d}' % delta
            return http.ask("POST", f"/v1/seasons/{season}/scores", body, JSON).status == 202

    eventually(accepted)
