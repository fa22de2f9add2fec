"""A board as a stream: a snapshot, then changes, at most one in a quarter of a second. It converges."""

from __future__ import annotations

import random
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.http import bearer
from support.processes import Api, children_of, commandline, resident, serving
from support.redis_calls import counting_calls
from support.relays import carrying
from support.sse import EventStream
from support.waiting import eventually
from support.world import World

from service.stream.feed import CONFLATED_S


@pytest.fixture
def filled(world: World) -> Iterator[World]:
    """Five players, and a relay at work."""
    world.submit(*(("s", user, score) for user, score in (("ada", 5), ("bob", 4), ("cy", 3), ("dee", 2), ("eve", 1))))
    world.carry_everything()
    with carrying(world):
        yield world


@pytest.fixture
def api(filled: World) -> Iterator[Api]:
    with serving(filled, "/readyz") as made:
        yield made


def move(world: World, user: str, delta: int, season: str = "s") -> None:
    """Change a player's score; the board shows it when this returns."""
    world.submit((season, user, delta))
    eventually(lambda: world.board(season) == world.expected(season))


def top(api: Api, limit: int = 5, season: str = "s") -> list[tuple[int, str, int]]:
    with api.client() as http:
        return [(row["rank"], row["userId"], row["score"]) for row in http.top(season, limit).json["items"]]


def test_it_begins_with_the_list_and_goes_on_with_changes(api: Api) -> None:
    with EventStream(api.port, "s", "limit=3") as stream:
        assert (stream.status, stream.headers["content-type"]) == (200, "text/event-stream")
        assert (stream.headers["x-accel-buffering"], stream.headers["cache-control"]) == ("no", "no-store")
        first = stream.take()
        with api.client() as http:
            listed = http.top("s", 3).json
        del listed["nextCursor"]
        assert first is not None and (first.name, first.data) == ("snapshot", listed)
        assert stream.retry_ms is not None and 500 <= stream.retry_ms <= 3_000
        move(api.world, "dee", 5)  # from below the list to its top
        change = stream.take()
        assert change is not None and change.name == "change"
        assert [row["userId"] for row in change.data["rows"]] == ["dee", "ada", "bob"]
        assert change.data["left"] == ["cy"]
        assert stream.list == top(api, 3)
        move(api.world, "eve", 1)  # below the list: the state has another name
        change = stream.take()
        assert change is not None and (change.data["rows"], change.data["left"]) == ([], [])


def test_a_player_comes_with_the_neighbours(api: Api) -> None:
    with EventStream(api.port, "s", "limit=1&userId=eve") as stream:
        stream.until(lambda: stream.around)
        assert stream.around is not None
        assert [row["userId"] for row in stream.around["items"]] == ["ada", "bob", "cy", "dee", "eve"]
        move(api.world, "eve", 10)
        stream.until(lambda: stream.around is not None and stream.around["items"][0]["userId"] == "eve")
    with EventStream(api.port, "s", "limit=1&userId=zoe") as stream:
        stream.until(lambda: stream.around)
        assert stream.around is not None and stream.around["items"] == []
        move(api.world, "zoe", 1)
        stream.until(lambda: stream.around is not None and stream.around["items"])


def test_a_board_that_does_not_exist_may_come(api: Api) -> None:
    with EventStream(api.port, "t") as stream:
        stream.take()
        assert (stream.list, stream.total) == ([], 0)
        move(api.world, "ada", 7, "t")
        stream.until(lambda: stream.list == [(1, "ada", 7)])


def test_a_reset_is_a_new_list(api: Api) -> None:
    with EventStream(api.port, "s") as stream:
        stream.take()
        api.world.reset("s")
        stream.until(lambda: stream.rows == [])
        assert stream.events[-1].name == "snapshot"


def test_many_submissions_are_few_changes(api: Api) -> None:
    with EventStream(api.port, "s") as stream:
        stream.take()
        began = time.monotonic()
        for n in range(60):
            move(api.world, "ada", 1 + n % 2)
        took = time.monotonic() - began
        stream.until(lambda: stream.list == top(api))
        changes = len(stream.events) - 1
        assert changes <= 2 + (took + 0.3) / CONFLATED_S


def test_a_client_resumes_from_a_state_that_is_known(api: Api) -> None:
    with EventStream(api.port, "s") as stream:
        stream.take()
        known, rows = stream.id, stream.rows
    move(api.world, "eve", 10)
    eventually(lambda: top(api)[0][1] == "eve")
    with EventStream(api.port, "s", headers=(f"Last-Event-ID: {known}",)) as stream:
        stream.rows = rows
        stream.until(lambda: stream.list == top(api))
        assert {event.name for event in stream.events} == {"change"}
    for unknown in ("1.2.deadbeef", "", "\N{TROPHY}".encode().decode("latin-1"), "x" * 4_000):
        with EventStream(api.port, "s", headers=(f"Last-Event-ID: {unknown}",)) as stream:
            event = stream.take()
            assert event is not None and event.name == "snapshot"


def test_all_who_listen_are_one_read(api: Api) -> None:
    world = api.world
    with ExitStack() as stack:
        streams = [stack.enter_context(EventStream(api.port, "s", f"limit={1 + n % 5}")) for n in range(60)]
        for stream in streams:
            stream.take()
        calls = stack.enter_context(counting_calls(world))
        move(world, "bob", 50)
        for stream in streams:
            stream.until(lambda stream=stream: stream.rows[0]["userId"] == "bob")
        # One look at the state and one read of the list, and again where the look came between two batches.
        assert 0 < calls.count("evalsha_ro") <= 6


def test_an_idle_listener_is_small_and_leaves_nothing_behind(filled: World) -> None:
    with serving(filled, "/readyz", LEADERBOARD_CONNECTIONS="4096") as api, ExitStack() as stack:
        (worker,) = _workers(api)
        with EventStream(api.port, "s") as one:
            one.take()
        before, sockets = resident(worker), _count_open(api)
        for _ in range(600):
            stack.enter_context(EventStream(api.port, "s")).take()
        assert (resident(worker) - before) / 600 < 20_000
        stack.close()
        # Those that are gone make room at once.
        eventually(lambda: _count_open(api) <= sockets)


def _workers(api: Api) -> list[int]:
    return [pid for pid in children_of(api.command.process.pid) if commandline(pid)]


def _count_open(api: Api) -> int:
    (worker,) = _workers(api)
    sockets = 0
    for file in Path(f"/proc/{worker}/fd").iterdir():
        try:
            sockets += file.readlink().name.startswith("socket:")
        except OSError:
            continue
    return sockets


@pytest.mark.walk
def test_a_listener_that_never_reads_gets_the_newest_state_and_holds_up_nobody(filled: World) -> None:
    many = [("s", f"{'x' * 100} {n}", 1_000 + n) for n in range(100)]
    filled.submit(*many)
    with (
        serving(filled, "/readyz", LEADERBOARD_SEND_S="600") as api,
        EventStream(api.port, "s", "limit=100", buffer=4_096) as slow,
        EventStream(api.port, "s", "limit=100") as quick,
    ):
        quick.take()
        dice = random.Random(3)
        for _ in range(40):
            filled.submit(*(("s", user, dice.randint(1, 9_999)) for _, user, _ in many))
            began = time.monotonic()
            quick.take()
            assert time.monotonic() - began < 5
        eventually(lambda: filled.board("s") == filled.expected("s"))
        expected = top(api, 100)
        quick.until(lambda: quick.list == expected)
        slow.until(lambda: slow.list == expected)
        # It has not been sent each of them.
        assert len(slow.events) < len(quick.events)


def test_a_listener_that_never_reads_is_given_up(filled: World) -> None:
    many = [("s", f"{'x' * 100} {n}", 1_000 + n) for n in range(100)]
    filled.submit(*many)
    with (
        serving(filled, "/readyz", LEADERBOARD_SEND_S="1") as api,
        EventStream(api.port, "s", "limit=100", buffer=4_096),
    ):
        before = _count_open(api)

        def moved() -> bool:
            filled.submit(*(("s", user, 1_000) for _, user, _ in many))
            return _count_open(api) < before

        eventually(moved)


def test_a_stop_ends_it_with_a_time_to_come_again(api: Api) -> None:
    with EventStream(api.port, "s") as stream:
        stream.take()
        began = time.monotonic()
        api.command.process.send_signal(signal.SIGTERM)
        stream.retry_ms = None
        assert stream.take() is None
        assert stream.retry_ms is not None
        assert api.command.stop() == 0
        assert time.monotonic() - began < 8


def test_a_worker_is_replaced_while_streams_are_open(filled: World) -> None:
    with serving(filled, "/readyz", LEADERBOARD_MAX_REQUESTS="20") as api:
        with EventStream(api.port, "s") as stream:
            stream.take()
            for _ in range(60):
                top(api)
            while stream.take() is not None:
                pass
            known, rows = stream.id, stream.rows

        def has_come_again() -> bool:
            with EventStream(api.port, "s", headers=(f"Last-Event-ID: {known}",)) as stream:
                assert stream.status == 200
                stream.rows = rows
                # A worker that stops meanwhile ends the stream, and answers no error.
                return stream.take() is not None and stream.list == top(api)

        eventually(has_come_again)


def test_it_is_not_idle(filled: World) -> None:
    with (
        serving(filled, "/readyz", LEADERBOARD_IDLE_S="1", LEADERBOARD_RECEIVE_S="1") as api,
        EventStream(api.port, "s") as stream,
    ):
        stream.take()
        began = time.monotonic()
        eventually(lambda: time.monotonic() - began > 4)
        move(filled, "eve", 10)
        stream.until(lambda: stream.list == top(api))


def test_too_many_are_told_when_to_come_again(filled: World) -> None:
    settings = {"LEADERBOARD_STREAMS": "3", "LEADERBOARD_STREAMS_OF_PLAYERS": "1"}
    with serving(filled, "/readyz", **settings) as api, ExitStack() as stack:
        stack.enter_context(EventStream(api.port, "s", "userId=ada")).take()
        with api.client() as http:
            refused = http.get("/v1/seasons/s/leaderboard/stream?userId=bob")
            assert (refused.status, refused.json["code"]) == (503, "too-many-streams")
            assert 2 <= int(refused.headers["retry-after"]) <= 10
        for _ in range(2):
            last = stack.enter_context(EventStream(api.port, "s"))
            last.take()
        with api.client() as http:
            assert http.get("/v1/seasons/s/leaderboard/stream").json["code"] == "too-many-streams"
            assert http.ask("HEAD", "/v1/seasons/s/leaderboard/stream").status == 503
        # Broken off, not closed: the server gets a reset, and no end of what the client sends.
        last.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        last.close()

        def admitted() -> bool:
            with EventStream(api.port, "s") as stream:
                return stream.status == 200

        eventually(admitted)


def test_head_opens_none(filled: World) -> None:
    with serving(filled, "/readyz", LEADERBOARD_STREAMS="1") as api, api.client() as http:
        for _ in range(3):
            answer = http.ask("HEAD", "/v1/seasons/s/leaderboard/stream")
            assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")


def test_what_cannot_be_streamed_is_refused_by_name(api: Api) -> None:
    with api.client() as http:
        for query, code in (
            ("limit=0", "invalid-stream-limit"),
            ("limit=101", "invalid-stream-limit"),
            ("userId=", "invalid-user-id"),
        ):
            answer = http.get(f"/v1/seasons/s/leaderboard/stream?{query}")
            assert (answer.status, answer.json["code"]) == (400, code), query


def test_it_needs_a_credential_where_reads_do(filled: World) -> None:
    key = filled.key("read", seasons=["s"])
    with serving(filled, "/readyz", LEADERBOARD_AUTH="keys") as api:
        header = f"Authorization: {bearer(key)['Authorization']}"
        with EventStream(api.port, "s", headers=(header,)) as stream:
            stream.take()
            assert stream.list == [(1, "ada", 5), (2, "bob", 4), (3, "cy", 3), (4, "dee", 2), (5, "eve", 1)]
        with EventStream(api.port, "s") as stream:
            assert stream.status == 401
        with EventStream(api.port, "t", headers=(header,)) as stream:
            assert stream.status == 403


def test_it_converges_with_a_relay_at_work(api: Api) -> None:
    dice = random.Random(7)
    with EventStream(api.port, "s") as stream:
        for _ in range(100):
            api.world.submit(("s", f"player {dice.randint(1, 12)}", dice.randint(1, 50)))
        eventually(lambda: api.world.board("s") == api.world.expected("s"))
        expected = top(api)
        stream.until(lambda: stream.list == expected)
