"""Decoding and validation of submissions. PostgreSQL can reject a valid one only for its sum or its key."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

import msgspec

from service.access.grant import Player
from service.contract import problems
from service.contract.body import Cost
from service.contract.problems import Problem, Rejected
from service.contract.types import METADATA_DEPTH_MOST, METADATA_MOST_BYTES, USER_ID_MAX, Int64
from service.contract.validation import DUPLICATE_MEMBER, UNDECODABLE, has_duplicate_member, is_plain, measure_depth
from service.submissions import problems as own
from service.submissions.item import NO_EXTRAS, Extras, extras_of_key
from service.submissions.types import KEY_TEXT, Batch, LooseBatch, SpelledSubmission, Submission

_KEY: Final = re.compile(KEY_TEXT)
_FLOAT: Final = re.compile(rb"-?\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)")

FLOAT_MOST: Final = 2**53
"""The largest whole number up to which a double has all of them."""

NEVER_PLAIN: Final = -(2**40)
"""In the place of a number of quotes: no body has it, not even in the sum of a batch."""

_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND: Final = datetime.timedelta(microseconds=1)

Judged = Submission | Problem
"""A submission of a batch, or its problem."""


class Numbers(msgspec.Struct, frozen=True, gc=False):
    """The texts of a submission's numbers, whatever else it has."""

    delta: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    score: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    columns: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


class PlayerOnly(msgspec.Struct, frozen=True, gc=False):
    """The part of a submission that quotas need."""

    userId: str


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(Submission).decode
_decode_batch = msgspec.json.Decoder(Batch).decode
_decode_loose = msgspec.json.Decoder(LooseBatch).decode
_decode_player = msgspec.json.Decoder(PlayerOnly).decode
_decode_numbers = msgspec.json.Decoder(Numbers).decode
_decode_spelled = msgspec.json.Decoder(SpelledSubmission).decode
_decode_number = msgspec.json.Decoder(Int64).decode


def decode_submission(body: bytes) -> Submission:
    """Decode and validate the body of a submission. Raises `Rejected`."""
    try:
        try:
            submission = _decode(body)
        except msgspec.ValidationError as error:
            submission = decode_spelled(body, error)
    except msgspec.ValidationError as error:
        raise Rejected(problem_of_member(error).with_detail(str(error))) from error
    except UNDECODABLE as error:
        raise Rejected(problems.MALFORMED_JSON.answer) from error
    # PERF: the first look of `has_duplicates` without a call for each submission.
    plain = body.count(b'"') == (6 if submission.submissionId is None else 10) and b"\\" not in body
    if not plain:
        if not is_fitting(submission.metadata):
            raise Rejected(own.INVALID_METADATA.answer)
        if has_duplicates(body, submission):
            raise Rejected(problems.INVALID_BODY.with_detail(DUPLICATE_MEMBER))
    user = submission.userId
    # PERF: likewise of `find_problem`. A plain body has no further string, so neither metadata nor a version.
    is_plain_delta = plain and submission.delta and submission.score is msgspec.UNSET
    if is_plain_delta and 0 < len(user) <= USER_ID_MAX and user.isascii() and user.isprintable():
        return submission
    problem = find_problem(submission)
    if problem is problems.INVALID_BODY:
        raise Rejected(problem.with_detail("A submission has either a delta or a score."))
    if problem is not None:
        raise Rejected(problem.answer)
    return submission


def decode_batch(body: bytes) -> list[Judged]:
    """Decode the body of a batch, and validate each submission by itself. Raises `Rejected` where the
    body as a whole does not match the schema.
    """
    try:
        plain = _decode_batch(body).submissions
        # Otherwise a member may be there twice, see `has_duplicates`: each item is then decoded by itself.
        if body.count(b'"') == 2 + sum(map(count_quotes, plain)) and b"\\" not in body:
            return list(map(judge, plain))
    except msgspec.ValidationError:
        # One wrong item must not fail the others: each is decoded by itself.
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
    """The submission, or its problem."""
    return find_problem(submission) or submission


def judge_raw(raw: bytes) -> Judged:
    """Decode and validate one submission of a batch."""
    try:
        try:
            submission = _decode(raw)
        except msgspec.ValidationError as error:
            submission = decode_spelled(raw, error)
    except msgspec.ValidationError as error:
        return problem_of_member(error)
    if not is_fitting(submission.metadata):
        return own.INVALID_METADATA
    return problems.INVALID_BODY if has_duplicates(raw, submission) else judge(submission)


def decode_spelled(text: bytes, error: msgspec.ValidationError) -> Submission:
    """Decode a submission that was refused with `error`, if only because its `delta` or `score`, or a column, is a
    whole number spelled like a float: engines that know doubles only write 10 so. Raises `error` otherwise, or that of
    another member.
    """
    if not str(error).endswith(("`$.delta`", "`$.score`", "`$.columns[...]`")):
        raise error
    found = _decode_numbers(text)
    numbers: list[int | msgspec.UnsetType] = []
    for raw in (found.delta, found.score):
        number = msgspec.UNSET if raw is msgspec.UNSET else parse_number(bytes(raw))
        if number is None:
            raise error
        numbers.append(number)
    spelled = _decode_spelled(text)
    columns: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    if spelled.columns is not msgspec.UNSET:
        columns = {name: parse_number(bytes(raw)) for name, raw in spelled.columns.items()}
        if None in columns.values():
            raise error
        # Names and number of columns are not checked yet.
        columns = msgspec.convert({"userId": spelled.userId, "columns": columns}, Submission).columns
    return Submission(
        spelled.userId,
        numbers[0],
        spelled.submissionId,
        numbers[1],
        spelled.metadata,
        spelled.clientVersion,
        columns,
        spelled.achievedAt,
        spelled.period,
    )


def parse_number(text: bytes) -> int | None:
    """The whole number of 64 bits of a JSON value, perhaps spelled like a float (`parse_float`); None otherwise."""
    try:
        return _decode_number(text)
    except msgspec.ValidationError:
        return parse_float(text)


def parse_float(text: bytes) -> int | None:
    """The whole number that JSON spells with a fraction or an exponent; None for any other text.

    None also if it is not whole, or beyond `FLOAT_MOST`, where a double may have lost its last digits.
    """
    if _FLOAT.fullmatch(text) is None:
        return None
    value = float(text)
    if not (abs(value) <= FLOAT_MOST and value.is_integer()):
        return None
    whole = int(value)
    # The text may have more digits than the double.
    return whole if whole == 0 or Decimal(text.decode()) == whole else None


def has_duplicates(text: bytes, submission: Submission) -> bool:
    """Whether the JSON of this submission has a duplicate member. msgspec silently takes the last one.

    PERF: in JSON without a backslash every string has two quotes. Their number shows whether there are more strings
    than the submission's names and values. Only then, or with a backslash, is the JSON parsed again.
    """
    if text.count(b'"') == count_quotes(submission) and b"\\" not in text:
        return False
    return has_duplicate_member(text)


def count_quotes(submission: Submission) -> int:
    """Count the quotes of a submission without duplicate members and escapes; with metadata `NEVER_PLAIN`."""
    if submission.metadata is not msgspec.UNSET:
        return NEVER_PLAIN
    numbers = (submission.delta is not msgspec.UNSET) + (submission.score is not msgspec.UNSET)
    texts = (submission.submissionId is not None) + (submission.clientVersion is not msgspec.UNSET)
    if submission.is_placed:
        numbers += submission.period is not msgspec.UNSET
        texts += submission.achievedAt is not msgspec.UNSET
    names = 0 if submission.columns is msgspec.UNSET else 1 + len(submission.columns)
    return 4 + 2 * numbers + 4 * texts + 2 * names


def problem_of_member(error: msgspec.ValidationError) -> Problem:
    """The problem of JSON that is no submission, by the wrong member."""
    text = str(error)
    if text.endswith("`$.userId`"):
        return problems.INVALID_USER
    if text.endswith("`$.delta`"):
        return problems.INVALID_DELTA
    if text.endswith("`$.score`"):
        return problems.INVALID_SCORE
    if text.endswith("`$.submissionId`"):
        return problems.INVALID_KEY
    if "`$.metadata" in text:
        return own.INVALID_METADATA
    if "`$.columns" in text:
        return own.INVALID_COLUMNS
    if text.endswith("`$.clientVersion`"):
        return own.INVALID_CLIENT_VERSION
    if text.endswith("`$.achievedAt`"):
        return own.INVALID_ACHIEVED_AT
    if text.endswith("`$.period`"):
        return own.INVALID_PERIOD
    return problems.INVALID_BODY


def find_problem(submission: Submission) -> Problem | None:
    """Find the problem of a submission of the right type, with metadata that fit; None if it is valid."""
    if not is_plain(submission.userId, USER_ID_MAX):
        return problems.INVALID_USER
    if submission.delta == 0:
        return problems.INVALID_DELTA
    if (submission.delta is msgspec.UNSET) == (submission.score is msgspec.UNSET):
        return problems.INVALID_BODY
    if submission.clientVersion is not msgspec.UNSET and not submission.clientVersion.isprintable():
        return own.INVALID_CLIENT_VERSION
    if submission.achievedAt is not msgspec.UNSET and submission.achievedAt <= _EPOCH:
        return own.INVALID_ACHIEVED_AT
    return None


def is_fitting(metadata: dict[str, Any] | msgspec.UnsetType) -> bool:
    """Whether metadata, if there are any, are within their bounds. What follows may go through them level by level."""
    if metadata is msgspec.UNSET:
        return True
    # The depth first: the encoder goes through all levels by calls.
    return measure_depth(metadata) <= METADATA_DEPTH_MOST and len(encode_metadata(metadata)) <= METADATA_MOST_BYTES


def encode_metadata(metadata: dict[str, Any]) -> bytes:
    """The form in which metadata are kept and compared: compact JSON, its members in order."""
    return _encode(metadata)


def make_extras(submission: Submission, key_id: str) -> Extras:
    """The extras of a valid submission that came with this key."""
    columns = () if submission.columns is msgspec.UNSET else tuple(sorted(submission.columns.items()))
    is_plain = submission.metadata is msgspec.UNSET and submission.clientVersion is msgspec.UNSET and not columns
    if is_plain and not submission.is_placed:
        return extras_of_key(key_id) if key_id else NO_EXTRAS
    metadata = None if submission.metadata is msgspec.UNSET else encode_metadata(submission.metadata).decode()
    version = "" if submission.clientVersion is msgspec.UNSET else submission.clientVersion
    if not submission.is_placed:
        return Extras(key_id, version, metadata, columns)
    at = submission.achievedAt
    achieved = 0 if at is msgspec.UNSET else (at - _EPOCH) // _MICROSECOND
    period = 0 if submission.period is msgspec.UNSET else submission.period
    return Extras(key_id, version, metadata, columns, achieved, period)


def find_excess(player: Player, submission: Submission) -> Problem | None:
    """Find the problem of a submission that the player's token does not allow; None if it does."""
    if submission.userId != player.user:
        return problems.PLAYER_FORBIDDEN
    if not player.low <= submission.number <= player.high:
        return problems.DELTA_FORBIDDEN
    return None


def parse_idempotency_key(header: str) -> str | None:
    """The key of an `Idempotency-Key` header: a quoted string (RFC 8941), or the bare text; None if malformed."""
    text = header.strip()
    if len(text) >= 2 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return text if _KEY.fullmatch(text) else None


def key_of_player(user: str, key: str) -> str:
    """A player's idempotency key, apart from those of other players and of game servers: ids and keys have no NUL."""
    return f"{user}\0{key}"


def cost_submission(decoded: Any, body: bytes | None) -> Cost:
    """One unit for the key, and one for the player, even if the rest of the body is wrong."""
    if isinstance(decoded, Submission):
        return Cost(1, {decoded.userId: 1})
    players: list[PlayerOnly] = []
    with suppress(*UNDECODABLE):
        players.append(_decode_player(body or b""))
    return Cost(1, count_players(players))


def cost_batch(decoded: Any, body: bytes | None) -> Cost:
    """One unit for each submission, for the key and for the submission's player."""
    if decoded is not None and not any(isinstance(one, Problem) for one in decoded):
        return Cost(len(decoded), Counter(one.userId for one in decoded))
    items: list[msgspec.Raw] = []
    players: list[PlayerOnly] = []
    with suppress(*UNDECODABLE):
        items = _decode_loose(body or b"").submissions
    for item in items:
        with suppress(*UNDECODABLE):
            players.append(_decode_player(item))
    return Cost(max(1, len(items)), count_players(players))


def count_players(players: list[PlayerOnly]) -> Counter[str]:
    """Count the submissions of each player."""
    return Counter(one.userId for one in players if is_plain(one.userId, USER_ID_MAX))
