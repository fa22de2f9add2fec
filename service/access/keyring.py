"""All keys, and the names of all public seasons, in the memory of a worker, so that checking needs no query.

Every `REFRESH_S` the worker asks PostgreSQL for a version number, and reads the keys only if it has changed. While
PostgreSQL does not answer, the last known keys stay in force: they cannot change then, and reads need no PostgreSQL.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable
from math import inf
from typing import Any, Final, Literal

import msgspec
import psycopg
from psycopg.rows import class_row

from board.errors import ServerUnreachable
from board.pg.connections import connect_async, first_line, lifeline
from board.pg.queries import queries
from board.process.backoff import Backoff
from service.access.caller import Caller
from service.access.grant import Grant
from service.access.key_text import KeyText
from service.access.refresher import Refresher
from service.contract.scopes import pack_scopes

log: Final = logging.getLogger(__name__)

REFRESH_S: Final = 0.5
PATIENCE_S: Final = 1.0
"""The longest wait for PostgreSQL."""
_NO_DIGEST: Final = bytes(32)


class Held(msgspec.Struct, frozen=True):
    """A key in a worker's memory: the SHA-256 of its secret, whether it is revoked, and its grant."""

    digest: bytes
    revoked: bool
    grant: Grant


Refusal = Literal["unknown", "revoked", "expired"]


class _Change(msgspec.Struct, frozen=True):
    """A row of `access_version`: the keys have changed, or the session accepts no changes."""

    version: int
    read_only: bool


class _KeyRow(msgspec.Struct, frozen=True):
    """A row of `access_keys`: version, secret, and a key. Without any key, the fields of a key are null."""

    version: int
    secret: bytes
    id: str | None
    digest: bytes
    scopes: list[str]
    seasons: list[str] | None
    expires_at: float | None
    revoked: bool

    def hold(self) -> Held:
        """The key as requests need it."""
        allowed = None if self.seasons is None else frozenset(self.seasons)
        until = inf if self.expires_at is None else self.expires_at
        caller = Caller(key_id=self.id or "", is_admin="admin" in self.scopes, seasons=allowed, until=until)
        grant = Grant(f"k:{self.id}", pack_scopes(self.scopes), allowed, until, caller=caller)
        return Held(self.digest, self.revoked, grant)


class Keyring(Refresher):
    """The keys of one worker, kept up to date from PostgreSQL.

    A change counts in every worker within two seconds. A worker that changes a key itself calls `hurry`.
    """

    def __init__(self, database_url: str) -> None:
        super().__init__("keyring")
        self._url: Final = database_url
        self._held: dict[str, Held] = {}
        self.public: frozenset[str] = frozenset()
        """The seasons whose reads need no credential."""
        self.secret = b""
        """What tickets are signed with, on every host of this database; empty before it is read."""
        self.ended: frozenset[str] = frozenset()
        """The sessions of operators that were ended before their time."""
        self._version: int | None = None
        texts = queries()
        self._ask: Final = texts["access_version"]
        self._load: Final = texts["access_keys"]
        self._load_public: Final = texts["public_seasons"]
        self._load_ended: Final = texts["ended_sessions"]

    @property
    def loaded(self) -> bool:
        """Whether the keys have been read at least once."""
        return self._version is not None

    def find(self, text: KeyText) -> Grant | Refusal:
        """Find a key's grant, or the reason for its refusal. A wrong secret takes as long as an unknown id."""
        held = self._held.get(text.id)
        if not hmac.compare_digest(_NO_DIGEST if held is None else held.digest, text.digest) or held is None:
            return "unknown"
        return self._check(held)

    def find_valid(self, name: str) -> Grant | Refusal:
        """Find the grant of the key with this id, which somebody has proven to hold; or the reason for its refusal."""
        held = self._held.get(name)
        if held is None:
            return "unknown"
        return self._check(held)

    @staticmethod
    def _check(held: Held) -> Grant | Refusal:
        if held.revoked:
            return "revoked"
        return held.grant if time.time() < held.grant.until else "expired"

    async def _refresh(self, on_change: Callable[[], None]) -> None:
        backoff = Backoff(0.05, 1.0)
        failing = False
        while True:
            try:
                connection = await connect_async(
                    self._url, "leaderboard-access", timeout_s=PATIENCE_S, writes=self.loaded
                )
                try:
                    # Read in any case: a new connection may lead to another database.
                    await self._read(connection)
                    on_change()
                    backoff.succeeded()
                    failing = False
                    changes = connection.cursor(row_factory=class_row(_Change))
                    while True:
                        self._tried.set()
                        await self._pause()
                        with lifeline(connection, PATIENCE_S):
                            await changes.execute(self._ask, {"seen": self._version})
                            change = await changes.fetchone()
                        if change is not None and change.read_only:
                            # Of a standby the first keys are taken only: it may not know yet which are revoked.
                            break
                        if change is not None:
                            await self._read(connection)
                            on_change()
                finally:
                    await connection.close()
            except (ServerUnreachable, psycopg.Error) as error:
                self._tried.set()
                if not failing:
                    known = "the last known ones stay in force" if self.loaded else "requests are refused"
                    log.warning("the keys cannot be read, %s: %s", known, first_line(error))
                    failing = True
                await asyncio.sleep(backoff.failed())

    async def _pause(self) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(REFRESH_S):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _read(self, connection: psycopg.AsyncConnection[Any]) -> None:
        with lifeline(connection, PATIENCE_S):
            cursor = connection.cursor(row_factory=class_row(_KeyRow))
            rows = await (await cursor.execute(self._load)).fetchall()
            # After the version: what changes meanwhile has another one.
            public = await (await connection.execute(self._load_public)).fetchall()
            ended = await (await connection.execute(self._load_ended)).fetchall()
        self.public = frozenset(season for (season,) in public)
        self.ended = frozenset(session for (session,) in ended)
        self._held = {row.id: row.hold() for row in rows if row.id is not None}
        self.secret = rows[0].secret
        self._version = rows[0].version
