"""Erasing a player: the boards show nothing of the player when the answer comes; the rest is done by the janitor."""

from __future__ import annotations

import asyncio
import datetime
from typing import Any, Final

import msgspec

from board.audit import Act
from board.digests import hash_player
from board.partitions import partition_of
from board.pg.read_connection import ReadConnection
from board.pg.write_connection import WriteConnection
from board.redis.poke import Poker
from service.access.caller import Caller
from service.contract.answers import Answer
from service.players.problems import ERASURE_NOT_FOUND, ERASURE_PENDING
from service.players.types import ErasedParts, Erasure, ErasureBegun

POLL_S: Final = 0.005
"""The pause between two looks at the hints."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ErasedParts).decode


class Begun(msgspec.Struct, frozen=True):
    """An erasure that was begun: its number and time, the partitions of its hints, and their transaction."""

    number: int
    asked_at: datetime.datetime
    partitions: list[int]
    xid: str


class PlayerEraser:
    """The erasures of one worker. Each request has `deadline_s` seconds; `cache_s` is the time for which workers reuse
    a top list. All raise `StoreUnavailable` and `ServerUnreachable`, and `erase` also `OutcomeUnknown`.
    """

    def __init__(
        self, reads: ReadConnection, writes: WriteConnection, poker: Poker, *, deadline_s: float, cache_s: float
    ) -> None:
        self._read: Final = reads.read
        self._writes: Final = writes
        self._poker: Final = poker
        self._deadline_s: Final = deadline_s
        self._cache_s: Final = cache_s
        self._loop: Final = asyncio.get_running_loop()

    async def erase(self, user: str, caller: Caller) -> Answer:
        """Erase a player (`ErasureBegun`, 202; or `ERASURE_PENDING`, where Redis still shows the player)."""
        deadline = self._loop.time() + self._deadline_s
        begun = await begin_erasure(self._writes, user, caller.act)
        self._poker.poke({*begun.partitions})
        hints = {"partitions": begun.partitions, "xid": begun.xid}
        while (await self._read("hints_left", hints))[0][0]:
            if self._loop.time() >= deadline:
                return ERASURE_PENDING.answer
            await asyncio.sleep(POLL_S)
        # Other workers may still answer with a top list that they have just read.
        await asyncio.sleep(self._cache_s)
        body = ErasureBegun(begun.number, user, "running")
        return Answer(202, _encode(body), headers=(("location", f"/v1/erasures/{begun.number}"),))

    async def read_erasure(self, number: int) -> Answer:
        """Read an erasure (`Erasure`, 200; or `ERASURE_NOT_FOUND`)."""
        rows = await self._read("erasure", {"number": number})
        if not rows:
            return ERASURE_NOT_FOUND.answer
        _, asked_at, done_at, erased = rows[0]
        state: Any = "running" if done_at is None else "done"
        counts = None if erased is None else _decode(erased)
        return Answer(200, _encode(Erasure(number, state, asked_at, done_at, counts)))


async def begin_erasure(writes: WriteConnection, user: str, act: Act) -> Begun:
    """Take a player off the current boards, and leave the rest to do, in one transaction. Raises as `writes` does."""
    async with writes.transaction() as transaction:
        # First the profile, then the player's number: in the order of a change of the profile.
        await transaction.run("remove_profile", {"partition": partition_of(user), "user": user})
        ((secret,),) = await transaction.run("erasure_secret", {})
        digest = hash_player(bytes(secret), user)
        ((number, asked_at),) = await transaction.run("begin_erasure", {"user": user, "digest": digest})
        await transaction.run("outdate_closed_boards", {"user": user})
        ((partitions, xid),) = await transaction.run("erase_boards", {"user": user})
        await transaction.run(*act.note("player.erase", "player", user, None, None))
    return Begun(number, asked_at, [*{*partitions, partition_of(user)}], xid)
