"""Request ids: the client's own comes back on every answer, a new one on every error, the same in the log line."""

from __future__ import annotations

import json
import re

import pytest
from support.http import JSON, raw
from support.processes import Api, serving
from support.waiting import eventually
from support.world import World

MADE = re.compile(r"[0-9a-f]{16}")
BODY = b'{"userId":"ada","delta":1}'
NAMES = ("s", "%73")
"""The same season, for the fast path and for the ordinary one."""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", ["a", "7b3f:22/x_Y.~+=@-", "x" * 128])
def test_a_good_id_comes_back_on_every_answer(api: Api, name: str, given: str) -> None:
    named = {**JSON, "X-Request-Id": given}
    with api.client() as http:
        for answer, status in (
            (http.ask("POST", f"/v1/seasons/{name}/scores", BODY, named), 202),
            (http.ask("POST", f"/v1/seasons/{name}/scores", b"{", named), 400),
            (http.ask("POST", f"/v1/seasons/{name}/scores/batch", b'{"submissions":[%b]}' % BODY, named), 200),
            (http.ask("GET", "/livez", None, named), 200),
            (http.ask("GET", "/nowhere", None, named), 404),
            (http.ask("GET", f"/v1/seasons/{name}/leaderboard/rank?userId=nobody", None, named), 404),
        ):
            assert (answer.status, answer.headers.get("x-request-id")) == (status, given)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\tb", "{}", "a,b", "ä"])
def test_a_bad_id_is_as_none(api: Api, name: str, given: str) -> None:
    named = {**JSON, "X-Request-Id": given}
    with api.client() as http:
        good = http.ask("POST", f"/v1/seasons/{name}/scores", BODY, named)
        assert (good.status, "x-request-id" in good.headers) == (202, False)
        bad = http.ask("POST", f"/v1/seasons/{name}/scores", b"{", named)
        assert bad.status == 400 and MADE.fullmatch(bad.headers["x-request-id"])


@pytest.mark.parametrize("name", NAMES)
def test_two_ids_are_none(api: Api, name: str) -> None:
    head = (
        f"POST /v1/seasons/{name}/scores HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\r\nX-Request-Id: a\r\nConnection: close"
    )
    got = raw(api.port, f"{head}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode() + BODY)
    assert got.startswith(b"HTTP/1.1 202") and b"x-request-id" not in got.lower()


def test_each_error_has_an_id_of_its_own_whichever_part_answers(api: Api) -> None:
    with api.client() as http:
        answers = [http.post_raw(season, b"{}") for season in ("s", "s", "a b", "a b")]
        answers.append(http.get("/nowhere"))
        found = [answer.headers["x-request-id"] for answer in answers]
    refused = raw(api.port, b"NONSENSE\r\n\r\n").decode()
    found += re.findall(r"(?i)x-request-id: (\S+)", refused)
    assert len(set(found)) == 6 and all(map(MADE.fullmatch, found))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("named", [{}, {"X-Request-Id": "mine-1"}])
def test_a_defect_is_logged_under_the_id_that_the_client_has(world: World, name: str, named: dict[str, str]) -> None:
    with serving(world, LEADERBOARD_LOG_FORMAT="json") as api, api.client() as http:
        assert http.post("s", "ada", 1).status == 202
        # Something that no submission can satisfy, and no check of the service can know.
        world.execute("ALTER TABLE score ADD CHECK (score < 10)")
        answer = http.ask("POST", f"/v1/seasons/{name}/scores", BODY.replace(b":1", b":10"), {**JSON, **named})
        assert answer.status == 500
        wanted = answer.headers["x-request-id"]
        assert wanted == "mine-1" if named else MADE.fullmatch(wanted)

        def logged() -> bool:
            return any(json.loads(line).get("request_id") == wanted for line in api.command.lines())

        eventually(logged)
