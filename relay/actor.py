"""The relay actor: waits for pokes, carries partitions, heals the ones whose watermark is wrong.

It shares nothing, owns its two connections, and hears only "stop". Whatever fails, it lets go of both connections,
waits, and starts again from the database: there is no state to lose.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Any, Final

import psycopg

from board.config.settings import Settings
from board.errors import BoardUnavailable, ServerUnreachable
from board.observe.metrics import NS, Row
from board.observe.trace import Tracer, sampled
from board.partitions import PARTITIONS
from board.pg.connections import first_line
from board.process.backoff import Backoff
from board.process.stop import Stop
from board.redis.keyspace import Keyspace
from board.redis.sync_redis import ResponseError
from relay import metrics
from relay.carrier import Carried, Carrier, Refused
from relay.history import is_past, suspects
from relay.holds import Holds
from relay.rebuild import clear_leftovers, rebuild
from relay.sampler import Sampler

log: Final = logging.getLogger("relay")

RETRY_S: Final = 0.002
RETRY_MOST_S: Final = 0.05
AILING_MOST_S: Final = 5.0


class Relay:
    """One relay process. `run` blocks until a stop is requested and the batch in hand is finished."""

    def __init__(
        self,
        settings: Settings,
        stop: Stop,
        *,
        row: Row | None = None,
        tracer: Tracer | None = None,
        clock: Callable[[], float] = time.monotonic,
        randomness: random.Random | None = None,
    ) -> None:
        self.settings: Final = settings
        self.stop: Final = stop
        self.row: Final = row or Row.private(metrics.REGISTRY)
        self.tracer: Final = tracer
        self.clock: Final = clock
        self.random: Final = randomness or random.Random()
        self.keys: Final = Keyspace(settings.redis_prefix)
        self.idle_s: Final = settings.relay_idle_ms / 1000
        self.pace_s: Final = settings.relay_pace_ms / 1000
        self.check_s: Final = settings.relay_check_ms / 1000
        self.due: dict[int, float] = {}
        """Partitions to try again, and when."""
        self.rests: Final[dict[int, float]] = {}
        """Partitions that are held after a batch, and until when."""
        self.holds: Final = Holds(self.keys, settings.relay_pace_ms)
        self.failures: dict[int, Backoff] = {}
        """Partitions that Redis or the database refused for a reason of their own."""
        self.next_check = 0.0
        self.next_poll = 0.0
        self.pokes = True
        self.sample_s: Final = settings.relay_sample_ms / 1000
        self.next_sample = 0.0
        self.sampler: Final = Sampler(self.random)

    def run(self) -> None:
        """Carry until stopped; reconnect with backoff after a lost connection."""
        backoff = Backoff(0.05, 2.0, self.random)
        while not self.stop.requested:
            carrier = None
            try:
                carrier = self.connect()
                log.info("relay is up, PostgreSQL identity %s", carrier.identity)
                self.due.clear()
                self.rests.clear()
                self.next_check = self.next_poll = 0.0
                while not self.stop.requested:
                    self.turn(carrier)
                    backoff.succeeded()
                self.hand_over(carrier)
            except (
                psycopg.OperationalError,
                psycopg.InterfaceError,
                ServerUnreachable,
                BoardUnavailable,
            ) as error:
                delay = backoff.failed()
                self.row.add(metrics.LOSSES)
                log.warning("connection lost, again in %.2f s: %s", delay, first_line(error))
                self.stop.wait(delay)
            finally:
                if carrier is not None:
                    carrier.close()

    def connect(self) -> Carrier:
        """Both connections, fresh."""
        s = self.settings
        return Carrier(
            s.database_url,
            s.redis_url,
            self.keys,
            limit=s.relay_batch,
            redis_timeout_s=s.redis_timeout_ms / 1000,
            traced=self.tracer is not None,
        )

    def turn(self, carrier: Carrier) -> None:
        """Wait for work at most the idle interval, then do what is due."""
        self.row.add(metrics.TURNS)
        now = self.clock()
        if now >= self.next_check:
            self.check(carrier)
            self.retry_ailing(carrier)
            self.next_check = self.clock() + self.check_s * (0.75 + 0.5 * self.random.random())
        if now >= self.next_sample:
            self.sample(carrier)
            self.next_sample = self.clock() + self.sample_s * (0.75 + 0.5 * self.random.random())
        poked = self.wait_for_poke(carrier, now)
        if poked in self.rests:
            # By hand, or by a worker of an older release: with the hint, but without regard to the hold.
            self.due[poked] = self.rests.pop(poked)
        elif poked is not None:
            self.visit(carrier, poked)
        now = self.clock()
        for partition in [p for p, due in self.due.items() if due <= now]:
            del self.due[partition]
            self.visit(carrier, partition)
        for partition in [p for p, due in self.rests.items() if due <= now]:
            self.holds.leave(carrier.link, partition)
            del self.rests[partition]
        # The poll is the safety net under lost pokes; pokes of busy partitions must not keep it from running.
        if now >= self.next_poll:
            for partition in carrier.dirty():
                if partition not in self.due and partition not in self.rests and not self.stop.requested:
                    self.visit(carrier, partition)
            self.next_poll = self.clock() + self.idle_s

    def visit(self, carrier: Carrier, partition: int) -> None:
        """Carry a partition, unless another relay holds it, and hold it until the end of its rest.

        PERF: a batch costs both servers about as much as forty players in it. Under load a partition is
        poked for every commit of every worker; a pace of a few milliseconds lets hints gather.
        """
        if self.holds.take(carrier.link, partition):
            self.rests.pop(partition, None)
            self.serve(carrier, partition)
            if partition not in self.due:
                self.rests[partition] = self.clock() + self.pace_s

    def hand_over(self, carrier: Carrier) -> None:
        """Before the end: what is held is for the others, with the pokes there were."""
        for partition in self.rests:
            self.holds.leave(carrier.link, partition)
        self.rests.clear()

    def wait_for_poke(self, carrier: Carrier, now: float) -> int | None:
        """The partition somebody poked for, or None after the idle interval (sooner if a retry is due)."""
        until = min([self.next_poll, *self.due.values(), *self.rests.values()])
        # Redis takes 0 as "for ever" and rounds below a millisecond.
        timeout = min(self.idle_s, max(0.001, until - now))
        try:
            reply: Any = carrier.link.call("BZPOPMIN", self.keys.poke, f"{timeout:.3f}")
        except ResponseError as error:
            # Read-only after a failover, or out of memory: without pokes the poll still finds everything.
            if self.pokes:
                log.warning("no pokes for now, looking for hints instead: %s", error)
            self.pokes = False
            self.stop.wait(timeout)
            return None
        self.pokes = True
        if reply is None:
            return None
        partition = int(reply[1]) if reply[1].isdigit() else -1
        return partition if 0 <= partition < PARTITIONS else None

    def serve(self, carrier: Carrier, partition: int, *, check: bool = False) -> None:
        """Carry a partition until it is drained or held by another relay; heal it when Redis refuses."""
        try:
            more = True
            while more and not self.stop.requested:
                started = time.perf_counter_ns()
                carried = carrier.carry(partition, check=check)
                if carried is None:
                    self.later(partition)
                    return
                self.carried(partition, carried, time.perf_counter_ns() - started)
                more, check = carried.more, False
            self.failures.pop(partition, None)
        except Refused as refusal:
            self.heal(carrier, refusal)
        except (
            psycopg.errors.SerializationFailure,
            psycopg.errors.LockNotAvailable,
            psycopg.errors.DeadlockDetected,
        ):
            self.later(partition)
        except ResponseError as error:
            self.ailing(partition, f"Redis: {error}")
        except psycopg.DataError as error:
            self.ailing(partition, f"PostgreSQL: {first_line(error)}")

    def carried(self, partition: int, carried: Carried, took_ns: int) -> None:
        """Note what a batch did."""
        if carried.hints:
            row = self.row
            row.add(metrics.BATCHES)
            row.add(metrics.HINTS, by=carried.hints)
            row.observe(metrics.CARRY, took_ns)
            row.observe(metrics.APPLY, carried.redis_ns)
            row.observe(metrics.LAG, int(carried.lag_s / NS))
            log.debug(
                "partition %d: %d hints, %d seasons, oldest %.1f ms",
                partition, carried.hints, carried.seasons, carried.oldest_s * 1000,
            )  # fmt: skip

            for parent, age_s in carried.traces:
                self.trace(partition, parent, age_s)

    def trace(self, partition: int, parent: str, age_s: float) -> None:
        """A span from the hint being queued, so long ago, until now: the board shows what it told of."""
        context = sampled(parent)
        if self.tracer is not None and context is not None:
            now = time.time_ns()
            span = self.tracer.begin("carry", context, now - int(age_s / NS), partition=partition)
            span.end(now)

    def later(self, partition: int) -> None:
        """Another relay holds the partition; its snapshot may be older than our hint, so look again."""
        backoff = self.failures.setdefault(partition, Backoff(RETRY_S, RETRY_MOST_S, self.random))
        self.due[partition] = self.clock() + backoff.failed()

    def ailing(self, partition: int, reason: str) -> None:
        """Set a partition aside for a while; the others go on."""
        self.row.add(metrics.AILING)
        backoff = self.failures.setdefault(partition, Backoff(0.1, AILING_MOST_S, self.random))
        delay = backoff.failed()
        self.due[partition] = self.clock() + delay
        log.error("partition %d cannot be written, again in %.1f s: %s", partition, delay, reason)

    def check(self, carrier: Carrier) -> None:
        """Compare every watermark with what PostgreSQL has committed; visit the partitions that look wrong.

        A look without a lock, so it may suspect a partition that is fine: the fenced call under the claim decides.
        """
        for partition in suspects(carrier):
            if not self.stop.requested:
                self.serve(carrier, partition, check=True)
        try:
            clear_leftovers(carrier)
        except ResponseError as error:
            log.warning("what a dead rebuild has left stays for now: %s", error)

    def retry_ailing(self, carrier: Carrier) -> None:
        """Load the seasons whose time has come whole; those refused again wait longer."""
        for season, partition in carrier.fetch("ailing_due"):
            if self.stop.requested:
                return
            try:
                self.mend(carrier, partition, season)
            except ResponseError as error:
                log.error("season %r stays aside: %s", season, error)
                carrier.execute("set_aside", season=season, partition=partition, reason=str(error)[:500])

    def sample(self, carrier: Carrier) -> None:
        """Compare a few seasons and players at random; mend the seasons that are found to differ."""
        try:
            for partition, season, why in self.sampler.look(carrier):
                self.row.add(metrics.DRIFT)
                log.warning("season %r differs from PostgreSQL (%s), rebuilding it", season, why)
                self.mend(carrier, partition, season)
        except psycopg.errors.SerializationFailure:
            log.debug("a suspect's partition was busy, it is looked at again in the next round")
        except ResponseError as error:
            log.warning("the sampler was refused: %s", error)

    def mend(self, carrier: Carrier, partition: int, season: str) -> None:
        """Rebuild one season."""
        try:
            done = rebuild(carrier, partition, only=season)
        except Refused as refusal:
            self.heal(carrier, refusal)
            return
        except psycopg.errors.SerializationFailure:
            done = None
        if done is None:
            self.later(partition)
        else:
            self.row.add(metrics.REBUILDS, "season")
            log.warning("season %r: rebuilt %d players", season, done.players)

    def heal(self, carrier: Carrier, refusal: Refused) -> None:
        """Redis and PostgreSQL are not of one history: rebuild, unless it is we who are out of date."""
        partition, verdict = refusal.partition, refusal.verdict
        self.row.add(metrics.REFUSALS, verdict.word if verdict.word in metrics.VERDICTS else "other")
        if verdict.word == "identity" and is_past(carrier.identity, verdict.identity):
            raise ServerUnreachable(
                f"this PostgreSQL ({carrier.identity}) has been succeeded by {verdict.identity}; not writing to Redis"
            )
        if verdict.word == "ahead":
            # Somebody newer wrote, or PostgreSQL went back in time. Only a fresh draw tells: a newer relay's fence is
            # below it, a lost future's is not.
            if carrier.fetch("draw_fence")[0][0] > verdict.fence:
                log.warning("partition %d: a newer relay has written, batch dropped", partition)
            else:
                self.next_check = 0.0
            self.later(partition)
            return
        log.warning(
            "partition %d: %s (Redis has fence %d of %s), rebuilding",
            partition, verdict.word, verdict.fence, verdict.identity or "nobody",
        )  # fmt: skip
        started = self.clock()
        try:
            done = rebuild(carrier, partition)
        except Refused as again:
            log.warning("partition %d: rebuild refused: %s", partition, again.verdict.word)
            self.later(partition)
            return
        if done is None:
            self.later(partition)
            return
        self.failures.pop(partition, None)
        self.row.add(metrics.REBUILDS, "partition")
        log.warning(
            "partition %d: rebuilt %d seasons, %d players in %.2f s",
            partition, done.seasons, done.players, self.clock() - started,
        )  # fmt: skip
