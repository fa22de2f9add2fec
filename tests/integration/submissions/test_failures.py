"""Connections, clients, workers and PostgreSQL fail: the answers stay true."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter

import msgspec
import pytest
from support.processes import children_of, serving
from support.proxy import Proxy
from support.submitting import Accounts, clients, problem, read_by_now
from support.waiting import eventually
from support.world import World


def test_a_terminated_connection_is_replaced(world: World) -> None:
    with serving(world) as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202
        accepted, unknown = 1, 0
        for _ in range(5):
            assert world.terminate("leaderboard-intake") == 1

            def again() -> bool:
                nonlocal accepted, unknown
                answer = http.post("s", "ada", 1)
                accepted += answer.status == 202
                unknown += answer.status == 504
                assert answer.status in (202, 503, 504)
                return answer.status == 202

            eventually(again)
    (row,) = world.expected("s")
    assert accepted <= row[1] <= accepted + unknown
    assert world.value("SELECT count(*) FROM ledger") == row[1]


def test_a_connection_that_dies_in_the_middle_of_a_batch(world: World) -> None:
    world.create("s")
    with serving(world) as api, clients(api, 3) as many:
        with world.held("s"):
            many[0].send_post("s", "u0", 1)
            eventually(lambda: world.waiting() == 1)
            many[1].send_post("s", "u1", 1)
            read_by_now(api)
            assert world.terminate("leaderboard-intake") == 1
            problem(many[0].receive(), 504, "outcome-unknown")
        # Those behind it were never sent, so they are simply written by the next connection.
        assert many[1].receive().status == 202
        assert many[2].post("s", "u2", 1).status == 202
    assert {user for user, _, _ in world.expected("s")} == {"u1", "u2"}


def test_clients_that_hang_up_harm_no_others(world: World) -> None:
    world.create("s")
    with serving(world) as api, clients(api, 9) as many:
        with world.held("s"):
            many[0].send_post("s", "u0", 1)
            eventually(lambda: world.waiting() == 1)
            for n, http in enumerate(many[1:], 1):
                http.send_post("s", f"u{n}", 1)
            read_by_now(api)
            for http in many[0::3]:
                http.connection.close()
            read_by_now(api)
        stayed = [n for n in range(9) if n % 3]
        assert [many[n].receive().status for n in stayed] == [202] * len(stayed)
        with api.client() as http:
            assert http.post("s", "later", 1).status == 202
    written = Counter(world.rows("SELECT user_id FROM ledger"))
    assert set(written.values()) == {1}
    assert {(f"u{n}",) for n in stayed} <= set(written)


@pytest.fixture
def behind_postgres_proxy(world: World, postgres_proxy: Proxy) -> World:
    """The world, with its processes behind a proxy to PostgreSQL."""
    world.settings = msgspec.structs.replace(
        world.settings, database_url=world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    )
    return world


def test_a_network_that_breaks_again_and_again(behind_postgres_proxy: World, postgres_proxy: Proxy) -> None:
    world = behind_postgres_proxy
    with serving(world) as api:
        accounts = Accounts(api)
        try:
            for _ in range(6):
                accounts.more()
                postgres_proxy.cut()
                eventually(lambda: 503 in accounts.told.values() or 504 in accounts.told.values())
                postgres_proxy.open()
            accounts.more()
        finally:
            accounts.stop()
        told = accounts.settle(world)
    assert told[202] > 300 and told[503] + told[504] > 0 and told[0] == 0


def test_a_network_that_hangs(behind_postgres_proxy: World, postgres_proxy: Proxy) -> None:
    world = behind_postgres_proxy
    with (
        serving(world, LEADERBOARD_WRITE_DEADLINE_MS="300", LEADERBOARD_PROBE_DEADLINE_MS="200") as api,
        api.client() as http,
    ):
        eventually(lambda: http.post("s", "before", 1).status == 202)
        eventually(lambda: http.get("/readyz").json["postgres"] == "ok")
        eventually(lambda: http.get("/v1/seasons/s").status == 200)
        postgres_proxy.freeze()
        began = time.monotonic()
        first = http.post("s", "hanging", 1)
        assert first.status in (503, 504)
        problem(http.post("s", "refused", 1), 503, "store-unavailable")
        assert time.monotonic() - began < 3
        began = time.monotonic()
        ready = http.get("/readyz")
        assert time.monotonic() - began < 2
        assert (ready.status, ready.json["postgres"], ready.json["schema"]) == (503, "down", "unknown")
        assert http.get("/livez").status == 200
        began = time.monotonic()
        reset = http.delete("s")
        assert reset.status in (503, 504), reset.body
        assert time.monotonic() - began < 3, "a reset keeps to the deadline, too"
        for _ in range(2):
            began = time.monotonic()
            problem(http.get("/v1/seasons/s"), 503, "store-unavailable")
            assert time.monotonic() - began < 3, "and a read of a season"
        postgres_proxy.open()
        eventually(lambda: http.post("s", "after", 1).status == 202, 20)
        eventually(lambda: http.get("/readyz").json["postgres"] == "ok")
        eventually(lambda: http.get("/v1/seasons/s").status == 200)
    written = {user for (user,) in world.rows("SELECT user_id FROM ledger")}
    assert {"before", "after"} <= written and "refused" not in written


def test_a_reset_that_hangs_in_the_middle(behind_postgres_proxy: World, postgres_proxy: Proxy) -> None:
    world = behind_postgres_proxy
    world.create("s")
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="500") as api, api.client() as http:
        with world.held("s"):
            began = time.monotonic()
            http.send("DELETE", "/v1/seasons/s")
            eventually(lambda: world.waiting("leaderboard-seasons") == 1)
            postgres_proxy.freeze()
            problem(http.receive(), 504, "outcome-unknown")
            assert time.monotonic() - began < 3
            # The holder's own connection goes through the proxy, too.
            postgres_proxy.open()
        eventually(lambda: http.post("s", "after", 1).status == 202)


def test_a_postgresql_that_is_gone(behind_postgres_proxy: World, postgres_proxy: Proxy) -> None:
    world = behind_postgres_proxy
    with serving(world) as api, api.client() as http:
        assert http.post("s", "before", 1).status == 202
        postgres_proxy.cut()
        eventually(lambda: http.post("s", "lost", 1).status == 503)
        began = time.monotonic()
        for _ in range(20):
            problem(http.post("s", "refused", 1), 503, "store-unavailable")
        assert time.monotonic() - began < 4, "known to be down: no waiting"
        problem(http.delete("s"), 503, "store-unavailable")
        ready = http.get("/readyz")
        assert (ready.status, ready.json["status"], ready.json["postgres"]) == (503, "not_ready", "down")
        assert "retry-after" in ready.headers
        postgres_proxy.open()
        eventually(lambda: http.post("s", "after", 1).status == 202)
    assert "refused" not in {user for (user,) in world.rows("SELECT user_id FROM ledger")}


def test_a_graceful_stop_loses_nothing(world: World) -> None:
    with serving(world, LEADERBOARD_WORKERS="2") as api:
        accounts = Accounts(api)
        try:
            accounts.more(100)
            assert api.command.stop() == 0
        finally:
            accounts.stop()
        told = accounts.settle(world)
    assert told[202] >= 100
    assert told[504] == 0


def test_a_worker_that_is_killed_is_replaced(world: World) -> None:
    with serving(world, LEADERBOARD_WORKERS="2") as api:
        master = api.command.process.pid
        workers = eventually(lambda: found if len(found := children_of(master)) >= 2 else set())
        accounts = Accounts(api)
        try:
            accounts.more()
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            eventually(lambda: len(children_of(master) - workers) >= 2)
            accounts.more()
        finally:
            accounts.stop()
        accounts.settle(world)
