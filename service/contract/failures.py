"""Requests that end with an error of our family: the answer to the client, and the reason for the log."""

from __future__ import annotations

import logging
from typing import Final

from board.errors import LeaderboardError
from board.process.throttle import Throttle
from service.contract.answers import Answer
from service.contract.problems import OUTCOME_UNKNOWN, STORE_UNAVAILABLE, Rejected, problem_of

log: Final = logging.getLogger(__name__)

_OF_STORE: Final = (STORE_UNAVAILABLE, OUTCOME_UNKNOWN)
_THROTTLE: Final = Throttle()


def answer_of(error: LeaderboardError) -> Answer:
    """The answer to a request that ended with an error.

    Clients are not told why PostgreSQL did not carry it out; the log is, each reason once in ten seconds.
    """
    if isinstance(error, Rejected):
        return error.answer
    problem = problem_of(error)
    if problem in _OF_STORE and _THROTTLE.admits(str(error)):
        log.warning("a request was answered %s: %s", problem.code, error)
    return problem.answer
