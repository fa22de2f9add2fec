"""Where one player stands in several seasons."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from board.pg.read_connection import ReadConnection
from service.boards.calls import read_score_of
from service.boards.rank_reads import PlayerNotFound, RankReads, SeasonNotFound, Window
from service.boards.shared_ranks import percentile_of
from service.boards.types import SEASONS_MOST, PlayerStanding, PlayerStandings
from service.contract.answers import Answer
from service.contract.problems import Rejected, add_problem
from service.contract.season_cursors import encode_cursor
from service.contract.types import SEASON_ID_MAX
from service.contract.validation import is_plain

LOOKED_MOST: Final = 1_000
"""Seasons that one request looks for the player in. Others wait for PostgreSQL meanwhile."""

INVALID_SEASONS: Final = add_problem(
    "invalid-seasons",
    400,
    f"seasons must be 1 to {SEASONS_MOST} different season ids, with commas between them.",
    "The query's `seasons` has too many ids, the same id twice, or one that is no season id.",
)
SEASONS_OR_CURSOR: Final = add_problem(
    "seasons-or-cursor",
    400,
    "The query has both seasons and cursor.",
    "The query has `seasons`, which are answered at once, and a `cursor`, which goes on in the list of all.",
)

_encode: Final = msgspec.json.Encoder().encode


class StandingsReader:
    """The standings that one worker reads: ranks from Redis; from PostgreSQL the seasons that a player is in."""

    def __init__(self, rank_reads: RankReads, reads: ReadConnection) -> None:
        self._ask: Final = rank_reads.ask
        self._read: Final = reads.read

    async def read(self, user: str, seasons: Sequence[str] | None, after: str, limit: int) -> Answer:
        """Read where a player stands in these seasons, or in `limit` of those after `after` (`PlayerStandings`).

        Each season is read at an instant of its own. Raises `Rejected`, `BoardRebuilding` and `BoardUnavailable`;
        without seasons also `StoreUnavailable` and `ServerUnreachable`.
        """
        cursor = None
        is_named = seasons is not None
        if seasons is None:
            parameters = {"user": user, "after": after, "limit": limit, "most": LOOKED_MOST}
            ((seasons, last, looked),) = await self._read("seasons_of_player", parameters)
            if len(seasons) == limit:
                cursor = encode_cursor(seasons[-1])
            elif looked == LOOKED_MOST:
                cursor = encode_cursor(last)
        elif after:
            raise Rejected(SEASONS_OR_CURSOR.answer)
        asked = [self._ask(season, user, 0, partial(show_standing, season)) for season in seasons]
        found = await asyncio.gather(*asked, return_exceptions=True)
        items: list[PlayerStanding] = []
        missing: list[str] = []
        for season, standing in zip(seasons, found, strict=True):
            if isinstance(standing, PlayerNotFound | SeasonNotFound):
                missing.append(season)
            elif isinstance(standing, BaseException):
                raise standing
            else:
                items.append(standing)
        # A board that does not show the player's first row yet is as one without the player.
        return Answer(200, _encode(PlayerStandings(user, items, missing if is_named else [], cursor)))


def show_standing(season: str, window: Window) -> PlayerStanding:
    """The standing of a window without neighbours."""
    rank, member, zscore, state = window
    return PlayerStanding(
        seasonId=season,
        rank=rank + 1,
        score=read_score_of(member, zscore, state.order),
        version=int.from_bytes(member[2:10], "big"),
        total=state.total,
        percentile=percentile_of(rank, state.total),
        asOf=state.as_of,
    )


def parse_seasons(text: str | None) -> list[str] | None:
    """The season ids in a query; None for none. Raises `Rejected`."""
    if text is None:
        return None
    seasons = text.split(",")
    if len(seasons) > SEASONS_MOST or len({*seasons}) < len(seasons):
        raise Rejected(INVALID_SEASONS.answer)
    if not all(is_plain(season, SEASON_ID_MAX) for season in seasons):
        raise Rejected(INVALID_SEASONS.answer)
    return seasons
