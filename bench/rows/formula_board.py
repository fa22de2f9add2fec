"""Boards of any size whose every answer follows from a formula: nobody has to hold millions of rows to check one.

Player number n of N has the score 1 + q // 2 with q = n * a mod N, where a and N have no common factor. So q takes
each value once, scores are spread over the board as by a good hash, and each comes twice. Ties go to who got there
first, and that is the lower number.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bench.load import closed_loop
from bench.system.run_options import Plan
from bench.system.stack import Stack
from board.pg.session import queries
from board.redis.keyspace import partition_of

FIRST: Final = 100_000_000
"""Player number 0 is p100000000: ids have 10 characters."""
SEASON: Final = "s"
"""Season number 0 is s0."""
CHUNK: Final = 10_000
"""Rows between two moves of the progress bar."""

Entry = tuple[int, str, int]
"""Rank, user, score."""


def user(number: int) -> str:
    """That player's id."""
    return f"p{FIRST + number}"


class Board(msgspec.Struct, frozen=True):
    """A season of so many players; `step` and `back` are each other's inverse modulo `players`."""

    players: int
    step: int
    back: int

    @classmethod
    def of(cls, players: int) -> Board:
        """The one of that size."""
        step = closed_loop.stride(players)
        return cls(players, step, pow(step, -1, players))

    def score(self, number: int) -> int:
        """What that player has."""
        return 1 + number * self.step % self.players // 2

    def equals(self, half: int) -> list[int]:
        """The players with the score 1 + half, first the one who got there first."""
        return sorted(q * self.back % self.players for q in (2 * half, 2 * half + 1) if q < self.players)

    def rank(self, number: int) -> int:
        """That player's, from 1."""
        half = self.score(number) - 1
        return max(0, self.players - 2 * (half + 1)) + self.equals(half).index(number) + 1

    def at(self, rank: int) -> Entry:
        """Who is there."""
        half = (self.players - rank) // 2
        number = self.equals(half)[rank - 1 - max(0, self.players - 2 * (half + 1))]
        return rank, user(number), 1 + half

    def between(self, first: int, last: int) -> list[Entry]:
        """All of these ranks that there are."""
        return [self.at(rank) for rank in range(max(1, first), min(self.players, last) + 1)]


class Loaded(msgspec.Struct, frozen=True):
    """What loading took: seconds for the copy into PostgreSQL and for its vacuum, bytes of the table and its index."""

    copy_s: float
    vacuum_s: float
    bytes: int


def fill(stack: Stack, plan: Plan, seasons: int, board: Board) -> Loaded:
    """That many seasons, each with that board, by COPY as a restored dump comes; Redis still has none of it."""
    began = time.perf_counter()
    with stack.db.transaction():
        periods = made(stack, plan, seasons)
        with stack.db.cursor().copy("COPY score (period_id, user_id, score, reached, submissions) FROM STDIN") as copy:
            for number, chunk in enumerate(chunks(periods, board)):
                plan.tell("players", number * CHUNK, seasons * board.players)
                copy.write(chunk)
        plan.tell("players", seasons * board.players, seasons * board.players)
        stack.db.execute("SELECT setval('submission', %s)", (seasons * board.players,))
        # The hints of the new seasons: the rebuild that follows loads them whole.
        stack.db.execute("DELETE FROM outbox")
    copied = time.perf_counter()
    stack.db.execute("VACUUM (ANALYZE) score")
    vacuumed = time.perf_counter()
    return Loaded(copied - began, vacuumed - copied, int(stack.value("SELECT pg_total_relation_size('score')")))


def made(stack: Stack, plan: Plan, seasons: int) -> list[int]:
    """Make the seasons; their periods, in the order of their numbers."""
    for first in range(0, seasons, CHUNK):
        plan.tell("seasons", first, seasons)
        names = [f"{SEASON}{number}" for number in range(first, min(seasons, first + CHUNK))]
        partitions = [partition_of(name) for name in names]
        stack.db.execute(queries()["create_seasons"], {"seasons": names, "partitions": partitions})
    plan.tell("seasons", seasons, seasons)
    found = dict(stack.db.execute("SELECT season_id, period_id FROM season").fetchall())
    return [found[f"{SEASON}{number}"] for number in range(seasons)]


def chunks(periods: list[int], board: Board) -> Iterator[bytes]:
    """Rows for COPY, `CHUNK` at a time."""
    lines: list[str] = []
    reached = 0
    players, step = board.players, board.step
    for period in periods:
        q = 0
        for number in range(players):
            reached += 1
            lines.append(f"{period}\tp{FIRST + number}\t{1 + q // 2}\t{reached}\t1\n")
            q = (q + step) % players
            if len(lines) == CHUNK:
                yield "".join(lines).encode()
                lines.clear()
    yield "".join(lines).encode()


def wrong(name: str, board: Board, number: int, side: int, answer: dict[str, Any]) -> str:
    """Why an answer about that player (or the top) is not the one the formula gives; empty when it is."""
    if name == "rank":
        got = [(answer["rank"], answer["userId"], answer["score"])]
        expected = [(board.rank(number), user(number), board.score(number))]
    elif name == "around":
        got = [(item["rank"], item["userId"], item["score"]) for item in answer["items"]]
        here = board.rank(number)
        expected = board.between(here - side, here + side)
    else:
        got = [(at, item["userId"], item["score"]) for at, item in enumerate(answer["items"], 1)]
        expected = board.between(1, 10 if name == "top10" else 100)
    return "" if got == expected else f"{got[:3]}… instead of {expected[:3]}…"
