"""Seasons in PostgreSQL. A reset writes one row, a new period, whatever the number of players."""

from __future__ import annotations

from typing import Final

import psycopg

from board.errors import StoreUnavailable
from board.pg.connections import connect_async, lifeline, make_write_error
from board.pg.queries import queries


class SeasonStore:
    """Resets in PostgreSQL, each within `deadline_s` seconds.

    Each call opens a connection: resets are rare, and must not wait for batches.
    """

    def __init__(self, database_url: str, deadline_s: float) -> None:
        self._url: Final = database_url
        self._deadline_s: Final = deadline_s
        texts = queries()
        self._lock: Final = texts["lock_season"]
        self._reset: Final = texts["reset_season"]

    async def reset(self, season: str) -> tuple[int, int] | None:
        """End the season's period and begin the next; returns (partition, new period), or None for an unknown season.

        The lock waits for every batch that writes to the old period; later batches see the new one. Raises
        `StoreUnavailable` and `ServerUnreachable` (nothing was written), or `OutcomeUnknown`.
        """
        session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
        connection = await connect_async(
            self._url, "leaderboard-seasons", session=session, timeout_s=self._deadline_s, writes=True
        )
        try:
            with lifeline(connection, self._deadline_s):
                async with connection.transaction():
                    row = await (await connection.execute(self._lock, {"season": season})).fetchone()
                    if row is None:
                        return None
                    partition, period = row
                    created = await (await connection.execute(self._reset, {"period": period})).fetchone()
                    if created is None:
                        raise StoreUnavailable("the season could not be reset")
            return partition, created[0]
        except psycopg.Error as error:
            raise make_write_error(error, connection) from error
        finally:
            await connection.close()
