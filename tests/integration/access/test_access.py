"""Who may do what: every route, every state of a credential, own and other seasons, both paths."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator

import falcon.asgi
import pytest
from falcon.testing import TestClient
from support.http import JSON, Http, bearer
from support.operations import BY_BODY, OTHER, OWN, SPELLING, ask, books, encoded, request_of
from support.processes import Api
from support.world import World

from service.access import key_text as keytext
from service.contract.operation import Operation
from service.contract.scopes import SCOPES
from service.http.authorization import AuthMiddleware
from service.http.openapi import make_document
from service.http.request import Request, Response
from service.routes import OPERATIONS


class Credentials:
    """One credential in every state, made once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.full = world.key()
        self.by_scopes = {
            scopes: world.key(*scopes)
            for n in range(1, len(SCOPES) + 1)
            for scopes in itertools.combinations(SCOPES, n)
        }
        self.limited = {scope: world.key(scope, seasons=[OWN]) for scope in SCOPES}
        self.revoked = world.key()
        world.db.execute("UPDATE api_key SET revoked_at = now() WHERE id = %s", (id_of(self.revoked),))
        self.expired = world.key(life_s=1)
        world.db.execute("UPDATE api_key SET expires_at = now() WHERE id = %s", (id_of(self.expired),))
        self.unknown = keytext.make_key()[0]
        # The id exists, the secret is another one.
        text = f"{keytext.PREFIX}{id_of(self.full)}_{'x' * keytext.SECRET_LENGTH}"
        self.impostor = text + keytext.compute_checksum(text)
        self.mistyped = self.full[:-1] + ("0" if self.full[-1] != "0" else "1")

    def bad(self) -> dict[str, tuple[dict[str, str], str]]:
        """Headers, and the code they get wherever a credential is needed."""
        return {
            "none": ({}, "credential-missing"),
            "empty": ({"Authorization": ""}, "credential-malformed"),
            "basic": ({"Authorization": "Basic YTpi"}, "credential-malformed"),
            "bare": ({"Authorization": self.full}, "credential-malformed"),
            "two spaces": ({"Authorization": f"Bearer  {self.full}"}, "credential-malformed"),
            "no token": ({"Authorization": "Bearer"}, "credential-malformed"),
            "endless": (bearer("x" * 5_000), "credential-malformed"),
            "a foreign token": (bearer("eyJhbGciOiJub25lIn0.e30."), "credential-malformed"),
            "mistyped": (bearer(self.mistyped), "credential-malformed"),
            "unknown": (bearer(self.unknown), "credential-unknown"),
            "wrong secret": (bearer(self.impostor), "credential-unknown"),
            "revoked": (bearer(self.revoked), "credential-revoked"),
            "expired": (bearer(self.expired), "credential-expired"),
        }


def id_of(key: str) -> str:
    return key.split("_")[1]


@pytest.fixture(scope="session")
def credentials(guarded: Api) -> Credentials:
    made = Credentials(guarded.world)
    guarded.until_known(made.full)
    return made


@pytest.fixture
def client(guarded: Api) -> Iterator[Http]:
    with guarded.client() as http:
        yield http


OPS = pytest.mark.parametrize("op", OPERATIONS, ids=lambda op: op.name)
GUARDED_OPS = pytest.mark.parametrize("op", [op for op in OPERATIONS if op.scope], ids=lambda op: op.name)


def test_only_these_operations_need_no_credential() -> None:
    probes, pages = {"getLive", "getHealth", "getReady"}, {"showBoard", "showEmbedded", "showReference", "getAsset"}
    operators = {"showAdmin", "showSession", "signIn", "signOut"}
    assert {op.name for op in OPERATIONS if op.scope is None} == {"getOpenapi", "givePass"} | probes | pages | operators
    assert all(op.scope is None or op.scope in SCOPES for op in OPERATIONS)


@OPS
@SPELLING
def test_a_bad_credential_gets_nothing_done(
    client: Http, credentials: Credentials, op: Operation, spelt: Callable[[str], str]
) -> None:
    before = books(credentials.world)
    for name, (headers, code) in credentials.bad().items():
        answer = ask(client, op, spelt(OWN), headers)
        if op.scope is None:
            assert answer.status == 200 or answer.json["code"] == BY_BODY[op.name], name
            continue
        assert (answer.status, answer.json["code"]) == (401, code), name
        assert answer.kind == "application/problem+json"
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith('Bearer realm="leaderboard"'), name
        # RFC 6750, 3.1: a request without a credential is not told of an error.
        assert ('error="invalid_token"' in challenge) == (name != "none")
        assert keytext.PREFIX not in answer.body.decode()
    if op.scope is not None:
        assert books(credentials.world) == before


@GUARDED_OPS
@SPELLING
def test_a_key_does_what_its_scopes_say(
    client: Http, credentials: Credentials, op: Operation, spelt: Callable[[str], str]
) -> None:
    for scopes, key in credentials.by_scopes.items():
        for season in (OWN, OTHER):
            before = books(credentials.world)
            answer = ask(client, op, spelt(season), bearer(key))
            if op.scope in scopes:
                assert answer.status not in (401, 403), (scopes, answer.body)
            else:
                assert (answer.status, answer.json["code"]) == (403, "scope-missing"), scopes
                challenge = answer.headers["www-authenticate"]
                assert challenge == f'Bearer realm="leaderboard", error="insufficient_scope", scope="{op.scope}"'
                assert books(credentials.world) == before


@GUARDED_OPS
@SPELLING
def test_a_limited_key_stays_in_its_season(
    client: Http, credentials: Credentials, op: Operation, spelt: Callable[[str], str]
) -> None:
    assert op.scope is not None
    headers = bearer(credentials.limited[op.scope])
    if "{sid}" in op.path:
        assert ask(client, op, spelt(OWN), headers).status not in (401, 403)
    before = books(credentials.world)
    answer = ask(client, op, spelt(OTHER), headers)
    assert (answer.status, answer.json["code"]) == (403, "season-forbidden")
    assert books(credentials.world) == before


@GUARDED_OPS
def test_the_document_tells_of_it(op: Operation) -> None:
    entry = make_document()["paths"][op.path][op.method.lower()]
    anonymous = [{}] if op.scope == "read" and "{sid}" in op.path else []
    assert entry["security"] == [{"bearer": [op.scope]}, *anonymous]
    assert "`credential-missing`" in entry["responses"]["401"]["description"]
    assert "`scope-missing`" in entry["responses"]["403"]["description"]
    assert "security" not in make_document(guarded=False)["paths"][op.path][op.method.lower()]


@pytest.mark.parametrize("path", sorted({op.path for op in OPERATIONS}))
@pytest.mark.parametrize("method", ["HEAD", "GET", "PUT", "PATCH", "POST", "DELETE", "TRACE"])
def test_what_is_not_in_the_table_is_no_operation(
    client: Http, credentials: Credentials, method: str, path: str
) -> None:
    offered = {op.method for op in OPERATIONS if op.path == path}
    offered |= {"HEAD"} if "GET" in offered else set()
    if method in offered:
        return
    for headers in ({}, bearer(credentials.full)):
        answer = client.ask(method, path.replace("{sid}", OWN).replace("{id}", "0000000000"), None, headers)
        assert answer.status == 405
        assert set(answer.headers["allow"].split(", ")) == {*offered, "OPTIONS"}


class Forgotten:
    """A resource that is added without a word in the table."""

    async def on_get(self, req: Request, resp: Response, **params: str) -> None:
        resp.text = "whatever it gives away"

    on_put = on_delete = on_get


def test_a_route_without_a_rule_is_shut() -> None:
    app = falcon.asgi.App(request_type=Request, middleware=[AuthMiddleware()])
    app.add_route("/v1/players/{id}", Forgotten())
    app.add_route("/v1/seasons/{sid}", Forgotten())
    app.add_route("/livez", Forgotten())
    client = TestClient(app)
    shut = [client.simulate_get("/v1/players/ada"), client.simulate_get("/v1/seasons/s"), client.simulate_put("/livez")]
    # Even an operation of the table: this resource asks for no credential.
    shut.append(client.simulate_delete("/v1/seasons/s"))
    for answer in shut:
        assert answer.status_code == 405 and "gives away" not in answer.text
    assert client.simulate_get("/livez").text == "whatever it gives away"


@GUARDED_OPS
@SPELLING
def test_two_credentials_are_none(
    guarded: Api, credentials: Credentials, op: Operation, spelt: Callable[[str], str]
) -> None:
    method, path, body = request_of(op, spelt(OWN))
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *2 * [f"Authorization: Bearer {credentials.full}"]]
    with guarded.client() as http:
        connection = http.connection
        connection.putrequest(method, path, skip_accept_encoding=True)
        for line in lines[2:]:
            connection.putheader(*line.split(": ", 1))
        if body is not None:
            connection.putheader("Content-Type", "application/json")
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = http.receive()
    assert (answer.status, answer.json["code"]) == (401, "credential-malformed")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_both_paths_agree_on_every_header(client: Http, credentials: Credentials, scheme: str) -> None:
    for headers, _ in credentials.bad().values():
        one, other = (ask(client, OPERATIONS[0], spelt(OWN), headers) for spelt in (str, encoded))
        assert (one.status, one.body) == (other.status, other.body)
        for answer in (one, other):
            answer.headers.pop("date")
            assert answer.headers.pop("x-request-id")
        assert one.headers == other.headers
    for name in (OWN, encoded(OWN)):
        path = f"/v1/seasons/{name}/leaderboard/top"
        assert client.ask("GET", path, None, {"Authorization": f"{scheme} {credentials.full}"}).status == 200


def test_a_limited_key_cannot_be_used_to_get_another(client: Http, credentials: Credentials) -> None:
    body = json.dumps({"name": "x", "scopes": list(SCOPES)}).encode()
    answer = client.ask("POST", "/v1/keys", body, {**JSON, **bearer(credentials.limited["admin"])})
    assert (answer.status, answer.json["code"]) == (403, "season-forbidden")
