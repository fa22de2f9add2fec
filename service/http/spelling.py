"""`?int64=string`: numbers of 64 bits as JSON strings, for clients whose numbers are doubles.

The answer has a media type of its own, so that generated clients can tell the two forms apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from service.contract.answers import JSON, Answer, PendingAnswer

Order = Callable[[bytes | None], PendingAnswer]

SPELLED_JSON: Final = "application/vnd.leaderboard.int64-as-string+json"
SPELLED: Final = frozenset({"score", "version", "previousScore", "from", "to"})
"""The members that are numbers of 64 bits. All of them are strings then, also the small ones."""
COLUMNS: Final = "columns"
"""The member whose members are numbers of 64 bits."""
FOREIGN: Final = frozenset({"metadata", "attributes"})
"""The members that hold what clients have sent. They stay as they are."""
DIGITS: Final = "^-?[0-9]{1,19}$"

_encode: Final = msgspec.json.Encoder().encode


def spell(value: Any) -> Any:
    """A decoded answer with its numbers of 64 bits as texts."""
    if isinstance(value, dict):
        return {name: spell_member(name, member) for name, member in value.items()}
    if isinstance(value, list):
        return [spell(member) for member in value]
    return value


def spell_member(name: str, member: Any) -> Any:
    """One member of an object."""
    if name in SPELLED and isinstance(member, int):
        return str(member)
    if name == COLUMNS and isinstance(member, dict):
        return {column: str(number) for column, number in member.items()}
    return member if name in FOREIGN else spell(member)


def make_spelled(order: Order) -> Order:
    """The order of a request that asks for texts. Errors stay as they are."""

    async def answer_spelled(body: bytes | None) -> Answer:
        answer = await order(body)
        if answer.media_type != JSON or not answer.body:
            return answer
        spelled = _encode(spell(msgspec.json.decode(answer.body)))
        return msgspec.structs.replace(answer, body=spelled, media_type=SPELLED_JSON)

    return answer_spelled
