"""What the resources let through: ids, numbers, content types, bodies."""

from __future__ import annotations

import msgspec
import pytest
from falcon import testing
from hypothesis import given
from hypothesis import strategies as st

from service.contract.parameters import parse_number
from service.contract.types import USER_ID_MAX
from service.contract.validation import JSON_TYPE, has_duplicate_member, is_media_type, is_plain, measure_depth
from service.http.request import Request
from service.submissions.types import Submission
from service.submissions.validation import problem_of_member


def request(query: str = "", raw_path: bytes = b"/") -> Request:
    scope = testing.create_scope(query_string=query)
    scope["raw_path"] = raw_path

    async def receive() -> dict[str, object]:
        return {"type": "http.request"}

    return Request(scope, receive)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "x" * 128,
        " ",
        "Ada Lovelace",
        "\u00e4\u00f6\u00fc",
        "\U0001f600" * 128,
        "a/b",
        "\ufffd",
        "\u00a0",
        "\u200f",
    ],
)
def test_plain_ids(text: str) -> None:
    assert is_plain(text, USER_ID_MAX)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 129,
        "\U0001f600" * 129,
        "\0",
        "a\0b",
        "a\n",
        "\t",
        "\x1f",
        "\x7f",
        "\x80",
        "\x9f",
        "\u00e4\x85",
        "\ud800",
        "a\udfff\u00e4",
    ],
)
def test_ids_that_are_not_plain(text: str) -> None:
    assert not is_plain(text, USER_ID_MAX)


@given(st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF), max_size=140))
def test_plain_is_the_same_promise_for_every_text(text: str) -> None:
    controls = any(ord(c) < 32 or 127 <= ord(c) < 160 or 0xD800 <= ord(c) <= 0xDFFF for c in text)
    assert is_plain(text, 128) == (1 <= len(text) <= 128 and not controls)


@given(st.text(max_size=140))
def test_the_document_and_the_check_agree_about_users(text: str) -> None:
    body = msgspec.json.encode({"userId": text, "delta": 1})
    try:
        msgspec.json.decode(body, type=Submission)
        accepted = True
    except msgspec.ValidationError:
        accepted = False
    assert accepted == is_plain(text, USER_ID_MAX)


@pytest.mark.parametrize(("text", "number"), [(None, 10), ("1", 1), ("1000", 1000), ("007", 7)])
def test_numbers_in_bounds(text: str | None, number: int) -> None:
    assert parse_number(text, 10, 1, 1000) == number


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "1001",
        "-1",
        "+5",
        "5.0",
        "5e0",
        "0x5",
        "x",
        "",
        " ",
        "5 ",
        "5\n",
        "\u0665",
        "9" * 400,
        "1,2",
        "null",
        "1_0",
    ],
)
def test_numbers_out_of_bounds_or_none_at_all(text: str) -> None:
    assert parse_number(text, 10, 1, 1000) is None


@pytest.mark.parametrize("query", ["userId=", "userId=a&userId=b", "userId=%FF", "userId=a%C3", "userId=%ED%A0%80"])
def test_a_text_that_cannot_be_had_is_empty(query: str) -> None:
    assert request(query).get_query_text("userId") == ""


def test_texts_of_the_query() -> None:
    assert request("").get_query_text("userId") is None
    assert request("userid=ada").get_query_text("userId") is None
    assert request("userId=J%C3%B6rg+x").get_query_text("userId") == "J\u00f6rg x"
    assert request("userId=%EF%BF%BD").get_query_text("userId") == "\ufffd"
    assert request("userId=%ef%bf%bd").get_query_text("userId") == "\ufffd"


def test_bytes_that_are_no_text_do_not_become_a_season() -> None:
    assert request(raw_path=b"/v1/seasons/%FF/scores").get_path_text("\ufffd") == ""
    assert request(raw_path=b"/v1/seasons/%EF%BF%BD/scores").get_path_text("\ufffd") == "\ufffd"
    assert request().get_path_text("spring") == "spring"


@pytest.mark.parametrize(
    "text", ["application/json", "Application/JSON", "application/json; charset=utf-8", " application/json ;x"]
)
def test_json_content_types(text: str) -> None:
    assert is_media_type(text, (JSON_TYPE,))


@pytest.mark.parametrize(
    "text", ["", "text/plain", "application/jsonp", "application/problem+json", "application/x-www-form-urlencoded"]
)
def test_other_content_types(text: str) -> None:
    assert not is_media_type(text, (JSON_TYPE,))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"userId":"","delta":1}', "invalid-user-id"),
        (b'{"userId":5,"delta":1}', "invalid-user-id"),
        (b'{"userId":"a","delta":1.0}', "invalid-delta"),
        (b'{"userId":"a","delta":9223372036854775808}', "invalid-delta"),
        (b'{"delta":1}', "invalid-body"),
        (b'{"userId":"a","score":1.0}', "invalid-score"),
        (b'{"userId":"a","score":null}', "invalid-score"),
        (b'{"userId":"a","delta":1,"x":1}', "invalid-body"),
        (b'{"userId":"a","delta":1,"`$.delta`":1}', "invalid-body"),
        (b"[]", "invalid-body"),
    ],
)
def test_bodies_are_told_apart(body: bytes, code: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.json.decode(body, type=Submission)
    assert problem_of_member(caught.value).code == code


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("5", 0),
        ('"a"', 0),
        ("null", 0),
        ("[]", 1),
        ("{}", 1),
        ("[5]", 1),
        ('{"a":{"b":1}}', 2),
        ("[[1]]", 2),
        ('{"a":[1,{"b":2}]}', 3),
        ("[[],[[]],1]", 3),
    ],
)
def test_objects_and_arrays_have_levels(text: str, depth: int) -> None:
    assert measure_depth(msgspec.json.decode(text)) == depth


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"a":1,"b":1}', False),
        (b'{"a":1,"a":1}', True),
        (b'[{"a":{"b":1,"\\u0062":2}}]', True),
        (b'[{"a":1},{"a":1}]', False),
        (b"5", False),
        (b"1" * 5_000, False),
        (b"1e99999", False),
    ],
)
def test_a_member_that_is_there_twice_is_found_at_any_level(text: bytes, found: bool) -> None:
    assert has_duplicate_member(text) is found
