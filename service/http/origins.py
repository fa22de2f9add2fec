"""Which web pages of other origins may use the service: an allow-list, empty unless set (the Fetch standard's CORS).

Requests with an `Origin` always take the ordinary path, so both paths answer alike. Credentials here are in a
header that a page has to set itself; cookies are never used, so `Access-Control-Allow-Credentials` is never sent.
"""

from __future__ import annotations

from typing import Final

import falcon

from service.contract import problems
from service.contract.operation import SAFE
from service.http.request import Request, Response
from service.http.resource import write_answer
from service.routes import OPERATIONS

ANY: Final = "*"
AGE_S: Final = 600
REQUEST_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, X-Request-Id, traceparent"
ANSWER_HEADERS: Final = "RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-Id"
METHODS: Final = ", ".join(sorted({operation.method for operation in OPERATIONS}))


class CorsMiddleware:
    """Falcon middleware; before the one that looks for credentials, since a preflight carries none."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins: Final = origins

    def _allowed(self, req: Request) -> str | None:
        origin: str | None = req.get_header("Origin")
        if origin is None or not (origin in self._origins or ANY in self._origins):
            return None
        return ANY if ANY in self._origins else origin

    async def process_request(self, req: Request, resp: Response) -> None:
        """Answer a preflight: what may be asked does not depend on the path."""
        if req.method != "OPTIONS" or req.get_header("Access-Control-Request-Method") is None:
            return
        resp.complete = True
        resp.status = falcon.HTTP_204
        if self._allowed(req) is not None:
            resp.set_header("Access-Control-Allow-Methods", METHODS)
            resp.set_header("Access-Control-Allow-Headers", REQUEST_HEADERS)
            resp.set_header("Access-Control-Max-Age", str(AGE_S))

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:
        """Let the page read the answer, an error, too."""
        resp.append_header("Vary", "Origin")
        allowed = self._allowed(req)
        if allowed is not None:
            resp.set_header("Access-Control-Allow-Origin", allowed)
            resp.set_header("Access-Control-Expose-Headers", ANSWER_HEADERS)


class OriginCheck:
    """Falcon middleware of a server that runs open: web pages of origins that are not listed change nothing.

    Whoever sits at a machine with an open server on loopback also visits web pages, and a browser lets any of them send
    a POST, which needs no leave (the Fetch standard's `no-cors`) and here no credential. It always says its origin.
    """

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins: Final = origins

    async def process_request(self, req: Request, resp: Response) -> None:
        """Refuse what would change something."""
        origin = req.get_header("Origin")
        if origin is None or req.method in SAFE or origin in self._origins or ANY in self._origins:
            return
        write_answer(resp, problems.ORIGIN_FORBIDDEN.answer)
        resp.complete = True
