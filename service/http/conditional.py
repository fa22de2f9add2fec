"""Conditional requests (RFC 9110, 13.1.2): a client that has the answer already gets `304` without a body."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from service.contract.answers import Answer
from service.http.endpoint import Order

NOT_MODIFIED: Final = 304
_TAG: Final = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def is_held(etag: str, if_none_match: str) -> bool:
    """Whether an `If-None-Match` names this entity tag, weak or not. A text that is no list of tags names none."""
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)


def make_conditional(order: Order, if_none_match: str) -> Order:
    """The order of a request with an `If-None-Match`. An answer without an entity tag is sent as it is."""

    async def answer_anew(body: bytes | None) -> Answer:
        answer = await order(body)
        if answer.etag and is_held(answer.etag, if_none_match):
            return msgspec.structs.replace(answer, status=NOT_MODIFIED, body=b"")
        return answer

    return answer_anew
