"""The operation that serves the OpenAPI document."""

from __future__ import annotations

from typing import Any, Final

from service.contract.operation import Operation
from service.contract.scopes import PUBLIC
from service.openapi.document import Document

OPERATIONS: Final = (
    Operation(
        name="getOpenapi",
        method="GET",
        path="/openapi.json",
        handler=Document.read,
        scope=PUBLIC,
        summary="This document.",
        answers={200: ("OpenAPI 3.1.", dict[str, Any])},
    ),
)
