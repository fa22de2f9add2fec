"""The meaning of a watermark beside the committed fence, and the lines about periods and events."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest

from board.status import (
    EVENTS_MOST,
    AilingRow,
    PartitionRow,
    PeriodStatus,
    State,
    compare_watermark,
    describe_periods,
)


@pytest.mark.parametrize(
    ("watermark", "held", "state"),
    [
        ([b"7", b"pg:1"], 7, "ok"),
        ([b"8", b"pg:1"], 8, "ok"),  # A batch is between Redis and its commit.
        ([b"6", b"pg:1"], 6, "behind"),
        ([b"7", b"pg:2"], 7, "foreign"),
        ([b"6", None], 6, "foreign"),
        ([None, None], None, "behind"),
        ([b"x", b"pg:1"], None, "behind"),
        (None, None, "unknown"),
        (ValueError("WRONGTYPE"), None, "unknown"),
    ],
)
def test_a_watermark_is_judged_beside_the_committed_fence(watermark: Any, held: int | None, state: State) -> None:
    assert compare_watermark(7, "pg:1", watermark) == (held, state)


@pytest.mark.parametrize(("fence", "held", "state"), [(0, None, "ok"), (1, None, "behind"), (0, b"x", "behind")])
def test_a_redis_without_a_fence_is_right_before_the_first_batch(fence: int, held: Any, state: State) -> None:
    assert compare_watermark(fence, "pg:1", [held, None]) == (None, state)


QUIET = PeriodStatus(True, 0, 0.0, 0, 0.0, 0, 0.0, 0, 0.0)


def describe(**members: Any) -> list[tuple[str, bool]]:
    return describe_periods(msgspec.structs.replace(QUIET, **members))


def test_without_anything_to_tell_the_keeper_is_told() -> None:
    assert describe() == [("keeper at work", False)]
    assert describe(keeper=False) == [("no keeper is at work: periods do not end by themselves", True)]


@pytest.mark.parametrize(("age_s", "wrong"), [(59.9, False), (60.0, True), (60.1, True)])
def test_a_period_that_is_overdue_for_a_minute_is_wrong(age_s: float, wrong: bool) -> None:
    assert describe(overdue=1, overdue_s=age_s)[1:] == [(f"1 periods overdue, the oldest for {age_s} s", wrong)]


@pytest.mark.parametrize(("age_s", "wrong"), [(599.9, False), (600.0, True), (600.1, True)])
def test_a_period_that_is_without_final_ranks_for_ten_minutes_is_wrong(age_s: float, wrong: bool) -> None:
    assert describe(closing=1_234, unclosed_s=age_s)[1:] == [
        (f"1,234 ended periods without final ranks, the oldest for {age_s} s past its grace", wrong)
    ]
    assert describe(closing=1)[1:] == [("1 ended periods without final ranks", False)]


def test_events_are_counted_up_to_a_bound() -> None:
    long_s = 10_000.5 * 86_400.0
    assert describe(events=1, oldest_event_s=long_s)[1:] == [("1 events, the oldest of 10000.5 days ago", False)]
    for events, number in ((EVENTS_MOST, "10,000"), (EVENTS_MOST + 1, "more than 10,000")):
        assert describe(events=events)[1:] == [(f"{number} events, the oldest of 0.0 days ago", False)]


@pytest.mark.parametrize(("age_s", "wrong"), [(59.9, False), (60.0, True), (60.1, True)])
def test_events_that_are_held_back_for_a_minute_are_wrong(age_s: float, wrong: bool) -> None:
    text = f"2 events are held back by an older transaction, the oldest for {age_s} s"
    assert describe(held_back=2, held_back_s=age_s)[1:] == [(text, wrong)]


NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("row", "member"),
    [
        (QUIET, "events"),
        (PartitionRow(0, 7, "pg:1", NOW, None, 0, 0.0, 0), "fence"),
        (AilingRow("s", 0, "WRONGTYPE", 1, NOW, NOW), "tries"),
    ],
    ids=["periods", "partition", "set aside"],
)
def test_a_row_never_changes(row: Any, member: str) -> None:
    with pytest.raises(AttributeError):
        setattr(row, member, 1)
