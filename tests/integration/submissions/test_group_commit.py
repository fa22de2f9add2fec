"""Group commit: what arrives during a commit is committed together; bounds of the queue and of the time hold."""

from __future__ import annotations

import threading
import time

from support.processes import serving
from support.submitting import clients, problem, read_by_now
from support.waiting import eventually
from support.world import World


def test_what_arrives_during_a_commit_is_committed_together(world: World) -> None:
    world.create("s")
    number = 200
    with serving(world) as api, clients(api, number) as many:
        with world.held("s"):
            many[0].send_post("s", "u0", 1)
            eventually(lambda: world.waiting() == 1)
            for n, http in enumerate(many[1:], 1):
                http.send_post("s", f"u{n}", 1)
            read_by_now(api)
        assert [http.receive().status for http in many] == [202] * number
    # Every batch is one transaction, and every row tells which one wrote it.
    assert world.value("SELECT count(*) FROM ledger") == number
    assert world.value("SELECT count(DISTINCT xmin::text) FROM ledger") <= 4


def test_under_load_commits_are_far_fewer_than_submissions(world: World) -> None:
    world.create("s")
    each = 25
    with serving(world) as api:

        def client(number: int) -> None:
            with api.client() as http:
                for n in range(each):
                    assert http.post("s", f"u{number}", n + 1).status == 202

        threads = [threading.Thread(target=client, args=(n,)) for n in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert world.value("SELECT count(*) FROM ledger") == 16 * each
    assert {score for _, score, _ in world.expected("s")} == {each * (each + 1) // 2}
    assert world.value("SELECT count(DISTINCT xmin::text) FROM ledger") < 16 * each / 2


def test_a_lone_submission_does_not_wait_for_others(world: World) -> None:
    with serving(world) as api, api.client() as http:
        http.post("s", "ada", 1)
        times = []
        for _ in range(30):
            began = time.monotonic()
            assert http.post("s", "ada", 1).status == 202
            times.append(time.monotonic() - began)
    assert sorted(times)[15] < 0.04, "a timer would show"


def test_a_full_queue_refuses_at_once_and_writes_nothing(world: World) -> None:
    world.create("s")
    with serving(world, LEADERBOARD_INTAKE_QUEUE="5") as api, clients(api, 20) as many:
        with world.held("s"):
            many[0].send_post("s", "first", 1)
            eventually(lambda: world.waiting() == 1)
            for n, http in enumerate(many[1:6]):
                http.send_post("s", f"queued{n}", 1)
            read_by_now(api)
            for n, http in enumerate(many[6:]):
                http.send_post("s", f"refused{n}", 1)
                answer = http.receive()
                problem(answer, 503, "overloaded")
            # Reads and probes do not queue behind submissions.
            with api.client() as http:
                assert http.get("/livez").status == 200
        assert [http.receive().status for http in many[:6]] == [202] * 6
        with api.client() as http:
            assert http.post("s", "later", 1).status == 202
    assert {user for user, _, _ in world.expected("s")} == {"first", "later", *(f"queued{n}" for n in range(5))}


def test_no_client_waits_longer_than_the_deadline(world: World) -> None:
    world.create("s")
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="300") as api, clients(api, 3) as many:
        with world.held("s"):
            began = time.monotonic()
            many[0].send_post("s", "flying", 1)
            eventually(lambda: world.waiting() == 1)
            for n, http in enumerate(many[1:]):
                http.send_post("s", f"queued{n}", 1)
            first = many[0].receive()
            others = [http.receive() for http in many[1:]]
            assert time.monotonic() - began < 3
            for answer in (first, *others):
                problem(answer, answer.status, "store-unavailable", "outcome-unknown")
                assert answer.status in (503, 504)
        with api.client() as http:
            eventually(lambda: http.post("s", "later", 1).status == 202)
    written = {user for user, _, _ in world.expected("s")}
    # 503 promises that nothing was written; 504 promises nothing.
    for user, answer in zip(("flying", "queued0", "queued1"), (first, *others), strict=True):
        assert answer.status == 504 or user not in written


def test_a_stalled_season_does_not_stall_others_for_longer_than_the_deadline(world: World) -> None:
    world.create("held", "free")
    with (
        serving(world, LEADERBOARD_WRITE_DEADLINE_MS="300") as api,
        clients(api, 2) as (one, other),
        world.held("held"),
    ):
        one.send_post("held", "ada", 1)
        eventually(lambda: world.waiting() == 1)
        eventually(lambda: other.post("free", "ada", 1).status == 202, 5)
        assert one.receive().status in (503, 504)
