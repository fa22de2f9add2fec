"""The operations that submit scores."""

from __future__ import annotations

from typing import Final

from service.contract import problems as p
from service.contract.body import MIB, Body
from service.contract.operation import Operation
from service.contract.parameters import Parameter
from service.contract.shared import INT64, SEASON
from service.submissions import problems as own
from service.submissions.submit import Submitter
from service.submissions.submit_batch import BatchSubmitter
from service.submissions.types import (
    BATCH_MOST,
    Accepted,
    Batch,
    BatchAnswer,
    IdempotencyKey,
    Shown,
    ShownSubmission,
)
from service.submissions.validation import cost_batch, cost_submission, decode_batch, decode_submission
from service.submissions.waiting import WAIT_MOST_S

_KEY: Final = Parameter(
    name="Idempotency-Key",
    place="header",
    kind=IdempotencyKey,
    meaning="A quoted string (RFC 8941), or the bare text.",
    problem=p.INVALID_KEY,
    required=False,
)
_TRACE: Final = Parameter(
    name="traceparent",
    place="header",
    kind=str,
    meaning="W3C Trace Context. If the server traces, the trace goes on until the board shows the score.",
    required=False,
)
_PREFER: Final = Parameter(
    name="Prefer",
    place="header",
    kind=str,
    meaning=f"`wait=N` (RFC 7240): the answer waits up to N seconds, {WAIT_MOST_S} at most, until the board shows it.",
    required=False,
)
_WRITE: Final = (p.INTERNAL, p.OVERLOADED, p.STORE_UNAVAILABLE, p.OUTCOME_UNKNOWN)

OPERATIONS: Final = (
    Operation(
        name="submitScore",
        method="POST",
        path="/v1/seasons/{sid}/scores",
        handler=Submitter.submit,
        scope="submit",
        summary="Submit a player's delta or score. Answered after the commit in PostgreSQL.",
        parameters=(SEASON, INT64, _KEY, _PREFER, _TRACE),
        body=Body(
            kind=ShownSubmission,
            most=MIB,
            decode=decode_submission,
            own_problems=(
                p.INVALID_USER,
                p.INVALID_DELTA,
                p.INVALID_SCORE,
                own.INVALID_COLUMNS,
                own.INVALID_METADATA,
                own.INVALID_CLIENT_VERSION,
                own.INVALID_ACHIEVED_AT,
                own.INVALID_PERIOD,
            ),
            cost=cost_submission,
        ),
        answers={200: ("Committed, and the board shows it.", Shown), 202: ("Committed.", Accepted)},
        problems=(
            p.PLAYER_FORBIDDEN,
            p.DELTA_FORBIDDEN,
            own.PLACING_FORBIDDEN,
            p.SEASON_NOT_FOUND,
            p.PERIOD_NOT_FOUND,
            p.PERIOD_EXPIRED,
            own.SCORE_OUT_OF_RANGE,
            own.WRONG_OPERATOR,
            own.PLAYER_BANNED,
            own.SEASON_NOT_OPEN,
            p.PERIOD_CLOSED,
            own.SCORE_OUT_OF_BOUNDS,
            p.KEY_REUSED,
            *_WRITE,
        ),
        fast=True,
    ),
    Operation(
        name="submitScores",
        method="POST",
        path="/v1/seasons/{sid}/scores/batch",
        handler=BatchSubmitter.submit,
        scope="submit",
        summary=f"Up to {BATCH_MOST:,} submissions at once. A result for each in order; all that count share a commit.",
        parameters=(SEASON, INT64, _PREFER, _TRACE),
        body=Body(
            kind=Batch,
            most=4 * MIB,
            decode=decode_batch,
            noun="The body of a batch",
            too_large=p.BATCH_TOO_LARGE,
            own_problems=(p.INVALID_KEY,),
            cost=cost_batch,
        ),
        answers={200: ("A result for each submission.", BatchAnswer)},
        problems=(p.BATCH_OVER_LIMIT, *_WRITE),
    ),
)
