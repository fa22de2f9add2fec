"""The operations that read boards. All of them read Redis only, but for metadata and periods that a query names."""

from __future__ import annotations

from typing import Final

from service.boards.cursors import parse_cursor
from service.boards.histogram import Histograms
from service.boards.long_polls import SINCE_OR_PERIOD, WAIT_MOST_S
from service.boards.lookup import DUPLICATE_USER, TOO_MANY_USERS, Lookups, decode_lookup
from service.boards.player_standings import INVALID_SEASONS, SEASONS_OR_CURSOR, StandingsReader, parse_seasons
from service.boards.ranked_score import RANK_NOT_FOUND, RANK_OR_PERCENTILE, RankedScores
from service.boards.reader import CURSOR_OR_OFFSET, BoardReader
from service.boards.score_places import USER_OR_SCORE
from service.boards.segments import SEGMENT_OR_PERIOD
from service.boards.types import (
    LOOKUP_MOST,
    Around,
    AsOfAsked,
    Buckets,
    BucketsBy,
    Count,
    Histogram,
    Limit,
    Lookup,
    LookupAnswer,
    MinVersion,
    Offset,
    Percentile,
    PeriodAsked,
    PlayerRank,
    PlayerStandings,
    Range,
    RankAsked,
    ScoreAtRank,
    SeasonsAsked,
    StandingsLimit,
    Top,
    TopCursor,
)
from service.boards.version_waits import NOT_YET_VISIBLE
from service.contract import problems as p
from service.contract.body import MIB, Body
from service.contract.operation import Operation
from service.contract.parameters import (
    Parameter,
    make_choice_parameter,
    make_cursor_parameter,
    make_decimal_parameter,
    make_flag_parameter,
    make_int64_parameter,
    make_number_parameter,
    make_optional,
    make_text_parameter,
)
from service.contract.preferences import parse_wait
from service.contract.profiles import ATTRIBUTES
from service.contract.season_cursors import parse_cursor as parse_season_cursor
from service.contract.segments import OF_SEGMENT, SEGMENT
from service.contract.shared import IF_NONE_MATCH, INT64, SEASON, USER
from service.contract.types import Score, SeasonCursor, UserId

_LIMIT: Final = make_number_parameter("limit", Limit, default=10, meaning="How many players at most.")
_OFFSET: Final = make_number_parameter(
    "offset", Offset, default=0, meaning="How many players to leave out at the top: the next page."
)
_CURSOR: Final = make_cursor_parameter(
    TopCursor, parse_cursor, "Leads to the next page: whoever does not move meanwhile is on one page and no other."
)
_USER: Final = make_optional(USER)
_SCORE: Final = make_int64_parameter(
    "score", Score, p.INVALID_SCORE, "A score, in place of a player: where a new row with it would stand."
)
_RANGE: Final = make_number_parameter("range", Range, default=5, meaning="How many neighbours on each side.")
_FILL: Final = make_flag_parameter(
    "fill", "Whether the window keeps its size at the ends of the board: more neighbours on the other side."
)
_MIN_VERSION: Final = make_number_parameter(
    "minVersion",
    MinVersion,
    default=None,
    meaning="Wait until the board shows this version of the player, or a later one: that of a submission's answer.",
)
_METADATA: Final = make_flag_parameter(
    "metadata", "Whether the answer has the metadata of the run that counts.", code="invalid-metadata-flag"
)
_RANK: Final = make_number_parameter("rank", RankAsked, default=None, meaning="A rank, from 1.")
_PERCENTILE: Final = make_decimal_parameter(
    "percentile", Percentile, "A percentile: the share of players at or below, from 0 to 100."
)
_BUCKETS: Final = make_number_parameter("buckets", Buckets, default=20, meaning="How many buckets at most.")
_BY: Final = make_choice_parameter(
    "by", BucketsBy, "score", "Buckets of the same width (`score`), or with about the same number of players each."
)
_NOT_MODIFIED: Final = {304: ("The answer that the client has still holds.", None)}
_PERIOD: Final = make_number_parameter(
    "period",
    PeriodAsked,
    default=None,
    meaning="The number of a period, which may have ended. Without it: the current period's board.",
)
_SINCE: Final = make_text_parameter(
    "since",
    "query",
    AsOfAsked,
    p.add_problem(
        "invalid-since",
        400,
        "since must be an asOf of the board: 1 to 128 characters.",
        "The query's `since` is empty, too long, or has control characters.",
    ),
    "The `asOf` of an answer that the client has: 304 as long as the board is in that state.",
    required=False,
)
_PREFER: Final = Parameter(
    name="Prefer",
    place="header",
    kind=str,
    meaning=f"With `since`, `wait=N` (RFC 7240): up to N seconds, {WAIT_MOST_S} at most, until the board changes.",
    parse=parse_wait,
    required=False,
    is_passed=True,
)
_OF_PERIOD: Final = (p.PERIOD_NOT_FOUND, p.PERIOD_EXPIRED, p.STORE_UNAVAILABLE)
_READ: Final = (p.BOARD_UNAVAILABLE, p.BOARD_REBUILDING)
_OF_SEGMENT: Final = (*OF_SEGMENT, SEGMENT_OR_PERIOD)

_PLAYER: Final = make_text_parameter("userId", "path", UserId, p.INVALID_USER, "The player.")
_SEASONS: Final = Parameter(
    name="seasons",
    place="query",
    kind=SeasonsAsked,
    meaning="The seasons, with commas between them. Without it: all seasons, page by page.",
    parse=parse_seasons,
    problem=INVALID_SEASONS,
    required=False,
)
_SEASON_CURSOR: Final = make_cursor_parameter(SeasonCursor, parse_season_cursor)
_STANDINGS: Final = make_number_parameter("limit", StandingsLimit, default=100, meaning="How many seasons at most.")

OPERATIONS: Final = (
    Operation(
        name="getTop",
        method="GET",
        path="/v1/seasons/{sid}/leaderboard/top",
        handler=BoardReader.read_top,
        scope="read",
        summary="The best players. A season without a submission is an empty list.",
        parameters=(
            SEASON,
            _LIMIT,
            _OFFSET,
            _CURSOR,
            _PERIOD,
            _SINCE,
            ATTRIBUTES,
            SEGMENT,
            _PREFER,
            INT64,
            IF_NONE_MATCH,
        ),
        answers={200: ("The best players, best first.", Top), **_NOT_MODIFIED},
        problems=(CURSOR_OR_OFFSET, SINCE_OR_PERIOD, *_READ, p.SEASON_NOT_FOUND, *_OF_PERIOD, *_OF_SEGMENT),
        fast=True,
    ),
    Operation(
        name="getRank",
        method="GET",
        path="/v1/seasons/{sid}/leaderboard/rank",
        handler=BoardReader.read_rank,
        scope="read",
        summary="A player's rank and score.",
        parameters=(SEASON, USER, _MIN_VERSION, _METADATA, _PERIOD, SEGMENT, INT64, IF_NONE_MATCH),
        answers={200: ("Where the player stands.", PlayerRank), **_NOT_MODIFIED},
        problems=(*_READ, p.SEASON_NOT_FOUND, p.PLAYER_NOT_FOUND, NOT_YET_VISIBLE, *_OF_PERIOD, *_OF_SEGMENT),
        fast=True,
    ),
    Operation(
        name="getAround",
        method="GET",
        path="/v1/seasons/{sid}/leaderboard/around",
        handler=BoardReader.read_around,
        scope="read",
        summary="A player among the neighbours on the board, or the place of a score that no player needs to have.",
        parameters=(
            SEASON,
            _USER,
            _SCORE,
            _RANGE,
            _FILL,
            _MIN_VERSION,
            _PERIOD,
            ATTRIBUTES,
            SEGMENT,
            INT64,
            IF_NONE_MATCH,
        ),
        answers={200: ("The window around the player, or around the place of the score.", Around), **_NOT_MODIFIED},
        problems=(
            USER_OR_SCORE,
            *_READ,
            p.SEASON_NOT_FOUND,
            p.PLAYER_NOT_FOUND,
            NOT_YET_VISIBLE,
            *_OF_PERIOD,
            *_OF_SEGMENT,
        ),
        fast=True,
    ),
    Operation(
        name="getCount",
        method="GET",
        path="/v1/seasons/{sid}/leaderboard/count",
        handler=BoardReader.read_count,
        scope="read",
        summary="The number of players. A season without a submission has none.",
        parameters=(SEASON, _PERIOD, SEGMENT, IF_NONE_MATCH),
        answers={200: ("The number of players.", Count), **_NOT_MODIFIED},
        problems=(*_READ, p.SEASON_NOT_FOUND, *_OF_PERIOD, *_OF_SEGMENT),
        fast=True,
    ),
    Operation(
        name="lookUpPlayers",
        method="POST",
        path="/v1/seasons/{sid}/leaderboard/lookup",
        handler=Lookups.look_up,
        scope="read",
        summary=f"Ranks and scores of up to {LOOKUP_MOST:,} players at one instant. It changes nothing.",
        parameters=(SEASON, _PERIOD, ATTRIBUTES, SEGMENT, INT64),
        # The longest ids, with every character escaped.
        body=Body(
            kind=Lookup,
            most=2 * MIB,
            decode=decode_lookup,
            own_problems=(p.INVALID_USER, TOO_MANY_USERS, DUPLICATE_USER),
        ),
        answers={200: ("Where the players stand, best first, and those who are not on the board.", LookupAnswer)},
        problems=(*_READ, p.SEASON_NOT_FOUND, *_OF_PERIOD, *_OF_SEGMENT),
    ),
    Operation(
        name="getScore",
        method="GET",
        path="/v1/seasons/{sid}/leaderboard/score",
        handler=RankedScores.read_score,
        scope="read",
        summary="The score of a rank, or the worst score whose percentile is that or better: one of the two.",
        parameters=(SEASON, _RANK, _PERCENTILE, _PERIOD, SEGMENT, INT64, IF_NONE_MATCH),
        answers={200: ("The score, and its rank.", ScoreAtRank), **_NOT_MODIFIED},
        problems=(RANK_OR_PERCENTILE, *_READ, RANK_NOT_FOUND, p.SEASON_NOT_FOUND, *_OF_PERIOD, *_OF_SEGMENT),
    ),
    Operation(
        name="getHistogram",
        method="GET",
        path="/v1/seasons/{sid}/leaderboard/histogram",
        handler=Histograms.read_histogram,
        scope="read",
        summary="How many players have which scores. A season without a submission has no bucket.",
        parameters=(SEASON, _BUCKETS, _BY, _PERIOD, SEGMENT, INT64, IF_NONE_MATCH),
        answers={200: ("The buckets, worst scores first.", Histogram), **_NOT_MODIFIED},
        problems=(*_READ, p.SEASON_NOT_FOUND, *_OF_PERIOD, *_OF_SEGMENT),
    ),
    Operation(
        name="getStandings",
        method="GET",
        path="/v1/players/{userId}/standings",
        handler=StandingsReader.read,
        scope="read",
        summary="Where a player stands in the current periods of these seasons, or of all that the player is in.",
        parameters=(_PLAYER, _SEASONS, _SEASON_CURSOR, _STANDINGS, INT64),
        answers={200: ("The player's ranks and scores.", PlayerStandings)},
        problems=(SEASONS_OR_CURSOR, *_READ, p.STORE_UNAVAILABLE),
    ),
)
