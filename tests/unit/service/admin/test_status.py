"""The state of the system in words, of what PostgreSQL and Redis have told."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from board.status import PartitionRow, PeriodStatus
from service.admin.status import find, list_relays, make_partition
from service.admin.types import Finding, PartitionState, RelayState

NOW = 1_800_000_000_000
CALM = PeriodStatus(
    keeper=True, overdue=0, overdue_s=0, closing=0, unclosed_s=0, events=0, oldest_event_s=0, held_back=0, held_back_s=0
)


AT_WORK = Finding("keeper at work", False)


def test_relays_are_named_with_the_partitions_that_they_had_last() -> None:
    notes = [b"%d:b/1/x" % (NOW - 500), None, b"%d:a/2/y" % (NOW + 40), b"-%d:b/1/x" % (NOW + 3), b"%d:b/1/x" % NOW]
    assert list_relays(NOW, notes) == [RelayState("a/2/y", [2], 1, 0.0), RelayState("b/1/x", [0, 3, 4], 1, 0.0)]
    assert list_relays(NOW + 1_000, notes) == [
        RelayState("a/2/y", [2], 0, 0.96),
        RelayState("b/1/x", [0, 3, 4], 0, 0.997),
    ]


def test_a_relay_without_work_for_long_is_not_named() -> None:
    notes = [b"%d:gone/1/x" % (NOW - 600_001), b"%d:there/1/x" % (NOW - 600_000)]
    assert [one.relay for one in list_relays(NOW, notes)] == ["there/1/x"]


def test_notes_that_cannot_be_read_name_nobody() -> None:
    strange = [b"", b"nonsense", b":", b"-", b"12", b"-7:", b"%d:" % NOW, b"9" * 400 + b":x", b"\xff:x"]
    assert list_relays(NOW, strange) == []
    (one,) = list_relays(NOW, [b"%d:\xff\n" % NOW])
    assert one.relay == "\ufffd\n"


@pytest.mark.parametrize(("until_ms", "held"), [(0, 0), (1, 1), (5_000, 1), (5_001, 0), (3_600_000, 0)])
def test_a_hold_of_another_clock_is_no_work(until_ms: int, held: int) -> None:
    (one,) = list_relays(NOW, [b"%d:far/1/x" % (NOW + until_ms)])
    assert (one.held, one.idle_s) == (held, 0.0)


def partition(**members: Any) -> PartitionState:
    """A partition whose watermark is right."""
    quiet = PartitionRow(0, 7, "me", None, None, 0, 0.0, 0)
    return make_partition(msgspec.structs.replace(quiet, **members), "me", (b"7", b"me"))


def test_a_partition_is_shown_with_what_waits_for_its_relay() -> None:
    shown = partition(id=3, pending=5, oldest_s=1.23456, seasons=2)
    assert shown == PartitionState(3, 2, 5, 1.235, 7, 7, "ok", None, None)


@pytest.mark.parametrize(
    ("oldest_s", "text", "is_wrong"),
    [
        (10.0, "the relays follow: 1,200 on their way", False),
        (10.1, "the relays are behind: 1,200 waiting, the oldest for 10 s", True),
        (25.6, "the relays are behind: 1,200 waiting, the oldest for 26 s", True),
    ],
)
def test_relays_are_behind_when_a_change_waits_for_longer_than_ten_seconds(
    oldest_s: float, text: str, is_wrong: bool
) -> None:
    partitions = [partition(pending=200, oldest_s=1.0), partition(pending=1_000, oldest_s=oldest_s)]
    assert find(partitions, CALM, 0, True, False) == [Finding(text, is_wrong), AT_WORK]


def test_what_is_wrong_comes_first() -> None:
    follows = Finding("the relays follow: every board is up to date", False)
    aside = Finding("1,234 seasons are set aside, since Redis refuses them", True)
    assert find([partition()], CALM, 1_234, True, False) == [aside, follows, AT_WORK]
    assert find([partition()], CALM, 0, True, False) == [follows, AT_WORK]


def test_a_master_that_is_away_is_told_by_its_partitions() -> None:
    rows = [PartitionRow(n, 7, "me", None, None, 0, 0.0, 0) for n in range(4)]
    marks = [(b"7", b"me"), None, None, (b"6", b"me")]
    partitions = [make_partition(row, "me", mark) for row, mark in zip(rows, marks, strict=True)]
    wrong = [one.text for one in find(partitions, CALM, 0, True, False) if one.is_wrong]
    assert wrong == [
        "in 1 partitions Redis is behind PostgreSQL: their boards are rebuilt",
        "in 2 partitions boards cannot be read: their master of Redis does not answer",
    ]
    away = [make_partition(row, "me", None) for row in rows]
    (told,) = [one.text for one in find(away, CALM, 0, True, True) if one.is_wrong]
    assert told == "Redis does not answer: boards cannot be read; submissions go on"


def test_no_relay_is_something_to_be_told() -> None:
    partition = make_partition(PartitionRow(0, 0, None, None, None, 0, 0.0, 0), "", (None, None))
    texts = {one.text: one.is_wrong for one in find([partition], CALM, 0, False, False)}
    assert texts["no relay is connected: no board changes without one"] is True
    assert all(not one.is_wrong for one in find([partition], CALM, 0, True, False))
