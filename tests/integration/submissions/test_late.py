"""Submissions that tell when they were achieved, or which period they are for."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.periods import GRID, end_now, events_of, keeper_of, patch, put, turn_all
from support.processes import Api, serving
from support.waiting import eventually
from support.world import World

HOUR = timedelta(hours=1)


@pytest.fixture
def lone(world: World) -> Any:
    """The API without relays, and without a keeper but that of the test."""
    with serving(world) as api, api.client() as client:
        yield client


def clock(world: World, past: timedelta = timedelta()) -> str:
    """PostgreSQL's clock so long ago."""
    at: datetime = world.value("SELECT clock_timestamp()")
    return (at.astimezone(UTC) - past).isoformat()


def send(http: Http, season: str, user: str, number: int, headers: dict[str, str] = JSON, **more: Any) -> Answer:
    """Submit a score; a delta to a season whose name begins with "sum"."""
    member = "delta" if season.startswith("sum") else "score"
    return http.post_raw(season, json.dumps({"userId": user, member: number, **more}).encode(), headers)


def past(http: Http, season: str, what: str, period: int, query: str = "") -> Any:
    return http.get(f"{base(season)}/leaderboard/{what}?period={period}{query}").json


def code(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


def end_with_grace(http: Http, world: World, season: str, grace_s: int = 3_600, **members: Any) -> None:
    """A season in its second period; the first one, with players a and b, is in its grace."""
    put(http, season, **{"operator": "best", "schedule": GRID, "graceS": grace_s, **members})
    for user, score in (("a", 10), ("b", 20)):
        assert send(http, season, user, score).json["period"] == 1
    end_now(world, season)
    assert turn_all(world) == 1


def test_what_was_achieved_before_the_end_counts_in_the_period_that_closes(lone: Http, world: World) -> None:
    end_with_grace(lone, world, "s")
    assert send(lone, "s", "a", 5).json["period"] == 2
    late = send(lone, "s", "a", 30, achievedAt=clock(world, HOUR)).json
    assert (late["period"], late["score"], late["previousScore"], late["improved"]) == (1, 30, 10, True)
    assert send(lone, "s", "c", 15, achievedAt=clock(world)).json["period"] == 2
    assert send(lone, "s", "c", 15, period=1).json["period"] == 1
    assert [(row["userId"], row["score"]) for row in past(lone, "s", "top", 1)["items"]] == [
        ("a", 30), ("b", 20), ("c", 15),
    ]  # fmt: skip
    stored = world.rows(
        "SELECT l.user_id, l.achieved_at IS NOT NULL FROM ledger l JOIN period p USING (period_id) "
        "WHERE p.number = 1 ORDER BY l.submission"
    )
    assert stored == [("a", False), ("b", False), ("a", True), ("c", False)]
    (at,) = world.rows("SELECT clock_timestamp() - achieved_at FROM ledger WHERE delta = 30")[0]
    assert HOUR <= at < 2 * HOUR, "the ledger has the time that was told"


def test_after_the_grace_it_is_refused(lone: Http, world: World) -> None:
    end_with_grace(lone, world, "s", grace_s=0)
    ledger = world.value("SELECT count(*) FROM ledger")
    assert code(send(lone, "s", "a", 30, achievedAt=clock(world, HOUR))) == (409, "period-closed")
    assert code(send(lone, "s", "a", 30, period=1)) == (409, "period-closed")
    patch(lone, "s", graceS=3_600)
    assert code(send(lone, "s", "a", 30, period=1)) == (409, "period-closed"), "its grace was over when it began"
    keeper_of(world).close_periods(world.db)
    assert code(send(lone, "s", "a", 30, period=1)) == (409, "period-closed")
    assert world.value("SELECT count(*) FROM ledger") == ledger
    assert send(lone, "s", "a", 30, period=2).json["period"] == 2


@pytest.mark.walk
def test_a_reset_has_no_grace_even_behind_a_period_that_has_one(lone: Http, world: World) -> None:
    end_with_grace(lone, world, "s")
    before = clock(world)
    assert lone.ask("POST", f"{base('s')}/reset").status == 503, "nothing shows it without relays"
    assert lone.get(base("s")).json["period"]["number"] == 3
    assert code(send(lone, "s", "a", 30, achievedAt=before)) == (409, "period-closed")
    assert code(send(lone, "s", "a", 30, period=2)) == (409, "period-closed")
    assert send(lone, "s", "a", 30, period=1).status == 202


WRONG_PLACES: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({"period": 3}, (404, "period-not-found")),
    ({"period": 999_999_999}, (404, "period-not-found")),
    ({"period": 0}, (400, "invalid-submission-period")),
    ({"period": "1"}, (400, "invalid-submission-period")),
    ({"period": 1.0}, (400, "invalid-submission-period")),
    ({"period": None}, (400, "invalid-submission-period")),
    ({"achievedAt": "2999-01-01T00:00:00Z"}, (400, "invalid-achieved-at")),
    ({"achievedAt": "2026-01-01T00:00:00"}, (400, "invalid-achieved-at")),
    ({"achievedAt": "1970-01-01T00:00:00Z"}, (400, "invalid-achieved-at")),
    ({"achievedAt": "0001-01-01T00:00:00+23:59"}, (400, "invalid-achieved-at")),
    ({"achievedAt": "9999-12-31T23:59:59-23:59"}, (400, "invalid-achieved-at")),
    ({"achievedAt": 5}, (400, "invalid-achieved-at")),
    ({"achievedAt": None}, (400, "invalid-achieved-at")),
    ({"achievedAt": "yesterday"}, (400, "invalid-achieved-at")),
]


def test_each_wrong_place_has_its_answer(lone: Http, world: World) -> None:
    end_with_grace(lone, world, "s")
    for members, expected in WRONG_PLACES:
        ledger = world.value("SELECT count(*) FROM ledger")
        assert code(send(lone, "s", "a", 1, **members)) == expected, members
        batch = {"submissions": [{"userId": "a", "score": 1, **members}, {"userId": "a", "score": 1}]}
        body = json.dumps(batch).encode()
        wrong, right = lone.ask("POST", f"{base('s')}/scores/batch", body, JSON).json["results"]
        assert (wrong["status"], wrong["code"]) == expected, members
        assert (right["status"], right["period"]) == (202, 2)
        assert world.value("SELECT count(*) FROM ledger") == ledger + 1


@pytest.mark.walk
def test_a_period_that_is_not_kept_is_gone(lone: Http, world: World) -> None:
    end_with_grace(lone, world, "s", grace_s=0, keepPeriods=1)
    end_now(world, "s")
    turn_all(world)
    assert keeper_of(world).close_periods(world.db) == 2
    assert code(send(lone, "s", "a", 1, period=1)) == (410, "period-expired")
    lone.delete("s")
    assert code(send(lone, "s", "a", 1, period=3)) == (410, "period-expired")
    assert send(lone, "s", "a", 1, period=4).json["period"] == 4
    named = send(lone, "s", "a", 1, period=4, achievedAt=clock(world, HOUR))
    assert named.json["period"] == 4, "the name decides"


def test_the_first_period_goes_back_for_ever_and_not_before_the_season_opens(lone: Http, world: World) -> None:
    put(lone, "s", operator="best")
    old = "2001-01-01T00:00:00Z"
    assert send(lone, "s", "a", 5, achievedAt=old).status == 202
    put(lone, "o", operator="best", opensAt="2020-01-01T00:00:00Z")
    assert code(send(lone, "o", "a", 5, achievedAt=old)) == (409, "season-not-open")
    assert send(lone, "o", "a", 5, achievedAt="2020-01-01T00:00:00Z").status == 202
    assert send(lone, "sum", "a", 5, achievedAt=old).json["score"] == 5, "a season that nobody has defined, too"


def test_a_fixed_end_has_a_grace(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", schedule={"endsAt": "2998-01-01T00:00:00Z"}, graceS=3_600)
    send(lone, "s", "a", 1)
    end_now(world, "s")
    assert code(send(lone, "s", "a", 9)) == (409, "period-closed")
    late = send(lone, "s", "a", 9, achievedAt=clock(world, HOUR))
    assert (late.status, late.json["score"], late.json["period"]) == (202, 9, 1)
    assert send(lone, "s", "b", 9, period=1).status == 202
    assert code(send(lone, "s", "b", 9, achievedAt=clock(world))) == (409, "period-closed")
    world.carry_everything()
    assert world.board("s") == world.expected("s") and len(world.board("s")) == 2
    world.execute("UPDATE period SET late_until = now(), closes_at = now()")
    assert code(send(lone, "s", "b", 10, period=1)) == (409, "period-closed")


def test_who_may_not_is_told_so(guarded: Api, season: str) -> None:
    world = guarded.world
    admin, submit = world.key("admin", "submit"), world.key("submit", "read")
    with guarded.client() as http:
        for key in (admin, submit):
            eventually(lambda key=key: http.ask("GET", "/v1/seasons", None, bearer(key)).status != 401)
        for members in ({"achievedAt": "2026-01-01T00:00:00Z"}, {"period": 1}):
            refused = send(http, season, "a", 1, {**JSON, **bearer(submit)}, **members)
            assert code(refused) == (403, "placing-forbidden")
            item = {"userId": "a", "score": 1, **members}
            body = json.dumps({"submissions": [item]}).encode()
            batch = http.ask("POST", f"{base(season)}/scores/batch", body, {**JSON, **bearer(submit)})
            assert (batch.json["results"][0]["status"], batch.json["results"][0]["code"]) == (403, "placing-forbidden")
            keyed = {**JSON, **bearer(submit), "Idempotency-Key": "k"}
            assert code(send(http, season, "a", 1, keyed, **members)) == (403, "placing-forbidden")
        assert world.rows("SELECT FROM season WHERE season_id = %s", season) == []
        allowed = http.post_raw(season, b'{"userId":"a","delta":1,"period":1}', {**JSON, **bearer(admin)})
        assert allowed.status == 202


def test_the_last_run_is_the_one_that_was_achieved_last(lone: Http, world: World) -> None:
    put(lone, "s", operator="last")
    at = [clock(world, timedelta(hours=hours)) for hours in (5, 4, 3, 2, 1)]
    runs = [(3, 30), (1, 10), (4, 40), (0, 0), (2, 20)]
    answers = [send(lone, "s", "a", score, achievedAt=at[n]).json for n, score in runs]
    assert [(a["score"], a["previousScore"], a["improved"]) for a in answers] == [
        (30, None, True), (30, 30, False), (40, 30, True), (40, 40, False), (40, 40, False),
    ]  # fmt: skip
    versions = [a["version"] for a in answers]
    assert versions[0] == versions[1] < versions[2] == versions[3] == versions[4]
    assert send(lone, "s", "a", 7).json["score"] == 7, "without a time it is the acceptance"
    assert send(lone, "s", "a", 50, achievedAt=at[4]).json["score"] == 7
    # In one batch, and in any order. Of equal times the later submission is the last one.
    items = [{"userId": "b", "score": score, "achievedAt": at[n]} for n, score in (*runs, (4, 41))]
    body = json.dumps({"submissions": items}).encode()
    results = lone.ask("POST", f"{base('s')}/scores/batch", body, JSON).json["results"]
    assert [r["score"] for r in results] == [30, 30, 40, 40, 40, 41]
    assert {user: score for user, score, _ in world.expected("s")} == {"a": 7, "b": 41}


def test_the_time_of_a_run_breaks_no_tie(lone: Http, world: World) -> None:
    put(lone, "s", operator="best")
    assert send(lone, "s", "a", 5).status == send(lone, "s", "b", 5, achievedAt=clock(world, HOUR)).status == 202
    assert [user for user, _, _ in world.expected("s")] == ["a", "b"]


def test_a_retry_gets_its_answer_whatever_has_ended(lone: Http, world: World) -> None:
    end_with_grace(lone, world, "s")
    at = clock(world, HOUR)
    first = send(lone, "s", "a", 30, achievedAt=at, submissionId="k")
    assert first.json["period"] == 1
    world.execute("UPDATE period SET late_until = now(), closes_at = now() WHERE ends_at IS NOT NULL")
    keeper_of(world).close_periods(world.db)
    assert send(lone, "s", "a", 30, achievedAt=at, submissionId="k").json == first.json
    for other in ({}, {"achievedAt": clock(world)}, {"achievedAt": at, "period": 1}):
        assert code(send(lone, "s", "a", 30, submissionId="k", **other)) == (422, "idempotency-key-reused")


def test_a_late_one_that_waits_for_the_turn_goes_where_it_belongs(lone: Http, world: World) -> None:
    """Its statement has begun before the end of the period was turned, and reads the season after it."""
    put(lone, "s", operator="best", schedule=GRID, graceS=3_600)
    send(lone, "s", "a", 1)
    at = clock(world)
    with psycopg.connect(world.settings.database_url) as db, Http(lone.port) as other:
        db.execute("SELECT FROM season WHERE season_id = 's' FOR UPDATE")
        body = json.dumps({"userId": "a", "score": 9, "achievedAt": at}).encode()
        other.send("POST", f"{base('s')}/scores", body, JSON)
        eventually(lambda: world.waiting() == 1)
        db.execute("UPDATE season SET ends_at = clock_timestamp() WHERE season_id = 's'")
        keeper_of(world).turn(db, "s")
        db.commit()
        late = other.receive().json
    assert (late["period"], late["score"], late["previousScore"]) == (1, 9, 1)


def test_the_keeper_waits_for_a_late_one_and_closes_with_it(lone: Http, world: World) -> None:
    """The standings are there already when it comes, and its statement holds the period until it commits."""
    end_with_grace(lone, world, "s")
    keeper = keeper_of(world)
    assert keeper.close_periods(world.db) == 0
    assert world.value("SELECT players FROM period WHERE number = 1") == 2
    with psycopg.connect(world.settings.database_url) as db, Http(lone.port) as other:
        # A row that another one holds keeps the late statement under way.
        db.execute("SELECT FROM score WHERE user_id = 'a' FOR UPDATE")
        other.send("POST", f"{base('s')}/scores", b'{"userId":"a","score":99,"period":1}', JSON)
        eventually(lambda: world.waiting() == 1)
        # Its grace ends now, for all that comes later. (The row itself is held by the late one.)
        closed: list[int] = []

        def close() -> None:
            with psycopg.connect(world.settings.database_url, autocommit=True, application_name="a keeper") as mine:
                row = mine.execute("SELECT period_id, late, standings_late FROM period WHERE number = 1").fetchone()
                assert row is not None
                closed.append(keeper.close(mine, row[0], "s", 1, 2, row[1], row[2], True))

        thread = threading.Thread(target=close)
        thread.start()
        eventually(lambda: world.waiting("a keeper") == 1)
        db.commit()
        assert other.receive().status == 202
        thread.join()
    assert closed == [False], "what it would have closed is outdated"
    world.execute("UPDATE period SET late_until = now(), closes_at = now() WHERE number = 1")
    assert keeper.close_periods(world.db) == 1
    assert events_of(world, "s", "period.closed") == [1]
    assert [(row["userId"], row["score"]) for row in past(lone, "s", "top", 1)["items"]] == [("a", 99), ("b", 20)]
    (data,) = world.rows("SELECT data FROM event WHERE kind = 'period.closed'")
    assert json.loads(data[0])["top"][0] == {"rank": 1, "userId": "a", "score": 99}
