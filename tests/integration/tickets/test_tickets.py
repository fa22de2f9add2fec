"""Tickets and passes on a real server: good once, for a while, for one season and use, and as long as their maker."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from support.http import JSON, Answer, Http, base, bearer
from support.processes import Api, serving
from support.relays import carrying
from support.sse import EventStream
from support.tokens import Issuer, settings
from support.waiting import eventually
from support.world import World, world_on

from board.redis.keyspace import Keyspace
from ctl.embedded import Embedded
from service.access import tickets

SEASON, OTHER, PUBLIC = "ticket-season", "other-season", "public-season"
HS = Issuer("HS256")


class Own:
    """A server with keys and tokens, a private season, another one, and a public one."""

    def __init__(self, world: World, api: Api, reader: str) -> None:
        self.world = world
        self.api = api
        self.reader = reader
        (row,) = world.rows("SELECT secret FROM access")
        self.secret: bytes = row[0]

    def forge(self, **changes: object) -> str:
        """A ticket with a good signature, and another content."""
        content = {
            "kind": "stream", "season": SEASON, "holder": f"k:{self.reader[3:13]}", "until": time.time() + 60,
            "ends": float("inf"), "number": b"123456789012",
        }  # fmt: skip
        signed = tickets.Signed(**{**content, **changes})  # type: ignore[arg-type]
        prefix = tickets.PASS_PREFIX if signed.kind == "pass" else tickets.TICKET_PREFIX
        return tickets.sign(self.secret, prefix, tickets._encode(signed))


@pytest.fixture(scope="module")
def own(servers: Embedded) -> Iterator[Own]:
    with world_on(servers, redis_db=3) as world:
        world.define(PUBLIC, visibility="public")
        world.submit(*((season, user, 5) for season in (SEASON, OTHER, PUBLIC) for user in ("ada", "bob")))
        world.carry_everything()
        # Made before the workers start: each of them knows it.
        reader = world.key("read", seasons=[SEASON])
        with carrying(world), serving(world, "/readyz", **settings("HS256"), LEADERBOARD_WORKERS="2") as api:
            yield Own(world, api, reader)


@pytest.fixture
def http(own: Own) -> Iterator[Http]:
    with own.api.client() as client:
        yield client


def give(http: Http, credential: str | None, season: str = SEASON, use: str | None = None) -> Answer:
    body = b"" if use is None else json.dumps({"use": use}).encode()
    headers = JSON if credential is None else {**JSON, **bearer(credential)}
    return http.ask("POST", f"{base(season)}/tickets", body, headers)


def listen(http: Http, ticket: str, season: str = SEASON) -> Answer:
    """The beginning of a stream, or its refusal."""
    return http.ask("GET", f"{base(season)}/leaderboard/stream?limit=1&ticket={ticket}")


def exchange(http: Http, ticket: str, season: str = SEASON) -> Answer:
    return http.ask("POST", f"{base(season)}/passes", json.dumps({"ticket": ticket}).encode(), JSON)


def told(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["code"]


def test_it_opens_one_stream_without_a_header(own: Own, http: Http) -> None:
    given = give(http, own.reader)
    assert given.status == 200 and given.json["use"] == "stream" and given.headers["cache-control"] == "no-store"
    ticket = given.json["ticket"]
    with EventStream(own.api.port, SEASON, f"limit=2&ticket={ticket}") as stream:
        first = stream.take()
        assert first is not None and [row["userId"] for row in first.data["items"]] == ["ada", "bob"]
        # Of whichever worker.
        for _ in range(6):
            with own.api.client() as another:
                assert told(listen(another, ticket)) == (401, "ticket-used")
    assert own.reader not in ticket


def test_a_player_and_a_reader_of_a_public_season_get_tickets_too(own: Own, http: Http) -> None:
    for credential, season in ((HS.token("ada", seasons=[SEASON]), SEASON), (None, PUBLIC), (own.reader, PUBLIC)):
        ticket = give(http, credential, season).json["ticket"]
        assert listen(http, ticket, season).status == 200
    assert told(give(http, None)) == (401, "credential-missing")
    assert told(give(http, own.reader, OTHER)) == (403, "season-forbidden")


def test_only_for_its_season_and_use(own: Own, http: Http) -> None:
    for use, season, ask in (
        ("stream", OTHER, listen),
        ("stream", SEASON, exchange),
        ("page", SEASON, listen),
        ("page", OTHER, exchange),
    ):
        ticket = give(http, own.reader, use=use).json["ticket"]
        assert told(ask(http, ticket, season)) == (403, "ticket-foreign"), (use, season)
        # It was not used up by that.
        assert (exchange if use == "page" else listen)(http, ticket).status == 200
    # It is no credential for anything else.
    ticket = give(http, own.reader).json["ticket"]
    assert told(http.ask("GET", f"{base(SEASON)}/leaderboard/top?limit=1", None, bearer(ticket)))[0] == 401
    assert told(http.ask("GET", f"{base(SEASON)}/leaderboard/top?ticket={ticket}"))[1] == "credential-missing"


def test_it_expires(own: Own, http: Http) -> None:
    for kind, ask in (("stream", listen), ("page", exchange)):
        assert told(ask(http, own.forge(kind=kind, until=time.time() - 1))) == (401, "ticket-expired")
    until = give(http, own.reader).json["expiresAt"]
    left = time.mktime(time.strptime(until, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - time.time()
    assert 0 < left <= tickets.TICKET_S
    # Not later than what it was made with.
    token = HS.token("ada", exp=int(time.time()) + 20)
    until = give(http, token).json["expiresAt"]
    assert time.mktime(time.strptime(until, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - time.time() <= 26


def test_what_this_server_has_not_signed_is_refused(own: Own, http: Http) -> None:
    good = give(http, own.reader).json["ticket"]
    content = tickets._encode(tickets.Signed("stream", SEASON, "", 9e9, 9e9, b""))
    stranger = tickets.sign(b"x" * 32, tickets.TICKET_PREFIX, content)
    a_pass = exchange(http, give(http, own.reader, use="page").json["ticket"]).json["credential"]
    for text in ("", "lbt_", "x", good[:-1], good[:-1] + ("A" if good[-1] != "A" else "B"), good + "AAAA", stranger,
                 a_pass, "lbt_" + a_pass[4:], own.reader, "lbt_" + "A" * 1_999, "%00", "lbt_%C3%A9"):  # fmt: skip
        assert told(listen(http, text)) == (401, "ticket-invalid"), text
    for text in ("lbt_", "lbt_" + a_pass[4:], stranger):
        assert told(exchange(http, text)) == (401, "ticket-invalid")
    for text in ("lbp_" + good[4:], "lbp_x", "lbp_"):
        refused = http.ask("GET", f"{base(SEASON)}/leaderboard/top", None, bearer(text))
        assert told(refused) == (401, "credential-unknown")
    assert listen(http, good).status == 200


def test_two_credentials_are_ambiguous(own: Own, http: Http) -> None:
    ticket = give(http, own.reader).json["ticket"]
    path = f"{base(SEASON)}/leaderboard/stream?ticket={ticket}"
    assert told(http.ask("GET", path, None, bearer(own.reader))) == (401, "credential-malformed")
    assert listen(http, ticket).status == 200


def test_a_request_that_is_refused_for_another_reason_does_not_use_it_up(own: Own, http: Http) -> None:
    ticket = give(http, own.reader).json["ticket"]
    path = f"{base(SEASON)}/leaderboard/stream?limit=0&ticket={ticket}"
    assert told(http.ask("GET", path)) == (400, "invalid-stream-limit")
    assert listen(http, ticket).status == 200


def test_a_ticket_for_a_page_becomes_a_pass_for_its_season_once(own: Own, http: Http) -> None:
    ticket = give(http, own.reader, use="page").json["ticket"]
    answer = exchange(http, ticket)
    assert answer.status == 200
    credential = bearer(answer.json["credential"])
    assert told(exchange(http, ticket)) == (401, "ticket-used")
    for read in ("/leaderboard/top", "/leaderboard/rank?userId=ada", "", "/periods", "/leaderboard/stream"):
        assert http.ask("GET", f"{base(SEASON)}{read}", None, credential).status == 200, read
    assert told(http.ask("GET", f"{base(OTHER)}/leaderboard/top", None, credential)) == (403, "season-forbidden")
    assert told(http.ask("GET", "/v1/seasons", None, credential)) == (403, "season-forbidden")
    body = json.dumps({"userId": "ada", "delta": 1}).encode()
    assert told(http.ask("POST", f"{base(SEASON)}/scores", body, {**JSON, **credential})) == (403, "scope-missing")
    # It cannot renew itself.
    short = own.forge(kind="pass", until=time.time() + 30, ends=time.time() + 30)
    again = exchange(http, give(http, short, use="page").json["ticket"]).json["expiresAt"]
    assert time.mktime(time.strptime(again, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone <= time.time() + 30


def test_a_pass_expires(own: Own, http: Http) -> None:
    for until, status in ((time.time() - 1, 401), (time.time() + 60, 200)):
        text = own.forge(kind="pass", until=until)
        answer = http.ask("GET", f"{base(SEASON)}/leaderboard/top", None, bearer(text))
        assert answer.status == status
    text = own.forge(kind="pass", until=time.time() + 0.5)
    eventually(lambda: http.ask("GET", f"{base(SEASON)}/leaderboard/top", None, bearer(text)).status == 401, within_s=5)


def test_both_end_with_the_key_that_they_were_made_with(own: Own) -> None:
    key = own.world.key("read", seasons=[SEASON])
    clients = [own.api.client() for _ in range(8)]
    try:
        own.api.until_known(key, *clients)
        ticket, for_page = (give(clients[0], key, use=use).json["ticket"] for use in ("stream", "page"))
        credential = exchange(clients[0], give(clients[0], key, use="page").json["ticket"]).json["credential"]
        path = f"{base(SEASON)}/leaderboard/top"
        assert {http.ask("GET", path, None, bearer(credential)).status for http in clients} == {200}
        own.world.execute("UPDATE api_key SET revoked_at = now() WHERE id = '" + key[3:13] + "'")
        for http in clients:
            eventually(lambda http=http: http.ask("GET", path, None, bearer(credential)).status == 401)
            assert told(http.ask("GET", path, None, bearer(credential)))[1] == "credential-revoked"
            assert told(listen(http, ticket)) == told(exchange(http, for_page)) == (401, "credential-revoked")
    finally:
        for http in clients:
            http.connection.close()


def test_a_season_that_is_private_again_ends_the_tickets_of_nobody(own: Own, http: Http) -> None:
    season = "public-for-a-while"
    own.world.define(season, visibility="public")
    eventually(lambda: give(http, None, season).status == 200)
    ticket = give(http, None, season, "page").json["ticket"]
    ticket = give(http, None, season, "page").json["ticket"]
    credential = exchange(http, give(http, None, season, "page").json["ticket"], season).json["credential"]
    own.world.define(season, visibility="private")
    path = f"{base(season)}/leaderboard/count"
    eventually(lambda: http.ask("GET", path, None, bearer(credential)).status == 403)
    assert told(exchange(http, ticket, season)) == (403, "season-forbidden")


def test_marks_of_used_tickets_are_gone_soon(own: Own, http: Http) -> None:
    assert listen(http, own.forge(number=b"abcdefghijkl")).status == 200
    mark = Keyspace(own.world.name).used_ticket(b"abcdefghijkl".hex().encode())
    assert tickets.TICKET_S < own.world.redis.ttl(mark) <= 2 * tickets.TICKET_S


def test_bad_bodies_are_told(own: Own, http: Http) -> None:
    for body in (b'{"use":"nothing"}', b'{"use":"page","more":1}', b"[]"):
        answer = http.ask("POST", f"{base(SEASON)}/tickets", body, {**JSON, **bearer(own.reader)})
        assert told(answer) == (400, "invalid-body")
    assert told(http.ask("POST", f"{base(SEASON)}/passes", b"{}", JSON)) == (400, "invalid-body")
    assert told(http.ask("POST", f"{base('x' * 65)}/passes", b'{"ticket":"x"}', JSON)) == (400, "invalid-season-id")


def test_an_open_server_gives_them_and_asks_for_none(api: Api, season: str) -> None:
    with api.client() as http:
        assert http.post(season, "ada", 1).status == 202
        ticket = give(http, None, season).json["ticket"]
        eventually(lambda: listen(http, ticket, season).status == 200)
        assert listen(http, "anything", season).status == 200
        assert exchange(http, give(http, None, season, "page").json["ticket"], season).status == 200
