"""Events over HTTP: in an order in which a reader passes over none."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from support.http import Http
from support.periods import GRID, end_now, events_of, keeper_of, put, submit
from support.processes import serving
from support.world import World

from board.periods import find_history
from board.pg.queries import queries
from board.pg.steps import run_steps


@pytest.fixture
def lone(world: World) -> Any:
    with serving(world) as api, api.client() as client:
        yield client


def listed(http: Http, query: str = "") -> Any:
    answer = http.get(f"/v1/events{query}")
    assert answer.status == 200, answer.body
    return answer.json


def write_event(db: psycopg.Connection[Any], period: int) -> None:
    """An event in the connection's transaction."""
    history = run_steps(db, find_history())
    db.execute(
        "INSERT INTO event (history, kind, season_id, period, data) VALUES (%s, 'period.ended', 's', %s, '{}')",
        (history, period),
    )


def read_all(http: Http) -> list[int]:
    return [item["period"] for item in listed(http)["items"]]


def test_a_turn_and_a_close_are_told(lone: Http, world: World) -> None:
    assert listed(lone) == {"items": [], "nextCursor": None}
    put(lone, "s", operator="best", schedule=GRID)
    submit(lone, "s", "ada", score=7)
    end_now(world, "s")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    keeper.close_periods(world.db)
    page = listed(lone)
    ended, closed = page["items"]
    assert (ended["kind"], ended["seasonId"], ended["period"]) == ("period.ended", "s", 1)
    assert ended["data"].keys() == {"startsAt", "endsAt"} and ended["at"].endswith("Z")
    assert closed["kind"] == "period.closed" and closed["period"] == 1
    link = "/v1/seasons/s/leaderboard/top?period=1"
    assert closed["data"] == {"players": 1, "top": [{"rank": 1, "userId": "ada", "score": 7}], "link": link}
    assert lone.get(link).json["items"] == [{"rank": 1, "userId": "ada", "score": 7}]
    assert page["nextCursor"] == closed["id"]
    assert listed(lone, f"?after={ended['id']}")["items"] == [closed]
    assert listed(lone, f"?after={closed['id']}") == {"items": [], "nextCursor": closed["id"]}
    assert listed(lone, "?kind=period.closed")["items"] == [closed]
    assert listed(lone, "?limit=1") == {"items": [ended], "nextCursor": ended["id"]}


def test_the_ten_best_of_a_season_with_columns_are_told_with_them(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", columns=[{"name": "time", "order": "asc"}], schedule=GRID)
    for user, time in (("ada", 9), ("bob", 7)):
        body = f'{{"userId":"{user}","score":3,"columns":{{"time":{time}}}}}'.encode()
        assert lone.post_raw("s", body).status == 202
    end_now(world, "s")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    keeper.close_periods(world.db)
    (closed,) = listed(lone, "?kind=period.closed")["items"]
    assert closed["data"]["top"] == lone.get(closed["data"]["link"]).json["items"]
    assert [row["columns"] for row in closed["data"]["top"]] == [{"time": 7}, {"time": 9}]


def test_scores_of_events_are_texts_for_clients_with_doubles(lone: Http, world: World) -> None:
    put(lone, "s", operator="best", columns=[{"name": "time"}], schedule=GRID)
    assert lone.post_raw("s", b'{"userId":"ada","score":9007199254740993,"columns":{"time":-7}}').status == 202
    world.carry_everything()
    end_now(world, "s")
    keeper = keeper_of(world)
    keeper.turn_seasons(world.db)
    keeper.close_periods(world.db)
    leader, ended, closed = listed(lone, "?int64=string")["items"]
    assert leader["data"] == {"userId": "ada", "score": "9007199254740993", "previousUserId": None}
    assert ended["period"] == 1
    assert closed["data"]["top"] == [
        {"rank": 1, "userId": "ada", "score": "9007199254740993", "columns": {"time": "-7"}}
    ]


@pytest.mark.walk
def test_a_reset_by_hand_is_told_and_a_deleted_period_is_not(lone: Http, world: World) -> None:
    put(lone, "s")
    lone.ask("POST", "/v1/seasons/s/reset")
    world.reset("s")
    assert events_of(world, "s") == [1]


def test_an_event_of_an_older_transaction_is_not_passed_over(lone: Http, world: World) -> None:
    """The older one commits last. Until then the younger one is not shown."""
    with psycopg.connect(world.settings.database_url) as older, psycopg.connect(world.settings.database_url) as younger:
        write_event(world.db, 1)
        first = listed(lone)
        assert [item["period"] for item in first["items"]] == [1]
        write_event(older, 2)
        write_event(younger, 3)
        younger.commit()
        assert listed(lone, f"?after={first['nextCursor']}") == {"items": [], "nextCursor": first["nextCursor"]}
        older.commit()
        after = listed(lone, f"?after={first['nextCursor']}")
        assert [item["period"] for item in after["items"]] == [2, 3]


def test_events_are_in_the_order_of_their_transactions_numbers(lone: Http, world: World) -> None:
    """Transaction 10 comes after 9: as texts they would be the other way round, and pages would pass over one."""
    for period in (1, 2, 3):
        write_event(world.db, period)
    for period, xid in ((1, 7), (2, 9), (3, 10)):
        world.execute(f"UPDATE event SET xid = '{xid}' WHERE period = {period}")
    read, query = [], "?limit=1"
    while items := listed(lone, query)["items"]:
        read.append(items[0]["period"])
        query = f"?limit=1&after={items[0]['id']}"
    assert read == [1, 2, 3]


def test_events_of_a_new_history_come_after_all_others(lone: Http, world: World) -> None:
    """A restored dump: its transactions have lower numbers, and the cursors of readers higher ones."""
    write_event(world.db, 1)
    world.execute("UPDATE event SET xid = '4611686018427387904'")
    world.execute("UPDATE history SET identity = 'another cluster:00000001'")
    before = listed(lone)
    assert [item["period"] for item in before["items"]] == [1]
    write_event(world.db, 2)
    assert [item["period"] for item in listed(lone, f"?after={before['nextCursor']}")["items"]] == [2]
    assert read_all(lone) == [1, 2]
    assert world.value("SELECT count(*) FROM history") == 2


def test_events_are_kept_for_90_days(lone: Http, world: World) -> None:
    for period in (1, 2):
        write_event(world.db, period)
    world.execute("UPDATE event SET at = now() - interval '91 days' WHERE period = 1")
    world.execute("UPDATE event SET at = now() - interval '89 days' WHERE period = 2")
    assert keeper_of(world).do_chores(world.db) == 1
    assert read_all(lone) == [2]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("after=", "invalid-after"),
        ("after=1-2", "invalid-after"),
        ("after=1-2-x", "invalid-after"),
        ("after=1-2-3%0A", "invalid-after"),
        ("after=1234567890-1-1", "invalid-after"),
        ("kind=period", "invalid-kind"),
        ("limit=0", "invalid-limit"),
        ("limit=1001", "invalid-limit"),
        ("int64=text", "invalid-number-spelling"),
    ],
)
def test_what_no_query_has_is_refused(http: Http, query: str, code: str) -> None:
    refused = http.get(f"/v1/events?{query}")
    assert (refused.status, refused.json["code"]) == (400, code)


def test_the_greatest_place_is_a_place(http: Http) -> None:
    after = f"{'9' * 9}-{'9' * 19}-{'9' * 18}"
    assert listed(http, f"?after={after}") == {"items": [], "nextCursor": after}


def test_the_query_is_answered_by_its_key(world: World) -> None:
    """A reader that is up to date costs no scan of the events before."""
    parameters = {"history": 1, "xid": "5", "number": 1, "kind": None, "limit": 100}
    world.execute("INSERT INTO event (history, xid, kind, season_id, period, data) "
                  "SELECT 1, n::text::xid8, 'period.ended', 's', n, '{}' FROM generate_series(1, 5000) n")  # fmt: skip
    world.execute("ANALYZE event")
    plan = world.db.execute(b"EXPLAIN " + queries()["events"], parameters).fetchall()
    assert any("event_pkey" in line for (line,) in plan), plan
    assert not any("Sort" in line for (line,) in plan), plan
