"""Where a new row with a score would stand on the board."""

from __future__ import annotations

from typing import Final

import msgspec

from board.redis.scripts import script
from board.season import turn
from service.boards.calls import BoardCalls, read_state
from service.boards.histogram import place_edge
from service.boards.segments import encode_board
from service.boards.shared_ranks import render_board, split_rank
from service.contract.answers import Answer
from service.contract.problems import add_problem

PLACE: Final = script("place")

USER_OR_SCORE: Final = add_problem(
    "user-or-score",
    400,
    "The query needs either userId or score, and minVersion goes with userId.",
    "The query has both `userId` and `score`, or `score` and `minVersion`.",
)

_encode = msgspec.json.Encoder().encode


class ScorePlaces:
    """The places of scores, for one worker."""

    def __init__(self, calls: BoardCalls) -> None:
        self._call: Final = calls.call
        self._reading: Final = calls.reading

    async def read(self, season: str, score: int, side: int, fill: bool) -> Answer:
        """Read the rank of a new row with this score, and the players around it (`Around`).

        It stands behind all with the same score. An unknown season has no player ahead. Raises `BoardRebuilding` and
        `BoardUnavailable`.
        """
        # The script knows the order of the board; its numbers are doubles, so it gets both forms.
        forms = (*place_edge(turn(score, "desc")), *place_edge(turn(score, "asc")))
        reply = await self._call(PLACE, season, b"%d" % side, b"%d" % fill, *forms)
        rank, first, listed = reply[3:]
        with self._reading(season):
            state = read_state(reply)
            entries, first_rank = split_rank(listed, first, state)
            items = render_board(entries, first_rank, first, state)
        # The score is not beside a text: there it would be that of a row (`service.boards.profiles.SEAM`).
        body = b'{"seasonId":%b,"rank":%d,"score":%d,"range":%d,"items":%b,"total":%d,"asOf":%b}' % (
            encode_board(season),
            rank + 1,
            score,
            side,
            items,
            state.total,
            _encode(state.as_of),
        )
        return state.make_answer(body)
