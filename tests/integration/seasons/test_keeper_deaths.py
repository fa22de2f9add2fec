"""Keepers that die at each point of their work, work on two hosts, or were away for hours and weeks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Final
from zoneinfo import ZoneInfo

import psycopg
import pytest
from support.keeper_points import POINTS
from support.marks import thinned, walks
from support.periods import GRID, end_now, events_of, keeper_of
from support.processes import children_of, commandline, relaying
from support.repository import REPOSITORY
from support.waiting import eventually
from support.world import World

from board.periods import TURNS_MOST

MINUTES: Final = {"every": "PT1M", "startsAt": "2026-01-05T00:00:00Z"}
PLAYERS: Final = 40
HOUR: Final = 60


def play(world: World, season: str, seed: int = 1) -> list[tuple[str, int]]:
    """Scores with ties; returns the board as it has to be: (player, score), best first."""
    batch = [(season, f"p{n:02}", (n * 7 + seed) % 11, True) for n in range(PLAYERS)]
    assert {answer[0] for answer in world.submit_by_rule(*batch)} == {0}
    # `reached` rises in the order of the batch, and decides ties.
    return sorted(((user, score) for _, user, score, _ in batch), key=lambda row: -row[1])


def standings(world: World, season: str, number: int) -> list[tuple[str, int]]:
    """The standings of a period: in the order of their positions, which have no gaps."""
    rows = world.rows(
        "SELECT position, user_id, t.score FROM standing t JOIN period USING (period_id) "
        "WHERE season_id = %s AND number = %s ORDER BY position", season, number)  # fmt: skip
    assert [position for position, _, _ in rows] == list(range(1, len(rows) + 1))
    return [(user, score) for _, user, score in rows]


def finish(world: World) -> None:
    """Do all that a keeper has to do now."""
    with psycopg.connect(world.settings.database_url, autocommit=True) as db:
        keeper = keeper_of(world)
        while keeper.turn_seasons(db) + keeper.close_periods(db):
            pass


def run_pointed(world: World, point: str, number: int = 1) -> None:
    """A keeper in a process of its own, which dies at the point."""
    env = world.environment(PYTHONPATH=f"{REPOSITORY}{os.pathsep}{REPOSITORY / 'tests'}")
    done = subprocess.run(
        [sys.executable, "-m", "support.keeper_points", point, "SIGKILL", str(number)],
        env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    # Its claims and its lock end with its connection.
    eventually(lambda: world.connections("leaderboard-keeper") == 0)


@pytest.mark.parametrize("point", thinned(POINTS, 4))
def test_a_keeper_that_is_killed_leaves_each_end_and_each_close_once(world: World, point: str) -> None:
    world.define("s", operator="best", schedule=MINUTES, keepPeriods=3)
    board = play(world, "s")
    end_now(world, "s", "date_trunc('minute', now()) - interval '5 minutes'")
    run_pointed(world, point)
    finish(world)
    ended = events_of(world, "s")
    assert ended == events_of(world, "s", "period.closed") == list(range(1, len(ended) + 1)) and len(ended) >= 6
    starts = world.rows("SELECT started_at, lag(ends_at) OVER (ORDER BY number) FROM period WHERE season_id = 's'")
    assert all(start == end for start, end in starts[1:]), "no time is of two periods, or of none"
    assert standings(world, "s", 1) == board
    expired = world.rows("SELECT number FROM period WHERE expired_at IS NOT NULL ORDER BY number")
    assert [number for (number,) in expired] == list(range(1, len(ended) - 2))


@pytest.mark.parametrize("point", ["during write_standings", *walks("committed write_standings")])
def test_standings_are_gone_on_from_whatever_bite_was_the_last(world: World, point: str) -> None:
    """Bites of 5,000: the second one of three is broken off."""
    world.define("s", operator="best", schedule=GRID)
    world.submit_by_rule(("s", "first", 3, True))
    world.rows(
        "INSERT INTO score (period_id, user_id, score, reached, submissions) "
        "SELECT period_id, 'p' || n, n %% 1000, n, 0 FROM season, generate_series(10, 12008) AS n "
        "WHERE season_id = 's' RETURNING 1")  # fmt: skip
    end_now(world, "s")
    run_pointed(world, point, 5_700 if point.startswith("during") else 2)
    kept = len(standings(world, "s", 1))
    assert kept == (10_000 if point.startswith("committed") else 5_000)
    finish(world)
    found = standings(world, "s", 1)
    assert len(found) == 12_000 and found[0] == ("p999", 999)
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    assert events_of(world, "s", "period.closed") == [1]


def test_two_hosts_end_each_period_once(world: World) -> None:
    """Two pools, and the keeper at work killed again and again: the other host's takes over."""
    world.define("s", operator="best", schedule=MINUTES)
    play(world, "s")
    with relaying(world) as first, relaying(world) as second:
        pools = (first, second)
        for turn in range(1, 5):
            end_now(world, "s", "clock_timestamp()")
            eventually(lambda turn=turn: len(events_of(world, "s", "period.closed")) >= turn)
            pids = [pid for pool in pools for pid in children_of(pool.process.pid) if b"keeper" in commandline(pid)]
            assert pids
            os.kill(pids[turn % len(pids)], signal.SIGKILL)
        end_now(world, "s", "clock_timestamp()")
        eventually(lambda: len(events_of(world, "s", "period.closed")) >= 5)
        ended, closed = events_of(world, "s"), events_of(world, "s", "period.closed")
    assert ended == list(range(1, len(ended) + 1)) and closed == list(range(1, len(closed) + 1))


@pytest.mark.parametrize(("minutes", "turns"), [(HOUR, 1), *walks((21 * 24 * HOUR, 31))])
def test_ends_that_were_missed_are_caught_up_in_order(world: World, minutes: int, turns: int) -> None:
    """Bounded: 1,000 ends in a transaction at most."""
    world.define("s", operator="best", schedule=MINUTES)
    board = play(world, "s")
    end_now(world, "s", f"date_trunc('minute', now()) - interval '{minutes} minutes'")
    before = world.value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    keeper = keeper_of(world)
    ended = keeper.turn_seasons(world.db)
    assert minutes < ended <= minutes + 3
    by_transaction = world.rows("SELECT count(*) FROM event WHERE kind = 'period.ended' GROUP BY xid ORDER BY xid")
    assert len(by_transaction) == turns and max(count for (count,) in by_transaction) <= TURNS_MOST
    assert world.value("SELECT min(xid)::text::bigint FROM event") >= before
    numbers = events_of(world, "s")
    assert numbers == list(range(1, ended + 1))
    lengths = world.rows("SELECT DISTINCT ends_at - started_at FROM period WHERE ends_at IS NOT NULL AND number > 1")
    assert [str(length) for (length,) in lengths] == ["0:01:00"]
    if minutes == HOUR:
        keeper.close_periods(world.db)
        assert events_of(world, "s", "period.closed") == numbers
        assert standings(world, "s", 1) == board and standings(world, "s", 2) == []


CHANGES: Final = [
    # Zone, days around a change of clocks, hours of those local days.
    ("Europe/Berlin", "2026-03-27", [24, 24, 23, 24]),
    ("Europe/Berlin", "2026-10-23", [24, 24, 25, 24]),
    ("America/New_York", "2026-03-06", [24, 24, 23, 24]),
    ("America/New_York", "2026-10-30", [24, 24, 25, 24]),
    ("Australia/Lord_Howe", "2026-10-02", [24, 24, 23.5, 24]),
    ("Australia/Lord_Howe", "2026-04-03", [24, 24, 24.5, 24]),
    ("America/Santiago", "2026-09-04", [24, 24, 23, 24]),
    ("America/Santiago", "2026-04-03", [24, 25, 24, 24]),
]


@pytest.mark.parametrize(("zone", "first", "hours"), thinned(CHANGES, 4))
def test_each_local_day_is_one_period_where_clocks_change(
    world: World, zone: str, first: str, hours: list[float]
) -> None:
    """The keeper was away meanwhile, and catches up days of 23 to 25 hours, each from midnight to midnight."""
    world.define("s", operator="best", schedule={"cron": "0 0 * * *", "timeZone": zone})
    start = world.value("SELECT (%s::date::timestamp AT TIME ZONE %s)", first, zone)
    world.rows("UPDATE season SET ends_at = %s WHERE season_id = 's' RETURNING 1", start)
    keeper_of(world).turn_seasons(world.db)
    rows = world.rows("SELECT number, started_at, ends_at FROM period WHERE ends_at IS NOT NULL ORDER BY number")
    days = rows[1 : len(hours) + 1]
    assert [(end - begin).total_seconds() / 3_600 for _, begin, end in days] == hours
    for _, begin, end in rows[1:]:
        local = end.astimezone(ZoneInfo(zone))
        # Midnight is left out where clocks go forward at it: then the change itself ends the day.
        assert (local.hour, local.minute) in {(0, 0), (1, 0)} and begin < end, (zone, local)
    assert events_of(world, "s") == [number for number, _, _ in rows]
