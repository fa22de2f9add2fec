"""Calls of read-only scripts on one board, with their errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import msgspec

from _speedups import decode_score
from board.columns import measure_run, read_columns, strip_columns
from board.errors import BoardRebuilding
from board.partitions import partition_of
from board.redis.async_redis import AsyncRedis
from board.redis.keyspace import Keyspace
from board.redis.poke import Poker
from board.redis.replies import RedisRefused, concerns_server
from board.redis.scripts import Script
from board.release import RELEASE
from board.season import NUMBERED, SHARED, Column, Order, count_columns, label_of, number_of, order_of, turn
from board.segments import split_board
from service.boards.segments import find_refusal
from service.contract.answers import Answer
from service.contract.problems import Rejected

UNREADABLE: Final = (ValueError, OverflowError)
"""Errors of reading an entry that no relay has written: no score gives its zscore and member."""
UNKNOWN: Final = "0"
"""The state of a season without a board."""


class BoardState(msgspec.Struct, frozen=True, gc=False):
    """What every script tells of its board.

    The order, the number of players, the name of this state, whether equal rows share a rank, the period (0: there is
    no board), the columns of its rows, and the number of the period (0: the season has no numbered periods, or the
    board is not the current one).

    Two answers with an equal `as_of` are of the same board in the same state. Each batch that touches the board changes
    it. A season without a board has an own one.
    """

    order: Order
    total: int
    as_of: str
    shares: bool
    period: int
    etag: str
    columns: tuple[Column, ...] = ()
    number: int = 0

    def make_answer(self, body: bytes) -> Answer:
        """The answer to a GET with this body, a JSON object, made of the board in this state."""
        return Answer(200, self.add_period(body), etag=self.etag)

    def add_period(self, body: bytes) -> bytes:
        """The JSON object with the number of the period, if the season has numbered periods."""
        return b'%b,"period":%d}' % (body[:-1], self.number) if self.number else body


class Run(NamedTuple):
    """A row of a board, as it was submitted."""

    score: int
    version: int
    columns: dict[str, int] | msgspec.UnsetType = msgspec.UNSET


def make_state(
    order: Order,
    total: int,
    as_of: str,
    shares: bool,
    period: int,
    columns: tuple[Column, ...] = (),
    number: int = 0,
) -> BoardState:
    """A state with its entity tag, by which a client asks whether an answer still holds.

    PERF: once for all players of a call. Another release may have other members in its answers.
    """
    return BoardState(order, total, as_of, shares, period, make_etag(as_of), columns, number)


def make_etag(as_of: str) -> str:
    """The entity tag of answers about a board in this state."""
    return f'"{as_of}-{RELEASE}"'


def is_in_state(etag: str, as_of: str) -> bool:
    """Whether an answer with this entity tag is about a board in this state, whatever profiles it shows."""
    tag = make_etag(as_of)
    return etag == tag or etag.startswith(f"{tag[:-1]}-")


def read_state(reply: Sequence[Any]) -> BoardState:
    """The state at the beginning of a reply: period, mark, number of players. Raises an error of `UNREADABLE`."""
    period, mark, total = reply[:3]
    if not period:
        return make_state("desc", total, UNKNOWN, False, 0)
    number = int(period)
    if count_columns(number):
        return read_state_of_runs(number, mark, total)
    as_of, shares = f"{number}.{mark.decode()}", mark.endswith(SHARED)
    if NUMBERED in mark:
        return make_state(order_of(number), total, as_of, shares, number, (), number_of(mark))
    return make_state(order_of(number), total, as_of, shares, number)


def read_state_of_runs(period: int, mark: bytes, total: int) -> BoardState:
    """The state of a board whose rows have columns: the label in its mark names them. Raises an error of `UNREADABLE`.

    An empty board may lack its label.
    """
    label = label_of(mark)
    number = number_of(label)
    columns = read_columns(label.partition(NUMBERED)[0].decode())
    if total and len(columns) != count_columns(period):
        raise ValueError("the board's mark does not name its columns")
    as_of = f"{period}.{mark.removesuffix(label).decode()}"
    return make_state(order_of(period), total, as_of, label.endswith(SHARED), period, columns, number)


def read_run(member: bytes, zscore: bytes, state: BoardState) -> Run:
    """An entry of a board as Redis returns it; the member may lack the user. Raises an error of `UNREADABLE`."""
    columns: dict[str, int] | msgspec.UnsetType = msgspec.UNSET
    if state.columns:
        ((member, columns),) = strip_columns((member,), state.columns)
    return Run(read_score_of(member, zscore, state.order), int.from_bytes(member[2:10], "big"), columns)


def read_score_of(member: bytes, zscore: bytes, order: Order) -> int:
    """The exact score of an entry as Redis returns it. Raises an error of `UNREADABLE`."""
    return turn(read_stored_score_of(member, zscore), order)


def read_stored_score_of(member: bytes, zscore: bytes) -> int:
    """The score of an entry as it is stored: the higher the better (`board.season.turn`)."""
    return decode_score(int(float(zscore)), member)


def version_at(member: bytes, state: BoardState) -> int:
    """The version of the player of an entry."""
    start = measure_run(len(state.columns))
    return int.from_bytes(member[start : start + 8], "big")


def name_keys(keys: Keyspace, board: str) -> tuple[bytes, ...]:
    """The number of keys, the keys, and the season, for a script that begins with ``board.lua`` to read a board."""
    season, segment = split_board(board)
    partition, name = partition_of(season), season.encode()
    watermark, members, periods = keys.watermark[partition], keys.members(partition, name), keys.periods[partition]
    if not segment:
        return b"4", watermark, keys.board(partition, name), members, periods, name
    of_segment = keys.segment(partition, name, segment.encode())
    return b"5", watermark, of_segment, members, periods, keys.numbers(partition, name), name


class BoardCalls:
    """Calls of one worker. A board that does not agree with itself is suspected: a relay then compares it."""

    def __init__(self, redis: AsyncRedis, keys: Keyspace, poker: Poker) -> None:
        self._redis: Final = redis
        self._keys: Final = keys
        self._poker: Final = poker

    async def call(self, script: Script, season: str, *arguments: bytes) -> Any:
        """Call a script that begins with ``board.lua``; `arguments` are those after the season.

        `season` names a board, which may be that of a segment. Returns its reply, which begins with the state
        (`read_state`). Raises `BoardUnavailable`, and `BoardRebuilding` for an empty reply (the partition is being
        rebuilt), for 0 and for an error that is about this board (it was altered by hand); `Rejected` for a segment
        without a board.
        """
        try:
            reply = await self._redis.run(script, *name_keys(self._keys, season), *arguments)
        except RedisRefused as error:
            if concerns_server(error.reply):
                raise
            raise self.suspect(season) from None
        if not reply:
            raise self.suspect(season) if reply == 0 else BoardRebuilding("the board is being rebuilt")
        if (problem := find_refusal(reply)) is not None:
            raise Rejected(problem.answer)
        return reply

    @contextmanager
    def reading(self, season: str) -> Iterator[None]:
        """Read entries of a reply. For one that no relay has written the board is suspected: `BoardRebuilding`."""
        try:
            yield
        except UNREADABLE:
            raise self.suspect(season) from None

    def suspect(self, season: str, user: str = "") -> BoardRebuilding:
        """Suspect a board that does not agree with itself, about this player or as a whole; returns the error."""
        self._poker.suspect(season, user)
        return BoardRebuilding("the board is being rebuilt")
