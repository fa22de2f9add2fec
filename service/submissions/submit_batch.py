"""Batch submission: many submissions in one request, an answer for each, one commit for all that count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from board.errors import LeaderboardError
from board.observe.trace import Span
from service.access.grant import Player
from service.contract import problems
from service.contract.answers import Answer
from service.contract.problems import Problem
from service.contract.types import SEASON_ID_MAX, Batch, BatchAnswer, BatchResult, LooseBatch, Submission
from service.contract.validation import (
    TWICE,
    beyond,
    fault_of,
    fault_of_body,
    is_json,
    is_plain,
    key_of_player,
    quotes_of,
    says_twice,
)
from service.http.tracing import parent
from service.submissions.group_commit import Intake
from service.submissions.item import Outcome

BODY_MOST: Final = 4 * 1024 * 1024

_decode = msgspec.json.Decoder(Batch).decode
_decode_loose = msgspec.json.Decoder(LooseBatch).decode
_decode_one = msgspec.json.Decoder(Submission).decode
_encode = msgspec.json.Encoder().encode

_RESULTS: Final[dict[str, BatchResult]] = {}


class Parcels:
    """The batch operation of one worker. Its intake is its own, so that no lone submission waits behind thousands."""

    def __init__(self, intake: Intake) -> None:
        self._submit_all: Final = intake.submit_all

    async def submit(
        self,
        season: str,
        content_type: str | None,
        header: str | None,
        body: bytes,
        player: Player | None = None,
        span: Span | None = None,
    ) -> Answer:
        """Check everything, write what passes, answer for each submission in order. `header` is `Idempotency-Key`'s.

        `player` is the one whose token it came with: every item has to be that player's. `span` is what the relay's
        part in it belongs to.
        """
        if not is_plain(season, SEASON_ID_MAX):
            return problems.INVALID_SEASON.answer
        if content_type is not None and not is_json(content_type):
            return problems.UNSUPPORTED_MEDIA_TYPE.answer
        if header is not None:
            return problems.INVALID_KEY.saying("A batch takes no Idempotency-Key; give each item a submissionId.")
        if len(body) > BODY_MOST:
            return problems.BATCH_TOO_LARGE.answer
        try:
            judged: Iterable[Submission | Problem]
            try:
                plain = _decode(body).submissions
                if body.count(b'"') != 2 + sum(map(quotes_of, plain)) or b"\\" in body:
                    raise msgspec.ValidationError  # perhaps a member is there twice, see `says_twice`
                judged = map(judge, plain)
            except msgspec.ValidationError:
                # One that does not fit must not take the others with it: look at each by itself.
                loose = [bytes(raw) for raw in _decode_loose(body).submissions]
                if body.count(b'"') != 2 + sum(raw.count(b'"') for raw in loose):
                    return problems.INVALID_BODY.saying(TWICE)
                judged = map(judge_raw, loose)
            results = list(judged if player is None else (allowed(player, one) for one in judged))
        except msgspec.ValidationError as error:
            return problems.INVALID_BODY.saying(str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return problems.MALFORMED_JSON.answer
        good = [one for one in results if isinstance(one, Submission)]
        outcomes: list[Outcome] = []
        if good:
            try:
                items = [(s.userId, s.delta, s.submissionId) for s in good]
                if player is not None:
                    items = [(user, delta, key and key_of_player(user, key)) for user, delta, key in items]
                outcomes = await self._submit_all(season, items, parent(span))
            except LeaderboardError as error:
                return problems.of(error).answer
            failures = [problems.of(outcome) for outcome in outcomes if isinstance(outcome, LeaderboardError)]
            if len(failures) == len(results) and min(problem.status for problem in failures) >= 500:
                # Nothing is known to count, and the servers are to blame: that is what clients retry by.
                return max(failures, key=lambda problem: problem.status).answer
        there = iter(zip(good, outcomes, strict=True))
        return Answer(
            200,
            _encode(
                BatchAnswer(
                    season, [refused(one) if isinstance(one, Problem) else told(*next(there)) for one in results]
                )
            ),
        )


def judge(submission: Submission) -> Submission | Problem:
    """The submission itself, or what is wrong with it."""
    return fault_of(submission) or submission


def judge_raw(raw: bytes) -> Submission | Problem:
    """Decode one item of a batch."""
    try:
        submission = _decode_one(raw)
    except msgspec.ValidationError as error:
        return fault_of_body(error)
    return problems.INVALID_BODY if says_twice(raw, submission) else judge(submission)


def allowed(player: Player, judged: Submission | Problem) -> Submission | Problem:
    """The submission, unless the player's token does not allow it."""
    return (beyond(player, judged) or judged) if isinstance(judged, Submission) else judged


def told(submission: Submission, outcome: Outcome) -> BatchResult:
    """The result of an item that was sent to PostgreSQL."""
    if isinstance(outcome, LeaderboardError):
        return refused(problems.of(outcome))
    return BatchResult(202, userId=submission.userId, score=outcome[0], version=outcome[1])


def refused(problem: Problem) -> BatchResult:
    """The result of an item that does not count."""
    made = _RESULTS.get(problem.code)
    if made is None:
        made = _RESULTS[problem.code] = BatchResult(problem.status, code=problem.code, detail=problem.title)
    return made
