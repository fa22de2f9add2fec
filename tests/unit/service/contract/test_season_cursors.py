"""Cursors of lists of seasons: one text for each season, and no other."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.contract.problems import Rejected
from service.contract.season_cursors import encode_cursor, parse_cursor
from service.contract.types import SEASON_ID_MAX
from service.contract.validation import is_plain


def test_no_cursor_is_the_beginning() -> None:
    assert parse_cursor(None) == ""


def test_a_cursor_has_no_padding() -> None:
    assert [encode_cursor(season) for season in ("a", "ab", "abc", "???")] == ["YQ", "YWI", "YWJj", "Pz8_"]


def test_cursors_of_all_lengths_are_read() -> None:
    for length in range(1, SEASON_ID_MAX + 1):
        assert parse_cursor(encode_cursor("a" * length)) == "a" * length


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=SEASON_ID_MAX))
def test_a_cursor_names_its_season(season: str) -> None:
    cursor = encode_cursor(season)
    if is_plain(season, SEASON_ID_MAX):
        assert parse_cursor(cursor) == season
    else:
        with pytest.raises(Rejected):
            parse_cursor(cursor)


@pytest.mark.parametrize(
    "text",
    ["", "Y", "YQ==", "YR", "YW I", "YWJ", "\u00e4", "_w", "AA", encode_cursor("a" * (SEASON_ID_MAX + 1)), "Pz8/"],
)
def test_other_texts_are_no_cursors(text: str) -> None:
    with pytest.raises(Rejected) as refused:
        parse_cursor(text)
    assert msgspec.json.decode(refused.value.answer.body)["code"] == "invalid-cursor"
