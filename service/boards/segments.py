"""Boards of segments, as the reads of this folder know them: refusals by the scripts, and the members of answers."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from board.segments import split_board
from service.contract.problems import Problem, add_problem
from service.contract.segments import NO_SEGMENT_BOARD, NO_SEGMENTS, UNKNOWN_SEGMENT

SEGMENT_OR_PERIOD: Final = add_problem(
    "segment-or-period",
    400,
    "segment excludes period.",
    "The query has a `segment`, which is about the current period, and a `period`.",
)
_REFUSALS: Final = {-1: NO_SEGMENTS, -2: UNKNOWN_SEGMENT, -3: NO_SEGMENT_BOARD}
"""By the replies of ``board.lua``."""

_encode: Final = msgspec.json.Encoder().encode


def find_refusal(reply: Any) -> Problem | None:
    """The problem of a script's reply that is a number; None for any other reply."""
    return _REFUSALS.get(reply) if isinstance(reply, int) else None


def segment_of(board: str) -> str | msgspec.UnsetType:
    """The segment of a board, as the member of an answer."""
    return split_board(board)[1] or msgspec.UNSET


def encode_board(board: str) -> bytes:
    """The JSON of the value of `seasonId`, and of the member `segment` behind it if the board is that of one."""
    season, segment = split_board(board)
    return b'%b,"segment":%b' % (_encode(season), _encode(segment)) if segment else _encode(season)
