"""The intake on a real PostgreSQL that is slow, full, cut off or gone: what is answered is what is true."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest
from support.http import Answer, Http
from support.processes import Api, children_of, serving
from support.proxy import Proxy
from support.waiting import eventually
from support.world import World, world_on

from ctl.embedded import Embedded


@contextmanager
def clients(api: Api, number: int) -> Iterator[list[Http]]:
    """So many connections."""
    made = [api.client() for _ in range(number)]
    try:
        yield made
    finally:
        for http in made:
            http.connection.close()


def read_by_now(api: Api) -> None:
    """The one worker has read what was sent to it before: its loop has answered something sent later."""
    with api.client() as http:
        for _ in range(3):
            assert http.get("/livez").status == 200


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


def test_a_lone_submission_waits_for_nobody(world: World) -> None:
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


def problem(answer: Answer, status: int, *codes: str) -> None:
    """A problem of this status, with a promise when to come back if it is a 503."""
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["code"] in codes
    assert answer.json["error"]
    assert ("retry-after" in answer.headers) == (status == 503)
    if status == 503:
        assert int(answer.headers["retry-after"]) >= 1


def test_nobody_waits_longer_than_the_deadline(world: World) -> None:
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


def test_clients_that_hang_up_harm_nobody(world: World) -> None:
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


class Accounts:
    """Many clients that post each player once, and note what they were told."""

    def __init__(self, api: Api, threads: int = 6) -> None:
        self.api = api
        self.told: dict[str, int] = {}
        self.lock = threading.Lock()
        self.enough = threading.Event()
        self.threads = [threading.Thread(target=self.client, args=(n,)) for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def client(self, number: int) -> None:
        n = 0
        with self.api.client() as http:
            while not self.enough.is_set():
                n += 1
                user = f"c{number} {n}"
                try:
                    status = http.post("s", user, 1).status
                except OSError:
                    status = 0
                except Exception as error:  # noqa: BLE001 - any other failure of the client is an unknown outcome as well
                    status = 0 if type(error).__module__ == "http.client" else -1
                with self.lock:
                    self.told[user] = status
                if status in (0, 503):
                    self.enough.wait(0.005)

    def accepted(self) -> int:
        with self.lock:
            return sum(status == 202 for status in self.told.values())

    def more(self, number: int = 50) -> None:
        """Wait until so many more have been accepted."""
        before = self.accepted()
        eventually(lambda: self.accepted() >= before + number, 20)

    def stop(self) -> None:
        self.enough.set()
        for thread in self.threads:
            thread.join(30)

    def settle(self, world: World) -> Counter[int]:
        """Compare what was told with what PostgreSQL has; how often each status was told."""
        self.stop()
        written = Counter(user for (user,) in world.rows("SELECT user_id FROM ledger"))
        assert not {user for user, times in written.items() if times > 1}, "counted twice"
        assert written == Counter({user: score for user, score, _ in world.expected("s")})
        for user, status in self.told.items():
            if status == 202:
                assert user in written, f"{user} was acknowledged and is lost"
            elif status in (503, 400, 409):
                assert user not in written, f"{user} was refused and is written"
            else:
                assert status in (0, 504), f"{user} got {status}"
        assert set(written) <= set(self.told)
        return Counter(self.told.values())


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
        assert http.post("s", "before", 1).status == 202
        assert http.get("/readyz").json["postgres"] == "ok"
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
        postgres_proxy.open()
        eventually(lambda: http.post("s", "after", 1).status == 202, 20)
        eventually(lambda: http.get("/readyz").json["postgres"] == "ok")
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


def queued_together(world: World, api: Api, posts: list[tuple[str, int]]) -> list[Answer]:
    """Answers to posts that all went into one batch, in this order."""
    with clients(api, len(posts) + 1) as many:
        with world.held("s"):
            many[-1].send_post("s", "plug", 1)
            eventually(lambda: world.waiting() == 1)
            for http, (user, delta) in zip(many, posts, strict=False):
                http.send_post("s", user, delta)
                read_by_now(api)
        assert many[-1].receive().status == 202
        return [http.receive() for http in many[:-1]]


TOP, LOW = 2**63 - 1, -(2**63)
CROWDS: dict[str, tuple[int, list[int], Callable[[list[int]], bool]]] = {
    "two of three fit": (TOP - 10, [4, 4, 4], lambda got: sorted(got) == [202, 202, 409]),
    "none fits": (TOP, [1, 2, 3], lambda got: got == [409] * 3),
    "all fit to the edge": (TOP - 6, [1, 2, 3], lambda got: got == [202] * 3),
    "down at the other edge": (LOW + 10, [-4, -4, -4], lambda got: sorted(got) == [202, 202, 409]),
    "huge ones against each other": (1, [TOP, LOW, TOP], lambda got: 202 in got),
    "one far too large among small ones": (5, [1, TOP, 1], lambda got: got.count(202) >= 2),
}


@pytest.mark.parametrize("crowd", CROWDS)
def test_several_sums_of_one_player_near_the_edge_in_one_batch(edge_api: Api, crowd: str) -> None:
    world = edge_api.world
    start, deltas, promised = CROWDS[crowd]
    player = f"edge {crowd}"
    world.submit(("s", player, start))
    # Bystanders of the same batch, and one near the edge whose single submission fits.
    world.submit(("s", f"{player} calm", TOP - 1))
    posts = [(player, delta) for delta in deltas] + [("calm", 1), (f"{player} calm", 1), ("calm", 1)]
    answers = queued_together(world, edge_api, posts)
    mine, bystanders = answers[: len(deltas)], answers[len(deltas) :]
    assert [answer.status for answer in bystanders] == [202] * 3
    assert promised([answer.status for answer in mine]), [answer.status for answer in mine]
    for answer in mine:
        if answer.status == 409:
            problem(answer, 409, "score-out-of-range")
    taken = sum(delta for delta, answer in zip(deltas, mine, strict=True) if answer.status == 202)
    final = {user: score for user, score, _ in world.expected("s")}
    assert final[player] == start + taken
    told = [answer.json["score"] for answer in mine if answer.status == 202]
    assert all(LOW <= score <= TOP for score in told)
    assert not told or final[player] in told, "the last one told is what is there"
    ledger = "SELECT coalesce(sum(delta), 0)::text FROM ledger WHERE user_id = %s"
    assert int(world.value(ledger, player)) == start + taken


@pytest.fixture(scope="module")
def edge_api(servers: Embedded) -> Iterator[Api]:
    """One worker and a world of its own for the tests of batches near the edge."""
    with world_on(servers, redis_db=2) as made:
        made.create("s")
        with serving(made) as api:
            yield api


def test_answers_of_one_batch_tell_each_its_own_score(edge_api: Api) -> None:
    answers = queued_together(edge_api.world, edge_api, [("many", 5), ("many", -2), ("one", 7), ("many", 10)])
    assert [answer.json["score"] for answer in answers] == [5, 3, 7, 13]
    versions = [answer.json["version"] for answer in answers if answer.json["userId"] == "many"]
    assert versions == sorted(set(versions))
    again = queued_together(edge_api.world, edge_api, [("many", 1), ("many", 1)])
    assert min(answer.json["version"] for answer in again) > max(versions)


def test_new_seasons_in_one_batch_are_all_made(edge_api: Api) -> None:
    world = edge_api.world
    with clients(edge_api, 7) as many:
        with world.held("s"):
            many[-1].send_post("s", "plug", 1)
            eventually(lambda: world.waiting() == 1)
            for n, http in enumerate(many[:-1]):
                http.send_post(f"new {n % 3}", "ada", 1)
        assert [http.receive().status for http in many] == [202] * 7
    for n in range(3):
        assert [(u, s) for u, s, _ in world.expected(f"new {n}")] == [("ada", 2)]
        assert world.value("SELECT count(*) FROM period WHERE season_id = %s", f"new {n}") == 1


def test_two_workers_make_one_season(world: World) -> None:
    with serving(world, LEADERBOARD_WORKERS="2", LEADERBOARD_INTAKE_CONNECTIONS="2") as api:
        for n in range(15):
            with clients(api, 12) as many:
                for http in many:
                    http.send_post(f"race {n}", "ada", 1)
                assert [http.receive().status for http in many] == [202] * 12
            assert world.value("SELECT count(*) FROM period WHERE season_id = %s", f"race {n}") == 1
            assert [(u, s) for u, s, _ in world.expected(f"race {n}")] == [("ada", 12)]
