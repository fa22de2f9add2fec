"""Whatever bytes come, every decoder says yes or no, and what it takes is what was said."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import falcon
import jwt
import msgspec
import pytest
from falcon.testing import create_asgi_req
from hypothesis import given, settings
from hypothesis import strategies as st
from support.endpoints import echo_endpoints
from support.tokens import AUDIENCE, ISSUER, SECRET

from board.config.binds import address, is_local
from board.config.load import load
from board.config.settings import Settings, environment, setting_specs
from board.errors import InvalidSetting
from board.observe.log import masked
from service.access.caller import ANONYMOUS
from service.access.grant import Grant
from service.access.jwks import KEY_TYPES, Unusable, is_usable, parse_keys
from service.access.key_text import make_key, parse_key
from service.access.tokens import Secret, Tokens
from service.contract.body import DEPTH_MOST, decode_strictly
from service.contract.parameters import parse_number
from service.contract.problems import Rejected
from service.contract.types import INT64_MAX, INT64_MIN
from service.contract.validation import has_duplicate_member
from service.http.fast_routes import FastRoutes
from service.http.request import Request
from service.keys.types import Rotation, Wanted
from service.players import profile
from service.seasons import definition
from service.submissions.group_commit import Intake
from service.submissions.item import Item, Outcome
from service.submissions.submit_batch import BatchSubmitter
from service.submissions.types import Submission
from service.submissions.validation import (
    decode_batch,
    decode_submission,
    find_problem,
    has_duplicates,
    parse_idempotency_key,
)

checked = settings(deadline=None, max_examples=100)

DECODE = msgspec.json.Decoder(Submission).decode
NAMES = st.sampled_from(["userId", "delta", "submissionId", "userid", ""])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ['"', "\\", '","delta":1', "delta", "\0"]
)
VALUES = TEXT | st.integers(INT64_MIN, INT64_MAX) | st.none() | st.booleans() | st.floats()
JSON = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


def escaped(text: str, every: bool) -> str:
    """A JSON string, every character escaped or only those that must be."""
    if not every:
        return json.dumps(text, ensure_ascii=False)
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)) + '"'


@st.composite
def objects(draw: st.DrawFn) -> tuple[bytes, list[str]]:
    """The text of an object, and the names in it as often as they are there."""
    members = draw(st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=5))
    if draw(st.booleans()):
        # Most random objects are no submissions: begin with what one needs.
        members = [("userId", draw(TEXT), draw(st.booleans())), ("delta", draw(st.integers(1, 9)), False), *members]
    space = draw(st.sampled_from(["", " ", "\n\t"]))
    parts = [
        f"{space}{escaped(name, every)}{space}:{space}"
        + (escaped(value, every) if isinstance(value, str) else json.dumps(value))
        for name, value, every in members
    ]
    return ("{" + ",".join(parts) + space + "}").encode(), [name for name, _, _ in members]


# --- Bodies ----------------------------------------------------------------------------------------------


@checked
@given(objects())
def test_a_member_that_is_there_twice_is_always_seen(made: tuple[bytes, list[str]]) -> None:
    text, names = made
    try:
        submission = DECODE(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert has_duplicates(text, submission) == (len(set(names)) != len(names))


@checked
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_break_the_decoder_of_submissions(text: bytes) -> None:
    try:
        submission = DECODE(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    assert_taken(submission)


def assert_taken(submission: Submission) -> None:
    """What passed every check is what PostgreSQL can store."""
    if find_problem(submission) is None:
        assert len(submission.userId.encode()) > 0 and len(submission.userId) <= 128 and "\0" not in submission.userId
        assert INT64_MIN <= submission.number <= INT64_MAX
        assert (submission.delta is msgspec.UNSET) == submission.scored and submission.delta != 0


@given(JSON)
def test_python_writes_no_name_twice(value: Any) -> None:
    assert not has_duplicate_member(json.dumps(value).encode())


class Recorder(Intake):
    """Takes what a batch hands on, in place of PostgreSQL."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    async def submit_all(self, season: str, submissions: Any, trace: str | None = None) -> list[Outcome]:
        self.items = submissions
        return [(1, 1, None, None, None, None)] * len(submissions)


class NoBoards:
    """Boards of requests that do not wait."""

    async def find_rank(self, season: str, user: str) -> int | None:
        raise AssertionError("no request waits")

    async def wait_for_rank(self, season: str, user: str, version: int, deadline: float) -> int | None:
        raise AssertionError("no request waits")


def asked(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as end:
        coroutine.send(None)
    return end.value.value


def answered(recorder: Recorder, body: bytes) -> Any:
    """The answer to a batch of this body."""
    try:
        judged = decode_batch(body)
    except Rejected as rejected:
        return rejected.answer
    return asked(BatchSubmitter(recorder, NoBoards()).submit("s", judged, ANONYMOUS))


@checked
@given(st.lists(objects(), max_size=4), st.binary(max_size=8), st.booleans())
def test_a_batch_is_judged_item_by_item(made: list[tuple[bytes, list[str]]], noise: bytes, broken: bool) -> None:
    recorder = Recorder()
    body = b'{"submissions":[' + b",".join(text for text, _ in made) + b"]}"
    if broken:
        body = body[: len(noise)] + noise + body[len(noise) :]
    answer = answered(recorder, body)
    assert answer.status in (200, 400)
    if broken or answer.status != 200:
        return
    results = json.loads(answer.body)["results"]
    assert len(results) == len(made)
    for (text, names), result in zip(made, results, strict=True):
        if result["status"] == 202:
            assert len(set(names)) == len(names)
            assert_taken(decode_submission(text))
    assert len(recorder.items) == sum(result["status"] == 202 for result in results)


@pytest.mark.parametrize("text", [b'{"submissions":' + b"[" * 100_000, b"[" * 100_000, b'{"userId":' * 100_000])
def test_depth_is_malformed_and_nothing_worse(text: bytes) -> None:
    answer = answered(Recorder(), text)
    assert answer.status == 400
    for kind in (Wanted, Rotation):
        with pytest.raises(Rejected) as refused:
            decode_strictly(kind, text)
        assert refused.value.answer.status == 400
    with pytest.raises(Unusable):
        parse_keys(text, "RS256")


@pytest.mark.parametrize(
    "decode", [definition.decode_definition, definition.decode_patch, profile.decode_profile, profile.decode_patch]
)
@pytest.mark.parametrize(("opens", "closes"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_no_number_of_levels_breaks_a_decoder(decode: Callable[[bytes], Any], opens: bytes, closes: bytes) -> None:
    """Several parts go through a body. Each has a depth of its own that it cannot go beyond."""
    for levels in range(DEPTH_MOST, 1_100):
        with pytest.raises(Rejected) as refused:
            decode(b'{"metadata":{"a":%b0%b}}' % (opens * levels, closes * levels))
        assert refused.value.answer.status == 400


def test_one_item_too_many_is_refused_before_any_is_decoded() -> None:
    one = b'{"userId":"a","delta":1}'
    for number, status in ((5_000, 200), (5_001, 400)):
        body = b'{"submissions":[' + b",".join([one] * number) + b"]}"
        assert answered(Recorder(), body).status == status


KEY_MEMBERS = st.dictionaries(st.sampled_from(["name", "scopes", "seasons", "lifeS", "graceS", "x"]), JSON, max_size=5)


@checked
@given(
    KEY_MEMBERS.map(lambda made: json.dumps(made).encode()) | st.binary(max_size=80),
    st.sampled_from([Wanted, Rotation]),
)
def test_no_body_breaks_the_decoder_of_keys(body: bytes, kind: type[Wanted] | type[Rotation]) -> None:
    try:
        made = decode_strictly(kind, body)
    except Rejected as rejected:
        assert rejected.answer.status == 400
        return
    said = json.loads(body)
    assert {name: value for name, value in msgspec.to_builtins(made).items() if name in said} == said


# --- Headers, queries, heads -----------------------------------------------------------------------------


@checked
@given(st.text(max_size=300))
def test_texts_of_headers_and_queries(text: str) -> None:
    key = parse_idempotency_key(text)
    assert key is None or (0 < len(key) <= 255 and key.isascii() and key.isprintable() and key == key.strip())
    number = parse_number(text, 10, 1, 1000)
    assert number is None or (1 <= number <= 1000 and text.isascii())
    masked(text)


@checked
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60))
def test_a_quoted_key_is_the_key(text: str) -> None:
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert parse_idempotency_key(quoted) == (text if text == text.strip() else None)


@checked
@given(st.text(max_size=20), st.binary(max_size=20), st.booleans())
def test_a_parameter_is_the_text_that_was_sent_or_none(text: str, noise: bytes, again: bool) -> None:
    try:
        wanted = text.encode()
    except UnicodeEncodeError:
        wanted = noise
    for value in (wanted, noise):
        spelt = "".join(f"%{byte:02X}" for byte in value)
        req = create_asgi_req(req_type=Request, query_string=f"userId={spelt}" + (f"&userId={spelt}" if again else ""))
        got = req.get_query_text("userId")
        try:
            said = value.decode()
        except UnicodeDecodeError:
            said = ""
        assert (got or "") == ("" if again else said)


@checked
@given(st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace").decode()))
def test_any_query_string_is_a_parameter_or_a_refusal(text: str) -> None:
    try:
        req = create_asgi_req(req_type=Request, query_string=quote(text, safe="&=+;%"))
    except falcon.HTTPError as error:
        assert error.status_code == 400
        return
    got = req.get_query_text("userId")
    assert got is None or isinstance(got, str)


ROUTES = FastRoutes(echo_endpoints(lambda what: None))


@checked
@given(
    st.sampled_from([b"GET", b"POST", b"PUT"]),
    st.binary(max_size=60).map(lambda tail: b"/v1/seasons/" + tail) | st.binary(max_size=40),
    st.lists(st.tuples(st.sampled_from([b"host", b"content-length", b"content-type", b"x"]), st.binary(max_size=9))),
)
def test_no_head_breaks_the_fast_path(method: bytes, url: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    ROUTES.match(method, url, headers)


# --- Credentials -----------------------------------------------------------------------------------------


@checked
@given(st.data())
def test_a_key_with_any_one_character_changed_is_none(data: st.DataObject) -> None:
    text, kept = make_key()
    assert parse_key(text) == kept
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda letter: letter != text[at]))
    assert parse_key(text[:at] + other + text[at + 1 :]) is None


SIGNER = jwt.PyJWS()
TOKENS = Tokens(Secret(SECRET), algorithm="HS256", issuer=ISSUER, audience=AUDIENCE, scopes=("submit",))
CLAIMS = st.dictionaries(
    st.sampled_from(["sub", "exp", "nbf", "iat", "aud", "iss", "jti", "seasons", "min_delta", "max_delta"]),
    JSON | st.sampled_from([1e300, float("inf"), float("nan"), 10**400, 2**63, [], ["s"], ["\0"], -1]),
)


@checked
@given(CLAIMS)
def test_whatever_an_issuer_signs_is_a_grant_or_a_reason(claims: dict[str, Any]) -> None:
    payload = {"sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "exp": 2e9, **claims}
    found = TOKENS.find(SIGNER.encode(json.dumps(payload).encode(), SECRET, "HS256").encode())
    if isinstance(found, str):
        assert found in ("expired", "early", "claims", "malformed", "unknown")
        return
    assert isinstance(found, Grant) and found.player is not None
    assert found.player.user == claims.get("sub", "ada") and isinstance(found.until, float)


TEXTS_OF_NUMBERS = st.binary(max_size=40).map(lambda number: base64.urlsafe_b64encode(number).rstrip(b"=").decode())
ENTRIES = st.fixed_dictionaries(
    {"kty": st.sampled_from(["RSA", "EC", "OKP", "oct"])},
    optional={
        "crv": st.sampled_from(["P-256", "Ed25519", "P-521"]) | JSON,
        **{name: TEXTS_OF_NUMBERS | JSON for name in ("n", "e", "x", "y", "d", "k", "kid")},
        **{name: st.sampled_from(["sig", "enc", "RS256", "ES256", "EdDSA"]) | JSON for name in ("alg", "use")},
        **{name: JSON for name in ("p", "q", "dp", "dq", "qi", "oth", "key_ops", "x5c")},
    },
)


@checked
@given(st.lists(ENTRIES | JSON, max_size=4) | JSON, st.sampled_from(sorted(KEY_TYPES)))
def test_no_set_of_keys_breaks_its_reader(entries: Any, algorithm: str) -> None:
    logging.getLogger("service.access").setLevel(logging.ERROR)
    text = json.dumps({"keys": entries}).encode()
    try:
        found = parse_keys(text, algorithm)
    except Unusable:
        return
    assert set(found) <= {entry.get("kid") for entry in entries if fits_of(entry, algorithm)}


def fits_of(entry: Any, algorithm: str) -> bool:
    return isinstance(entry, dict) and is_usable(entry, algorithm)


# --- Settings --------------------------------------------------------------------------------------------

VARIABLES = [doc.env for doc in setting_specs().values()]
ENVIRONMENT_TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
SENSIBLE = st.sampled_from(
    ["1", "0", "-1", "keys", "open", "yes", "HS256", "127.0.0.1:80", "[::1]:8080", "*:1", "unix:/x"]
) | st.sampled_from(["http://[", "https://x", "redis://", "~nobody-here/x"])
LONG_PORT = "x:" + "1" * 5_000


@checked
@given(st.dictionaries(st.sampled_from(VARIABLES), ENVIRONMENT_TEXT | SENSIBLE, max_size=4))
def test_no_environment_breaks_the_settings(env: dict[str, str]) -> None:
    try:
        made = load(env)
    except InvalidSetting as error:
        assert len(str(error)) < 500
        return
    assert isinstance(made, Settings)
    assert load(environment(made)) == made
    for bind in made.binds:
        assert address(bind) is None or 0 < (address(bind) or ("", 0))[1] < 65_536
        is_local(bind)


@pytest.mark.parametrize("raw", [LONG_PORT, "\u0663:\u0663", "~nobody-here/x", "1" * 5_000, "unix:", ":1", "x" * 5_000])
def test_no_text_breaks_a_setting(raw: str) -> None:
    for variable in VARIABLES:
        try:
            load({variable: raw})
        except InvalidSetting as error:
            assert len(str(error)) < 500
