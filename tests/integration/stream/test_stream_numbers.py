"""`?int64=string` on a stream: scores of 64 bits arrive with all their digits, in every event."""

from __future__ import annotations

import json

from support.http import JSON, Http, base
from support.processes import serving
from support.relays import carrying
from support.sse import EventStream
from support.waiting import eventually
from support.world import World

BIG = 2**62 + 1


def test_every_event_has_strings_and_other_listeners_have_numbers(world: World) -> None:
    world.submit(("s", "ada", BIG), ("s", "bob", -BIG))
    world.carry_everything()
    with (
        carrying(world),
        serving(world, "/readyz") as api,
        EventStream(api.port, "s", "limit=5&userId=bob&int64=string") as strings,
        EventStream(api.port, "s", "limit=5&userId=bob&int64=number") as numbers,
    ):
        assert (strings.status, strings.headers["content-type"]) == (200, "text/event-stream")
        for one in (strings, numbers):
            one.until(lambda one=one: one.rows and one.around)
        assert [row["score"] for row in strings.rows] == [str(BIG), str(-BIG)]
        assert [row["score"] for row in numbers.rows] == [BIG, -BIG]
        assert strings.around is not None and strings.around["items"] == strings.rows
        assert isinstance(strings.around["total"], int)
        world.submit(("s", "cy", 1 - BIG), ("s", "ada", 1))
        for one, spelt in ((strings, str), (numbers, int)):
            wanted = [("ada", spelt(BIG + 1)), ("cy", spelt(1 - BIG)), ("bob", spelt(-BIG))]
            one.until(lambda one=one, wanted=wanted: [(r["userId"], r["score"]) for r in one.rows] == wanted)
            one.until(lambda one=one: one.around is not None and one.around["items"] == one.rows)
        assert [event.name for event in strings.events].count("snapshot") == 1


def test_columns_are_strings_too(world: World) -> None:
    world.define("s", operator="best", columns=[{"name": "time", "order": "asc"}])
    with carrying(world), serving(world, "/readyz") as api, api.client() as http:
        body = json.dumps({"userId": "ada", "score": 7, "columns": {"time": 2**53 + 1}}).encode()
        assert http.ask("POST", f"{base('s')}/scores", body, JSON).status == 202
        eventually(lambda: http.top("s").json["items"])
        with EventStream(api.port, "s", "int64=string") as stream:
            stream.take()
            assert (stream.rows[0]["score"], stream.rows[0]["columns"]) == ("7", {"time": str(2**53 + 1)})


def test_another_spelling_is_refused_by_name(world: World) -> None:
    with serving(world, "/readyz") as api, Http(api.port) as http:
        answer = http.get(f"{base('s')}/leaderboard/stream?int64=text")
        assert (answer.status, answer.json["code"]) == (400, "invalid-number-spelling")
