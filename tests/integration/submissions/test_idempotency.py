"""Submissions with an idempotency key count once, however often, however and through whichever worker they are sent."""

from __future__ import annotations

import json
import random
import threading

import msgspec
import psycopg
import pytest
from support.http import JSON, Answer, Http, base, raw
from support.processes import Api, serving
from support.proxy import Proxy
from support.relays import Unsignalled
from support.waiting import eventually
from support.world import World

from _speedups import pack_int8_array, pack_text_array
from board.digests import make_digest
from board.pg.arrays import Int8Array, TextArray, adapt_arrays
from board.pg.queries import queries
from relay.janitor import Janitor


def post(
    http: Http, season: str, user: str, delta: int, header: str | None = None, inside: str | None = None
) -> Answer:
    """Submit with a key in the header, in the body, or both."""
    send(http, season, user, delta, header, inside)
    return http.receive()


def send(http: Http, season: str, user: str, delta: int, header: str | None = None, inside: str | None = None) -> None:
    """The first half of `post`."""
    body = {"userId": user, "delta": delta} | ({} if inside is None else {"submissionId": inside})
    headers = JSON if header is None else {**JSON, "Idempotency-Key": header}
    http.send("POST", f"{base(season)}/scores", json.dumps(body).encode(), headers)


def test_the_same_again_gets_the_first_answer_and_counts_once(http: Http, season: str, api: Api) -> None:
    first = post(http, season, "ada", 5, '"one"')
    assert first.status == 202 and first.json["score"] == 5
    http.post(season, "ada", 100)
    for header, inside in (('"one"', None), ("one", None), (None, "one"), ('"one"', "one")):
        again = post(http, season, "ada", 5, header, inside)
        assert (again.status, again.json) == (202, first.json)
    assert [(u, s) for u, s, _ in api.world.expected(season)] == [("ada", 105)]


@pytest.mark.parametrize("one", [b"k", b'"k"'])
@pytest.mark.parametrize("other", [b"k", b'"l"'])
def test_two_keys_are_none(api: Api, season: str, one: bytes, other: bytes) -> None:
    """The framework would join them to a third, and a proxy in front might pass on one of them only."""
    body = b'{"userId":"ada","delta":1}'
    head = b"POST %b/scores HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % (base(season).encode(), len(body))
    keys = b"Idempotency-Key: %b\r\nIdempotency-Key: %b\r\nConnection: close\r\n\r\n" % (one, other)
    got = raw(api.port, head + keys + body)
    assert got.startswith(b"HTTP/1.1 400") and b"invalid-idempotency-key" in got
    assert api.world.rows("SELECT FROM season WHERE season_id = %s", season) == []


def test_both_paths_know_the_same_keys(http: Http, season: str, api: Api) -> None:
    plain = season.replace(" ", "-")
    encoded = f"%{ord(plain[0]):02X}{plain[1:]}"
    answers = [
        http.ask("POST", f"/v1/seasons/{name}/scores", b'{"userId":"ada","delta":3}', {**JSON, "Idempotency-Key": key})
        for name in (plain, encoded)
        for key in ("k", '"k"')
    ]
    assert {answer.status for answer in answers} == {202}
    assert len({answer.body for answer in answers}) == 1
    assert [(u, s) for u, s, _ in api.world.expected(plain)] == [("ada", 3)]


def test_a_key_belongs_to_its_season(http: Http, season: str, api: Api) -> None:
    for name in (season, f"{season} too"):
        assert post(http, name, "ada", 5, "k").json["score"] == 5
        assert [(u, s) for u, s, _ in api.world.expected(name)] == [("ada", 5)]


@pytest.mark.parametrize(("user", "delta"), [("ada", 6), ("bob", 5), ("ada", -5)])
def test_a_key_used_for_something_else_is_refused(http: Http, season: str, api: Api, user: str, delta: int) -> None:
    assert post(http, season, "ada", 5, "k").status == 202
    other = post(http, season, user, delta, "k")
    assert (other.status, other.json["code"]) == (422, "idempotency-key-reused")
    assert other.kind == "application/problem+json" and other.json["error"]
    assert [(u, s) for u, s, _ in api.world.expected(season)] == [("ada", 5)]


def test_two_keys_in_one_request_are_refused(http: Http, season: str, api: Api) -> None:
    answer = post(http, season, "ada", 5, '"one"', "other")
    assert (answer.status, answer.json["code"]) == (400, "invalid-idempotency-key")
    assert api.world.expected(season) == []


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "caf\u00e9", '"a\tb"'])
def test_malformed_keys_in_the_header(http: Http, season: str, api: Api, key: str) -> None:
    answer = post(http, season, "ada", 5, key)
    assert (answer.status, answer.json["code"]) == (400, "invalid-idempotency-key")
    assert api.world.expected(season) == []


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "a\n", "a\0", 5, [], True])
def test_malformed_keys_in_the_body(http: Http, season: str, api: Api, key: object) -> None:
    body = json.dumps({"userId": "ada", "delta": 5, "submissionId": key}).encode()
    answer = http.post_raw(season, body)
    assert (answer.status, answer.json["code"]) == (400, "invalid-idempotency-key")
    assert api.world.expected(season) == []


@pytest.mark.parametrize("key", ["x" * 255, "a b", "!~#[]{}", "00000000-0000-4000-8000-000000000000", "a'b", "a\\b"])
def test_keys_of_every_kind(http: Http, season: str, api: Api, key: str) -> None:
    for _ in range(2):
        assert post(http, season, "ada", 5, None, key).status == 202
    assert [(u, s) for u, s, _ in api.world.expected(season)] == [("ada", 5)]


def test_a_key_outlives_a_reset(http: Http, season: str, api: Api) -> None:
    first = post(http, season, "ada", 5, "k")
    assert http.delete(season).status == 200
    again = post(http, season, "ada", 5, "k")
    assert (again.status, again.json) == (202, first.json)
    assert api.world.expected(season) == [], "a late retry must not enter the new period"


def test_a_refused_submission_leaves_its_key_free(http: Http, season: str, api: Api) -> None:
    http.post(season, "ada", 2**63 - 1)
    assert post(http, season, "ada", 5, "k").status == 409
    http.post(season, "ada", -10)
    assert post(http, season, "ada", 5, "k").json["score"] == 2**63 - 6
    assert post(http, season, "ada", 5, "k").json["score"] == 2**63 - 6


def test_many_clients_with_the_same_keys(api: Api, season: str) -> None:
    """Sixteen clients send the same two hundred submissions, each in an order of its own, through two workers."""
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    told: dict[int, set[bytes]] = {n: set() for n in range(200)}
    wrong: list[object] = []
    lock = threading.Lock()

    def client(number: int) -> None:
        order = list(told)
        random.Random(seed + number).shuffle(order)
        with api.client() as http:
            for n in order:
                answer = post(http, season, f"p{n % 7}", n + 1, f"key {n}".replace(" ", "-"))
                with lock:
                    told[n].add(answer.body)
                    if answer.status != 202:
                        wrong.append((answer.status, answer.body))

    threads = [threading.Thread(target=client, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not wrong, wrong[:3]
    assert all(len(bodies) == 1 for bodies in told.values()), "one key, one answer"
    totals = {f"p{p}": sum(n + 1 for n in range(200) if n % 7 == p) for p in range(7)}
    assert {user: score for user, score, _ in api.world.expected(season)} == totals
    eventually(lambda: api.world.board(season) == api.world.expected(season))


def test_one_key_at_the_same_moment(api: Api, season: str) -> None:
    clients = [api.client() for _ in range(12)]
    try:
        for n in range(25):
            for http in clients:
                send(http, season, "ada", 1, f"moment-{n}")
            answers = [http.receive() for http in clients]
            assert [answer.status for answer in answers] == [202] * 12
            assert len({answer.body for answer in answers}) == 1
            assert [s for _, s, _ in api.world.expected(season)] == [n + 1]
    finally:
        for http in clients:
            http.connection.close()


# --- One worker, so that a test decides what is in a batch


Keyed = tuple[str, int, str | None]


def together(api: Api, posts: list[Keyed]) -> list[Answer]:
    """Answers to posts that all were in one batch, in this order."""
    many = [api.client() for _ in range(len(posts) + 1)]
    try:
        with api.world.held("s"):
            many[-1].send_post("s", "plug", 1)
            eventually(lambda: api.world.waiting() == 1)
            for http, (user, delta, key) in zip(many, posts, strict=False):
                send(http, "s", user, delta, key)
                with api.client() as barrier:
                    assert barrier.get("/livez").status == 200
        assert many[-1].receive().status == 202
        return [http.receive() for http in many[:-1]]
    finally:
        for http in many:
            http.connection.close()


def score_of(world: World, user: str) -> int:
    """What PostgreSQL has."""
    return {name: score for name, score, _ in world.expected("s")}[user]


def test_the_same_key_twice_in_one_batch(lone_api: Api) -> None:
    answers = together(lone_api, [("ada", 5, "k"), ("ada", 5, "k"), ("ada", 1, None), ("ada", 5, "k"), ("bob", 2, "l")])
    assert [answer.status for answer in answers] == [202] * 5
    assert answers[0].json == answers[1].json == answers[3].json
    assert score_of(lone_api.world, "ada") == 6 and score_of(lone_api.world, "bob") == 2


def test_a_key_for_two_things_in_one_batch(lone_api: Api) -> None:
    answers = together(lone_api, [("cy", 5, "m"), ("cy", 6, "m"), ("dee", 5, "m"), ("dee", 1, None)])
    assert sorted(answer.status for answer in answers) == [202, 202, 422, 422]
    assert answers[0].status == answers[3].status == 202
    assert score_of(lone_api.world, "cy") == 5 and score_of(lone_api.world, "dee") == 1


def test_a_replay_beside_fresh_ones(lone_api: Api) -> None:
    with lone_api.client() as http:
        first = post(http, "s", "eve", 5, "n")
    answers = together(lone_api, [("eve", 1, None), ("eve", 5, "n"), ("eve", 2, "o"), ("eve", 9, "n")])
    assert [answer.status for answer in answers] == [202, 202, 202, 422]
    assert answers[1].json == first.json
    assert (answers[0].json["score"], answers[2].json["score"]) == (6, 8)


def test_keys_near_the_edge(lone_api: Api) -> None:
    lone_api.world.submit(("s", "rich", 2**63 - 1 - 10))
    answers = together(lone_api, [("rich", 6, "p"), ("rich", 6, "q"), ("rich", 6, "p"), ("rich", -1, "r")])
    assert answers[3].status == 202
    assert sorted(answer.status for answer in answers[:3]) in ([202, 202, 409], [202, 202, 202], [202, 409, 409])
    assert answers[0].status == answers[2].status
    taken = 6 * (answers[0].status == 202) + 6 * (answers[1].status == 202) - 1
    assert score_of(lone_api.world, "rich") == 2**63 - 1 - 10 + taken


def test_keys_are_forgotten_after_their_time_and_not_before(lone_api: Api) -> None:
    world = lone_api.world
    with lone_api.client() as http:
        first = post(http, "s", "fay", 5, "old")
        assert post(http, "s", "fay", 3, "new").status == 202
        minutes = world.settings.idempotency_minutes
        world.execute(
            f"UPDATE idempotency SET accepted_at = now() - make_interval(mins => {minutes - 1})",
            f"UPDATE idempotency SET accepted_at = now() - make_interval(mins => {minutes + 1}) "
            f"WHERE version = {first.json['version']} AND score = 5",
        )
        Janitor(world.settings, Unsignalled()).forget_keys(world.db)
        assert post(http, "s", "fay", 3, "new").json["score"] == 8, "kept: the first answer"
        assert post(http, "s", "fay", 5, "old").json["score"] == 13, "forgotten: counts anew"


@pytest.mark.parametrize("commits", [True, False])
def test_a_key_that_another_worker_is_just_committing(lone_api: Api, commits: bool) -> None:
    """The other worker is this test, which takes its time; ours meets its key in the index and has to wait for it."""
    world, user = lone_api.world, f"collision {commits}"
    parameters = {
        "seasons": TextArray(pack_text_array(["s"])),
        "users": TextArray(pack_text_array([f"{user} somebody else"])),
        "deltas": Int8Array(pack_int8_array([5])),
        "digests": TextArray(pack_text_array([make_digest("s", user)])),
        "prints": TextArray(pack_text_array([make_digest(f"{user} somebody else", "5")])),
    }
    with psycopg.connect(world.settings.database_url) as other, lone_api.client() as http:
        adapt_arrays(other)
        other.execute(queries()["submit_keyed"], parameters)
        send(http, "s", f"{user} somebody else" if commits else user, 5, None, user)
        eventually(lambda: world.waiting() == 1)
        if commits:
            other.commit()
        else:
            other.rollback()
        answer = http.receive()
    assert answer.status == 202, answer.body
    assert answer.json["score"] == 5
    assert score_of(world, f"{user} somebody else" if commits else user) == 5


def test_an_unknown_outcome_is_settled_by_asking_again(world: World) -> None:
    world.create("s")
    with serving(world) as api, api.client() as http:
        for committed in (False, True):
            with world.held("s") as db:
                send(http, "s", "ada", 5, f"k{committed}")
                eventually(lambda: world.waiting() == 1)
                if not committed:
                    world.terminate("leaderboard-intake")
                    assert http.receive().status == 504
                db.commit()
            if committed:
                http.receive()
            eventually(lambda key=f"k{committed}": post(http, "s", "ada", 5, key).status == 202)  # type: ignore[misc]
    assert [(u, s) for u, s, _ in world.expected("s")] == [("ada", 10)]


def test_clients_that_retry_through_a_breaking_network_count_once(world: World, postgres_proxy: Proxy) -> None:
    """Each client sends each submission until it is accepted, whatever it is told meanwhile."""
    world.settings = msgspec.structs.replace(
        world.settings, database_url=world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    )
    stop = threading.Event()
    done: list[int] = [0] * 6
    tries: list[int] = [0] * 6

    with serving(world, LEADERBOARD_WORKERS="2") as api:

        def client(number: int) -> None:
            with api.client() as http:
                while not stop.is_set():
                    while True:
                        tries[number] += 1
                        status = post(http, "s", f"c{number}", 1, f"{number}-{done[number]}").status
                        if status == 202:
                            break
                        assert status in (503, 504), status
                        stop.wait(0.002)
                    done[number] += 1

        threads = [threading.Thread(target=client, args=(n,)) for n in range(6)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(8):
                before = sum(done)
                eventually(lambda before=before: sum(done) > before + 60, 30)  # type: ignore[misc]
                failed = sum(tries) - sum(done)
                postgres_proxy.cut()
                eventually(lambda failed=failed: sum(tries) - sum(done) > failed + 6)  # type: ignore[misc]
                postgres_proxy.open()
        finally:
            postgres_proxy.open()
            stop.set()
            for thread in threads:
                thread.join(30)
    assert {user: score for user, score, _ in world.expected("s")} == {f"c{n}": count for n, count in enumerate(done)}
