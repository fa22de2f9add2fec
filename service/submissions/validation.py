"""Decoding and checking submissions: what passes can be refused for one reason only, a sum past 64 bits."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import suppress
from typing import Any, Final

import msgspec

from service.access.grant import Player
from service.contract import problems
from service.contract.body import Cost
from service.contract.problems import Problem, Rejected
from service.contract.types import USER_ID_MAX
from service.contract.validation import DUPLICATE_MEMBER, UNDECODABLE, has_duplicate_member, is_plain
from service.submissions.types import KEY_TEXT, Batch, LooseBatch, Submission

_KEY: Final = re.compile(KEY_TEXT)

Judged = Submission | Problem
"""An item of a batch, or what is wrong with it."""


class Named(msgspec.Struct, frozen=True, gc=False):
    """As much of a submission as a quota has to know."""

    userId: str


_decode = msgspec.json.Decoder(Submission).decode
_decode_batch = msgspec.json.Decoder(Batch).decode
_decode_loose = msgspec.json.Decoder(LooseBatch).decode
_decode_named = msgspec.json.Decoder(Named).decode


def decode_submission(body: bytes) -> Submission:
    """Decode and check the body of a submission. Raises `Rejected`."""
    try:
        submission = _decode(body)
    except msgspec.ValidationError as error:
        raise Rejected(problem_of_member(error).with_detail(str(error))) from error
    except UNDECODABLE as error:
        raise Rejected(problems.MALFORMED_JSON.answer) from error
    if has_duplicates(body, submission):
        raise Rejected(problems.INVALID_BODY.with_detail(DUPLICATE_MEMBER))
    if (problem := find_problem(submission)) is not None:
        raise Rejected(problem.answer)
    return submission


def decode_batch(body: bytes) -> list[Judged]:
    """Decode the body of a batch and check each item by itself. Raises `Rejected` where the body as a
    whole does not fit.
    """
    try:
        plain = _decode_batch(body).submissions
        # Perhaps a member is there twice, see `has_duplicates`: then each item has to be looked at.
        if body.count(b'"') == 2 + sum(map(count_quotes, plain)) and b"\\" not in body:
            return list(map(judge, plain))
    except msgspec.ValidationError:
        # One that does not fit must not take the others with it: look at each by itself.
        pass
    except UNDECODABLE as error:
        raise Rejected(problems.MALFORMED_JSON.answer) from error
    try:
        loose = [bytes(raw) for raw in _decode_loose(body).submissions]
        if body.count(b'"') != 2 + sum(raw.count(b'"') for raw in loose):
            raise Rejected(problems.INVALID_BODY.with_detail(DUPLICATE_MEMBER))
        return list(map(judge_raw, loose))
    except msgspec.ValidationError as error:
        raise Rejected(problems.INVALID_BODY.with_detail(str(error))) from error
    except UNDECODABLE as error:
        raise Rejected(problems.MALFORMED_JSON.answer) from error


def judge(submission: Submission) -> Judged:
    """The submission itself, or what is wrong with it."""
    return find_problem(submission) or submission


def judge_raw(raw: bytes) -> Judged:
    """Decode one item of a batch."""
    try:
        submission = _decode(raw)
    except msgspec.ValidationError as error:
        return problem_of_member(error)
    return problems.INVALID_BODY if has_duplicates(raw, submission) else judge(submission)


def has_duplicates(text: bytes, submission: Submission) -> bool:
    """Whether the JSON that became this submission names a member twice; msgspec silently takes the last.

    PERF: in JSON without a backslash every string has two quotes, so their number tells exactly how many strings there
    are: the names and values that must be there, or more. Everything else is looked at closely.
    """
    if text.count(b'"') == count_quotes(submission) and b"\\" not in text:
        return False
    return has_duplicate_member(text)


def count_quotes(submission: Submission) -> int:
    """How many quotes a submission has when it is written plainly."""
    return 6 if submission.submissionId is None else 10


def problem_of_member(error: msgspec.ValidationError) -> Problem:
    """The problem of a submission that is JSON but does not fit, by the member at fault."""
    text = str(error)
    if text.endswith("`$.userId`"):
        return problems.INVALID_USER
    if text.endswith("`$.delta`"):
        return problems.INVALID_DELTA
    if text.endswith("`$.submissionId`"):
        return problems.INVALID_KEY
    return problems.INVALID_BODY


def find_problem(submission: Submission) -> Problem | None:
    """What is wrong with a submission that fits the types; None if nothing."""
    if not is_plain(submission.userId, USER_ID_MAX):
        return problems.INVALID_USER
    if submission.delta == 0:
        return problems.INVALID_DELTA
    return None


def find_excess(player: Player, submission: Submission) -> Problem | None:
    """What in a submission goes beyond what the player's token allows; None if nothing."""
    if submission.userId != player.user:
        return problems.PLAYER_FORBIDDEN
    if not player.low <= submission.delta <= player.high:
        return problems.DELTA_FORBIDDEN
    return None


def parse_idempotency_key(header: str) -> str | None:
    """The key in an `Idempotency-Key` header: a quoted string (RFC 8941), or bare for convenience; None if unusable."""
    text = header.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text if _KEY.fullmatch(text) else None


def key_of_player(user: str, key: str) -> str:
    """A player's own key, which no other player and no game server can use first. No user id or key has a NUL."""
    return f"{user}\0{key}"


def cost_submission(decoded: Any, body: bytes | None) -> Cost:
    """One unit for the key, one for the player it names, though the rest of it does not fit."""
    if isinstance(decoded, Submission):
        return Cost(1, {decoded.userId: 1})
    named: list[Named] = []
    with suppress(*UNDECODABLE):
        named.append(_decode_named(body or b""))
    return Cost(1, count_players(named))


def cost_batch(decoded: Any, body: bytes | None) -> Cost:
    """As many units as the batch has items, for the key and for the players they name."""
    if decoded is not None and not any(isinstance(one, Problem) for one in decoded):
        return Cost(len(decoded), Counter(one.userId for one in decoded))
    items: list[msgspec.Raw] = []
    named: list[Named] = []
    with suppress(*UNDECODABLE):
        items = _decode_loose(body or b"").submissions
    for item in items:
        with suppress(*UNDECODABLE):
            named.append(_decode_named(item))
    return Cost(max(1, len(items)), count_players(named))


def count_players(named: list[Named]) -> Counter[str]:
    """How many submissions each player has there."""
    return Counter(one.userId for one in named if is_plain(one.userId, USER_ID_MAX))
