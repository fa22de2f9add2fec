"""Request ids: the client's own where it sent a good one, ours where an answer or a log line tells of trouble.

A request that goes well and brought none gets none: nobody would look for it.
"""

from __future__ import annotations

import logging
import os
import re
from typing import Final

import falcon.asgi

log: Final = logging.getLogger("service")

HEADER: Final = "X-Request-Id"
MOST: Final = 128

# What can neither end a line of a log nor a header, and what nobody has to quote.
_FORM: Final = re.compile(rf"[A-Za-z0-9._~+/=:@-]{{1,{MOST}}}")


def given(value: str | None) -> str | None:
    """The client's id, unless there is none, or none that is good: then it is as if it had not been sent."""
    return value if value is not None and _FORM.fullmatch(value) else None


def made() -> str:
    """A new one: 16 hex digits at random."""
    return os.urandom(8).hex()


def of_trouble(request_id: str | None, status: int, what: str) -> str:
    """The id of an answer from 400 on, a new one if it has none. A 500 says nothing but that we failed, so a line tells
    of it; what it was is in the lines before."""
    request_id = request_id or made()
    if status == 500:
        log.error("%s was answered with 500", what, extra={"request_id": request_id})
    return request_id


class RequestIds:
    """Falcon middleware: gives each request of the ordinary lane its id."""

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Note the client's own."""
        req.context.request_id = given(req.get_header(HEADER))

    async def process_response(
        self, req: falcon.asgi.Request, resp: falcon.asgi.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Tell it."""
        request_id: str | None = req.context.request_id
        if resp.status_code >= 400:
            request_id = of_trouble(request_id, resp.status_code, f"{req.method} {req.uri_template}")
        if request_id is not None:
            resp.set_header(HEADER, request_id)
