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
