"""Texts of profiles: in one normal form, and none that hides, breaks the line, or turns the text around it."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.contract.problems import Rejected
from service.players.profile import Shown, apply_patch, decode_profile


def code_of(**members: Any) -> str:
    """The problem with which a body is refused."""
    with pytest.raises(Rejected) as refused:
        decode_profile(json.dumps(members).encode())
    code: str = msgspec.json.decode(refused.value.answer.body)["code"]
    return code


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "\u200b",
        "\u200d\u200d\ufeff",
        "\u00ad\u2060",
        "\u0301",
        "\u3164",
        "\u2800 \u115f",
        "a\nb",
        "a\x00",
        "\x7f",
        "\x85",
        "a\u2028b",
        "a\u202eb",
        "\u2066a\u2069",
        "\u202aa",
        "a\ud800",
        "a\ufffe",
        "x" * 65,
        "\u0958" * 33,  # two characters each in the normal form
    ],
)
def test_a_name_that_hides_or_disturbs_is_refused(name: str) -> None:
    assert code_of(displayName=name) == ("malformed-json" if "\ud800" in name else "invalid-display-name")


@pytest.mark.parametrize(
    "name",
    [
        "A",
        "x" * 64,
        "\u0958" * 32,
        "Zoë 🏆",
        "👩\u200d🚀",  # a sign of several, joined by a character without width
        "עדה \u200f!",
        'quo"te\\',
        "김 민 지",
    ],
)
def test_other_names_are_kept(name: str) -> None:
    shown = decode_profile(json.dumps({"displayName": name}).encode())
    assert shown == Shown(unicodedata.normalize("NFC", name), {})


def test_a_profile_never_changes() -> None:
    with pytest.raises(AttributeError):
        decode_profile(b"{}").name = "Ada"  # type: ignore[misc]


def test_a_name_is_measured_and_kept_in_its_normal_form() -> None:
    spelt = "e\u0301" * 64
    assert decode_profile(json.dumps({"displayName": spelt}).encode()).name == "\u00e9" * 64
    assert code_of(displayName="e\u0301" * 65) == "invalid-display-name"


@pytest.mark.parametrize(
    "attributes",
    [
        {f"a{n}": "x" for n in range(9)},
        {"": "x"},
        {"1a": "x"},
        {"a b": "x"},
        {"a\n": "x"},
        {"é": "x"},
        {"a" * 33: "x"},
        {"a": ""},
        {"a": "x" * 129},
        {"a": "\u202e"},
        {"a": "\n"},
        {"a": "\u200b"},
    ],
)
def test_attributes_out_of_bounds_are_refused(attributes: dict[str, str]) -> None:
    assert code_of(attributes=attributes) == "invalid-attributes"


def test_attributes_in_bounds_are_kept_in_one_order() -> None:
    attributes = {f"a{n}": "x" * 128 for n in reversed(range(7))} | {"A_-9" + "z" * 28: "e\u0301"}
    shown = decode_profile(json.dumps({"attributes": attributes}).encode())
    assert [*shown.attributes] == sorted(attributes)
    assert shown.attributes["A_-9" + "z" * 28] == "\u00e9"


@pytest.mark.parametrize(
    "members", [{"displayName": 1}, {"attributes": []}, {"attributes": {"a": 1}}, {"name": "Ada"}, {"attributes": None}]
)
def test_members_of_another_type_are_refused(members: dict[str, Any]) -> None:
    assert code_of(**members) == "invalid-body"


def test_a_member_twice_is_refused() -> None:
    with pytest.raises(Rejected) as refused:
        decode_profile(b'{"displayName":"a","displayName":"b"}')
    assert b"invalid-body" in refused.value.answer.body


def test_a_patch_changes_what_it_names() -> None:
    before = Shown("Ada", {"country": "KR", "platform": "pc"})
    assert apply_patch(before, {}) == before
    assert apply_patch(before, {"displayName": "Bob"}) == Shown("Bob", before.attributes)
    assert apply_patch(before, {"displayName": None}) == Shown(None, before.attributes)
    assert apply_patch(before, {"attributes": {"country": None, "avatar": "7"}}) == Shown(
        "Ada", {"avatar": "7", "platform": "pc"}
    )
    assert apply_patch(before, {"attributes": None}) == Shown("Ada", {})


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ({"displayName": "\u202e"}, b"invalid-display-name"),
        ({"attributes": {f"a{n}": "x" for n in range(7)}}, b"invalid-attributes"),
        ({"attributes": {"a": 1}}, b"invalid-body"),
        ({"attributes": "x"}, b"invalid-body"),
        ({"other": "x"}, b"invalid-body"),
    ],
)
def test_a_patch_to_something_else_than_a_profile_is_refused(patch: dict[str, Any], code: bytes) -> None:
    with pytest.raises(Rejected) as refused:
        apply_patch(Shown("Ada", {"country": "KR", "platform": "pc"}), patch)
    assert code in refused.value.answer.body


@given(st.text(max_size=80))
def test_whatever_is_accepted_is_one_short_visible_line(text: str) -> None:
    try:
        shown = decode_profile(msgspec.json.encode({"displayName": text}))
    except Rejected:
        return
    assert shown.name is not None and 1 <= len(shown.name) <= 64
    assert shown.name == unicodedata.normalize("NFC", text)
    assert len(shown.name.splitlines()) == 1 and not any(unicodedata.category(c) in ("Cc", "Cs") for c in shown.name)
    assert not any(unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "PDF") for c in shown.name)
    assert decode_profile(msgspec.json.encode({"displayName": shown.name})) == shown
