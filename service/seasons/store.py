"""Resetting a season: a new period is one row, however many players there were."""

from __future__ import annotations

from typing import Final

import psycopg

from board.errors import OutcomeUnknown, StoreUnavailable
from board.pg.connections import connect_async, first_line, lifeline
from board.pg.queries import queries


class SeasonStore:
    """Seasons in PostgreSQL. Opens a connection per call: resets are rare, and must not wait behind batches."""

    def __init__(self, database_url: str, deadline_s: float) -> None:
        self._url: Final = database_url
        self._deadline_s: Final = deadline_s
        texts = queries()
        self._lock: Final = texts["lock_season"]
        self._reset: Final = texts["reset_season"]

    async def reset(self, season: str) -> tuple[int, int] | None:
        """End the season's period and start the next; returns (partition, new period), None for no such season.

        The lock waits for every batch that is writing to the old period; later ones see the new one. Raises
        `StoreUnavailable` (nothing happened), `ServerUnreachable`, `OutcomeUnknown`.
        """
        session = {"statement_timeout": f"{int(self._deadline_s * 1000)}ms"}
        connection = await connect_async(self._url, "leaderboard-seasons", session=session, timeout_s=self._deadline_s)
        try:
            with lifeline(connection, self._deadline_s):
                async with connection.transaction():
                    row = await (await connection.execute(self._lock, {"season": season})).fetchone()
                    if row is None:
                        return None
                    partition, period = row
                    made = await (await connection.execute(self._reset, {"period": period})).fetchone()
                    if made is None:
                        raise StoreUnavailable("the season could not be reset")
            return partition, made[0]
        except psycopg.Error as error:
            if connection.closed:
                raise OutcomeUnknown(first_line(error)) from error
            raise StoreUnavailable(first_line(error)) from error
        finally:
            await connection.close()
