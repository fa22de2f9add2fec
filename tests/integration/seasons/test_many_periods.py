"""Five hundred periods of a season: Redis holds the last one, PostgreSQL those that are kept."""

from __future__ import annotations

from typing import Final

import psycopg
import pytest
from support.periods import GRID, end_now, events_of
from support.relays import Hand, Unsignalled
from support.world import World

from board.partitions import partition_of
from board.periods import end_period
from board.pg.queries import queries
from board.pg.steps import run_steps
from relay.janitor import Janitor
from relay.keeper import PeriodKeeper

KEEP: Final = 10
PLAYERS: Final = 25
HAND_TURNED: Final = "h"
"""A plain season that is ended by hand, beside one with a schedule."""


class Clock:
    """A clock that jumps to the next chores."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def used(world: World) -> dict[str, int]:
    """The bytes of each key in Redis."""
    keys = world.redis.keys(f"{world.name}:*")
    return {key.decode(): world.redis.memory_usage(key, samples=0) for key in keys}


def rows(world: World) -> dict[str, int]:
    tables = ("standing", "score", "leader", "outbox")
    return {table: world.value(f"SELECT count(*) FROM {table}") for table in tables}


class Periods:
    """Periods of two seasons, each played, ended, carried, closed, and cleared away a minute later."""

    def __init__(self, world: World) -> None:
        self.world: Final = world
        self.hand: Final = Hand(world)
        self.clock: Final = Clock()
        self.keeper: Final = PeriodKeeper(world.settings, Unsignalled(), clock=self.clock)
        self.janitor: Final = Janitor(world.settings, Unsignalled())
        world.define("s", operator="best", schedule=GRID, keepPeriods=KEEP)
        world.define(HAND_TURNED, keepPeriods=KEEP)

    def pass_by(self, number: int) -> None:
        world = self.world
        world.submit_by_rule(*(("s", f"p{n}", n * number % 97, True) for n in range(PLAYERS)))
        world.submit(*((HAND_TURNED, f"p{n}", 1 + n * number % 97) for n in range(PLAYERS)))
        self.carry()
        end_now(world, "s")
        assert self.keeper.turn_seasons(world.db) == 1
        self.end_by_hand()
        assert self.keeper.close_periods(world.db) == 2

    def carry(self) -> None:
        for season in ("s", HAND_TURNED):
            self.hand.serve(partition_of(season))

    def end_by_hand(self) -> None:
        """The statements of `POST …/reset`."""
        with self.world.db.transaction():
            self.world.db.execute(queries()["lock_season"], {"season": HAND_TURNED})
            run_steps(self.world.db, end_period(HAND_TURNED))

    def clear(self) -> None:
        """What keeper and janitor do once a minute has passed."""
        self.world.execute(
            "UPDATE period SET final_at = final_at - interval '2 minutes', "
            "expired_at = expired_at - interval '2 minutes' WHERE ended_at IS NULL"
        )
        self.clock.now += 3_600
        self.keeper.do_chores(self.world.db)
        with psycopg.connect(self.world.settings.database_url, autocommit=True) as db:
            while self.janitor.collect(db):
                pass


@pytest.mark.walk
@pytest.mark.timeout(600)
def test_redis_and_postgresql_stay_as_small_after_five_hundred_periods(world: World) -> None:
    periods = Periods(world)
    sizes: dict[int, tuple[dict[str, int], dict[str, int]]] = {}
    for number in range(1, 501):
        periods.pass_by(number)
        if number % 50 == 0:
            periods.clear()
            world.submit_by_rule(*(("s", f"p{n}", n, True) for n in range(PLAYERS)))
            world.submit(*((HAND_TURNED, f"p{n}", n + 1) for n in range(PLAYERS)))
            periods.carry()
            sizes[number] = used(world), rows(world)
    keys, kept = sizes[50]
    last, kept_last = sizes[500]
    assert last.keys() == keys.keys(), "no key of a period that has ended"
    # Numbers have grown by a digit or two.
    assert sum(last.values()) <= sum(keys.values()) + 64, (keys, last)
    assert kept == kept_last == {"standing": 2 * KEEP * PLAYERS, "score": 2 * PLAYERS, "leader": 2, "outbox": 0}
    for season in ("s", HAND_TURNED):
        assert events_of(world, season) == events_of(world, season, "period.closed") == list(range(1, 501))
        assert world.board(season) == world.expected(season) != []
