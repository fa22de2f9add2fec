"""The one table of operations: the app adds its routes from it, the gate takes the scopes from it, and the OpenAPI
document is written from it."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from service.contract import problems as p
from service.contract import types as t
from service.contract.problems import Problem
from service.contract.scopes import PUBLIC, Scope
from service.keys import store as k


class Parameter(msgspec.Struct, frozen=True):
    """A path or query parameter: its name, place, type, meaning; a default makes it optional."""

    name: str
    place: str
    kind: Any
    meaning: str
    default: int | None = None
    required: bool = True


class Operation(msgspec.Struct, frozen=True):
    """One method on one path: which resource answers, who may ask, with what it answers, and how it can fail."""

    method: str
    path: str
    resource: str
    name: str
    scope: Scope | None
    summary: str
    answers: dict[int, tuple[str, Any]]
    problems: tuple[Problem, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: Any = None
    body_required: bool = True


_SID: Final = Parameter("sid", "path", t.SeasonId, "The season. It exists as soon as a score is posted to it.")
_USER: Final = Parameter("userId", "query", t.UserId, "The player.")
_LIMIT: Final = Parameter(
    "limit", "query", Annotated[int, msgspec.Meta(ge=1, le=1000)], "How many players at most.", default=10
)
_RANGE: Final = Parameter(
    "range",
    "query",
    Annotated[int, msgspec.Meta(ge=0, le=100)],
    "How many neighbours on each side.",
    default=5,
)
_KEY: Final = Parameter(
    "Idempotency-Key",
    "header",
    t.IdempotencyKey,
    "A quoted string, as the header's draft has it; bare is accepted, too.",
    required=False,
)
_TRACE: Final = Parameter(
    "traceparent",
    "header",
    str,
    "W3C Trace Context; the trace goes on until the board shows the score, if the server traces.",
    required=False,
)
_KEY_ID: Final = Parameter("id", "path", k.KeyId, "The key's id: what stands between its first two underscores.")
_STORE: Final = (p.KEYS_ARE_OFF, p.STORE_UNAVAILABLE, p.OUTCOME_UNKNOWN)
_READ: Final = (p.INVALID_SEASON, p.BOARD_UNAVAILABLE, p.BOARD_REBUILDING)

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "POST",
        "/v1/seasons/{sid}/scores",
        "scores",
        "submitScore",
        "submit",
        "Add to a player's score. Answered after the commit in PostgreSQL.",
        {202: ("Committed.", t.Accepted)},
        (
            p.MALFORMED_JSON,
            p.INVALID_BODY,
            p.INVALID_USER,
            p.INVALID_SEASON,
            p.INVALID_DELTA,
            p.INVALID_KEY,
            p.PLAYER_FORBIDDEN,
            p.DELTA_FORBIDDEN,
            p.SCORE_OUT_OF_RANGE,
            p.KEY_REUSED,
            p.BODY_TOO_LARGE,
            p.UNSUPPORTED_MEDIA_TYPE,
            p.INTERNAL,
            p.OVERLOADED,
            p.STORE_UNAVAILABLE,
            p.OUTCOME_UNKNOWN,
        ),
        (_SID, _KEY, _TRACE),
        t.Submission,
    ),
    Operation(
        "POST",
        "/v1/seasons/{sid}/scores/batch",
        "batch",
        "submitScores",
        "submit",
        "Up to 5,000 submissions at once. A result for each in order; all that count are in one commit.",
        {200: ("A result for each submission.", t.BatchAnswer)},
        (
            p.MALFORMED_JSON,
            p.INVALID_BODY,
            p.INVALID_SEASON,
            p.INVALID_KEY,
            p.BATCH_TOO_LARGE,
            p.BATCH_OVER_LIMIT,
            p.UNSUPPORTED_MEDIA_TYPE,
            p.INTERNAL,
            p.OVERLOADED,
            p.STORE_UNAVAILABLE,
            p.OUTCOME_UNKNOWN,
        ),
        (_SID, _TRACE),
        t.Batch,
    ),
    Operation(
        "GET",
        "/v1/seasons/{sid}/leaderboard/top",
        "top",
        "getTop",
        "read",
        "The best players. A season nobody has posted to is an empty list.",
        {200: ("The best players, best first.", t.Top)},
        (*_READ, p.INVALID_LIMIT),
        (_SID, _LIMIT),
    ),
    Operation(
        "GET",
        "/v1/seasons/{sid}/leaderboard/rank",
        "rank",
        "getRank",
        "read",
        "A player's rank and score.",
        {200: ("Where the player stands.", t.PlayerRank)},
        (*_READ, p.INVALID_USER, p.SEASON_NOT_FOUND, p.PLAYER_NOT_FOUND),
        (_SID, _USER),
    ),
    Operation(
        "GET",
        "/v1/seasons/{sid}/leaderboard/around",
        "around",
        "getAround",
        "read",
        "A player among the neighbours on the board.",
        {200: ("The window around the player.", t.Around)},
        (*_READ, p.INVALID_USER, p.INVALID_RANGE, p.SEASON_NOT_FOUND, p.PLAYER_NOT_FOUND),
        (_SID, _USER, _RANGE),
    ),
    Operation(
        "DELETE",
        "/v1/seasons/{sid}",
        "season",
        "resetSeason",
        "admin",
        "Empty the season: its period ends, the next begins. After the answer no earlier score is visible.",
        {200: ("The board is empty.", t.Deleted)},
        (p.INVALID_SEASON, p.STORE_UNAVAILABLE, p.RESET_PENDING, p.OUTCOME_UNKNOWN),
        (_SID,),
    ),
    Operation(
        "POST",
        "/v1/keys",
        "keys",
        "createKey",
        "admin",
        "Make a key. Its text is in this answer and nowhere else.",
        {201: ("The key.", k.NewKey)},
        (p.MALFORMED_JSON, p.INVALID_BODY, p.BODY_TOO_LARGE, p.UNSUPPORTED_MEDIA_TYPE, *_STORE),
        (),
        k.Wanted,
    ),
    Operation(
        "GET",
        "/v1/keys",
        "keys",
        "listKeys",
        "admin",
        "All keys, without their secrets.",
        {200: ("The keys.", k.KeyList)},
        _STORE,
    ),
    Operation(
        "POST",
        "/v1/keys/{id}/rotate",
        "rotation",
        "rotateKey",
        "admin",
        "Give a key a successor; both are valid until the time of grace is over. The body may be empty.",
        {201: ("The successor.", k.NewKey)},
        (
            p.MALFORMED_JSON,
            p.INVALID_BODY,
            p.KEY_NOT_FOUND,
            p.KEY_NOT_ROTATABLE,
            p.BODY_TOO_LARGE,
            p.UNSUPPORTED_MEDIA_TYPE,
            *_STORE,
        ),
        (_KEY_ID,),
        k.Rotation,
        body_required=False,
    ),
    Operation(
        "DELETE",
        "/v1/keys/{id}",
        "key",
        "revokeKey",
        "admin",
        "End a key, everywhere within two seconds. Done twice it is the same.",
        {200: ("The key, ended.", k.Key)},
        (p.KEY_NOT_FOUND, *_STORE),
        (_KEY_ID,),
    ),
    Operation("GET", "/livez", "healthz", "getLive", PUBLIC, "The process answers.", {200: ("It does.", t.Health)}),
    Operation("GET", "/healthz", "healthz", "getHealth", PUBLIC, "The process answers.", {200: ("It does.", t.Health)}),
    Operation(
        "GET",
        "/readyz",
        "readyz",
        "getReady",
        PUBLIC,
        "Redis, PostgreSQL and the schema are there.",
        {200: ("Ready.", t.Readiness), 503: ("Not ready.", t.Readiness)},
    ),
    Operation(
        "GET",
        "/openapi.json",
        "document",
        "getOpenapi",
        PUBLIC,
        "This document.",
        {200: ("OpenAPI 3.1.", dict[str, Any])},
    ),
)


def scope_of(name: str) -> Scope | None:
    """The scope of an operation, by its name."""
    return next(operation.scope for operation in OPERATIONS if operation.name == name)
