"""The intake's statements, on one PostgreSQL connection."""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final

import psycopg

from _speedups import pack_int8_array, pack_text_array
from board.errors import OutcomeUnknown
from board.partitions import partition_of
from board.pg.arrays import Int8Array, TextArray, adapt_arrays
from board.pg.connections import connect_async, first_line, is_open, lifeline, make_write_error
from board.pg.queries import queries
from service.submissions.item import Item

WRITTEN, NO_SEASON, OUT_OF_RANGE, REPLAYED, KEY_REUSED, KEY_TWICE, AT_THE_EDGE = range(7)
"""The statuses of a submission in the rows of `submit`; see the query. `AT_THE_EDGE`: the short text has not written
it, since its player is near the end of int64. The item must be sent again, marked as `edge`.
"""

READ_ONLY: Final = "25006"
"""The SQLSTATE of a change in a session that accepts none."""


def make_session_settings(deadline_s: float) -> dict[str, str]:
    """PostgreSQL's settings for a connection of the intake."""
    return {
        "statement_timeout": f"{int(deadline_s * 1000)}ms",
        "jit": "off",
        "plan_cache_mode": "force_generic_plan",
        # PERF: the statement joins the batch's own small sets. The only bad plan is a nested loop over 1,000 x 1,000
        # rows, and PostgreSQL's estimates for a function's rows do not rule it out.
        "enable_nestloop": "off",
    }


_user_of: Final = attrgetter("user")


def is_short(batch: list[Item]) -> bool:
    """Whether the short text writes this batch: one season, every player once, and nothing that needs another text."""
    season = batch[0].season
    for item in batch:
        if item.season != season or item.digest or item.trace or item.edge:
            return False
    return len(set(map(_user_of, batch))) == len(batch)


class NotWritten(Exception):
    """PostgreSQL rolled the statement back for a temporary reason; nothing was written."""


class StatementRejected(Exception):
    """PostgreSQL rejected a value in the statement; nothing was written."""


class IdempotencyConflict(Exception):
    """A concurrent batch used an idempotency key of this batch; nothing was written. The next attempt finds the key."""


class Writer:
    """One connection in autocommit mode that runs the intake's statements. Not for concurrent use."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], patience_s: float) -> None:
        # PostgreSQL cancels a statement at the deadline. No reply long after it means a dead network.
        self._patience_s: Final = patience_s
        self._connection: Final = connection
        self._cursor: Final = connection.cursor(binary=True)
        texts = queries()
        self._submit_short: Final = texts["submit_short"]
        self._submit: Final = texts["submit"]
        self._submit_keyed: Final = texts["submit_keyed"]
        self._submit_traced: Final = texts["submit_traced"]
        self._create: Final = texts["create_seasons"]

    @classmethod
    async def connect(cls, url: str, deadline_s: float) -> Writer:
        """Connect; statements are cancelled after `deadline_s` seconds.

        Raises `ServerUnreachable`, also for a server that accepts no changes.
        """
        session = make_session_settings(deadline_s)
        connection = await connect_async(url, "leaderboard-intake", session=session, writes=True)
        adapt_arrays(connection)
        return cls(connection, 2 * deadline_s + 0.2)

    @property
    def closed(self) -> bool:
        return self._connection.closed

    def is_open(self) -> bool:
        """Whether the connection, idle until now, is still open (`board.pg.connections.is_open`)."""
        return is_open(self._connection)

    async def close(self) -> None:
        await self._connection.close()

    async def submit(self, batch: list[Item]) -> list[tuple[int, int, int]]:
        """Write a batch with one statement and commit; (status, score, version) of each submission, in order.

        The statuses are those above; score and version count for `WRITTEN` and `REPLAYED` only. Raises `NotWritten`,
        `StatementRejected` and `IdempotencyConflict` (all rolled back), or `OutcomeUnknown`.
        """
        if is_short(batch):
            return await self._write_short(batch)
        parameters = {
            "seasons": TextArray(pack_text_array([item.season for item in batch])),
            "users": TextArray(pack_text_array([item.user for item in batch])),
            "deltas": Int8Array(pack_int8_array([item.delta for item in batch])),
        }
        # PERF: looking up and inserting keys costs a batch a fifth more, so batches without keys omit it. Batches with
        # a trace run the longest statement, with or without keys.
        if not any(item.digest or item.trace for item in batch):
            rows = await self._run(self._submit, parameters, fetch=True)
            return [(status, score, version) for _, status, score, version in rows]
        parameters["digests"] = TextArray(pack_text_array([item.digest for item in batch]))
        parameters["prints"] = TextArray(pack_text_array([item.fingerprint for item in batch]))
        query = self._submit_keyed
        if any(item.trace for item in batch):
            query = self._submit_traced
            parameters["traces"] = TextArray(pack_text_array([item.trace for item in batch]))
        rows = await self._run(query, parameters, fetch=True)
        return [
            (status, first_score, first_version) if status == REPLAYED else (status, score, version)
            for _, status, score, version, first_score, first_version in rows
        ]

    async def _write_short(self, batch: list[Item]) -> list[tuple[int, int, int]]:
        """`submit` for a batch that `is_short`."""
        parameters = {
            "season": batch[0].season,
            "users": TextArray(pack_text_array([item.user for item in batch])),
            "deltas": Int8Array(pack_int8_array([item.delta for item in batch])),
        }
        rows = await self._run(self._submit_short, parameters, fetch=True)
        missing = (AT_THE_EDGE if rows else NO_SEASON, 0, 0)
        found = {user: (WRITTEN, score, version) for user, score, version in rows}
        return [found.get(item.user, missing) for item in batch]

    async def create_seasons(self, seasons: set[str]) -> None:
        """Create the seasons that do not exist, each with its first period.

        Raises `NotWritten`, `StatementRejected`, `OutcomeUnknown`.
        """
        names = sorted(seasons)
        await self._run(self._create, {"seasons": names, "partitions": [partition_of(name) for name in names]})

    async def _run(self, query: bytes, parameters: dict[str, Any], *, fetch: bool = False) -> list[Any]:
        try:
            with lifeline(self._connection, self._patience_s):
                await self._cursor.execute(query, parameters, prepare=True)
                return await self._cursor.fetchall() if fetch else []
        except psycopg.Error as error:
            meaning = make_write_error(error, self._connection)
            if isinstance(meaning, OutcomeUnknown):
                raise meaning from error
            text, state = first_line(error), error.sqlstate or ""
            if state == READ_ONLY:
                # The server has become a standby, or read-only. A new connection finds one that accepts changes.
                await self._connection.close()
                raise NotWritten(text) from error
            if state == "23505":
                raise IdempotencyConflict(text) from error
            if state[:2] in ("22", "23", "42"):
                raise StatementRejected(text) from error
            raise NotWritten(text) from error
