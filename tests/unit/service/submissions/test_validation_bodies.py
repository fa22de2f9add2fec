"""Bodies of submissions: a member that is there twice, bounds, what is kept, and what a request costs."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest

from service.access.grant import Player
from service.contract.body import Cost
from service.contract.problems import Problem, Rejected
from service.submissions import validation
from service.submissions.item import NO_EXTRAS, Extras
from service.submissions.types import Submission
from service.submissions.validation import (
    cost_batch,
    cost_submission,
    decode_batch,
    decode_submission,
    find_excess,
    key_of_player,
    make_extras,
    parse_idempotency_key,
)

DEEP_8 = '{"a":' * 8 + "1" + "}" * 8
DEEP_9 = '{"a":' * 9 + "1" + "}" * 9
BYTES_1024 = '{"a":"' + "x" * 1_016 + '"}'
BYTES_1025 = '{"a":"' + "x" * 1_017 + '"}'
DUPLICATE = "The body names a member twice."


def judge_alone(text: str) -> tuple[str, str] | Submission:
    """A submission, or the code and the detail of its refusal."""
    try:
        return decode_submission(text.encode())
    except Rejected as refused:
        answer = msgspec.json.decode(refused.answer.body)
        return answer["code"], answer["detail"]


def judge_in_batch(*texts: str) -> list[str | Submission]:
    """Submissions of a batch, or the codes of their problems."""
    judged = decode_batch(f'{{"submissions":[{",".join(texts)}]}}'.encode())
    return [one.code if isinstance(one, Problem) else one for one in judged]


GOOD = [
    '{"userId":"a","delta":1}',
    '{"delta":-1,"userId":"a b"}',
    '{"userId":"a","score":0}',
    '{"userId":"a","delta":1,"submissionId":"k"}',
    '{"userId":"a","delta":1,"submissionId":null}',
    '{"userId":"\\u0061\\"","delta":1}',
    '{"userId":"a","delta":1,"clientVersion":"1.0"}',
    '{"userId":"a","score":1,"submissionId":"k","clientVersion":"1.0","columns":{"t":1,"m":2}}',
    '{"userId":"a","delta":1,"columns":{}}',
    '{"userId":"a","delta":1,"achievedAt":"1970-01-01T00:00:00.000001Z"}',
    '{"userId":"a","delta":1,"period":3}',
    '{"userId":"a","score":1.0,"period":3,"achievedAt":"2026-01-01T00:00:00Z","columns":{"t":2.0}}',
    f'{{"userId":"a","delta":1,"metadata":{DEEP_8}}}',
    f'{{"userId":"a","delta":1,"metadata":{BYTES_1024}}}',
    '{"userId":"a","delta":1,"metadata":{"userId":"b","a\\"":[{"userId":1},{"userId":2}]}}',
    '{"userId":"\u00e4\U0001f600","delta":1}',
    '{"userId":"' + "a" * 128 + '","delta":1}',
]


@pytest.mark.parametrize("text", GOOD, ids=lambda text: text[:60])
def test_a_good_submission_is_the_same_alone_and_in_a_batch(text: str) -> None:
    alone = judge_alone(text)
    assert isinstance(alone, Submission) and alone.userId == msgspec.json.decode(text)["userId"]
    assert judge_in_batch(text) == [alone]
    # Beside one that is decoded by itself, too.
    assert judge_in_batch(text, '{"userId":"a","delta":2.0}', "{}") == [alone, Submission("a", 2), "invalid-body"]


TWICE = [
    '{"userId":"a","userId":"b","delta":1}',
    '{"userId":"a","delta":1,"delta":2}',
    '{"userId":"a","delta":1,"delta":2,"submissionId":"k"}',
    '{"userId":"a","delta":1,"delta":2,"submissionId":null}',
    '{"userId":"a","delta":1,"submissionId":"k","submissionId":null}',
    '{"userId":"a","delta":1,"submissionId":"k","submissionId":"l"}',
    '{"userId":"a","submissionId":"b","submissionId":null,"delta":1}',
    '{"userId":"a","delta":1,"\\u0064elta":2}',
    '{"userId":"a","score":1,"clientVersion":"1","clientVersion":"2"}',
    '{"userId":"a","score":1,"columns":{"t":1,"t":2}}',
    '{"userId":"a","score":1,"columns":{"t":1},"columns":{"t":2}}',
    '{"userId":"a","delta":1,"period":3,"period":4}',
    '{"userId":"a","delta":1,"achievedAt":"2026-01-01T00:00:00Z","achievedAt":"2026-01-01T00:00:01Z"}',
    '{"userId":"a","delta":1,"metadata":{"a":1,"a":2}}',
    '{"userId":"a","delta":1,"metadata":{"a":[{"b":1,"b":1}]}}',
    '{"userId":"a","delta":1.0,"delta":2.0}',
]


@pytest.mark.parametrize("text", TWICE)
def test_a_member_that_is_there_twice_is_refused(text: str) -> None:
    assert judge_alone(text) == ("invalid-body", DUPLICATE)
    assert judge_in_batch('{"userId":"b","delta":1}', text) == [Submission("b", 1), "invalid-body"]


def refuse(*_: Any) -> Any:
    raise AssertionError


PLAIN = [text for text in GOOD if not any(part in text for part in ("\\", "metadata", "null"))]


@pytest.mark.parametrize("text", PLAIN, ids=lambda text: text[:60])
def test_json_without_escapes_is_parsed_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exact look for members that are there twice costs it nothing."""
    alone = judge_alone(text)
    monkeypatch.setattr(validation, "has_duplicate_member", refuse)
    assert judge_alone(text) == alone and judge_in_batch(text, text, "{}") == [alone, alone, "invalid-body"]
    if "1.0," not in text:
        monkeypatch.setattr(validation, "judge_raw", refuse)
        assert judge_in_batch(text, PLAIN[0]) == [alone, judge_alone(PLAIN[0])]


@pytest.mark.parametrize("user", ["a", "a" * 128])
@pytest.mark.parametrize("more", ["", ',"submissionId":"k"'])
def test_what_nearly_every_body_is_takes_one_look(user: str, more: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for looks in ("find_problem", "has_duplicates", "is_fitting"):
        monkeypatch.setattr(validation, looks, refuse)
    text = f'{{"userId":"{user}","delta":-5{more}}}'
    assert judge_alone(text) == Submission(user, -5, "k" if more else None)


def test_metadata_of_any_depth_are_refused_in_words() -> None:
    codes = {code_of_depth(depth) for depth in range(9, 1_100)}
    assert codes == {"invalid-metadata", "malformed-json"}


def code_of_depth(depth: int) -> str:
    found = judge_alone(f'{{"userId":"a","delta":1,"metadata":{{"a":{"[" * depth}{"]" * depth}}}}}')
    return "" if isinstance(found, Submission) else found[0]


EPOCH = '{"userId":"a","delta":1,"achievedAt":"1970-01-01T00:00:00Z"}'
BAD = {
    '{"userId":"a\\n","delta":1}': "invalid-user-id",
    '{"userId":"a\\ud800","delta":1}': "malformed-json",
    '{"userId":"' + "a" * 129 + '","delta":1}': "invalid-user-id",
    '{"userId":"a","delta":0}': "invalid-delta",
    '{"userId":"a","delta":0,"submissionId":"k"}': "invalid-delta",
    '{"userId":"a","delta":0.5}': "invalid-delta",
    '{"userId":"a","score":0.5}': "invalid-score",
    '{"userId":"a","delta":1,"score":0.5}': "invalid-score",
    '{"userId":"a","delta":1,"submissionId":" k"}': "invalid-idempotency-key",
    f'{{"userId":"a","delta":1,"metadata":{DEEP_9}}}': "invalid-metadata",
    f'{{"userId":"a","delta":1,"metadata":{BYTES_1025}}}': "invalid-metadata",
    '{"userId":"a","delta":1,"metadata":[]}': "invalid-metadata",
    '{"userId":"a","delta":1,"columns":{"t":0.5}}': "invalid-columns",
    '{"userId":"a","delta":1,"columns":{"a b":1}}': "invalid-columns",
    '{"userId":"a","delta":1.0,"columns":{"a b":1}}': "invalid-columns",
    '{"userId":"a","delta":1,"columns":{"t":"1"}}': "invalid-columns",
    '{"userId":"a","delta":1,"clientVersion":""}': "invalid-client-version",
    '{"userId":"a","delta":1,"clientVersion":"a\\u0001"}': "invalid-client-version",
    '{"userId":"a","delta":1,"clientVersion":"' + "1" * 65 + '"}': "invalid-client-version",
    EPOCH: "invalid-achieved-at",
    '{"userId":"a","delta":1,"achievedAt":"2026-01-01T00:00:00"}': "invalid-achieved-at",
    '{"userId":"a","delta":1,"period":0}': "invalid-submission-period",
    '{"userId":"a"}': "invalid-body",
    '{"userId":"a","delta":1,"score":1}': "invalid-body",
    '{"userId":"a","delta":1,"score":1,"submissionId":"k"}': "invalid-body",
    '{"userId":"a","delta":1,"more":1}': "invalid-body",
}


@pytest.mark.parametrize(("text", "code"), BAD.items(), ids=[text[:60] for text in BAD])
def test_a_bad_submission_is_refused_with_its_code(text: str, code: str) -> None:
    found = judge_alone(text)
    assert not isinstance(found, Submission) and found[0] == code
    if code != "malformed-json":
        assert judge_in_batch(text) == [code]


def test_either_delta_or_score_is_asked_for() -> None:
    wanted = ("invalid-body", "A submission has either a delta or a score.")
    assert judge_alone('{"userId":"a"}') == judge_alone('{"userId":"a","delta":1,"score":1}') == wanted


ENDLESS = '{"userId":"a","delta":1,"metadata":{"a":' + "[" * 100_000


@pytest.mark.parametrize("text", ["", "{", '{"userId":"a","delta":1', "\x00", ENDLESS], ids=lambda text: text[:40])
def test_a_body_that_is_no_json_is_malformed(text: str) -> None:
    found = judge_alone(text)
    assert not isinstance(found, Submission) and found[0] == "malformed-json"
    for body in (f'{{"submissions":[{text}', f'{{"submissions":[{{"userId":"a","delta":2.0}},{text}'):
        with pytest.raises(Rejected) as refused:
            decode_batch(body.encode())
        assert msgspec.json.decode(refused.value.answer.body)["code"] == "malformed-json"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ('{"submissions":[{"userId":"a","delta":1}],"submissions":[{"userId":"b","delta":1}]}', DUPLICATE),
        ('{"submissions":[],"submissions":[{"userId":"b","delta":1}]}', "length >= 1"),
        ('{"submissions":[]}', "length >= 1"),
        ('{"submissions":{}}', "array"),
        ('{"submissions":[{"userId":"b","delta":1}],"more":1}', "more"),
        ("[]", "object"),
    ],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(body: str, detail: str) -> None:
    with pytest.raises(Rejected) as refused:
        decode_batch(body.encode())
    answer = msgspec.json.decode(refused.value.answer.body)
    assert answer["code"] == "invalid-body" and detail in answer["detail"]


AT = datetime.datetime(1970, 1, 1, 0, 0, 1, 2, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("submission", "extras"),
    [
        (Submission("a", 1), Extras("key")),
        (Submission("a", 1, clientVersion="1"), Extras("key", "1")),
        (Submission("a", 1, metadata={"b": 1, "a": "\u00e4"}), Extras("key", "", '{"a":"\u00e4","b":1}')),
        (Submission("a", 1, columns={"b": 1, "a": 2}), Extras("key", "", None, (("a", 2), ("b", 1)))),
        (Submission("a", 1, columns={}), Extras("key")),
        (Submission("a", 1, achievedAt=AT), Extras("key", achieved=1_000_002)),
        (Submission("a", 1, period=3), Extras("key", period=3)),
        (
            Submission("a", 1, None, msgspec.UNSET, {"a": 1}, "1", {"t": 5}, AT, 3),
            Extras("key", "1", '{"a":1}', (("t", 5),), 1_000_002, 3),
        ),
    ],
)
def test_what_is_kept_beside_the_number(submission: Submission, extras: Extras) -> None:
    assert make_extras(submission, "key") == extras
    assert make_extras(submission, "") == msgspec.structs.replace(extras, key_id="")


def test_plain_submissions_of_one_key_share_what_is_kept() -> None:
    assert make_extras(Submission("a", 1), "") is NO_EXTRAS
    assert make_extras(Submission("a", 1), "key") is make_extras(Submission("b", 2), "key")


@pytest.mark.parametrize(
    ("user", "number", "code"),
    [
        ("ada", -5, ""), ("ada", 7, ""), ("ada", -6, "delta-forbidden"), ("ada", 8, "delta-forbidden"),
        ("bob", 1, "player-forbidden"),
    ],
)  # fmt: skip
def test_a_token_allows_its_player_these_numbers(user: str, number: int, code: str) -> None:
    found = find_excess(Player("ada", -5, 7), Submission(user, number))
    assert (found.code if found else "") == code


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("k", "k"), (" k ", "k"), ('"k"', "k"), ('"a\\"b\\\\c"', 'a"b\\c'), ('"', '"'), ('""', None), ('"k', '"k'),
        ('k"', 'k"'), ("", None), ("a b", "a b"), ('" k"', None), ("x" * 255, "x" * 255), ("x" * 256, None),
        ("\u00e4", None),
    ],
)  # fmt: skip
def test_a_key_is_quoted_or_bare(header: str, key: str | None) -> None:
    assert parse_idempotency_key(header) == key


def test_keys_of_players_never_meet() -> None:
    assert key_of_player("a", "bc") == "a\0bc" != key_of_player("ab", "c")


@pytest.mark.parametrize(
    ("body", "players"),
    [
        ('{"userId":"a","delta":"x"}', {"a": 1}), ('{"userId":"a\\u0000"}', {}), ('{"userId":""}', {}), ("{", {}),
        ('{"userId":"' + "a" * 128 + '"}', {"a" * 128: 1}), ('{"userId":"' + "a" * 129 + '"}', {}), ("[]", {}),
    ],
)  # fmt: skip
def test_a_submission_costs_its_player_one_unit_even_if_it_is_wrong(body: str, players: dict[str, int]) -> None:
    assert cost_submission(None, body.encode()) == Cost(1, players)


def test_costs_of_what_was_decoded_and_of_no_body() -> None:
    one: Any = Submission("a", 1)
    assert cost_submission(one, None) == Cost(1, {"a": 1}) and cost_submission(None, None) == Cost(1, {})
    assert cost_batch([one, one, Submission("b", 1)], None) == Cost(3, {"a": 2, "b": 1})
    assert cost_batch(None, None) == cost_batch(None, b"[]") == cost_batch(None, b"{") == Cost(1, {})


def test_a_batch_costs_a_unit_for_each_submission_also_the_wrong_ones() -> None:
    body = b'{"submissions":[{"userId":"a","delta":1},{"userId":"a"},{"userId":"b\\n"},{"userId":"c"},5]}'
    judged = decode_batch(body)
    assert cost_batch(judged, body) == cost_batch(None, body) == Cost(5, {"a": 2, "c": 1})
