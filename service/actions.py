"""The operations: check the input completely, ask one collaborator, return an answer.

They know no framework. Falcon's resources hand requests over to them, and so does the express lane below Falcon, so
both answer alike by construction.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from board.errors import LeaderboardError
from board.observe.trace import Span
from service.access.authorizer import REFUSALS
from service.access.grant import Player
from service.boards.reader import Boards
from service.contract import problems
from service.contract.answers import Answer
from service.contract.types import SEASON_ID_MAX, USER_ID_MAX, Accepted, Deleted, Health, Submission
from service.contract.validation import (
    TWICE,
    beyond,
    fault_of,
    fault_of_body,
    is_json,
    is_plain,
    key_of,
    key_of_player,
    number_of,
    says_twice,
)
from service.health.probes import Probes
from service.http.tracing import parent
from service.seasons.store import Seasons
from service.submissions.group_commit import Intake

BODY_MOST: Final = 1024 * 1024
LIMIT_DEFAULT, LIMIT_MOST = 10, 1_000
RANGE_DEFAULT, RANGE_MOST = 5, 100
_decode = msgspec.json.Decoder(Submission).decode
_encode = msgspec.json.Encoder().encode


class Actions:
    """All operations of one worker. Ids come as text already decoded; an empty one stands for one that cannot be."""

    def __init__(
        self, intake: Intake, boards: Boards, seasons: Seasons, probes: Probes, *, write_deadline_s: float
    ) -> None:
        self._submit: Final = intake.submit
        self._boards: Final = boards
        self._seasons: Final = seasons
        self._probes: Final = probes
        self._write_deadline_s: Final = write_deadline_s

    async def submit(
        self,
        season: str,
        content_type: str | None,
        header: str | None,
        body: bytes,
        player: Player | None = None,
        span: Span | None = None,
    ) -> Answer:
        """Add to a player's score; answered after the commit. `header` is that of `Idempotency-Key`.

        `player` is the one whose token it came with, `span` what the relay's part in it belongs to.
        """
        if not is_plain(season, SEASON_ID_MAX):
            return problems.INVALID_SEASON.answer
        if content_type is not None and not is_json(content_type):
            return problems.UNSUPPORTED_MEDIA_TYPE.answer
        if len(body) > BODY_MOST:
            return problems.BODY_TOO_LARGE.answer
        try:
            submission = _decode(body)
        except msgspec.ValidationError as error:
            return fault_of_body(error).saying(str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return problems.MALFORMED_JSON.answer
        if says_twice(body, submission):
            return problems.INVALID_BODY.saying(TWICE)
        fault = fault_of(submission)
        if fault is not None:
            return fault.answer
        if player is not None and (refusal := beyond(player, submission)) is not None:
            return REFUSALS[refusal.code]
        user = submission.userId
        key = submission.submissionId
        if header is not None:
            named = key_of(header)
            if named is None or (key is not None and key != named):
                return problems.INVALID_KEY.answer
            key = named
        if player is not None and key is not None:
            key = key_of_player(user, key)
        try:
            score, version = await self._submit(season, user, submission.delta, key, parent(span))
        except LeaderboardError as error:
            return problems.of(error).answer
        return Answer(202, _encode(Accepted(season, user, True, score, version)))

    async def top(self, season: str, limit_text: str | None) -> Answer:
        """The best players."""
        if not is_plain(season, SEASON_ID_MAX):
            return problems.INVALID_SEASON.answer
        limit = number_of(limit_text, LIMIT_DEFAULT, 1, LIMIT_MOST)
        if limit is None:
            return problems.INVALID_LIMIT.answer
        try:
            return Answer(200, await self._boards.top(season, limit))
        except LeaderboardError as error:
            return problems.of(error).answer

    async def rank(self, season: str, user: str) -> Answer:
        """A player's rank and score."""
        if not is_plain(season, SEASON_ID_MAX):
            return problems.INVALID_SEASON.answer
        if not is_plain(user, USER_ID_MAX):
            return problems.INVALID_USER.answer
        try:
            return Answer(200, await self._boards.rank(season, user))
        except LeaderboardError as error:
            return problems.of(error).answer

    async def around(self, season: str, user: str, range_text: str | None) -> Answer:
        """A player among neighbours."""
        if not is_plain(season, SEASON_ID_MAX):
            return problems.INVALID_SEASON.answer
        if not is_plain(user, USER_ID_MAX):
            return problems.INVALID_USER.answer
        side = number_of(range_text, RANGE_DEFAULT, 0, RANGE_MOST)
        if side is None:
            return problems.INVALID_RANGE.answer
        try:
            return Answer(200, await self._boards.around(season, user, side))
        except LeaderboardError as error:
            return problems.of(error).answer

    async def reset(self, season: str) -> Answer:
        """Begin a new period; answered when no reader can see the old one any more."""
        if not is_plain(season, SEASON_ID_MAX):
            return problems.INVALID_SEASON.answer
        deadline = self._boards.now() + self._write_deadline_s
        try:
            turned = await self._seasons.reset(season)
        except LeaderboardError as error:
            return problems.of(error).answer
        if turned is not None:
            partition, period = turned
            self._boards.poke({partition})
            if not await self._boards.shows(season, period, deadline):
                return problems.RESET_PENDING.answer
        return Answer(200, _encode(Deleted(season, True)))

    async def live(self) -> Answer:
        """The process answers, whatever its servers do."""
        return ALIVE

    async def ready(self) -> Answer:
        """Whether this worker can serve."""
        state = await self._probes.readiness()
        body: bytes = _encode(state)
        if state.status == "ready":
            return Answer(200, body)
        return Answer(503, body, retry_after_s=problems.RETRY_AFTER_S)


ALIVE: Final = Answer(200, _encode(Health("ok")))


def document_answer(document: dict[str, Any]) -> Answer:
    """The OpenAPI document, encoded once."""
    return Answer(200, _encode(document))
