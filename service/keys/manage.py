"""Administering keys over HTTP. The operations are rare: each opens a connection, in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import psycopg

from board.errors import UsageError
from board.pg.connections import connect, make_write_error
from service.access.caller import Caller
from service.contract import problems
from service.contract.answers import Answer
from service.contract.body import decode_strictly
from service.keys import store
from service.keys.types import KeyList, Rotation, Wanted

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class KeyManager:
    """The operations on keys, of one worker.

    Each has at most twice `deadline_s` seconds, and answers `OUTCOME_UNKNOWN` after that. `on_change` is
    called after each call; None: the server is open, and every call is refused (`KEYS_ARE_OFF`). All of
    them raise `StoreUnavailable`, `ServerUnreachable` and `OutcomeUnknown`.
    """

    def __init__(self, database_url: str, deadline_s: float, on_change: Callable[[], None] | None) -> None:
        self._url: Final = database_url
        self._deadline_s: Final = deadline_s
        self._on_change: Final = on_change

    async def create(self, wanted: Wanted, caller: Caller) -> Answer:
        """Make a key (`NewKey`, 201)."""
        return await self._answer(201, lambda db: store.create_key(db, wanted, caller.act))

    async def list(self) -> Answer:
        """List all keys (`KeyList`, 200)."""
        return await self._answer(200, lambda db: KeyList(store.list_keys(db)))

    async def rotate(self, name: str, rotation: Rotation, caller: Caller) -> Answer:
        """Give a key a successor (`NewKey`, 201). Raises `KeyNotFound`, `KeyNotRotatable`."""
        return await self._answer(201, lambda db: store.rotate_key(db, name, rotation.graceS, caller.act))

    async def revoke(self, name: str, caller: Caller) -> Answer:
        """Revoke a key (`Key`, 200). Raises `KeyNotFound`."""
        return await self._answer(200, lambda db: store.revoke_key(db, name, caller.act))

    async def _answer(self, status: int, call: Callable[[psycopg.Connection[Any]], Any]) -> Answer:
        if self._on_change is None:
            return problems.KEYS_ARE_OFF.answer
        try:
            async with asyncio.timeout(2 * self._deadline_s):
                result = await asyncio.to_thread(self._run, call)
        except TimeoutError:
            return problems.OUTCOME_UNKNOWN.answer
        except UsageError as error:
            return problems.INVALID_BODY.with_detail(str(error))
        self._on_change()
        return Answer(status, _encode(result))

    def _run(self, call: Callable[[psycopg.Connection[Any]], T]) -> T:
        session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
        with connect(self._url, "leaderboard-keys", session=session) as db:
            try:
                return call(db)
            except psycopg.Error as error:
                raise make_write_error(error, db) from error


def decode_rotation(body: bytes) -> Rotation:
    """Decode the body of a rotation; an empty one means the default time of grace. Raises `Rejected`."""
    return Rotation() if body == b"" else decode_strictly(Rotation, body)
