"""The state of the system in words, of what PostgreSQL and Redis have told."""

from __future__ import annotations

from board.status import PartitionRow, PeriodStatus
from service.admin.status import SEEN_S, find, list_relays, make_partition
from service.admin.types import RelayState

NOW = 1_800_000_000_000
CALM = PeriodStatus(
    keeper=True, overdue=0, overdue_s=0, closing=0, unclosed_s=0, events=0, oldest_event_s=0, held_back=0, held_back_s=0
)


def test_relays_are_named_with_the_partitions_that_they_had_last() -> None:
    notes = [b"%d:b/1/x" % (NOW - 500), None, b"%d:a/2/y" % (NOW + 40), b"-%d:b/1/x" % (NOW + 3), b"%d:b/1/x" % NOW]
    assert list_relays(NOW, notes) == [RelayState("a/2/y", [2], 1, 0.0), RelayState("b/1/x", [0, 3, 4], 1, 0.0)]
    assert list_relays(NOW + 1_000, notes) == [
        RelayState("a/2/y", [2], 0, 0.96),
        RelayState("b/1/x", [0, 3, 4], 0, 0.997),
    ]


def test_a_relay_without_work_for_long_is_not_named() -> None:
    notes = [b"%d:gone/1/x" % (NOW - 1_000 * int(SEEN_S) - 1), b"%d:there/1/x" % (NOW - 1_000 * int(SEEN_S))]
    assert [one.relay for one in list_relays(NOW, notes)] == ["there/1/x"]


def test_notes_that_cannot_be_read_name_nobody() -> None:
    strange = [b"", b"nonsense", b":", b"-", b"12", b"-7:", b"%d:" % NOW, b"9" * 400 + b":x", b"\xff:x"]
    assert list_relays(NOW, strange) == []
    (one,) = list_relays(NOW, [b"%d:\xff\n" % NOW])
    assert one.relay == "\ufffd\n"


def test_a_hold_of_another_clock_is_no_work() -> None:
    (one,) = list_relays(NOW, [b"%d:far/1/x" % (NOW + 3_600_000)])
    assert (one.held, one.idle_s) == (0, 0.0)


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
