"""Numbers of submissions: each spelling of a whole number counts as what it says, and no other number counts."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from service.contract.problems import Problem, Rejected
from service.contract.types import INT64_MAX, INT64_MIN
from service.submissions import validation
from service.submissions.types import Submission
from service.submissions.validation import FLOAT_MOST, decode_batch, decode_submission, parse_float

WHOLE = {
    "10.0": 10,
    "1e3": 1000,
    "1E+3": 1000,
    "-12.0": -12,
    "1.5e1": 15,
    "100e-2": 1,
    "2.50e1": 25,
    "0.001e3": 1,
    "9007199254740992.0": FLOAT_MOST,
    "-9007199254740992.0": -FLOAT_MOST,
    "9.007199254740991e15": FLOAT_MOST - 1,
    "10." + "0" * 5_000: 10,
    "1" + "0" * 5_000 + "e-5000": 1,
}
NO_WHOLE = [
    "0.5", "1e-1", "1.0000000000000000000001", "9007199254740993.0", "9007199254740994.0", "1e16", "1e300", "-1e300",
    "1e400", "-1e400", "1e-400", "1e99999999999999999999", "-1e-99999999999999999999", "9223372036854775807.0",
    "0.0", "-0.0", "0e5", "0e99999999999999999999", "10.5e0", "123456789.123456789",
]  # fmt: skip


def submission(number: str) -> bytes:
    return b'{"userId":"ada","delta":%b}' % number.encode()


def of_batch(number: str) -> Submission | Problem:
    (judged,) = decode_batch(b'{"submissions":[%b]}' % submission(number))
    return judged


@pytest.mark.parametrize(("text", "value"), WHOLE.items(), ids=[text[:20] for text in WHOLE])
def test_whole_numbers_spelled_like_floats_count(text: str, value: int) -> None:
    for found in (decode_submission(submission(text)), of_batch(text)):
        assert found == Submission("ada", value) and type(found.delta) is int


@pytest.mark.parametrize("text", NO_WHOLE)
def test_other_numbers_do_not(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        decode_submission(submission(text))
    assert msgspec.json.decode(refused.value.answer.body)["code"] == "invalid-delta"
    judged = of_batch(text)
    assert isinstance(judged, Problem) and judged.code == "invalid-delta"


@pytest.mark.parametrize(
    "text", ['"10.0"', "true", "null", "[10.0]", "{}", "10", "-10", "1", "NaN", "", "1.", ".5", "1e"]
)
def test_only_the_spelling_of_a_float_is_read(text: str) -> None:
    assert parse_float(text.encode()) is None


@pytest.mark.parametrize("member", ["submissionId", "userId"])
def test_other_members_are_checked_as_ever(member: str) -> None:
    good = b'{"delta":10.0,"userId":"ada","submissionId":"k"}'
    assert decode_submission(good) == Submission("ada", 10, "k")
    bad = good.replace(b'"%b":"' % member.encode(), b'"%b":"\\u0000' % member.encode())
    with pytest.raises(Rejected):
        decode_submission(bad)


def test_an_integer_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look at floats costs integers nothing: it begins where they are refused."""

    def refuse(text: bytes, error: msgspec.ValidationError) -> Submission:
        raise AssertionError

    monkeypatch.setattr(validation, "decode_spelled", refuse)
    for value in (1, -1, INT64_MIN, INT64_MAX):
        assert decode_submission(submission(str(value))).delta == value
        assert of_batch(str(value)) == Submission("ada", value)


NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,4})?([eE][+-]?[0-9]{1,2})?", fullmatch=True)


@settings(deadline=None, max_examples=400)
@given(NUMBERS | st.floats(allow_nan=False, allow_infinity=False).map(repr))
@example("9007199254740992.0")
@example("9007199254740993.0")
def test_a_number_counts_exactly_as_it_is_written(text: str) -> None:
    exact = Fraction(text)
    is_float = not text.lstrip("-").isdigit()
    fits = abs(exact) <= FLOAT_MOST if is_float else INT64_MIN <= exact <= INT64_MAX
    try:
        found: int | None = decode_submission(submission(text)).delta
    except Rejected:
        found = None
    assert found == (int(exact) if fits and exact.denominator == 1 and exact != 0 else None)
