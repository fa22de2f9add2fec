"""Slow clients and many of them, against the real gunicorn: each is given up in its time, and harms no other client."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest
from support.processes import Api, serving
from support.waiting import eventually
from support.world import World, world_on

from ctl.embedded import Embedded

HEAD = b"POST /v1/seasons/%b/scores HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def client(api: Api, *, timeout_s: float = 20) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.port), timeout_s) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    got = b""
    try:
        while piece := connection.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    return got


def answer(connection: socket.socket) -> bytes:
    """One whole answer; it may come in several pieces."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        if not piece:
            return got
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        piece = connection.recv(65536)
        body += piece
        if not piece:
            break
    return head + b"\r\n\r\n" + body


def dribble(connection: socket.socket, piece: bytes, every_s: float, within_s: float = 20) -> bytes:
    """Send a piece now and then until the server answers or closes; what it said."""
    connection.settimeout(every_s)
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            connection.sendall(piece)
            got = connection.recv(65536)
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return b""
        connection.settimeout(20)
        return got + rest(connection)
    raise AssertionError(f"still connected after {within_s} s")


@pytest.fixture(scope="session")
def strict(servers: Embedded) -> Iterator[Api]:
    """A server with little patience."""
    patience = {"LEADERBOARD_RECEIVE_S": "1", "LEADERBOARD_IDLE_S": "2", "LEADERBOARD_SEND_S": "2"}
    with world_on(servers, redis_db=2) as made, serving(made, LEADERBOARD_READ_CACHE_MS="0", **patience) as api:
        yield api


def test_a_head_byte_by_byte(strict: Api) -> None:
    with client(strict) as slow:
        began = time.monotonic()
        got = dribble(slow, b"X", 0.2)
        assert time.monotonic() - began < 10
    assert got == b"" or got.startswith(b"HTTP/1.1 4"), got


def test_headers_one_by_one(strict: Api) -> None:
    with client(strict) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        assert b" 408 " in dribble(slow, b"X: y\r\n", 0.2)


def test_a_client_that_says_nothing(strict: Api) -> None:
    with client(strict) as slow:
        assert rest(slow) == b""


def test_a_client_that_says_nothing_more(strict: Api) -> None:
    with client(strict) as slow:
        slow.sendall(GET)
        assert rest(slow).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_a_body_byte_by_byte(strict: Api, size: int) -> None:
    with client(strict) as slow:
        slow.sendall(HEAD % b"slow" + b'Content-Length: %d\r\n\r\n{"userId":"ada","delta":1}' % size)
        assert b" 408 " in dribble(slow, b" ", 0.2)
    assert strict.world.rows("SELECT FROM season WHERE season_id = 'slow'") == []


def test_chunks_of_a_byte(strict: Api) -> None:
    with client(strict) as slow:
        slow.sendall(HEAD % b"slow" + b'Transfer-Encoding: chunked\r\n\r\n1a\r\n{"userId":"ada","delta":1}\r\n')
        assert b" 408 " in dribble(slow, b"1\r\n \r\n", 0.2)
    assert strict.world.rows("SELECT FROM season WHERE season_id = 'slow'") == []


def test_a_slow_body_that_makes_progress_is_taken(strict: Api) -> None:
    body = b'{"userId":"ada","delta":1}' + b" " * 6_000
    with client(strict) as slow:
        slow.sendall(HEAD % b"patient" + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        slow.settimeout(0.5)
        for at in range(0, len(body), 1_000):
            slow.sendall(body[at : at + 1_000])
            if at + 1_000 < len(body):
                with pytest.raises(TimeoutError):
                    slow.recv(1)
        slow.settimeout(20)
        assert rest(slow).startswith(b"HTTP/1.1 202")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_falls_silent_before_its_end_is_given_up(strict: Api, chunked: bool) -> None:
    """Its bytes so far give no credit: 300 kB were ten minutes once, and 4 MiB hours."""
    body = b'{"userId":"ada","delta":1}' + b" " * 300_000
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    piece = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    with client(strict) as slow:
        slow.sendall(HEAD % b"silent" + framing + b"\r\n\r\n" + piece[:-1])
        began = time.monotonic()
        assert b" 408 " in rest(slow)
        assert time.monotonic() - began < 8
    assert strict.world.rows("SELECT FROM season WHERE season_id = 'silent'") == []


def test_a_body_behind_its_answer_is_not_awaited_for_ever(strict: Api) -> None:
    with client(strict) as slow:
        slow.sendall(HEAD % b"slow" + b"Content-Length: 2000000\r\n\r\n" + b" " * 100)
        assert b" 413 " in answer(slow)
        assert rest(slow) == b""


def test_a_slow_head_while_an_answer_is_awaited(strict: Api) -> None:
    """It must not be taken for the answer."""
    world = strict.world
    world.create("held")
    body = b'{"userId":"ada","delta":1}'
    with client(strict) as slow:
        with world.held("held") as db:
            slow.sendall(HEAD % b"held" + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            eventually(lambda: world.waiting() == 1)
            with pytest.raises(AssertionError, match="still connected"):
                dribble(slow, b"G", 0.3, within_s=4)
            db.commit()
        slow.settimeout(20)
        got = rest(slow)
    assert got.startswith(b"HTTP/1.1 202") and got.count(b"HTTP/1.1") == 1


@pytest.fixture(scope="session")
def big(strict: Api) -> str:
    """A season whose top list is more than 150 kB."""
    strict.world.submit(*(("big", f"{n:03}" + "x" * 125, n + 1) for n in range(1_000)))
    strict.world.carry_everything()
    return "big"


@pytest.mark.parametrize("reads", [0, 50])
def test_answers_that_are_not_read(strict: Api, big: str, reads: int) -> None:
    """A reader below the least rate is cut off, and its answers are thrown away."""
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.connect(("127.0.0.1", strict.port))
        greedy.settimeout(20)
        greedy.sendall(b"GET /v1/seasons/%b/leaderboard/top?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n" % big.encode() * 60)
        if reads:
            with pytest.raises(ConnectionResetError):
                for _ in range(100):
                    assert greedy.recv(reads)
                    gone(greedy, 0.3)
        else:
            eventually(lambda: gone(greedy, 0.1))


def gone(connection: socket.socket, within_s: float) -> bool:
    """Whether the server has reset the connection; raises what the reset raises."""
    import select

    poll = select.poll()
    poll.register(connection, 0)
    return any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(within_s * 1000))


def test_a_reader_in_no_hurry_gets_everything(strict: Api, big: str) -> None:
    request = b"GET /v1/seasons/%b/leaderboard/top?limit=1000 HTTP/1.1\r\nHost: x\r\n" % big.encode()
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", strict.port))
        slow.settimeout(20)
        slow.sendall(request + b"\r\n" + request + b"Connection: close\r\n\r\n")
        got, began = 0, time.monotonic()
        while piece := slow.recv(4096):
            got += len(piece)
            # About 60 KiB a second: slower than the server by far, faster than the least rate.
            if got > 60_000 * (time.monotonic() - began):
                assert not gone(slow, 0.05)
    assert got > 2 * 150_000
    assert time.monotonic() - began > 4


def test_slow_clients_at_the_limit_do_not_lock_others_out(world: World) -> None:
    """Slow loris: they fill the worker to its limit and keep every connection just alive."""
    with serving(world, LEADERBOARD_CONNECTIONS="200", LEADERBOARD_RECEIVE_S="600") as api, ExitStack() as stack:
        slow = [stack.enter_context(client(api)) for _ in range(200)]
        for one in slow:
            one.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        refused = 0

        def served() -> bool:
            nonlocal refused
            with client(api) as honest:
                honest.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                got = rest(honest)
            refused += b"too-many-connections" in got
            for one in slow:
                with suppress(ConnectionResetError, BrokenPipeError):
                    one.sendall(b"X: y\r\n")
            return got.startswith(b"HTTP/1.1 200")

        eventually(served, 10)
        assert refused > 0
        assert "more than 200 clients" in api.command.text()


def test_too_many_at_once_are_told_so(world: World) -> None:
    with serving(world, LEADERBOARD_CONNECTIONS="20") as api, ExitStack() as stack:
        # The connection that saw the server come up may still count.
        clients = [stack.enter_context(client(api)) for _ in range(25)]
        served, refused = [], []
        for one in clients:
            one.sendall(GET)
            got = answer(one)
            (served if got.startswith(b"HTTP/1.1 200") else refused).append(one)
            if one in refused:
                got += rest(one)
                assert got.startswith(b"HTTP/1.1 503") and b"too-many-connections" in got
                assert b"\r\nretry-after: 1\r\n" in got and b"\r\nconnection: close\r\n" in got
        assert len(served) in (19, 20)
        # Those that were there before are served as ever.
        served[-1].sendall(GET)
        assert answer(served[-1]).startswith(b"HTTP/1.1 200")


def test_one_address_has_its_share_of_connections_and_no_more(world: World) -> None:
    def come(stack: ExitStack, address: str) -> bytes:
        connection = stack.enter_context(socket.create_connection(("127.0.0.1", api.port), 20, (address, 0)))
        connection.sendall(GET)
        return answer(connection)

    with serving(world, LEADERBOARD_CONNECTIONS_PER_ADDRESS="3") as api, ExitStack() as others:
        with ExitStack() as many:
            for _ in range(3):
                assert come(many, "127.0.0.2").startswith(b"HTTP/1.1 200")
            for _ in range(2):
                refused = come(many, "127.0.0.2")
                assert refused.startswith(b"HTTP/1.1 503") and b"too-many-connections" in refused
            assert come(others, "127.0.0.3").startswith(b"HTTP/1.1 200")
        eventually(lambda: come(others, "127.0.0.2").startswith(b"HTTP/1.1 200"))
        assert api.command.text().count("more than 3 clients from 127.0.0.2") >= 1
