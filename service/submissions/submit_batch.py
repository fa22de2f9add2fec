"""Batch requests: many submissions in one request, a result for each, one commit for those that count."""

from __future__ import annotations

from typing import Final

import msgspec

from board.errors import LeaderboardError
from service.access.caller import Caller
from service.access.grant import Player
from service.contract import problems
from service.contract.answers import Answer
from service.contract.problems import Problem, problem_of
from service.submissions.group_commit import Intake
from service.submissions.item import Outcome
from service.submissions.types import BatchAnswer, BatchResult, Submission
from service.submissions.validation import Judged, find_excess, key_of_player

_encode = msgspec.json.Encoder().encode

_REFUSALS: Final[dict[str, BatchResult]] = {}


class BatchSubmitter:
    """Batch requests of one worker. They have their own intake, so that a single submission never waits behind them."""

    def __init__(self, intake: Intake) -> None:
        self._submit_all: Final = intake.submit_all

    async def submit(self, season: str, judged: list[Judged], caller: Caller) -> Answer:
        """Write the valid submissions; answer with a result for each, in order (`BatchAnswer`, 200).

        If every submission failed because of the servers, the answer is that error. Raises as `Intake.submit_all` does.
        """
        if caller.key is not None:
            return problems.INVALID_KEY.with_detail("A batch takes no Idempotency-Key; give each item a submissionId.")
        player = caller.player
        if player is not None:
            judged = [judge_for(player, one) for one in judged]
        good = [one for one in judged if isinstance(one, Submission)]
        outcomes: list[Outcome] = []
        if good:
            items = [(s.userId, s.number, s.submissionId, s.scored) for s in good]
            if player is not None:
                items = [
                    (user, number, key and key_of_player(user, key), scored) for user, number, key, scored in items
                ]
            outcomes = await self._submit_all(season, items, caller.trace)
            failures = [problem_of(outcome) for outcome in outcomes if isinstance(outcome, LeaderboardError)]
            if len(failures) == len(judged) and min(problem.status for problem in failures) >= 500:
                # Nothing is known to count, and the servers are the cause: clients retry on such a status.
                return max(failures, key=lambda problem: problem.status).answer
        written = iter(zip(good, outcomes, strict=True))
        results = [make_refusal(one) if isinstance(one, Problem) else make_result(*next(written)) for one in judged]
        return Answer(200, _encode(BatchAnswer(season, results)))


def judge_for(player: Player, judged: Judged) -> Judged:
    """The submission, or the problem if the player's token does not allow it."""
    return (find_excess(player, judged) or judged) if isinstance(judged, Submission) else judged


def make_result(submission: Submission, outcome: Outcome) -> BatchResult:
    """Make the result of a submission that was sent to PostgreSQL."""
    if isinstance(outcome, LeaderboardError):
        return make_refusal(problem_of(outcome))
    score, version, previous, improved, period = outcome
    shown = msgspec.UNSET if period is None else period
    if improved is None:
        return BatchResult(202, userId=submission.userId, score=score, version=version, period=shown)
    return BatchResult(
        202,
        userId=submission.userId,
        score=score,
        version=version,
        previousScore=previous,
        improved=improved,
        period=shown,
    )


def make_refusal(problem: Problem) -> BatchResult:
    """Make the result of a submission that does not count. PERF: once for each problem."""
    result = _REFUSALS.get(problem.code)
    if result is None:
        result = _REFUSALS[problem.code] = BatchResult(problem.status, code=problem.code, detail=problem.title)
    return result
