"""Bodies of requests and answers of submissions. The OpenAPI document is made from these types."""

from __future__ import annotations

import datetime
from typing import Annotated, Final, Literal

import msgspec

from board.season import COLUMNS_MOST, ColumnName
from service.contract.types import (
    CLIENT_VERSION_MAX,
    INT64_MAX,
    INT64_MIN,
    Int64,
    Metadata,
    Rank,
    Score,
    SeasonId,
    Status,
    UserId,
    Version,
)

# Printable ASCII without a space at either end: a header carries it unchanged.
KEY_TEXT: Final = r"[!-~](?:[ -~]{0,253}[!-~])?"
IdempotencyKey = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=255,
        pattern=f"^{KEY_TEXT}(?![\\s\\S])",
        description="Names this submission within its season, best a UUID. Sent again, it gets the first answer again.",
        examples=["8e03978e-40d5-43dd-bc93-6894a57f9324"],
    ),
]


ClientVersion = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=CLIENT_VERSION_MAX,
        description="The version of the client, printable characters. It is kept in the ledger.",
        examples=["2.1.0"],
    ),
]

Columns = Annotated[
    dict[ColumnName, Int64],
    msgspec.Meta(
        max_length=COLUMNS_MOST,
        description="The further numbers of the run: all columns of the season, whole numbers of 64 bits.",
        examples=[{"time": 83211}],
    ),
]

AchievedAt = Annotated[
    datetime.datetime,
    msgspec.Meta(
        tz=True,
        description="When the run was achieved, for scope `admin`. It decides the period, and which run is the last.",
        examples=["2026-11-29T10:00:00Z"],
    ),
]
PeriodMeant = Annotated[
    int,
    msgspec.Meta(
        ge=1,
        le=999_999_999,
        description="The number of the period that it is for, for scope `admin`: the open one, or one in its grace.",
        examples=[1],
    ),
]

_SPELLING: Final = "Up to 2^53 it may be spelled `120.0` or `1.2e2`."


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A player's `delta`, for a season that adds up, or `score`, for one in which the best or the last run counts.

    It has one of the two. `submissionId` is the idempotency key, if the header does not carry it. `columns` are the
    run's, in a season that has columns. `metadata` are those of the run: the player's rank shows them while the run
    counts.
    """

    userId: UserId
    delta: (
        Annotated[
            int,
            msgspec.Meta(
                ge=INT64_MIN,
                le=INT64_MAX,
                description=f"Is added to the score. Whole number of 64 bits, not 0. {_SPELLING}",
                examples=[120],
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    submissionId: IdempotencyKey | None = None
    score: (
        Annotated[
            int,
            msgspec.Meta(
                ge=INT64_MIN,
                le=INT64_MAX,
                description=f"The score of a run. Whole number of 64 bits. {_SPELLING}",
                examples=[83211],
            ),
        ]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET
    clientVersion: ClientVersion | msgspec.UnsetType = msgspec.UNSET
    columns: Columns | msgspec.UnsetType = msgspec.UNSET
    achievedAt: AchievedAt | msgspec.UnsetType = msgspec.UNSET
    period: PeriodMeant | msgspec.UnsetType = msgspec.UNSET

    @property
    def number(self) -> int:
        """The number of a valid submission: its `delta` or its `score`."""
        return self.score if self.delta is msgspec.UNSET else self.delta  # type: ignore[return-value]

    @property
    def is_placed(self) -> bool:
        """Whether it tells which period it belongs to."""
        return self.achievedAt is not msgspec.UNSET or self.period is not msgspec.UNSET

    @property
    def scored(self) -> bool:
        """Whether a valid submission has a `score`."""
        return self.score is not msgspec.UNSET


ShownSubmission = Annotated[Submission, msgspec.Meta(examples=[{"userId": "ada", "delta": 120}])]
"""A submission in the OpenAPI document."""


class SpelledSubmission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A submission with the texts of its numbers."""

    userId: UserId
    delta: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    submissionId: IdempotencyKey | None = None
    score: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET
    clientVersion: ClientVersion | msgspec.UnsetType = msgspec.UNSET
    columns: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    achievedAt: AchievedAt | msgspec.UnsetType = msgspec.UNSET
    period: PeriodMeant | msgspec.UnsetType = msgspec.UNSET


BATCH_MOST: Final = 5_000
_Several = msgspec.Meta(min_length=1, max_length=BATCH_MOST)


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 5,000 submissions to one season. Each has its own result; those that count are committed together."""

    submissions: Annotated[list[ShownSubmission], _Several]


class LooseBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch with its submissions not decoded yet."""

    submissions: Annotated[list[msgspec.Raw], _Several]


Previous = (
    Annotated[Score | None, msgspec.Meta(description="The score before; null: there was none. Not for sums.")]
    | msgspec.UnsetType
)
Improved = (
    Annotated[bool, msgspec.Meta(description="Whether the player's row is better than before. Not for sums.")]
    | msgspec.UnsetType
)


PreviousRank = Annotated[
    Rank | None,
    msgspec.Meta(description="The rank on the board when the request came; null: the player was not on it."),
]
Period = (
    Annotated[
        int,
        msgspec.Meta(ge=1, description="The period it counts in, if the season has a schedule.", examples=[1]),
    ]
    | msgspec.UnsetType
)


class Skipped(msgspec.Struct, frozen=True):
    """A fed season that refused the submission, and the code of the error."""

    seasonId: SeasonId
    code: Annotated[str, msgspec.Meta(examples=["score-out-of-bounds"])]


SkippedFeeds = (
    Annotated[
        list[Skipped],
        msgspec.Meta(description="The seasons of `feeds` in which it does not count, by name. Missing: none."),
    ]
    | msgspec.UnsetType
)


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one submission: 202 with the members of `Accepted`; 200 with `rank` and `previousRank`, too, if the
    board shows it; or an error's `status`, `code`, `detail`.
    """

    status: Status
    userId: UserId | msgspec.UnsetType = msgspec.UNSET
    score: Score | msgspec.UnsetType = msgspec.UNSET
    version: Version | msgspec.UnsetType = msgspec.UNSET
    previousScore: Previous = msgspec.UNSET
    improved: Improved = msgspec.UNSET
    period: Period = msgspec.UNSET
    skipped: SkippedFeeds = msgspec.UNSET
    rank: Rank | msgspec.UnsetType = msgspec.UNSET
    previousRank: PreviousRank | msgspec.UnsetType = msgspec.UNSET
    code: str | msgspec.UnsetType = msgspec.UNSET
    detail: str | msgspec.UnsetType = msgspec.UNSET


class BatchAnswer(msgspec.Struct, frozen=True):
    """A result for each submission, in the order of the request."""

    seasonId: SeasonId
    results: Annotated[
        list[BatchResult],
        msgspec.Meta(
            examples=[
                [
                    {"status": 202, "userId": "ada", "score": 120, "version": 2},
                    {"status": 400, "code": "invalid-delta", "detail": "delta must be a whole number of 64 bits."},
                ]
            ]
        ),
    ]


class Accepted(msgspec.Struct, frozen=True):
    """The submission is committed in PostgreSQL; the board follows within milliseconds."""

    seasonId: SeasonId
    userId: UserId
    queued: Literal[True]
    score: Score
    version: Version
    previousScore: Previous = msgspec.UNSET
    improved: Improved = msgspec.UNSET
    period: Period = msgspec.UNSET
    skipped: SkippedFeeds = msgspec.UNSET


class Shown(msgspec.Struct, frozen=True):
    """The submission is committed, and the board shows it: this version, or a later one of the player."""

    seasonId: SeasonId
    userId: UserId
    queued: Literal[False]
    score: Score
    version: Version
    rank: Rank
    previousRank: PreviousRank
    previousScore: Previous = msgspec.UNSET
    improved: Improved = msgspec.UNSET
    period: Period = msgspec.UNSET
    skipped: SkippedFeeds = msgspec.UNSET
