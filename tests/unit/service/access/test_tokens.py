"""Players' tokens: what verifies, what does not and why, and that no foreign bytes get further."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from support.tokens import AUDIENCE, ISSUER, SECRET, Issuer, jwks, settings

from board.config.load import load
from board.errors import InvalidSetting
from service.access.authorizer import REFUSALS_BY_REASON, Authorizer
from service.access.grant import Grant, Player
from service.access.jwks import KEYS_MOST, Jwks, Unusable, parse_keys, read_within
from service.access.keyring import Keyring
from service.access.refresher import Refresher
from service.access.tokens import Secret, Tokens
from service.contract.answers import Answer
from service.contract.scopes import pack_scopes

ASYMMETRIC = ("RS256", "ES256", "EdDSA")
ALGORITHMS = ("HS256", *ASYMMETRIC)
ISSUERS = {algorithm: Issuer(algorithm) for algorithm in ALGORITHMS}


class Fixed:
    """Keys of a set that was read."""

    loaded = True

    def __init__(self, text: bytes, algorithm: str) -> None:
        self.keys = parse_keys(text, algorithm)

    def find(self, kid: str | None) -> Any:
        return self.keys.get(kid)


def verifier(algorithm: str) -> Tokens:
    keys: Any = Secret(SECRET) if algorithm == "HS256" else Fixed(jwks(ISSUERS[algorithm].jwk()), algorithm)
    return Tokens(keys, algorithm=algorithm, issuer=ISSUER, audience=AUDIENCE, scopes=("read", "submit"))


VERIFIERS = {algorithm: verifier(algorithm) for algorithm in ALGORITHMS}
EACH = pytest.mark.parametrize("algorithm", ALGORITHMS)


def find(algorithm: str, token: str) -> Grant | str:
    return VERIFIERS[algorithm].find(token.encode())


@EACH
def test_a_good_token_is_a_grant_for_its_player(algorithm: str) -> None:
    exp = int(time.time()) + 60
    grant = find(algorithm, ISSUERS[algorithm].token("ada", exp=exp))
    assert grant == Grant("u:ada", pack_scopes(["read", "submit"]), None, exp + 5, Player("ada"))
    limited = ISSUERS[algorithm].token("ada", exp=exp, seasons=["s", "t"], min_delta=-5, max_delta=10)
    assert find(algorithm, limited) == Grant(
        "u:ada", pack_scopes(["read", "submit"]), frozenset({"s", "t"}), exp + 5, Player("ada", -5, 10)
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"exp": 1}, "expired"),
    "expired just now": ({"exp": time.time() - 6}, "expired"),
    "not yet": ({"nbf": time.time() + 36_000}, "early"),
    "from the future": ({"iat": time.time() + 36_000}, "early"),
    "no exp": ({"exp": None}, "claims"),
    "no aud": ({"aud": None}, "claims"),
    "no iss": ({"iss": None}, "claims"),
    "no sub": ({"user": None}, "claims"),
    "another audience": ({"aud": "shop"}, "claims"),
    "other audiences": ({"aud": ["shop", "forum"]}, "claims"),
    "another issuer": ({"iss": "https://elsewhere.example"}, "claims"),
    "sub is a number": ({"user": 5}, "claims"),
    "sub is empty": ({"user": ""}, "claims"),
    "sub is too long": ({"user": "x" * 129}, "claims"),
    "sub has a control character": ({"user": "a\x00"}, "claims"),
    "seasons are a text": ({"seasons": "s"}, "claims"),
    "seasons are numbers": ({"seasons": [1]}, "claims"),
    "a season has a control character": ({"seasons": ["s\n"]}, "claims"),
    "a bound is a text": ({"max_delta": "10"}, "claims"),
    "a bound is a fraction": ({"max_delta": 10.5}, "claims"),
    "a bound is beyond 64 bits": ({"min_delta": -(2**63) - 1}, "claims"),
    "the end never comes": ({"exp": float("inf")}, "malformed"),
    "the end is no number": ({"exp": float("nan")}, "malformed"),
    "the end is a list": ({"exp": [1]}, "malformed"),
    "the end is a text": ({"exp": "99999999999"}, "claims"),
    "the beginning never comes": ({"nbf": float("inf")}, "malformed"),
    "the beginning is an object": ({"nbf": {}}, "malformed"),
    "issued at a list": ({"iat": [1]}, "claims"),
    "an audience in a list in a list": ({"aud": [[AUDIENCE]]}, "claims"),
    "an audience as a member": ({"aud": {AUDIENCE: 1}}, "claims"),
    "sub is half a character": ({"user": "\ud800"}, "claims"),
}


@EACH
@pytest.mark.parametrize(("claims", "reason"), BAD.values(), ids=BAD.keys())
def test_a_bad_token_is_refused_with_its_reason(algorithm: str, claims: dict[str, Any], reason: str) -> None:
    claims = dict(claims)
    user = claims.pop("user", "ada")
    assert find(algorithm, ISSUERS[algorithm].token(user, **claims)) == reason
    assert reason in REFUSALS_BY_REASON


@EACH
def test_a_token_has_one_spelling(algorithm: str) -> None:
    """Else whoever has one could fill with it what the gate remembers."""
    token = ISSUERS[algorithm].token()
    head, body, signature = token.split(".")
    spelt = [f"{token}~", f"{token}=", f"{token}==", f"{head}.{body}.{signature[:9]}~{signature[9:]}", f"{token}.x"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # The last letter carries bits beyond the last byte.
    spelt += [token[:-1] + letters[letters.index(token[-1]) ^ 1]]
    assert isinstance(find(algorithm, token), Grant)
    for other in spelt:
        assert isinstance(find(algorithm, other), str), other


def signed(algorithm: str, head: dict[str, Any]) -> bytes:
    """A token whose header is as we want it, truly signed."""
    claims = {"sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 60}
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, claims))
    text = b".".join(parts)
    signer = jwt.get_algorithm_by_name(algorithm)
    signature = signer.sign(text, signer.prepare_key(ISSUERS[algorithm].private))
    return text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")


@EACH
@pytest.mark.parametrize("more", [{"crit": ["exp"]}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"kid": 5}])
def test_what_a_header_demands_and_nobody_here_knows(algorithm: str, more: dict[str, Any]) -> None:
    head = {"alg": algorithm, "kid": "k1"}
    assert isinstance(VERIFIERS[algorithm].find(signed(algorithm, head)), Grant)
    assert isinstance(VERIFIERS[algorithm].find(signed(algorithm, {**head, **more})), str)


@EACH
def test_several_audiences_are_enough_if_ours_is_among_them(algorithm: str) -> None:
    assert isinstance(find(algorithm, ISSUERS[algorithm].token(aud=["shop", AUDIENCE])), Grant)


@EACH
@pytest.mark.parametrize("other", ALGORITHMS)
def test_the_algorithm_is_ours_to_choose(algorithm: str, other: str) -> None:
    """The same key names, another algorithm: the header of a token decides nothing."""
    if other != algorithm:
        assert find(algorithm, ISSUERS[other].token()) == "unknown"


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_public_key_is_no_shared_secret(algorithm: str) -> None:
    issuer = ISSUERS[algorithm]
    public = issuer.private.public_key()
    for form, encoding in (
        (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.Encoding.PEM),
        (serialization.PublicFormat.SubjectPublicKeyInfo, serialization.Encoding.DER),
    ):
        head, body = (
            base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
            for part in (
                {"alg": "HS256", "typ": "JWT", "kid": "k1"},
                {"sub": "ada", "iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 60},
            )
        )
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
            head + b"." + body, public.public_bytes(encoding, form)
        )
        forged = head + b"." + body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")
        assert VERIFIERS[algorithm].find(forged) == "unknown"


@EACH
@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", "HS384", "RS1", None, 5])
def test_no_token_is_its_own_judge(algorithm: str, alg: Any) -> None:
    head = base64.urlsafe_b64encode(json.dumps({"alg": alg, "kid": "k1"}).encode()).rstrip(b"=").decode()
    _, body, signature = ISSUERS[algorithm].token().split(".")
    for end in (signature, ""):
        assert isinstance(find(algorithm, f"{head}.{body}.{end}"), str)


@EACH
def test_another_signer_is_unknown(algorithm: str) -> None:
    if algorithm == "HS256":
        token = jwt.encode({"sub": "ada"}, "another secret that has more than 32 bytes", "HS256")
    else:
        token = Issuer(algorithm).token()
    assert find(algorithm, token) == "unknown"
    if algorithm != "HS256":
        assert find(algorithm, Issuer(algorithm, "k2").token()) == "unknown"


@EACH
def test_an_end_beyond_all_numbers_is_refused(algorithm: str) -> None:
    payload = json.dumps({"sub": "ada", "iss": ISSUER, "aud": AUDIENCE}).encode()[:-1] + b', "exp": 1e999}'
    token = jwt.PyJWS().encode(payload, ISSUERS[algorithm].private, algorithm, headers={"kid": "k1"})
    assert find(algorithm, token) == "malformed"


TOKENS = {algorithm: issuer.token(exp=int(time.time()) + 3600) for algorithm, issuer in ISSUERS.items()}


@EACH
@given(data=st.data())
def test_a_changed_token_is_never_a_grant(algorithm: str, data: st.DataObject) -> None:
    token = TOKENS[algorithm]
    head, body, signature = token.split(".")
    part = data.draw(st.sampled_from([0, 1]))
    text = [head, body, signature]
    at = data.draw(st.integers(0, len(text[part]) - 1))
    letter = data.draw(st.sampled_from("ABCXYZabcxyz0189-_"))
    text[part] = text[part][:at] + letter + text[part][at + 1 :]
    changed = ".".join(text)
    assert changed == token or isinstance(find(algorithm, changed), str)


GATE = Authorizer(Keyring(""), VERIFIERS["ES256"])


@given(st.binary(max_size=300) | st.from_regex(rb"[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}\.[A-Za-z0-9_-]{0,80}"))
def test_what_strangers_send_is_an_answer(text: bytes) -> None:
    answer = GATE.admit(b"Bearer " + text, 1, "s")
    assert isinstance(answer, Answer) and answer.status == 401


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner)),
    st.dictionaries(
        st.sampled_from(["alg", "kid", "crit", "b64", "typ", "jwk", "jku", "x5u"]), st.text() | st.integers()
    ),
)
def test_whatever_the_header_of_a_token_says(body: Any, head: dict[str, Any]) -> None:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (head, body))
    answer = GATE.admit(b"Bearer " + b".".join(parts) + b".AAAA", 1, "s")
    assert isinstance(answer, Answer) and answer.status == 401


@pytest.mark.parametrize("text", [b"[" * 2_900, b'{"a":' * 500 + b"1" + b"}" * 500, b'{"alg":' + b"9" * 2_900 + b"}"])
def test_a_monstrous_header_is_refused(text: bytes) -> None:
    head = base64.urlsafe_b64encode(text).rstrip(b"=")
    answer = GATE.admit(b"Bearer " + head + b".e30.AA", 1, "s")
    assert isinstance(answer, Answer) and answer.status == 401


# --- sets of keys


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_only_fitting_public_keys_of_a_set_are_taken(algorithm: str) -> None:
    good = ISSUERS[algorithm].jwk()
    others = [ISSUERS[other].jwk(kid=other) for other in ASYMMETRIC if other != algorithm]
    strange: list[Any] = [
        {**good, "kid": "enc", "use": "enc"},
        {**good, "kid": "alg", "alg": "PS256"},
        ISSUERS[algorithm].jwk(private=True, kid="private", key_ops=["verify"]),
        {**good, "kid": 5},
        {"kty": "oct", "kid": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()},
        {"kty": good["kty"], "crv": good.get("crv"), "kid": "broken"},
        "text",
        None,
    ]
    assert set(parse_keys(jwks(*others, *strange, good), algorithm)) == {"k1"}
    assert parse_keys(jwks(*others, *strange), algorithm) == {}
    # Keys of other types do not use up the places of usable ones.
    assert set(parse_keys(jwks(*(others * KEYS_MOST), good), algorithm)) == {"k1"}


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"keys":{}}', b'{"keys":null}', b"[" * 100_000, b"\xff", b"<html>"]
)
def test_what_is_no_set_of_keys_is_unusable(text: bytes) -> None:
    with pytest.raises(Unusable):
        parse_keys(text, "ES256")


@given(st.binary(max_size=200))
def test_any_bytes_are_unusable_at_most(text: bytes) -> None:
    with pytest.raises(Unusable):
        parse_keys(text, "RS256")


def answering(*answers: bytes) -> str:
    """The URL of an issuer's server that says these bytes, one after the other, and then nothing."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listening:
            for answer in answers:
                with listening.accept()[0] as client:
                    client.recv(65_536)
                    client.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/keys"


NO_ANSWERS = {
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "binary": bytes(100) + b"\r\n",
    "a status beyond numbers": b"HTTP/1.1 two hundred\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
    "a long header": b"HTTP/1.1 200 OK\r\na: " + b"x" * 70_000 + b"\r\n\r\n",
    "cut off in a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{",
    "no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS.keys())
def test_a_server_that_answers_nonsense_is_asked_again(answer: bytes) -> None:
    """Once it ended the following for good: a key withdrawn after it stayed in force until the next start."""
    good = jwks(ISSUERS["ES256"].jwk())
    url = answering(answer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(good), good))

    async def followed() -> None:
        changed = asyncio.Event()
        keys = Jwks(url, "ES256")
        keys.start(changed.set)
        async with asyncio.timeout(10):
            await keys.wait_for_first_try()
            assert not keys.loaded
            await changed.wait()
        assert keys.find("k1") is not None
        await keys.stop()

    asyncio.run(followed())


def test_a_body_that_comes_for_ever_is_given_up() -> None:
    class Drip:
        def read1(self, most: int) -> bytes:
            return b" "

    drip: Any = Drip()
    with pytest.raises(TimeoutError):
        read_within(0.01, drip)


def test_a_worker_that_follows_its_keys_no_longer_ends() -> None:
    class Broken(Refresher):
        loaded = False

        async def _refresh(self, on_change: Callable[[], None]) -> None:
            raise ZeroDivisionError

    async def started() -> None:
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        broken = Broken("broken")
        broken.start(lambda: None)
        async with asyncio.timeout(5):
            await broken.wait_for_first_try()
            await ended.wait()

    asyncio.run(started())


def test_a_short_rsa_key_verifies_nothing() -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    issuer = Issuer("RS256")
    issuer.private = rsa.generate_private_key(65537, 1024)
    keys = Fixed(jwks(issuer.jwk()), "RS256")
    tokens = Tokens(keys, algorithm="RS256", issuer=ISSUER, audience=AUDIENCE, scopes=("read",))
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        token = issuer.token()
    assert tokens.find(token.encode()) == "unknown"


def test_before_the_set_was_read_nobody_is_let_in() -> None:
    async def made() -> Jwks:
        return Jwks("/nowhere", "ES256")

    tokens = Tokens(asyncio.run(made()), algorithm="ES256", issuer=ISSUER, audience=AUDIENCE, scopes=("read",))
    answer = Authorizer(Keyring(""), tokens).admit(f"Bearer {ISSUERS['ES256'].token()}".encode(), 1, "s")
    assert isinstance(answer, Answer) and answer.status == 503


# --- settings


@pytest.mark.parametrize(
    "change",
    [
        {"LEADERBOARD_TOKEN_ISSUER": ""},
        {"LEADERBOARD_TOKEN_AUDIENCE": ""},
        {"LEADERBOARD_TOKEN_SECRET": ""},
        {"LEADERBOARD_TOKEN_SECRET": "x" * 31},
        {"LEADERBOARD_TOKEN_JWKS": "/etc/keys.json"},
        {"LEADERBOARD_TOKEN_ALGORITHM": ""},
        {"LEADERBOARD_TOKEN_ALGORITHM": "none"},
        {"LEADERBOARD_TOKEN_ALGORITHM": "HS512"},
        {"LEADERBOARD_TOKEN_ALGORITHM": "RS256"},
    ],
)
def test_half_a_configuration_is_refused(change: dict[str, str]) -> None:
    assert load(settings("HS256")).token_secret == SECRET
    with pytest.raises(InvalidSetting, match="LEADERBOARD_TOKEN_"):
        load({**settings("HS256"), **change})


@pytest.mark.parametrize(
    "source", ["http://issuer.example/keys", "http://127.0.0.1.example/keys", "http://localhost@evil/k"]
)
def test_keys_do_not_come_over_an_open_wire(source: str) -> None:
    assert load(settings("RS256", "http://127.0.0.1:80/keys")).token_jwks
    assert load(settings("RS256", "https://issuer.example/keys")).token_jwks
    with pytest.raises(InvalidSetting, match="LEADERBOARD_TOKEN_JWKS"):
        load(settings("RS256", source))
