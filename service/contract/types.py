"""What travels over HTTP, as types: handlers encode and decode with them, the OpenAPI document comes of them."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
USER_ID_MAX: Final = 128
SEASON_ID_MAX: Final = 64

# No C0, DEL or C1 control characters. The look-ahead instead of `$`: that would let a final newline pass in Python.
PLAIN_TEXT: Final = r"^[^\u0000-\u001f\u007f-\u009f]+(?![\s\S])"

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
# Printable ASCII, no space at either end: what a header can carry unchanged.
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
Score = Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX, description="A whole number of 64 bits.")]
Rank = Annotated[int, msgspec.Meta(ge=1, description="1 is the best.")]
Version = Annotated[
    int,
    msgspec.Meta(ge=0, description="Rises with each accepted submission of this player in this season."),
]


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client posts: add `delta` to the player's score. `submissionId` is the `Idempotency-Key` in the body."""

    userId: UserId
    delta: Annotated[
        int,
        msgspec.Meta(ge=INT64_MIN, le=INT64_MAX, description="Whole number of 64 bits, not 0.", examples=[120]),
    ]
    submissionId: IdempotencyKey | None = None


BATCH_MOST: Final = 5_000
_Several = msgspec.Meta(min_length=1, max_length=BATCH_MOST)


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Up to 5,000 submissions to one season. Each is judged by itself; those that count are committed together."""

    submissions: Annotated[list[Submission], _Several]


class LooseBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch whose items are not decoded yet."""

    submissions: Annotated[list[msgspec.Raw], _Several]


class BatchResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one: 202 with `userId`, `score`, `version`; else an error's `status`, `code`, `detail`."""

    status: int
    userId: UserId | msgspec.UnsetType = msgspec.UNSET
    score: Score | msgspec.UnsetType = msgspec.UNSET
    version: Version | msgspec.UnsetType = msgspec.UNSET
    code: str | msgspec.UnsetType = msgspec.UNSET
    detail: str | msgspec.UnsetType = msgspec.UNSET


class BatchAnswer(msgspec.Struct, frozen=True):
    """A result for each submission, in the order they were sent."""

    seasonId: SeasonId
    results: list[BatchResult]


class Accepted(msgspec.Struct, frozen=True):
    """The submission is committed in PostgreSQL; the board follows within milliseconds."""

    seasonId: SeasonId
    userId: UserId
    queued: Literal[True]
    score: Score
    version: Version


class Entry(msgspec.Struct, frozen=True):
    """A player on the board."""

    userId: UserId
    score: Score


class RankedEntry(msgspec.Struct, frozen=True):
    """A player on the board, with the rank."""

    rank: Rank
    userId: UserId
    score: Score


class Top(msgspec.Struct, frozen=True):
    """The best players, best first."""

    seasonId: SeasonId
    items: list[Entry]


class PlayerRank(msgspec.Struct, frozen=True):
    """Where a player stands. `version` tells which submissions the board already shows."""

    seasonId: SeasonId
    userId: UserId
    rank: Rank
    score: Score
    version: Version


class Around(msgspec.Struct, frozen=True):
    """A player's neighbours, best first, all read at one instant."""

    seasonId: SeasonId
    userId: UserId
    range: Annotated[int, msgspec.Meta(ge=0, le=100)]
    items: list[RankedEntry]


class Deleted(msgspec.Struct, frozen=True):
    """The season's board is empty; submissions from now on start a new period."""

    seasonId: SeasonId
    deleted: Literal[True]


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class Readiness(msgspec.Struct, frozen=True):
    """Whether this worker can serve, and what each part says."""

    status: Literal["ready", "not_ready"]
    redis: Literal["ok", "down"]
    postgres: Literal["ok", "down"]
    schema: Literal["ok", "missing", "unknown"]


class ProblemDetails(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 has it. `error` repeats the text for clients of the original contract."""

    type: Annotated[str, msgspec.Meta(description="A URN that ends in `code`.")]
    title: str
    status: int
    detail: str
    code: Annotated[str, msgspec.Meta(description="Stable, see docs/errors.md.")]
    error: str
