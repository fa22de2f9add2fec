"""Requests for every operation of the table, on the fast path and on the ordinary one."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from service.contract.operation import Operation
from support.http import JSON, Answer, Http
from support.world import World

OWN: Final = "own-season"
OTHER: Final = "other-season"

BODIES: dict[str, Any] = {
    "submitScore": {"userId": "ada", "delta": 1},
    "submitScores": {"submissions": [{"userId": "ada", "delta": 1}]},
    "lookUpPlayers": {"userIds": ["ada", "bob"]},
    "givePass": {"ticket": "lbt_none"},
    "signIn": {"key": "lb_none"},
    "previewSchedule": {"schedule": {"cron": "0 0 * * MON", "timeZone": "Europe/Berlin"}},
    "createKey": {"name": "made by the matrix", "scopes": ["read"]},
}

BY_BODY: dict[str, str] = {"givePass": "ticket-invalid", "signIn": "credential-malformed"}
"""Operations without a scope that check a credential in the body, and the code that the one of `BODIES` gets."""

QUERIES: dict[str, str] = {"getScore": "?rank=1", "getAround": "?userId=ada"}
"""Where the required parameters do not make a good query."""


def encoded(text: str) -> str:
    """Every letter percent-encoded: the same request, spelt so that it takes the ordinary path."""
    return re.sub(r"[A-Za-z0-9]", lambda found: f"%{ord(found[0]):02X}", text)


def query_of(op: Operation) -> str:
    """The query of a good request: every required parameter, by the example of its type."""
    if op.name in QUERIES:
        return QUERIES[op.name]
    wanted = [one for one in op.inputs if one.place == "query" and one.required and one.default is None]
    return "?" + "&".join(f"{one.name}={one.kind.__metadata__[0].examples[0]}" for one in wanted) if wanted else ""


def request_of(op: Operation, season: str) -> tuple[str, str, bytes | None]:
    """A good request for an operation: method, path, body."""
    names = {"{sid}": season, "{id}": "0000000000", "{userId}": "ada", "{name}": "board.css"}
    path = op.path
    for placeholder, value in names.items():
        path = path.replace(placeholder, value)
    path += query_of(op)
    body = BODIES.get(op.name)
    return op.method, path, None if body is None else json.dumps(body).encode()


def ask(http: Http, op: Operation, season: str, headers: dict[str, str]) -> Answer:
    """Make a good request for an operation."""
    method, path, body = request_of(op, season)
    return http.ask(method, path, body, {**headers, **({} if body is None else JSON)})


def books(world: World) -> list[Any]:
    """What a request could have changed. (Jobs take away old periods and erased players, so rows are not counted.)"""
    queries = (
        "SELECT last_value FROM submission", "SELECT max(period_id) FROM period", "SELECT count(*) FROM api_key",
        "SELECT version FROM access", "SELECT count(*) FROM idempotency",
    )  # fmt: skip
    return [world.value(query) for query in queries]


SPELLING: Final = pytest.mark.parametrize("spelt", [str, encoded], ids=["fast path", "ordinary path"])
