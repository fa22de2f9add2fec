"""`?int64=string`: numbers of 64 bits as JSON strings, for clients whose numbers are doubles.

The answer has a media type of its own, so that generated clients can tell the two forms apart. A stream keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from service.contract.answers import JSON, Answer, PendingAnswer
from service.contract.spelling import spell

Order = Callable[[bytes | None], PendingAnswer]

SPELLED_JSON: Final = "application/vnd.leaderboard.int64-as-string+json"

_encode: Final = msgspec.json.Encoder().encode


def make_spelled(order: Order) -> Order:
    """The order of a request that asks for texts. Errors stay as they are."""

    async def answer_spelled(body: bytes | None) -> Answer:
        answer = await order(body)
        if answer.stream is not None:
            answer.stream.spell()
        if answer.media_type != JSON or not answer.body:
            return answer
        spelled = _encode(spell(msgspec.json.decode(answer.body)))
        return msgspec.structs.replace(answer, body=spelled, media_type=SPELLED_JSON)

    return answer_spelled
