"""The text of keys: recognisable, and no single mistake goes unnoticed."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.access import key_text as keytext
from service.access.authorizer import Authorizer
from service.access.keyring import Keyring
from service.contract.answers import Answer

KEY = keytext.make_key()[0]


def test_what_is_made_is_read_again() -> None:
    for _ in range(100):
        text, kept = keytext.make_key()
        assert keytext.parse_key(text) == kept
        assert re.fullmatch(r"lb_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}", text)
        assert len(kept.digest) == 32 and kept.digest.hex() not in text
    with pytest.raises(AttributeError):
        kept.id = "0123456789"  # type: ignore[misc]


def test_a_key_of_an_older_release_is_read() -> None:
    text = "lb_0123456789_" + "ABCDEFGHabcdefgh" * 2
    assert keytext.compute_checksum(text) == "33sOwF"
    assert keytext.parse_key(f"{text}33sOwF") == keytext.KeyText("0123456789", sha256(b"ABCDEFGHabcdefgh" * 2).digest())
    assert keytext.compute_checksum("") == "000000"


def test_an_id_has_ten_letters_and_digits() -> None:
    for text, is_one in (("0123456789", True), ("abcXYZ0189", True), ("012345678", False), ("01234567890", False)):
        assert keytext.is_id(text) is is_one
    assert not keytext.is_id("012345678_") and not keytext.is_id("0123456789\n")


def test_no_two_are_alike() -> None:
    made = [keytext.make_key() for _ in range(1_000)]
    assert len({kept.id for _, kept in made}) == len({kept.digest for _, kept in made}) == 1_000


@given(st.integers(0, len(KEY) - 1), st.characters())
def test_a_wrong_character_is_noticed(at: int, character: str) -> None:
    changed = KEY[:at] + character + KEY[at + 1 :]
    assert (keytext.parse_key(changed) is None) == (changed != KEY)


@given(st.integers(0, len(KEY) - 2))
def test_two_characters_in_the_wrong_order_are_noticed(at: int) -> None:
    changed = KEY[:at] + KEY[at + 1] + KEY[at] + KEY[at + 2 :]
    assert (keytext.parse_key(changed) is None) == (changed != KEY)


@given(st.text(max_size=100) | st.from_regex(r"lb_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}", fullmatch=True))
def test_nothing_else_is_a_key(text: str) -> None:
    assert keytext.parse_key(text) is None or keytext.compute_checksum(text[:-6]) == text[-6:]


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: b"Bearer " + tail))
def test_whatever_the_header_holds_it_is_an_answer(header: bytes) -> None:
    answer = Authorizer(Keyring("")).admit(header, 1, "s")
    assert isinstance(answer, Answer) and answer.status == 401
    assert dict(answer.headers)["www-authenticate"].startswith("Bearer realm=")


def test_nobody_is_let_in_before_the_keys_are_known() -> None:
    answer = Authorizer(Keyring("")).admit(f"Bearer {KEY}".encode(), 1, "s")
    assert isinstance(answer, Answer) and answer.status == 503 and answer.retry_after_s
