"""The Falcon resources: take a request apart, hand it to an action, write its answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import Any, Final

import falcon
import falcon.asgi

from board.errors import LeaderboardError
from service.access.grant import Player
from service.actions import Actions
from service.contract import problems
from service.contract.answers import Answer, Order, answered
from service.http.connection import WHOLE
from service.http.request_ids import made
from service.http.tracing import HEADER as TRACE
from service.http.tracing import Traces, followed
from service.keys.manage import BODY_MOST as KEY_BODY_MOST
from service.keys.manage import Manage

log: Final = logging.getLogger("service")

_STATUS_LINES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

Request = falcon.asgi.Request
Response = falcon.asgi.Response


def give(resp: Response, answer: Answer) -> None:
    """Write an answer."""
    resp.status = _STATUS_LINES[answer.status]
    resp.content_type = answer.media_type
    resp.data = answer.body
    if answer.retry_after_s:
        resp.set_header("Retry-After", str(answer.retry_after_s))
    for name, value in answer.headers:
        resp.set_header(name, value)


def season_of(req: Request, sid: str) -> str:
    """The season id of the path, or nothing if it was not UTF-8.

    The server has decoded the path with U+FFFD for bytes that are no UTF-8: two different wrong paths must not
    become one season, so that character counts only if it was really sent.
    """
    if "\ufffd" in sid and b"%EF%BF%BD" not in req.scope.get("raw_path", b"").upper():
        return ""
    return sid


def text_of(req: Request, name: str) -> str | None:
    """A parameter of the query; an empty text if it was given twice or was not UTF-8, None if it was not given."""
    value = req.params.get(name)
    if value is None or isinstance(value, str):
        if value and "\ufffd" in value and "%EF%BF%BD" not in req.query_string.upper():
            return ""
        return value
    return ""


def player_of(req: Request) -> Player | None:
    """The one player the credential speaks for; None for a key, and for a server that runs open."""
    player: Player | None = getattr(req.context, "player", None)
    return player


def key_of(req: Request) -> str | None:
    """The `Idempotency-Key` header; an empty text, which is no key, if there are two: the framework would join them."""
    values = [value for name, value in req.scope["headers"] if name == b"idempotency-key"]
    return None if not values else values[0].decode("latin-1") if len(values) == 1 else ""


class EncodedBody(falcon.HTTPUnsupportedMediaType):
    """A compressed body: a few bytes could become any number of them."""


def paid(req: Request, order: Order) -> Order:
    """What a submission does with its body, paid for from the quotas of whoever sent it where there are any."""
    spend: Callable[[Order, bytes], Coroutine[Any, Any, Answer]] | None = getattr(req.context, "spend", None)
    return order if spend is None else partial(spend, order)


async def body_of(req: Request, most: int) -> bytes | None:
    """The body; None if it is longer than `most` bytes. Raises falcon's errors for one that is not to be read."""
    if (req.get_header("Content-Encoding") or "identity").strip().lower() != "identity":
        raise EncodedBody(headers={"Accept-Encoding": "identity"})
    length = req.content_length
    if length is not None and length > most:
        return None
    # One byte more than allowed is enough to know; the rest is never read.
    body: bytes = await req.stream.read(most + 1)
    if len(body) > most:
        return None
    if req.scope.get("state", {}).get(WHOLE) is False:
        # The connection broke, which ends the stream, too. What was cut off must not count (RFC 9112, 8).
        raise falcon.HTTPBadRequest
    return body


class Submissions:
    """``/v1/seasons/{sid}/scores`` and ``/v1/seasons/{sid}/scores/batch``

    `operation` names the spans, `most` is the longest body in bytes, `too_large` answers a longer one.
    """

    def __init__(
        self,
        submit: Callable[..., Coroutine[Any, Any, Answer]],
        traces: Traces,
        operation: str,
        most: int,
        too_large: Answer,
    ) -> None:
        self._submit: Final = submit
        self._traces: Final = traces
        self._operation: Final = operation
        self._most: Final = most
        self._too_large: Final = too_large

    async def on_post(self, req: Request, resp: Response, sid: str) -> None:
        body = await body_of(req, self._most)
        season, kind, player = season_of(req, sid), req.content_type, player_of(req)
        key = key_of(req)
        span = self._traces.begin(self._operation, req.get_header(TRACE))
        order: Order = partial(answered, self._too_large)
        if body is not None:
            order = partial(self._submit, season, kind, key, player=player, span=span)
        give(resp, await followed(span, paid(req, order), body or b""))


class Top:
    """``/v1/seasons/{sid}/leaderboard/top``"""

    def __init__(self, actions: Actions) -> None:
        self._actions: Final = actions

    async def on_get(self, req: Request, resp: Response, sid: str) -> None:
        give(resp, await self._actions.top(season_of(req, sid), text_of(req, "limit")))


class Rank:
    """``/v1/seasons/{sid}/leaderboard/rank``"""

    def __init__(self, actions: Actions) -> None:
        self._actions: Final = actions

    async def on_get(self, req: Request, resp: Response, sid: str) -> None:
        give(resp, await self._actions.rank(season_of(req, sid), text_of(req, "userId") or ""))


class Around:
    """``/v1/seasons/{sid}/leaderboard/around``"""

    def __init__(self, actions: Actions) -> None:
        self._actions: Final = actions

    async def on_get(self, req: Request, resp: Response, sid: str) -> None:
        season, user = season_of(req, sid), text_of(req, "userId") or ""
        give(resp, await self._actions.around(season, user, text_of(req, "range")))


class Season:
    """``/v1/seasons/{sid}``"""

    def __init__(self, actions: Actions) -> None:
        self._actions: Final = actions

    async def on_delete(self, req: Request, resp: Response, sid: str) -> None:
        give(resp, await self._actions.reset(season_of(req, sid)))


class Keys:
    """``/v1/keys``"""

    def __init__(self, manage: Manage) -> None:
        self._manage: Final = manage

    async def on_get(self, req: Request, resp: Response) -> None:
        give(resp, await self._manage.list())

    async def on_post(self, req: Request, resp: Response) -> None:
        give(resp, await self._manage.create(req.content_type, await body_of(req, KEY_BODY_MOST)))


class Rotation:
    """``/v1/keys/{id}/rotate``"""

    def __init__(self, manage: Manage) -> None:
        self._manage: Final = manage

    async def on_post(self, req: Request, resp: Response, id: str) -> None:
        give(resp, await self._manage.rotate(id, req.content_type, await body_of(req, KEY_BODY_MOST)))


class Key:
    """``/v1/keys/{id}``"""

    def __init__(self, manage: Manage) -> None:
        self._manage: Final = manage

    async def on_delete(self, req: Request, resp: Response, id: str) -> None:
        give(resp, await self._manage.revoke(id))


class Healthz:
    """``/healthz`` and ``/livez``"""

    def __init__(self, actions: Actions) -> None:
        self._actions: Final = actions

    async def on_get(self, req: Request, resp: Response) -> None:
        give(resp, await self._actions.live())


class Readyz:
    """``/readyz``"""

    def __init__(self, actions: Actions) -> None:
        self._actions: Final = actions

    async def on_get(self, req: Request, resp: Response) -> None:
        give(resp, await self._actions.ready())


class Document:
    """``/openapi.json``"""

    def __init__(self, answer: Answer) -> None:
        self._answer: Final = answer

    async def on_get(self, req: Request, resp: Response) -> None:
        give(resp, self._answer)


async def on_http_error(req: Request, resp: Response, error: falcon.HTTPError, params: Any) -> None:
    """Falcon's own errors (unknown path, wrong method, …) in our form."""
    if isinstance(error, EncodedBody):
        give(resp, problems.UNSUPPORTED_ENCODING.answer)
    else:
        give(resp, problems.of_status(error.status_code, error.title).answer)
    if error.headers:
        resp.set_headers(error.headers)


async def on_leaderboard_error(req: Request, resp: Response, error: LeaderboardError, params: Any) -> None:
    """Errors of our own family that an action let through."""
    give(resp, problems.of(error).answer)


async def on_defect(req: Request, resp: Response, error: Exception, params: Any) -> None:
    """A defect of ours: log it whole, tell the client nothing of it."""
    request_id = req.context.request_id = req.context.request_id or made()
    log.error("%s %s failed", req.method, req.path, exc_info=error, extra={"request_id": request_id})
    give(resp, problems.INTERNAL.answer)
