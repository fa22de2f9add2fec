"""Parameters: each text becomes its value, or the problem that names the bounds."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Annotated, Any, Literal
from unittest.mock import patch

import msgspec
import pytest

from service.contract import parameters
from service.contract.parameters import (
    Parameter,
    make_choice_parameter,
    make_decimal_parameter,
    make_flag_parameter,
    make_int64_parameter,
    make_kebab,
    make_number_parameter,
    make_optional,
    make_text_parameter,
    parse_number,
)
from service.contract.problems import INVALID_BODY, INVALID_USER, PROBLEMS, Rejected
from service.contract.profiles import parse_attributes
from service.contract.types import INT64_MAX, INT64_MIN, UserId

Number = Annotated[int, msgspec.Meta(ge=2, le=30)]
Percent = Annotated[float, msgspec.Meta(ge=0, le=100)]

with patch.dict(PROBLEMS):
    # Their problems are in no documentation.
    COUNT = make_number_parameter("testCount", Number, 10, "A count.")
    NUMBER = make_number_parameter("testNumber", Number, None, "A number.", "invalid-test-other")
    FLAG = make_flag_parameter("test-flag", "A flag.")
    CHOICE = make_choice_parameter("test-choice", Literal["a", "b"], "a", "A choice.")
    DECIMAL = make_decimal_parameter("test-decimal", Percent, "A decimal.")
WIDE = make_int64_parameter("testWide", int, INVALID_BODY, "A wide one.")
USER = make_text_parameter("userId", "query", UserId, INVALID_USER, "A player.")
FREE = make_text_parameter("userId", "query", UserId, INVALID_USER, "A player.", required=False)


def code_of(parameter: Parameter, text: str | None) -> str:
    """The code of the refusal; empty if it is none."""
    try:
        parameter.parse(text)
    except Rejected as refused:
        code: str = msgspec.json.decode(refused.answer.body)["code"]
        return code
    return ""


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (COUNT, None, 10), (COUNT, "2", 2), (COUNT, "30", 30), (COUNT, "007", 7), (NUMBER, None, None),
        (FLAG, None, False), (FLAG, "true", True), (FLAG, "false", False),
        (CHOICE, None, "a"), (CHOICE, "b", "b"),
        (DECIMAL, None, None), (DECIMAL, "0", 0), (DECIMAL, "100", 100), (DECIMAL, "99.9", Fraction(999, 10)),
        (DECIMAL, "1e-3", Fraction(1, 1_000)), (DECIMAL, "-0", 0), (DECIMAL, "1E+2", 100),
        (WIDE, None, None), (WIDE, "-9223372036854775808", INT64_MIN), (WIDE, "9223372036854775807", INT64_MAX),
        (WIDE, "0", 0), (USER, "a" * 128, "a" * 128), (USER, "\u00e4" * 128, "\u00e4" * 128), (USER, " ", " "),
        (FREE, None, None), (FREE, "a", "a"), (make_optional(USER), None, None), (make_optional(USER), "a", "a"),
    ],
)  # fmt: skip
def test_a_text_becomes_its_value(parameter: Parameter, text: str | None, value: Any) -> None:
    assert parameter.parse(text) == value


@pytest.mark.parametrize(
    ("parameter", "text", "code"),
    [
        (COUNT, "1", "invalid-test-count"), (COUNT, "31", "invalid-test-count"), (COUNT, "", "invalid-test-count"),
        (NUMBER, "x", "invalid-test-other"), (FLAG, "True", "invalid-test-flag"), (FLAG, "", "invalid-test-flag"),
        (CHOICE, "c", "invalid-test-choice"), (DECIMAL, "-0.1", "invalid-test-decimal"),
        (DECIMAL, "100.00000000000000000001", "invalid-test-decimal"), (DECIMAL, "1/2", "invalid-test-decimal"),
        (DECIMAL, "nan", "invalid-test-decimal"), (DECIMAL, " 1", "invalid-test-decimal"),
        (DECIMAL, "1e1000", "invalid-test-decimal"), (WIDE, "9223372036854775808", "invalid-body"),
        (WIDE, "-9223372036854775809", "invalid-body"), (WIDE, "+1", "invalid-body"), (WIDE, "", "invalid-body"),
        (USER, None, "invalid-user-id"), (USER, "", "invalid-user-id"), (USER, "a" * 129, "invalid-user-id"),
        (USER, "a\n", "invalid-user-id"), (USER, "\u00e4" * 129, "invalid-user-id"), (FREE, "", "invalid-user-id"),
        (make_optional(USER), "", "invalid-user-id"), (COUNT, "1" * 20, "invalid-test-count"),
    ],
)  # fmt: skip
def test_any_other_text_is_refused_with_the_parameters_code(parameter: Parameter, text: str | None, code: str) -> None:
    assert code_of(parameter, text) == code
    assert parameter.problem is not None and parameter.problem.code == code


def test_printable_ascii_takes_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(text: str, longest: int) -> bool:
        raise AssertionError

    monkeypatch.setattr(parameters, "is_plain", refuse)
    for text in ("a", " ", "~" * 128):
        assert USER.parse(text) == FREE.parse(text) == text


def test_only_a_text_that_has_to_be_there_is_required() -> None:
    optional = (COUNT, NUMBER, FLAG, CHOICE, DECIMAL, WIDE, FREE, make_optional(USER))
    assert USER.required and not any(parameter.required for parameter in optional)
    assert {parameter.place for parameter in (*optional, USER)} == {"query"}
    assert [parameter.default for parameter in optional] == [10, None, False, "a", None, None, None, None]
    assert not any(parameter.is_passed for parameter in optional)
    bare = Parameter(name="x", place="header", kind=str, meaning="Text.")
    assert bare.required and bare.parse("text") == "text"


def test_a_parameter_never_changes_and_its_members_are_named() -> None:
    with pytest.raises(AttributeError):
        USER.required = False  # type: ignore[misc]
    with pytest.raises(TypeError):
        Parameter("x", "query", int, "Any.")  # type: ignore[misc]


def test_bounds_are_those_of_the_type() -> None:
    assert [parameter.bounds for parameter in (COUNT, DECIMAL, USER)] == [(2, 30), (0, 100), None]
    assert Parameter(name="x", place="query", kind=int, meaning="Any.").bounds == (0, 0)
    titles = [parameter.problem.title for parameter in (COUNT, DECIMAL, FLAG, CHOICE) if parameter.problem]
    assert titles == [
        "testCount must be a whole number from 2 to 30.",
        "test-decimal must be a number from 0 to 100.",
        "test-flag must be true or false.",
        "test-choice must be a or b.",
    ]


def test_a_parameter_that_is_out_of_bounds_is_a_bad_request() -> None:
    assert [parameter.problem.status for parameter in (COUNT, FLAG, CHOICE, DECIMAL) if parameter.problem] == [400] * 4


@pytest.mark.parametrize("kind", [int, str])
def test_a_text_has_a_greatest_length(kind: Any) -> None:
    with pytest.raises(AssertionError):
        make_text_parameter("x", "query", kind, INVALID_USER, "Any.")


@pytest.mark.parametrize("make", [partial(make_number_parameter, default=None), make_decimal_parameter])
def test_a_number_has_both_bounds(make: Any) -> None:
    number = int if make is not make_decimal_parameter else float
    for kind in (str, number, Annotated[number, msgspec.Meta(ge=1)], Annotated[number, msgspec.Meta(le=1)]):
        with pytest.raises(AssertionError):
            make("x", kind, meaning="Any.")


def test_names_of_problems_are_in_kebab_case() -> None:
    assert [make_kebab(name) for name in ("limit", "minVersion", "aBC")] == ["limit", "min-version", "a-b-c"]


def test_a_number_is_within_its_bounds() -> None:
    assert [parse_number(text, 5, 1, 9) for text in (None, "1", "9", "0", "10", "-1")] == [5, 1, 9, None, None, None]


def test_attributes_are_named_once_each() -> None:
    assert parse_attributes(None) == () and parse_attributes("a,b") == ("a", "b")
    eight = ",".join("abcdefgh")
    assert parse_attributes(eight) == tuple("abcdefgh") and parse_attributes("a" * 32) == ("a" * 32,)
    for text in (f"{eight},i", "a,a", "", "a,", "1a", "a b", "a" * 33, "a\n"):
        with pytest.raises(Rejected) as refused:
            parse_attributes(text)
        assert msgspec.json.decode(refused.value.answer.body)["code"] == "invalid-attributes"
