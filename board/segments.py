"""Segments: boards of the players who have the same value of an attribute, beside the board of their season.

A segment is named by attribute and value, ``country:KR``. Neither has a line break, nor has the id of a season: so the
board of a segment has a name of its own, the season and the segment with a line break between them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

SEGMENTS_MOST: Final = 2
"""Attributes of a season whose values have boards."""
VALUES_MOST: Final = 1_000
"""Values of an attribute that have a board in a season."""
FULL: Final = "!"
"""Behind an attribute: it has more values than have boards."""


def name_segment_board(season: str, segment: str) -> str:
    """The name of the board of a segment, ``<season>\\n<attribute>:<value>``."""
    return f"{season}\n{segment}"


def split_board(board: str) -> tuple[str, str]:
    """The season and the segment of a board; without a segment it is that of the season."""
    season, _, segment = board.partition("\n")
    return season, segment


def name_attributes(segments: str) -> dict[str, str | None]:
    """The attributes of a season's segments as the parameters `first` and `second` of queries; None: there is none."""
    first, _, second = segments.partition(",")
    return {"first": first, "second": second or None}


def label_segments(label: bytes, segments: str, full: Collection[str]) -> bytes:
    """The label of a board in a season with these segments, as the scripts that write boards expect it.

    `segments` are the attributes, with commas between them; those in `full` have values without a board.
    """
    names = (name + FULL if name in full else name for name in segments.split(","))
    return b"%b\n%b" % (label, ",".join(names).encode())


def describe_segments(held: bytes) -> tuple[bytes, str]:
    """The mark of the batch, and the attributes, of the note ``s:<season>`` of a watermark."""
    mark, _, names = held.partition(b":")
    return mark, names.decode("utf-8", "replace").replace(FULL, "")


def is_carried(noted: bytes | None, held: bytes | None, segments: str | None) -> bool:
    """Whether the boards of these segments (None: the season has none) are of the same batch as the season's board.

    `noted` is the note of the board, ``n:<season>``, and `held` that of its segments.
    """
    if held is None or segments is None:
        return held is None and segments is None
    mark, names = describe_segments(held)
    parts = (noted or b"").split(b":", 2)
    return len(parts) == 3 and names == segments and mark == strip_label(parts[2])


def strip_label(mark: bytes) -> bytes:
    """The part of a mark before its label: the fence and the PostgreSQL of the batch."""
    return b".".join(mark.split(b"<")[0].split(b">")[0].split(b".")[:2])
