"""Streams of segments: the list of the players with a value, which follows scores and attributes."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from support.processes import Api, serving
from support.relays import carrying
from support.sse import EventStream
from support.world import World

KR, GB = (f"limit=3&segment={quote(f'country:{value}')}" for value in ("KR", "GB"))


@pytest.fixture
def divided(world: World) -> Iterator[World]:
    """Four players of two countries, and a relay at work."""
    world.define("s", segments=["country"])
    for user, country in (("ada", "KR"), ("bob", "GB"), ("cy", "KR"), ("dee", "GB")):
        world.name_player(user, user.title(), country=country)
    world.submit(*(("s", user, score) for user, score in (("ada", 5), ("bob", 4), ("cy", 3), ("dee", 2))))
    world.carry_everything()
    with carrying(world):
        yield world


@pytest.fixture
def api(divided: World) -> Iterator[Api]:
    with serving(divided, "/readyz", LEADERBOARD_STREAMS="3") as made:
        yield made


def test_each_segment_is_a_list_that_follows_scores_and_attributes(api: Api) -> None:
    world = api.world
    with EventStream(api.port, "s", KR) as korea, EventStream(api.port, "s", GB) as britain:
        first = korea.take()
        with api.client() as http:
            listed = http.get(f"/v1/seasons/s/leaderboard/top?{KR}").json
        assert first is not None and first.data == {k: v for k, v in listed.items() if k != "nextCursor"}
        assert (first.data["seasonId"], first.data["segment"]) == ("s", "country:KR")
        assert (korea.list, korea.total) == ([(1, "ada", 5), (2, "cy", 3)], 2)
        britain.take()
        assert (britain.list, britain.total) == ([(1, "bob", 4), (2, "dee", 2)], 2)
        world.submit(("s", "cy", 4))
        korea.until(lambda: korea.list == [(1, "cy", 7), (2, "ada", 5)])
        world.name_player("dee", "Dee", country="KR")
        korea.until(lambda: korea.list == [(1, "cy", 7), (2, "ada", 5), (3, "dee", 2)] and korea.total == 3)
        britain.until(lambda: britain.list == [(1, "bob", 4)] and britain.total == 1)
        assert all(event.name == "change" for event in korea.events[1:])
        assert [row["displayName"] for row in korea.rows] == ["Cy", "Ada", "Dee"]


def test_a_player_comes_with_the_neighbours_of_the_segment(api: Api) -> None:
    with EventStream(api.port, "s", f"{KR}&userId=cy") as stream:
        stream.until(lambda: stream.around)
        assert stream.around is not None and stream.around["segment"] == "country:KR"
        assert [(row["rank"], row["userId"]) for row in stream.around["items"]] == [(1, "ada"), (2, "cy")]
    with EventStream(api.port, "s", f"{KR}&userId=bob") as stream:
        stream.until(lambda: stream.around)
        around = stream.around
        assert around is not None and around["items"] == []
        assert (around["seasonId"], around["segment"]) == ("s", "country:KR")


def test_what_has_no_board_is_refused_by_name_and_takes_no_room(api: Api) -> None:
    with api.client() as http:
        for season, segment, code in (
            ("s", "platform:ps5", "unknown-segment"),
            ("s", "vehicle:car", "unknown-segment"),
            ("s", "level:seven", "unknown-segment"),
            ("t", "country:KR", "no-segments"),
            ("s", "country", "invalid-segment"),
            ("s", "country:", "invalid-segment"),
        ):
            answer = http.get(f"/v1/seasons/{season}/leaderboard/stream?segment={segment}")
            assert (answer.status, answer.json["code"]) == (400, code), segment
        # The list of a value without players has no rows, and may get some.
        with EventStream(api.port, "s", "segment=country:FR") as stream:
            stream.take()
            assert (stream.status, stream.list) == (200, [])
            api.world.name_player("ada", "Ada", country="FR")
            stream.until(lambda: stream.list == [(1, "ada", 5)])


def test_a_season_that_loses_its_segments_says_so(api: Api) -> None:
    with EventStream(api.port, "s", KR) as stream:
        stream.take()
        api.world.define("s")
        stream.until(lambda: stream.failure == "no-segments")
        api.world.define("s", segments=["country"])
        stream.until(lambda: stream.failure is None and stream.list == [(1, "ada", 5), (2, "cy", 3)])
