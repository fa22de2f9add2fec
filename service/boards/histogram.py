"""Histograms: how many players have which scores.

Two scripts: the first finds where buckets begin, the second counts all of them at one instant. Edges are made between
the two, since Redis' numbers are doubles, and scores have 64 bits. The numbers are exact even if the board changes
meanwhile. The outer buckets then end where the board ends now, and those beyond it are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Final

import msgspec

from _speedups import encode_entry
from board.redis.scripts import script
from board.season import Order, order_of, turn
from board.segments import name_segment_board, split_board
from service.boards.calls import BoardCalls, make_state, read_state, read_stored_score_of
from service.boards.past_boards import Past, PastBoards
from service.boards.segments import SEGMENT_OR_PERIOD, segment_of
from service.boards.types import Bucket, BucketsBy, Histogram
from service.contract.answers import Answer

QUANTILES: Final = script("quantiles")
HISTOGRAM: Final = script("histogram")

SMALL: Final = 2**52
"""A score nearer to 0 has a zscore of its own."""
EVERY_LOW: Final = 2047
"""The greatest low part of a member: all players with the zscore."""

_encode = msgspec.json.Encoder().encode


class Histograms:
    """The histograms of one worker."""

    def __init__(self, calls: BoardCalls, past: PastBoards) -> None:
        self._past: Final = past
        self._call: Final = calls.call
        self._reading: Final = calls.reading

    async def read_histogram(
        self, season: str, buckets: int, by: BucketsBy, period: int | None = None, segment: str | None = None
    ) -> Answer:
        """Count the players in up to so many ranges of scores (`Histogram`); an unknown season has no bucket.

        The ranges are of equal width, or have about the same number of players each. Raises `BoardRebuilding` and
        `BoardUnavailable`.
        """
        if segment is not None:
            if period is not None:
                return SEGMENT_OR_PERIOD.answer
            season = name_segment_board(season, segment)
        if period is not None:
            return await self._read_past(season, buckets, by, period)
        found = await self._call(QUANTILES, season, b"%d" % (buckets if by == "quantile" else 1))
        with self._reading(season):
            first = read_state(found)
            scores = decode_entries(found[3:])
        edges = divide(scores[0], scores[-1], buckets) if by == "score" and scores else find_edges(scores[:-1])
        places = [field for edge in edges for field in place_edge(edge)]
        counted = await self._call(HISTOGRAM, season, *places)
        ahead, entries = counted[3 : 3 + len(edges)], counted[3 + len(edges) :]
        with self._reading(season):
            state = read_state(counted)
            ends = decode_entries(entries)
        if first.as_of != state.as_of:
            # The edges are of one state, the numbers of another: the answer depends on both.
            state = make_state(
                state.order,
                state.total,
                f"{state.as_of}.{first.as_of}",
                state.shares,
                state.period,
                number=state.number,
            )
        made = make_buckets(edges, ahead, state.total, ends) if ends else []
        shown = [turn_bucket(bucket, state.order) for bucket in made]
        answer = Histogram(split_board(season)[0], shown, state.as_of, segment=segment_of(season))
        return state.make_answer(_encode(answer))

    async def _read_past(self, season: str, buckets: int, by: BucketsBy, period: int) -> Answer:
        read_standings = self._past.read_standings

        async def read(past: Past) -> Answer:
            state, made = past.state, []
            if state.total:
                parts = find_parts(state.total, buckets if by == "quantile" else 1)
                positions = [past.hidden.find_position(position) for position in parts]
                places = sorted({*positions})
                rows = await read_standings(past, "standings_at", "ranked_at", size=len(places), positions=positions)
                by_position = dict(zip(places, (score for (score,) in rows), strict=True))
                scores = [by_position[position] for position in positions]
                edges = divide(scores[0], scores[-1], buckets) if by == "score" else find_edges(scores[:-1])
                counted = (
                    await read_standings(past, "standings_from", "ranked_from", size=len(edges), edges=edges)
                    if edges
                    else []
                )
                ahead = [past.hidden.count_shown(n) for (n,) in counted]
                made = make_buckets(edges, ahead, state.total, (scores[-1], scores[0]))
            shown = [turn_bucket(bucket, order_of(state.period)) for bucket in made]
            return state.make_answer(_encode(Histogram(season, shown, state.as_of, period)))

        live = partial(self.read_histogram, season, buckets, by)
        return await self._past.read_steadily(season, period, live, read)


def find_parts(size: int, parts: int) -> list[int]:
    """The positions, from 1, of the worst player of each part of a board, from the worst part on; then the best one."""
    return [size - min(size * part // parts, size - 1) for part in range(parts + 1)]


def decode_entries(entries: Sequence[Any]) -> list[int]:
    """The scores of entries (member, zscore, …), as they are stored: the higher the better."""
    pairs = zip(entries[::2], entries[1::2], strict=True)
    return [read_stored_score_of(member, zscore) for member, zscore in pairs]


def divide(worst: int, best: int, buckets: int) -> list[int]:
    """The first scores of all ranges but the lowest, where `buckets` ranges of about the same width are between both.

    Each range has one score at least, so there may be fewer.
    """
    width = best - worst + 1
    number = min(buckets, width)
    return [worst + width * at // number for at in range(1, number)]


def find_edges(scores: Sequence[int]) -> list[int]:
    """The first scores of all ranges but the lowest, from the worst score of each part of the board.

    Players with the same score are never divided, so there may be fewer ranges than parts.
    """
    return sorted({*scores} - {*scores[:1]})


def place_edge(score: int) -> tuple[bytes, bytes]:
    """The zscore of an edge, and the greatest low part of the members with this zscore that have this score or more."""
    zscore, prefix = encode_entry(score, 0)
    low = EVERY_LOW if -SMALL < score < SMALL else int.from_bytes(prefix[:2], "big")
    return b"%d" % zscore, b"%d" % low


def make_buckets(edges: Sequence[int], ahead: Sequence[int], size: int, ends: Sequence[int]) -> list[Bucket]:
    """Make the buckets, worst first. `ahead` are the numbers of players with each edge's score or more.

    `ends` are the best and the worst score of the board. Edges that are not between both make no bucket.
    """
    best, worst = ends
    firsts = [(worst, size), *((edge, n) for edge, n in zip(edges, ahead, strict=True) if worst < edge <= best)]
    return [
        Bucket(first, following - 1, n - less) for (first, n), (following, less) in pairwise([*firsts, (best + 1, 0)])
    ]


def turn_bucket(bucket: Bucket, order: Order) -> Bucket:
    """A bucket of stored scores, as one of the scores that were submitted."""
    low, high = sorted((turn(bucket.lowest, order), turn(bucket.highest, order)))
    return Bucket(low, high, bucket.count)
