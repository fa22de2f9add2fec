"""The OpenAPI 3.1 document, derived from the table of operations and its types."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, Final

import msgspec

from board.release import RELEASE
from service.contract import problems
from service.contract.answers import JSON, KEPT, KEPT_PUBLIC, PROBLEM_JSON
from service.contract.operation import Operation
from service.contract.problems import Problem
from service.contract.scopes import SCOPES
from service.contract.types import ProblemDetails
from service.http.openapi_schemas import Schema, SpelledSchemas, make_example, make_schemas
from service.http.request_ids import HEADER, LENGTH_MOST
from service.http.spelling import SPELLED_JSON
from service.routes import OPERATIONS

ACCESS: Final = (
    problems.CREDENTIAL_MISSING,
    problems.CREDENTIAL_MALFORMED,
    problems.CREDENTIAL_UNKNOWN,
    problems.CREDENTIAL_EXPIRED,
    problems.CREDENTIAL_REVOKED,
    problems.CREDENTIAL_EARLY,
    problems.CLAIMS_REFUSED,
    problems.SCOPE_MISSING,
    problems.SEASON_FORBIDDEN,
    problems.RATE_LIMITED,
    problems.ACCESS_NOT_LOADED,
    problems.LIMITS_UNAVAILABLE,
)
"""Problems of every operation that needs a scope, besides its own."""


REQUEST_ID: Final = {"$ref": "#/components/headers/RequestId"}
_REQUEST_ID: Final = {
    "description": f"The request's `{HEADER}` (letters, digits, `._~+/=:@-`); with an error, a new one if it had none.",
    "schema": {"type": "string", "maxLength": LENGTH_MOST},
}

KEPT_HEADERS: Final = {
    "ETag": {"description": "Names the state of the board, and the profiles on it.", "schema": {"type": "string"}},
    "Cache-Control": {
        "description": f"`{KEPT}`, and `{KEPT_PUBLIC}` of a public season.",
        "schema": {"type": "string"},
    },
}
"""Headers of answers that a client may keep."""

LIMITED_TO_PLAYER: Final = (problems.PLAYER_FORBIDDEN, problems.DELTA_FORBIDDEN)
"""Problems that only a player's token can have."""


def list_problems(operation: Operation, *, guarded: bool) -> tuple[Problem, ...]:
    """List all problems of an operation. `guarded`: the server requires credentials."""
    if operation.scope is None and (guarded or not operation.writes):
        return operation.all_problems
    if guarded:
        return (*operation.all_problems, *ACCESS)
    own = tuple(problem for problem in operation.all_problems if problem not in LIMITED_TO_PLAYER)
    return (*own, problems.ORIGIN_FORBIDDEN) if operation.writes else own


@cache
def make_document(*, guarded: bool = True) -> dict[str, Any]:
    """Make the document, once, ready for JSON. `guarded`: the server requires credentials."""
    types: list[Any] = [ProblemDetails]
    for operation in OPERATIONS:
        types += [kind for _, kind in operation.answers.values() if kind is not None]
        types += [parameter.kind for parameter in operation.parameters]
        if operation.body is not None:
            types.append(operation.body.kind)
    schemas, components = make_schemas(types)
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe_operation(
            operation, schema_of, components, guarded
        )
    scheme = {
        "type": "http",
        "scheme": "bearer",
        "description": f"A key (`lb_…`) or a player's token. Scopes: {', '.join(f'`{scope}`' for scope in SCOPES)}.",
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leaderboard",
            "version": RELEASE,
            "summary": "Scores durable in PostgreSQL, ranks live from Redis.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server that has this document."}],
        "tags": list({tag["name"]: tag for tag in map(describe_tag, OPERATIONS)}.values()),
        "paths": paths,
        "components": {
            "schemas": components,
            "headers": {"RequestId": _REQUEST_ID},
            **({"securitySchemes": {"bearer": scheme}} if guarded else {}),
        },
    }


def describe_tag(operation: Operation) -> dict[str, str]:
    """The tag of an operation: its feature's folder, and the text of that."""
    package = operation.handler.__module__.rpartition(".")[0]
    return {"name": package.rpartition(".")[2], "description": sys.modules[package].__doc__ or ""}


def describe_content(
    schema: Schema, components: dict[str, Schema], *, good: bool = True, media_types: tuple[str, ...] = (JSON,)
) -> dict[str, Any]:
    """A body in JSON. It has an example, unless it may be any object or is the answer for a fault (not `good`)."""
    if not good or (schema.get("type") == "object" and "properties" not in schema):
        return {media_type: {"schema": schema} for media_type in media_types}
    described = {"schema": schema, "example": make_example(schema, components)}
    return dict.fromkeys(media_types, described)


def describe_answer(operation: Operation, status: int, schema: Schema, components: dict[str, Schema]) -> dict[str, Any]:
    """The bodies of an answer: that in JSON; and the one with strings for numbers of 64 bits, if there is a choice.

    A stream is of one media type, whatever its numbers are.
    """
    content = describe_content(schema, components, good=status < 400, media_types=(operation.media_type,))
    if operation.takes_int64 and operation.media_type == JSON:
        spelled = SpelledSchemas(components).make(schema)
        content |= describe_content(spelled, components, media_types=(SPELLED_JSON,))
    return content


def _describe_operation(
    operation: Operation, schema_of: dict[str, Schema], components: dict[str, Schema], guarded: bool
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {
            "description": text,
            **(
                {}
                if kind is None
                else {"content": describe_answer(operation, status, schema_of[repr(kind)], components)}
            ),
            **({"headers": dict(KEPT_HEADERS)} if operation.is_kept else {}),
        }
        for status, (text, kind) in operation.answers.items()
    }
    by_status: dict[int, list[Problem]] = {}
    for problem in list_problems(operation, guarded=guarded):
        by_status.setdefault(problem.status, []).append(problem)
    for status, found in sorted(by_status.items()):
        responses[str(status)] = {
            "description": " ".join(f"`{problem.code}`: {problem.meaning}" for problem in found),
            "content": {
                PROBLEM_JSON: {
                    "schema": schema_of[repr(ProblemDetails)],
                    "example": msgspec.json.decode(found[0].answer.body),
                }
            },
        }
        if status == 429 or any(problem.retry_after_s for problem in found):
            responses[str(status)]["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "format": "int32"}}
            }
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [describe_tag(operation)["name"]],
        "summary": operation.summary,
        "responses": responses,
    }
    if guarded and operation.scope is not None:
        # An empty requirement: none, where the season is public.
        entry["security"] = [{"bearer": [operation.scope]}, *([{}] if operation.reads_season else [])]
        responses["401"]["headers"] = responses["403"]["headers"] = {
            "WWW-Authenticate": {"description": "RFC 6750.", "schema": {"type": "string"}}
        }
    for response in responses.values():
        response.setdefault("headers", {})[HEADER] = REQUEST_ID
    if operation.parameters:
        entry["parameters"] = [
            {
                "name": parameter.name,
                "in": parameter.place,
                "required": parameter.required and parameter.default is None,
                "description": parameter.meaning,
                "schema": schema_of[repr(parameter.kind)]
                | ({} if parameter.default is None else {"default": parameter.default}),
            }
            for parameter in operation.parameters
        ]
    if operation.body is not None:
        entry["requestBody"] = {
            "required": operation.body.required,
            "content": describe_content(
                schema_of[repr(operation.body.kind)], components, media_types=operation.body.media_types
            ),
        }
    return entry
