"""Cursors: their text, which clients keep through an upgrade, and the texts that are none."""

from __future__ import annotations

import struct
from base64 import urlsafe_b64encode
from math import inf, nan
from zlib import crc32

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.columns import pack_columns
from board.season import FOLD_BITS, INT64_MAX, INT64_MIN, Column, Rule, fold_of
from service.boards.cursors import Cursor, encode_cursor, encode_row, parse_cursor
from service.contract.problems import Rejected

PLAIN, COLUMNED = 12345, (fold_of(Rule(columns=(Column("time"),))) << FOLD_BITS) + 12345
"""Two periods: of a season without columns, and with one."""
INT64 = st.integers(INT64_MIN, INT64_MAX)


def parse(text: str) -> Cursor:
    cursor = parse_cursor(text)
    assert cursor is not None
    return cursor


def refused(text: str) -> bool:
    try:
        parse_cursor(text)
    except Rejected as error:
        assert msgspec.json.decode(error.answer.body)["code"] == "invalid-cursor"
        return True
    return False


def craft(version: int, period: int, zscore: float, member: bytes, season: bytes = b"s") -> str:
    """A cursor of this form, with the checksum that belongs to it."""
    rest = struct.pack(">qd", period, zscore) + member
    checksum = crc32(struct.pack(">BI", 1, 0) + rest, crc32(season))
    return urlsafe_b64encode(struct.pack(">BI", version, checksum) + rest).rstrip(b"=").decode()


def test_a_cursor_of_an_older_release_leads_to_the_same_row() -> None:
    text = "Afabep0AAAAAAAAwOcAcAAAAAAAAAAAAAAAAAAAACWFkYQ"
    assert encode_row("spring", PLAIN, 7, 9, "ada") == text
    cursor = parse(text)
    cursor.check("spring")
    assert cursor.locate() == (7, 9, "ada", b"")
    with pytest.raises(AttributeError):
        cursor.member = b""  # type: ignore[misc]


@pytest.mark.parametrize("user", ["ada", "adam", "adams"])
def test_no_two_texts_are_one_cursor(user: str) -> None:
    """The last character may have bits that belong to no byte."""
    whole = encode_row("s", PLAIN, 7, 9, user)
    texts = [whole[:-1] + chr(code) for code in range(128) if chr(code).isalnum() or chr(code) in "-_"]
    taken = [text for text in texts if not refused(text)]
    assert whole in taken
    assert len({parse(text) for text in taken}) == len(taken)


def test_no_cursor_is_the_beginning() -> None:
    assert parse_cursor(None) is None


@given(INT64, st.integers(0, INT64_MAX), st.sampled_from(("a", "ada", "\u00e4" * 128)), INT64 | st.none())
def test_a_row_is_located_again(score: int, reached: int, user: str, column: int | None) -> None:
    packed = b"" if column is None else pack_columns([Column("time")], [column])
    period = PLAIN if column is None else COLUMNED
    cursor = parse(encode_row("s", period, score, reached, user, packed))
    cursor.check("s")
    assert cursor.period == period
    assert cursor.locate() == (score, reached, user, packed)


def test_cursors_of_all_lengths_are_read() -> None:
    for length in range(1, 129):
        assert parse(encode_row("s", PLAIN, 7, 9, "a" * length)).locate()[2] == "a" * length


def test_the_zscore_is_as_redis_writes_it() -> None:
    assert parse(encode_cursor("s", PLAIN, b"-7", b"m")).zscore == -7.0
    assert parse(encode_cursor("s", PLAIN, b"9007199254740992", b"m")).zscore == 2.0**53


@pytest.mark.parametrize("changed", ["season", "period", "zscore", "member", "checksum"])
def test_a_cursor_belongs_to_its_season_and_row(changed: str) -> None:
    cursor = parse(encode_cursor("s", PLAIN, b"-7", b"member"))
    cursor.check("s")
    others = {"period": PLAIN + 1, "zscore": -8.0, "member": b"memberx", "checksum": cursor.checksum ^ 1}
    other = cursor if changed == "season" else msgspec.structs.replace(cursor, **{changed: others[changed]})
    with pytest.raises(Rejected):
        other.check("t" if changed == "season" else "s")


def test_a_cursor_has_a_length() -> None:
    assert len(encode_cursor("s", PLAIN, b"5", b"x" * 747)) == 1_024
    assert parse(encode_cursor("s", PLAIN, b"5", b"x" * 747)).member == b"x" * 747
    assert refused(encode_cursor("s", PLAIN, b"5", b"x" * 748))


def test_the_shortest_cursor_has_no_member() -> None:
    text = craft(1, PLAIN, 0.0, b"")
    assert parse(text).member == b""
    assert refused(text[:-1]) and refused(text[:-2]) and refused(text[:-4])


@pytest.mark.parametrize("text", ["", "a", "====", "Afab ep0", "Afab+p0/", "\u00e4" * 28, "a" * 29, "Afabep0A\n"])
def test_other_texts_are_no_cursors(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize("version", [0, 2, 255])
def test_a_cursor_of_another_form_is_refused(version: int) -> None:
    assert not refused(craft(1, PLAIN, -7.0, b"m"))
    assert refused(craft(version, PLAIN, -7.0, b"m"))


@pytest.mark.parametrize("zscore", [2.0**53 + 2, -(2.0**53) - 2, inf, -inf, nan])
def test_a_zscore_that_no_board_has_is_refused(zscore: float) -> None:
    assert not refused(craft(1, PLAIN, 2.0**53, b"m")) and not refused(craft(1, PLAIN, -(2.0**53), b"m"))
    assert refused(craft(1, PLAIN, zscore, b"m"))


NINE = (9).to_bytes(8, "big")


@pytest.mark.parametrize(
    ("period", "member"),
    [
        (PLAIN, b"\0\0" + NINE[:-1]),
        (PLAIN, b"\0\0" + NINE),
        (PLAIN, b"\0\0" + NINE + b"\xff"),
        (PLAIN, b"\0\0" + NINE + b"a\nb"),
        (PLAIN, b"\0\0" + NINE + b"a" * 129),
        (PLAIN, b"\0\0" + (2**63).to_bytes(8, "big") + b"ada"),
        (PLAIN, b"\0\1" + NINE + b"ada"),
        (COLUMNED, b"\0\0" + NINE + b"a user id that is long enough"),
    ],
    ids=["short", "no user", "no text", "control", "long user", "no number", "other score", "no columns"],
)
def test_a_member_that_no_relay_writes_is_refused(period: int, member: bytes) -> None:
    with pytest.raises(Rejected):
        parse(craft(1, period, -7.0, member)).locate()


def test_the_last_number_and_the_longest_user_are_located() -> None:
    member = b"\0\0" + INT64_MAX.to_bytes(8, "big") + b"a" * 128
    assert parse(craft(1, PLAIN, -7.0, member)).locate() == (7, INT64_MAX, "a" * 128, b"")
