"""One submission, several boards: each fed season counts by its own rule, or is skipped and named."""

from __future__ import annotations

import json
import threading
from typing import Any

import psycopg
import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.periods import GRID, end_now, patch, put, submit
from support.processes import Api, relaying, serving
from support.relays import Unsignalled
from support.submitting import clients, read_by_now
from support.waiting import eventually
from support.world import World

from board.season import INT64_MAX
from relay.janitor import Janitor


@pytest.fixture
def lone(world: World) -> Any:
    """The API without relays and without a keeper."""
    with serving(world) as api, api.client() as client:
        yield client


def make(http: Http, season: str, **members: Any) -> None:
    answer = put(http, season, **members)
    assert answer.status in (200, 201), answer.body


def scores_of(world: World, season: str) -> dict[str, int]:
    return {user: score for user, score, _ in world.expected(season)}


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


def test_a_submission_counts_in_every_season_by_its_rule(http: Http, season: str, api: Api) -> None:
    best, low, total, last = (f"{season} {name}" for name in ("best", "low", "total", "last"))
    make(http, best, operator="best")
    make(http, low, operator="best", order="asc")
    make(http, total)
    make(http, last, operator="last", order="asc")
    make(http, season, operator="best", feeds=[best, low, total, last])
    for score in (50, 70, 0, 60):
        answer = submit(http, season, "ada", score=score)
        assert answer.status == 202 and "skipped" not in answer.json
    world = api.world
    boards = {name: scores_of(world, name)["ada"] for name in (season, best, low, total, last)}
    assert boards == {season: 70, best: 70, low: ~0, total: 180, last: ~60}
    ledger = world.rows(
        "SELECT submission, count(*), count(DISTINCT ledger.xmin::text) FROM ledger JOIN season USING (period_id) "
        "WHERE season_id = ANY (%s) GROUP BY submission",
        [season, best, low, total, last],
    )
    assert len(ledger) == 4 and {row[1:] for row in ledger} == {(5, 1)}, "one number and one commit for all of them"
    for name in boards:
        eventually(lambda name=name: world.board(name) == world.expected(name))
    assert submit(http, total, "ada", delta=1).json["score"] == 181
    assert scores_of(world, season) == {"ada": 70}, "feeds lead one way"


def test_feeds_are_transitive_and_reach_each_season_once(lone: Http, world: World) -> None:
    for name, feeds in (("e", []), ("d", ["e"]), ("c", ["d", "e"]), ("b", ["d"]), ("a", ["b", "c", "e"])):
        make(lone, name, feeds=feeds)
    assert submit(lone, "a", "ada", delta=5).json["score"] == 5
    assert {name: scores_of(world, name)["ada"] for name in "abcde"} == dict.fromkeys("abcde", 5)
    assert submit(lone, "c", "ada", delta=2).json["score"] == 7
    assert {name: scores_of(world, name)["ada"] for name in "abcde"} == {"a": 5, "b": 5, "c": 7, "d": 7, "e": 7}


def test_a_fed_season_that_refuses_is_skipped_and_named(lone: Http, world: World) -> None:
    make(lone, "bound", operator="best", bounds={"max": 9})
    make(lone, "later", opensAt="2999-01-01T00:00:00Z")
    make(lone, "over", schedule={"endsAt": "2998-01-01T00:00:00Z"})
    make(lone, "rich")
    make(lone, "good", operator="last")
    submit(lone, "rich", "ada", delta=INT64_MAX)
    end_now(world, "over")
    assert refused(submit(lone, "over", "ada", delta=1)) == (409, "period-closed")
    make(lone, "s", operator="best", feeds=["bound", "later", "over", "rich", "good"])
    answer = submit(lone, "s", "ada", "k", score=10)
    skipped = [
        {"seasonId": "bound", "code": "score-out-of-bounds"},
        {"seasonId": "later", "code": "season-not-open"},
        {"seasonId": "over", "code": "period-closed"},
        {"seasonId": "rich", "code": "score-out-of-range"},
    ]
    assert (answer.status, answer.json["skipped"]) == (202, skipped)
    assert scores_of(world, "good") == {"ada": 10} == scores_of(world, "s")
    assert scores_of(world, "rich") == {"ada": INT64_MAX} and scores_of(world, "bound") == {}
    again = submit(lone, "s", "ada", "k", score=10)
    assert again.json == answer.json, "a retry gets the whole first answer"
    patch(lone, "s", feeds=[])
    assert submit(lone, "s", "ada", "k", score=10).json == answer.json
    body = {"submissions": [{"userId": "bob", "score": 9}, {"userId": "cy", "score": 10}]}
    patch(lone, "s", feeds=["bound"])
    results = lone.ask("POST", f"{base('s')}/scores/batch", json.dumps(body).encode(), JSON).json["results"]
    assert "skipped" not in results[0] and results[1]["skipped"] == skipped[:1]


@pytest.mark.walk
@pytest.mark.parametrize("members", [{"feeds": ["fed"]}, {"schedule": GRID}])
def test_a_season_that_is_plain_again_knows_its_first_answers(lone: Http, world: World, members: Any) -> None:
    """Also in a worker that knows nothing of the season: it tries the statement of plain ones."""
    make(lone, "fed", bounds={"max": 9})
    make(lone, "s", **members)
    first = submit(lone, "s", "ada", "k", delta=10)
    assert first.json.keys() & {"skipped", "period"}

    def ask_again() -> None:
        with serving(world) as api, api.client() as other:
            for http in (lone, other):
                assert submit(http, "s", "ada", "k", delta=10).json == first.json
                assert refused(submit(http, "s", "ada", "k", delta=9)) == (422, "idempotency-key-reused")

    ask_again()
    make(lone, "s")
    lone.ask("POST", f"{base('s')}/reset")
    ask_again()
    assert submit(lone, "s", "ada", delta=10).json["score"] == 10
    assert scores_of(world, "fed") == {}


def test_what_was_skipped_is_forgotten_with_the_key(lone: Http, world: World) -> None:
    make(lone, "fed", operator="best", bounds={"max": 9})
    make(lone, "s", operator="best", feeds=["fed"])
    for key in ("old", "new"):
        assert submit(lone, "s", key, key, score=10).json["skipped"]
    first = "(SELECT min(version) FROM idempotency)"
    world.execute(f"UPDATE idempotency SET accepted_at = now() - interval '9 years' WHERE version = {first}")
    before = world.value("SELECT count(*) FROM idempotency")
    Janitor(world.settings, Unsignalled()).forget_keys(world.db)
    assert (before, world.value("SELECT count(*) FROM idempotency")) == (2, 1)
    assert world.value("SELECT count(*) FROM idempotency_skipped JOIN idempotency USING (digest)") == 1
    assert world.value("SELECT count(*) FROM idempotency_skipped") == 1


@pytest.mark.walk
def test_a_refused_submission_feeds_nothing(lone: Http, world: World) -> None:
    make(lone, "fed")
    make(lone, "s", operator="best", bounds={"max": 9}, feeds=["fed"])
    make(lone, "sum", feeds=["fed"])
    assert refused(submit(lone, "s", "ada", score=10)) == (422, "score-out-of-bounds")
    assert refused(submit(lone, "s", "ada", delta=1)) == (409, "wrong-operator")
    submit(lone, "sum", "ada", delta=INT64_MAX)
    patch(lone, "fed", title="still there")
    lone.delete("fed")
    assert refused(submit(lone, "sum", "ada", delta=1)) == (409, "score-out-of-range")
    assert scores_of(world, "fed") == {}, "nor does a sum that leaves 64 bits"
    assert world.value("SELECT count(*) FROM ledger") == 2


def test_a_worker_that_does_not_know_the_feeds_finds_out(world: World) -> None:
    """With and without a key, after a change by another process, and on a season that was plain."""
    with serving(world) as api, api.client() as http:
        for member, members in (("delta", {}), ("score", {"operator": "best"})):
            fed, source = f"{member} fed", f"{member} source"
            world.define(fed, **members)
            world.define(source, **members)
            assert submit(http, source, "ada", **{member: 1}).status == 202
            world.define(source, **members, feeds=[fed])
            for number, key in enumerate((None, "k", None), start=2):
                assert submit(http, source, "ada", key, **{member: number}).status == 202
            world.define(source, **members)
            assert submit(http, source, "ada", **{member: 100}).status == 202
            assert scores_of(world, fed) == {"ada": 9 if member == "delta" else 4}


def test_a_fed_season_that_is_due_is_turned_first(lone: Http, world: World) -> None:
    make(lone, "weekly", operator="best", schedule=GRID)
    make(lone, "all", operator="best", feeds=["weekly"])
    submit(lone, "all", "ada", score=9)
    end_now(world, "weekly")
    assert submit(lone, "all", "ada", score=5).json["score"] == 9
    rows = world.rows(
        "SELECT p.number, s.score FROM score s JOIN period p USING (period_id) WHERE season_id = 'weekly'"
    )
    assert sorted(rows) == [(1, 9), (2, 5)]


def test_a_retry_gets_its_first_answer_across_the_end_of_a_fed_period(lone: Http, world: World) -> None:
    make(lone, "weekly", operator="best", schedule=GRID, bounds={"max": 9})
    make(lone, "s", operator="best", schedule=GRID, feeds=["weekly"])
    first = submit(lone, "s", "ada", "k", score=10)
    assert first.json["skipped"] and first.json["period"] == 1
    for name in ("s", "weekly"):
        end_now(world, name)
    make(lone, "weekly", operator="best", schedule=GRID)
    assert submit(lone, "s", "ada", "k", score=10).json == first.json
    assert submit(lone, "s", "bob", score=10).json["period"] == 2
    assert submit(lone, "s", "ada", "k", score=10).json == first.json
    rows = world.rows("SELECT user_id FROM score JOIN season USING (period_id) WHERE season_id = 'weekly'")
    assert rows == [("bob",)], "what was skipped stays skipped"


def test_a_fed_season_goes_by_its_own_periods(lone: Http, world: World) -> None:
    """With `achievedAt` each season finds its own one; `period` names one of the season that is submitted to."""
    make(lone, "graced", operator="best", schedule=GRID, graceS=3_600)
    make(lone, "strict", operator="best", schedule=GRID)
    make(lone, "s", operator="best", feeds=["graced", "strict"])
    submit(lone, "s", "ada", score=1)
    at = world.value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    for name in ("graced", "strict"):
        end_now(world, name, "clock_timestamp()")
    late = json.dumps({"userId": "ada", "score": 5, "achievedAt": at}).encode()
    answer = lone.post_raw("s", late)
    assert answer.json["score"] == 5
    assert answer.json["skipped"] == [{"seasonId": "strict", "code": "period-closed"}]
    assert submit(lone, "s", "ada", score=2, period=1).status == 202
    rows = world.rows("SELECT season_id, number, score FROM score JOIN period USING (period_id) WHERE season_id <> 's'")
    assert sorted(rows) == [("graced", 1, 5), ("graced", 2, 2), ("strict", 1, 1), ("strict", 2, 2)]


@pytest.mark.walk
def test_resets_of_either_side_keep_the_feed(lone: Http, world: World) -> None:
    make(lone, "fed", operator="best")
    make(lone, "s", operator="best", feeds=["fed"])
    submit(lone, "s", "ada", score=9)
    assert lone.delete("fed").status == 503, "nothing shows it without relays"
    submit(lone, "s", "ada", score=5)
    assert (scores_of(world, "s"), scores_of(world, "fed")) == ({"ada": 9}, {"ada": 5})
    lone.delete("s")
    submit(lone, "s", "ada", score=3)
    assert (scores_of(world, "s"), scores_of(world, "fed")) == ({"ada": 3}, {"ada": 5})
    lone.ask("POST", f"{base('s')}/reset")
    submit(lone, "s", "bob", score=4)
    assert scores_of(world, "fed") == {"ada": 5, "bob": 4}


def test_metadata_and_the_wait_belong_to_the_submission(world: World) -> None:
    with relaying(world), serving(world, "/readyz") as api, api.client() as http:
        make(http, "fed", operator="best")
        make(http, "s", operator="best", feeds=["fed"])
        body = json.dumps({"userId": "ada", "score": 9, "metadata": {"car": "red"}}).encode()
        answer = http.post_raw("s", body, {**JSON, "Prefer": "wait=5"})
        assert (answer.status, answer.json["rank"]) == (200, 1), "it waits for the season that is submitted to"
        for name in ("s", "fed"):
            path = f"{base(name)}/leaderboard/rank?userId=ada&metadata=true"
            eventually(lambda path=path: http.get(path).json.get("metadata") == {"car": "red"})


def test_only_defined_seasons_are_fed_where_only_those_count(world: World) -> None:
    world.create("plain")
    world.define("s", operator="best", feeds=["plain"])
    with serving(world, LEADERBOARD_SEASONS="defined") as api, api.client() as http:
        answer = submit(http, "s", "ada", score=1)
        assert answer.json["skipped"] == [{"seasonId": "plain", "code": "season-not-found"}]


def test_bad_feeds_are_refused_when_they_are_set(lone: Http, world: World) -> None:
    make(lone, "s")
    make(lone, "a", feeds=["s"])
    make(lone, "b", feeds=["a"])
    for feeds, text in (
        (["s"], "itself"), (["a", "a"], "twice"), (["nowhere"], "exist"), (["b"], "back"), (["a"], "back"),
    ):  # fmt: skip
        for answer in (put(lone, "s", feeds=feeds), patch(lone, "s", feeds=feeds)):
            assert refused(answer) == (400, "invalid-feeds") and text in answer.json["detail"], feeds
        assert lone.get(base("s")).json["feeds"] == [] and lone.get(base("b")).json["feeds"] == ["a"], feeds
    assert refused(put(lone, "new", feeds=["new"])) == (400, "invalid-feeds")
    assert lone.get(base("new")).status == 404


def test_what_is_no_list_of_seasons_is_refused(http: Http, season: str) -> None:
    for feeds in ("a", [1], [""], ["a\n"], {"a": 1}, [f"o{n}" for n in range(16)]):
        assert put(http, season, feeds=feeds).status == 400, feeds
    assert http.get(base(season)).status == 404


def test_two_changes_at_once_make_no_cycle(lone: Http, world: World) -> None:
    for name in "ab":
        make(lone, name)
    with psycopg.connect(world.settings.database_url) as db, Http(lone.port) as one, Http(lone.port) as other:
        db.execute("SELECT FROM season WHERE season_id IN ('a', 'b') FOR UPDATE")
        for http, name, fed in ((one, "a", "b"), (other, "b", "a")):
            http.send("PATCH", base(name), json.dumps({"feeds": [fed]}).encode(), JSON)
        eventually(lambda: world.waiting("leaderboard-seasons") == 2)
        db.commit()
        assert sorted(http.receive().status for http in (one, other)) == [200, 400]


def test_a_key_for_certain_seasons_feeds_no_others(guarded: Api, season: str) -> None:
    world, mine = guarded.world, f"{season} mine"
    key = world.key("admin", "submit", "read", seasons=[season, mine])
    world.define(f"{season} other")
    headers = {**JSON, **bearer(key)}
    with guarded.client() as http:
        eventually(lambda: http.ask("PUT", base(mine), b"{}", headers).status in (200, 201))
        answer = http.ask("PUT", base(season), json.dumps({"feeds": [f"{season} other"]}).encode(), headers)
        assert refused(answer) == (403, "feed-forbidden")
        assert http.ask("PUT", base(season), json.dumps({"feeds": [mine]}).encode(), headers).status == 201


def test_feeds_that_change_while_a_statement_waits_are_those_that_count(lone: Http, world: World) -> None:
    """It has begun before the change, and reads the season after it."""
    for name in ("before", "after"):
        make(lone, name)
    make(lone, "s", feeds=["before"])
    submit(lone, "s", "warm", delta=1)
    with psycopg.connect(world.settings.database_url) as db, Http(lone.port) as other:
        db.execute("SELECT FROM season WHERE season_id = 's' FOR UPDATE")
        other.send_post("s", "ada", 5)
        eventually(lambda: world.waiting() == 1)
        db.execute("UPDATE season SET feeds = '{after}' WHERE season_id = 's'")
        db.commit()
        assert other.receive().status == 202
    assert (scores_of(world, "before"), scores_of(world, "after")) == ({"warm": 1}, {"ada": 5})


def test_sums_near_the_edge_in_one_batch_are_judged_one_by_one(world: World) -> None:
    """Two seasons feed a third one, whose sum may leave 64 bits: nothing is torn, and batch-mates count."""
    for name in ("fed", "a", "b"):
        world.define(name, feeds=[] if name == "fed" else ["fed"])
    world.submit_by_rule(("fed", "ada", INT64_MAX - 5, False))
    with serving(world) as api, clients(api, 6) as many:
        submit(many[0], "a", "warm", delta=1)
        submit(many[0], "b", "warm", delta=1)
        with world.held("a"):
            many[0].send_post("a", "plug", 1)
            eventually(lambda: world.waiting() == 1)
            for http, name, user in zip(many[1:], "abaab", ("ada", "ada", "bob", "ada", "cy"), strict=True):
                http.send_post(name, user, 4)
                read_by_now(api)
        answers = [http.receive() for http in many]
    assert [answer.status for answer in answers] == [202] * 6
    skipped = [answer.json.get("skipped") for answer in answers]
    assert sum(one == [{"seasonId": "fed", "code": "score-out-of-range"}] for one in skipped) == 2
    assert (scores_of(world, "a")["ada"], scores_of(world, "b")["ada"]) == (8, 4)
    assert scores_of(world, "fed") == {"ada": INT64_MAX - 1, "warm": 2, "plug": 1, "bob": 4, "cy": 4}


def test_a_run_that_a_later_one_has_overtaken_in_a_fed_season_is_sent_again(world: World) -> None:
    """Its own season would take it at once: nothing is written until both do."""
    world.define("fed", operator="best")
    world.define("a", operator="best", feeds=["fed"])
    world.define("b", operator="best", feeds=["fed"])
    with serving(world) as api, clients(api, 2) as many:
        for name in "ab":
            submit(many[0], name, "x", score=1)
        with psycopg.connect(world.settings.database_url) as db:
            db.execute("SELECT FROM score s JOIN season USING (period_id) WHERE season_id = 'fed' FOR UPDATE OF s")
            many[0].send("POST", f"{base('a')}/scores", b'{"userId":"x","score":30}', JSON)
            eventually(lambda: world.waiting() == 1)
            # A later number reaches the row first.
            db.execute(
                "UPDATE score SET score = 20, reached = nextval('submission') "
                "WHERE period_id = (SELECT period_id FROM season WHERE season_id = 'fed')"
            )
            later = db.execute("SELECT last_value FROM submission").fetchone()
            db.commit()
        assert many[0].receive().json["score"] == 30
    assert later is not None
    ((_, score, reached),) = world.expected("fed")
    assert score == 30 and reached > later[0]
    assert scores_of(world, "a") == {"x": 30}
    assert world.value("SELECT count(*) FROM ledger WHERE delta = 30") == 2, "once in each"


def test_seasons_that_feed_the_same_ones_never_deadlock(world: World) -> None:
    """Many writers, for few players, to seasons that feed each other's targets."""
    graph = {"d": [], "c": ["d"], "b": ["c"], "a": ["b", "d"], "z": ["d", "c", "b"]}
    operators = {"a": "best", "b": "last", "c": "best", "d": "sum", "z": "sum"}
    for name, feeds in graph.items():
        world.define(name, operator=operators[name], feeds=feeds)
    wrong: list[Any] = []
    counted: dict[str, int] = dict.fromkeys(graph, 0)
    lock = threading.Lock()

    def drive(number: int) -> None:
        with api.client() as http:
            for n in range(40):
                name = "abcdz"[(n * 7 + number) % 5]
                member = "delta" if operators[name] == "sum" else "score"
                answer = submit(http, name, "xyz"[n % 3], **{member: n + 1})
                with lock:
                    counted[name] += answer.status == 202
                    if answer.status != 202:
                        wrong.append((answer.status, answer.body))

    with serving(world, LEADERBOARD_WORKERS="2") as api:
        threads = [threading.Thread(target=drive, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    reach = {"d": "d", "c": "cd", "b": "bcd", "a": "abcd", "z": "zbcd"}
    wanted = {name: sum(counted[source] for source in graph if name in reach[source]) for name in graph}
    rows = world.rows("SELECT season_id, count(*) FROM ledger JOIN season USING (period_id) GROUP BY season_id")
    assert dict(rows) == wanted
    world.carry_everything()
    for name in graph:
        assert world.board(name) == world.expected(name)
