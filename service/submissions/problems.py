"""The HTTP errors of submissions alone. docs/errors.md repeats them."""

from __future__ import annotations

from service.contract.problems import add_problem
from service.contract.types import CLIENT_VERSION_MAX, METADATA_DEPTH_MOST, METADATA_MOST_BYTES

INVALID_METADATA = add_problem(
    "invalid-metadata",
    400,
    f"metadata must be an object of at most {METADATA_MOST_BYTES} bytes of JSON, {METADATA_DEPTH_MOST} levels deep.",
    "`metadata` of a submission is no object, too long as compact JSON, too deep, or has a number beyond doubles.",
)
INVALID_COLUMNS = add_problem(
    "invalid-columns",
    400,
    "columns must be all columns of the season and no others, whole numbers of 64 bits; nothing was written.",
    "`columns` lacks one of the season's columns, or has another one, or a value that is no whole number.",
)
INVALID_CLIENT_VERSION = add_problem(
    "invalid-client-version",
    400,
    f"clientVersion must be 1 to {CLIENT_VERSION_MAX} printable characters.",
    "`clientVersion` of a submission is empty, too long, no string, or has a character that cannot be printed.",
)
INVALID_ACHIEVED_AT = add_problem(
    "invalid-achieved-at",
    400,
    "achievedAt must be an instant after 1970 with an offset from UTC (RFC 3339), and not in the future.",
    "`achievedAt` of a submission is no such text, or more than a minute later than PostgreSQL's clock.",
)
INVALID_PERIOD = add_problem(
    "invalid-submission-period",
    400,
    "period must be the number of a period, from 1.",
    "`period` of a submission is no whole number from 1 to 999,999,999.",
)
PLACING_FORBIDDEN = add_problem(
    "placing-forbidden",
    403,
    "achievedAt and period of a submission need the scope admin.",
    "Only administrators tell when a run was achieved, or name the period that it counts in.",
)
PLAYER_BANNED = add_problem(
    "player-banned",
    403,
    "The player is banned; nothing was written.",
    "A moderator has banned the player in this season, or in all of them. The others of a batch are not affected.",
)
SCORE_OUT_OF_RANGE = add_problem(
    "score-out-of-range",
    409,
    "The sum would leave the range of 64 bits; nothing was written.",
    "The player's score plus `delta` is outside -2^63 to 2^63-1.",
)
WRONG_OPERATOR = add_problem(
    "wrong-operator",
    409,
    "The season's operator takes the other one of delta and score; nothing was written.",
    "`delta` is for seasons that add up (`sum`), `score` for those in which the best or the last run counts.",
)
SEASON_NOT_OPEN = add_problem(
    "season-not-open",
    409,
    "The season is not open yet; nothing was written.",
    "The submission came before the season's `opensAt`, by PostgreSQL's clock.",
)
SCORE_OUT_OF_BOUNDS = add_problem(
    "score-out-of-bounds",
    422,
    "The submission is outside the season's bounds; nothing was written.",
    "`delta` or `score` is below `bounds.min` or above `bounds.max` of the season.",
)
