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


def tell_of_failure(what: str, request_id: str) -> None:
    """A line for an answer that says nothing but that we failed: what it was is in the lines before."""
    log.error("%s was answered with 500", what, extra={"request_id": request_id})


def made() -> str:
    """A new one: 16 hex digits at random."""
    return os.urandom(8).hex()


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
        if request_id is None and resp.status_code >= 400:
            request_id = made()
        if resp.status_code == 500:
            tell_of_failure(f"{req.method} {req.uri_template}", request_id or "")
        if request_id is not None:
            resp.set_header(HEADER, request_id)
