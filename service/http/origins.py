"""Web pages of other origins: an allow-list, empty by default (CORS of the Fetch standard).

Requests with an `Origin` always take the ordinary path, so both paths answer alike. A page has to set the header with
the credential itself. The service uses no cookies, so it never sends `Access-Control-Allow-Credentials`.
"""

from __future__ import annotations

from typing import Final

import falcon

from service.contract import problems
from service.contract.operation import SAFE
from service.http.own_origin import is_own_origin
from service.http.request import Request, Response
from service.http.resource import write_answer
from service.routes import OPERATIONS

ANY: Final = "*"
PREFLIGHT_AGE_S: Final = 600
"""Seconds for which a browser may reuse the answer to a preflight."""
REQUEST_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, "
    "X-Audit-Log-Reason, X-Request-Id, traceparent"
)
ANSWER_HEADERS: Final = (
    "ETag, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
)
METHODS: Final = ", ".join(sorted({operation.method for operation in OPERATIONS}))


def list_headers(origins: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """The headers of every answer of a worker, on both paths and to refused requests.

    Where origins are listed, an answer depends on the request's `Origin`, also if there is none: a cache in front must
    not give a page the answer that was made for a request without.
    """
    return (("vary", "Origin"),) if origins else ()


class CorsMiddleware:
    """Falcon middleware for CORS. It comes before authorization, since a preflight has no credential."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins: Final = origins

    def _allowed(self, req: Request) -> str | None:
        origin: str | None = req.get_header("Origin")
        if origin is None or not (origin in self._origins or ANY in self._origins):
            return None
        return ANY if ANY in self._origins else origin

    async def process_request(self, req: Request, resp: Response) -> None:
        """Answer a preflight. The allowed methods and headers do not depend on the path."""
        if req.method != "OPTIONS" or req.get_header("Access-Control-Request-Method") is None:
            return
        resp.complete = True
        resp.status = falcon.HTTP_204
        if self._allowed(req) is not None:
            resp.set_header("Access-Control-Allow-Methods", METHODS)
            resp.set_header("Access-Control-Allow-Headers", REQUEST_HEADERS)
            resp.set_header("Access-Control-Max-Age", str(PREFLIGHT_AGE_S))

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:
        """Let the page read the answer, also an error."""
        allowed = self._allowed(req)
        if allowed is not None:
            resp.set_header("Access-Control-Allow-Origin", allowed)
            resp.set_header("Access-Control-Expose-Headers", ANSWER_HEADERS)


class OriginCheck:
    """Falcon middleware of an open server: web pages of origins that are not listed cannot change anything.

    A user of a machine with an open server on loopback also visits web pages. Any page can make the browser send a POST
    without a preflight (`no-cors` of the Fetch standard), and an open server needs no credential. The browser always
    sends the page's origin. The operators' page has this server's own, which is allowed where its address cannot be
    another server's (`is_own_origin`).
    """

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins: Final = origins

    async def process_request(self, req: Request, resp: Response) -> None:
        """Refuse a request that may change something, from an origin that is not listed."""
        origin = req.get_header("Origin")
        if origin is None or req.method in SAFE or origin in self._origins or ANY in self._origins:
            return
        if is_own_origin(origin, req.get_header("Host")):
            return
        write_answer(resp, problems.ORIGIN_FORBIDDEN.answer)
        resp.complete = True
