"""The OpenAPI 3.1 document, written from `service.routes` and the types of `service.types`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from service.answers import PROBLEM_JSON
from service.problems import Problem
from service.routes import OPERATIONS, Operation
from service.types import ProblemDetails


def release() -> str:
    """The installed version of the distribution."""
    try:
        return version("leaderboard-server")
    except PackageNotFoundError:
        return "0"


def document() -> dict[str, Any]:
    """The whole document, ready to be encoded as JSON."""
    types: list[Any] = [ProblemDetails]
    for operation in OPERATIONS:
        types += [kind for _, kind in operation.answers.values()]
        types += [parameter.kind for parameter in operation.parameters]
        if operation.body is not None:
            types.append(operation.body)
    schemas, components = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Leaderboard",
            "version": release(),
            "summary": "Scores durable in PostgreSQL, ranks live from Redis.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": text, "content": {"application/json": {"schema": schema_of[repr(kind)]}}}
        for status, (text, kind) in operation.answers.items()
    }
    by_status: dict[int, list[Problem]] = {}
    for problem in operation.problems:
        by_status.setdefault(problem.status, []).append(problem)
    for status, found in sorted(by_status.items()):
        responses[str(status)] = {
            "description": " ".join(f"`{problem.code}`: {problem.meaning}" for problem in found),
            "content": {PROBLEM_JSON: {"schema": schema_of[repr(ProblemDetails)]}},
        }
        if status == 503:
            responses[str(status)]["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            }
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "responses": responses,
    }
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
            "required": True,
            "content": {"application/json": {"schema": schema_of[repr(operation.body)]}},
        }
    return entry
