"""Bans and hidden players: nobody sees them from the answer on, ranks close up, and all that was comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.moderation import act, hint, restrict
from support.periods import keeper_of, put, submit
from support.processes import leaderboard, relaying, serving
from support.waiting import eventually
from support.world import World, world_on

from board.pg.arrays import adapt_arrays
from ctl.embedded import Embedded

ADA = "ada-é"
FOREVER = {"reason": "speed hack"}


@pytest.fixture
def running(world: World) -> Iterator[Http]:
    """A server, and relays with their keeper and janitor."""
    with serving(world, "/readyz") as api, relaying(world), api.client() as http:
        yield http


def state(http: Http, user: str = ADA) -> Any:
    return http.get(f"/v1/players/{quote(user, safe='')}/moderation").json


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return answer.json


def top(http: Http, season: str, query: str = "") -> list[tuple[int, str]]:
    page = http.get(f"{base(season)}/leaderboard/top{query}").json
    assert page["total"] == len(page["items"])
    return [(item["rank"], item["userId"]) for item in page["items"]]


def fill(http: Http, world: World) -> None:
    """The player in a plain season, in one with segments, in a final period and in the open one after it."""
    put(http, "lap", operator="best", order="asc", columns=[{"name": "moves", "order": "asc"}], segments=["country"])
    put(http, "week", operator="best", ranking="competition")
    for user in ("bob", ADA):
        profile = b'{"displayName":"A","attributes":{"country":"GB"}}'
        assert http.ask("PUT", f"/v1/players/{quote(user, safe='')}", profile, JSON).status == 201
    for n, user in enumerate(("bob", ADA, "cy", "dan")):
        submit(http, "sum", user, delta=10 + n)
        run = {"userId": user, "score": 50 - n, "columns": {"moves": 3}, "metadata": {"by": user}}
        assert http.post_raw("lap", json.dumps(run).encode()).status == 202
        submit(http, "week", user, score=(7, 9, 9, 5)[n])
    assert http.ask("POST", f"{base('week')}/reset").status == 200
    submit(http, "week", ADA, score=1)
    eventually(lambda: world.value("SELECT count(*) FROM event WHERE kind = 'period.closed'") == 1)
    eventually(lambda: top(http, "week") == [(1, ADA)])
    eventually(lambda: len(top(http, "lap")) == len(top(http, "sum")) == 4)


READS = ("top", "count", "histogram?buckets=3", "rank?userId=cy", "around?userId=cy&fill=true", "around?score=9")
SCORES = ("score?rank=2", "score?percentile=50", "top?limit=2", "top?limit=1&offset=1")
OF_THE_PLAYER = tuple(f"{read}?userId={quote(ADA, safe='')}" for read in ("rank", "around"))


def see(http: Http) -> dict[str, Any]:
    """Everything that reads tell of all boards, without what tells one state from another."""
    found: dict[str, Any] = {}
    for season, query in (("sum", ""), ("lap", ""), ("lap", "segment=country:GB"), ("week", "period=1"), ("week", "")):
        for read in (*READS, *SCORES, *OF_THE_PLAYER):
            path = f"{base(season)}/leaderboard/{read}" + (("&" if "?" in read else "?") + query if query else "")
            answer = http.get(path)
            found[path] = {k: v for k, v in answer.json.items() if k not in ("asOf", "nextCursor", "requestId")}
        path = f"{base(season)}/leaderboard/lookup" + (f"?{query}" if query else "")
        looked = http.ask("POST", path, json.dumps({"userIds": ["bob", ADA, "dan"]}).encode(), JSON).json
        found[path] = looked["items"]
    standings = http.get(f"/v1/players/{quote(ADA, safe='')}/standings").json["items"]
    found["standings"] = [{k: v for k, v in one.items() if k != "asOf"} for one in standings]
    found["periods"] = [
        (one["number"], one.get("players")) for one in http.get(f"{base('week')}/periods").json["items"]
    ]
    return found


@pytest.mark.parametrize(("verb", "back"), [("ban", "unban"), ("hide", "show")])
def test_nobody_sees_the_player_from_the_answer_on_and_all_comes_back(
    running: Http, world: World, verb: str, back: str
) -> None:
    fill(running, world)
    before = see(running)
    assert len(before["standings"]) == 3
    told = running.get("/v1/events").json["items"]
    assert ADA in str(told)
    changed = ok(act(running, verb, ADA, FOREVER))
    # By the time of the answer.
    assert top(running, "sum") == [(1, "dan"), (2, "cy"), (3, "bob")]
    assert top(running, "lap") == [(1, "dan"), (2, "cy"), (3, "bob")]
    assert top(running, "lap", "?segment=country:GB") == [(1, "bob")]
    assert top(running, "week") == []
    assert top(running, "week", "?period=1") == [(1, "cy"), (2, "bob"), (3, "dan")]
    for path, seen in see(running).items():
        if any(read in path for read in OF_THE_PLAYER):
            assert seen["code"] == "player-not-found", (path, seen)
        else:
            assert ADA not in str(seen), (path, seen)
    assert ADA not in str(running.get("/v1/events").json)
    assert leaderboard(world, "verify").returncode == 0
    assert leaderboard(world, "rebuild", "--all").returncode == 0
    assert top(running, "sum") == [(1, "dan"), (2, "cy"), (3, "bob")]
    assert ADA not in leaderboard(world, "top", "sum", "--json").stdout
    kind = {"ban": "ban", "hide": "hidden"}[verb]
    assert changed == state(running) and changed[kind]["reason"] == "speed hack" and changed[kind]["actor"] is None
    assert ok(act(running, back, ADA)) == {"userId": ADA, "ban": None, "hidden": None} == state(running)
    assert see(running) == before
    assert running.get("/v1/events").json["items"][: len(told)] == told
    assert leaderboard(world, "verify").returncode == 0
    acts = running.get("/v1/audit?targetType=player").json["items"]
    assert [one["action"] for one in acts] == [f"player.{back}", f"player.{verb}"]
    assert acts[1]["reason"] == "speed hack" and acts[1]["after"] == changed and acts[1]["actor"] is None
    assert acts[0]["before"] == changed and acts[0]["after"][kind] is None


def test_a_banned_player_does_not_submit_and_batch_mates_do(running: Http, world: World) -> None:
    put(running, "lap", operator="best")
    first = submit(running, "sum", ADA, key="k1", delta=5)
    assert first.status == 202
    ok(act(running, "ban", ADA, FOREVER))
    # The first one lets the worker know that there are bans, the second one is sent with the text that looks for them.
    for season, number in 2 * (("sum", {"delta": 1}), ("lap", {"score": 1})):
        refused = submit(running, season, ADA, **number)
        assert (refused.status, refused.json["code"]) == (403, "player-banned"), refused.body
        refused = submit(running, season, ADA, key="k2", **number)
        assert (refused.status, refused.json["code"]) == (403, "player-banned"), refused.body
        batch = {"submissions": [{"userId": user, **number} for user in ("bob", ADA, "cy")]}
        answer = running.ask("POST", f"{base(season)}/scores/batch", json.dumps(batch).encode(), JSON)
        assert answer.status in (200, 202, 207), answer.body
        codes = [item.get("code") or item.get("error", {}).get("code") for item in answer.json["results"]]
        assert codes == [None, "player-banned", None], answer.body
    # A key's first answer is looked up before the ban.
    assert submit(running, "sum", ADA, key="k1", delta=5).body == first.body
    assert world.rows("SELECT user_id, delta FROM ledger ORDER BY submission")[0] == (ADA, 5)
    assert world.value("SELECT count(*) FROM ledger WHERE user_id = %s", ADA) == 1
    ok(act(running, "unban", ADA))
    assert submit(running, "sum", ADA, key="k2", delta=1).json["score"] == 6


def codes(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


@pytest.mark.parametrize("key", [None, "k1"])
@pytest.mark.parametrize("rule", [{}, {"operator": "best"}])
def test_the_first_submission_that_a_worker_gets_after_a_ban_is_refused(
    world: World, rule: dict[str, Any], key: str | None
) -> None:
    """Until then it has sent the texts that look whether there is any restriction, and for no player."""
    world.define("s", **rule)
    number = {"score": 1} if rule else {"delta": 1}
    with serving(world) as api, api.client() as http:
        assert submit(http, "s", "bob", **number).status == 202
        restrict(world, "ban", ADA)
        assert codes(submit(http, "s", ADA, key=key, **number)) == (403, "player-banned")
        assert submit(http, "s", "bob", key=key, **number).status == 202
    assert world.value("SELECT count(*) FROM ledger WHERE user_id = %s", ADA) == 0


def test_a_ban_in_some_seasons_leaves_the_others_alone(running: Http, world: World) -> None:
    put(running, "fed", operator="best")
    put(running, "free")
    put(running, "main", feeds=["fed", "free"])
    for user in (ADA, "bob"):
        assert submit(running, "main", user, delta=3).status == 202
    eventually(lambda: len(top(running, "fed")) == len(top(running, "free")) == 2)
    ok(act(running, "ban", ADA, {**FOREVER, "seasons": ["fed"]}))
    assert top(running, "fed") == [(1, "bob")] and len(top(running, "free")) == len(top(running, "main")) == 2
    # A fed season is skipped, and named; submitted to by itself it refuses.
    fed = submit(running, "main", ADA, delta=4)
    assert fed.status == 202 and fed.json["skipped"] == [{"seasonId": "fed", "code": "player-banned"}], fed.body
    assert codes(submit(running, "fed", ADA, score=9)) == (403, "player-banned")
    query = "SELECT season_id, score FROM score JOIN season USING (period_id) WHERE user_id = %s ORDER BY 1"
    assert world.rows(query, ADA) == [("fed", 3), ("free", 7), ("main", 7)]
    # Another ban takes its place.
    state = ok(act(running, "ban", ADA, {**FOREVER, "seasons": ["main"]}))
    assert state["ban"]["seasons"] == ["main"]
    assert codes(submit(running, "main", ADA, delta=4)) == (403, "player-banned")
    assert len(top(running, "fed")) == 2 and top(running, "main") == [(1, "bob")]
    # Without seasons it is every one, those to come as well.
    ok(act(running, "ban", ADA, FOREVER))
    put(running, "later", operator="best")
    assert codes(submit(running, "later", ADA, score=9)) == (403, "player-banned")
    assert codes(submit(running, "unheard-of", ADA, delta=9)) == (403, "player-banned")


def test_a_hidden_player_submits_and_is_shown_with_all_of_it(running: Http) -> None:
    submit(running, "sum", ADA, delta=5)
    submit(running, "sum", "bob", delta=1)
    ok(act(running, "hide", ADA, None, **{"X-Audit-Log-Reason": "looked%20into"}))
    assert submit(running, "sum", ADA, delta=5).json["score"] == 10
    assert submit(running, "new", ADA, delta=1).status == 202
    submit(running, "sum", "bob", delta=1)
    eventually(lambda: running.rank("sum", "bob").json["score"] == 2)
    assert top(running, "sum") == [(1, "bob")] and top(running, "new") == []
    assert ok(running.get(f"/v1/players/{quote(ADA, safe='')}/moderation"))["hidden"]["reason"] == "looked into"
    # Banned as well, the player stays hidden when the ban ends.
    ok(act(running, "ban", ADA, FOREVER))
    assert codes(submit(running, "sum", ADA, delta=5)) == (403, "player-banned")
    assert ok(act(running, "unban", ADA, {"reason": "a mistake"}))["hidden"] is not None
    assert top(running, "sum") == [(1, "bob")]
    assert ok(act(running, "show", ADA))["hidden"] is None
    assert top(running, "sum") == [(1, ADA), (2, "bob")] and top(running, "new") == [(1, ADA)]


def test_a_ban_ends_by_itself(world: World) -> None:
    """Submissions are accepted from that time on; the keeper brings the rest back."""
    world.submit(("s", ADA, 5), ("s", "bob", 1))
    world.carry_everything()
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="500") as api, api.client() as http:
        body = {**FOREVER, "until": "2999-01-01T00:00:00Z"}
        assert codes(act(http, "ban", ADA, body)) == (503, "moderation-pending")
        assert state(http)["ban"]["until"] == "2999-01-01T00:00:00Z"
        world.carry_everything()
        assert [user for user, _, _ in world.board("s")] == ["bob"]
        keeper = keeper_of(world)
        assert keeper.end_bans(world.db) == 0
        assert codes(submit(http, "s", ADA, delta=1)) == (403, "player-banned")
        world.execute("UPDATE restriction SET ban_until = clock_timestamp()")
        assert submit(http, "s", ADA, delta=1).json["score"] == 6 and state(http)["ban"] is None
        world.carry_everything()
        assert [user for user, _, _ in world.board("s")] == ["bob"]
        assert keeper.end_bans(world.db) == 1 and keeper.end_bans(world.db) == 0
        world.carry_everything()
        assert world.board("s") == world.expected("s") and len(world.board("s")) == 2


def test_a_change_whose_process_ended_is_carried_further(world: World) -> None:
    world.submit(("s", ADA, 5), ("s", "bob", 1))
    world.carry_everything()
    restrict(world, "ban", ADA)
    world.carry_everything()
    assert len(world.board("s")) == 2
    assert keeper_of(world).end_bans(world.db) == 1
    world.carry_everything()
    assert [user for user, _, _ in world.board("s")] == ["bob"]


def test_a_period_that_closes_meanwhile_is_told_without_the_player(running: Http, world: World) -> None:
    put(running, "week", operator="best", ranking="competition")
    for user, score in (("bob", 7), (ADA, 9), ("cy", 9), ("dan", 7), ("eve", 8)):
        submit(running, "week", user, score=score)
    ok(act(running, "hide", ADA))
    ok(act(running, "ban", "eve", FOREVER))
    assert running.ask("POST", f"{base('week')}/reset").status == 200
    (event,) = eventually(lambda: running.get("/v1/events?kind=period.closed").json["items"])
    assert event["data"]["players"] == 3
    assert [(row["rank"], row["userId"]) for row in event["data"]["top"]] == [(1, "cy"), (2, "bob"), (2, "dan")]
    # The event is a record of that time: a player who comes back is in no earlier one.
    ok(act(running, "show", ADA))
    assert running.get("/v1/events?kind=period.closed").json["items"] == [event]
    assert top(running, "week", "?period=1")[:3] == [(1, ADA), (1, "cy"), (3, "bob")]


def test_a_submission_under_way_is_not_shown(world: World) -> None:
    """Its statement began before the ban, and ends after the ban's hints were written."""
    world.submit(("s", "bob", 1))
    world.carry_everything()
    with psycopg.connect(world.settings.database_url) as other:
        adapt_arrays(other)
        assert world.submit(("s", ADA, 5), db=other)[0][0] == 0
        restrict(world, "ban", ADA)
        hint(world, ADA)
        world.carry_everything()
    world.carry_everything()
    assert [user for user, _, _ in world.board("s")] == ["bob"]
    assert world.value("SELECT count(*) FROM outbox") == 0
    restrict(world, "unban", ADA)
    hint(world, ADA)
    world.carry_everything()
    assert world.board("s") == world.expected("s") and len(world.board("s")) == 2


def test_a_season_that_is_set_aside_keeps_the_answer_waiting(world: World) -> None:
    """Relays drop its hints, and its board is as it was until it is loaded anew."""
    world.submit(("s", ADA, 5), ("s", "bob", 1))
    world.carry_everything()
    with serving(world, LEADERBOARD_WRITE_DEADLINE_MS="1500") as api, relaying(world), api.client() as http:
        world.execute(
            "INSERT INTO ailing (season_id, partition, reason, retry_at) "
            "SELECT season_id, partition, 'a test', now() + interval '1 hour' FROM season"
        )
        assert codes(act(http, "ban", ADA, FOREVER)) == (503, "moderation-pending")
        eventually(lambda: world.value("SELECT count(*) FROM outbox") == 0)
        assert len(world.board("s")) == 2
        # Of a player who is not there nothing has to be carried.
        assert act(http, "ban", "eve", FOREVER).status == 200
        world.execute("UPDATE ailing SET retry_at = now()")
        eventually(lambda: act(http, "ban", ADA, FOREVER).status == 200)
        assert [user for user, _, _ in world.board("s")] == ["bob"]


@pytest.mark.parametrize(
    ("verb", "body", "status", "code"),
    [
        ("ban", b"", 400, "malformed-json"),
        ("ban", b"{", 400, "malformed-json"),
        ("ban", b"[]", 400, "invalid-body"),
        ("ban", b'"ada"', 400, "invalid-body"),
        ("ban", b'{"reason":"x","why":1}', 400, "invalid-body"),
        ("ban", b'{"reason":"x","reason":"y"}', 400, "invalid-body"),
        ("ban", b"{}", 400, "invalid-moderation-reason"),
        ("ban", b'{"reason":""}', 400, "invalid-moderation-reason"),
        ("ban", b'{"reason":null}', 400, "invalid-moderation-reason"),
        ("ban", b'{"reason":7}', 400, "invalid-moderation-reason"),
        ("ban", b'{"reason":"a\\u0000"}', 400, "invalid-moderation-reason"),
        ("ban", json.dumps({"reason": "x" * 513}).encode(), 400, "invalid-moderation-reason"),
        ("ban", b'{"reason":"x","seasons":[]}', 400, "invalid-ban-seasons"),
        ("ban", b'{"reason":"x","seasons":null}', 400, "invalid-ban-seasons"),
        ("ban", b'{"reason":"x","seasons":"s"}', 400, "invalid-ban-seasons"),
        ("ban", b'{"reason":"x","seasons":["s","s"]}', 400, "invalid-ban-seasons"),
        ("ban", b'{"reason":"x","seasons":["s",7]}', 400, "invalid-ban-seasons"),
        ("ban", b'{"reason":"x","seasons":["s\\n"]}', 400, "invalid-ban-seasons"),
        (
            "ban",
            json.dumps({"reason": "x", "seasons": [f"s{n}" for n in range(101)]}).encode(),
            400,
            "invalid-ban-seasons",
        ),
        ("ban", b'{"reason":"x","seasons":["s","unknown"]}', 404, "season-not-found"),
        ("ban", b'{"reason":"x","until":"2001-01-01T00:00:00Z"}', 400, "invalid-until"),
        ("ban", b'{"reason":"x","until":"2999-01-01T00:00:00"}', 400, "invalid-until"),
        ("ban", b'{"reason":"x","until":"tomorrow"}', 400, "invalid-until"),
        ("ban", b'{"reason":"x","until":4102444800}', 400, "invalid-until"),
        ("ban", b'{"reason":"x","until":null}', 400, "invalid-until"),
        ("ban", b'{"reason":"x","until":"9999-12-31T23:59:59-01:00"}', 400, "invalid-until"),
        ("ban", b'{"reason":"' + b"x" * 33_000 + b'"}', 413, "body-too-large"),
        ("hide", b"[]", 400, "invalid-body"),
        ("unban", b'{"why":"x"}', 400, "invalid-body"),
        ("show", b'{"reason":""}', 400, "invalid-moderation-reason"),
    ],
)
def test_bad_input_writes_nothing(quiet: tuple[World, Http], verb: str, body: bytes, status: int, code: str) -> None:
    world, http = quiet
    answer = http.ask("POST", f"/v1/players/ada/{verb}", body, JSON)
    assert codes(answer) == (status, code), answer.body
    assert world.value("SELECT count(*) FROM restriction") == world.value("SELECT count(*) FROM audit") == 0


@pytest.fixture(scope="module")
def quiet(servers: Embedded) -> Iterator[tuple[World, Http]]:
    """A server without relays, and a season."""
    with world_on(servers, redis_db=3) as world:
        world.create("s")
        with serving(world) as api, api.client() as http:
            yield world, http


def test_who_may_ban(world: World) -> None:
    moderator, other = world.key("moderate"), world.key("read", "submit", "admin")
    with serving(world, LEADERBOARD_AUTH="keys") as api, api.client() as http:
        api.until_known(moderator, http)
        for verb in ("ban", "unban", "hide", "show"):
            body = FOREVER if verb == "ban" else None
            assert act(http, verb, ADA, body).status == 401
            assert codes(act(http, verb, ADA, body, **bearer(other))) == (403, "scope-missing")
        limited = world.key("moderate", seasons=["s"])
        api.until_known(limited, http)
        assert act(http, "ban", ADA, FOREVER, **bearer(limited)).status == 403
        assert world.value("SELECT count(*) FROM restriction") == 0
        banned = ok(act(http, "ban", ADA, FOREVER, **bearer(moderator)))
        assert banned["ban"]["actor"] == {"type": "key", "id": moderator.split("_")[1]}, (banned, moderator)
        path = f"/v1/players/{quote(ADA, safe='')}/moderation"
        assert ok(http.ask("GET", path, None, bearer(moderator))) == banned
        assert http.ask("GET", path, None, bearer(other)).status == 403
        # One who was never seen can be banned, and one who is not banned can be unbanned: nothing is noted of that.
        assert ok(act(http, "unban", "eve", None, **bearer(moderator))) == {
            "userId": "eve",
            "ban": None,
            "hidden": None,
        }
        assert world.value("SELECT count(*) FROM audit WHERE action LIKE 'player.%%'") == 1


def test_an_erased_player_is_not_banned_any_more(world: World) -> None:
    world.submit(("s", ADA, 5))
    restrict(world, "ban", ADA)
    assert leaderboard(world, "erase", ADA).returncode == 0
    assert world.value("SELECT count(*) FROM restriction") == 0
