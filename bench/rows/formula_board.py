"""Boards of any size whose answers follow from a formula, so that answers are checked without a copy of the board.

Player number n of N has the score 1 + q // 2 with q = n * a mod N, where a and N have no common factor. So q takes each
value once, scores are spread over the board as by a good hash, and each score occurs twice. Of two equal scores the
lower number is first, since it got there first.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from bench.load import closed_loop
from bench.system.run_options import RunOptions
from bench.system.stack import Stack
from board.partitions import partition_of
from board.pg.queries import queries

FIRST: Final = 100_000_000
"""Player number 0 is p100000000: ids have 10 characters."""
SEASON: Final = "s"
"""Season number 0 is s0."""
CHUNK: Final = 10_000
"""Rows between two updates of the progress bar."""

Entry = tuple[int, str, int]
"""Rank, user, score."""


def user_id(number: int) -> str:
    """The id of that player."""
    return f"p{FIRST + number}"


class FormulaBoard(msgspec.Struct, frozen=True):
    """A season of `players` players. `step` and `back` are inverse to each other modulo `players`."""

    players: int
    step: int
    back: int

    @classmethod
    def of(cls, players: int) -> FormulaBoard:
        """The board of that size."""
        step = closed_loop.stride(players)
        return cls(players, step, pow(step, -1, players))

    def score(self, number: int) -> int:
        """The score of that player."""
        return 1 + number * self.step % self.players // 2

    def players_with_score(self, half: int) -> list[int]:
        """The players with the score 1 + `half`, in the order of the board."""
        return sorted(q * self.back % self.players for q in (2 * half, 2 * half + 1) if q < self.players)

    def rank(self, number: int) -> int:
        """The rank of that player, from 1."""
        half = self.score(number) - 1
        return max(0, self.players - 2 * (half + 1)) + self.players_with_score(half).index(number) + 1

    def entry_at(self, rank: int) -> Entry:
        """The entry with that rank, from 1."""
        half = (self.players - rank) // 2
        number = self.players_with_score(half)[rank - 1 - max(0, self.players - 2 * (half + 1))]
        return rank, user_id(number), 1 + half

    def entries(self, first: int, last: int) -> list[Entry]:
        """The entries with the ranks from `first` to `last`, as far as the board has them."""
        return [self.entry_at(rank) for rank in range(max(1, first), min(self.players, last) + 1)]


class LoadTimes(msgspec.Struct, frozen=True):
    """Seconds of the COPY into PostgreSQL and of its vacuum; bytes of the table with its index."""

    copy_s: float
    vacuum_s: float
    bytes: int


def load_seasons(stack: Stack, options: RunOptions, seasons: int, board: FormulaBoard) -> LoadTimes:
    """Write `seasons` seasons, each with that board, to PostgreSQL by COPY, as a dump is restored."""
    began = time.perf_counter()
    with stack.db.transaction():
        periods = create_seasons(stack, options, seasons)
        with stack.db.cursor().copy("COPY score (period_id, user_id, score, reached, submissions) FROM STDIN") as copy:
            for number, chunk in enumerate(copy_chunks(periods, board)):
                options.progress("players", number * CHUNK, seasons * board.players)
                copy.write(chunk)
        options.progress("players", seasons * board.players, seasons * board.players)
        stack.db.execute("SELECT setval('submission', %s)", (seasons * board.players,))
        # The hints of the new seasons are not needed: a rebuild follows.
        stack.db.execute("DELETE FROM outbox")
    copied = time.perf_counter()
    stack.db.execute("VACUUM (ANALYZE) score")
    vacuumed = time.perf_counter()
    return LoadTimes(copied - began, vacuumed - copied, int(stack.value("SELECT pg_total_relation_size('score')")))


def create_seasons(stack: Stack, options: RunOptions, seasons: int) -> list[int]:
    """Create the seasons; returns the ids of their periods, in the order of their numbers."""
    for first in range(0, seasons, CHUNK):
        options.progress("seasons", first, seasons)
        names = [f"{SEASON}{number}" for number in range(first, min(seasons, first + CHUNK))]
        partitions = [partition_of(name) for name in names]
        stack.db.execute(queries()["create_seasons"], {"seasons": names, "partitions": partitions})
    options.progress("seasons", seasons, seasons)
    found = dict(stack.db.execute("SELECT season_id, period_id FROM season").fetchall())
    return [found[f"{SEASON}{number}"] for number in range(seasons)]


def copy_chunks(periods: list[int], board: FormulaBoard) -> Iterator[bytes]:
    """Rows for COPY in its text format, `CHUNK` rows in each piece."""
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


def check_answer(name: str, board: FormulaBoard, number: int, side: int, answer: dict[str, Any]) -> str:
    """How an answer about a player, or for the top, differs from the formula; empty when it is right.

    `side` is the range of ``around``.
    """
    if name == "rank":
        got = [(answer["rank"], answer["userId"], answer["score"])]
        expected = [(board.rank(number), user_id(number), board.score(number))]
    elif name == "around":
        got = [(item["rank"], item["userId"], item["score"]) for item in answer["items"]]
        here = board.rank(number)
        expected = board.entries(here - side, here + side)
    else:
        got = [(at, item["userId"], item["score"]) for at, item in enumerate(answer["items"], 1)]
        expected = board.entries(1, 10 if name == "top10" else 100)
    return "" if got == expected else f"{got[:3]}… instead of {expected[:3]}…"
