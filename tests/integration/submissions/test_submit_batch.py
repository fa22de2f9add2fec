"""Batch submission on real servers: a result for each item in order, partial success, one commit, same guarantees."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base
from support.processes import Api, serving
from support.proxy import Proxy
from support.waiting import eventually
from support.world import World

I64 = 2**63


def body(*items: Any) -> bytes:
    """A batch; an item is (user, delta), (user, delta, key) or whatever is to go out as it is."""
    names = ("userId", "delta", "submissionId")
    made = [dict(zip(names, i, strict=False)) if isinstance(i, tuple) else i for i in items]
    return json.dumps({"submissions": made}).encode()


def send(http: Http, season: str, *items: Any) -> Answer:
    """Send a batch and wait for its answer."""
    return http.ask("POST", f"{base(season)}/scores/batch", body(*items), JSON)


def results(answer: Answer) -> list[Any]:
    """Of each item: (status, score) if it counts, else (status, code)."""
    assert answer.status == 200, (answer.status, answer.body)
    return [(r["status"], r.get("score", r.get("code"))) for r in answer.json["results"]]


def test_every_item_has_its_result_in_order(http: Http, season: str, api: Api) -> None:
    answer = send(http, season, ("ada", 5), ("grace", 7), ("ada", -2), ("joan", 1))
    assert results(answer) == [(202, 5), (202, 7), (202, 3), (202, 1)]
    assert [r["userId"] for r in answer.json["results"]] == ["ada", "grace", "ada", "joan"]
    assert answer.json["seasonId"] == season
    versions = [r["version"] for r in answer.json["results"]]
    assert versions[2] > versions[0]
    eventually(lambda: len(http.top(season).json["items"]) == 3)
    scores = [("grace", 7), ("ada", 3), ("joan", 1)]
    items = [{"rank": rank, "userId": user, "score": score} for rank, (user, score) in enumerate(scores, 1)]
    eventually(lambda: http.top(season).json["items"] == items)
    shown = http.rank(season, "ada").json
    assert shown["version"] == versions[2], "the version tells that the board shows the batch"


def test_items_that_do_not_fit_leave_the_others_alone(http: Http, season: str, api: Api) -> None:
    """Those refused by type, by content and by the score they would lead to, each beside good ones."""
    assert results(send(http, season, ("top", I64 - 1), ("key", 1, "k"))) == [(202, I64 - 1), (202, 1)]
    answer = send(
        http,
        season,
        ("ada", 5),
        ("zero", 0),
        ("", 1),
        ("bad\u0000", 1),
        {"userId": "half"},
        {"userId": "more", "delta": 1, "extra": 1},
        ("text", "1"),
        ("wide", I64),
        7,
        ("top", 1),
        ("key", 2, "k"),
        ("odd", 1, " k"),
        ("grace", 6),
    )
    assert results(answer) == [
        (202, 5),
        (400, "invalid-delta"),
        (400, "invalid-user-id"),
        (400, "invalid-user-id"),
        (400, "invalid-body"),
        (400, "invalid-body"),
        (400, "invalid-delta"),
        (400, "invalid-delta"),
        (400, "invalid-body"),
        (409, "score-out-of-range"),
        (422, "idempotency-key-reused"),
        (400, "invalid-idempotency-key"),
        (202, 6),
    ]
    assert all(r["detail"] for r in answer.json["results"] if r["status"] != 202)
    scores = {user: score for user, score, _ in api.world.expected(season)}
    assert scores == {"ada": 5, "grace": 6, "top": I64 - 1, "key": 1}


def test_a_batch_is_one_commit(http: Http, season: str, api: Api) -> None:
    """The most there may be, to a season that does not exist before."""
    items = [(f"p{n % 4_000}", n + 1) for n in range(5_000)]
    answer = results(send(http, season, *items))
    assert [status for status, _ in answer] == [202] * 5_000
    period = api.world.value("SELECT period_id FROM season WHERE season_id = %s", season)
    query = "SELECT count(*), count(DISTINCT xmin::text) FROM ledger WHERE period_id = %s"
    assert api.world.rows(query, period) == [(5_000, 1)]
    eventually(lambda: api.world.board(season) == api.world.expected(season))


def test_what_one_player_does_adds_up_near_the_edge_of_64_bits(http: Http, season: str) -> None:
    """Judged one by one, in order: what would leave the range is refused, what follows still counts."""
    most = I64 - 1
    answer = send(http, season, ("a", most), ("a", 1), ("a", -most), ("a", -most), ("a", -2), ("a", -1), ("b", 1))
    expected = [
        (202, most),
        (409, "score-out-of-range"),
        (202, 0),
        (202, -most),
        (409, "score-out-of-range"),
        (202, -I64),
        (202, 1),
    ]
    assert results(answer) == expected


def test_sent_again_with_keys_it_counts_once(http: Http, season: str, api: Api) -> None:
    items = [(f"p{n}", n + 1, f"key {n}") for n in range(50)]
    first = send(http, season, *items[:30])
    again = send(http, season, *items)
    assert results(first) == [(202, n + 1) for n in range(30)]
    assert again.json["results"][:30] == first.json["results"], "the first answer again"
    assert results(again) == [(202, n + 1) for n in range(50)]
    assert {user: score for user, score, _ in api.world.expected(season)} == {f"p{n}": n + 1 for n in range(50)}
    # A key means the same whichever way it comes.
    single = http.post_raw(season, b'{"userId":"p7","delta":8}', {**JSON, "Idempotency-Key": '"key 7"'})
    assert (single.status, single.json["score"]) == (202, 8)


def test_a_key_twice_in_a_batch_counts_once(http: Http, season: str, api: Api) -> None:
    answer = send(http, season, ("a", 5, "k"), ("a", 5, "k"), ("b", 5, "k"), ("a", 1))
    assert results(answer) == [(202, 5), (202, 5), (422, "idempotency-key-reused"), (202, 6)]
    assert [score for _, score, _ in api.world.expected(season)] == [6]


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "malformed-json"),
        (b"{", 400, "malformed-json"),
        (b'{"submissions":[{"userId":"a","delta":1},]}', 400, "malformed-json"),
        (b'{"submissions":[{"userId":"a","delta":"1"},]}', 400, "malformed-json"),
        (b'{"submissions":[{"userId":"\\ud800","delta":1}]}', 400, "malformed-json"),
        (b'{"submissions":[{"userId":"a","delta":"1"},{"userId":"\xff","delta":1}]}', 400, "malformed-json"),
        (b'{"submissions":[{"userId":"\xff","delta":1},{"userId":"a","delta":"1"}]}', 400, "malformed-json"),
        (b'{"submissions":[]}', 400, "invalid-body"),
        (b'{"submissions":{}}', 400, "invalid-body"),
        (b"[]", 400, "invalid-body"),
        (b'{"submissions":[{"userId":"a","delta":1}],"more":1}', 400, "invalid-body"),
        (body(*[("a", 1)] * 5_001), 400, "invalid-body"),
        (body(("a" * 4 * 1024 * 1024, 1)), 413, "batch-too-large"),
    ],
)
def test_a_body_that_is_no_batch(http: Http, season: str, api: Api, data: bytes, status: int, code: str) -> None:
    answer = http.ask("POST", f"{base(season)}/scores/batch", data, JSON)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert api.world.expected(season) == []


def test_a_key_for_the_whole_batch_is_refused(http: Http, season: str, api: Api) -> None:
    """It could not tell a longer batch from the one it was first used for."""
    headers = {**JSON, "Idempotency-Key": '"k"'}
    answer = http.ask("POST", f"{base(season)}/scores/batch", body(("a", 1)), headers)
    assert (answer.status, answer.json["code"]) == (400, "invalid-idempotency-key")
    assert api.world.expected(season) == []


def test_a_batch_that_waits_holds_up_no_lone_submission(world: World) -> None:
    world.create("held", "free")
    with serving(world) as api, api.client() as many, api.client() as one:
        with world.held("held"):
            many.send("POST", f"{base('held')}/scores/batch", body(*[(f"p{n}", 1) for n in range(2_000)]), JSON)
            eventually(lambda: world.waiting() == 1)
            assert one.post("free", "ada", 1).status == 202
        assert [status for status, _ in results(many.receive())] == [202] * 2_000


def test_batches_that_wait_are_committed_together_but_never_divided(world: World) -> None:
    """Three of 2,000 behind one that is held: two fit into the next statement, the third takes one of its own."""
    world.create("s")
    with serving(world) as api, api.client() as first, api.client() as a, api.client() as b, api.client() as c:
        with world.held("s"):
            first.send("POST", f"{base('s')}/scores/batch", body(("first", 1)), JSON)
            eventually(lambda: world.waiting() == 1)
            for number, http in enumerate((a, b, c)):
                items = [(f"{number} {n}", 1) for n in range(2_000)]
                http.send("POST", f"{base('s')}/scores/batch", body(*items), JSON)
                with api.client() as other:
                    assert other.get("/livez").status == 200
        for http in (first, a, b, c):
            assert {status for status, _ in results(http.receive())} == {202}
    query = "SELECT count(DISTINCT xmin::text) FROM ledger WHERE user_id LIKE %s"
    assert [world.value(query, f"{number} %") for number in range(3)] == [1, 1, 1]


def test_a_full_queue_refuses_the_whole_batch(world: World) -> None:
    world.create("s")
    with serving(world, LEADERBOARD_BATCH_QUEUE="5000") as api, api.client() as a, api.client() as b:
        with world.held("s"):
            a.send("POST", f"{base('s')}/scores/batch", body(("first", 1)), JSON)
            eventually(lambda: world.waiting() == 1)
            b.send("POST", f"{base('s')}/scores/batch", body(*[(f"p{n}", 1) for n in range(3_000)]), JSON)

            def refused() -> bool:
                with api.client() as c:
                    c.send("POST", f"{base('s')}/scores/batch", body(*[(f"q{n}", 1) for n in range(3_000)]), JSON)
                    answer = c.receive()
                return (answer.status, answer.json["code"]) == (503, "overloaded")

            eventually(refused)
        assert {status for status, _ in results(a.receive()) + results(b.receive())} == {202}
    assert world.value("SELECT count(*) FROM score WHERE user_id LIKE 'q%%'") == 0


def test_postgres_away_is_503_and_nothing_is_written(world: World, postgres_proxy: Proxy) -> None:
    address = f"127.0.0.1:{postgres_proxy.port}"
    with serving(world, DATABASE_URL=world.database_url(address)) as api, api.client() as http:
        assert results(send(http, "s", ("ada", 1))) == [(202, 1)]
        postgres_proxy.cut()
        eventually(lambda: send(http, "s", ("bob", 1)).status == 503)
        postgres_proxy.open()
        eventually(lambda: send(http, "s", ("joan", 1)).status == 200)
    assert {user for user, _, _ in world.expected("s")} == {"ada", "joan"}


def test_a_connection_cut_in_the_middle_is_504(world: World) -> None:
    world.create("s")
    with serving(world) as api, api.client() as http:
        with world.held("s"):
            http.send("POST", f"{base('s')}/scores/batch", body(("a", 1), ("zero", 0)), JSON)
            eventually(lambda: world.waiting() == 1)
            world.terminate("leaderboard-intake")
            answer = http.receive()
        # Not the whole batch failed for the server's sake: each item says what became of it.
        assert results(answer) == [(504, "outcome-unknown"), (400, "invalid-delta")]
        with world.held("s"):
            http.send("POST", f"{base('s')}/scores/batch", body(("a", 1), ("b", 1)), JSON)
            eventually(lambda: world.waiting() == 1)
            world.terminate("leaderboard-intake")
            answer = http.receive()
        assert (answer.status, answer.json["code"]) == (504, "outcome-unknown")


def test_the_documented_answer_is_the_real_one(http: Http, season: str) -> None:
    assert http.post(season, "ada", 120).status == 202
    sent = b'{"submissions":[{"userId":"ada","delta":5,"submissionId":"m-1"},{"userId":"grace","delta":0}]}'
    answer = http.ask("POST", f"{base(season)}/scores/batch", sent, JSON).json
    assert [sorted(result) for result in answer["results"]] == [
        ["score", "status", "userId", "version"],
        ["code", "detail", "status"],
    ]
