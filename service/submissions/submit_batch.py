"""Batch requests: many submissions in one request, a result for each, one commit for those that count."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from board.errors import LeaderboardError
from service.access.caller import Caller
from service.access.grant import Player
from service.contract import problems
from service.contract.answers import Answer
from service.contract.problems import Problem, problem_of
from service.submissions import problems as own
from service.submissions.group_commit import Intake
from service.submissions.item import Outcome
from service.submissions.submit import load_skipped
from service.submissions.types import BatchAnswer, BatchResult, Submission
from service.submissions.validation import Judged, find_excess, key_of_player, make_extras
from service.submissions.waiting import Boards, Headers, Wait, begin_wait

_encode = msgspec.json.Encoder().encode

_REFUSALS: Final[dict[str, BatchResult]] = {}


class BatchSubmitter:
    """Batch requests of one worker. They have their own intake, so that a single submission never waits behind them."""

    def __init__(self, intake: Intake, boards: Boards) -> None:
        self._submit_all: Final = intake.submit_all
        self._boards: Final = boards

    async def submit(self, season: str, judged: list[Judged], caller: Caller) -> Answer:
        """Write the valid submissions; answer with a result for each, in order (`BatchAnswer`, 200).

        If every submission failed because of the servers, the answer is that error. With the preference `wait` results
        wait for the board. Raises as `Intake.submit_all` does.
        """
        if caller.key is not None:
            return problems.INVALID_KEY.with_detail("A batch takes no Idempotency-Key; give each item a submissionId.")
        player = caller.player
        if player is not None:
            judged = [judge_for(player, one) for one in judged]
        if not caller.is_admin:
            judged = [forbid_placing(one) for one in judged]
        good = [one for one in judged if isinstance(one, Submission)]
        outcomes: list[Outcome] = []
        wait: Wait | None = None
        if good:
            if caller.prefer is not None and not any(s.is_placed for s in good):
                wait = await begin_wait(self._boards, season, [s.userId for s in good], caller.prefer)
            items = [(s.userId, s.number, s.submissionId, s.scored, make_extras(s, caller.key_id)) for s in good]
            if player is not None:
                items = [
                    (user, number, key and key_of_player(user, key), scored, extras)
                    for user, number, key, scored, extras in items
                ]
            outcomes = await self._submit_all(season, items, caller.trace)
            failures = [problem_of(outcome) for outcome in outcomes if isinstance(outcome, LeaderboardError)]
            if len(failures) == len(judged) and min(problem.status for problem in failures) >= 500:
                # Nothing is known to count, and the servers are the cause: clients retry on such a status.
                return max(failures, key=lambda problem: problem.status).answer
        made = [make_result(*one) for one in zip(good, outcomes, strict=True)]
        headers: Headers = ()
        if wait is not None:
            made = await asyncio.gather(*(show_result(wait, *one) for one in zip(made, good, outcomes, strict=True)))
            headers = wait.headers if any(result.status == 200 for result in made) else ()
        written = iter(made)
        results = [make_refusal(one) if isinstance(one, Problem) else next(written) for one in judged]
        return Answer(200, _encode(BatchAnswer(season, results)), headers=headers)


def judge_for(player: Player, judged: Judged) -> Judged:
    """The submission, or the problem if the player's token does not allow it."""
    return (find_excess(player, judged) or judged) if isinstance(judged, Submission) else judged


def forbid_placing(judged: Judged) -> Judged:
    """The submission, or the problem if it tells which period it belongs to."""
    return own.PLACING_FORBIDDEN if isinstance(judged, Submission) and judged.is_placed else judged


def make_result(submission: Submission, outcome: Outcome) -> BatchResult:
    """Make the result of a submission that was sent to PostgreSQL."""
    if isinstance(outcome, LeaderboardError):
        return make_refusal(problem_of(outcome))
    score, version, previous, improved, period, skipped = outcome
    shown = msgspec.UNSET if period is None else period
    feeds = load_skipped(skipped)
    if improved is None:
        return BatchResult(202, userId=submission.userId, score=score, version=version, period=shown, skipped=feeds)
    return BatchResult(
        202,
        userId=submission.userId,
        score=score,
        version=version,
        previousScore=previous,
        improved=improved,
        period=shown,
        skipped=feeds,
    )


async def show_result(wait: Wait, result: BatchResult, submission: Submission, outcome: Outcome) -> BatchResult:
    """The result with its ranks as soon as the board shows it.

    It stays as it is when the time is up, and if it does not count.
    """
    user = submission.userId
    rank = None if isinstance(outcome, LeaderboardError) else await wait.find_rank(user, outcome[1])
    if rank is None:
        return result
    return msgspec.structs.replace(result, status=200, rank=rank, previousRank=wait.previous[user])


def make_refusal(problem: Problem) -> BatchResult:
    """Make the result of a submission that does not count. PERF: once for each problem."""
    result = _REFUSALS.get(problem.code)
    if result is None:
        result = _REFUSALS[problem.code] = BatchResult(problem.status, code=problem.code, detail=problem.title)
    return result
