"""What all clients of a worker hold together is bounded, and others are served meanwhile."""

from __future__ import annotations

import json
import re
import select
import socket
from contextlib import ExitStack

from support.http import JSON, base
from support.processes import children_of, resident, serving
from support.waiting import eventually
from support.world import World

from service.http.connection_limits import HELD_MOST_BYTES
from service.submissions.types import BATCH_MOST

BODY_BYTES = 4 * 1024 * 1024
CLIENTS = 2 * HELD_MOST_BYTES // BODY_BYTES
HEAD = (
    b"POST /v1/seasons/s/scores/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % BODY_BYTES
)


def test_bodies_that_lack_a_byte_hold_no_more_than_the_bound(world: World) -> None:
    """Twice as many as there is room for: those that wait for longest make room, and a sound batch is accepted."""
    with serving(world, LEADERBOARD_RECEIVE_S="600") as api, api.client() as http, ExitStack() as stack:
        (worker,) = children_of(api.command.process.pid)
        assert http.get("/livez").status == 200
        before = resident(worker)
        clients = []
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", api.port), 30))
            client.sendall(HEAD + b" " * (BODY_BYTES - 1))
            clients.append(client)
        refused = eventually(lambda: answered(clients) if len(answered(clients)) >= CLIENTS // 2 else [])
        assert refused == clients[: len(refused)] and len(refused) <= CLIENTS // 2 + 2, "the oldest, and no more"
        for client in refused:
            told = client.recv(65_536)
            assert re.match(rb"HTTP/1\.1 503 (?s:.*)(?i:retry-after: 1\r\n)(?s:.*)too-many-bytes", told), told
        grown = resident(worker) - before
        print(f"{grown / 1e6:.0f} MB more")  # pytest -rP shows it
        assert grown < 2 * HELD_MOST_BYTES
        items = [{"userId": f"p{n}", "delta": 1} for n in range(BATCH_MOST)]
        body = json.dumps({"submissions": items}).encode()
        answer = http.ask("POST", f"{base('s')}/scores/batch", body, JSON)
        assert {result["status"] for result in answer.json["results"]} == {202}
        assert {worker} == children_of(api.command.process.pid)


def answered(clients: list[socket.socket]) -> list[socket.socket]:
    """The clients that can read something."""
    readable, _, _ = select.select(clients, [], [], 0)
    return [client for client in clients if client in readable]
