"""Periods by a schedule: they end by PostgreSQL's clock, once, in order, and are kept."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from support.http import JSON, Http, base
from support.periods import GRID, end_now, events_of, keeper_of, patch, put, submit, turn_all
from support.processes import Api, relaying, serving
from support.waiting import eventually
from support.world import World

from board.periods import TURNS_MOST
from relay.session import RelaySession


@pytest.fixture
def lone(world: World) -> Any:
    """The API without a keeper: nothing but a submission turns a season."""
    with serving(world) as api, api.client() as client:
        yield client


def test_a_submission_after_the_end_counts_in_the_next_period(lone: Http, world: World) -> None:
    assert put(lone, "s", operator="best", schedule=GRID).status == 201
    first = submit(lone, "s", "ada", score=5).json
    assert (first["period"], first["previousScore"]) == (1, None)
    end_now(world, "s")
    second = submit(lone, "s", "ada", score=3).json
    assert (second["period"], second["score"], second["previousScore"]) == (2, 3, None)
    assert events_of(world, "s") == [1]
    kept = world.rows("SELECT number, ends_at IS NULL, ended_at IS NULL FROM period ORDER BY number")
    assert kept == [(1, False, True), (2, True, True)]
    hints = "SELECT count(*) FROM outbox JOIN season USING (partition, period_id) WHERE user_id IS NULL"
    assert world.value(hints) == 1, "relays are told of the new period"
    assert world.value("SELECT count(*) FROM score") == 2, "the rows of the ended period are kept"
    assert world.value("SELECT ends_at > now() AND ends_at <= now() + interval '7 days' FROM season")


def test_sums_with_a_schedule_name_their_period_and_add_up_as_ever(lone: Http, world: World) -> None:
    put(lone, "s", schedule=GRID)
    answers = [submit(lone, "s", "ada", delta=delta).json for delta in (5, -2)]
    assert [(a["score"], a["period"]) for a in answers] == [(5, 1), (3, 1)]
    assert answers[0]["version"] < answers[1]["version"] and "improved" not in answers[0]
    batch = {"submissions": [{"userId": "ada", "delta": 1}, {"userId": "ada", "delta": 1}]}
    results = lone.ask("POST", f"{base('s')}/scores/batch", json.dumps(batch).encode(), JSON).json["results"]
    assert [(r["score"], r["period"]) for r in results] == [(4, 1), (5, 1)]
    assert results[0]["version"] < results[1]["version"]
    put(lone, "plain")
    assert "period" not in submit(lone, "plain", "ada", delta=1).json


def test_a_retry_gets_its_first_answer_across_the_end(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule=GRID)
    first = submit(lone, "s", "ada", "k", score=5)
    end_now(world, "s")
    assert submit(lone, "s", "ada", "k", score=5).json == first.json
    assert submit(lone, "s", "bob", score=5).json["period"] == 2
    assert submit(lone, "s", "ada", "k", score=5).json == first.json
    put(lone, "once", schedule={"endsAt": "2998-01-01T00:00:00Z"})
    first = submit(lone, "once", "ada", "k", delta=5)
    end_now(world, "once")
    assert submit(lone, "once", "bob", delta=5).status == 409
    assert submit(lone, "once", "ada", "k", delta=5).json == first.json


def test_after_a_fixed_end_submissions_are_refused(lone: Http, world: World) -> None:
    put(lone, "s", schedule={"endsAt": "2998-01-01T00:00:00Z"})
    assert submit(lone, "s", "ada", delta=5).json["period"] == 1
    end_now(world, "s")
    for _ in range(2):
        refused = submit(lone, "s", "ada", delta=5)
        assert (refused.status, refused.json["code"]) == (409, "period-closed")
    assert events_of(world, "s") == [1]
    shown = lone.get(base("s")).json
    assert shown["period"]["number"] == 1 and shown["period"]["state"] == "closed"
    refused = lone.ask("POST", f"{base('s')}/reset")
    assert (refused.status, refused.json["code"]) == (409, "period-closed")
    assert patch(lone, "s", title="Over").status == 200, "its end has come, and it can still be changed"
    again = patch(lone, "s", schedule={"endsAt": "2999-01-01T00:00:00Z"}).json
    assert (again["period"]["number"], again["period"]["state"]) == (2, "open"), "what has ended stays ended"
    assert submit(lone, "s", "ada", delta=1).json["score"] == 1
    end_now(world, "s")
    assert submit(lone, "s", "ada", delta=5).status == 409
    assert patch(lone, "s", schedule=None).json["period"]["number"] == 3
    assert "period" not in submit(lone, "s", "ada", delta=1).json


def test_the_rule_of_an_ended_period_is_fixed(lone: Http, world: World) -> None:
    """It has no submission, and is to be closed once."""
    put(lone, "s", schedule={"endsAt": "2998-01-01T00:00:00Z"})
    end_now(world, "s")
    keeper_of(world).turn_seasons(world.db)
    assert patch(lone, "s", operator="best").json["code"] == "setting-fixed"
    changed = patch(lone, "s", operator="best", schedule={"endsAt": "2999-01-01T00:00:00Z"})
    assert (changed.status, changed.json["period"]["number"]) == (200, 2)
    assert keeper_of(world).close_periods(world.db) == 1
    assert events_of(world, "s", "period.closed") == [1]


def test_a_batch_of_several_seasons_waits_for_the_turn_of_one(lone: Http, world: World) -> None:
    """The statement that finds it out holds locks of both, and ends before the turn."""
    for season in "ab":
        put(lone, season, operator="last", schedule=GRID)
    end_now(world, "a")
    with ExitStack() as stack:
        db = stack.enter_context(world.held("a"))
        clients = [stack.enter_context(Http(lone.port)) for _ in range(6)]
        for number, client in enumerate(clients):
            season = "ab"[number % 2]
            body = json.dumps({"userId": f"p{number}", "score": number}).encode()
            client.send("POST", f"{base(season)}/scores", body, JSON)
        eventually(world.waiting)
        db.commit()
        periods = [client.receive().json["period"] for client in clients]
    assert periods == [2, 1] * 3
    assert events_of(world, "a") == [1] and events_of(world, "b") == []


def test_a_submission_under_way_at_the_end_counts_before_it(world: World) -> None:
    """The turn waits for the statement that holds the season, and the next one sees the new period."""
    world.define("s", operator="best", schedule=GRID)
    with psycopg.connect(world.settings.database_url) as db:
        db.execute("SELECT FROM season WHERE season_id = 's' FOR KEY SHARE")
        db.execute("INSERT INTO score (period_id, user_id, score, reached, submissions) "
                   "SELECT period_id, 'ada', 5, 1, 0 FROM season")  # fmt: skip
        end_now(world, "s")
        keeper = threading.Thread(target=turn_all, args=(world,))
        keeper.start()
        eventually(lambda: world.waiting("a keeper"))
        db.commit()
        keeper.join()
    assert world.rows("SELECT p.number FROM score JOIN period p USING (period_id)") == [(1,)]
    assert events_of(world, "s") == [1]


def test_each_period_ends_once_whoever_turns_it(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule={"every": "PT1M", "startsAt": "2026-01-05T00:00:00Z"})
    end_now(world, "s", "date_trunc('minute', now()) - interval '20 minutes'")
    turned: list[int] = []
    threads = [threading.Thread(target=lambda: turned.append(turn_all(world))) for _ in range(4)]
    with world.held("s") as db:
        for thread in threads:
            thread.start()
        eventually(lambda: world.waiting("a keeper") == 4)
        db.commit()
        assert submit(lone, "s", "ada", score=1).json["period"] >= 22
    for thread in threads:
        thread.join()
    ended = events_of(world, "s")
    assert len(turned) == 4, "none has failed"
    assert ended == list(range(1, len(ended) + 1)) and len(ended) in (21, 22)
    rows = world.rows("SELECT number, started_at, ends_at FROM period ORDER BY number")
    assert [number for number, _, _ in rows] == list(range(1, len(ended) + 2))
    assert all(before[2] == after[1] for before, after in pairwise(rows)), "without gaps"
    assert world.value("SELECT numbered = period_id AND period_number = %s FROM season", len(rows))


def test_three_weeks_of_minutes_are_caught_up_in_order(world: World) -> None:
    world.define("s", operator="best", schedule={"every": "PT1M", "startsAt": "2026-01-05T00:00:00Z"})
    end_now(world, "s", "date_trunc('minute', now()) - interval '3 weeks'")
    missed = 21 * 24 * 60 + 1
    assert missed > 30 * TURNS_MOST
    assert keeper_of(world).turn_seasons(world.db) in (missed, missed + 1)
    ended = events_of(world, "s")
    assert ended == list(range(1, len(ended) + 1)) and len(ended) in (missed, missed + 1)
    assert world.value("SELECT max(n) FROM (SELECT count(*) AS n FROM event GROUP BY xid) AS t") == TURNS_MOST


def test_the_previous_releases_reset_of_a_season_with_a_schedule_is_refused(world: World) -> None:
    """It puts a period in its place that has no number. Of a plain season nothing else keeps it off."""
    world.submit(("s", "ada", 1))
    world.define("s", schedule=GRID)
    with pytest.raises(psycopg.errors.CheckViolation, match="season_by_schedule"):
        world.execute("UPDATE season SET period_id = 1 + (SELECT max(period_id) FROM period)")
    world.define("s")
    world.execute("UPDATE season SET period_id = 1 + (SELECT max(period_id) FROM period)")


def test_versions_of_sums_grow_although_a_later_batch_was_first(world: World) -> None:
    world.define("s", schedule=GRID)
    world.submit_by_rule(("s", "ada", 1, False))
    world.execute("UPDATE score SET reached = 1000000")
    answers = world.submit_by_rule(("s", "ada", 1, False), ("s", "ada", 1, False))
    assert [version for _, _, version, _, _ in answers] == [1_000_001, 1_000_002]


def test_a_turn_that_is_broken_off_leaves_nothing(world: World) -> None:
    world.define("s", schedule=GRID)
    end_now(world, "s")
    before = world.counts()
    world.execute("SET lock_timeout = '1ms'")
    with world.held("s"):
        assert keeper_of(world).turn_seasons(world.db) == 0
    assert world.counts() == before
    keeper = keeper_of(world)
    assert keeper.turn_seasons(world.db) == 1
    assert keeper.turn_seasons(world.db) == 0


def test_a_season_that_cannot_be_turned_keeps_no_other_waiting(world: World) -> None:
    for season in "ab":
        world.define(season, schedule={"cron": "0 0 * * *", "timeZone": "Europe/Berlin"})
        end_now(world, season)
    world.execute("UPDATE season_definition SET definition = replace(definition, 'Berlin', 'Nowhere') "
                  "WHERE season_id = 'a'")  # fmt: skip
    keeper = keeper_of(world)
    assert keeper.turn_seasons(world.db) == 1
    assert keeper.aside.keys() == {"a"} and events_of(world, "b") == [1]


def test_the_pool_turns_what_is_due_and_readers_see_the_next_board(world: World) -> None:
    with relaying(world) as relay, serving(world, "/readyz") as api, api.client() as http:
        put(http, "s", schedule=GRID)
        submit(http, "s", "ada", delta=5)
        eventually(lambda: http.top("s").json["items"] == [{"rank": 1, "userId": "ada", "score": 5}])
        end_now(world, "s")
        relay.until(lambda: events_of(world, "s") == [1])
        eventually(lambda: http.top("s").json["items"] == [])
        shown = http.get(base("s")).json
        assert (shown["period"]["number"], shown["period"]["state"]) == (2, "open")
        answer = submit(http, "s", "ada", delta=1).json
        version = world.value("SELECT reached FROM score ORDER BY reached DESC LIMIT 1")
        assert answer == {
            "seasonId": "s", "userId": "ada", "queued": True, "score": 1, "version": version, "period": 2,
        }  # fmt: skip


def test_a_reset_by_hand_keeps_the_period(http: Http, season: str, api: Api) -> None:
    submit(http, season, "ada", delta=5)
    begun = http.ask("POST", f"{base(season)}/reset")
    assert begun.status == 200
    assert begun.json["seasonId"] == season and begun.json["period"]["number"] == 2
    assert begun.json["period"]["endsAt"] is None
    assert http.top(season).json["items"] == []
    assert submit(http, season, "ada", delta=1).json["score"] == 1
    assert "period" not in submit(http, season, "ada", delta=1).json
    assert http.ask("POST", f"{base(season + ' none')}/reset").json["code"] == "season-not-found"
    put(http, season, schedule=GRID)
    assert http.ask("POST", f"{base(season)}/reset").json["period"]["number"] == 3
    assert submit(http, season, "ada", delta=1).json["period"] == 3
    assert http.delete(season).status == 200
    assert submit(http, season, "ada", delta=7).json["period"] == 4
    listed = http.get(f"{base(season)}/periods").json
    assert [item["number"] for item in listed["items"]] == [4, 2, 1], "a deleted one is not listed"
    assert listed["items"][0]["state"] == "open" and listed["nextCursor"] is None
    assert listed["items"][1]["endsAt"] is not None


def test_periods_are_listed_in_pages(lone: Http, world: World) -> None:
    put(lone, "s", schedule={"every": "P1D", "startsAt": "2026-01-05T00:00:00Z"})
    end_now(world, "s", "date_trunc('day', now()) - interval '6 days'")
    keeper_of(world).turn_seasons(world.db)
    path, found = f"{base('s')}/periods?limit=3", []
    while path:
        page = lone.get(path).json
        assert len(page["items"]) <= 3
        found += [item["number"] for item in page["items"]]
        path = page["nextCursor"] and f"{base('s')}/periods?limit=3&cursor={page['nextCursor']}"
    assert found == list(range(found[0], 0, -1)) and found[0] in (8, 9)
    assert lone.get(f"{base('x')}/periods").json["code"] == "season-not-found"
    for cursor in ("AA", "cw", "%2B", "MTIzNDU2Nzg5MDEyMw"):
        assert lone.get(f"{base('s')}/periods?cursor={cursor}").json["code"] == "invalid-cursor", cursor


def test_a_schedule_may_change_for_ends_that_have_not_come(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule=GRID)
    submit(lone, "s", "ada", score=1)
    end_now(world, "s")
    changed = patch(lone, "s", schedule={"every": None, "startsAt": None, "endsAt": "2998-01-01T00:00:00Z"}).json
    assert (changed["period"]["number"], changed["period"]["endsAt"]) == (2, "2998-01-01T00:00:00Z")
    assert changed["nextEndsAt"] is None
    assert events_of(world, "s") == [1], "the old schedule held for the end that had come"
    cron = {"cron": "0 0 1 1 *", "timeZone": "Asia/Tokyo"}
    changed = put(lone, "s", operator="best", schedule=cron, graceS=60, keepPeriods=3).json
    assert changed["schedule"] == cron and (changed["graceS"], changed["keepPeriods"]) == (60, 3)
    assert changed["period"]["endsAt"][4:] == changed["nextEndsAt"][4:] == "-12-31T15:00:00Z"
    assert int(changed["nextEndsAt"][:4]) == int(changed["period"]["endsAt"][:4]) + 1
    assert patch(lone, "s", schedule=None).json["period"]["endsAt"] is None


def test_a_plain_season_with_submissions_gets_a_schedule(lone: Http, world: World) -> None:
    """Its period keeps its rows, and the next one is of the kind that the statements of plain seasons keep off."""
    assert submit(lone, "s", "ada", delta=5).status == 202
    assert put(lone, "s", schedule=GRID).status == 200
    assert submit(lone, "s", "ada", delta=1).json["score"] == 6
    assert submit(lone, "s", "ada", delta=1).json["period"] == 1
    end_now(world, "s")
    turned = submit(lone, "s", "ada", delta=2).json
    assert (turned["score"], turned["period"]) == (2, 2)
    assert world.value("SELECT fold FROM season") == 64
    put(lone, "s")
    assert "period" not in submit(lone, "s", "ada", delta=2).json
    assert world.value("SELECT score FROM score JOIN season USING (period_id)") == 4


@pytest.mark.parametrize(
    ("members", "code", "named"),
    [
        ({"schedule": {"cron": "0 0 30 2 *", "timeZone": "UTC"}}, "invalid-season", "cron"),
        ({"schedule": {"cron": "0 0 * * *", "timeZone": "Mars/Olympus"}}, "invalid-season", "timeZone"),
        ({"schedule": {"every": "PT59S", "startsAt": "2026-01-05T00:00:00Z"}}, "invalid-season", "minute"),
        ({"schedule": {"endsAt": "2020-01-01T00:00:00Z"}}, "invalid-season", "past"),
        ({"schedule": {**GRID, "endsAt": "2998-01-01T00:00:00Z"}}, "invalid-season", "nothing else"),
        ({"schedule": {}}, "invalid-season", "nothing"),
        ({"schedule": {"weekly": True}}, "invalid-season", "weekly"),
        ({"schedule": {"endsAt": "2998-01-01"}}, "invalid-season", "endsAt"),
        (
            {"schedule": {"endsAt": "2998-01-01T00:00:00Z"}, "opensAt": "2998-01-01T00:00:00Z"},
            "invalid-season",
            "opens",
        ),
        ({"graceS": -1}, "invalid-season", "graceS"),
        ({"graceS": 86_401}, "invalid-season", "graceS"),
        ({"keepPeriods": 0}, "invalid-season", "keepPeriods"),
    ],
)
def test_what_no_season_has_is_refused_by_name(
    http: Http, season: str, members: dict[str, Any], code: str, named: str
) -> None:
    refused = put(http, season, **members)
    assert (refused.status, refused.json["code"]) == (400, code)
    assert named in refused.json["detail"]
    assert http.get(base(season)).status == 404, "nothing was made"


@pytest.mark.parametrize("changer", ["reset", "submission", "keeper"])
def test_the_history_of_events_is_begun_before_a_season_is_locked(lone: Http, world: World, changer: str) -> None:
    # A relay's batch begins it, if need be, and then takes the locks of its seasons: the other order is a deadlock.
    put(lone, "s", operator="best", schedule=GRID)
    submit(lone, "s", "ada", score=1)
    end_now(world, "s")
    change = {
        "reset": lambda: lone.ask("POST", f"{base('s')}/reset").json["code"] == "reset-pending",  # no relay runs
        "submission": lambda: submit(lone, "s", "ada", score=1).json["period"] == 2,
        "keeper": lambda: turn_all(world) == 1,
    }[changer]
    world.execute("TRUNCATE history CASCADE")
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(change()))
    with psycopg.connect(world.settings.database_url) as batch:
        batch.execute("SELECT FROM season WHERE season_id = 's' FOR KEY SHARE")
        thread.start()
        eventually(lambda: world.value("SELECT count(*) FROM history") == 1)
        eventually(lambda: world.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1)
    thread.join(20)
    assert found == [True]


def test_a_relay_begins_the_history_before_its_batches(world: World) -> None:
    world.execute("TRUNCATE history CASCADE")
    settings = world.settings
    with closing(RelaySession(settings.database_url, settings.redis_url, world.keys, limit=1, redis_timeout_s=10)):
        assert world.value("SELECT count(*) FROM history") == 1
