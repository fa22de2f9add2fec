"""Rows of PostgreSQL on their way to temporary keys in Redis: COPY, pieces, commands, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import psycopg

from relay.session import RelaySession

PIECE_BYTES: Final = 256 * 1024
PAIRS: Final = 1_000
"""Players of one command."""

Built = tuple[bytes, int, int]
"""Commands as RESP, their number, and that of the rows in them."""


def send_pieces(
    session: RelaySession,
    key: bytes,
    rows_of: bytes,
    parameters: Mapping[str, Any],
    build: Callable[[bytes], Built],
) -> Iterator[int]:
    """Stream the rows of a query to the Redis of a key; yields the number of rows of each piece.

    `build` makes the commands of a piece. Raises what the clients raise.
    """
    redis, waiting = session.redis.node_of(key), 0
    try:
        with session.db.cursor() as cursor:
            statement = b"COPY (%b) TO STDOUT (FORMAT binary)" % rows_of
            with cursor.copy(statement, parameters or None) as copy:
                for piece in pieces(copy):
                    payload, commands, rows = build(piece)
                    if commands:
                        # PERF: Redis loads one piece while PostgreSQL and this process prepare the next one.
                        redis.send(payload)
                        before, waiting = waiting, waiting + commands
                        redis.receive(before)
                        waiting -= before
                    yield rows
        redis.receive(waiting)
        waiting = 0
    finally:
        if waiting:
            # Replies are on their way that will not be read.
            redis.close()


def pieces(copy: psycopg.Copy) -> Iterator[bytes]:
    """Join the row-sized messages of a COPY to pieces of about `PIECE_BYTES`, cut between rows."""
    parts: list[bytes] = []
    size = 0
    for data in copy:
        parts.append(bytes(data))
        size += len(data)
        if size >= PIECE_BYTES:
            yield b"".join(parts)
            parts.clear()
            size = 0
    if parts:
        yield b"".join(parts)
