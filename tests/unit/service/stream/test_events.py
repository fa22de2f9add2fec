"""A change leads from any list to any other one; events keep their form whatever names players have."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from service.stream.events import (
    find_change,
    write_change,
    write_event,
    write_retry,
    write_snapshot,
    write_unavailable,
)
from service.stream.types import Shown

LISTS = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 3)), unique_by=lambda pair: pair[0])


def rows_of(made: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """A list in which equal scores share a rank."""
    made = sorted(made, key=lambda pair: -pair[1])
    return [
        {"rank": 1 + sum(other > score for _, other in made), "userId": user, "score": score} for user, score in made
    ]


def follow(old: list[dict[str, Any]], rows: list[dict[str, Any]], left: list[str]) -> list[dict[str, Any]]:
    """What a client makes of a change."""
    gone = {*left, *(row["userId"] for row in rows)}
    places = {at: row for at, row in enumerate(old, 1) if row["userId"] not in gone}
    for row in rows:
        places[row["position"]] = {name: value for name, value in row.items() if name != "position"}
    return [places[at] for at in sorted(places)]


@given(LISTS, LISTS, st.integers(1, 9))
def test_a_change_leads_from_one_list_to_the_other(
    before: list[tuple[str, int]], after: list[tuple[str, int]], limit: int
) -> None:
    old, new = rows_of(before)[:limit], rows_of(after)
    change = find_change(old, Shown("s", new, len(new), "1.2"), limit)
    assert follow(old, change.rows, change.left) == new[:limit]
    assert {*change.left} == {row["userId"] for row in old} - {row["userId"] for row in new[:limit]}


def test_a_row_that_stays_is_not_sent_again() -> None:
    old = rows_of([("a", 3), ("b", 2), ("c", 1)])
    change = find_change(old, Shown("s", rows_of([("a", 3), ("b", 2), ("c", 2)]), 3, "1.2"), 3)
    assert [row["userId"] for row in change.rows] == ["c"]


def test_numbers_of_64_bits_are_texts_where_that_is_asked() -> None:
    shown = Shown("s", [{"rank": 1, "userId": "score", "score": 2**62 + 1, "attributes": {"score": 5}}], 1, "1.2")
    texts = [{"rank": 1, "userId": "score", "score": str(2**62 + 1), "attributes": {"score": 5}}]
    block = write_snapshot(shown, 1, spelled=True)
    assert json.loads(block.split(b"data: ")[1]) == {"seasonId": "s", "items": texts, "total": 1, "asOf": "1.2"}
    block = write_change(Shown("s", [], 0, "1.1"), shown, 1, spelled=True)
    data = json.loads(block.split(b"data: ")[1])
    assert data == {"rows": [{"position": 1, **texts[0]}], "left": [], "total": 1, "asOf": "1.2"}


def test_numbers_stay_where_texts_are_not_asked() -> None:
    shown = Shown("s", rows_of([("a", 3), ("b", 2)]), 2, "1.2")
    one = b'{"rank":1,"userId":"a","score":3}'
    snapshot = b'{"seasonId":"s","items":[%b],"total":2,"asOf":"1.2"}' % one
    assert write_snapshot(shown, 1) == b"id: 1.2\nevent: snapshot\ndata: %b\n\n" % snapshot
    change = b'{"rows":[{"position":1,%b],"left":[],"total":2,"asOf":"1.2"}' % one[1:]
    assert write_change(Shown("s", [], 0, "1.1"), shown, 1) == b"id: 1.2\nevent: change\ndata: %b\n\n" % change
    assert write_event(b"around", one) == b"event: around\ndata: %b\n\n" % one
    texts = b'{"rank":1,"userId":"a","score":"3"}'
    assert write_event(b"around", one, "1.2", spelled=True) == b"id: 1.2\nevent: around\ndata: %b\n\n" % texts


@given(st.text(min_size=1))
def test_no_name_ends_an_event_early(name: str) -> None:
    row = {"rank": 1, "userId": name.encode("utf-8", "ignore").decode(), "score": 1}
    shown = Shown("s", [row], 1, "1.2")
    for block in (write_snapshot(shown, 1), write_change(Shown("s", [], 0, "1.1"), shown, 1)):
        lines = block.decode().split("\n")
        assert len(lines) == 5 and lines[3:] == ["", ""]
        assert "\r" not in block.decode()
        data = json.loads(lines[2].removeprefix("data: "))
        assert (data.get("items") or data["rows"])[0]["userId"] == row["userId"]


def test_events_without_a_state_have_no_id() -> None:
    assert write_retry(2_000) == b"retry: 2000\n\n"
    assert write_unavailable("board-unavailable") == b'event: unavailable\ndata: {"code":"board-unavailable"}\n\n'
