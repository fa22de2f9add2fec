"""Errors: one table over HTTP, one family on the command line, both in docs/errors.md."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from support.repository import REPOSITORY

import ctl.main
import service.app  # noqa: F401 - it adds the problems of every feature to the table
from board import errors
from board.errors import LeaderboardError
from service.boards.version_waits import NOT_YET_VISIBLE
from service.contract import problems
from service.contract.failures import answer_of
from service.contract.types import ProblemDetails

TEXT = (REPOSITORY / "docs" / "errors.md").read_text(encoding="utf-8")
HTTP, COMMAND = TEXT.split("## On the command line")


def table(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ][2:]


def family(kind: type[LeaderboardError] = LeaderboardError) -> list[type[LeaderboardError]]:
    return [kind, *(found for sub in kind.__subclasses__() for found in family(sub))]


def test_the_document_has_every_problem_with_its_status_and_meaning() -> None:
    documented = {row[0].strip("`"): (int(row[1]), row[2]) for row in table(HTTP)}
    assert documented == {code: (problem.status, problem.meaning) for code, problem in problems.PROBLEMS.items()}


def test_the_document_names_the_code_of_every_other_status() -> None:
    for status in range(400, 600):
        code = json.loads(problems.problem_of_status(status, None).answer.body)["code"]
        assert f"`{code}`" in HTTP


def test_the_document_has_every_exit_status_and_code() -> None:
    documented = {(row[1].strip("`"), int(row[0])) for row in table(COMMAND) if row[1]}
    raised = {
        (kind.code, kind.exit_code)
        for kind in family()
        if kind.__module__ in ("board.errors", "ctl.embedded.installations")
    }
    assert documented == raised


def test_the_help_of_the_command_has_every_exit_status() -> None:
    promised = {int(n) for n in re.findall(r"(?:^|, |\n)(\d+) ", ctl.main.__doc__ or "")}
    assert {kind.exit_code for kind in family()} | {0, 1} <= promised


@pytest.mark.parametrize("kind", family(), ids=lambda kind: kind.__name__)
def test_codes_are_stable_words(kind: type[LeaderboardError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert kind.__doc__


def test_codes_of_the_shared_family_are_unique() -> None:
    codes = [kind.code for kind in family() if kind.__module__ == errors.__name__]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("problem", problems.PROBLEMS.values(), ids=lambda problem: problem.code)
def test_a_problem_is_answered_in_its_form(problem: problems.Problem) -> None:
    for answer, text in ((problem.answer, problem.title), (problem.with_detail("what happened"), "what happened")):
        assert (answer.status, answer.media_type) == (problem.status, "application/problem+json")
        assert answer.retry_after_s == (1 if problem.status == 503 or problem is NOT_YET_VISIBLE else 0)
        details = msgspec.json.decode(answer.body, type=ProblemDetails)
        assert (details.code, details.status, details.title) == (problem.code, problem.status, problem.title)
        assert details.error == details.detail == text
        assert re.fullmatch(r"urn:leaderboard:problem:[a-z-]+", details.type)
    assert problem.title and problem.meaning


def test_statuses_mean_what_clients_think() -> None:
    assert all(400 <= problem.status < 600 for problem in problems.PROBLEMS.values())


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.StoreUnavailable("x"), 503),
        (errors.ServerUnreachable("x"), 503),
        (errors.OutcomeUnknown("x"), 504),
        (errors.BoardUnavailable("x"), 503),
        (errors.BoardRebuilding("x"), 503),
        (LeaderboardError("x"), 500),
    ],
)
def test_errors_of_the_family_become_problems(error: LeaderboardError, status: int) -> None:
    assert problems.problem_of(error).status == status


def test_the_log_tells_once_why_postgresql_did_not_carry_out_a_request(caplog: pytest.LogCaptureFixture) -> None:
    for failure in (
        errors.StoreUnavailable("deadlock detected"),
        errors.StoreUnavailable("deadlock detected"),
        errors.ServerUnreachable("PostgreSQL does not answer: no such host"),
        errors.OutcomeUnknown("the connection is lost"),
        errors.BoardUnavailable("Redis does not answer"),
        errors.SeasonNotFound("s"),
    ):
        assert answer_of(failure) is problems.problem_of(failure).answer
    assert [record.getMessage() for record in caplog.records] == [
        "a request was answered store-unavailable: deadlock detected",
        "a request was answered store-unavailable: PostgreSQL does not answer: no such host",
        "a request was answered outcome-unknown: the connection is lost",
    ]
