"""Cursors that are damaged, forged, or of another board: 400, and nothing worse."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.http import Answer, Http, base
from support.periods import GRID, end_now, keeper_of
from support.processes import serving
from support.world import World, world_on

from board.partitions import partition_of
from ctl.embedded import Embedded
from relay.batch import relay_batch
from service.boards.cursors import encode_cursor

Served = tuple[World, Http]
PERIODS = {"live": "", "by number": "&period=3", "ended": "&period=2", "final": "&period=1"}


@pytest.fixture(scope="module")
def served(servers: Embedded) -> Iterator[Served]:
    """A season with a final period, one that has ended, and a current one."""
    with world_on(servers, redis_db=4) as world, serving(world, LEADERBOARD_READ_CACHE_MS="0") as api:
        world.define("s", schedule=GRID)
        for ended in range(3):
            fill(world, "s")
            if ended < 2:
                end_now(world, "s")
                assert keeper_of(world).turn_seasons(world.db) == 1
            if ended == 0:
                assert keeper_of(world).close_periods(world.db) == 1
        fill(world, "other")
        world.carry_everything()
        with api.client() as http:
            yield world, http


def fill(world: World, season: str) -> None:
    world.create(season)
    world.submit_by_rule(*((season, f"p{n}", n, False) for n in range(1, 6)))


def ask(http: Http, cursor: str, query: str = "", season: str = "s") -> Answer:
    return http.get(f"{base(season)}/leaderboard/top?limit=2&cursor={cursor}{query}")


def refused(answer: Answer, code: str = "invalid-cursor") -> None:
    assert (answer.status, answer.json["code"]) == (400, code), answer.body


def cursor_of(http: Http, season: str = "s", query: str = "") -> str:
    cursor = http.get(f"{base(season)}/leaderboard/top?limit=2{query}").json["nextCursor"]
    assert isinstance(cursor, str)
    return cursor


def test_a_cursor_belongs_to_its_season_and_period(served: Served) -> None:
    _, http = served
    cursors = {name: cursor_of(http, query=query) for name, query in PERIODS.items()}
    for of, cursor in cursors.items():
        for name, query in PERIODS.items():
            answer = ask(http, cursor, query)
            if {of, name} <= {"live", "by number"} or of == name:
                assert [item["userId"] for item in answer.json["items"]] == ["p3", "p2"]
            else:
                refused(answer)
    refused(ask(http, cursor_of(http, "other")))
    refused(ask(http, cursors["live"], season="other"))
    refused(ask(http, cursors["live"], season="never submitted to"))


def test_a_cursor_of_a_period_that_was_reset_is_refused(served: Served) -> None:
    world, http = served
    cursor = cursor_of(http, "other")
    world.reset("other")
    fill(world, "other")
    relay_batch(world.session(), partition_of("other"), check=True)
    refused(ask(http, cursor, season="other"))


def test_a_cursor_of_another_order_is_refused(served: Served) -> None:
    world, http = served
    fill(world, "turned")
    world.carry_everything()
    cursor = cursor_of(http, "turned")
    world.reset("turned")
    world.define("turned", order="asc")
    fill(world, "turned")
    world.carry_everything()
    refused(ask(http, cursor, season="turned"))


def test_a_page_has_a_cursor_or_an_offset(served: Served) -> None:
    _, http = served
    cursor = cursor_of(http)
    refused(ask(http, cursor, "&offset=1"), "cursor-or-offset")
    assert ask(http, cursor, "&offset=0").status == 200
    for text in ("", "x", "a+b", "=", "a" * 1025, cursor + "=", cursor + "A", cursor[:-4], cursor.swapcase()):
        refused(ask(http, text))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), period=st.sampled_from(sorted(PERIODS)))
def test_a_damaged_cursor_is_refused(served: Served, data: st.DataObject, period: str) -> None:
    _, http = served
    whole = cursor_of(http, query=PERIODS[period])
    packed = bytearray(base64.urlsafe_b64decode(whole + "=" * (-len(whole) % 4)))
    kind = data.draw(st.sampled_from(["bit", "cut", "grown", "random"]))
    if kind == "bit":
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    elif kind == "cut":
        del packed[data.draw(st.integers(0, len(packed) - 1)) :]
    elif kind == "grown":
        packed += data.draw(st.binary(min_size=1, max_size=700))
    else:
        packed = bytearray(data.draw(st.binary(max_size=700)))
    refused(ask(http, base64.urlsafe_b64encode(packed).rstrip(b"=").decode(), PERIODS[period]))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zscore=st.integers(-(2**53), 2**53) | st.integers(-6, 6) | st.floats(),
    member=st.binary(max_size=600) | st.binary(min_size=8, max_size=8).map(lambda text: b"\0\0" + text + b"p\0"),
    period=st.sampled_from(sorted(PERIODS)),
)
def test_a_forged_cursor_is_a_place_or_refused(served: Served, zscore: float, member: bytes, period: str) -> None:
    """Cursors are no secrets: one that somebody makes is a place in the order, at most."""
    world, http = served
    number = {"live": 3, "by number": 3, "ended": 2, "final": 1}[period]
    of = world.value("SELECT period_id FROM period WHERE season_id = 's' AND number = %s", number)
    forged = encode_cursor("s", of, repr(zscore).encode(), member)
    answer = ask(http, forged, PERIODS[period])
    if answer.status != 200:
        refused(answer)
    else:
        users = [item["userId"] for item in answer.json["items"]]
        assert users in [["p5", "p4"], ["p4", "p3"], ["p3", "p2"], ["p2", "p1"], ["p1"], []]
