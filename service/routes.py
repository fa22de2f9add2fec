"""The one table of operations: the app adds its routes from it, the OpenAPI document is written from it."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from service import problems as p
from service import types as t
from service.problems import Problem


class Parameter(msgspec.Struct, frozen=True):
    """A path or query parameter: its name, place, type, meaning; a default makes it optional."""

    name: str
    place: str
    kind: Any
    meaning: str
    default: int | None = None
    required: bool = True


class Operation(msgspec.Struct, frozen=True):
    """One method on one path: which resource answers, with what, and how it can fail."""

    method: str
    path: str
    resource: str
    name: str
    summary: str
    answers: dict[int, tuple[str, Any]]
    problems: tuple[Problem, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: Any = None


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
_READ: Final = (p.INVALID_SEASON, p.BOARD_UNAVAILABLE, p.BOARD_REBUILDING)

OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "POST",
        "/v1/seasons/{sid}/scores",
        "scores",
        "submitScore",
        "Add to a player's score. Answered after the commit in PostgreSQL.",
        {202: ("Committed.", t.Accepted)},
        (
            p.MALFORMED_JSON,
            p.INVALID_BODY,
            p.INVALID_USER,
            p.INVALID_SEASON,
            p.INVALID_DELTA,
            p.INVALID_KEY,
            p.SCORE_OUT_OF_RANGE,
            p.KEY_REUSED,
            p.BODY_TOO_LARGE,
            p.UNSUPPORTED_MEDIA_TYPE,
            p.INTERNAL,
            p.OVERLOADED,
            p.STORE_UNAVAILABLE,
            p.OUTCOME_UNKNOWN,
        ),
        (_SID, _KEY),
        t.Submission,
    ),
    Operation(
        "POST",
        "/v1/seasons/{sid}/scores/batch",
        "batch",
        "submitScores",
        "Up to 5,000 submissions at once. A result for each in order; all that count are in one commit.",
        {200: ("A result for each submission.", t.BatchAnswer)},
        (
            p.MALFORMED_JSON,
            p.INVALID_BODY,
            p.INVALID_SEASON,
            p.INVALID_KEY,
            p.BATCH_TOO_LARGE,
            p.UNSUPPORTED_MEDIA_TYPE,
            p.INTERNAL,
            p.OVERLOADED,
            p.STORE_UNAVAILABLE,
            p.OUTCOME_UNKNOWN,
        ),
        (_SID,),
        t.Batch,
    ),
    Operation(
        "GET",
        "/v1/seasons/{sid}/leaderboard/top",
        "top",
        "getTop",
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
        "Empty the season: its period ends, the next begins. After the answer no earlier score is visible.",
        {200: ("The board is empty.", t.Deleted)},
        (p.INVALID_SEASON, p.STORE_UNAVAILABLE, p.RESET_PENDING, p.OUTCOME_UNKNOWN),
        (_SID,),
    ),
    Operation("GET", "/livez", "healthz", "getLive", "The process answers.", {200: ("It does.", t.Health)}),
    Operation("GET", "/healthz", "healthz", "getHealth", "The process answers.", {200: ("It does.", t.Health)}),
    Operation(
        "GET",
        "/readyz",
        "readyz",
        "getReady",
        "Redis, PostgreSQL and the schema are there.",
        {200: ("Ready.", t.Readiness), 503: ("Not ready.", t.Readiness)},
    ),
    Operation(
        "GET",
        "/openapi.json",
        "document",
        "getOpenapi",
        "This document.",
        {200: ("OpenAPI 3.1.", dict[str, Any])},
    ),
)
