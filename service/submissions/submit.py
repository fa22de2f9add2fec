"""Submitting one score."""

from __future__ import annotations

from typing import Final

import msgspec

from service.access.authorizer import REFUSALS_BY_CODE
from service.access.caller import Caller
from service.contract import problems
from service.contract.answers import Answer
from service.submissions.group_commit import Intake
from service.submissions.item import Counted
from service.submissions.types import Accepted, Submission
from service.submissions.validation import find_excess, key_of_player, parse_idempotency_key

_encode = msgspec.json.Encoder().encode


class Submitter:
    """Single submissions of one worker."""

    def __init__(self, intake: Intake) -> None:
        self._submit: Final = intake.submit

    async def submit(self, season: str, submission: Submission, caller: Caller) -> Answer:
        """Submit a delta or a score (`Accepted`, 202); answered after the commit. Raises as `Intake.submit` does."""
        user = submission.userId
        key = submission.submissionId
        if caller.player is not None and (excess := find_excess(caller.player, submission)) is not None:
            return REFUSALS_BY_CODE[excess.code]
        if caller.key is not None:
            header_key = parse_idempotency_key(caller.key)
            if header_key is None or (key is not None and key != header_key):
                return problems.INVALID_KEY.answer
            key = header_key
        if caller.player is not None and key is not None:
            key = key_of_player(user, key)
        # PERF: nearly all submissions have a delta.
        if (delta := submission.delta) is not msgspec.UNSET:
            counted = await self._submit(season, user, delta, key, caller.trace)
        else:
            counted = await self._submit(season, user, submission.number, key, caller.trace, scored=True)
        return Answer(202, _encode(make_accepted(season, user, counted)))


def make_accepted(season: str, user: str, counted: Counted) -> Accepted:
    """The answer to a submission that counts. Sums tell neither the score before nor whether it is better."""
    score, version, previous, improved, period = counted
    shown = msgspec.UNSET if period is None else period
    if improved is None:
        return Accepted(season, user, True, score, version, period=shown)
    return Accepted(season, user, True, score, version, previous, improved, shown)
