"""Lookups: many players of one board in one request, all read at one instant."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from board.redis.scripts import script
from service.access.caller import Caller
from service.boards.calls import BoardCalls, read_score_of, read_state
from service.boards.profiles import ShownProfiles
from service.boards.types import LOOKUP_MOST, FoundPlayer, LookupAnswer, LooseLookup
from service.contract import problems
from service.contract.answers import Answer
from service.contract.problems import Rejected, add_problem
from service.contract.types import USER_ID_MAX
from service.contract.validation import DUPLICATE_MEMBER, UNDECODABLE, has_duplicate_member, is_plain

LOOKUP: Final = script("lookup")

TOO_MANY_USERS: Final = add_problem(
    "too-many-user-ids",
    400,
    f"A lookup takes at most {LOOKUP_MOST:,} players.",
    f"`userIds` has more than {LOOKUP_MOST:,} ids. Divide the lookup.",
)
DUPLICATE_USER: Final = add_problem(
    "duplicate-user-id",
    400,
    "A lookup names each player once.",
    "`userIds` has the same id twice.",
)

_OF_USER: Final = re.compile(r" - at `\$\.userIds\[\d+\]`\Z")

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(LooseLookup).decode


class Lookups:
    """The lookups of one worker."""

    def __init__(self, calls: BoardCalls, profiles: ShownProfiles) -> None:
        self._calls: Final = calls
        self._profiles: Final = profiles

    async def look_up(self, season: str, attributes: tuple[str, ...], users: list[str], caller: Caller) -> Answer:
        """Read these players (`LookupAnswer`); an unknown season has none of them.

        Raises `BoardRebuilding`, also where a single one of them cannot be answered, and `BoardUnavailable`.
        """
        reply = await self._calls.call(LOOKUP, season, *map(str.encode, users))
        prefixes, places, zscores, shared = reply[3:]
        missing = [user for user, prefix in zip(users, prefixes, strict=True) if prefix is None]
        found = [(user, prefix) for user, prefix in zip(users, prefixes, strict=True) if prefix is not None]
        if None in places:
            raise self._calls.suspect(season, found[places.index(None)][0])
        in_order = sorted(zip(places, found, zscores, shared or places, strict=True))
        with self._calls.reading(season):
            state = read_state(reply)
            items = [
                FoundPlayer(
                    rank=rank + 1,
                    position=position,
                    userId=user,
                    score=read_score_of(prefix, zscore, state.order),
                    version=int.from_bytes(prefix[2:], "big"),
                )
                for position, (_, (user, prefix), zscore, rank) in enumerate(in_order, 1)
            ]
        found_ones = Answer(200, _encode(LookupAnswer(season, items, missing, state.as_of)))
        return await self._profiles.show(found_ones, attributes)


def decode_lookup(body: bytes) -> list[str]:
    """Decode the body of a lookup: different ids of players. Raises `Rejected`."""
    try:
        users = _decode(body).userIds
    except msgspec.ValidationError as error:
        problem = problems.INVALID_USER if _OF_USER.search(str(error)) else problems.INVALID_BODY
        raise Rejected(problem.with_detail(str(error))) from error
    except UNDECODABLE as error:
        raise Rejected(problems.MALFORMED_JSON.answer) from error
    if len(users) > LOOKUP_MOST:
        raise Rejected(TOO_MANY_USERS.with_detail(f"userIds has {len(users):,} ids. {TOO_MANY_USERS.title}"))
    if has_duplicate_member(body):
        raise Rejected(problems.INVALID_BODY.with_detail(DUPLICATE_MEMBER))
    places: dict[str, int] = {}
    for place, user in enumerate(users):
        if not is_plain(user, USER_ID_MAX):
            raise Rejected(problems.INVALID_USER.with_detail(f"userIds[{place}]: {problems.INVALID_USER.title}"))
        if (first := places.setdefault(user, place)) != place:
            raise Rejected(DUPLICATE_USER.with_detail(f"userIds[{first}] and userIds[{place}] are the same."))
    return list(places)
