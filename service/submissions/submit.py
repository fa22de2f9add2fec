"""Submitting one score."""

from __future__ import annotations

from typing import Final

import msgspec

from service.access.authorizer import REFUSALS_BY_CODE
from service.access.caller import ANONYMOUS, Caller
from service.contract import problems
from service.contract.answers import Answer
from service.submissions import problems as own
from service.submissions.group_commit import Intake
from service.submissions.item import NO_EXTRAS, Counted, extras_of_key
from service.submissions.types import Accepted, Shown, Skipped, SkippedFeeds, Submission
from service.submissions.validation import find_excess, key_of_player, make_extras, parse_idempotency_key
from service.submissions.waiting import Boards, Wait, begin_wait

_encode = msgspec.json.Encoder().encode


class Submitter:
    """Single submissions of one worker."""

    def __init__(self, intake: Intake, boards: Boards) -> None:
        self._submit: Final = intake.submit
        self._boards: Final = boards

    async def submit(self, season: str, submission: Submission, caller: Caller) -> Answer:
        """Submit a delta or a score (`Accepted`, 202); answered after the commit. Raises as `Intake.submit` does.

        With the preference `wait` the answer waits for the board (`Shown`, 200). When the time is up, or the board
        cannot be read, it is the ordinary one.
        """
        user = submission.userId
        key = submission.submissionId
        # PERF: `make_extras` for nearly all submissions, without a call.
        extras = NO_EXTRAS
        if (
            submission.metadata is not msgspec.UNSET
            or submission.clientVersion is not msgspec.UNSET
            or submission.columns is not msgspec.UNSET
            or submission.achievedAt is not msgspec.UNSET
            or submission.period is not msgspec.UNSET
        ):
            extras = make_extras(submission, caller.key_id)
        elif caller.key_id:
            extras = extras_of_key(caller.key_id)
        wait: Wait | None = None
        if caller is not ANONYMOUS:
            if caller.player is not None and (excess := find_excess(caller.player, submission)) is not None:
                return REFUSALS_BY_CODE[excess.code]
            if caller.key is not None:
                header_key = parse_idempotency_key(caller.key)
                if header_key is None or (key is not None and key != header_key):
                    return problems.INVALID_KEY.answer
                key = header_key
            if caller.player is not None and key is not None:
                key = key_of_player(user, key)
            if extras.is_placed and not caller.is_admin:
                return own.PLACING_FORBIDDEN.answer
            if caller.prefer is not None and not extras.is_placed:
                wait = await begin_wait(self._boards, season, [user], caller.prefer)
        # PERF: nearly all submissions have a delta.
        if (delta := submission.delta) is not msgspec.UNSET:
            counted = await self._submit(season, user, delta, key, caller.trace, extras=extras)
        else:
            counted = await self._submit(season, user, submission.number, key, caller.trace, scored=True, extras=extras)
        if wait is not None and (rank := await wait.find_rank(user, counted[1])) is not None:
            shown = make_shown(season, user, counted, rank, wait.previous[user])
            return Answer(200, _encode(shown), headers=wait.headers)
        return Answer(202, _encode(make_accepted(season, user, counted)))


def make_accepted(season: str, user: str, counted: Counted) -> Accepted:
    """The answer to a submission that counts. Sums tell neither the score before nor whether it is better."""
    score, version, previous, improved, period, skipped = counted
    shown = msgspec.UNSET if period is None else period
    if improved is None:
        return Accepted(season, user, True, score, version, period=shown, skipped=load_skipped(skipped))
    return Accepted(season, user, True, score, version, previous, improved, shown, load_skipped(skipped))


def make_shown(season: str, user: str, counted: Counted, rank: int, previous_rank: int | None) -> Shown:
    """The answer to a submission that the board shows."""
    score, version, previous, improved, period, skipped = counted
    shown = msgspec.UNSET if period is None else period
    feeds = load_skipped(skipped)
    if improved is None:
        return Shown(season, user, False, score, version, rank, previous_rank, period=shown, skipped=feeds)
    return Shown(season, user, False, score, version, rank, previous_rank, previous, improved, shown, feeds)


def load_skipped(text: str | None) -> SkippedFeeds:
    """The fed seasons that refused a submission, as an answer has them."""
    return msgspec.UNSET if text is None else msgspec.json.decode(text, type=list[Skipped])
