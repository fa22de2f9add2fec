"""Repairs: rebuild the boards that Redis has lost, that Redis refused, or that the sampler found to differ."""

from __future__ import annotations

import logging
import random
from typing import Final

import psycopg

from board.errors import ServerUnreachable
from board.observe.metrics import Row
from board.partitions import partition_of
from board.process.stop import Stop
from board.process.throttle import Throttle
from board.redis.poke import Suspicion
from board.redis.replies import concerns_server, describe
from board.redis.sync_redis import ResponseError
from relay import metrics
from relay.batch import Refused, set_aside
from relay.profile_sampler import NOT_CARRIED, ProfileSampler, confirm_profiles
from relay.rebuild import PROFILES, rebuild
from relay.sampler import Sampler, confirm
from relay.schedule import Schedule
from relay.segment_sampler import CROWDED
from relay.session import RelaySession
from relay.watermarks import is_past

log: Final = logging.getLogger(__name__)

EXAMINE_TRIES: Final = 20
EXAMINE_S: Final = 0.01
"""How often a suspected season is looked at while its partition is held, and the pause between two looks."""


class Repairs:
    """The repairs of one relay. A partition that another relay holds is left to the schedule, to be tried again.

    Every verb blocks while it rebuilds. Each raises `psycopg.OperationalError` or `BoardUnavailable` when a connection
    is lost.
    """

    def __init__(self, schedule: Schedule, stop: Stop, row: Row, randomness: random.Random) -> None:
        self.schedule: Final = schedule
        self.stop: Final = stop
        self.row: Final = row
        self.sampler: Final = Sampler(randomness)
        self.profile_sampler: Final = ProfileSampler(randomness)
        self.throttle: Final = Throttle()

    def retry_set_aside(self, session: RelaySession) -> None:
        """Rebuild the seasons set aside whose time has come; one that is refused again waits longer."""
        for row in session.fetch("set_aside_due"):
            if self.stop.requested:
                return
            try:
                self.rebuild_season(session, row.partition, row.season_id)
            except ResponseError as error:
                if concerns_server(error):
                    self.refused(error)
                    return
                log.error("season %r stays aside: %s", row.season_id, describe(error))
                set_aside(session, row.partition, row.season_id, error)

    def sample(self, session: RelaySession) -> None:
        """Compare a few seasons and random players; rebuild the seasons that differ."""
        try:
            for partition, season, why in self.sampler.look(session):
                if why != CROWDED:
                    self.row.add(metrics.DRIFT)
                log.warning("season %r differs from PostgreSQL (%s), rebuilding it", season, why)
                self.rebuild_season(session, partition, season)
            for partition, why in self.profile_sampler.look(session):
                if why != NOT_CARRIED:
                    self.row.add(metrics.DRIFT)
                    log.warning("profiles of partition %d differ from PostgreSQL (%s), loading them", partition, why)
                self.rebuild_season(session, partition, PROFILES)
        except psycopg.errors.SerializationFailure:
            log.debug("the partition of a suspect was busy, the next round looks again")
        except ResponseError as error:
            self.refused(error)

    def examine(self, session: RelaySession, suspicion: Suspicion) -> None:
        """Compare a season, or a partition's profiles, that a reader suspects, and rebuild it if it differs.

        The comparison takes a few look-ups. Where another relay holds the partition for long, it is left to the next
        reader, or to the sampler.
        """
        season = suspicion.season
        partition = partition_of(season)
        if season == PROFILES:
            if suspicion.partition is None:
                return
            partition = suspicion.partition
        users = {suspicion.user} - {""}
        for _ in range(EXAMINE_TRIES):
            try:
                if season != PROFILES and is_due(session, season):
                    # Its segments have changed, and wait for a rebuild.
                    if self.rebuild_season(session, partition, season):
                        return
                    why = None
                elif season == PROFILES:
                    why = confirm_profiles(session, partition, set(), count=False)
                else:
                    why = confirm(session, partition, season, users, count=False)
                if why:
                    self.row.add(metrics.DRIFT)
                    altered = f"season {season!r}" if season else f"the profiles of partition {partition}"
                    log.warning("%s: altered (%s), rebuilding", altered, why)
                    if self.rebuild_season(session, partition, season):
                        return
                elif why is not None:
                    return
            except psycopg.errors.SerializationFailure:
                pass  # Another relay has just committed to the partition: look again.
            except ResponseError as error:
                self.refused(error)
                return
            if self.stop.wait(EXAMINE_S):
                return

    def refused(self, error: ResponseError) -> None:
        """Redis refuses to be read or repaired. The next round tries again."""
        if self.throttle.admits(describe(error)):
            log.warning("Redis refused a repair: %s", describe(error))

    def rebuild_season(self, session: RelaySession, partition: int, season: str) -> bool:
        """Rebuild one season, or `PROFILES`; where the partition is lost, all of it. False: it is to be tried again."""
        try:
            done = rebuild(session, partition, only=season)
        except Refused as refusal:
            self.heal(session, refusal)
            return False
        except psycopg.errors.SerializationFailure:
            done = None
        if done is None:
            self.schedule.retry_soon(partition)
        else:
            self.row.add(metrics.REBUILDS, "season")
            if season != PROFILES:
                log.warning("season %r: rebuilt %d players", season, done.players)
        return done is not None

    def heal(self, session: RelaySession, refusal: Refused) -> None:
        """Redis and PostgreSQL are not of one history: rebuild, unless this relay or its PostgreSQL is the old one.

        Raises `ServerUnreachable` if a later timeline of this PostgreSQL has written to Redis.
        """
        partition, verdict = refusal.partition, refusal.verdict
        self.row.add(metrics.REFUSALS, verdict.word if verdict.word in metrics.VERDICTS else "other")
        if verdict.word == "identity" and is_past(session.identity, verdict.identity):
            raise ServerUnreachable(
                f"this PostgreSQL ({session.identity}) has been succeeded by {verdict.identity}; not writing to Redis"
            )
        if verdict.word == "ahead":
            # Either a newer relay wrote, or PostgreSQL went back in time. Only a fresh draw tells: a newer relay's
            # fence is below it, the fence of a lost future is not.
            if session.value("draw_fence") > verdict.fence:
                log.warning("partition %d: a newer relay has written, batch dropped", partition)
            else:
                self.schedule.next_check = self.schedule.clock()
            self.schedule.retry_soon(partition)
            return
        log.warning(
            "partition %d: %s (Redis has fence %d of %s), rebuilding",
            partition, verdict.word, verdict.fence, verdict.identity or "no PostgreSQL",
        )  # fmt: skip
        started = self.schedule.clock()
        try:
            done = rebuild(session, partition)
        except Refused as again:
            log.warning("partition %d: rebuild refused: %s", partition, again.verdict.word)
            self.schedule.retry_soon(partition)
            return
        except psycopg.errors.SerializationFailure:
            done = None
        if done is None:
            self.schedule.retry_soon(partition)
            return
        self.schedule.succeeded(partition)
        self.row.add(metrics.REBUILDS, "partition")
        log.warning(
            "partition %d: rebuilt %d seasons, %d players in %.2f s",
            partition, done.seasons, done.players, self.schedule.clock() - started,
        )  # fmt: skip


def is_due(session: RelaySession, season: str) -> bool:
    """Whether a season is set aside, and the time of its next try has come."""
    found = session.fetch("season_now", season=season)
    return bool(found) and found[0].is_due
