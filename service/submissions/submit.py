"""Submitting one score."""

from __future__ import annotations

from typing import Final

import msgspec

from service.access.authorizer import REFUSALS_BY_CODE
from service.access.caller import Caller
from service.contract import problems
from service.contract.answers import Answer
from service.submissions.group_commit import Intake
from service.submissions.types import Accepted, Submission
from service.submissions.validation import find_excess, key_of_player, parse_idempotency_key

_encode = msgspec.json.Encoder().encode


class Submitter:
    """Single submissions of one worker."""

    def __init__(self, intake: Intake) -> None:
        self._submit: Final = intake.submit

    async def submit(self, season: str, submission: Submission, caller: Caller) -> Answer:
        """Add to a player's score; answered after the commit. Raises what `Intake.submit` raises."""
        user = submission.userId
        key = submission.submissionId
        if caller.player is not None and (excess := find_excess(caller.player, submission)) is not None:
            return REFUSALS_BY_CODE[excess.code]
        if caller.key is not None:
            named = parse_idempotency_key(caller.key)
            if named is None or (key is not None and key != named):
                return problems.INVALID_KEY.answer
            key = named
        if caller.player is not None and key is not None:
            key = key_of_player(user, key)
        score, version = await self._submit(season, user, submission.delta, key, caller.trace)
        return Answer(202, _encode(Accepted(season, user, True, score, version)))
