"""Lookups: many players of one board in one request, all read at one instant."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from board.redis.scripts import script
from board.segments import name_segment_board, split_board
from service.access.caller import Caller
from service.boards.calls import BoardCalls, read_run, read_state
from service.boards.past_boards import Past, PastBoards, show_columns
from service.boards.profiles import ShownProfiles
from service.boards.segments import SEGMENT_OR_PERIOD, segment_of
from service.boards.types import LOOKUP_MOST, FoundPlayer, LookupAnswer, LooseLookup
from service.contract import problems
from service.contract.answers import Answer, PendingAnswer
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

    def __init__(self, calls: BoardCalls, past: PastBoards, profiles: ShownProfiles) -> None:
        self._calls: Final = calls
        self._past: Final = past
        self._profiles: Final = profiles

    async def look_up(
        self,
        season: str,
        period: int | None,
        attributes: tuple[str, ...],
        segment: str | None,
        users: list[str],
        caller: Caller,
    ) -> Answer:
        """Read these players (`LookupAnswer`); an unknown season has none of them.

        Raises `BoardRebuilding`, also where a single one of them cannot be answered, and `BoardUnavailable`.
        """
        if segment is not None:
            if period is not None:
                return SEGMENT_OR_PERIOD.answer
            season = name_segment_board(season, segment)
        live = partial(self._look_up, season, users)
        found = live() if period is None else self._look_up_past(season, period, users, live)
        return await self._profiles.show(await found, attributes)

    async def _look_up(self, season: str, users: list[str]) -> Answer:
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
                FoundPlayer(rank + 1, position, user, run.score, run.version, run.columns)
                for position, (_, (user, prefix), zscore, rank) in enumerate(in_order, 1)
                for run in (read_run(prefix, zscore, state),)
            ]
        name, segment = split_board(season)[0], segment_of(season)
        shown = LookupAnswer(name, items, missing, state.as_of, segment=segment)
        return Answer(200, state.add_period(_encode(shown)))

    async def _look_up_past(
        self, season: str, period: int, users: list[str], live: Callable[[], PendingAnswer]
    ) -> Answer:
        async def read(past: Past) -> Answer:
            rows = await self._past.read_players(past, users)
            items = [
                FoundPlayer(rank, position, user, score, reached, show_columns(past.state, run))
                for position, (_, rank, user, score, run, reached) in enumerate(rows, 1)
            ]
            found = {item.userId for item in items}
            missing = [user for user in users if user not in found]
            return Answer(200, _encode(LookupAnswer(season, items, missing, past.state.as_of, period)))

        return await self._past.read_steadily(season, period, live, read)


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
