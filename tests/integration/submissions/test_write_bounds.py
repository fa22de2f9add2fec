"""Bounds of submissions: statements end at the deadline, dead connections are left, retries are counted."""

from __future__ import annotations

import time

import msgspec
from support.processes import serving
from support.proxy import Proxy
from support.submitting import problem
from support.waiting import eventually
from support.world import World


def test_postgresql_ends_a_statement_at_the_deadline_and_writes_nothing_later(world: World) -> None:
    world.create("s")
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="500") as api, api.client() as http:
        with world.held("s"):
            assert http.post("s", "late", 1).status in (503, 504)
            # The client's end alone would not do: a backend that waits for a lock does not look at its socket.
            eventually(lambda: world.waiting() == 0, 10)
        assert http.post("s", "next", 1).status == 202
    assert world.rows("SELECT user_id FROM ledger") == [("next",)]


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
        assert http.post("s", "before", 1).status == 202
        postgres_proxy.black_hole()
        problem(http.post("s", "lost", 1), 504, "outcome-unknown")
        eventually(lambda: http.post("s", "after", 1).status == 202, 6)
    assert {user for (user,) in world.rows("SELECT user_id FROM ledger")} == {"before", "after"}


def test_a_season_that_cannot_be_created_is_not_tried_until_the_deadline(world: World) -> None:
    world.execute(
        "CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER nothing BEFORE INSERT ON season FOR EACH ROW EXECUTE FUNCTION nothing()",
    )
    with serving(world) as api, api.client() as http:
        began = time.monotonic()
        problem(http.post("s", "ada", 1), 503, "store-unavailable")
        assert time.monotonic() - began < world.settings.write_deadline_ms / 1000 / 2
        # Each attempt draws a number: the first, and three more.
        assert world.value("SELECT last_value FROM submission") == 4
    assert world.counts()["score"] == 0
