"""The relay actor: waits for pokes, relays partitions batch by batch, and repairs the boards that are wrong.

It shares nothing, owns its two connections, and takes one message: stop. After a lost connection it closes both, waits,
and starts again from the database: it has no state to lose.
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
from board.pg.connections import first_line
from board.process.backoff import Backoff
from board.process.beats import Beat
from board.process.stop import Stop
from board.process.throttle import Throttle
from board.redis.keyspace import Keyspace
from board.redis.poke import Suspicion, parse_poke
from board.redis.replies import NodeUnavailable, describe
from board.redis.sync_redis import ResponseError
from relay import metrics
from relay.batch import BatchResult, Refused, pending_partitions, relay_batch
from relay.holds import Holds
from relay.rebuild import clear_leftovers
from relay.repairs import Repairs
from relay.schedule import PACES_MOST, Schedule
from relay.session import RelaySession
from relay.watermarks import suspects

log: Final = logging.getLogger(__name__)

APART_S: Final = 0.3
"""The time for a node of a cluster to answer. Partitions of other nodes wait meanwhile, once for each relay."""


class Relay:
    """One relay process. `run` blocks until a stop is requested and the batch in hand is finished.

    The verbs that take a session are the steps of `run`. They block on PostgreSQL and Redis, and raise
    `psycopg.OperationalError` or `BoardUnavailable` when a connection is lost.
    """

    def __init__(
        self,
        settings: Settings,
        stop: Stop,
        *,
        row: Row | None = None,
        tracer: Tracer | None = None,
        beat: Beat | None = None,
        clock: Callable[[], float] = time.monotonic,
        randomness: random.Random | None = None,
    ) -> None:
        self.settings: Final = settings
        self.stop: Final = stop
        self.row: Final = row or Row.private(metrics.REGISTRY)
        self.tracer: Final = tracer
        self.beat: Final = beat or Beat()
        self.random: Final = randomness or random.Random()
        self.keys: Final = Keyspace(settings.redis_prefix)
        self.schedule: Final = Schedule(settings, clock, self.random)
        self.holds: Final = Holds(self.keys, PACES_MOST * settings.relay_pace_ms)
        self.repairs: Final = Repairs(self.schedule, stop, self.row, self.random)
        self.throttle: Final = Throttle()
        self.pokes = True

    def run(self) -> None:
        """Relay until stopped; reconnect with backoff after a lost connection."""
        backoff = Backoff(0.05, 2.0, self.random)
        while not self.stop.requested:
            session = None
            try:
                with self.beat.waiting():
                    session = self.connect()
                log.info("relay is up, PostgreSQL identity %s", session.identity)
                self.schedule.begin()
                while not self.stop.requested:
                    self.turn(session)
                    backoff.succeeded()
                self.hand_over(session)
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
                if session is not None:
                    session.close()

    def connect(self) -> RelaySession:
        """Open both connections. Raises `ServerUnreachable` or `BoardUnavailable`."""
        s = self.settings
        return RelaySession(
            s.database_url,
            s.redis_url,
            self.keys,
            limit=s.relay_batch,
            redis_timeout_s=s.redis_timeout_ms / 1000,
            traced=self.tracer is not None,
            beat=self.beat,
            apart_s=APART_S,
        )

    def turn(self, session: RelaySession) -> None:
        """Wait for a poke, at most the idle interval, then do all that is due."""
        schedule = self.schedule
        self.beat.give()
        self.row.add(metrics.TURNS)
        session.redis.follow()
        now = schedule.clock()
        if now >= schedule.next_check:
            self.check(session)
            self.repairs.retry_set_aside(session)
            schedule.plan_check()
        if now >= schedule.next_sample:
            self.repairs.sample(session)
            schedule.plan_sample()
        poked = self.wait_for_poke(session, now)
        if isinstance(poked, Suspicion):
            self.repairs.examine(session, poked)
        elif poked in schedule.rests:
            # Poked by hand, or by a worker of an older release, which does not know holds.
            schedule.due[poked] = schedule.rests.pop(poked)
        elif poked is not None:
            self.visit(session, poked)
        now = schedule.clock()
        for partition in schedule.pop_due(now):
            self.visit(session, partition)
        for partition in schedule.rested(now):
            self.holds.leave(session.redis, partition)
            del schedule.rests[partition]
        # The poll finds hints whose poke was lost; pokes of busy partitions must not keep it from running.
        if now >= schedule.next_poll:
            for partition in pending_partitions(session):
                if not schedule.planned(partition) and not self.stop.requested:
                    self.visit(session, partition)
            schedule.plan_poll()

    def visit(self, session: RelaySession, partition: int) -> None:
        """Relay a partition, unless another relay holds it, and hold it until the end of its rest.

        PERF: a batch costs both servers about as much as forty players in it. Under load a partition is poked for
        every commit of every worker; a pace of a few milliseconds lets hints gather.
        """
        if self.holds.take(session.redis, partition):
            self.schedule.rests.pop(partition, None)
            self.serve(session, partition)
            self.schedule.rest(partition)

    def hand_over(self, session: RelaySession) -> None:
        """Before the end: let go of all holds, so that the pokes which came meanwhile wake other relays."""
        for partition in self.schedule.rests:
            self.holds.leave(session.redis, partition)
        self.schedule.rests.clear()

    def wait_for_poke(self, session: RelaySession, now: float) -> int | Suspicion | None:
        """The partition that was poked, or a season that a reader suspects; None after the idle interval."""
        timeout = self.schedule.wait_s(now)
        if session.redis.layout is not None:
            timeout = min(timeout, APART_S / 2)
        try:
            reply: Any = session.redis.call("BZPOPMIN", self.keys.poke, f"{timeout:.3f}")
        except ResponseError as error:
            # Out of memory, or a disk that is full: without pokes the poll still finds everything.
            if self.pokes:
                log.warning("no pokes for now, looking for hints instead: %s", describe(error))
            self.pokes = False
            self.stop.wait(timeout)
            return None
        self.pokes = True
        if reply is None:
            return None
        _, member, _ = reply
        return parse_poke(member)

    def serve(self, session: RelaySession, partition: int, *, check: bool = False) -> None:
        """Relay a partition until it has no hints or another relay holds it; heal it when Redis refuses."""
        try:
            try:
                # Before a claim, and hints that would be taken in vain.
                session.redis.node_of(self.keys.watermark[partition])
                self.relay_all(session, partition, check=check)
            except Refused as refusal:
                self.repairs.heal(session, refusal)
        except (
            psycopg.errors.SerializationFailure,
            psycopg.errors.LockNotAvailable,
            psycopg.errors.DeadlockDetected,
        ):
            self.schedule.retry_soon(partition)
        except NodeUnavailable as error:
            self.row.add(metrics.FAILURES)
            self.schedule.wait_for_node(partition)
            if self.throttle.admits(str(error)):
                log.warning("partition %d waits for its node of Redis: %s", partition, error)
        except ResponseError as error:
            self.set_back(partition, f"Redis: {describe(error)}")
        except psycopg.DataError as error:
            self.set_back(partition, f"PostgreSQL: {first_line(error)}")

    def relay_all(self, session: RelaySession, partition: int, *, check: bool) -> None:
        """Relay batch after batch while there are hints. Raises as `relay_batch` does."""
        more = True
        while more and not self.stop.requested:
            self.beat.give()
            started = time.perf_counter_ns()
            result = relay_batch(session, partition, check=check)
            if result is None:
                self.schedule.retry_soon(partition)
                return
            self.record(partition, result, time.perf_counter_ns() - started)
            for touched in result.touched:
                self.schedule.visit_soon(touched)
            more, check = result.more, False
        self.schedule.succeeded(partition)

    def record(self, partition: int, result: BatchResult, took_ns: int) -> None:
        """Count a batch that had hints, and end the spans that it was part of."""
        if result.hints:
            row = self.row
            row.add(metrics.BATCHES)
            row.add(metrics.HINTS, by=result.hints)
            row.observe(metrics.BATCH_TIME, took_ns)
            row.observe(metrics.REDIS_TIME, result.redis_ns)
            row.observe(metrics.LAG, int(result.lag_s / NS))
            if result.left_out:
                row.add(metrics.LEFT_OUT, by=result.left_out)
            log.debug(
                "partition %d: %d hints, %d seasons, oldest %.1f ms",
                partition, result.hints, result.seasons, result.oldest_s * 1000,
            )  # fmt: skip

            for parent, age_s in result.traces:
                self.trace(partition, parent, age_s)

    def trace(self, partition: int, parent: str, age_s: float) -> None:
        """Write a span from the time when the hint was queued, `age_s` seconds ago, until now."""
        context = sampled(parent)
        if self.tracer is not None and context is not None:
            now = time.time_ns()
            span = self.tracer.begin("carry", context, now - int(age_s / NS), partition=partition)
            span.end(now)

    def set_back(self, partition: int, reason: str) -> None:
        """A server refused this partition's batch: try it again later; the other partitions go on."""
        self.row.add(metrics.FAILURES)
        delay_s = self.schedule.set_back(partition)
        # The same reason for many partitions is the server's: one line says it.
        if self.throttle.admits(reason):
            log.error("partition %d cannot be written, again in %.1f s: %s", partition, delay_s, reason)

    def check(self, session: RelaySession) -> None:
        """Compare every watermark with the fence that PostgreSQL has committed; serve the partitions that differ.

        The comparison takes no lock and may suspect a partition that is fine: the fenced call under the claim decides.
        """
        session.check_writable()
        try:
            found = suspects(session)
        except ResponseError as error:
            if self.throttle.admits(describe(error)):
                log.error("the watermarks cannot be read: %s", describe(error))
            return
        for partition in found:
            if not self.stop.requested:
                self.serve(session, partition, check=True)
        try:
            clear_leftovers(session)
        except ResponseError as error:
            if self.throttle.admits(describe(error)):
                log.warning("temporary keys of a dead rebuild stay for now: %s", describe(error))
