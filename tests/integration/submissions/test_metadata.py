"""What a submission tells of its run: `metadata` of the run that counts, and the client's version."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.marks import walks
from support.processes import Api, serving
from support.proxy import Proxy
from support.relays import Unsignalled
from support.submitting import problem, queued_together
from support.waiting import eventually
from support.world import World

from relay.janitor import Janitor

WAIT = {**JSON, "Prefer": "wait=5"}


def define(http: Http, season: str, **members: Any) -> None:
    answer = http.ask("PUT", base(season), json.dumps(members).encode(), JSON)
    assert answer.status in (200, 201), answer.body


def send(http: Http, season: str, user: str, number: int, **more: Any) -> Answer:
    """Submit a score, or a delta where the season's name begins with "sum"; the board shows it afterwards."""
    member = "delta" if season.startswith("sum") else "score"
    body = json.dumps({"userId": user, member: number, **more}).encode()
    return http.post_raw(season, body, WAIT)


def show(http: Http, season: str, user: str, metadata: str = "true") -> Any:
    """The metadata that a rank read shows; its other members are those of one without."""
    query = urlencode({"userId": user, "metadata": metadata})
    answer = http.get(f"{base(season)}/leaderboard/rank?{query}")
    assert answer.status == 200, answer.body
    told = answer.json
    metadata = told.pop("metadata")
    assert told == http.rank(season, user).json
    return metadata


def test_the_run_that_counts_shows_its_metadata(http: Http, season: str) -> None:
    define(http, season, operator="best", order="asc")
    runs = [(50, {"car": "red"}), (60, {"car": "blue"}), (40, {"car": "green"}), (40, {"car": "late"})]
    shown = []
    for score, metadata in runs:
        assert send(http, season, "ada", score, metadata=metadata).status == 200
        shown.append(show(http, season, "ada")["car"])
    assert shown == ["red", "red", "green", "green"]
    send(http, season, "bob", 45, metadata={})
    assert show(http, season, "bob") == {}
    send(http, season, "cy", 30)
    assert show(http, season, "cy") is None
    # A better run that tells nothing has nothing to show.
    send(http, season, "ada", 30)
    assert show(http, season, "ada") is None
    send(http, season, "ada", 35, metadata={"car": "slow"})
    assert show(http, season, "ada") is None


def test_of_sums_and_of_last_runs_the_latest_counts(http: Http, season: str) -> None:
    define(http, season, operator="last")
    for name in (season, f"sum {season}"):
        for number in (5, 3):
            send(http, name, "ada", number, metadata={"n": number})
            assert show(http, name, "ada") == {"n": number}
        send(http, name, "ada", 4)
        assert show(http, name, "ada") is None
        send(http, name, "ada", 6, metadata={"n": 6})
        assert show(http, name, "ada") == {"n": 6}
    # The statement of plain seasons, which knows nothing of metadata, makes them those of an older run.
    assert http.post(f"sum {season}", "ada", 1).status == 202
    eventually(lambda: http.rank(f"sum {season}", "ada").json["score"] == 5 + 3 + 4 + 6 + 1)
    assert show(http, f"sum {season}", "ada") is None


def test_in_one_statement_the_run_that_counts_decides(world: World) -> None:
    """Several runs of one player, which wait for one commit, in a batch request and among requests."""
    for name, operator in (("best", "best"), ("last", "last"), ("sum", "sum")):
        world.define(name, operator=operator)
    with serving(world) as api, api.client() as http:
        for name in ("best", "last", "sum"):
            member = "delta" if name == "sum" else "score"
            items: list[dict[str, Any]] = [
                {"userId": "ada", member: 1, "metadata": {"n": 1}},
                {"userId": "bob", member: 1, "metadata": {"n": 2}},
                {"userId": "ada", member: 9, "metadata": {"n": 3}},
                {"userId": "bob", member: 5},
                {"userId": "ada", member: 9, "metadata": {"n": 4}},
            ]
            answer = http.ask("POST", f"{base(name)}/scores/batch", json.dumps({"submissions": items}).encode(), JSON)
            assert [one["status"] for one in answer.json["results"]] == [202] * 5
        assert world.value("SELECT count(DISTINCT xmin::text) FROM ledger") == 3
        world.carry_everything()
        assert [(show(http, name, "ada"), show(http, name, "bob")) for name in ("best", "last", "sum")] == [
            ({"n": 3}, None), ({"n": 4}, None), ({"n": 4}, None),
        ]  # fmt: skip


METADATA: list[dict[str, Any]] = [
    {},
    {"track": "north", "laps": [1, 2.5, -3e10, True, None], "ghost": {"a": {"b": {"c": {"d": {"e": {"f": 1}}}}}}},
    {"\u00e9\U0001f3c1": '\u2028\x7f \\ " / \x00\x1f'},
    {"big": 2**63, "small": -(2**63), "tiny": 5e-324},
    {"x": "y" * (1024 - len('{"x":""}'))},
]


@pytest.mark.parametrize("metadata", METADATA)
def test_metadata_come_back_as_they_were_sent(http: Http, season: str, metadata: dict[str, Any]) -> None:
    define(http, season, operator="best")
    assert send(http, season, "ada", 1, metadata=metadata).status == 200
    assert show(http, season, "ada") == metadata


def deep(levels: int) -> dict[str, Any]:
    """An object with this many levels of objects and arrays."""
    value: Any = {} if levels == 1 else []
    for _ in range(levels - 2):
        value = [value]
    return {} if levels == 1 else {"a": value}


WRONG: list[tuple[str, str]] = [
    ('"metadata":' + json.dumps({"x": "y" * 1017}), "invalid-metadata"),
    ('"metadata":' + json.dumps(deep(9)), "invalid-metadata"),
    ('"metadata":{"a":' + "[" * 200 + "]" * 200 + "}", "invalid-metadata"),
    ('"metadata":[]', "invalid-metadata"),
    ('"metadata":"{}"', "invalid-metadata"),
    ('"metadata":null', "invalid-metadata"),
    ('"metadata":5', "invalid-metadata"),
    ('"metadata":{"a":1e400}', "invalid-metadata"),
    ('"metadata":{"a":"\\ud800"}', "malformed-json"),
    ('"metadata":{"a":1,"a":2}', "invalid-body"),
    ('"metadata":{},"metadata":{}', "invalid-body"),
    ('"metadata":{"a":NaN}', "malformed-json"),
    ('"clientVersion":""', "invalid-client-version"),
    ('"clientVersion":"' + "x" * 65 + '"', "invalid-client-version"),
    ('"clientVersion":"1\\u0000"', "invalid-client-version"),
    ('"clientVersion":"1\\n"', "invalid-client-version"),
    ('"clientVersion":"\\u200b"', "invalid-client-version"),
    ('"clientVersion":1', "invalid-client-version"),
    ('"clientVersion":null', "invalid-client-version"),
    ('"clientVersion":"1","clientVersion":"2"', "invalid-body"),
]


@pytest.mark.parametrize(("member", "code"), WRONG)
def test_wrong_members_are_refused_alone(http: Http, season: str, api: Api, member: str, code: str) -> None:
    wrong = f'{{"userId":"ada","delta":1,{member}}}'
    problem(http.post_raw(season, wrong.encode()), 400, code)
    mates = '{"userId":"bob","delta":1}', '{"userId":"cy","delta":1,"metadata":{},"clientVersion":"1"}'
    body = f'{{"submissions":[{mates[0]},{wrong},{mates[1]}]}}'.encode()
    answer = http.ask("POST", f"{base(season)}/scores/batch", body, JSON)
    if code == "malformed-json":
        # The body as a whole is no JSON.
        problem(answer, 400, code)
        assert api.world.expected(season) == []
    else:
        assert [(one["status"], one.get("code")) for one in answer.json["results"]] == [
            (202, None), (400, code), (202, None),
        ]  # fmt: skip
        assert {user for user, _, _ in api.world.expected(season)} == {"bob", "cy"}


@pytest.mark.parametrize("levels", [9, 400, 900, *range(930, 1000, 10), 2_000, 100_000])
@pytest.mark.parametrize("batch", [False, True])
def test_however_deep_metadata_are_they_are_refused(http: Http, season: str, levels: int, batch: bool) -> None:
    """Two parsers go through them, and each has a depth of its own that it cannot go beyond."""
    item = b'{"userId":"ada","delta":1,"metadata":{"a":' + b"[" * levels + b"]" * levels + b"}}"
    path = f"{base(season)}/scores" + "/batch" * batch
    answer = http.ask("POST", path, b'{"submissions":[%b]}' % item if batch else item, JSON)
    refusal = answer.json["results"][0] if answer.status == 200 else answer.json
    assert (refusal["status"], refusal["code"]) in ((400, "invalid-metadata"), (400, "malformed-json"))


@pytest.mark.parametrize("version", ["2.1.0-beta+5 (\u00e9\u00df\U0001f3c1)", *walks("1", "x" * 64, "!", "a b")])
def test_the_ledger_tells_version_and_metadata_of_every_submission(world: World, version: str) -> None:
    world.define("best", operator="best")
    key = world.key("submit")
    with serving(world, "/readyz", LEADERBOARD_AUTH="keys") as api, api.client() as http:
        for season, member in (("best", {"score": 5}), ("best", {"score": 4}), ("sum", {"delta": 3})):
            body = {"userId": "ada", **member, "clientVersion": version, "metadata": {"of": season, "\u00e9": 1}}
            headers = {**JSON, **bearer(key)}
            assert http.ask("POST", f"{base(season)}/scores", json.dumps(body).encode(), headers).status == 202
    rows = world.rows(
        "SELECT delta, key_id, client_version, get_byte(run, 0), convert_from(substr(run, 2), 'UTF8')::json "
        "FROM ledger l JOIN origin o ON o.id = l.origin ORDER BY submission"
    )
    key_id = key.split("_")[1]
    assert rows == [
        (number, key_id, version, 0, {"of": season, "\u00e9": 1})
        for number, season in ((5, "best"), (4, "best"), (3, "sum"))
    ]


def test_a_retry_is_the_same_in_all_of_its_members(http: Http, season: str) -> None:
    define(http, season, operator="best")
    told = {"metadata": {"a": 1, "b": [2]}, "clientVersion": "1"}
    first = send(http, season, "ada", 5, submissionId="k", **told)
    assert first.status == 200
    again = send(http, season, "ada", 5, submissionId="k", **told)
    assert {**again.json, "previousRank": None} == first.json
    # Members have no order, and JSON has spellings.
    spelled = b'{"clientVersion":"1","metadata":{"b":[ 2 ],"\\u0061":1},"submissionId":"k","score":5.0,"userId":"ada"}'
    assert http.post_raw(season, spelled).json["version"] == first.json["version"]
    for other in ({**told, "clientVersion": "2"}, {**told, "metadata": {}}, {"metadata": told["metadata"]}, {}):
        problem(send(http, season, "ada", 5, submissionId="k", **other), 422, "idempotency-key-reused")
    assert send(http, season, "ada", 5, submissionId="l").status == 200
    problem(send(http, season, "ada", 5, submissionId="l", **told), 422, "idempotency-key-reused")


def test_it_makes_a_new_season_and_counts_beside_plain_submissions(world: World) -> None:
    with serving(world) as api:
        with api.client() as http:
            assert http.post_raw("s", b'{"userId":"x","delta":1,"metadata":{"n":1}}').status == 202
        answers = queued_together(world, api, [("s", 1)] * 3)
        assert [answer.status for answer in answers] == [202] * 3
    assert world.value("SELECT metadata FROM run_metadata WHERE user_id = 'x'") == '{"n":1}'


@pytest.mark.parametrize("by", ["this release", "an older release"])
def test_metadata_go_with_their_period(world: World, by: str) -> None:
    """Also where the janitor of an older release has deleted the period: it knows nothing of them."""
    world.define("best", operator="best")
    with serving(world) as api, api.client() as http:
        for n in range(7):
            body = json.dumps({"userId": f"u{n}", "score": n, "metadata": {"n": n}}).encode()
            assert http.post_raw("best", body).status == 202
        world.reset("best")
        assert http.post_raw("best", b'{"userId":"u1","score":1,"metadata":{"n":9}}').status == 202
    assert world.value("SELECT count(*) FROM run_metadata") == 8
    if by == "an older release":
        world.execute(
            "DELETE FROM score s USING period p WHERE p.period_id = s.period_id AND p.ended_at IS NOT NULL",
            "DELETE FROM period WHERE ended_at IS NOT NULL",
        )
    Janitor(world.settings, Unsignalled()).collect(world.db)
    assert world.rows("SELECT user_id, metadata FROM run_metadata") == [("u1", '{"n":9}')]


@pytest.mark.parametrize("value", ["", "1", "yes", "TRUE"])
def test_the_parameter_is_true_or_false(http: Http, season: str, value: str) -> None:
    http.post(season, "ada", 1)
    problem(http.get(f"{base(season)}/leaderboard/rank?userId=ada&metadata={value}"), 400, "invalid-metadata-flag")
    eventually(lambda: http.rank(season, "ada").status == 200)
    assert "metadata" not in http.get(f"{base(season)}/leaderboard/rank?userId=ada&metadata=false").json


def test_players_and_seasons_that_are_not_there(http: Http, season: str) -> None:
    problem(http.get(f"{base(season)}/leaderboard/rank?userId=ada&metadata=true"), 404, "season-not-found")
    send(http, season, "ada", 1)
    http.post(season, "ada", 1)
    eventually(lambda: http.rank(season, "ada").status == 200)
    problem(http.get(f"{base(season)}/leaderboard/rank?userId=bob&metadata=true"), 404, "player-not-found")


def test_an_older_board_shows_no_metadata_of_a_run_that_it_does_not_show(world: World) -> None:
    world.define("best", operator="best")
    with serving(world) as api, api.client() as http:
        assert http.post_raw("best", b'{"userId":"ada","score":1,"metadata":{"n":1}}').status == 202
        world.carry_everything()
        assert show(http, "best", "ada") == {"n": 1}
        assert http.post_raw("best", b'{"userId":"ada","score":2,"metadata":{"n":2}}').status == 202
        assert show(http, "best", "ada") is None
        world.carry_everything()
        assert show(http, "best", "ada") == {"n": 2}


def test_without_postgresql_ranks_are_read_but_no_metadata(world: World, postgres_proxy: Proxy) -> None:
    url = world.database_url(f"127.0.0.1:{postgres_proxy.port}")
    with serving(world, DATABASE_URL=url, LEADERBOARD_WRITE_DEADLINE_MS="800") as api, api.client() as http:
        assert http.post_raw("s", b'{"userId":"ada","delta":1,"metadata":{"n":1}}').status == 202
        world.carry_everything()
        assert show(http, "s", "ada") == {"n": 1}
        assert world.terminate("leaderboard-boards") == 1
        path = "/v1/seasons/s/leaderboard/rank?userId=ada&metadata=true"
        assert eventually(lambda: http.get(path).status == 200), "another connection takes its place"
        postgres_proxy.cut()
        problem(http.get(path), 503, "store-unavailable")
        assert http.rank("s", "ada").status == 200
        postgres_proxy.open()
        assert eventually(lambda: http.get(path).status == 200)
        assert show(http, "s", "ada") == {"n": 1}
