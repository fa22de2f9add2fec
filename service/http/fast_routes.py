"""What the express lane takes: which of the four hot operations a request is, and what to do with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from service.access.authorizer import Gate
from service.access.grant import Player
from service.actions import Actions
from service.contract.answers import Answer, Order, answered
from service.contract.scopes import bits
from service.http.request_ids import given
from service.http.tracing import Traces, followed
from service.routes import scope_of
from service.telemetry.metrics import NAMES

BODY_MOST: Final = 16 * 1024

_PLAIN: Final = rb"[A-Za-z0-9_.~-]"
_URL: Final = re.compile(
    rb"/v1/seasons/(%b{1,64})/(?:(scores)|leaderboard/(?:"
    rb"(top)(?:\?limit=([0-9]{1,9}))?"
    rb"|(rank)\?userId=(%b{1,128})"
    rb"|(around)\?(?:range=([0-9]{1,9})&)?userId=(%b{1,128})(?:&range=([0-9]{1,9}))?"
    rb"))" % (_PLAIN, _PLAIN, _PLAIN)
)

# PERF: one look-up for all headers that few requests have. All but the last two (a body in another form, a
# conversation, a browser of another origin) are the framework's affair.
_RARE: Final = frozenset(
    {
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"upgrade",
        b"origin",
        b"x-request-id",
        b"traceparent",
    }
)

SUBMIT: Final = NAMES.index("submitScore")
READS: Final = NAMES.index("getTop"), NAMES.index("getRank"), NAMES.index("getAround")

_SUBMIT: Final = bits([scope_of("submitScore") or ""])
_READS: Final = tuple(bits([scope_of(name) or ""]) for name in ("getTop", "getRank", "getAround"))


def plan(
    actions: Actions,
    gate: Gate | None,
    traces: Traces,
    method: bytes,
    url: bytes,
    headers: list[tuple[bytes, bytes]],
) -> tuple[str | None, int, Order] | None:
    """Which operation a request is, under which id, and what to do with it; None if it is not for the express lane.

    Header names are lower case.
    """
    found = _URL.fullmatch(url)
    if found is None:
        return None
    content_type: str | None = None
    key: str | None = None
    credential: bytes | None = None
    length = -1
    request_id: str | None = None
    traceparent: str | None = None
    hosts = 0
    for name, value in headers:
        if name == b"content-type":
            if content_type is not None:
                return None
            content_type = value.decode("latin-1")
        elif name == b"content-length":
            if length >= 0 or not value.isdigit():
                return None
            length = int(value)
        elif name == b"idempotency-key":
            if key is not None:
                return None
            key = value.decode("latin-1")
        elif name == b"authorization":
            if credential is not None:
                return None
            credential = value
        elif name == b"host":
            hosts += 1
        elif name in _RARE:
            if name == b"x-request-id" and request_id is None:
                request_id = value.decode("latin-1")
            elif name == b"traceparent" and traceparent is None:
                traceparent = value.decode("latin-1")
            else:
                return None
    if request_id is not None:
        request_id = given(request_id)
    if hosts != 1:
        return None
    sid, scores, top, limit, rank, rank_user, _, side_first, around_user, side_last = found.groups()
    season = sid.decode()
    if scores is not None:
        if method != b"POST" or not 0 <= length <= BODY_MOST:
            return None
        player: Player | None = None
        spend: Callable[[Order, bytes], Coroutine[Any, Any, Answer]] | None = None
        if gate is not None:
            verdict = gate.admit(credential, _SUBMIT, season)
            if isinstance(verdict, Answer):
                return request_id, SUBMIT, partial(answered, verdict)
            player = verdict.player
            if gate.quotas is not None:
                spend = partial(gate.quotas.one, verdict)
        span = None if traceparent is None else traces.begin(NAMES[SUBMIT], traceparent)
        submit: Order = lambda body: actions.submit(season, content_type, key, body, player, span)  # noqa: E731
        if spend is not None:
            submit = partial(spend, submit)
        return request_id, SUBMIT, submit if span is None else partial(followed, span, submit)
    if method != b"GET" or length > 0:
        return None
    if side_first is not None and side_last is not None:
        return None
    which = 0 if top is not None else 1 if rank is not None else 2
    pay: Callable[[Order, bytes], Coroutine[Any, Any, Answer]] | None = None
    if gate is not None:
        verdict = gate.admit(credential, _READS[which], season)
        if isinstance(verdict, Answer):
            return request_id, READS[which], partial(answered, verdict)
        if gate.quotas is not None:
            pay = partial(gate.quotas.plain, verdict)
    side = side_first or side_last
    order: Order = (
        (lambda _: actions.top(season, None if limit is None else limit.decode()))
        if which == 0
        else (lambda _: actions.rank(season, rank_user.decode()))
        if which == 1
        else (lambda _: actions.around(season, around_user.decode(), None if side is None else side.decode()))
    )
    return request_id, READS[which], order if pay is None else partial(pay, order)
