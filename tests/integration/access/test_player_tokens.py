"""A player's token on a real server: for itself, in its seasons and bounds, on both paths, while keys rotate."""

from __future__ import annotations

import http.server
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.marks import walks
from support.operations import BY_BODY, OTHER, OWN, ask, books, encoded
from support.processes import Api, serving
from support.relays import carrying
from support.tokens import Issuer, jwks, settings
from support.waiting import eventually
from support.world import World, world_on

from ctl.embedded import Embedded
from service.routes import OPERATIONS

HS = Issuer("HS256")


@pytest.fixture(scope="session")
def server(servers: Embedded) -> Iterator[Api]:
    """A server whose players may submit."""
    with (
        world_on(servers, redis_db=2) as world,
        carrying(world, calm=True),
        serving(world, "/readyz", **settings("HS256", LEADERBOARD_PLAYERS="submit")) as api,
    ):
        yield api


@pytest.fixture
def api(server: Api) -> Api:
    """The server without any submission yet."""
    server.world.forget_submissions()
    return server


def post(http: Http, season: str, user: str, delta: int, token: str) -> Answer:
    body = json.dumps({"userId": user, "delta": delta}).encode()
    return http.ask("POST", f"/v1/seasons/{season}/scores", body, {**JSON, **bearer(token)})


@pytest.mark.parametrize("spelt", [str, encoded], ids=["fast path", "ordinary path"])
def test_a_player_submits_for_itself_within_its_bounds(api: Api, spelt: Callable[[str], str]) -> None:
    season = spelt("spring")
    token = HS.token("ada", seasons=["spring"], min_delta=1, max_delta=10)
    refused = [
        (season, "bob", 5, "player-forbidden"),
        (season, "Ada", 5, "player-forbidden"),
        (season, "ada", 11, "delta-forbidden"),
        (season, "ada", -1, "delta-forbidden"),
        (spelt("autumn"), "ada", 5, "season-forbidden"),
    ]
    with api.client() as http:
        for where, user, delta, code in refused:
            answer = post(http, where, user, delta, token)
            assert (answer.status, answer.json["code"]) == (403, code)
            assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        assert api.world.value("SELECT count(*) FROM ledger") == 0
        for delta in (1, 10):
            assert post(http, season, "ada", delta, token).status == 202
        # Malformed is malformed for players, too.
        assert post(http, season, "ada", 0, token).json["code"] == "invalid-delta"
        for method, path, code in (
            ("DELETE", f"/v1/seasons/{season}", "scope-missing"),
            ("GET", "/v1/keys", "scope-missing"),
        ):
            assert http.ask(method, path, None, bearer(token)).json["code"] == code
        # The rank of any player may be read.
        for user in ("ada", "bob"):
            path = f"/v1/seasons/{season}/leaderboard/rank?userId={user}"
            assert http.ask("GET", path, None, bearer(token)).status in (200, 404)
    assert api.world.value("SELECT sum(delta) FROM ledger") == 11


def test_each_item_of_a_batch_is_the_players_own(api: Api) -> None:
    items = [("ada", 1), ("bob", 1), ("ada", 50), ("ada", 2)]
    body = json.dumps({"submissions": [{"userId": user, "delta": delta} for user, delta in items]}).encode()
    with api.client() as http:
        token = HS.token("ada", max_delta=10)
        answer = http.ask("POST", f"{base('spring')}/scores/batch", body, {**JSON, **bearer(token)})
    results = answer.json["results"]
    assert [(one["status"], one.get("code")) for one in results] == [
        (202, None), (403, "player-forbidden"), (403, "delta-forbidden"), (202, None),
    ]  # fmt: skip
    assert api.world.value("SELECT sum(delta) FROM ledger") == 3


@pytest.mark.parametrize("spelt", [str, encoded], ids=["fast path", "ordinary path"])
@pytest.mark.parametrize("batch", [False, True])
def test_a_player_cannot_use_up_the_key_of_another(api: Api, spelt: Callable[[str], str], batch: bool) -> None:
    """Idempotency keys can be guessed. The first player would have the submission of the other refused."""
    season = spelt("spring")

    def submit(http: Http, user: str, delta: int, credential: str) -> tuple[int, int | None]:
        one = {"userId": user, "delta": delta, "submissionId": "match-42"}
        path = f"/v1/seasons/{season}/scores" + "/batch" * batch
        body = json.dumps({"submissions": [one]} if batch else one).encode()
        answer = http.ask("POST", path, body, {**JSON, **bearer(credential)})
        told = answer.json["results"][0] if "results" in answer.json else answer.json
        return told.get("status", answer.status), told.get("score")

    with api.client() as http:
        api.command.until(lambda: submit(http, "eve", 1, HS.token("eve")) == (202, 1))
        key = api.world.key("submit")
        eventually(lambda: submit(http, "bob", 7, key) == (202, 7), 10)
        for _ in range(2):
            assert submit(http, "ada", 5, HS.token("ada")) == (202, 5)
            assert submit(http, "bob", 7, key) == (202, 7)
            assert submit(http, "eve", 1, HS.token("eve")) == (202, 1)
        assert submit(http, "ada", 6, HS.token("ada"))[0] == 422
        # Game servers speak for all players: they share their idempotency keys.
        assert submit(http, "ada", 5, key)[0] == 422
    assert api.world.rows("SELECT user_id, delta FROM ledger ORDER BY user_id") == [("ada", 5), ("bob", 7), ("eve", 1)]


def test_where_only_servers_submit_a_player_reads(world: World) -> None:
    key = world.key("submit")
    with carrying(world), serving(world, "/readyz", **settings("HS256")) as api, api.client() as http:
        token = HS.token("ada")
        answer = post(http, "spring", "ada", 1, token)
        assert (answer.status, answer.json["code"]) == (403, "scope-missing")
        assert http.ask("GET", f"{base('spring')}/leaderboard/top", None, bearer(token)).status == 200
        assert post(http, "spring", "ada", 1, key).status == 202
        assert world.value("SELECT count(*) FROM ledger") == 1


def test_a_token_ends_in_the_cache_too(api: Api) -> None:
    token = HS.token("ada", exp=time.time() - 3)
    path = f"{base('spring')}/leaderboard/top"
    with api.client() as http:
        # Clocks may differ by five seconds.
        assert http.ask("GET", path, None, bearer(token)).status == 200
        ended = eventually(lambda: (a := http.ask("GET", path, None, bearer(token))).status == 401 and a, 5)
        assert ended.json["code"] == "credential-expired"


def test_a_player_spends_its_own_quota_only(world: World) -> None:
    env = settings(
        "HS256", LEADERBOARD_PLAYERS="submit", LEADERBOARD_LIMIT_PLAYER="2", LEADERBOARD_LIMIT_WINDOW_S="3600"
    )
    with carrying(world), serving(world, "/readyz", **env) as api, api.client() as http:
        ada, bob = HS.token("ada"), HS.token("bob")
        assert [post(http, "spring", "ada", 1, ada).status for _ in range(3)] == [202, 202, 429]
        assert read(http, ada) == (429, "rate-limited")
        # Another token of the same player spends the same quota.
        assert read(http, HS.token("ada", exp=time.time() + 99)) == (429, "rate-limited")
        assert post(http, "spring", "bob", 1, bob).status == 202
        assert post(http, "spring", "ada", 1, bob).json["code"] == "player-forbidden"
    assert world.value("SELECT count(*) FROM ledger") == 3


@pytest.mark.parametrize("players", ["submit", *walks("read")])
def test_every_route_knows_what_a_player_may(world: World, players: str) -> None:
    """The matrix of test_access.py, for tokens: every operation, both paths, the token's season and another."""
    world.key("read", life_s=1)
    token = bearer(HS.token("ada", seasons=[OWN]))
    with serving(world, "/livez", **settings("HS256", LEADERBOARD_PLAYERS=players)) as api, api.client() as http:
        for op, spelt, season in itertools.product(OPERATIONS, (str, encoded), (OWN, OTHER)):
            before = books(world)
            answer = ask(http, op, spelt(season), token)
            if op.scope is None:
                fine = answer.status in (200, 404, 503) or answer.json["code"] == BY_BODY.get(op.name)
                assert fine, (op.name, answer.status)
                continue
            told = answer.status, answer.json.get("code")
            if op.scope in ("moderate", "admin") or (op.scope == "submit" and players == "read"):
                assert told == (403, "scope-missing"), (op.name, told)
            elif season == OTHER or "{sid}" not in op.path:
                # A list of all seasons is not for a token that is limited to some.
                assert told == (403, "season-forbidden"), (op.name, told)
            else:
                assert answer.status not in (401, 403), (op.name, told)
                continue
            assert books(world) == before, op.name


class Publisher:
    """An issuer's web server."""

    def __init__(self) -> None:
        self.text: bytes | None = None
        self.asked = 0
        publisher = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                if self.path == "/elsewhere":
                    self.send_response(302)
                    self.send_header("Location", "/keys")
                    self.end_headers()
                    return
                self.send_response(503 if publisher.text is None else 200)
                self.end_headers()
                self.wfile.write(publisher.text or b"")

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    made = Publisher()
    yield made
    made.close()


def read(http: Http, token: str) -> tuple[int, str | None]:
    answer = http.ask("GET", f"{base('spring')}/leaderboard/top", None, bearer(token))
    return answer.status, answer.json.get("code")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_keys_from_a_file(world: World, tmp_path: Path, algorithm: str) -> None:
    issuer, path = Issuer(algorithm), tmp_path / "keys.json"
    path.write_bytes(jwks(issuer.jwk()))
    with carrying(world), serving(world, "/readyz", **settings(algorithm, str(path))) as api, api.client() as http:
        assert read(http, issuer.token()) == (200, None)
        assert read(http, Issuer(algorithm).token()) == (401, "credential-unknown")
        assert read(http, HS.token()) == (401, "credential-unknown")


def test_keys_from_a_url_are_loaded_and_new_ones_found(world: World, publisher: Publisher) -> None:
    old, new = Issuer("ES256", "old"), Issuer("ES256", "new")
    env = settings("ES256", f"{publisher.url}/keys")
    with carrying(world), serving(world, "/readyz", **env) as api, api.client() as http:
        assert read(http, old.token()) == (503, "access-not-loaded")
        publisher.text = jwks(old.jwk())
        token = old.token()
        eventually(lambda: read(http, token) == (200, None), 15)
        # A name that no set had: refused now, looked up in the background, and then good.
        publisher.text = jwks(old.jwk(), new.jwk())
        assert read(http, new.token()) == (401, "credential-unknown")
        eventually(lambda: read(http, new.token()) == (200, None), 20)
        asked = publisher.asked
        for n in range(200):
            assert read(http, Issuer("ES256", f"nobody-{n}").token())[0] == 401
        assert publisher.asked <= asked + 1, "unknown names must not make the worker hammer the issuer"


@pytest.mark.walk
def test_keys_from_a_url_are_withdrawn_and_outlive_their_issuer(world: World, publisher: Publisher) -> None:
    old, new = Issuer("ES256", "old"), Issuer("ES256", "new")
    publisher.text = jwks(old.jwk(), new.jwk())
    env = settings("ES256", f"{publisher.url}/keys")
    with carrying(world), serving(world, "/readyz", **env) as api, api.client() as http:
        token = old.token()
        eventually(lambda: read(http, token) == (200, None), 15)
        assert read(http, new.token()) == (200, None)
        # The old one is withdrawn: its tokens count no more, though they were remembered.
        publisher.text = jwks(new.jwk())
        read(http, Issuer("ES256", "nobody").token())
        eventually(lambda: read(http, token) == (401, "credential-unknown"), 25)
        # The issuer is away: the last good set stays.
        publisher.text = None
        read(http, Issuer("ES256", "nobody").token())
        api.command.until(lambda: "cannot be read" in api.command.text().rpartition("1 keys")[2], 25)
        assert read(http, new.token()) == (200, None)


@pytest.mark.parametrize("empty", [jwks(), jwks(Issuer("EdDSA", "old").jwk())], ids=["no key", "another type"])
def test_a_published_set_without_a_usable_key_ends_all_tokens(world: World, publisher: Publisher, empty: bytes) -> None:
    old = Issuer("ES256", "old")
    publisher.text = jwks(old.jwk())
    env = settings("ES256", f"{publisher.url}/keys")
    with carrying(world), serving(world, "/readyz", **env) as api, api.client() as http:
        token = bearer(old.token(exp=time.time() + 3600))
        paths = [f"/v1/seasons/{spelt('spring')}/leaderboard/top" for spelt in (str, encoded)]

        def statuses() -> set[int]:
            return {http.ask("GET", path, None, token).status for path in paths}

        eventually(lambda: statuses() == {200}, 15)
        publisher.text = empty
        # A token with an unknown key makes the server read the set soon.
        assert read(http, Issuer("ES256", "unknown").token()) == (401, "credential-unknown")
        eventually(lambda: statuses() == {401}, 25)
        assert "all tokens are refused" in api.command.text()


def test_redirects_of_the_issuer_are_not_followed(world: World, publisher: Publisher) -> None:
    issuer = Issuer("ES256")
    publisher.text = jwks(issuer.jwk())
    with serving(world, **settings("ES256", f"{publisher.url}/elsewhere")) as api, api.client() as http:
        api.command.until(lambda: "cannot be read" in api.command.text())
        assert read(http, issuer.token()) == (503, "access-not-loaded")


def test_a_player_a_game_server_and_limits_together(world: World) -> None:
    """One way through all of it: both kinds of credential, both quotas, refusals, the ledger, the board."""
    key = world.key("read", "submit")
    limits = {"LEADERBOARD_LIMIT_KEY": "8", "LEADERBOARD_LIMIT_PLAYER": "4", "LEADERBOARD_LIMIT_WINDOW_S": "3600"}
    limits["LEADERBOARD_LIMIT_DEADLINE_MS"] = "5000"
    made = settings("HS256", LEADERBOARD_PLAYERS="submit", **limits)
    token = HS.token("ada", seasons=["spring"], max_delta=10)
    with carrying(world), serving(world, "/readyz", **made) as api, api.client() as http:
        assert post(http, "spring", "ada", 100, key).status == 202  # the game server's, for ada: it counts for her
        assert post(http, "spring", "ada", 10, token).status == 202
        assert post(http, "spring", "ada", 11, token).json["code"] == "delta-forbidden"  # and is paid for
        answer = post(http, "spring", "ada", 1, token)
        assert answer.status == 202 and "r=0" in answer.headers["ratelimit"]
        # A new token of the same player is no new quota, and neither is the game server's key.
        for credential in (token, HS.token("ada"), key):
            answer = post(http, "spring", "ada", 1, credential)
            assert (answer.status, answer.json["code"]) == (429, "rate-limited")
            assert 0 < int(answer.headers["retry-after"]) <= 3600
        # Others go on; a forbidden request is told that, however little is left.
        assert post(http, "spring", "bob", 7, HS.token("bob")).status == 202
        assert post(http, "autumn", "ada", 1, token).json["code"] == "season-forbidden"
        assert post(http, "spring", "ada", 1, token + "x").status == 401
        assert world.rows("SELECT user_id, delta FROM ledger ORDER BY submission") == [
            ("ada", 100),
            ("ada", 10),
            ("ada", 1),
            ("bob", 7),
        ]
        eventually(lambda: [(user, score) for user, score, _ in world.board("spring")] == [("ada", 111), ("bob", 7)])
