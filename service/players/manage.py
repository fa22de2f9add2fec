"""Profiles of players over HTTP."""

from __future__ import annotations

from typing import Final

import msgspec

from board.audit import Act
from board.partitions import partition_of
from board.redis.poke import Poker
from service.access.authorizer import REFUSALS_BY_CODE
from service.access.caller import Caller
from service.contract import problems
from service.contract.answers import Answer
from service.contract.merge_patch import Members
from service.contract.preconditions import make_tag
from service.players.problems import PROFILE_NOT_FOUND
from service.players.profile import Shown, apply_patch
from service.players.store import Change, PlayerStore, Stored
from service.players.types import Profile, ProfileDeleted

_encode: Final = msgspec.json.Encoder().encode


class PlayerManager:
    """The operations on profiles of one worker. A player's token changes that player's profile only.

    All of them raise `StoreUnavailable` and `ServerUnreachable`; those that change something also `OutcomeUnknown` and
    `PreconditionFailed`.
    """

    def __init__(self, store: PlayerStore, poker: Poker) -> None:
        self._store: Final = store
        self._poker: Final = poker

    async def put(self, user: str, shown: Shown, caller: Caller) -> Answer:
        """Write a profile whole (`Profile`; 201 if it is new, else 200)."""
        return await self._change(user, lambda before: shown, caller, create=True)

    async def patch(self, user: str, patch: Members, caller: Caller) -> Answer:
        """Change members of a profile (`Profile`, 200; or `PROFILE_NOT_FOUND`). Raises `Rejected`."""
        return await self._change(user, lambda before: apply_patch(before, patch), caller, create=False)

    async def _change(self, user: str, change: Change, caller: Caller, *, create: bool) -> Answer:
        if is_other(user, caller):
            return REFUSALS_BY_CODE[problems.PLAYER_FORBIDDEN.code]
        stored = await self._store.change(user, change, caller.precondition, find_act(caller), create=create)
        if stored is None:
            return PROFILE_NOT_FOUND.answer
        if stored.changed:
            self._poker.poke({partition_of(user)})
        return make_answer(user, stored)

    async def read(self, user: str) -> Answer:
        """Read a profile (`Profile`, 200; or `PROFILE_NOT_FOUND`)."""
        stored = await self._store.find(user)
        return PROFILE_NOT_FOUND.answer if stored is None else make_answer(user, stored)

    async def delete(self, user: str, caller: Caller) -> Answer:
        """Delete a profile (`ProfileDeleted`, 200; or `PROFILE_NOT_FOUND`)."""
        if is_other(user, caller):
            return REFUSALS_BY_CODE[problems.PLAYER_FORBIDDEN.code]
        if not await self._store.remove(user, caller.precondition, find_act(caller)):
            return PROFILE_NOT_FOUND.answer
        self._poker.poke({partition_of(user)})
        return Answer(200, _encode(ProfileDeleted(user, True)))


def is_other(user: str, caller: Caller) -> bool:
    """Whether the caller is another player."""
    return caller.player is not None and caller.player.user != user


def find_act(caller: Caller) -> Act | None:
    """The act of an administrator, who has a key of the scope `admin`; None for all others.

    Profiles are the daily work of game servers and players. An open server cannot tell an administrator from them.
    """
    is_administrator = caller.is_admin and caller.player is None and bool(caller.key_id)
    return caller.act if is_administrator else None


def make_answer(user: str, stored: Stored) -> Answer:
    """The answer with a profile."""
    body = _encode(Profile(user, stored.shown.name, stored.shown.attributes))
    return Answer(201 if stored.created else 200, body, headers=(("etag", make_tag(stored.revision)),))
