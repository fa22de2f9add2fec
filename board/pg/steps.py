"""Runs the statements of `board.periods` on a connection, inside the caller's transaction."""

from __future__ import annotations

from typing import Any

import psycopg

from board.periods import Steps
from board.pg.queries import queries


def run_steps(db: psycopg.Connection[Any], steps: Steps) -> Any:
    """Run all statements; returns what `steps` returns, and raises what it raises."""
    texts = queries()
    try:
        name, parameters = next(steps)
        while True:
            cursor = db.execute(texts[name], parameters)
            name, parameters = steps.send(cursor.fetchall() if cursor.description else [])
    except StopIteration as end:
        return end.value


async def run_steps_async(db: psycopg.AsyncConnection[Any], steps: Steps) -> Any:
    """`run_steps` on an asynchronous connection."""
    texts = queries()
    try:
        name, parameters = next(steps)
        while True:
            cursor = await db.execute(texts[name], parameters)
            name, parameters = steps.send(await cursor.fetchall() if cursor.description else [])
    except StopIteration as end:
        return end.value
