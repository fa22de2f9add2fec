"""Texts of others, shown: nothing forges a line, hides, or steers a terminal; JSON keeps its values."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from board.text import visible, visible_json

ESCAPED = {
    "a\nb": r"a\x0ab",
    "\x1b[2J": r"\x1b[2J",
    "\x9b31m": r"\x9b31m",
    "\x7f": r"\x7f",
    "\x00": r"\x00",
    "\xad": r"\xad",
    "\u202egnp.exe": r"\u202egnp.exe",
    "\u2066a\u2069": r"\u2066a\u2069",
    "\u2028": r"\u2028",
    "a\u200bb": r"a\u200bb",
    "\U000e0041": r"\U000e0041",
    "\udcff": r"\udcff",
}


@pytest.mark.parametrize("text", ESCAPED)
def test_characters_that_steer_or_hide_are_escaped(text: str) -> None:
    assert visible(text) == ESCAPED[text]


@pytest.mark.parametrize(
    "text",
    ["", "ada", "[/u]x", ":apple:", "h\u00f6st", "\u05e9\u05dc\u05d5\u05dd", "\U0001f469\u200d\U0001f52c", "\\x1b"],
)
def test_other_text_stays(text: str) -> None:
    assert visible(text) == text


def test_json_has_a_pair_of_escapes_for_a_character_beyond_16_bits() -> None:
    assert visible_json('{"a":"\u202e\U000e0041\x7f"}\n'.encode()) == rb'{"a":"\u202e\udb40\udc41\u007f"}' + b"\n"


def test_some_may_stay() -> None:
    assert visible("a\tb\n", keep="\t") == "a\tb\\x0a"


@given(st.text(st.characters(codec="utf-8")))
@example("\u202e\n\U000e0041\x7f\x9b")
def test_json_keeps_its_values_and_shows_none_of_them(text: str) -> None:
    document = msgspec.json.format(msgspec.json.encode({"name": [text, 1]}), indent=2)
    shown = visible_json(document)
    assert json.loads(shown) == {"name": [text, 1]}
    assert visible(shown.decode(), keep="\n") == shown.decode()
