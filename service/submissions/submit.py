"""Submitting one score."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import msgspec

from board.errors import BoardRebuilding, BoardUnavailable
from service.access.authorizer import REFUSALS_BY_CODE
from service.access.caller import ANONYMOUS, Caller
from service.contract import problems
from service.contract.answers import Answer
from service.contract.preferences import parse_wait
from service.submissions.group_commit import Intake
from service.submissions.item import NO_EXTRAS, Counted, extras_of_key
from service.submissions.types import Accepted, Shown, Submission
from service.submissions.validation import find_excess, key_of_player, make_extras, parse_idempotency_key

_encode = msgspec.json.Encoder().encode


WAIT_MOST_S: Final = 5
"""Seconds that a submission waits for its board at most. A longer wish is cut to it."""


class Boards(Protocol):
    """The ranks that readers see."""

    async def find_rank(self, season: str, user: str) -> int | None:
        """The player's rank now, from 1; None for a player who is not on the board.

        Raises `BoardUnavailable` and `BoardRebuilding`.
        """

    async def wait_for_rank(self, season: str, user: str, version: int, deadline: float) -> int | None:
        """The rank as soon as the board shows this version or a later one.

        None at the deadline (the loop's time), and when the board cannot be read.
        """


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
        if submission.metadata is not msgspec.UNSET or submission.clientVersion is not msgspec.UNSET:
            extras = make_extras(submission, caller.key_id)
        elif caller.key_id:
            extras = extras_of_key(caller.key_id)
        wait_s = 0
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
            if wait_s := min(parse_wait(caller.prefer), WAIT_MOST_S):
                deadline = asyncio.get_running_loop().time() + wait_s
                try:
                    previous = await self._boards.find_rank(season, user)
                except (BoardRebuilding, BoardUnavailable):
                    wait_s = 0
        # PERF: nearly all submissions have a delta.
        if (delta := submission.delta) is not msgspec.UNSET:
            counted = await self._submit(season, user, delta, key, caller.trace, extras=extras)
        else:
            counted = await self._submit(season, user, submission.number, key, caller.trace, scored=True, extras=extras)
        if wait_s:
            rank = await self._boards.wait_for_rank(season, user, counted[1], deadline)
            if rank is not None:
                shown = make_shown(season, user, counted, rank, previous)
                return Answer(200, _encode(shown), headers=(("preference-applied", f"wait={wait_s}"),))
        return Answer(202, _encode(make_accepted(season, user, counted)))


def make_accepted(season: str, user: str, counted: Counted) -> Accepted:
    """The answer to a submission that counts. Sums tell neither the score before nor whether it is better."""
    score, version, previous, improved = counted
    if improved is None:
        return Accepted(season, user, True, score, version)
    return Accepted(season, user, True, score, version, previous, improved)


def make_shown(season: str, user: str, counted: Counted, rank: int, previous_rank: int | None) -> Shown:
    """The answer to a submission that the board shows."""
    score, version, previous, improved = counted
    if improved is None:
        return Shown(season, user, False, score, version, rank, previous_rank)
    return Shown(season, user, False, score, version, rank, previous_rank, previous, improved)
