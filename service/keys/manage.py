"""The operations on keys over HTTP. Rare, so each has a connection and a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
import psycopg

from board.errors import LeaderboardError, OutcomeUnknown, StoreUnavailable, UsageError
from board.pg.connections import connect, first_line
from service.contract import problems
from service.contract.answers import Answer
from service.contract.validation import TWICE, is_json, names_twice
from service.keys import store as keystore
from service.keys.store import KeyList, Rotation, Wanted

BODY_MOST: Final = 128 * 1024

T = TypeVar("T")
_encode = msgspec.json.Encoder().encode


class Manage:
    """Keys, administered. `on_change` is called after each change; `open_` refuses everything: see `KEYS_ARE_OFF`."""

    def __init__(self, database_url: str, deadline_s: float, on_change: Callable[[], None], *, open_: bool) -> None:
        self._url: Final = database_url
        self._deadline_s: Final = deadline_s
        self._on_change: Final = on_change
        self._open: Final = open_

    async def create(self, content_type: str | None, body: bytes | None) -> Answer:
        """Make a key. `body` is None when it was too long."""
        wanted = read(body, content_type, Wanted)
        if isinstance(wanted, Answer):
            return wanted
        return await self._answer(201, lambda db: keystore.created(db, wanted))

    async def list(self) -> Answer:
        """All keys."""
        return await self._answer(200, lambda db: KeyList(keystore.listed(db)))

    async def rotate(self, name: str, content_type: str | None, body: bytes | None) -> Answer:
        """Give a key a successor. An empty body means the usual time of grace."""
        wanted = Rotation() if body == b"" else read(body, content_type, Rotation)
        if isinstance(wanted, Answer):
            return wanted
        grace_s = wanted.graceS
        return await self._answer(201, lambda db: keystore.rotated(db, name, grace_s))

    async def revoke(self, name: str) -> Answer:
        """End a key."""
        return await self._answer(200, lambda db: keystore.revoked(db, name))

    async def _answer(self, status: int, call: Callable[[psycopg.Connection[Any]], Any]) -> Answer:
        if self._open:
            return problems.KEYS_ARE_OFF.answer
        try:
            async with asyncio.timeout(2 * self._deadline_s):
                done = await asyncio.to_thread(self._run, call)
        except TimeoutError:
            return problems.OUTCOME_UNKNOWN.answer
        except UsageError as error:
            return problems.INVALID_BODY.saying(str(error))
        except LeaderboardError as error:
            return problems.of(error).answer
        self._on_change()
        return Answer(status, _encode(done))

    def _run(self, call: Callable[[psycopg.Connection[Any]], T]) -> T:
        session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
        with connect(self._url, "leaderboard-keys", session=session) as db:
            try:
                return call(db)
            except psycopg.Error as error:
                if db.closed:
                    raise OutcomeUnknown(first_line(error)) from error
                raise StoreUnavailable(first_line(error)) from error


def read(body: bytes | None, content_type: str | None, kind: type[T]) -> T | Answer:
    """Decode a body, or say what is wrong with it."""
    if content_type is not None and not is_json(content_type):
        return problems.UNSUPPORTED_MEDIA_TYPE.answer
    if body is None:
        return problems.BODY_TOO_LARGE.answer
    try:
        wanted = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        return problems.INVALID_BODY.saying(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return problems.MALFORMED_JSON.answer
    return problems.INVALID_BODY.saying(TWICE) if names_twice(body) else wanted
