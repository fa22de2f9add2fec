"""Profiles over HTTP: written, changed, read and deleted, by whoever may."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from support.http import JSON, Answer, Http, bearer
from support.processes import Api, serving
from support.tokens import Issuer, settings
from support.waiting import eventually
from support.world import World

HS = Issuer("HS256")


def path_of(user: str) -> str:
    return f"/v1/players/{quote(user, safe='')}"


def send(http: Http, method: str, user: str, body: Any = None, **headers: str) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    path = f"{path_of(user)}/profile" if method == "DELETE" else path_of(user)
    return http.ask(method, path, data, {**JSON, **{k.replace("_", "-"): v for k, v in headers.items()}})


@pytest.fixture
def user(season: str) -> str:
    """A player whom no other test uses."""
    return f"player of {season} é"


def test_a_profile_is_written_changed_read_and_deleted(http: Http, user: str) -> None:
    assert send(http, "GET", user).json["code"] == "profile-not-found"
    assert send(http, "PATCH", user, {"displayName": "Ada"}).json["code"] == "profile-not-found"
    assert send(http, "DELETE", user).json["code"] == "profile-not-found"
    made = send(http, "PUT", user, {"displayName": "Zoe\u0308", "attributes": {"platform": "pc", "country": "KR"}})
    assert (made.status, made.json) == (
        201,
        {"userId": user, "displayName": "Zo\u00eb", "attributes": {"country": "KR", "platform": "pc"}},
    )
    assert send(http, "GET", user).json == made.json
    patched = send(http, "PATCH", user, {"attributes": {"platform": None}}, Content_Type="application/merge-patch+json")
    assert (patched.status, patched.json["attributes"]) == (200, {"country": "KR"})
    put = send(http, "PUT", user, {})
    assert (put.status, put.json) == (200, {"userId": user, "displayName": None, "attributes": {}})
    gone = send(http, "DELETE", user)
    assert (gone.status, gone.json) == (200, {"userId": user, "deleted": True})
    assert send(http, "GET", user).status == 404


def test_a_change_that_is_based_on_an_older_state_is_refused(http: Http, user: str) -> None:
    assert send(http, "PUT", user, {}, If_Match="*").json["code"] == "precondition-failed"
    first = send(http, "PUT", user, {"displayName": "Ada"}, If_None_Match="*").headers["etag"]
    assert send(http, "PUT", user, {"displayName": "Eve"}, If_None_Match="*").json["code"] == "precondition-failed"
    assert send(http, "GET", user).headers["etag"] == first
    assert send(http, "PUT", user, {"displayName": "Ada"}).headers["etag"] == first, "the same content is no change"
    second = send(http, "PATCH", user, {"displayName": "Bob"}, If_Match=first).headers["etag"]
    assert second != first
    for method, body in (("PUT", {}), ("PATCH", {}), ("DELETE", None)):
        refused = send(http, method, user, body, If_Match=first)
        assert (refused.status, refused.json["code"]) == (412, "precondition-failed")
    assert send(http, "GET", user).json["displayName"] == "Bob"
    assert send(http, "DELETE", user, If_Match=second).status == 200
    # A profile that comes back is another one.
    assert send(http, "PUT", user, {"displayName": "Ada"}).headers["etag"] not in (first, second)


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        ("PUT", {"displayName": "\u202eAda"}, "invalid-display-name"),
        ("PUT", {"attributes": {"a b": "x"}}, "invalid-attributes"),
        ("PUT", {"name": "Ada"}, "invalid-body"),
        ("PATCH", {"displayName": "\u200b"}, "invalid-display-name"),
    ],
)
def test_bad_input_is_named(http: Http, user: str, method: str, body: Any, code: str) -> None:
    send(http, "PUT", user, {"displayName": "Ada"})
    refused = send(http, method, user, body)
    assert (refused.status, refused.json["code"]) == (400, code)
    assert send(http, "GET", user).json["displayName"] == "Ada"


def test_an_id_of_no_player_has_no_profile(http: Http) -> None:
    assert send(http, "PUT", "x" * 129, {}).json["code"] == "invalid-user-id"
    assert send(http, "GET", "a\n").json["code"] == "invalid-user-id"


def test_a_player_writes_its_own_profile_only(world: World) -> None:
    token = bearer(HS.token("ada"))
    reader, writer = bearer(world.key("read")), bearer(world.key("submit"))
    limited = bearer(world.key("submit", seasons=["spring"]))
    players = settings("HS256", LEADERBOARD_PLAYERS="submit")
    with serving(world, "/livez", **players) as api, api.client() as http:
        assert send(http, "PUT", "ada", {"displayName": "Ada"}, **token).status == 201
        for method, body in (("PUT", {}), ("PATCH", {}), ("DELETE", None)):
            refused = send(http, method, "bob", body, **token)
            assert (refused.status, refused.json["code"]) == (403, "player-forbidden")
            refused = send(http, method, "ada", body, **reader)
            assert (refused.status, refused.json["code"]) == (403, "scope-missing")
        assert send(http, "PUT", "bob", {"displayName": "Bob"}, **writer).status == 201
        # The names of others are on every board.
        assert send(http, "GET", "bob", **token).json["displayName"] == "Bob"
        assert send(http, "PUT", "bob", {}, **limited).json["code"] == "season-forbidden"
    assert world.rows("SELECT user_id, display_name FROM player ORDER BY 1") == [("ada", "Ada"), ("bob", "Bob")]


def at_once(api: Api, requests: list[Callable[[Http], Answer]]) -> list[int]:
    """The statuses of requests that are sent together, each on a connection of its own."""
    statuses: list[int] = []

    def ask(request: Callable[[Http], Answer]) -> None:
        with api.client() as mine:
            statuses.append(request(mine).status)

    threads = [threading.Thread(target=ask, args=(request,)) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return sorted(statuses)


def test_of_many_who_write_at_once_one_is_first(user: str, api: Api) -> None:
    names = [f"Name {n}" for n in range(6)]
    put = [partial(send, method="PUT", user=user, body={"displayName": name}) for name in names]
    assert at_once(api, put) == [200] * 5 + [201]
    with api.client() as http:
        held = send(http, "GET", user)
        assert held.json["displayName"] in names
    tag = held.headers["etag"]
    patch = [partial(send, method="PATCH", user=user, body={"displayName": f"{n}"}, If_Match=tag) for n in range(6)]
    assert at_once(api, patch) == [200] + [412] * 5


def test_changes_and_reads_survive_the_end_of_their_connections(http: Http, user: str, api: Api) -> None:
    for turn in range(3):
        body = {"displayName": f"Name {turn}"}
        # One that meets the end itself is told to come again.
        eventually(lambda body=body: send(http, "PUT", user, body).status in (200, 201))
        eventually(lambda body=body: send(http, "GET", user).json.get("displayName") == body["displayName"])
        api.world.terminate("leaderboard-players")


def test_a_change_that_waits_too_long_is_refused(world: World) -> None:
    world.name_player("ada", "Ada")
    with (
        serving(world, "/livez", LEADERBOARD_WRITE_DEADLINE_MS="500") as api,
        api.client() as http,
        psycopg.connect(world.settings.database_url) as other,
    ):
        other.execute("SELECT FROM player FOR UPDATE")
        assert send(http, "PUT", "ada", {}).status in (503, 504)
        assert send(http, "PUT", "bob", {}).status == 201, "others go on"
        other.rollback()
        assert send(http, "PUT", "ada", {"displayName": "Grace"}).status == 200
    assert world.value("SELECT display_name FROM player WHERE user_id = 'ada'") == "Grace"
