"""Profiles in the memory of a worker, as long as Redis holds no newer ones.

A look reads one note of each partition: the mark of the last batch that had profiles. Profiles of a partition are kept
until its mark is another one, so boards that are read often cost no further commands.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from typing import Any, Final, cast

import hiredis

from board.errors import BoardRebuilding, BoardUnavailable, LeaderboardError, ServerUnreachable, StoreUnavailable
from board.partitions import PARTITIONS
from board.pg.read_connection import ReadConnection
from board.redis.async_redis import AsyncRedis, pack
from board.redis.keyspace import Keyspace
from board.redis.poke import Poker
from board.redis.replies import RedisRefused, concerns_server
from board.redis.scripts import script

PROFILES: Final = script("profiles")
LOOK_S: Final = 0.2
"""After this time the next read begins a look, and does not wait for it."""
LOOK_LATEST_S: Final = 0.4
"""After this time a read waits for the look. A new profile is shown this late at most, once Redis has it."""
KEPT_MOST: Final = 1_024
"""Players of one partition in memory."""

Read = dict[bytes, bytes | None] | LeaderboardError
"""Profiles by player (None: the player has none), or the error of the read."""
Kept = dict[bytes, "bytes | asyncio.Task[Read] | None"]
"""Profiles by player, or the read that is under way."""


class ProfileCache:
    """The profiles that one worker knows. Each look has `deadline_s` seconds."""

    def __init__(
        self, redis: AsyncRedis, keys: Keyspace, poker: Poker, reads: ReadConnection, *, deadline_s: float
    ) -> None:
        self._redis: Final = redis
        self._keys: Final = keys
        self._poker: Final = poker
        self._read: Final = reads.read
        self._deadline_s: Final = deadline_s
        self._loop: Final = asyncio.get_running_loop()
        self._marks: Final[list[bytes | None]] = [None] * PARTITIONS
        """Of each partition at the last look. Empty: it has no profile; None: nothing is known of it yet."""
        self._kept: Final[list[Kept]] = [{} for _ in range(PARTITIONS)]
        self._unknown_has_some = True
        self._has_some = True
        self.changes = 0
        """The number of looks that have found other profiles."""
        self._looked_at = -LOOK_LATEST_S
        self._look: asyncio.Task[LeaderboardError | None] | None = None

    @property
    def knows_of_none(self) -> bool:
        """Whether no player has a profile, as of a moment ago."""
        return not self._has_some and self._loop.time() - self._looked_at < LOOK_S

    async def has_some(self) -> bool:
        """Whether any player has a profile. Looks, if the last look was a while ago. Raises `BoardUnavailable`."""
        age = self._loop.time() - self._looked_at
        if age >= LOOK_S and self._look is None:
            self._look = self._loop.create_task(self._look_around())
        if age >= LOOK_LATEST_S and self._look is not None:
            # Shielded: a client that hangs up must not cancel the look of the others.
            failure = await asyncio.shield(self._look)
            if failure is not None:
                raise anew(failure)
        return self._has_some

    async def find(self, users: Sequence[bytes]) -> list[bytes | None]:
        """The profiles of these players, as of the last look or later; None for a player without one.

        Raises `BoardRebuilding` where one of them cannot be known now, and `BoardUnavailable`.
        """
        missing: dict[int, dict[bytes, None]] = {}
        found: list[bytes | asyncio.Task[Read] | None] = []
        joins = False
        for user in users:
            partition = zlib.crc32(user) % PARTITIONS
            mark = self._marks[partition]
            profile: bytes | asyncio.Task[Read] | None = None
            if mark or (mark is None and self._unknown_has_some):
                kept = self._kept[partition]
                if user not in kept:
                    missing.setdefault(partition, {})[user] = None
                elif isinstance(profile := kept[user], asyncio.Task):
                    joins = True
            found.append(profile)
        if not missing and not joins:
            # PERF: nothing to wait for, which is so for nearly all reads.
            return cast("list[bytes | None]", found)
        asked: dict[bytes, asyncio.Task[Read]] = {}
        for partition, ones in missing.items():
            asked |= dict.fromkeys(ones, self._ask(partition, [*ones]))
        return [await self._wait(user, asked.get(user, profile)) for user, profile in zip(users, found, strict=True)]

    async def _wait(self, user: bytes, profile: bytes | asyncio.Task[Read] | None) -> bytes | None:
        if not isinstance(profile, asyncio.Task):
            return profile
        read = profile.result() if profile.done() else await asyncio.shield(profile)
        if isinstance(read, LeaderboardError):
            raise anew(read)
        return read[user]

    def _ask(self, partition: int, users: list[bytes]) -> asyncio.Task[Read]:
        """Begin to read these players of a partition; other reads of them join this one."""
        if len(self._kept[partition]) > KEPT_MOST:
            self._kept[partition] = {}
        kept = self._kept[partition]
        task = self._loop.create_task(self._fetch(partition, users, kept))
        kept.update(dict.fromkeys(users, task))
        return task

    async def _fetch(self, partition: int, users: list[bytes], kept: Kept) -> Read:
        """Read these players. They are kept with those of the look before: a later one drops them with the others."""
        keys = self._keys
        read: Read | None = None
        try:
            reply = await self._redis.run(PROFILES, b"2", keys.watermark[partition], keys.profiles[partition], *users)
            if reply:
                read = dict(zip(users, reply, strict=True))
                kept.update(read)
                return read
            if reply == 0:
                self._poker.suspect_profiles(partition)
            return BoardRebuilding("the profiles are being loaded")
        except RedisRefused as error:
            if concerns_server(error.reply):
                return error
            self._poker.suspect_profiles(partition)
            return BoardRebuilding("the profiles are being loaded")
        except BoardUnavailable as error:
            return error
        finally:
            if read is None:
                for user in users:
                    kept.pop(user, None)

    async def _look_around(self) -> LeaderboardError | None:
        """Read the notes of all partitions; an error that Redis is the reason for is returned."""
        began = self._loop.time()
        try:
            notes = await self._ask_notes()
        except BoardUnavailable as error:
            return error
        finally:
            self._look = None
        known = [*self._marks]
        for partition, note in enumerate(notes):
            mark = read_mark(note)
            # A partition that is being rebuilt has no mark: the worker goes on with what it knew before.
            if mark is not None and mark != self._marks[partition]:
                self._marks[partition] = mark
                self._kept[partition] = {}
        self.changes += self._marks != known
        if None in self._marks:
            self._unknown_has_some = await self._exist()
        self._has_some = any(self._marks) or (None in self._marks and self._unknown_has_some)
        self._looked_at = began
        return None

    async def _ask_notes(self) -> list[Any]:
        """The notes; PERF: without a task and a timer for each. Raises `BoardUnavailable`."""
        sent: list[asyncio.Future[Any]] = []
        try:
            # Named anew each time: only the first connection tells which keys this kind of Redis has.
            for key in self._keys.watermark:
                sent.append(self._redis.send(pack((b"HMGET", key, b"fence", b"profiled", b"profiles"))))
            async with asyncio.timeout(self._deadline_s):
                return await asyncio.gather(*sent)
        except TimeoutError as error:
            raise BoardUnavailable("Redis did not answer in time") from error
        finally:
            for future in sent:
                future.cancel()

    async def _exist(self) -> bool:
        """Whether PostgreSQL has any profile; if it does not answer, it may."""
        try:
            ((found,),) = await self._read("has_profiles", {})
        except (StoreUnavailable, ServerUnreachable):
            return True
        return bool(found)


def read_mark(note: Any) -> bytes | None:
    """The mark of a partition's profiles: another one as soon as one of them changes. Empty: there are none.

    None: the partition is being rebuilt, or the note cannot be read.
    """
    if isinstance(note, hiredis.ReplyError) or note[0] is None:
        return None
    fence, profiled, noted = note
    if profiled != fence:
        # A release without profiles has written last, and may have dropped hints.
        return b"~%b" % fence
    return b"" if noted is None or noted.startswith(b"0:") else bytes(noted)


def anew(error: LeaderboardError) -> LeaderboardError:
    """The same error for another request: a raised exception holds its traceback."""
    return (BoardRebuilding if isinstance(error, BoardRebuilding) else BoardUnavailable)(str(error))
