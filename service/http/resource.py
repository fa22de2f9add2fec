"""The ordinary path: one generic Falcon resource for all operations, and handlers that turn errors into problems."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import falcon
import falcon.asgi

from board.errors import LeaderboardError
from service.access.authorizer import MALFORMED
from service.contract import problems
from service.contract.answers import KEPT, KEPT_PUBLIC, Answer
from service.contract.failures import answer_of
from service.contract.operation import Operation
from service.contract.preconditions import make_precondition
from service.contract.problems import problem_of_status
from service.contract.reason import REASON_HEADER
from service.http.conditional import NOT_MODIFIED, make_conditional
from service.http.endpoint import Endpoint
from service.http.request import EncodedBody, Request, Response
from service.http.request_ids import make_request_id
from service.http.streaming import StreamBody
from service.http.tracing import HEADER as TRACE
from service.http.uvicorn_seam import CONNECTION
from service.routes import OPERATIONS

log: Final = logging.getLogger(__name__)

_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def write_answer(resp: Response, answer: Answer, *, is_public: bool = False) -> None:
    """Copy an answer into Falcon's response. `is_public`: it is about a public season."""
    resp.status = _STATUS_LINES[answer.status]
    if answer.status != NOT_MODIFIED:
        resp.content_type = answer.media_type
        if answer.stream is None:
            resp.data = answer.body
    if answer.retry_after_s:
        resp.set_header("Retry-After", str(answer.retry_after_s))
    for name, value in answer.headers:
        # Falcon sets no cookies in one piece, but appends them.
        (resp.append_header if name == "set-cookie" else resp.set_header)(name, value)
    if answer.etag:
        resp.set_header("ETag", answer.etag)
        resp.set_header("Cache-Control", KEPT_PUBLIC if is_public else KEPT)


def write_methods(resp: Response, operations: Iterable[Operation]) -> None:
    """Answer OPTIONS: with the methods of these operations, and without a body."""
    methods = {method for operation in operations for method in operation.methods}
    resp.status = falcon.HTTP_200
    resp.set_header("Allow", ", ".join(sorted({*methods, "OPTIONS"})))


async def answer_options_of_server(req: Request, resp: Any, **path: str) -> None:
    """Falcon sink for the paths `*` and `/`. Load balancers ask them with OPTIONS whether the server answers."""
    if req.method != "OPTIONS":
        raise falcon.HTTPNotFound
    write_methods(resp, OPERATIONS)


SERVER_PATHS: Final = re.compile(r"[*/]\Z")
"""The paths of `answer_options_of_server`."""


class Resource:
    """All operations of one path, with a responder for each method, HEAD and OPTIONS among them.

    `is_hidden` gets the connection's local address, and tells whether operations of administrators get 404 there.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        is_hidden: Callable[[tuple[str, int | None] | None], bool],
    ) -> None:
        self._is_hidden: Final = is_hidden
        self._operations: Final = [endpoint.operation for endpoint in endpoints]
        for endpoint in endpoints:
            for method in endpoint.operation.methods:
                setattr(self, f"on_{method.lower()}", partial(self._respond, endpoint))

    async def on_options(self, req: Request, resp: Response, **path: str) -> None:
        """Answer with the methods of the path. It needs no credential, and changes nothing."""
        is_hidden = self._is_hidden(req.scope.get("server"))
        shown = [operation for operation in self._operations if not (operation.is_for_operators and is_hidden)]
        if not shown:
            raise falcon.HTTPNotFound
        write_methods(resp, shown)

    async def _respond(self, endpoint: Endpoint, req: Request, resp: Response, **path: str) -> None:
        operation = endpoint.operation
        if operation.is_for_operators and self._is_hidden(req.scope.get("server")):
            # The same answer as for an unknown path.
            raise falcon.HTTPNotFound
        texts = [req.get_text(one.place, one.name, path) for one in operation.inputs]
        credentials = req.get_header_values(b"authorization")
        verdict = endpoint.admit(credentials[0] if credentials else None, texts, req.get_header("Cookie"))
        if len(credentials) > 1 and verdict is not None:
            # Which of two credentials counts is ambiguous.
            verdict = MALFORMED
        if isinstance(verdict, Answer):
            write_answer(resp, verdict)
            return
        body = b"" if operation.body is None else await req.read_body(operation.body.most)
        keys = req.get_header_values(b"idempotency-key")
        # Sent twice: an empty text, which is not a valid key.
        key = None if not keys else keys[0].decode("latin-1") if len(keys) == 1 else ""
        if_none_match = req.get_header("If-None-Match")
        wanted = make_precondition(req.get_header("If-Match"), if_none_match) if operation.takes_precondition else None
        prefer = req.get_header("Prefer") if operation.takes_prefer else None
        of_audit = (req.get_header(REASON_HEADER), req.request_id) if operation.is_audited else ()
        order = endpoint.prepare(
            verdict, texts, req.content_type, key, req.get_header(TRACE), wanted, prefer, *of_audit
        )
        if if_none_match is not None and not operation.writes:
            order = make_conditional(order, if_none_match)
        answer = await order(body)
        write_answer(resp, answer, is_public=endpoint.is_public(texts))
        if answer.stream is not None:
            resp.stream = StreamBody(answer.stream, req.scope[CONNECTION])


async def on_http_error(req: Request, resp: Response, error: falcon.HTTPError, params: Any) -> None:
    """Answer Falcon's own errors (unknown path, wrong method, …) as problems."""
    if isinstance(error, EncodedBody):
        write_answer(resp, problems.UNSUPPORTED_ENCODING.answer)
    else:
        write_answer(resp, problem_of_status(error.status_code, error.title).answer)
    if error.headers:
        resp.set_headers(error.headers)


async def on_leaderboard_error(req: Request, resp: Response, error: LeaderboardError, params: Any) -> None:
    """Answer an error of our family that a handler raised."""
    write_answer(resp, answer_of(error))


async def on_defect(req: Request, resp: Response, error: Exception, params: Any) -> None:
    """Answer a defect: it is logged with its traceback, and the client gets no detail."""
    request_id = req.request_id = req.request_id or make_request_id()
    log.error("%s %s failed", req.method, req.path, exc_info=error, extra={"request_id": request_id})
    write_answer(resp, problems.INTERNAL.answer)
