"""The audit: each administrative act with who, what, when, why, before and after; written with the act, for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from support.http import JSON, Answer, Http, bearer
from support.processes import Api, leaderboard, relaying, serving
from support.tokens import Issuer, settings
from support.world import World, world_on

from ctl.diagnosis.examine import examine
from ctl.embedded import Embedded
from service.routes import OPERATIONS

WHY = {"X-Audit-Log-Reason": quote("weil es sein muß"), "X-Request-Id": "ticket-17"}
HS = Issuer("HS256")


class Own:
    """A server that needs keys, with a relay, and an administrator's key."""

    def __init__(self, world: World, api: Api, http: Http, key: str) -> None:
        self.world, self.api, self.http, self.key = world, api, http, key

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        sent = {**bearer(key or self.key), **JSON, **{name.replace("_", "-"): text for name, text in headers.items()}}
        return self.http.ask(method, path, data, sent)

    def acts(self, query: str = "") -> list[dict[str, Any]]:
        answer = self.ask("GET", f"/v1/audit{query}")
        assert answer.status == 200, answer.body
        items: list[dict[str, Any]] = answer.json["items"]
        return items


@pytest.fixture(scope="module")
def own(servers: Embedded) -> Iterator[Own]:
    with world_on(servers, redis_db=3) as world, relaying(world):
        key = world.key()
        token = {"LEADERBOARD_PLAYERS": "submit", **settings("HS256")}
        with serving(world, "/readyz", **token) as api, api.client() as http:
            yield Own(world, api, http, key)


def test_each_act_on_a_season_is_noted(own: Own) -> None:
    path = "/v1/seasons/s1"
    made = own.ask("PUT", path, {"operator": "best"}, **{name.replace("-", "_"): text for name, text in WHY.items()})
    assert made.status == 201, made.body
    assert own.ask("PATCH", path, {"title": "Laps"}).status == 200
    assert own.ask("POST", f"{path}/reset").status == 200
    assert own.ask("DELETE", path).status == 200
    emptied, ended, patched, defined = own.acts("?target=s1")
    assert [act["action"] for act in (defined, patched, ended, emptied)] == [
        "season.define", "season.define", "season.end-period", "season.empty",
    ]  # fmt: skip
    assert defined.keys() == {"id", "at", "actor", "requestId", "action", "target", "reason", "before", "after"}
    assert defined["actor"] == {"type": "key", "id": own.key.split("_")[1]}
    assert (defined["requestId"], defined["reason"]) == ("ticket-17", "weil es sein muß")
    assert defined["target"] == {"type": "season", "id": "s1"}
    assert (defined["before"], defined["after"]["operator"]) == (None, "best")
    assert (patched["requestId"], patched["reason"]) == (None, None)
    assert (patched["before"]["title"], patched["after"]["title"]) == ("", "Laps")
    assert patched["before"] == defined["after"]
    numbers = [(act["before"]["period"]["number"], act["after"]["period"]["number"]) for act in (ended, emptied)]
    assert numbers == [(1, 2), (2, 3)]


def test_each_act_on_a_key_is_noted_without_the_secret(own: Own) -> None:
    made = own.ask("POST", "/v1/keys", {"name": "bot", "scopes": ["read"]}).json
    name = made["made"]["id"]
    successor = own.ask("POST", f"/v1/keys/{name}/rotate", {"graceS": 60}).json
    other = successor["made"]["id"]
    for _ in range(2):
        assert own.ask("DELETE", f"/v1/keys/{name}").status == 200
    revoked, rotated, created = own.acts(f"?target={name}")
    assert [act["action"] for act in (created, rotated, revoked)] == ["key.create", "key.rotate", "key.revoke"]
    assert (created["before"], created["after"]) == (None, made["made"])
    assert rotated["before"] == made["made"] and rotated["after"]["successor"] == other
    assert "revokedAt" not in revoked["before"] and revoked["after"]["revokedAt"]
    (begun,) = own.acts(f"?target={other}")
    assert (begun["action"], begun["after"]) == ("key.create", successor["made"])
    assert not any(text in json.dumps(own.acts()) for text in (made["key"], successor["key"]))


def test_an_administrators_change_of_a_profile_is_noted_and_no_other_ones(own: Own) -> None:
    server = own.world.key("read", "submit")
    own.api.until_known(server, own.http)
    path = "/v1/players/ada"
    assert own.ask("PUT", path, {"displayName": "Rude"}, key=server).status == 201
    assert own.ask("PATCH", path, {"displayName": "Ruder"}, key=HS.token("ada")).status == 200
    assert own.acts("?target=ada") == []
    assert own.ask("PATCH", path, {"displayName": "Ada"}, X_Audit_Log_Reason="rude name").status == 200
    assert own.ask("PATCH", path, {"displayName": "Ada"}).status == 200, "the same content is no change"
    assert own.ask("DELETE", f"{path}/profile").status == 200
    deleted, written = own.acts("?target=ada")
    number = written["target"]["number"]
    assert written["target"] == {"type": "player", "id": "ada", "number": number} == deleted["target"]
    assert (written["action"], written["reason"]) == ("profile.write", "rude name")
    shown = {"displayName": "Ada", "attributes": {}}
    assert (written["before"], written["after"]) == ({**shown, "displayName": "Ruder"}, shown)
    assert (deleted["action"], deleted["before"], deleted["after"]) == ("profile.delete", shown, None)


def test_what_is_refused_is_not_noted(own: Own) -> None:
    assert own.ask("PUT", "/v1/seasons/s2", {"operator": "best"}).status == 201
    before = own.acts()
    refused = [
        own.ask("PUT", "/v1/seasons/s2", {}, If_None_Match="*"),
        own.ask("PUT", "/v1/seasons/s2", {"feeds": ["none"]}),
        own.ask("PATCH", "/v1/seasons/none", {}),
        own.ask("POST", "/v1/seasons/none/reset"),
        own.ask("DELETE", "/v1/keys/0000000000"),
        own.ask("PATCH", "/v1/players/none", {}),
        own.ask("PUT", "/v1/seasons/s3", {}, X_Audit_Log_Reason="%00"),
        own.ask("PUT", "/v1/seasons/s3", {}, X_Audit_Log_Reason="%ff"),
        own.ask("PUT", "/v1/seasons/s3", {}, X_Audit_Log_Reason="x" * 513),
        own.ask("PUT", "/v1/players/bob", {}, X_Audit_Log_Reason=""),
    ]
    assert [answer.json["code"] for answer in refused] == [
        "precondition-failed", "invalid-feeds", "season-not-found", "season-not-found", "key-not-found",
        "profile-not-found", *["invalid-reason"] * 4,
    ]  # fmt: skip
    assert own.acts() == before
    assert own.ask("GET", "/v1/seasons/s3").status == 404
    # An unknown season has nothing to be emptied of.
    assert own.ask("DELETE", "/v1/seasons/none").status == 200 and own.acts() == before


ACTS = [
    ("PUT", "/v1/seasons/new", {}, "SELECT count(*) FROM season"),
    ("PATCH", "/v1/seasons/s", {"title": "x"}, "SELECT count(*) FROM season_definition"),
    ("POST", "/v1/seasons/s/reset", None, "SELECT max(number) FROM period"),
    ("DELETE", "/v1/seasons/s", None, "SELECT max(number) FROM period"),
    ("POST", "/v1/keys", {"name": "bot", "scopes": ["read"]}, "SELECT count(*) FROM api_key"),
    ("POST", "/v1/keys/{id}/rotate", None, "SELECT count(*) FROM api_key"),
    ("DELETE", "/v1/keys/{id}", None, "SELECT count(revoked_at) FROM api_key"),
    ("PUT", "/v1/players/bob", {}, "SELECT count(*) FROM player"),
    ("DELETE", "/v1/players/ada/profile", None, "SELECT count(*) FROM player"),
    ("POST", "/v1/players/ada/ban", {"reason": "x"}, "SELECT count(*) FROM restriction"),
    ("POST", "/v1/players/ada/hide", None, "SELECT count(*) FROM restriction"),
]


def test_an_act_that_cannot_be_noted_is_not_done(world: World) -> None:
    """Both are one transaction."""
    world.create("s")
    world.name_player("ada", "Ada")
    admin, other = world.key(), world.key("read")
    noted = world.value("SELECT count(*) FROM audit")
    with serving(world, LEADERBOARD_AUTH="keys") as api, api.client() as http:
        api.until_known(admin, http)
        world.execute("ALTER TABLE audit ADD CONSTRAINT broken CHECK (false) NOT VALID")
        for method, path, body, look in ACTS:
            before = world.value(look)
            data = None if body is None else json.dumps(body).encode()
            answer = http.ask(method, path.format(id=other.split("_")[1]), data, {**bearer(admin), **JSON})
            assert (answer.status, answer.json["code"]) == (503, "store-unavailable"), (path, answer.body)
            assert world.value(look) == before, path
    assert world.value("SELECT count(*) FROM audit") == noted


def test_every_operation_of_administrators_that_changes_something_takes_a_reason() -> None:
    """So a new one is not forgotten. A preview changes nothing."""
    acts = {op.name for op in OPERATIONS if op.writes and op.scope in ("admin", "moderate")} - {"previewSchedule"}
    assert {op.name for op in OPERATIONS if op.is_audited} == acts | {"putProfile", "patchProfile", "deleteProfile"}


def test_pages_and_filters(own: Own) -> None:
    for n in range(5):
        assert own.ask("PUT", f"/v1/seasons/page{n}", {}).status == 201
    whole = own.acts("?limit=1000")
    assert [act["id"] for act in whole] == sorted((act["id"] for act in whole), reverse=True)
    walked, query = [], "?limit=3"
    while True:
        page = own.ask("GET", f"/v1/audit{query}").json
        walked += page["items"]
        # An act that comes meanwhile is on none of the next pages.
        assert own.ask("PUT", "/v1/seasons/later", {}).status in (200, 201)
        if page["nextCursor"] is None:
            break
        query = f"?limit=3&cursor={page['nextCursor']}"
    assert walked == whole
    at = whole[2]["at"]
    chosen = {
        "?action=season.define": lambda act: act["action"] == "season.define",
        "?targetType=key": lambda act: act["target"]["type"] == "key",
        "?targetType=season&target=page1": lambda act: act["target"]["id"] == "page1",
        f"?actor={own.key.split('_')[1]}": lambda act: act["actor"] and act["actor"]["id"] == own.key.split("_")[1],
        "?actor=nobody": lambda act: False,
        f"?from={quote(at)}": lambda act: act["at"] >= at,
        f"?to={quote(at)}": lambda act: act["at"] < at,
    }
    everything = own.acts("?limit=1000")
    for query, is_chosen in chosen.items():
        assert own.acts(f"{query}&limit=1000") == [act for act in everything if is_chosen(act)], query
    refused = {
        "?cursor=x": "invalid-cursor",
        "?cursor=LTE": "invalid-cursor",
        "?limit=1001": "invalid-limit",
        "?action=x": "invalid-action",
        "?targetType=x": "invalid-target-type",
        "?target=": "invalid-target",
        "?actor=%00": "invalid-actor",
        "?from=yesterday": "invalid-instant",
        "?to=2026-11-30T00:00:00": "invalid-instant",
    }
    for query, code in refused.items():
        answer = own.ask("GET", f"/v1/audit{query}")
        assert (answer.status, answer.json["code"]) == (400, code), query
    reader = own.world.key("read", "submit")
    own.api.until_known(reader, own.http)
    assert own.ask("GET", "/v1/audit", key=reader).json["code"] == "scope-missing"


def test_an_open_server_names_nobody(world: World) -> None:
    with serving(world) as api, api.client() as http:
        assert http.ask("PUT", "/v1/seasons/s", b"{}", {**JSON, "X-Request-Id": "r1"}).status == 201
        assert http.ask("PUT", "/v1/players/ada", b"{}", JSON).status == 201
        (act,) = http.get("/v1/audit").json["items"]
        assert (act["actor"], act["requestId"], act["action"]) == (None, "r1", "season.define")


def test_commands_are_noted_with_their_account(world: World) -> None:
    why = ("--reason", "it has to be")
    assert leaderboard(world, "season", "set", "s", "--title", "Spring", *why).returncode == 0
    assert leaderboard(world, "season", "reset", "s").returncode == 0
    made = json.loads(leaderboard(world, "key", "create", "--name", "x", "--scopes", "read", "--json").stdout)
    name = made["made"]["id"]
    assert leaderboard(world, "key", "rotate", name).returncode == 0
    assert leaderboard(world, "key", "revoke", name, *why).returncode == 0
    assert leaderboard(world, "key", "revoke", name, "--reason", "two\nlines").returncode == 2
    done = leaderboard(world, "audit", "--json")
    items = json.loads(done.stdout)["items"]
    assert [act["action"] for act in items] == [
        "key.revoke", "key.rotate", "key.create", "key.create", "season.end-period", "season.define",
    ]  # fmt: skip
    assert [act["reason"] for act in items] == ["it has to be", *[None] * 4, "it has to be"]
    accounts = {act["actor"]["id"] for act in items}
    assert {act["actor"]["type"] for act in items} == {"command"}
    assert len(accounts) == 1 and "@" in accounts.pop()
    shown = leaderboard(world, "audit", "--target", "s", "--limit", "5", COLUMNS="200").stdout
    assert "season.define" in shown and 'title: null → "Spring"' in shown and "it has to be" in shown
    assert "key" not in shown
    assert leaderboard(world, "audit", "--limit", "0").returncode == 2


def test_the_first_key_is_noted(world: World) -> None:
    with serving(world, LEADERBOARD_AUTH="keys"):
        ((action, actor, after),) = world.rows("SELECT action, actor_type, after FROM audit")
        assert (action, actor, json.loads(after)["name"]) == ("key.create", "command", "first")


@pytest.mark.parametrize("change", ["UPDATE audit SET reason = 'x'", "DELETE FROM audit", "TRUNCATE audit"])
def test_nobody_changes_what_is_noted(world: World, change: str) -> None:
    world.define("s")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        world.execute(change)
    # A superuser, whom rights do not bind, is stopped by the trigger.
    with psycopg.connect(world.server_url, autocommit=True) as admin:
        admin.execute(f'SET search_path = "{world.name}"'.encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append only"):
            admin.execute(change.encode())
    assert world.value("SELECT count(*) FROM audit") == 1
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append only"):
        world.execute("UPDATE audit_personal SET before = NULL")


@pytest.mark.parametrize(
    ("state", "severity"),
    [
        ("SELECT 1", "ok"),
        ("GRANT UPDATE ON audit TO CURRENT_USER", "error"),
        ("GRANT UPDATE (reason) ON audit TO CURRENT_USER", "error"),
        ("GRANT DELETE ON audit TO CURRENT_USER", "error"),
        ("GRANT TRUNCATE ON audit TO CURRENT_USER", "error"),
        ("ALTER TABLE audit DISABLE TRIGGER audit_append_only", "error"),
        ("DROP TRIGGER audit_append_only ON audit", "error"),
    ],
)
def test_the_doctor_judges_whether_it_could_be_changed(new_world: World, state: str, severity: str) -> None:
    new_world.execute(state)
    (found,) = [finding for finding in examine(new_world.settings) if finding.check == "audit"]
    assert found.severity == severity
    assert (found.advice == "") is (severity == "ok")


def test_a_restored_audit_is_append_only(new_world: World, tmp_path: Path) -> None:
    """A dump has the trigger, and no rights."""
    new_world.define("s")
    dump = tmp_path / "dump"
    assert leaderboard(new_world, "backup", str(dump)).returncode == 0
    done = leaderboard(new_world, "restore", "--replace", str(dump))
    assert done.returncode == 0, done.stderr
    (found,) = [finding for finding in examine(new_world.settings) if finding.check == "audit"]
    assert found.severity == "ok"
    assert new_world.value("SELECT action FROM audit") == "season.define"
