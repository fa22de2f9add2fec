"""Pipelined requests against the real gunicorn: all are answered in order, and a flood of them costs others little."""

from __future__ import annotations

import re
import socket
import threading
import time
from contextlib import ExitStack

from support.http import JSON, Http
from support.processes import Api, children_of, resident, serving
from support.world import World

TINY = b"GET /x HTTP/1.1\r\nHost:x\r\n\r\n"
FLOOD = TINY * 22_000


def pipelined(season: bytes, number: int) -> bytes:
    """One of four requests, on either path, with and without a body; the answer carries its number."""
    name = season if number % 2 else b"%%%02X" % season[0] + season[1:]
    head = b" HTTP/1.1\r\nHost: x\r\nX-Request-Id: %d\r\n" % number
    if number % 4 < 2:
        return b"GET /v1/seasons/%b/leaderboard/rank?userId=nobody%b\r\n" % (name, head)
    body = b'{"userId":"ada","delta":1}' + b"\r\n\r\n" * (number % 3)
    more = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return b"POST /v1/seasons/%b/scores%b%b%b" % (name, head, more, body)


def test_pipelined_requests_are_all_answered_in_order(api: Api) -> None:
    number = 3_000
    stream = b"".join(pipelined(b"pipelined", n) for n in range(number))
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Request-Id: last\r\nConnection: close\r\n\r\n"
    got = bytearray()
    with socket.create_connection(("127.0.0.1", api.port), 60) as client:
        sender = threading.Thread(target=client.sendall, args=(stream + last,))
        sender.start()
        while piece := client.recv(65_536):
            got += piece
        sender.join()
    ids = re.findall(rb"(?i)\r\nx-request-id: (\w+)\r\n", bytes(got))
    assert ids == [*(b"%d" % n for n in range(number)), b"last"]
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", bytes(got))
    assert statuses.count(b"202") == number // 2 and statuses.count(b"404") + statuses.count(b"503") == number // 2
    rows = api.world.rows("SELECT score FROM score JOIN season USING (period_id) WHERE season_id = 'pipelined'")
    assert rows == [(number // 2,)]


def test_a_flood_that_nobody_reads_costs_little(world: World) -> None:
    """50 such clients once took the workers to 800 MB, kept `/livez` silent for ten seconds, and ended a worker."""
    with serving(world, LEADERBOARD_SEND_S="600") as api, api.client() as http, ExitStack() as stack:
        (worker,) = children_of(api.command.process.pid)
        assert http.get("/livez").status == 200
        before = resident(worker)
        clients = []
        for _ in range(20):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", api.port))
            client.setblocking(False)
            clients.append(client)
        waits = []
        for _ in range(10):
            for client in clients:
                push(client)
            began = time.monotonic()
            assert http.get("/livez").status == 200
            waits.append(time.monotonic() - began)
        assert others_are_served(http)
        grown = resident(worker) - before
        print(f"{grown / 1e6:.0f} MB more, /livez within {max(waits) * 1000:.0f} ms")  # pytest -rP shows it
        # One client alone took 50 MB.
        assert grown < 40_000_000, f"{grown / 1e6:.0f} MB"
        assert max(waits) < 5, waits
        assert {worker} == children_of(api.command.process.pid)


def push(client: socket.socket) -> None:
    """Send as much of the flood as the server takes."""
    try:
        while client.send(FLOOD):
            pass
    except BlockingIOError:
        pass


def others_are_served(http: Http) -> bool:
    body = b'{"userId":"ada","delta":1}'
    return all(http.ask("POST", "/v1/seasons/s/scores", body, JSON).status == 202 for _ in range(20))
