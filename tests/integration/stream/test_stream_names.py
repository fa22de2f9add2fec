"""A rename changes no board, and is shown on streams within a second all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.http import JSON
from support.processes import Api, serving
from support.relays import carrying
from support.sse import EventStream
from support.world import World


@pytest.fixture
def api(world: World) -> Iterator[Api]:
    """A server over a board of twelve players. The last one already has a name."""
    world.submit(*(("s", f"p{n:02}", 100 - n) for n in range(12)))
    world.carry_everything()
    with carrying(world), serving(world, "/readyz") as made:
        rename(made, "p11", "Last")
        yield made


def rename(api: Api, user: str, name: str) -> None:
    with api.client() as http:
        assert http.ask("PUT", f"/v1/players/{user}", json.dumps({"displayName": name}).encode(), JSON).status < 300


def names(stream: EventStream) -> list[str | None]:
    return [row.get("displayName") for row in stream.rows]


def test_a_new_name_is_sent_though_the_board_is_as_before(api: Api) -> None:
    with EventStream(api.port, "s", "limit=2") as short, EventStream(api.port, "s", "limit=3") as long:
        for stream in (short, long):
            stream.take()
        state = short.id
        for name in ("Ada", "Ada L."):
            rename(api, "p00", name)
            for stream in (short, long):
                stream.until(lambda stream=stream, name=name: names(stream)[0] == name)
                assert stream.id == state
        # Below the shorter list: a snapshot of equal rows would be noise.
        sent = len(short.events)
        rename(api, "p02", "Cy")
        long.until(lambda: names(long)[2] == "Cy")
        api.world.submit(("s", "p01", 1_000))
        for stream in (short, long):
            stream.until(lambda stream=stream: stream.list[0][1] == "p01")
        assert names(long) == [None, "Ada L.", "Cy"]
        assert len(short.events) <= sent + 2


def test_a_client_that_comes_back_with_a_state_of_other_names_gets_the_list(api: Api) -> None:
    with EventStream(api.port, "s", "limit=3") as stream:
        stream.take()
        state = stream.id
        rename(api, "p00", "Ada")
        stream.until(lambda: names(stream)[0] == "Ada")
        with EventStream(api.port, "s", "limit=3", (f"Last-Event-ID: {state}",)) as again:
            event = again.take()
            assert event is not None and event.name == "snapshot" and names(again)[0] == "Ada"
        # A longer list of the same state does not make it known again.
        with EventStream(api.port, "s", "limit=9") as longer:
            longer.take()
            with EventStream(api.port, "s", "limit=3", (f"Last-Event-ID: {state}",)) as again:
                event = again.take()
                assert event is not None and event.name == "snapshot"


def test_a_neighbour_who_is_not_in_the_list_is_renamed_in_the_window(api: Api) -> None:
    with EventStream(api.port, "s", "limit=1&userId=p09") as stream:
        stream.until(lambda: stream.around is not None)
        rename(api, "p08", "Near")
        stream.until(lambda: "Near" in [row.get("displayName") for row in stream.around["items"]])
        assert [event.name for event in stream.events].count("snapshot") == 1
