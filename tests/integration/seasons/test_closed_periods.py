"""Closed periods: final positions, one event, reads by number from PostgreSQL, and what is deleted when."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
from typing import Any, Final

import psycopg
import pytest
from support.http import JSON, Http, base
from support.marks import thinned
from support.periods import GRID, end_now, events_of, keeper_of, patch, put, submit
from support.processes import children_of, commandline, relaying, serving
from support.relays import Unsignalled
from support.waiting import eventually
from support.world import World

import relay.keeper
from board.pg.queries import queries
from relay.janitor import Janitor
from relay.keeper import PeriodKeeper

PLAYERS: Final = 57


@pytest.fixture
def lone(world: World) -> Any:
    """The API without relays, and without a keeper but that of the test."""
    with serving(world) as api, api.client() as client:
        yield client


class Stopped(Unsignalled):
    """A stop that comes at a number of looks, as a signal may."""

    def __init__(self, looks: int) -> None:
        self.looks = looks

    @property
    def requested(self) -> bool:  # type: ignore[override]
        self.looks -= 1
        return self.looks < 0


def past(http: Http, season: str, what: str, period: int, query: str = "") -> Any:
    return http.get(f"{base(season)}/leaderboard/{what}?period={period}{query}")


def play(world: World, season: str, order: str, seed: int) -> list[tuple[str, int]]:
    """Let players reach scores, with many ties; the board as it has to be: (player, score), best first."""
    dice = random.Random(seed)
    users = [f"p{n:02}" for n in range(PLAYERS)]
    dice.shuffle(users)
    batch = [(season, user, dice.randrange(-4, 5), True) for user in users]
    assert {answer[0] for answer in world.submit_by_rule(*batch)} == {0}
    return sorted(
        ((user, score) for _, user, score, _ in batch), key=lambda row: -row[1] if order == "desc" else row[1]
    )


@pytest.mark.parametrize(
    ("stage", "order"), thinned(itertools.product(["closing", "closed", "final"], ["desc", "asc"]), 3)
)
def test_a_past_board_is_the_one_that_ended(lone: Http, world: World, order: str, stage: str) -> None:
    """Before its standings are there, and after; in the grace, and after it."""
    put(lone, "s", operator="best", order=order, schedule=GRID, graceS=3_600 if stage == "closing" else 0)
    board = play(world, "s", order, 7)
    end_now(world, "s")
    keeper = keeper_of(world)
    assert keeper.turn_seasons(world.db) == 1
    assert submit(lone, "s", "p00", score=1).json["period"] == 2
    if stage != "closed":
        assert keeper.close_periods(world.db) == (stage == "final")
    assert lone.get(f"{base('s')}/periods").json["items"][1]["state"] == stage
    ranked = [{"rank": n, "userId": user, "score": score} for n, (user, score) in enumerate(board, 1)]
    top = past(lone, "s", "top", 1, "&limit=1000").json
    as_of = top["asOf"]
    rest = {"total": PLAYERS, "nextCursor": None, "asOf": as_of, "period": 1}
    assert top == {"seasonId": "s", "items": ranked, **rest}
    assert past(lone, "s", "top", 1, "&limit=5&offset=9").json["items"] == top["items"][9:14]
    assert past(lone, "s", "count", 1).json == {"seasonId": "s", "count": PLAYERS, "asOf": as_of, "period": 1}
    for at in (0, 1, 30, PLAYERS - 1):
        user = board[at][0]
        shown = past(lone, "s", "rank", 1, f"&userId={user}").json
        assert shown.pop("version") > 0
        percentile = 10_000 * (PLAYERS - at) // PLAYERS / 100
        more = {"total": PLAYERS, "percentile": percentile, "asOf": as_of, "period": 1}
        assert shown == {"seasonId": "s", **ranked[at], **more}
        near = past(lone, "s", "around", 1, f"&userId={user}&range=3").json
        assert near["items"] == ranked[max(0, at - 3) : at + 4] and near["period"] == 1
        full = past(lone, "s", "around", 1, f"&userId={user}&range=3&fill=true").json["items"]
        first = max(0, min(at - 3, PLAYERS - 7))
        assert full == ranked[first : first + 7]
    for what in ("rank", "around"):
        assert past(lone, "s", what, 1, "&userId=nobody").json["code"] == "player-not-found"
    # The same board where equal scores share a rank: both are kept.
    assert lone.ask("PATCH", base("s"), b'{"ranking":"competition"}', JSON).status == 200
    for row in ranked:
        row["rank"] = 1 + [one["score"] for one in ranked].index(row["score"])
    shared = past(lone, "s", "top", 1, "&limit=1000").json
    assert shared["items"] == ranked and shared["asOf"] != as_of
    for at in (0, 30, PLAYERS - 1):
        assert past(lone, "s", "rank", 1, f"&userId={board[at][0]}").json["rank"] == ranked[at]["rank"]
        near = past(lone, "s", "around", 1, f"&userId={board[at][0]}&range=3").json
        assert near["items"] == ranked[max(0, at - 3) : at + 4]
    page = lone.get(f"{base('s')}/leaderboard/top?period=1")
    held = lone.ask("GET", f"{base('s')}/leaderboard/top?period=1", headers={"If-None-Match": page.headers["etag"]})
    assert held.status == 304


def test_a_period_is_closed_once_and_in_order(lone: Http, world: World) -> None:
    put(lone, "a b/ü".replace("/", ""), operator="best", schedule={"every": "P1D", "startsAt": "2026-01-05T00:00:00Z"})
    season = "a bü"
    play(world, season, "desc", 1)
    end_now(world, season, "date_trunc('day', now()) - interval '5 days'")
    keeper = keeper_of(world)
    ended = keeper.turn_seasons(world.db)
    assert keeper.close_periods(world.db) == ended >= 6
    assert keeper.close_periods(world.db) == 0
    assert events_of(world, season, "period.closed") == events_of(world, season) == list(range(1, ended + 1))
    text = world.value("SELECT data FROM event WHERE kind = 'period.closed' AND period = 1")
    data = json.loads(text)
    assert data["players"] == PLAYERS and [row["rank"] for row in data["top"]] == list(range(1, 11))
    shown = lone.get(data["link"]).json
    assert shown["items"] == data["top"]
    empty = json.loads(world.value("SELECT data FROM event WHERE kind = 'period.closed' AND period = 2"))
    assert (empty["players"], empty["top"]) == (0, [])
    assert past(lone, season, "top", 2).json["items"] == []


def test_the_grace_comes_before_the_final_ranks(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule=GRID, graceS=3_600)
    play(world, "s", "desc", 1)
    end_now(world, "s")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    assert keeper.close_periods(world.db) == 0
    assert events_of(world, "s", "period.closed") == []
    patch(lone, "s", graceS=0)
    end_now(world, "s")
    keeper.turn_seasons(world.db)
    assert keeper.close_periods(world.db) == 0, "the second one waits for the first"
    world.execute("UPDATE period SET closes_at = closes_at - interval '2 hours' WHERE closes_at IS NOT NULL")
    assert keeper.close_periods(world.db) == 2
    assert events_of(world, "s", "period.closed") == [1, 2]


def test_a_keeper_that_ends_amid_the_standings_is_gone_on_from(
    lone: Http, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay.keeper, "BITE", 5)
    put(lone, "s", operator="best", schedule=GRID)
    board = play(world, "s", "desc", 3)
    end_now(world, "s")
    keeper_of(world).turn_seasons(world.db)
    seen = set()
    for looks in range(2, 12, 2):
        PeriodKeeper(world.settings, Stopped(looks)).close_periods(world.db)  # type: ignore[arg-type]
        seen.add(world.value("SELECT count(*) FROM standing"))
        assert events_of(world, "s", "period.closed") == []
    assert len(seen) > 2 and max(seen) < PLAYERS
    assert keeper_of(world).close_periods(world.db) == 1
    assert events_of(world, "s", "period.closed") == [1]
    shown = past(lone, "s", "top", 1, "&limit=100").json["items"]
    assert [(item["userId"], item["score"]) for item in shown] == board


def test_a_killed_keeper_leaves_one_event_for_each_period(world: World) -> None:
    """Killed again and again while periods end and close; another one goes on."""
    with relaying(world, 1) as pool, serving(world, "/readyz") as api, api.client() as http:
        put(http, "s", operator="best", schedule={"every": "PT1M", "startsAt": "2026-01-05T00:00:00Z"})
        play(world, "s", "desc", 1)
        end_now(world, "s", "date_trunc('minute', now()) - interval '400 minutes'")
        for _ in range(6):
            before = len(events_of(world, "s", "period.closed"))
            for pid in children_of(pool.process.pid):
                if b"keeper" in commandline(pid):
                    os.kill(pid, signal.SIGKILL)
            eventually(lambda before=before: len(events_of(world, "s", "period.closed")) > before)
        eventually(lambda: len(events_of(world, "s", "period.closed")) >= 401, 60)
        closed = events_of(world, "s", "period.closed")
        assert closed == list(range(1, len(closed) + 1))
        ended = events_of(world, "s")
        assert ended == list(range(1, len(ended) + 1)) and len(ended) >= len(closed)


def test_rows_are_deleted_once_they_have_standings(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule=GRID)
    put(lone, "once", operator="best", schedule={"endsAt": "2998-01-01T00:00:00Z"})
    for season in ("s", "once"):
        play(world, season, "desc", 1)
        end_now(world, season)
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    assert keeper.do_chores(world.db) == 0
    keeper.close_periods(world.db)
    keeper.next_chores = 0.0
    assert keeper.do_chores(world.db) == 0, "a read may still be under way"
    world.execute("UPDATE period SET final_at = final_at - interval '61 seconds'")
    keeper.next_chores = 0.0
    assert keeper.do_chores(world.db) == PLAYERS
    rows = world.rows("SELECT DISTINCT season_id FROM score JOIN period USING (period_id)")
    assert rows == [("once",)], "the last period of a season that is closed goes on to be its board"
    for season in ("s", "once"):
        assert past(lone, season, "count", 1).json["count"] == PLAYERS
    assert Janitor(world.settings, Unsignalled()).collect(world.db) == 0


def test_a_season_that_keeps_fewer_periods_keeps_them_at_once(lone: Http, world: World) -> None:
    """Its next period may end in a year, or never."""
    put(lone, "s", operator="best", schedule=GRID)
    keeper = keeper_of(world)
    for number in range(4):
        submit(lone, "s", "ada", score=number)
        end_now(world, "s")
        assert keeper.turn_seasons(world.db) == 1 and keeper.close_periods(world.db) == 1
    assert patch(lone, "s", keepPeriods=2).status == 200
    statuses = [past(lone, "s", "top", number).status for number in range(1, 5)]
    assert statuses == [410, 410, 200, 200]
    assert [one["number"] for one in lone.get(f"{base('s')}/periods").json["items"]] == [5, 4, 3]
    assert patch(lone, "s", keepPeriods=None).status == 200
    assert past(lone, "s", "top", 2).status == 410, "what is gone does not come back"
    assert past(lone, "s", "top", 3).json["items"] == [{"rank": 1, "userId": "ada", "score": 2}]


def test_periods_beyond_what_is_kept_are_gone(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule=GRID, keepPeriods=2)
    keeper = keeper_of(world)
    for seed in range(4):
        play(world, "s", "desc", seed)
        end_now(world, "s")
        keeper.turn_seasons(world.db)
        keeper.close_periods(world.db)
    for number, status in ((1, 410), (2, 410), (3, 200), (4, 200)):
        assert past(lone, "s", "top", number).status == status, number
    assert past(lone, "s", "count", 1).json["code"] == "period-expired"
    assert [item["number"] for item in lone.get(f"{base('s')}/periods").json["items"]] == [5, 4, 3]
    keeper.next_chores = 0.0
    keeper.do_chores(world.db)
    assert world.value("SELECT count(*) FROM standing") == 4 * PLAYERS, "a read may still be under way"
    world.execute("UPDATE period SET expired_at = expired_at - interval '61 seconds'")
    keeper.next_chores = 0.0
    keeper.do_chores(world.db)
    assert world.value("SELECT count(*) FROM standing") == 2 * PLAYERS
    Janitor(world.settings, Unsignalled()).collect(world.db)
    assert world.rows("SELECT number FROM period ORDER BY number") == [(3,), (4,), (5,)]
    assert past(lone, "s", "top", 2).json["code"] == "period-expired"


@pytest.mark.parametrize("has_standings", [True, False])
def test_a_season_that_is_emptied_after_its_end_leaves_nothing(lone: Http, world: World, has_standings: bool) -> None:
    put(lone, "s", operator="best", schedule={"endsAt": "2998-01-01T00:00:00Z"})
    play(world, "s", "desc", 1)
    end_now(world, "s")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    assert not has_standings or keeper.close_periods(world.db) == 1
    world.reset("s")
    assert past(lone, "s", "top", 1).json["code"] == "period-expired"
    assert submit(lone, "s", "ada", score=1).json["code"] == "period-closed"
    assert keeper.close_periods(world.db) == 1
    world.execute("UPDATE period SET expired_at = expired_at - interval '61 seconds'")
    keeper.next_chores = 0.0
    keeper.do_chores(world.db)
    Janitor(world.settings, Unsignalled()).collect(world.db)
    assert world.value("SELECT (SELECT count(*) FROM standing) + (SELECT count(*) FROM score)") == 0
    assert world.rows("SELECT number, players FROM period") == [(2, 0)]
    assert events_of(world, "s", "period.closed") == ([1, 2] if has_standings else [2])


def test_a_period_that_is_not_there_is_told_apart(lone: Http, world: World) -> None:
    assert past(lone, "s", "top", 1).json["code"] == "season-not-found"
    put(lone, "s", schedule=GRID)
    for what in ("top", "rank", "around", "count"):
        missing = past(lone, "s", what, 2, "&userId=ada")
        assert (missing.status, missing.json["code"]) == (404, "period-not-found")
        assert past(lone, "s", what, 0, "&userId=ada").json["code"] == "invalid-period"
    world.reset("s")
    gone = past(lone, "s", "top", 1)
    assert (gone.status, gone.json["code"]) == (410, "period-expired")


def test_the_current_period_by_its_number_is_the_live_board(world: World) -> None:
    with relaying(world), serving(world, "/readyz") as api, api.client() as http:
        put(http, "s", schedule=GRID)
        submit(http, "s", "ada", delta=5)
        items = [{"rank": 1, "userId": "ada", "score": 5}]
        eventually(lambda: past(http, "s", "top", 1).json.get("items") == items)
        live = past(http, "s", "top", 1).json
        rest = {"total": 1, "nextCursor": None, "asOf": live["asOf"], "period": 1}
        assert live == {"seasonId": "s", "items": items, **rest}
        counted = {"seasonId": "s", "count": 1, "asOf": live["asOf"], "period": 1}
        assert past(http, "s", "count", 1).json == counted
        assert past(http, "s", "rank", 1, "&userId=ada").json["rank"] == 1
        assert past(http, "s", "around", 1, "&userId=ada").json["items"] == items
        keys = set(world.redis.scan_iter(match=f"{world.name}:*:s", count=1_000))
        assert len(keys) == 2, "the board and its members"
        for number in range(2, 8):
            # At once: whatever Redis shows by then.
            end_now(world, "s")
            assert submit(http, "s", f"p{number}", delta=number).json["period"] == number
            assert past(http, "s", "top", number - 1).json["items"] == items
            eventually(lambda number=number: past(http, "s", "count", number).json["count"] == 1)
            items = past(http, "s", "top", number).json["items"]
            assert items == [{"rank": 1, "userId": f"p{number}", "score": number}]
        held = set(world.redis.scan_iter(match=f"{world.name}:*", count=1_000))
        assert {key for key in held if b":s" in key} == keys, "nothing of the ended ones"


def test_reads_survive_the_end_of_their_connection(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule=GRID)
    play(world, "s", "desc", 1)
    end_now(world, "s")
    keeper_of(world).turn_seasons(world.db)
    for _ in range(3):
        eventually(lambda: past(lone, "s", "count", 1).status == 200)
        world.terminate("leaderboard-boards")
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.execute("INSERT INTO standing VALUES (1, 1, 'ada', 1, 1, 1), (1, 1, 'bob', 1, 1, 1)")


def test_one_keeper_of_all_hosts_works(world: World) -> None:
    class Once(Unsignalled):
        def wait(self, seconds: float | None) -> bool:
            self.requested = True
            return True

    world.define("s", schedule=GRID)
    end_now(world, "s")
    with psycopg.connect(world.settings.database_url, autocommit=True) as other:
        assert other.execute(queries()["try_keeper"]).fetchone() == (True,)
        PeriodKeeper(world.settings, Once()).keep(world.db)
        assert events_of(world, "s") == [], "another one does"
        other.execute("SELECT pg_advisory_unlock_all()")
    PeriodKeeper(world.settings, Once()).keep(world.db)
    assert events_of(world, "s") == events_of(world, "s", "period.closed") == [1]
