"""Watermarks as Redis holds them, and identities of PostgreSQL: which one is later."""

from __future__ import annotations

from typing import Any

import pytest

from board.redis.sync_redis import ResponseError
from relay.watermarks import PLAUSIBLE, Watermark, is_past, is_unknown, watermark

NO_FENCE = Watermark(3, 7, None, "", None)


@pytest.mark.parametrize(
    ("held", "found"),
    [
        ([b"8", b"5:00000001", b"8.2"], Watermark(3, 7, 8, "5:00000001", "2")),
        # A release without stamps has written the fence, before or after one with stamps.
        ([b"8", b"5:00000001", None], Watermark(3, 7, 8, "5:00000001", None)),
        ([b"8", b"5:00000001", b"7.2"], Watermark(3, 7, 8, "5:00000001", None)),
        ([b"8", b"5:00000001", b"9.2"], Watermark(3, 7, 8, "5:00000001", None)),
        ([b"8", None, b"8.2"], Watermark(3, 7, 8, "", "2")),
        ([None, None, None], NO_FENCE),
        ([b"-8", b"5", b"7.2"], Watermark(3, 7, None, "5", None)),
        ([b"x", b"\xff", b"\xff"], Watermark(3, 7, None, "\ufffd", None)),
        (ResponseError("WRONGTYPE Operation against a key"), NO_FENCE),
    ],
)
def test_a_watermark_has_the_epoch_of_its_own_fence_only(held: Any, found: Watermark) -> None:
    assert watermark(3, 7, held) == found


def test_a_server_that_refuses_tells_nothing_of_its_keys() -> None:
    assert is_unknown(ResponseError("LOADING Redis is loading the dataset in memory"))
    assert not is_unknown(ResponseError("WRONGTYPE Operation against a key"))
    assert not is_unknown([b"8", None, None])


def test_a_watermark_never_changes() -> None:
    with pytest.raises(AttributeError):
        NO_FENCE.fence = 1  # type: ignore[misc]


def test_fences_are_exact_as_doubles() -> None:
    assert float(PLAUSIBLE) == PLAUSIBLE and float(PLAUSIBLE + 1) == float(PLAUSIBLE)
    assert float(PLAUSIBLE - 1) != float(PLAUSIBLE)


def test_is_past() -> None:
    assert is_past("7:00000001", "7:00000002")
    assert not is_past("7:00000002", "7:00000002")
    assert not is_past("7:00000002", "7:00000001")
    assert not is_past("7:00000001", "8:00000002") and not is_past("8:00000001", "7:00000002")
    assert is_past("7:00000009", "7:0000000A") and is_past("7:000000FF", "7:00000100")
