"""Types that several features share: ids, numbers, and the body of every error."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec

from board.season import COLUMNS_MOST, ColumnName

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
USER_ID_MAX: Final = 128
SEASON_ID_MAX: Final = 64
CLIENT_VERSION_MAX: Final = 64
METADATA_MOST_BYTES: Final = 1_024
METADATA_DEPTH_MOST: Final = 8

# No C0, DEL or C1 control characters. A look-ahead instead of `$`, which in Python matches before a final newline.
PLAIN_TEXT: Final = r"^[^\u0000-\u001f\u007f-\u009f]+(?![\s\S])"

Int64Spelling = Literal["number", "string"]
"""How an answer has numbers of 64 bits."""
Int64 = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)]
UserId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=USER_ID_MAX,
        pattern=PLAIN_TEXT,
        description="A player: 1 to 128 characters, no control characters.",
        examples=["ada"],
    ),
]
SeasonId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=SEASON_ID_MAX,
        pattern=PLAIN_TEXT,
        description="A season: 1 to 64 characters, no control characters and no slash.",
        examples=["spring"],
    ),
]
SeasonCursor = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=512, description="The `nextCursor` of the page before.", examples=["c3ByaW5n"]
    ),
]
Score = Annotated[
    int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX, description="A whole number of 64 bits.", examples=[120])
]
Rank = Annotated[int, msgspec.Meta(ge=1, description="1 is the best.", examples=[1])]
Version = Annotated[
    int,
    msgspec.Meta(ge=0, description="Rises with each accepted submission of this player in this season.", examples=[2]),
]
RowColumns = (
    Annotated[
        dict[ColumnName, Int64],
        msgspec.Meta(
            max_length=COLUMNS_MOST,
            description="The columns of the run that counts, in a season that has columns.",
            examples=[{"time": 83211}],
        ),
    ]
    | msgspec.UnsetType
)
Metadata = Annotated[
    dict[str, Any],
    msgspec.Meta(
        description=f"Any JSON object of at most {METADATA_MOST_BYTES} bytes, {METADATA_DEPTH_MOST} levels deep.",
        examples=[{"track": "north"}],
    ),
]
Status = Annotated[int, msgspec.Meta(ge=100, le=599, description="An HTTP status.")]


class ProblemDetails(msgspec.Struct, frozen=True):
    """An error (RFC 9457). `error` repeats `detail` for clients of the original contract."""

    type: Annotated[str, msgspec.Meta(description="A URN that ends in `code`.")]
    title: str
    status: Status
    detail: str
    code: Annotated[str, msgspec.Meta(description="Stable, see docs/errors.md.")]
    error: str
