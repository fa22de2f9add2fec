"""Resetting a season: after the answer nothing old is visible, whatever is posted; rows are collected later."""

from __future__ import annotations

import threading

import psycopg
import pytest
from support.http import Http
from support.processes import Api, relaying
from support.relays import Unsignalled
from support.waiting import eventually
from support.world import World

from board.pg.queries import queries
from relay.janitor import Janitor

pytestmark = pytest.mark.topology


def test_records_and_board_are_gone(http: Http, season: str, api: Api) -> None:
    for n in range(5):
        http.post(season, f"p{n}", n + 1)
    eventually(lambda: len(http.top(season).json.get("items", [])) == 5)
    assert http.delete(season).status == 200
    assert http.top(season).json["items"] == []
    assert http.rank(season, "p1").status == 404
    assert http.around(season, "p1").status == 404
    assert api.world.expected(season) == []
    assert http.post(season, "p1", 3).json["score"] == 3, "nothing of the old score counts"
    eventually(lambda: http.top(season).json["items"] == [{"rank": 1, "userId": "p1", "score": 3}])


def test_each_reset_begins_a_new_period(http: Http, season: str, api: Api) -> None:
    http.post(season, "ada", 1)
    for _ in range(3):
        assert http.delete(season).status == 200
    numbers = api.world.rows("SELECT number, ended_at IS NULL FROM period WHERE season_id = %s ORDER BY number", season)
    # The janitor may have taken ended ones away already; the numbers rise and only the last one is open.
    assert [n for n, _ in numbers] == sorted({n for n, _ in numbers}) and numbers[-1] == (4, True)
    assert not any(is_open for _, is_open in numbers[:-1])


def test_after_the_answer_every_worker_shows_an_empty_board(http: Http, season: str, api: Api) -> None:
    readers = [api.client() for _ in range(8)]
    try:
        for n in range(10):
            http.post(season, "ada", n + 1)
            eventually(lambda: http.rank(season, "ada").status == 200)
            for reader in readers:
                reader.top(season)
            assert http.delete(season).status == 200
            for reader in readers:
                assert reader.top(season).json["items"] == []
                assert reader.rank(season, "ada").status == 404
    finally:
        for reader in readers:
            reader.connection.close()


def test_resets_under_concurrent_posting(season: str, api: Api) -> None:
    """Nothing accepted before a reset is seen after it; nothing accepted after it is lost."""
    stop = threading.Event()
    wrong: list[str] = []

    def post(number: int) -> None:
        n = 0
        with api.client() as http:
            while not stop.is_set():
                n += 1
                status = http.post(season, f"w{number} {n}", 1).status
                if status != 202:
                    wrong.append(f"post: {status}")

    def forever_reading() -> None:
        with api.client() as http:
            while not stop.is_set():
                answer = http.top(season, 1000)
                if answer.status != 200:
                    wrong.append(f"top: {answer.status} {answer.body!r}")

    threads = [threading.Thread(target=post, args=(n,)) for n in range(4)]
    threads.append(threading.Thread(target=forever_reading))
    for thread in threads:
        thread.start()
    try:
        with api.client() as http:
            http.post(season, "first", 1)
            for n in range(12):
                before = f"before {n}"
                assert http.post(season, before, 10**6).status == 202
                answer = http.delete(season)
                assert answer.status == 200, answer.body
                answer = http.top(season, 1000)
                assert answer.status == 200, (answer.body, wrong)
                shown = {item["userId"] for item in answer.json["items"]}
                assert before not in shown
                after = f"after {n}"
                assert http.post(season, after, 10**6).status == 202
                eventually(lambda after=after: http.rank(season, after).status == 200)  # type: ignore[misc]
                assert http.rank(season, before).status == 404
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert not wrong
    eventually(lambda: api.world.board(season) == api.world.expected(season))
    assert api.world.value("SELECT count(*) FROM period WHERE season_id = %s AND ended_at IS NULL", season) == 1


def test_resets_at_the_same_time(season: str, api: Api) -> None:
    with api.client() as http:
        http.post(season, "ada", 1)
    clients = [api.client() for _ in range(6)]
    try:
        for http in clients:
            http.send("DELETE", f"/v1/seasons/{season.replace(' ', '%20')}")
        assert [http.receive().status for http in clients] == [200] * 6
    finally:
        for http in clients:
            http.connection.close()
    current = api.world.value(
        "SELECT number FROM period JOIN season USING (season_id, period_id) WHERE season_id = %s", season
    )
    assert current == 7
    assert api.world.value("SELECT count(*) FROM period WHERE season_id = %s AND ended_at IS NULL", season) == 1


def test_a_submission_that_waits_for_a_reset_lands_in_the_new_period(world: World) -> None:
    world.submit(("s", "ada", 5))
    with world.held("s") as db, psycopg.connect(world.settings.database_url, autocommit=True) as writer:
        period = world.value("SELECT period_id FROM season")
        writer.execute("SET application_name = 'writer'")
        thread = threading.Thread(target=late, args=(world, writer))
        thread.start()
        eventually(lambda: world.waiting("writer") == 1)
        db.execute(queries()["reset_season"], {"period": period})
        db.commit()
        thread.join(20)
    assert [(u, s) for u, s, _ in world.expected("s")] == [("ada", 7)]


def late(world: World, writer: psycopg.Connection[object]) -> None:
    """Submit on a connection of its own."""
    from board.pg.arrays import adapt_arrays

    adapt_arrays(writer)
    world.submit(("s", "ada", 7), db=writer)


# --- The janitor


def test_the_janitor_collects_ended_periods_and_nothing_else(world: World) -> None:
    world.submit(*(("s", f"p{n}", n + 1) for n in range(4_500)), ("t", "ada", 1))
    world.reset("s")
    world.submit(("s", "new", 1))
    janitor = Janitor(world.settings, Unsignalled())
    assert janitor.collect(world.db) == 4_500
    assert world.rows("SELECT season_id, number FROM period ORDER BY 1") == [("s", 2), ("t", 1)]
    assert [(u, s) for u, s, _ in world.expected("s")] == [("new", 1)]
    assert [(u, s) for u, s, _ in world.expected("t")] == [("ada", 1)]
    assert janitor.collect(world.db) == 0
    assert world.value("SELECT count(*) FROM ledger") == 4_502, "the ledger is kept"


def test_the_janitor_takes_small_bites(world: World) -> None:
    world.submit(*(("s", f"p{n}", n + 1) for n in range(4_500)))
    world.reset("s")
    world.execute(
        "CREATE TABLE bites (size bigint)",
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN INSERT INTO bites SELECT count(*) FROM gone; RETURN NULL; END'",
        "CREATE TRIGGER note AFTER DELETE ON score REFERENCING OLD TABLE AS gone EXECUTE FUNCTION note()",
    )
    assert Janitor(world.settings, Unsignalled()).collect(world.db) == 4_500
    assert [size for (size,) in world.rows("SELECT size FROM bites WHERE size > 0")] == [2_000, 2_000, 500]


def test_a_period_with_rows_left_stays(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.reset("s")
    ended = {"period": world.value("SELECT period_id FROM period WHERE ended_at IS NOT NULL")}
    assert world.db.execute(queries()["collect_period"], ended).rowcount == 0
    assert Janitor(world.settings, Unsignalled()).collect(world.db) == 1
    assert world.value("SELECT count(*) FROM period") == 1


def test_of_several_janitors_one_is_at_work(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.reset("s")

    class Once(Unsignalled):
        def wait(self, seconds: float | None) -> bool:
            self.requested = True
            return True

    with psycopg.connect(world.settings.database_url, autocommit=True) as other:
        assert other.execute(queries()["try_janitor"]).fetchone() == (True,)
        Janitor(world.settings, Once()).keep_house(world.db)
        assert world.value("SELECT count(*) FROM period") == 2, "another one is"
        other.execute("SELECT pg_advisory_unlock_all()")
    Janitor(world.settings, Once()).keep_house(world.db)
    assert world.value("SELECT count(*) FROM period") == 1


def test_a_season_whose_first_period_was_collected_goes_on(world: World) -> None:
    world.submit(("s", "ada", 1))
    for _ in range(3):
        world.reset("s")
        Janitor(world.settings, Unsignalled()).collect(world.db)
    world.create("s")
    world.submit(("s", "ada", 2))
    assert world.rows("SELECT number FROM period") == [(4,)]
    assert [(u, s) for u, s, _ in world.expected("s")] == [("ada", 2)]


def test_the_pool_has_a_janitor(world: World) -> None:
    world.submit(("s", "ada", 1))
    world.reset("s")
    with relaying(world):
        eventually(lambda: world.value("SELECT count(*) FROM period") == 1, 20)
    assert world.value("SELECT count(*) FROM score") == 0


def test_the_ledger_is_kept_by_day(world: World) -> None:
    world.submit(("s", "ada", 1))
    home = world.value("SELECT tableoid::regclass::text FROM ledger")
    assert home == world.value("SELECT 'ledger_' || to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    # A day without a partition goes to the default partition, and moves out of it when it is prepared.
    world.rows(
        "INSERT INTO ledger (submission, period_id, user_id, delta, accepted_at) "
        "SELECT 0, 0, 'late', 1, now() + interval '20 days' RETURNING 1"
    )
    assert world.value("SELECT tableoid::regclass::text FROM ledger WHERE user_id = 'late'") == "ledger_default"
    assert world.value("SELECT ledger_prepare(21)") > 0
    assert world.value("SELECT tableoid::regclass::text FROM ledger WHERE user_id = 'late'") != "ledger_default"
    assert world.value("SELECT ledger_prepare(21)") == 0
