"""Profiles in PostgreSQL. Each change leaves a hint in the player's own partition, by which a relay carries it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from board.audit import Act
from board.errors import PreconditionFailed, StoreUnavailable
from board.partitions import partition_of
from board.pg.read_connection import ReadConnection
from board.pg.write_connection import WriteConnection
from service.contract.preconditions import Precondition
from service.players.profile import Shown

NAME: Final = "leaderboard-players"
"""The name of the connections."""
TRIES: Final = 5
"""Rounds in which others create the profile, and delete it again."""

Change = Callable[[Shown], Shown]
"""From the present profile to the next one."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(dict[str, str]).decode


class Stored(msgspec.Struct, frozen=True):
    """A profile, its revision, and whether it is new. `changed`: there is a hint."""

    shown: Shown
    revision: int
    created: bool = False
    changed: bool = False


class PlayerStore:
    """Profiles in PostgreSQL, each call within `deadline_s` seconds."""

    def __init__(self, database_url: str, deadline_s: float) -> None:
        self._reads: Final = ReadConnection(database_url, NAME, deadline_s)
        self._writes: Final = WriteConnection(database_url, NAME, deadline_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._reads.close()
        await self._writes.close()

    async def find(self, user: str) -> Stored | None:
        """Find a profile; None for a player without one. Raises `StoreUnavailable` and `ServerUnreachable`."""
        rows = await self._reads.read("profile", place_of(user))
        return make_stored(rows[0]) if rows else None

    async def change(
        self, user: str, change: Change, allows: Precondition, act: Act | None, *, create: bool
    ) -> Stored | None:
        """Change a profile. `create` makes one for a player without one; otherwise it is None.

        `act` is an administrator's, for the audit; None: the change is not one's. A change to the same profile writes
        nothing. Raises `PreconditionFailed` unless `allows` the revision, what `change` raises, and as
        `WriteConnection.transaction` does.
        """
        place = place_of(user)
        async with self._writes.transaction() as transaction:
            for _ in range(TRIES):
                rows = await transaction.run("lock_profile", place)
                held = make_stored(rows[0]) if rows else None
                if held is None and not create:
                    return None
                check_revision(held, allows)
                shown = change(Shown(None, {}) if held is None else held.shown)
                if held is not None and shown == held.shown:
                    return held
                written = {**place, "name": shown.name, "attributes": _encode(shown.attributes).decode()}
                rows = await transaction.run("add_profile" if held is None else "change_profile", written)
                if rows:
                    if act is not None:
                        before = None if held is None else describe(held.shown)
                        noted = act.note("profile.write", "player", user, before, describe(shown))
                        await transaction.run(*noted)
                    return Stored(shown, rows[0][0], created=held is None, changed=True)
        raise StoreUnavailable("others create and delete this profile all the time")

    async def remove(self, user: str, allows: Precondition, act: Act | None) -> bool:
        """Remove a profile; False if there is none. Raises `PreconditionFailed`, and as `change` does."""
        place = place_of(user)
        async with self._writes.transaction() as transaction:
            rows = await transaction.run("lock_profile", place)
            if rows:
                held = make_stored(rows[0])
                check_revision(held, allows)
                await transaction.run("remove_profile", place)
                if act is not None:
                    await transaction.run(*act.note("profile.delete", "player", user, describe(held.shown), None))
        return bool(rows)


def place_of(user: str) -> dict[str, Any]:
    """The key of a player's profile."""
    return {"partition": partition_of(user), "user": user}


def describe(shown: Shown) -> dict[str, Any]:
    """A profile as the audit has it."""
    return {"displayName": shown.name, "attributes": shown.attributes}


def make_stored(row: Any) -> Stored:
    """A profile of a row of the queries `profile` and `lock_profile`."""
    name, attributes, revision = row
    return Stored(Shown(name, _decode(attributes)), revision)


def check_revision(held: Stored | None, allows: Precondition) -> None:
    """Raise `PreconditionFailed` unless a change of this profile may go on."""
    if not allows(None if held is None else held.revision):
        raise PreconditionFailed("the profile is not in the state that the change is based on")
