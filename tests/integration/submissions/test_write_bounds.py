"""Bounds of submissions: statements end at the deadline, dead connections are left, retries are counted."""

from __future__ import annotations

import json
import time

import msgspec
from support.http import JSON, Answer, Http, base
from support.processes import serving
from support.proxy import Proxy
from support.submitting import clients, problem, read_by_now
from support.waiting import eventually
from support.world import World


def test_postgresql_ends_a_statement_at_the_deadline_and_writes_nothing_later(world: World) -> None:
    world.create("s")
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="500") as api, api.client() as http:
        with world.held("s"):
            assert http.post("s", "late", 1).status in (503, 504)
            # The client's end alone would not do: a backend that waits for a lock does not look at its socket.
            eventually(lambda: world.waiting() == 0, 10)
        eventually(lambda: http.post("s", "next", 1).status == 202)
    assert {user for (user,) in world.rows("SELECT user_id FROM ledger")} == {"next"}


def test_a_reset_is_ended_by_postgresql_at_the_deadline(world: World) -> None:
    world.submit(("s", "ada", 1))
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="500") as api, api.client() as http, world.held("s"):
        assert http.delete("s").status in (503, 504)
        eventually(lambda: world.waiting("leaderboard-seasons") == 0, 10)
    assert world.value("SELECT count(*) FROM period") == 1


def test_a_connection_in_a_black_hole_is_left(world: World, postgres_proxy: Proxy) -> None:
    address = f"127.0.0.1:{postgres_proxy.port}"
    world.settings = msgspec.structs.replace(world.settings, database_url=world.database_url(address))
    world.create("s")
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="300") as api, api.client() as http:
        eventually(lambda: http.post("s", "before", 1).status == 202)
        postgres_proxy.black_hole()
        problem(http.post("s", "lost", 1), 504, "outcome-unknown")
        eventually(lambda: http.post("s", "after", 1).status == 202, 6)
    assert {user for (user,) in world.rows("SELECT user_id FROM ledger")} == {"before", "after"}


def test_a_silent_postgresql_is_told_at_the_deadline_and_not_when_it_is_given_up(
    world: World, postgres_proxy: Proxy
) -> None:
    """The connection is given up after more than two deadlines; nobody waits for that, sent or not."""
    address = f"127.0.0.1:{postgres_proxy.port}"
    world.settings = msgspec.structs.replace(world.settings, database_url=world.database_url(address))
    world.create("s")
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="1500") as api, clients(api, 3) as (sent, queued, behind):
        assert sent.post("s", "before", 1).status == 202
        postgres_proxy.freeze()
        began = time.monotonic()
        sent.send_post("s", "sent", 1)
        read_by_now(api)
        queued.send_post("s", "queued", 1)
        read_by_now(api)
        behind.send_post("s", "behind", 1)
        problem(sent.receive(), 504, "outcome-unknown")
        problem(queued.receive(), 503, "store-unavailable")
        problem(behind.receive(), 503, "store-unavailable")
        assert 1.4 < time.monotonic() - began < 2.9
        postgres_proxy.open()
    assert "queued" not in {user for (user,) in world.rows("SELECT user_id FROM ledger")}


def test_what_waits_for_a_statement_of_its_own_is_told_at_the_deadline(world: World, postgres_proxy: Proxy) -> None:
    """Two sums near the edge need a statement each; the replies are so late that the deadline comes in the first."""
    address = f"127.0.0.1:{postgres_proxy.port}"
    world.settings = msgspec.structs.replace(world.settings, database_url=world.database_url(address))
    world.create("s")

    def post(http: Http, *items: tuple[str, int]) -> Answer:
        body = json.dumps({"submissions": [{"userId": user, "delta": delta} for user, delta in items]})
        return http.ask("POST", f"{base('s')}/scores/batch", body.encode(), JSON)

    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="1500") as api, api.client() as http:
        # The same statement as below: it is prepared now, which takes another round trip.
        assert post(http, ("bob", 1), ("bob", 1)).status == 200
        postgres_proxy.delay_s = 1.0
        answer = post(http, ("bob", 1), ("ada", 2**62), ("ada", -(2**62)))
        postgres_proxy.delay_s = 0.0
        assert answer.status == 200, answer.body
        assert [result["status"] for result in answer.json["results"]] == [202, 504, 503], answer.body


def test_a_statement_writes_a_bounded_number_of_submissions(world: World) -> None:
    world.create("s")
    with serving(world, LEADERBOARD_INTAKE_BATCH="3") as api, clients(api, 8) as many:
        with world.held("s"):
            many[0].send_post("s", "first", 1)
            eventually(lambda: world.waiting() == 1)
            for n, http in enumerate(many[1:]):
                http.send_post("s", f"p{n}", 1)
            read_by_now(api)
        assert [http.receive().status for http in many] == [202] * 8
    sizes = [size for (size,) in world.rows("SELECT count(*) FROM ledger GROUP BY xmin::text")]
    assert sum(sizes) == 8 and max(sizes) == 3


def test_a_season_that_cannot_be_created_is_not_tried_until_the_deadline(world: World) -> None:
    world.execute(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER nothing BEFORE INSERT ON season FOR EACH ROW EXECUTE FUNCTION nothing()",
    )
    with serving(world) as api, api.client() as http:
        began = time.monotonic()
        # With a key it takes the statement that draws a number even where the season is missing.
        keyed = {**JSON, "Idempotency-Key": "k"}
        problem(http.post_raw("s", b'{"userId":"ada","delta":1}', keyed), 503, "store-unavailable")
        assert time.monotonic() - began < world.settings.write_deadline_ms / 1000 / 2
        # Each attempt draws a number: the first, and three more.
        assert world.value("SELECT last_value FROM submission") == 4
    assert world.counts()["score"] == 0
