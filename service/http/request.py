"""Falcon's request, with its start time and id, and with unambiguous texts of path, query and headers."""

from __future__ import annotations

from time import perf_counter_ns
from typing import Any, Final

import falcon
import falcon.asgi

from service.http.request_ids import HEADER, accept_request_id

Response = falcon.asgi.Response


class EncodedBody(falcon.HTTPUnsupportedMediaType):
    """The body is compressed. It is refused, since a few bytes could expand to any number."""


class Request(falcon.asgi.Request):
    """One request on the ordinary path.

    `started_ns` is the time at which its head was complete (`perf_counter_ns`). `request_id` is the client's id, or
    None until an error needs one.
    """

    __slots__ = ("_complete", "request_id", "started_ns")

    def __init__(self, scope: dict[str, Any], receive: Any, first_event: Any = None, options: Any = None) -> None:
        self.started_ns: Final = perf_counter_ns()
        self._complete = first_event is not None and not first_event.get("more_body", False)

        async def receive_and_note() -> Any:
            event = await receive()
            if event["type"] == "http.request" and not event.get("more_body", False):
                self._complete = True
            return event

        super().__init__(scope, receive_and_note, first_event=first_event, options=options)
        self.request_id: str | None = accept_request_id(self.get_header(HEADER))

    async def read_body(self, most: int) -> bytes | None:
        """Read the body; None if longer than `most` bytes. Raises `EncodedBody`; `HTTPBadRequest` if it was cut off."""
        if (self.get_header("Content-Encoding") or "identity").strip().lower() != "identity":
            raise EncodedBody(headers={"Accept-Encoding": "identity"})
        length = self.content_length
        if length is not None and length > most:
            return None
        # One byte beyond the limit is enough; the rest is never read.
        body: bytes = await self.stream.read(most + 1)
        if len(body) > most:
            return None
        if not self._complete:
            # A broken connection ends the stream, too. An incomplete body must not count (RFC 9112, 8).
            raise falcon.HTTPBadRequest
        return body

    def get_text(self, place: str, name: str, path: dict[str, str]) -> str | None:
        """The text of a parameter of this place; `path` are those of the path. None if it was not sent."""
        if place == "path":
            return self.get_path_text(path[name])
        return self.get_query_text(name) if place == "query" else self.get_header(name)

    def get_path_text(self, text: str) -> str:
        """A text of the path; an empty text if it was not UTF-8.

        The server decodes bytes that are not UTF-8 to U+FFFD. Two different wrong paths must not become one season, so
        U+FFFD is accepted only if the client sent that character.
        """
        if "\ufffd" in text and b"%EF%BF%BD" not in self.scope.get("raw_path", b"").upper():
            return ""
        return text

    def get_query_text(self, name: str) -> str | None:
        """A parameter of the query; an empty text if it was sent twice or is not UTF-8, None if it was not sent."""
        value = self.params.get(name)
        if value is None or isinstance(value, str):
            if value and "\ufffd" in value and "%EF%BF%BD" not in self.query_string.upper():
                return ""
            return value
        return ""

    def get_header_values(self, name: bytes) -> list[bytes]:
        """All values of a header, apart; Falcon joins them. `name` is in lower case."""
        return [value for other, value in self.scope["headers"] if other == name]
