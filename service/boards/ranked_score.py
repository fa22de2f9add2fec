"""The score that a rank or a percentile takes."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial
from typing import Final

import msgspec

from board.redis.scripts import script
from board.segments import name_segment_board, split_board
from service.boards.calls import BoardCalls, read_score_of, read_state
from service.boards.past_boards import Past, PastBoards
from service.boards.segments import SEGMENT_OR_PERIOD, segment_of
from service.boards.shared_ranks import rank_at, split_rank
from service.boards.types import ScoreAtRank
from service.contract.answers import Answer
from service.contract.problems import Rejected, add_problem

SCORE: Final = script("score")

RANK_OR_PERCENTILE: Final = add_problem(
    "rank-or-percentile",
    400,
    "The query needs either rank or percentile.",
    "The query has neither `rank` nor `percentile`, or both.",
)
RANK_NOT_FOUND: Final = add_problem(
    "rank-not-found",
    404,
    "The board has fewer players.",
    "The board has fewer players than `rank`; or it has none, and so no percentile.",
)

_encode = msgspec.json.Encoder().encode


class RankedScores:
    """The scores by rank of one worker."""

    def __init__(self, calls: BoardCalls, past: PastBoards) -> None:
        self._past: Final = past
        self._call: Final = calls.call
        self._reading: Final = calls.reading

    async def read_score(
        self,
        season: str,
        rank: int | None,
        percentile: Fraction | None,
        period: int | None = None,
        segment: str | None = None,
    ) -> Answer:
        """Read the score at a rank, or the worst one whose percentile is that or better (`ScoreAtRank`).

        Exactly one of `rank` (from 1) and `percentile` (0 to 100) is given. Raises `Rejected`, `BoardRebuilding` and
        `BoardUnavailable`.
        """
        if segment is not None:
            if period is not None:
                raise Rejected(SEGMENT_OR_PERIOD.answer)
            season = name_segment_board(season, segment)
        if period is not None and (rank is None) != (percentile is None):
            return await self._read_past(season, rank, percentile, period)
        if rank is not None and percentile is None:
            reply = await self._call(SCORE, season, b"rank", b"%d" % (rank - 1))
            at = rank - 1
        elif rank is None and percentile is not None:
            share = float(1 - percentile / 100)
            reply = await self._call(SCORE, season, b"share", repr(share).encode())
            at = find_rank(reply[2], percentile)
        else:
            raise Rejected(RANK_OR_PERCENTILE.answer)
        size, first, entries = reply[2:]
        check_rank(at, size)
        with self._reading(season):
            state = read_state(reply)
            entries, shared = split_rank(entries, first, state)
            member, zscore = entries[2 * (at - first) : 2 * (at - first) + 2]
            score = read_score_of(member, zscore, state.order)
            shown = rank_at(entries, at - first, first, shared, state) + 1
        name = split_board(season)[0]
        return state.make_answer(_encode(ScoreAtRank(name, shown, score, state.as_of, segment=segment_of(season))))

    async def _read_past(self, season: str, rank: int | None, percentile: Fraction | None, period: int) -> Answer:
        async def read(past: Past) -> Answer:
            state = past.state
            at = find_rank(state.total, percentile) if percentile is not None else (rank or 0) - 1
            check_rank(at, state.total)
            ((_, shown, _, score, *_),) = await self._past.read_rows(past, at + 1, at + 1, size=1)
            return state.make_answer(_encode(ScoreAtRank(season, shown, score, state.as_of, period)))

        live = partial(self.read_score, season, rank, percentile)
        return await self._past.read_steadily(season, period, live, read)


def check_rank(rank: int, size: int) -> None:
    """Raise `Rejected` for a rank, from 0, that a board of `size` players does not have."""
    if rank >= size or not size:
        raise Rejected(RANK_NOT_FOUND.with_detail(f"The board has {size:,} players."))


def find_rank(size: int, percentile: Fraction) -> int:
    """The last rank, from 0, whose percentile is this or better: the share of players at or below it, in percent.

    At least one player is at or below each rank of a board. -1 for a board without players.
    """
    return size - max(1, math.ceil(size * percentile / 100))
