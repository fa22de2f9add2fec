"""Endpoints that note what they are asked for, in place of the worker's parts. Both paths end in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from service.access.caller import Caller
from service.contract.answers import Answer
from service.http.endpoint import Endpoint
from service.http.tracing import Traces
from service.routes import OPERATIONS


def echo_endpoints(note: Callable[[tuple[Any, ...]], object]) -> tuple[Endpoint, ...]:
    """An endpoint for each operation; bodies are handed on as bytes, and of a caller the key."""

    async def handle(name: str, *values: Any) -> Answer:
        note((name, *(value.key if isinstance(value, Caller) else value for value in values)))
        return Answer(200, b"{}")

    return tuple(
        Endpoint(
            operation
            if operation.body is None
            else msgspec.structs.replace(operation, body=msgspec.structs.replace(operation.body, decode=bytes)),
            index,
            partial(handle, operation.name),
            authorizer=None,
            quotas=None,
            tickets=None,
            traces=Traces(None),
        )
        for index, operation in enumerate(OPERATIONS)
    )
