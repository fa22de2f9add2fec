"""Streams, long polls and kept lists of several workers: none shows a banned player from the ban's answer on."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import pytest
from support.http import JSON, Http, base
from support.moderation import act
from support.periods import put, submit
from support.processes import relaying, serving
from support.sse import EventStream
from support.submitting import clients
from support.waiting import eventually
from support.world import World

from service.boards.long_polls import PAUSE_MOST_S
from service.contract.streams import STREAM_LAG_S
from service.stream.feed import AHEAD_MOST_S, CONFLATED_S

FOREVER = {"reason": "speed hack"}
TWO: dict[str, str] = {"LEADERBOARD_WORKERS": "2"}


def done(http: Http, verb: str, user: str = "ada") -> None:
    answer = act(http, verb, user, FOREVER if verb == "ban" else None)
    assert answer.status == 200, answer.body


def names(answer: Any) -> list[str]:
    assert answer.status == 200, answer.body
    return [item["userId"] for item in answer.json["items"]]


@pytest.mark.parametrize(("verb", "back"), [("ban", "unban"), ("hide", "show")])
def test_no_worker_shows_a_list_that_it_kept(world: World, verb: str, back: str) -> None:
    settings = {**TWO, "LEADERBOARD_READ_CACHE_MS": "1000"}
    with serving(world, "/readyz", **settings) as api, relaying(world), clients(api, 8) as readers:
        for user in ("ada", "bob"):
            assert readers[0].post("s", user, 1).status == 202
        eventually(lambda: all(b"bob" in reader.top("s").body for reader in readers))
        for reader in readers:
            names(reader.top("s", 1))
        done(readers[0], verb)
        for reader in readers:
            assert names(reader.top("s")) == ["bob"] and names(reader.top("s", 1)) == ["bob"]
        done(readers[0], back)
        for reader in readers:
            assert names(reader.top("s")) == ["ada", "bob"] and names(reader.top("s", 1)) == ["ada"]


@pytest.mark.parametrize("segment", ["", "&segment=country:GB"])
def test_a_stream_that_is_opened_after_the_answer_does_not_begin_with_the_player(world: World, segment: str) -> None:
    """The worker may have other listeners, whose list it reads at most four times a second."""
    with serving(world, "/readyz", **TWO) as api, relaying(world), clients(api, 1) as (http,), ExitStack() as opened:
        fill(http)

        def listen(query: str) -> EventStream:
            return opened.enter_context(EventStream(api.port, "s", query))

        streams = [listen(f"limit=5{segment}{of}") for of in ("", "&userId=bob", "&userId=ada") for _ in range(3)]
        for stream in streams:
            assert stream.take() is not None
        for n in range(4):
            # A change just before the ban: what is read next may not be sent for a quarter of a second.
            submit(http, "s", "ada", score=10 + n)
            streams[0].until(lambda n=n: streams[0].rows[0]["score"] == 10 + n)
            done(http, "ban")
            for query in (f"limit=5{segment}", f"limit=5{segment}&userId=ada", f"limit=5{segment}&userId=bob"):
                for _ in range(3):
                    with EventStream(api.port, "s", query) as late:
                        event = late.take()
                        assert event is not None and "ada" not in str(event.data), (n, query, event)
                        if "userId" in query:
                            event = late.take()
                            assert event is not None and event.name == "around", event
                            assert "ada" not in str(event.data["items"]), event
            done(http, "unban")
            with EventStream(api.port, "s", f"limit=5{segment}") as late:
                assert late.take() is not None and [row["userId"] for row in late.rows] == ["ada", "bob"]


def test_the_answer_waits_longer_than_a_stream_may_be_behind() -> None:
    assert CONFLATED_S + AHEAD_MOST_S + PAUSE_MOST_S < STREAM_LAG_S


def fill(http: Http) -> None:
    """Two players of a season with segments, on its boards."""
    put(http, "s", operator="best", segments=["country"])
    for n, user in enumerate(("bob", "ada")):
        profile = json.dumps({"displayName": user, "attributes": {"country": "GB"}}).encode()
        assert http.ask("PUT", f"/v1/players/{user}", profile, JSON).status == 201
        assert submit(http, "s", user, score=n + 1).status == 202
    for query in ("", "?segment=country:GB"):
        eventually(lambda query=query: http.get(f"{base('s')}/leaderboard/top{query}").json.get("total") == 2)


def test_an_open_stream_loses_the_player_and_gets_them_back(world: World) -> None:
    with serving(world, "/readyz") as api, relaying(world), clients(api, 1) as (http,):
        fill(http)
        with EventStream(api.port, "s", "limit=5&userId=ada") as mine, EventStream(api.port, "s") as others:
            mine.until(lambda: mine.around is not None)
            others.until(lambda: len(others.rows) == 2)
            before = others.list
            for verb, back in (("ban", "unban"), ("hide", "show")):
                done(http, verb)
                others.until(lambda: [row["userId"] for row in others.rows] == ["bob"])
                assert others.total == 1 and others.rows[0]["rank"] == 1
                mine.until(lambda: mine.around is not None and mine.around["items"] == [])
                gone = others.id
                done(http, back)
                others.until(lambda: others.list == before)
                mine.until(lambda: mine.around is not None and len(mine.around["items"]) == 2)
                # A client that resumes from the time of the ban, or from before, gets to the same list.
                for known in (gone, others.id):
                    with EventStream(api.port, "s", "limit=5", (f"Last-Event-ID: {known}",)) as again:
                        event = again.take()
                        assert event is not None and event.data["total"] == 2


def test_a_client_that_resumes_after_the_answer_is_told_that_the_player_left(world: World) -> None:
    with serving(world, "/readyz") as api, relaying(world), clients(api, 1) as (http,):
        fill(http)
        with EventStream(api.port, "s") as first:
            first.until(lambda: len(first.rows) == 2)
            done(http, "ban")
            with EventStream(api.port, "s", "limit=5", (f"Last-Event-ID: {first.id}",)) as again:
                event = again.take()
            assert event is not None and event.name == "change", event
            assert event.data["left"] == ["ada"] and "ada" not in str(event.data["rows"]), event


@pytest.mark.parametrize("cache_ms", ["0", "500"])
@pytest.mark.parametrize("query", ["", "&segment=country:GB"])
def test_a_long_poll_ends_with_the_ban_and_none_after_it_shows_the_player(
    world: World, query: str, cache_ms: str
) -> None:
    settings = {**TWO, "LEADERBOARD_READ_CACHE_MS": cache_ms}
    with serving(world, "/readyz", **settings) as api, relaying(world), clients(api, 9) as (http, *waiting):
        fill(http)
        for verb, shown in (("ban", ["bob"]), ("unban", ["ada", "bob"]), ("hide", ["bob"]), ("show", ["ada", "bob"])):
            since = http.get(f"{base('s')}/leaderboard/top?limit=5{query}").json["asOf"]
            path = f"{base('s')}/leaderboard/top?limit=5&since={since}{query}"
            for one in waiting:
                one.send("GET", path, None, {"Prefer": "wait=20"})
            done(http, verb)
            for one in waiting:
                assert names(one.receive()) == shown
            for one in waiting:
                assert names(one.get(path)) == shown
                late = one.ask("GET", f"{path}", None, {"Prefer": "wait=1", "If-None-Match": f'"{since}"'})
                assert names(late) == shown


def test_a_reader_who_asks_whether_the_list_still_holds_gets_the_new_one(world: World) -> None:
    with serving(world, "/readyz") as api, relaying(world), clients(api, 1) as (http,):
        fill(http)
        reads = ("top", "count", "histogram", "rank?userId=bob", "around?userId=bob", "around?score=1", "score?rank=1")
        for verb in ("ban", "unban", "hide", "show"):
            tags = {read: http.get(f"{base('s')}/leaderboard/{read}").headers.get("etag") for read in reads}
            assert tags["top"]
            done(http, verb)
            for read, tag in tags.items():
                headers = {"If-None-Match": tag} if tag else {}
                assert http.ask("GET", f"{base('s')}/leaderboard/{read}", None, headers).status == 200, read
