"""Sessions of operators on a real server: two halves, the rights of a key, an end; and what other sites cannot do."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from support.http import JSON, Answer, Http, base, bearer, free_port
from support.operations import SPELLING, ask, books
from support.processes import Api, serving
from support.waiting import eventually
from support.world import World, world_on

from ctl.embedded import Embedded
from service.access import sessions
from service.access.tickets import sign
from service.contract.operation import Operation
from service.routes import OPERATIONS

SEASON = "session-season"
GUARDED_OPS = pytest.mark.parametrize("op", [op for op in OPERATIONS if op.scope], ids=lambda op: op.name)
CHANGES = {"Sec-Fetch-Site": "same-origin", **JSON}


class Own:
    """A server with a bind for administrators, two workers, and a key of every scope."""

    def __init__(self, world: World, api: Api, admin_port: int, key: str) -> None:
        self.world = world
        self.api = api
        self.admin_port = admin_port
        self.key = key
        (row,) = world.rows("SELECT secret FROM access")
        self.secret: bytes = row[0]

    def forge(self, key: str, *, until: float, number: str = "forged") -> dict[str, str]:
        """Both halves of a session with a good signature."""
        content = sessions._encode(sessions.Session(number, key[3:13], until))
        return halves(
            f"{sessions.COOKIE}={sign(self.secret, sessions.COOKIE_PREFIX, content)}",
            sign(self.secret, sessions.TOKEN_PREFIX, number.encode()),
        )


@pytest.fixture(scope="module")
def own(servers: Embedded) -> Iterator[Own]:
    admin = free_port()
    settings = {"LEADERBOARD_ADMIN_BIND": f"127.0.0.1:{admin}", "LEADERBOARD_WORKERS": "2"}
    with world_on(servers, redis_db=3) as world:
        world.submit((SEASON, "ada", 5))
        world.carry_everything()
        # Made before the workers start: each of them knows it.
        key = world.key("read", "submit", "moderate", "admin")
        with serving(world, "/readyz", LEADERBOARD_AUTH="keys", **settings) as api:
            yield Own(world, Api(world, api.command, admin), api.port, key)


@pytest.fixture
def http(own: Own) -> Iterator[Http]:
    with own.api.client() as client:
        yield client


def halves(cookie: str, token: str) -> dict[str, str]:
    return {"Cookie": cookie, "Authorization": f"Bearer {token}"}


def sign_in(http: Http, key: str, **headers: str) -> Answer:
    return http.ask("POST", "/admin/session", json.dumps({"key": key}).encode(), {**CHANGES, **headers})


def signed_in(http: Http, key: str) -> dict[str, str]:
    answer = sign_in(http, key, Origin="http://127.0.0.1")
    assert answer.status == 200, answer.body
    return halves(answer.headers["set-cookie"].partition(";")[0], answer.json["token"])


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


def test_the_cookie_is_for_this_server_only_and_for_no_script(own: Own, http: Http) -> None:
    plain = sign_in(http, own.key, Origin="http://127.0.0.1").headers["set-cookie"]
    assert plain.startswith("lb_session=lbc_") and "Secure" not in plain
    for origin in ({"Origin": "https://scores.example"}, {}):
        cookie = sign_in(http, own.key, **origin).headers["set-cookie"]
        assert cookie.startswith("__Host-lb_session=lbc_") and cookie.endswith("; Secure")
        for attribute in ("HttpOnly", "SameSite=Strict", "Path=/"):
            assert f"; {attribute}" in cookie and f"; {attribute}" in plain
    age = int(plain.partition("Max-Age=")[2].partition(";")[0])
    assert 28_700 < age <= 28_800
    assert own.key not in plain and own.key[14:] not in plain


def test_only_a_key_with_the_scope_admin_signs_in(own: Own, http: Http) -> None:
    reader = own.world.key("read", "submit")
    eventually(lambda: sign_in(http, reader).status != 401)
    assert told(sign_in(http, reader)) == (403, "scope-missing")
    for wrong, code in (("", "invalid-body"), ("x", "credential-malformed"), (own.key[:-1], "credential-malformed"),
                        ("Bearer x y", "credential-malformed"), ("lbs_x", "session-ended"),
                        ("lbp_x", "credential-unknown"),
                        ("k" * 201, "invalid-body"), ("\u20ac", "credential-malformed")):  # fmt: skip
        answer = sign_in(http, wrong)
        assert answer.json["code"] == code, wrong
        assert "set-cookie" not in answer.headers


@GUARDED_OPS
@SPELLING
def test_a_session_has_the_rights_of_its_key_and_one_half_has_none(
    own: Own, http: Http, op: Operation, spelt: Callable[[str], str]
) -> None:
    both = own.forge(own.key, until=time.time() + 60)
    before = books(own.world)
    cookie, token = ({name: both[name]} for name in ("Cookie", "Authorization"))
    assert told(ask(http, op, spelt(SEASON), cookie)) == (401, "credential-missing")
    assert told(ask(http, op, spelt(SEASON), token)) == (401, "session-ended")
    # A cookie that a browser sends by itself, and the token of another session of the same operator.
    other = own.forge(own.key, until=time.time() + 60, number="another")["Authorization"]
    assert told(ask(http, op, spelt(SEASON), {**cookie, "Authorization": other})) == (403, "session-mismatch")
    damaged = {"Cookie": both["Cookie"], "Authorization": both["Authorization"][:-2]}
    assert told(ask(http, op, spelt(SEASON), damaged)) == (403, "session-mismatch")
    assert books(own.world) == before
    if not op.writes:
        assert ask(http, op, spelt(SEASON), both).status in (200, 404)


def test_a_session_writes_and_another_scope_is_missing(own: Own, http: Http) -> None:
    both = signed_in(http, own.key)
    assert http.ask("PUT", base("made-by-a-session"), b'{"title":"x"}', {**JSON, **both}).status == 201
    narrow = own.world.key("admin")
    eventually(lambda: sign_in(http, narrow).status == 200)
    both = signed_in(http, narrow)
    assert http.ask("GET", "/v1/keys", None, both).status == 200
    assert told(http.ask("GET", "/v1/seasons", None, both)) == (403, "scope-missing")


def test_it_expires(own: Own, http: Http) -> None:
    for until, status in ((time.time() - 1, 401), (time.time() + 60, 200)):
        both = own.forge(own.key, until=until)
        assert http.ask("GET", "/v1/status", None, both).status == status
        shown = http.ask("GET", "/admin/session", None, {"Cookie": both["Cookie"]}).json
        assert (shown["token"] is None) == (status == 401)
    both = own.forge(own.key, until=time.time() + 0.5)
    eventually(lambda: http.ask("GET", "/v1/status", None, both).status == 401, 5)


def test_it_ends_with_its_key_and_by_signing_out_on_every_worker(own: Own, http: Http) -> None:
    key = own.world.key("admin")
    eventually(lambda: sign_in(http, key).status == 200)
    by_key, by_hand = signed_in(http, key), signed_in(http, own.key)
    clients = [own.api.client() for _ in range(8)]
    try:
        out = http.ask("DELETE", "/admin/session", None, {**CHANGES, **by_hand})
        assert out.status == 200 and "Max-Age=0" in out.headers["set-cookie"]
        own.world.execute("UPDATE api_key SET revoked_at = now() WHERE id = '" + key[3:13] + "'")
        began = time.monotonic()
        for client in clients:
            for both in (by_key, by_hand):
                eventually(lambda client=client, both=both: client.ask("GET", "/v1/status", None, both).status == 401)
                assert told(client.ask("GET", "/v1/status", None, both)) == (401, "session-ended")
        assert time.monotonic() - began < 4
    finally:
        for client in clients:
            client.connection.close()


def test_what_this_server_has_not_signed_is_no_session(own: Own, http: Http) -> None:
    both = own.forge(own.key, until=time.time() + 60)
    content = sessions._encode(sessions.Session("forged", own.key[3:13], time.time() + 60))
    stranger = f"{sessions.COOKIE}={sign(b'x' * 32, sessions.COOKIE_PREFIX, content)}"
    name, _, text = both["Cookie"].partition("=")
    for cookie in (stranger, f"{name}={text[:-2]}", f"{name}={both['Authorization'][7:]}", f"x{name}={text}", name, ""):
        answer = http.ask("GET", "/v1/status", None, {**both, "Cookie": cookie})
        assert told(answer) == (401, "session-ended"), cookie
    # Beside cookies of others, also of the same name: a program on another port of this host may have set it.
    for cookie in (f"a=b; {both['Cookie']}; c=d", f"{stranger}; {both['Cookie']}", f"__Host-{both['Cookie']}"):
        assert http.ask("GET", "/v1/status", None, {**both, "Cookie": cookie}).status == 200, cookie


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_other_sites_sign_nobody_in_or_out(own: Own, http: Http, site: str) -> None:
    both = signed_in(http, own.key)
    refused = sign_in(http, own.key, **{"Sec-Fetch-Site": site})
    assert told(refused) == (403, "session-mismatch") and "set-cookie" not in refused.headers
    out = http.ask("DELETE", "/admin/session", None, {**both, "Sec-Fetch-Site": site})
    assert told(out) == (403, "session-mismatch")
    # A form of another site can send no JSON.
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert http.ask("POST", "/admin/session", json.dumps({"key": own.key}).encode(), form).status == 415
    assert http.ask("GET", "/v1/status", None, both).status == 200


def test_only_the_bind_for_administrators_has_it(own: Own, http: Http) -> None:
    both = signed_in(http, own.key)
    with Http(own.admin_port) as public:
        for method, path in (
            ("GET", "/admin"), ("GET", "/admin/session"), ("POST", "/admin/session"), ("DELETE", "/admin/session"),
            ("GET", "/v1/status"), ("OPTIONS", "/admin"), ("OPTIONS", "/admin/session"),
        ):  # fmt: skip
            assert public.ask(method, path, None, both).status == 404, (method, path)
        assert public.ask("GET", f"{base(SEASON)}/leaderboard/top", None, both).status == 200
    page = http.get("/admin")
    assert page.status == 200
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy and "default-src 'none'" in policy and "unsafe" not in policy


def test_the_status_tells_what_is_wrong_in_words(own: Own, http: Http) -> None:
    def status() -> dict[str, object]:
        answer = http.ask("GET", "/v1/status", None, bearer(own.key))
        assert answer.status == 200, answer.body
        found: dict[str, object] = answer.json
        return found

    state = status()
    partitions = state["partitions"]
    assert isinstance(partitions, list) and len(partitions) == 64
    (one,) = [p for p in partitions if p["seasons"] and p["fence"]][:1]
    assert one["redisFence"] >= one["fence"] and one["state"] == "ok" and state["redis"] == "ok"
    findings = state["findings"]
    assert isinstance(findings, list)
    assert [f["isWrong"] for f in findings] == sorted((f["isWrong"] for f in findings), reverse=True)
    assert {"text": "no keeper is at work: periods do not end by themselves", "isWrong": True} in findings
    own.world.submit((SEASON, "ada", 1))
    own.world.execute("UPDATE outbox SET queued_at = now() - interval '20 s'")
    try:
        late = status()
        texts = {f["text"]: f["isWrong"] for f in late["findings"]}  # type: ignore[attr-defined]
        assert texts[f"the relays are behind: {late['pending']} waiting, the oldest for 20 s"] is True
    finally:
        own.world.carry_everything()


def test_an_open_server_needs_none(api: Api) -> None:
    with api.client() as http:
        for answer in (http.get("/admin/session"), sign_in(http, "anything"), http.ask("GET", "/v1/status")):
            assert answer.status == 200
        assert http.get("/admin/session").json["isOpen"] is True
