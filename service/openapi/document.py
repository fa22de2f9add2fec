"""The OpenAPI document as an answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from service.contract.answers import Answer


class Document:
    """The document of one server, encoded once."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._answer: Final = Answer(200, msgspec.json.encode(document))

    async def read(self) -> Answer:
        """Read the document (200)."""
        return self._answer
