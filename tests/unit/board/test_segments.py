"""Names and notes of segments: what the scripts are told, and what their notes in a watermark say."""

from __future__ import annotations

import pytest

from board.segments import (
    SEGMENTS_MOST,
    VALUES_MOST,
    describe_segments,
    is_carried,
    label_segments,
    name_attributes,
    name_segment_board,
    split_board,
    strip_label,
)

MARK = b"12.0a1b2c3d"
"""Fence and PostgreSQL of a batch, as the scripts write them."""


def test_the_board_of_a_segment_has_a_name_that_no_season_has() -> None:
    assert name_segment_board("spring", "country:KR") == "spring\ncountry:KR"
    assert split_board("spring\ncountry:KR") == ("spring", "country:KR")
    assert split_board("spring\na:b\nc") == ("spring", "a:b\nc")
    assert split_board("spring") == ("spring", "")


def test_segments_are_bounded() -> None:
    assert (SEGMENTS_MOST, VALUES_MOST) == (2, 1_000)


@pytest.mark.parametrize(
    ("segments", "first", "second"), [("country,platform", "country", "platform"), ("country", "country", None)]
)
def test_queries_have_a_parameter_for_each_of_two_attributes(segments: str, first: str, second: str | None) -> None:
    assert name_attributes(segments) == {"first": first, "second": second}


@pytest.mark.parametrize(
    ("full", "names"),
    [
        ((), b"country,platform"),
        (("country",), b"country!,platform"),
        (("platform", "other"), b"country,platform!"),
        (("platform", "country"), b"country!,platform!"),
    ],
)
def test_a_label_names_the_segments_and_marks_the_full_ones(full: tuple[str, ...], names: bytes) -> None:
    assert label_segments(b"<time", "country,platform", full) == b"<time\n" + names


def test_a_note_has_the_batch_and_the_segments_of_which_none_is_marked() -> None:
    assert describe_segments(MARK + b":country!,platform") == (MARK, "country,platform")
    assert describe_segments(b"anything") == (b"anything", "")
    assert describe_segments(MARK + b":\xff") == (MARK, "\ufffd"), "a note that was altered by hand"


@pytest.mark.parametrize("label", [b"", b"<time>moves", b">moves<time", b">moves.p3.c", b".p3", b".c", b".p12.c"])
def test_a_mark_has_the_same_batch_whatever_its_label(label: bytes) -> None:
    assert strip_label(MARK + label) == MARK


NOTED, HELD = b"5:77:" + MARK, MARK + b":country,platform"


@pytest.mark.parametrize(
    ("noted", "held", "segments", "is_one"),
    [
        (NOTED, HELD, "country,platform", True),
        (NOTED + b"<time.p3.c", MARK + b":country!,platform", "country,platform", True),
        # The label of a board is not read here, whatever it has.
        (NOTED + b"<a:b", HELD, "country,platform", True),
        # Neither the season nor Redis has segments: there is nothing to carry.
        (NOTED, None, None, True),
        (None, None, None, True),
        # One of both has none, or they are not the same.
        (NOTED, None, "country,platform", False),
        (NOTED, HELD, None, False),
        (NOTED, HELD, "country", False),
        (NOTED, HELD, "platform,country", False),
        # The note of the board is that of another batch, or of a form that is not known.
        (b"5:77:13.0a1b2c3d", HELD, "country,platform", False),
        (b"5:77:11.0a1b2c3d", HELD, "country,platform", False),
        (b"5:77:12.ffffffff", HELD, "country,platform", False),
        (b"5:" + MARK, HELD, "country,platform", False),
        (b"5:77:" + MARK + b":more", HELD, "country,platform", False),
        (None, HELD, "country,platform", False),
    ],
)
def test_segments_are_carried_with_the_batch_of_their_board(
    noted: bytes | None, held: bytes | None, segments: str | None, is_one: bool
) -> None:
    assert is_carried(noted, held, segments) is is_one
